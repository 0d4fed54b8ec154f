-- The record store. Every unique key holds `bucket`, the shard key: the bucket of the source
-- Patient (of the record itself where there is none), fixed at creation, so that the same schema
-- can be distributed. Moments are microseconds since 1970-01-01T00:00Z; -9223372036854775808 and
-- 9223372036854775807 stand for open ends.

create schema records;

-- Institutions and programs that send records; numbered so that a row spends four bytes on its
-- sender.
create table records.sender (
    sender int generated always as identity primary key,
    code text not null unique
);

-- Commit order within a bucket: a writer takes its buckets' rows for the last part of its
-- transaction.
create table records.clock (
    bucket smallint primary key,
    seq bigint not null default 0
) with (fillfactor = 50);
insert into records.clock (bucket) select generate_series(0, 1023);

-- Data keys, wrapped by the node's key. kind 0: of a source Patient (its record key); kind 1: of a
-- sender.
create table records.data_key (
    bucket smallint not null,
    kind smallint not null,
    holder bigint not null,
    wrapped bytea not null,
    primary key (bucket, kind, holder)
);

-- Where records with an id of the client's choosing live; `home` is the bucket of the id itself.
create table records.place (
    home smallint not null,
    rid bigint not null,
    bucket smallint not null,
    primary key (home, rid)
);

create sequence records.number as bigint;

-- Current versions. flags: 1 deleted, 2 the client chose the id. `present`: which search parameters
-- have a value.
create table records.record (
    rid bigint not null,
    seq bigint not null,
    updated bigint not null,
    patient bigint,
    low bigint,
    high bigint,
    present bigint not null,
    version int not null,
    sender int not null,
    bucket smallint not null,
    type smallint not null,
    flags smallint not null,
    body bytea,
    labels bigint[],
    tokens bigint[],
    refs bigint[],
    words bigint[],
    primary key (type, rid, bucket)
) partition by list (type);
alter table records.record alter column body set storage external;
alter table records.record alter column body set compression default;

-- Versions that have been replaced, by the month in which they were current first.
create table records.history (
    rid bigint not null,
    seq bigint not null,
    updated bigint not null,
    patient bigint,
    low bigint,
    version int not null,
    sender int not null,
    bucket smallint not null,
    type smallint not null,
    flags smallint not null,
    body bytea,
    labels bigint[],
    primary key (rid, version, updated, bucket)
) partition by range (updated);
alter table records.history alter column body set storage external;
create index history_feed on records.history (bucket, seq);
create index history_type on records.history (type, updated, rid, version);

-- Searched by time (the parameter `code`) or nearly unique (identifiers): a covering B-tree instead
-- of GIN.
create table records.keyed (
    key bigint not null,
    low bigint,
    rid bigint not null,
    type smallint not null,
    bucket smallint not null
);
create index keyed_key on records.keyed (key, low desc nulls last, rid);
create index keyed_rid on records.keyed (rid) where low is null;

-- Dates other than the main one. Rows wider than a day are few and have an index of their own.
create table records.dated (
    key bigint not null,
    low bigint not null,
    high bigint not null,
    rid bigint not null,
    type smallint not null,
    bucket smallint not null
);
create index dated_low on records.dated (key, low, high, rid);
create index dated_wide on records.dated (key, high, low, rid) where high - 86400000000 > low;

-- Numbers and quantities (unit in the key). high is null for a point, so that points need one index
-- only.
create table records.ranged (
    key bigint not null,
    low numeric not null,
    high numeric,
    rid bigint not null,
    type smallint not null,
    bucket smallint not null
);
create index ranged_low on records.ranged (key, low, rid);
create index ranged_wide on records.ranged (key, high, low, rid) where high is not null;

-- Which source Patient has granted something to whom; the consent projection of trust fills it.
create table records.granted (
    bucket smallint not null,
    patient bigint not null,
    grantee bigint not null,
    primary key (grantee, patient, bucket)
);

-- Consumers of the change feed and how far each has read each bucket.
create table records.consumer (
    name text primary key
);
create table records.cursor (
    consumer text not null references records.consumer on delete cascade,
    bucket smallint not null,
    seq bigint not null,
    primary key (consumer, bucket)
);
