-- Grants last from one moment to another, may hold for one type of record alone, and name the
-- record that they rest on: a Consent, a visit, an opened glass.

drop table records.granted;

-- `patient` is a source Patient of the person whom `about`, the Patient of that record, is of;
-- `type` is 0 for every type; `until` is exclusive.
create table records.granted (
    bucket smallint not null,
    patient bigint not null,
    grantee bigint not null,
    type smallint not null default 0,
    since bigint not null default -9223372036854775808,
    until bigint not null default 9223372036854775807,
    source bigint not null default 0,
    about bigint not null,
    primary key (grantee, patient, type, source, since, bucket) include (until)
);
create index granted_patient on records.granted (patient);
create index granted_about on records.granted (about);
create index granted_source on records.granted (source);
