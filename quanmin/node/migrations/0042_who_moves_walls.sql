-- The register of institutions says of which tenant each of them is, so on a node with tenants
-- nobody changes it but what derives it from records, behind the claim for the whole node. The
-- policies are switched on with the others.

-- Whether this transaction has the node's own claim for all of it; see `trust.opened`.
create function trust.is_whole() returns boolean language plpgsql stable security definer
set search_path = pg_catalog, pg_temp as $$
declare
    told text := current_setting('quanmin.claim', true);
    secret bytea;
begin
    select k.key into secret from trust.wall_key k limit 1;
    return coalesce(substr(told, 66) = 'all||' and left(told, 64) = encode(
        sha256(secret || sha256(secret || convert_to('all||', 'UTF8'))), 'hex'), false);
end
$$;

create policy seen on trust.institution for select using (true);
create policy kept on trust.institution using ((select trust.is_whole()));

do $$
begin
    if (select is_up from trust.wall) then
        alter table trust.institution enable row level security;
    end if;
end
$$;
