-- Actors known to this node, and who did what. Tokens are kept as hashes only.

create schema trust;

create table trust.actor (
    code text primary key,
    role text not null check (role in ('operator', 'institution', 'resident')),
    name text not null,
    sender text not null,
    person bigint,
    token_hash bytea not null unique,
    is_active boolean not null default true
);

-- One row for each interaction: moment, who, why, what kind, and the keys of records and source
-- Patients concerned.
create table trust.access (
    at bigint not null,
    request text not null,
    actor text not null,
    role text not null,
    purpose text not null,
    action text not null,
    type text,
    outcome text not null,
    hits int not null,
    records bigint[],
    patients bigint[]
);
create index access_at on trust.access using brin (at);
