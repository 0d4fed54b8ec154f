-- Apps, devices, non-government parties and entrusted operators: who they are, as whom they ask,
-- and from when to when they are admitted. Moments are microseconds; `until` is exclusive.

create table trust.party (
    party text primary key,
    kind text not null,
    name text not null
);

-- As whom a party asks: an application that is registered (client), an actor, or all who write
-- under a code (sender). Each belongs to one party.
create table trust.party_member (
    kind text not null check (kind in ('client', 'actor', 'sender')),
    member text not null,
    party text not null references trust.party,
    primary key (kind, member)
);

-- An application of a party and what became of it. Nothing is taken out.
create table trust.admission (
    admission bigint generated always as identity primary key,
    party text not null references trust.party,
    state text not null
        check (state in ('applied', 'reviewed', 'refused', 'admitted', 'withdrawn')),
    purpose text not null,
    applied_at bigint not null,
    applied_by text not null,
    reviewed_at bigint,
    reviewed_by text,
    opinion text,
    agreement text,
    decided_at bigint,
    decided_by text,
    since bigint,
    until bigint,
    withdrawn_at bigint,
    withdrawn_by text,
    reason text,
    check (since < until),
    check (reviewed_by <> applied_by),
    check (state <> 'admitted' or agreement is not null and since is not null)
);
create index admission_party on trust.admission (party);
-- One application of a party is under way at a time.
create unique index admission_open on trust.admission (party)
    where state in ('applied', 'reviewed');

-- Whether who asks as this is admitted at a moment; whoever belongs to no party needs no admission.
create function trust.is_admitted(asked_kind text, asked text, moment bigint) returns boolean
language sql stable as $$
    select not exists (
        select from trust.party_member m
        where m.kind = asked_kind and m.member = asked
            and not exists (
                select from trust.admission a
                where a.party = m.party and a.state = 'admitted'
                    and a.since <= moment and a.until > moment))
$$;
