-- What people have let applications do, by the family of the tokens that came of it. `used_at` is
-- known to the quarter of an hour.
create table trust.approval (
    family bigint primary key,
    client text not null references trust.client,
    actor text not null references trust.actor,
    scopes text not null,
    proxy bigint references trust.proxy,
    given_at bigint not null,
    used_at bigint,
    withdrawn_at bigint
);
create index approval_actor on trust.approval (actor, given_at desc);

-- Those that are there already.
insert into trust.approval (family, client, actor, scopes, proxy, given_at)
select distinct on (t.family) t.family, t.client, t.actor, t.scopes, t.proxy, t.issued
from trust.token t join trust.actor a on a.code = t.actor
where a.account is not null
order by t.family, t.kind desc, t.issued
on conflict do nothing;
