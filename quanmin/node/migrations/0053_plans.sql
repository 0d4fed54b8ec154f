-- What plans know of people and where people stand, derived from records in the transaction that
-- writes them. Of plans, series and areas there are keyed hashes, as in the index of records; days
-- stand as the times of records do; what a record tells is sealed under its Patient's data key.
create schema plans;

-- How far the lists of a plan are; `plan` is the key of its code and content.
create table plans.plan (
    plan bigint primary key,
    job bigint,
    ready_at bigint
);

-- What a record tells a plan. `version` is below zero, so that no body of a record can stand here.
create table plans.fact (
    bucket smallint not null,
    rid bigint not null,
    plan bigint not null,
    type smallint not null,
    patient bigint not null,
    sender int not null,
    version int not null,
    updated bigint not null,
    body bytea not null,
    primary key (rid, plan, bucket)
);
create index fact_patient on plans.fact (patient, plan);

-- The source Patients of a person, each with all of them, and the day on which a plan must be
-- looked at again though nothing was written. For each of `plans`: on how many records it rests
-- where they stand, and how many of these the institution of this Patient has sent.
create table plans.person (
    bucket smallint not null,
    patient bigint not null,
    sender int not null,
    patients bigint[] not null,
    is_shared boolean not null,
    plans bigint[] not null,
    sources int[] not null,
    own_sources int[] not null,
    areas bigint[],
    again date,
    primary key (patient, bucket)
);
create index person_again on plans.person (again) where again is not null;
create index person_shared on plans.person (sender, patient) where is_shared;

-- Where a person stands in a series, for each source Patient. `basis`: 1 by all that is known, 2 by
-- what the institution of the Patient sent itself, 3 either. `hold`: 0 dated, 1 dated by what
-- stands in its way, 2 excluded, 3 postponed without a day. What has no day is due at infinity.
create table plans.due (
    bucket smallint not null,
    patient bigint not null,
    plan bigint not null,
    series bigint not null,
    basis smallint not null,
    is_first boolean not null,
    hold smallint not null,
    turn smallint not null,
    sender int not null,
    earliest date,
    due date not null,
    overdue date,
    escalated date,
    last date,
    escalates date[],
    primary key (patient, plan, series, basis, bucket)
);
create index due_day on plans.due (plan, due, patient, series);
create index due_sender on plans.due (sender, plan, due, patient, series);
create index due_escalated on plans.due (plan, escalated) where escalated is not null;

create policy walls on plans.fact using (((select trust.opened()))[2 * sender]);
create policy walls on plans.person using (((select trust.opened()))[2 * sender]);
create policy walls on plans.due using (((select trust.opened()))[2 * sender]);
