-- Records of persons that staff opened in an emergency, each to be reviewed and told to the person.

-- `reason` is sealed. `patient` is the Patient that was named, `sender` the institution acted for;
-- `state` is 'waiting' until somebody judges it.
create table trust.glass (
    glass bigint generated always as identity primary key,
    at bigint not null,
    until bigint not null,
    actor text not null,
    sender int not null,
    patient bigint not null,
    request text not null,
    reason bytea not null,
    state text not null default 'waiting' check (state in ('waiting', 'justified', 'unjustified')),
    reviewer text,
    reviewed_at bigint,
    seen_at bigint
);
create index glass_patient on trust.glass (patient);
create index glass_waiting on trust.glass (at) where state = 'waiting';
create index glass_actor on trust.glass (actor, at);
