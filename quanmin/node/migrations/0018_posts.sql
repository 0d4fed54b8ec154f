-- Who acts where, from when to when, and who acts for whom. Moments are microseconds; `until` is
-- exclusive. Nothing is taken out of either table: what ended stays, with its end.

-- An actor's time at an institution. An actor that has posts acts in them only.
create table trust.post (
    post bigint generated always as identity primary key,
    actor text not null references trust.actor,
    organization bigint not null references trust.institution_entry,
    duties text[] not null,
    practitioner bigint,
    since bigint not null,
    until bigint not null,
    decided_at bigint not null,
    decided_by text not null,
    check (since < until)
);
create index post_actor on trust.post (actor, since);
create index post_organization on trust.post (organization, since);
create index post_practitioner on trust.post (practitioner) where practitioner is not null;

-- `person` acts for `for_person`, both of the identity index.
create table trust.proxy (
    proxy bigint generated always as identity primary key,
    person bigint not null references people.person,
    for_person bigint not null references people.person,
    kind text not null,
    evidence text not null,
    since bigint not null,
    until bigint not null,
    decided_at bigint not null,
    decided_by text not null,
    check (since < until),
    check (person <> for_person)
);
create index proxy_person on trust.proxy (person, until);
create index proxy_for_person on trust.proxy (for_person, until);
