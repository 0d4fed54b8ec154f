-- The access log as Merkle trees. A row is an entry; with its salt it makes a leaf of the tree of
-- its lane. A lane belongs to one month, the first six digits of its number, so that months are
-- dropped whole: their partitions go, their heads and the roots of their subtrees stay.

-- What was written before stood in no tree. The program adopts it, a little at a time.
alter table trust.access rename to access_before;
alter index trust.access_at rename to access_before_at;

-- `salt`: 16 bytes. After a person was erased, 32 bytes of what the leaf holds of what was there,
-- and the 16 of the salt for what is left. `mark` shows the node that it wrote this leaf here.
-- `part_lane`, `part_n`: where the first entry of the same request stands. The columns stand in an
-- order that leaves no gaps.
create table trust.access (
    n bigint not null,
    at bigint not null,
    mark bigint not null,
    part_n bigint,
    lane int not null,
    hits int not null,
    part_lane int,
    salt bytea not null,
    request text not null,
    actor text not null,
    role text not null,
    purpose text not null,
    action text not null,
    type text,
    outcome text not null,
    rules text,
    client text,
    note text,
    digest bytea,
    records bigint[],
    patients bigint[],
    primary key (lane, n)
) partition by range (lane);
create index access_at on trust.access using brin (at);
create index access_by_patient on trust.access using gin (patients) with (fastupdate = off);
create index access_parts on trust.access (part_lane, part_n) where part_lane is not null;

-- The trees that grow. One row is updated by every batch of entries: it has its page for itself, so
-- that each update finds room beside the row.
create table trust.lane (
    lane int primary key,
    is_for_writes boolean not null,
    suite text not null,
    size bigint not null,
    at bigint not null,
    root bytea not null,
    frontier bytea not null,
    signature bytea not null
) with (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- The roots of complete subtrees of 256 leaves and more, by how many levels they stand above the
-- leaves: what proofs are made of without reading the whole month.
create table trust.subtree (
    lane int not null,
    level smallint not null,
    place bigint not null,
    root bytea not null,
    primary key (lane, level, place)
);

-- What the lanes had grown to from minute to minute, signed in a chain.
create table trust.checkpoint (
    number bigint primary key,
    content bytea not null
);

-- What the last checkpoint that spoke of a lane said of it.
create table trust.checked (
    lane int primary key,
    size bigint not null
);

-- Which entries have lost the names of a person who was erased, by which entry of the log, and the
-- commitment to what is left. That entry's digest is over its rows here.
create table trust.redaction (
    lane int not null,
    n bigint not null,
    step int not null,
    by_lane int not null,
    by_n bigint not null,
    remains bytea not null,
    primary key (lane, n, step)
);

-- The months whose entries are gone by rule, and the entry that says so.
create table trust.dropped (
    month int primary key,
    by_lane int not null,
    by_n bigint not null
);

do $$
begin
    if not exists (select from trust.access_before) then
        drop table trust.access_before;
    end if;
end
$$;
