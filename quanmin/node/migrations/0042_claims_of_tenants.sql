-- Who is of a tenant claims for the tenant: what it sees is worked out once for all of its senders.
create or replace function trust.open_to(claim text, moment bigint) returns boolean[]
language sql stable as $$
    with told as (
        select split_part(claim, '|', 1) as kind, split_part(claim, '|', 2) as purpose,
            substr(claim, 3 + length(split_part(claim, '|', 1) || split_part(claim, '|', 2)))
                as name
    ), home as (
        select y.tenant from told, trust.tenancies(array[told.name], moment) y
        where told.kind = 'sender'
        union
        select t.tenant from told join trust.tenant t on t.code = told.name
            and t.since <= moment and t.until > moment
        where told.kind = 'tenant'
        union
        select p.tenant from told join trust.party_tenant p on p.party = told.name
        join trust.tenant t on t.tenant = p.tenant and t.since <= moment and t.until > moment
        where told.kind = 'party'
    ), open_tenant as (
        select tenant from home where tenant is not null
        union
        select t.tenant from told
        join trust.tenant_agreement a on told.purpose = any(a.purposes)
            and a.since <= moment and a.until > moment
        join home h on h.tenant is not null and (a.taker is null or a.taker = h.tenant)
        join trust.tenant t on (a.giver is null or a.giver = t.tenant)
            and t.since <= moment and t.until > moment
    ), writer as (
        select s.sender, told.kind = 'all' or (told.kind = 'sender' and s.code = told.name)
                or coalesce(y.tenant in (select tenant from open_tenant), false) as is_open,
            s.code = any(w.commons) as is_common
        from told, trust.wall w, records.sender s
        left join trust.tenancies(array(select code from records.sender), moment) y using (code)
    )
    select coalesce(array_agg(coalesce(
        case when k.place % 2 = 0 then r.is_open else r.is_open or r.is_common end, false)
        order by k.place), '{}')
    from generate_series(1, (select 2 * max(s.sender) + 1 from records.sender s)) k (place)
    left join writer r on r.sender = k.place / 2
$$;
