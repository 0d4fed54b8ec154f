-- A grant may be about a part of a person's records: those with codes, of a time, or named one by
-- one; and of several that a person's Consents say, the one of the highest rank holds.

alter table records.granted
    -- Which statement of its record this is.
    add column part smallint not null default 0,
    add column rank bigint not null default 0,
    -- The moments of the records, from `low` to before `high`; both or none.
    add column low bigint,
    add column high bigint,
    -- Keys of codes as they stand in tokens or in records.keyed, and for each of the latter the
    -- system as it stands there, null for any.
    add column keys bigint[],
    add column systems int[],
    add column rids bigint[],
    drop constraint granted_pkey,
    add primary key (grantee, patient, type, source, since, part, bucket) include (until);
