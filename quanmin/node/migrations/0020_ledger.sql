-- What a restore must not undo: erasures, and consents that take something away. The same entries
-- stand in a file outside the database, which a backup does not bring back; `place` is where the
-- entry ends there, null until it has been written. An erasure tells the keys of the source
-- Patients; a version of a Consent its row, with the body sealed as it is there, so that it is
-- erased with its person.
create table records.ledger (
    entry bytea primary key,
    kind text not null check (kind in ('erasure', 'consent')),
    at bigint not null,
    patients bigint[] not null,
    type smallint,
    rid bigint,
    version int,
    flags smallint,
    sender text,
    body bytea,
    place bigint
);
alter table records.ledger alter column body set storage external;
create index ledger_waiting on records.ledger (at) where place is null;
create index ledger_place on records.ledger (place);
