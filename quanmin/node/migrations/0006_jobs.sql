-- Work for the machine that outlives a request and a crash. Of the node, not of a bucket: jobs are
-- few beside the records, and a distributed database keeps them on one machine. Payloads, positions
-- and messages hold keys and names of things, never what a record says.

create schema jobs;

-- The database's clock is the one that all workers share. Moments are microseconds, as elsewhere.
create function jobs.now() returns bigint language sql volatile
    return (extract(epoch from clock_timestamp()) * 1000000)::bigint;

create sequence jobs.lease as bigint;

-- `due`: not before this moment. `lease` is a new number each time a worker takes the job: what was
-- done under an older one cannot commit. `position` is where the next step goes on.
create table jobs.job (
    job bigint generated always as identity primary key,
    kind text not null,
    state text not null default 'waiting'
        check (state in ('waiting', 'running', 'done', 'dead', 'cancelled')),
    priority smallint not null default 0,
    due bigint not null default jobs.now(),
    owner text not null,
    once text,
    payload jsonb not null,
    position jsonb,
    result jsonb,
    done bigint not null default 0,
    total bigint,
    message text not null default '',
    attempts int not null default 0,
    reasons jsonb not null default '[]',
    is_cancel_asked boolean not null default false,
    lease bigint,
    worker text,
    leased_until bigint,
    created_at bigint not null default jobs.now(),
    started_at bigint,
    ended_at bigint
);

-- The order in which jobs of a kind are taken.
create index job_waiting on jobs.job (kind, priority desc, due, job) where state = 'waiting';
create index job_running on jobs.job (leased_until) where state = 'running';
create index job_ended on jobs.job (ended_at) where ended_at is not null;
-- Of jobs put in under one name, one is open at a time.
create unique index job_once on jobs.job (kind, once) where state in ('waiting', 'running');
