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
    seq int not null default 0
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
    seq int not null,
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
    words bigint[]
) partition by list (type);
alter table records.record alter column body set storage external;

-- A partition for each type of which there are many: its statistics are those of one type, and its
-- indexes need no type. `<> 1` rather than `= 0`: without statistics the planner takes the first
-- for nearly all rows, the second for a few. Records of one bundle share a moment and those of one
-- visit a date: without the record key behind them, equal entries share a posting list, and an
-- order settles ties by sorting few rows. The numbers are those of the compact table (alphabetical,
-- stable for R4). GIN without a pending list: a list must be scanned by every read and turns plans
-- into sequential scans.
do $$
declare
    part record;
begin
    for part in select * from (values
        ('patient', 103),
        ('observation', 96),
        ('encounter', 44),
        ('condition', 28),
        ('procedure', 110),
        ('medicationrequest', 79),
        ('medicationdispense', 77),
        ('diagnosticreport', 40),
        ('claim', 19),
        ('explanationofbenefit', 53),
        ('immunization', 62),
        ('chargeitem', 17),
        ('careplan', 14),
        ('practitioner', 108),
        ('practitionerrole', 109),
        ('organization', 100),
        ('location', 71),
        ('documentreference', 42),
        ('servicerequest', 124),
        ('auditevent', 7),
        ('provenance', 111),
        ('task', 140),
        ('appointment', 5),
        ('composition', 26)
    ) as t (name, number)
    loop
        execute format('create table records.record_%s'
                       ' partition of records.record for values in (%s)',
                       part.name, part.number);
        execute format('alter table records.record_%1$s add primary key (rid, bucket);
            create index on records.record_%1$s (low desc nulls last) where flags & 1 <> 1;
            create index on records.record_%1$s (updated)', part.name);
    end loop;
end
$$;
create table records.record_other partition of records.record default;
alter table records.record_other add primary key (rid, bucket);
create index on records.record_other (type, low desc nulls last) where flags & 1 <> 1;
create index on records.record_other (type, updated);
create index record_by_feed on records.record (bucket, seq);
create index record_by_patient on records.record (patient, low desc nulls last)
    where patient is not null;
-- What a small institution has sent must be found without walking past what all others have. Six
-- bytes a row.
create index record_by_sender on records.record (sender);
-- Main dates wider than a day are few; the others are found by `low` within a day.
create index record_by_wide on records.record (high) where high - 86400000000 > low;
create index record_by_tokens on records.record using gin (tokens) with (fastupdate = off);
create index record_by_refs on records.record using gin (refs) with (fastupdate = off);
create index record_by_words on records.record using gin (words) with (fastupdate = off);

-- Versions that have been replaced, by the month in which they were current first.
create table records.history (
    rid bigint not null,
    seq int not null,
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
-- Months get partitions of their own ahead of time; what fits none is kept here.
create table records.history_other partition of records.history default;
create index history_feed on records.history (bucket, seq);
create index history_type on records.history (type, updated, rid, version);

-- Searched by time (the parameter `code`) or nearly unique (identifiers): a covering B-tree instead
-- of GIN. One row for a coding serves `code` and `system|code`: `system` (32 bits of the key of the
-- system) is a filter, not part of the order, since a code rarely stands in two systems.
create table records.keyed (
    key bigint not null,
    low bigint,
    rid bigint not null,
    system int not null,
    type smallint not null,
    bucket smallint not null
);
create index keyed_key on records.keyed (key, low desc nulls last, rid) include (system);

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

-- Numbers and quantities as written: the key holds type, parameter, unit and the kinds of the
-- record's codes, so that a question about one code reads the numbers of few others. A question in
-- another unit is converted to each commensurable unit in use. high is null for a point, so that
-- points need one index only; ranges have a key of their own, the complement, so that no point must
-- be looked at to tell it from a range.
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

-- The units in use for a parameter of a type; `code` is the unit's code, or its text where there is
-- no code; `kinds` are the kinds of the codes that the records have, empty where they may have any.
create table records.unit (
    type smallint not null,
    param text not null,
    system text not null,
    code text not null,
    kinds smallint[] not null,
    key bigint not null,
    primary key (type, param, system, code, kinds)
);

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
    seq int not null,
    primary key (consumer, bucket)
);
