-- Incidents that may concern personal data: what is looked for in the access log, what was found,
-- what was done. Texts are sealed. Moments are microseconds since 1970.
create table trust.incident (
    incident bigint generated always as identity primary key,
    opened_at bigint not null,
    opened_by text not null,
    told bytea not null,
    since bigint not null,
    until bigint not null,
    actors text[] not null,
    clients text[] not null,
    senders text[] not null,
    counted_at bigint,
    reported_at bigint,
    told_at bigint,
    told_accounts int,
    closed_at bigint,
    closed_by text,
    check (since < until)
);

-- Whose records were touched within the scope, by record keys.
create table trust.incident_patient (
    incident bigint not null references trust.incident,
    patient bigint not null,
    entries bigint not null,
    is_told boolean not null default false,
    primary key (incident, patient)
);
create index incident_patient_patient on trust.incident_patient (patient);

-- How often what was done with which type of record within the scope.
create table trust.incident_kind (
    incident bigint not null references trust.incident,
    type text not null,
    action text not null,
    entries bigint not null,
    records bigint not null,
    primary key (incident, type, action)
);

-- What was done about it, step by step; `words` are sealed.
create table trust.incident_step (
    incident bigint not null references trust.incident,
    at bigint not null,
    by text not null,
    step text not null,
    words bytea not null,
    primary key (incident, at)
);
