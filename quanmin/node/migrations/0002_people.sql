-- Who is who. A person is never reused and never deleted; what links a source Patient to a person
-- is an event, and `link` is only what the events add up to.

create schema people;

create table people.person (
    person bigint generated always as identity primary key,
    -- Keyed token of the name under which the person was first seen: a number shown with another
    -- name is not evidence.
    name_key bigint not null,
    since bigint not null
);

-- Keyed tokens of identity numbers; the numbers themselves are nowhere but in the encrypted bodies.
create table people.number (
    key bigint primary key,
    person bigint not null references people.person
);

create table people.link_event (
    event bigint generated always as identity primary key,
    patient bigint not null,
    person bigint not null references people.person,
    kind text not null check (kind in ('link', 'unlink')),
    reasons text[] not null,
    decided_at bigint not null,
    decided_by text not null
);
create index link_event_patient on people.link_event (patient, event);

create table people.link (
    bucket smallint not null,
    patient bigint not null,
    person bigint not null references people.person,
    number_key bigint not null,
    primary key (patient, bucket)
);
create index link_person on people.link (person, patient);
