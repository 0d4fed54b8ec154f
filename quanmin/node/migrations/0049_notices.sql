-- A notice says of what kind it is, may have words that are sealed, an end, a matter with which it
-- is over, and a key by which it is left once. What it says of a person goes with their erasure.
alter table trust.notice
    add column class text not null default 'warning'
        check (class in ('reminder', 'warning', 'result', 'task')),
    add column is_for_another boolean not null default false,
    add column patient bigint,
    add column words bytea,
    add column matter text,
    add column once text,
    add column until bigint,
    add column withdrawn_at bigint;
update trust.notice set is_for_another = true, kind = substr(kind, 13)
where kind like 'for-another %';
create unique index notice_once on trust.notice (account, kind, is_for_another, once)
    where once is not null;
create index notice_matter on trust.notice (matter, kind)
    where matter is not null and withdrawn_at is null;
create index notice_unread on trust.notice (account) where seen_at is null and withdrawn_at is null;
create index notice_patient on trust.notice (patient) where patient is not null;
create index notice_at on trust.notice (at);

-- How the owner of an account wants to be told that there is news: nothing leaves the node for one
-- who has chosen nothing. The address is sealed.
create table trust.contact (
    account text not null references trust.account,
    channel text not null check (channel in ('sms', 'mini-program', 'mail')),
    address bytea not null,
    language text not null check (language in ('zh', 'en')),
    chosen_at bigint not null,
    primary key (account, channel)
);
-- Minutes of the day; the same twice: never.
create table trust.quiet_time (
    account text primary key references trust.account,
    begins smallint not null check (begins between 0 and 1439),
    ends smallint not null check (ends between 0 and 1439)
);

-- What is to go out and is not in a message yet.
create table trust.pending_notice (
    notice bigint not null references trust.notice on delete cascade,
    account text not null,
    channel text not null,
    due bigint not null,
    is_urgent boolean not null,
    primary key (notice, channel)
);
create index pending_notice_due on trust.pending_notice (due);
create index pending_notice_account on trust.pending_notice (account, channel);

-- One message to one person by one channel, for one notice or several. `key` is what the other side
-- knows it again by, after a restore too.
create table trust.message (
    message bigint generated always as identity primary key,
    key uuid not null unique default gen_random_uuid(),
    account text not null references trust.account,
    channel text not null,
    notices bigint[] not null,
    is_urgent boolean not null,
    state text not null check (state in ('waiting', 'sent', 'refused', 'needless')),
    due bigint not null,
    attempts int not null default 0,
    reason text not null default '',
    made_at bigint not null,
    ended_at bigint
);
create index message_due on trust.message (due) where state = 'waiting';
create index message_state on trust.message (state, message desc);
create index message_ended on trust.message (ended_at) where ended_at is not null;
