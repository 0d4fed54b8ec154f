-- When, where and by whom it was made sure who the owner of an account is, and on what evidence.
create table trust.enrolment (
    enrolment bigint generated always as identity primary key,
    account text not null references trust.account,
    person bigint not null references people.person,
    level smallint not null,
    evidence text not null,
    at bigint not null,
    decided_by text not null,
    sender text not null
);
create index enrolment_account on trust.enrolment (account, at desc);
create index enrolment_sender on trust.enrolment (sender, at desc);
