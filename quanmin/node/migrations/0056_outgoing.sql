-- Cases of workflows that are told to a system outside, such as the national one for infectious
-- diseases: a row for each state that a case came into, put in by the transaction that writes it.
-- `since` is when it came into the state, so that a case is told of once for each time. What the
-- other side says is sealed. `key` is what it knows a message again by, after a restore too.
create table trust.outgoing (
    message bigint generated always as identity primary key,
    key uuid not null unique default gen_random_uuid(),
    task bigint not null,
    code text not null,
    state text not null,
    since bigint not null,
    status text not null default 'waiting'
        check (status in ('waiting', 'sent', 'refused', 'needless')),
    due bigint not null,
    attempts int not null default 0,
    said bytea,
    made_at bigint not null,
    ended_at bigint,
    unique (task, since)
);
create index outgoing_due on trust.outgoing (due) where status = 'waiting';
create index outgoing_status on trust.outgoing (status, message desc);
