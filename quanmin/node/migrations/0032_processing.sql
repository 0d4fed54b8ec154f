-- The processing register: what is done with personal data, why, on what ground. A change is a new
-- version; nothing is taken out. Moments are microseconds since 1970.
create table trust.activity (
    activity text not null,
    version int not null,
    at bigint not null,
    by text not null,
    is_delivered boolean not null,
    is_in_force boolean not null,
    content text not null,
    primary key (activity, version)
);

-- Which application, purpose of use, export or client is part of which activity.
create table trust.activity_use (
    kind text not null check (kind in ('application', 'purpose', 'client', 'export')),
    name text not null,
    activity text not null,
    at bigint not null,
    by text not null,
    primary key (kind, name)
);
