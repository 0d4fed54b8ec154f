-- Agencies as tenants of a node, and the walls between them: of whose records a transaction may see
-- anything is decided by policies on rows, whatever a query asks. The policies stand here and are
-- switched on when a node gets its first tenant. Moments are microseconds; `until` is exclusive.

-- `division` is the beginning of a GB/T 2260 code: without the pairs 00 at its end.
create table trust.tenant (
    tenant int generated always as identity primary key,
    code text not null unique,
    name_zh text not null,
    name_en text not null,
    division text not null,
    parent int references trust.tenant,
    since bigint not null,
    until bigint not null,
    decided_at bigint not null,
    decided_by text not null,
    check (since < until),
    check (parent <> tenant)
);

-- Who is of a tenant although its division does not say so; null: of none.
create table trust.tenant_member (
    sender text not null,
    tenant int references trust.tenant,
    since bigint not null,
    until bigint not null,
    decided_at bigint not null,
    decided_by text not null,
    primary key (sender, since),
    check (since < until)
);
create index tenant_member_tenant on trust.tenant_member (tenant);

-- Each row holds until the next of the same application.
create table trust.tenant_application (
    tenant int not null references trust.tenant,
    application text not null,
    since bigint not null,
    is_on boolean not null,
    decided_at bigint not null,
    decided_by text not null,
    primary key (tenant, application, since)
);

-- What tenants show to others, by purpose of use; null: every tenant of the node.
create table trust.tenant_agreement (
    agreement int generated always as identity primary key,
    giver int references trust.tenant,
    taker int references trust.tenant,
    purposes text[] not null,
    basis text not null,
    since bigint not null,
    until bigint not null,
    decided_at bigint not null,
    decided_by text not null,
    check (since < until)
);

-- An entrusted operator acts within the tenants that it runs.
create table trust.party_tenant (
    party text not null references trust.party,
    tenant int not null references trust.tenant,
    primary key (party, tenant)
);

-- `edition` goes on with everything that decides whose tenant is whose. `commons` are senders whose
-- records of nobody (institutions, terminology) are everybody's.
create table trust.wall (
    is_one boolean primary key default true check (is_one),
    is_up boolean not null default false,
    edition bigint not null default 0,
    commons text[] not null default '{}'
);
insert into trust.wall default values;

-- What proves that a claim was made by the node and not by a query; nobody but the owner reads it.
create table trust.wall_key (key bytea not null);

-- What a claim opens, worked out once for an edition: element 2 * sender for what the sender wrote
-- of patients, the one behind it for what it wrote of nobody.
create table trust.opening (
    claim text primary key,
    edition bigint not null,
    until bigint not null,
    opened boolean[] not null
);

-- Of which tenant each of these senders is at a moment: as was decided, else the tenant of the
-- longest division that its institution stands in by the register.
create function trust.tenancies(codes text[], moment bigint) returns table (code text, tenant int)
language sql stable as $$
    select s.code, case when m.sender is null then d.tenant else t.tenant end
    from unnest(codes) s (code)
    left join trust.tenant_member m
        on m.sender = s.code and m.since <= moment and m.until > moment
    left join trust.tenant t
        on t.tenant = m.tenant and t.since <= moment and t.until > moment
    left join lateral (
        select i.region from trust.institution i where i.sender = s.code
        order by i.since > moment, case when i.since <= moment then i.since end desc nulls last,
            i.since
        limit 1
    ) i on m.sender is null
    left join lateral (
        select d.tenant from trust.tenant d
        where d.since <= moment and d.until > moment and starts_with(i.region, d.division)
        order by length(d.division) desc limit 1
    ) d on true
$$;

-- A claim is a kind, a purpose of use and a name: 'all' sees everything, 'tenant' what a tenant
-- sees (worked out once for all of its senders), 'sender' what the tenant of a sender sees (without
-- one: what it sent itself), 'party' what the tenants that a party runs see.
create function trust.open_to(claim text, moment bigint) returns boolean[]
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

-- When what was worked out at a moment may be something else, by the dates that are known.
create function trust.open_until(moment bigint) returns bigint language sql stable as $$
    select coalesce(min(d.at), 9223372036854775807) from (
        select since as at from trust.tenant union all select until from trust.tenant
        union all select since from trust.tenant_member
        union all select until from trust.tenant_member
        union all select since from trust.tenant_agreement
        union all select until from trust.tenant_agreement
        union all select since from trust.tenant_application
        union all select since from trust.institution
    ) d where d.at > moment
$$;

-- What the setting of this transaction opens; null, which opens nothing, where none is set or it
-- was not the node that set it. The seal is a keyed hash of the claim, hashed twice so that nobody
-- can lengthen a claim.
create function trust.opened() returns boolean[] language plpgsql stable security definer
set search_path = pg_catalog, pg_temp set plan_cache_mode = auto as $$
declare
    told text := current_setting('quanmin.claim', true);
    asked text := substr(told, 66);
    secret bytea;
    found_open boolean[];
    moment bigint;
begin
    if told is null or told = '' then
        return null;
    end if;
    select k.key into secret from trust.wall_key k limit 1;
    if secret is null or left(told, 64) is distinct from encode(
        sha256(secret || sha256(secret || convert_to(asked, 'UTF8'))), 'hex') then
        return null;
    end if;
    moment := extract(epoch from statement_timestamp()) * 1000000;
    select o.opened into found_open
    from trust.opening o join trust.wall w on w.edition = o.edition
    where o.claim = asked and o.until > moment;
    if found_open is null then
        found_open := trust.open_to(asked, moment);
    end if;
    return found_open;
end
$$;

-- Keep what a claim opens, so that the next need not work it out; gives for which edition and until
-- when. Nobody can keep anything but what is so.
create function trust.keep_opened(asked text) returns table (kept bigint, kept_until bigint)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    moment bigint := extract(epoch from statement_timestamp()) * 1000000;
begin
    return query
    insert into trust.opening as o (claim, edition, until, opened)
    select asked, w.edition, trust.open_until(moment), trust.open_to(asked, moment)
    from trust.wall w
    on conflict (claim) do update
        set edition = excluded.edition, until = excluded.until, opened = excluded.opened
        where o.edition <= excluded.edition
    returning o.edition, o.until;
end
$$;

create function trust.renew_walls() returns trigger language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
begin
    update trust.wall set edition = edition + 1 where is_up;
    return null;
end
$$;
create trigger walls after insert or update or delete on trust.tenant
    for each statement execute function trust.renew_walls();
create trigger walls after insert or update or delete on trust.tenant_member
    for each statement execute function trust.renew_walls();
create trigger walls after insert or update or delete on trust.tenant_agreement
    for each statement execute function trust.renew_walls();
create trigger walls after insert or update or delete on trust.party_tenant
    for each statement execute function trust.renew_walls();
create trigger walls after insert or update or delete on trust.tenant_application
    for each statement execute function trust.renew_walls();
create trigger walls after insert or update or delete on trust.party_member
    for each statement execute function trust.renew_walls();
create trigger walls after insert or update or delete on trust.institution
    for each statement execute function trust.renew_walls();
create trigger walls after insert or update or delete on records.sender
    for each statement execute function trust.renew_walls();

-- Rows that point to records have what decides of them beside them: `wall` is the element of
-- `trust.opened()` that the record asks for. In `keyed` and `dated` it fits where rows had a gap.
-- Those that were there before get it when walls are raised.
alter table records.keyed add column wall int;
alter table records.dated add column wall int;
alter table records.ranged add column wall int;
alter table records.granted add column wall int;

create policy walls on records.record
    using (((select trust.opened()))[2 * sender + (patient is null)::int]);
create policy walls on records.history
    using (((select trust.opened()))[2 * sender + (patient is null)::int]);
create policy walls on records.keyed using (((select trust.opened()))[wall]);
create policy walls on records.dated using (((select trust.opened()))[wall]);
create policy walls on records.ranged using (((select trust.opened()))[wall]);
create policy walls on records.granted using (((select trust.opened()))[wall]);
create policy walls on trust.glass using (((select trust.opened()))[2 * sender]);

-- A month of the access log begins whoever notices it first, and who answers requests makes no
-- tables. Made aside and attached: so nobody waits who reads or writes the log meanwhile.
create function trust.make_access_month(first int, lanes int) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    name text := 'access_' || first / lanes;
begin
    if to_regclass('trust.' || name) is null then
        execute format('create table trust.%I (like trust.access including defaults)', name);
        execute format('alter table trust.access attach partition trust.%I'
            ' for values from (%s) to (%s)', name, first, first + lanes);
    end if;
end
$$;
