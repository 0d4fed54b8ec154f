-- What is due for deletion, as it was found last: a source Patient (all that one institution holds
-- of a person) whose every clock has run out. Moments are microseconds since 1970.
create table trust.retention_due (
    patient bigint primary key,
    clock text not null,
    due bigint not null,
    records int not null,
    found bigint not null
);
create index retention_due_clock on trust.retention_due (clock, due);

-- Who must not be deleted meanwhile, and why: a lawsuit, an inquiry. Nothing is taken out.
create table trust.hold (
    hold bigint generated always as identity primary key,
    patient bigint not null,
    reason text not null,
    at bigint not null,
    by text not null,
    released_at bigint,
    released_by text
);
create index hold_patient on trust.hold (patient) where released_at is null;

-- Deletions: proposed by one, confirmed by another, done with a certificate that is signed.
create table trust.deletion (
    deletion uuid primary key,
    proposed_at bigint not null,
    proposed_by text not null,
    confirmed_at bigint,
    confirmed_by text,
    content bytea,
    signature bytea,
    check (confirmed_by <> proposed_by or confirmed_by = 'setting')
);

-- Of which Patients, by which clock. state: 'waiting', 'deleted', 'kept' (no longer due, or held).
create table trust.deletion_item (
    deletion uuid not null references trust.deletion,
    patient bigint not null,
    clock text not null,
    records int not null,
    state text not null check (state in ('waiting', 'deleted', 'kept')),
    primary key (deletion, patient)
);
create index deletion_item_waiting on trust.deletion_item (deletion, patient)
    where state = 'waiting';

alter table records.ledger drop constraint ledger_kind_check;
alter table records.ledger
    add constraint ledger_kind_check check (kind in ('erasure', 'consent', 'certificate'));
