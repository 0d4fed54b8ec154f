-- What the entries of Practitioners and PractitionerRoles say of who may practise as what, where
-- and when: made of them in the transaction that writes one. Of a practitioner it keeps the key.

create table trust.licence (
    practitioner bigint not null,
    kind text not null,
    scopes text[] not null,
    state text not null,
    since bigint not null,
    until bigint not null,
    check (since < until)
);
create index licence_practitioner on trust.licence (practitioner, since);

-- Where a practitioner practises, by a PractitionerRole.
create table trust.practice (
    role bigint primary key,
    practitioner bigint not null,
    organization bigint not null,
    since bigint not null,
    until bigint not null,
    check (since < until)
);
create index practice_practitioner on trust.practice (practitioner, organization, since);
