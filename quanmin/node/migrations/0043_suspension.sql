-- Who was stopped while an incident is looked into, so that the same can be let act again. Moments
-- are microseconds since 1970.
create table trust.suspension (
    incident bigint not null references trust.incident,
    kind text not null check (kind in ('actor', 'client')),
    member text not null,
    at bigint not null,
    released_at bigint,
    primary key (incident, kind, member)
);
create index suspension_member on trust.suspension (kind, member) where released_at is null;
