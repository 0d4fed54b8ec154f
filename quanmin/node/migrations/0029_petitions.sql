-- What residents ask about their records: who owes an answer by when. What they say stands in a
-- Task, sealed; `patient` is null once the person has been erased. `answerer` is the number of the
-- institution that answers, null for who stands above it. Moments are microseconds since 1970.
create table trust.petition (
    task bigint primary key,
    patient bigint,
    filed bigint not null,
    moved bigint not null,
    due bigint,
    about bigint,
    answerer int,
    type smallint,
    is_open boolean not null,
    kind text not null,
    state text not null
);
create index petition_worklist on trust.petition (answerer, due) where is_open;
create index petition_patient on trust.petition (patient);

-- What persons say of records that were not corrected, to be shown with these.
create table trust.statement (
    communication bigint primary key,
    patient bigint,
    about bigint not null,
    type smallint not null
);
create index statement_about on trust.statement (about);
create index statement_patient on trust.statement (patient);
