-- Recipients outside the country: who asks as this member receives nothing, unless a transfer is in
-- force. Whoever is not here is in the country.
create table trust.recipient (
    kind text not null check (kind in ('client', 'actor', 'sender')),
    member text not null,
    country text not null check (country ~ '^[A-Z]{2}$' and country <> 'CN'),
    at bigint not null,
    by text not null,
    primary key (kind, member)
);

-- Transfers that were approved. `handed` counts the records that have gone out under one.
create table trust.transfer (
    transfer bigint generated always as identity primary key,
    kind text not null,
    member text not null,
    ground text not null,
    reference text not null,
    activity text not null,
    types text[],
    records_max bigint not null check (records_max > 0),
    handed bigint not null default 0,
    since bigint not null,
    until bigint not null,
    at bigint not null,
    by text not null,
    withdrawn_at bigint,
    withdrawn_by text,
    reason text,
    foreign key (kind, member) references trust.recipient,
    check (since < until)
);
create index transfer_member on trust.transfer (kind, member);

-- The transfer under which a recipient receives at a moment: null for who needs none, 0 for who has
-- none.
create function trust.transfer_of(of_kind text, of_member text, moment bigint) returns bigint
language sql stable as $$
    select coalesce((
        select t.transfer from trust.transfer t
        where t.kind = r.kind and t.member = r.member and t.withdrawn_at is null
            and t.since <= moment and t.until > moment and t.handed < t.records_max
        order by t.transfer limit 1), 0)
    from trust.recipient r where r.kind = of_kind and r.member = of_member
$$;
