-- Search parameters beside those of R4, and what of the index may be relied on. Of the node and not
-- of a bucket: every write and every search may need all of it.

create schema indexing;

-- Counts up with every change of what is indexed. A writer knows one version, holds a shared lock
-- of that number and then looks whether it still holds: so there is a moment from which all who
-- could write under an older one have ended, and nobody ever waits for the lock.
create table indexing.catalogue (
    version int not null
);
insert into indexing.catalogue values (1);

-- The number of the lock's kind is "qidx". Each query of a volatile function has a snapshot of its
-- own: the second sees what was committed before the lock was had.
create function indexing.hold(expected int) returns int language plpgsql volatile as $$
begin
    perform pg_advisory_xact_lock_shared(1902732408, expected);
    return (select version from indexing.catalogue);
end
$$;

-- One row for each definition that a SearchParameter resource has had. `generation` stands in every
-- key made under it. `definition` is as the program reads it; `codes` are 'Type code', one for each
-- base. `unused`: the code belongs to an earlier one. `removed`: its rows in the side tables are
-- still to be deleted. `job` works or worked at it.
create table indexing.parameter (
    generation int generated always as identity primary key,
    rid bigint not null,
    sender int not null,
    since bigint not null,
    url text not null,
    codes text[] not null,
    kind text not null,
    definition jsonb not null,
    state text not null
        check (state in ('unused', 'pending', 'indexing', 'ready', 'failed', 'removed')),
    reason text not null default '',
    job bigint
);
create unique index parameter_rid on indexing.parameter (rid) where state <> 'removed';

-- The rules by which records are indexed, each in the version that all records have been indexed by
-- when it is ready. A program that brings a newer one finds it is not there.
create table indexing.rule (
    rule text primary key,
    version int not null,
    state text not null check (state in ('pending', 'indexing', 'ready', 'failed')),
    reason text not null default '',
    job bigint
);
insert into indexing.rule (rule, version, state) values ('base', 1, 'ready');
