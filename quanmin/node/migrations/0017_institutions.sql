-- The register of institutions, made of the Organizations that the register's own senders write.
-- Moments are microseconds; `until` is exclusive, and the open ends are those of the records.

-- What stays of an institution whatever becomes of it. `sender` is the code under which its actors
-- write; an entry is never taken out, so that no closed institution comes back as an unknown one.
create table trust.institution_entry (
    organization bigint primary key,
    id text not null,
    code text not null unique,
    sender text not null unique
);

-- What held of it from when to when, as it is known now.
create table trust.institution (
    organization bigint not null references trust.institution_entry,
    sender text not null,
    code text not null,
    name text not null,
    level text,
    grade text,
    kind text,
    region text not null,
    parent bigint,
    tenant text not null default '',
    state text not null,
    since bigint not null,
    until bigint not null,
    primary key (organization, since),
    check (since < until)
);
create index institution_sender on trust.institution (sender, since);
create index institution_region on trust.institution (region text_pattern_ops, since);
