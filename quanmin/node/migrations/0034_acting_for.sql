-- Acting for another: what a proxy lets one do, and who acts for whom in a session, a code or a
-- token. `told_at`: since when both know that it has ended.
alter table trust.proxy
    add column scope text[] not null default '{}',
    add column told_at bigint;
create index proxy_untold on trust.proxy (until) where told_at is null;
-- Those that are there were given for everything.
update trust.proxy set scope = '{applications,consent,read}';

alter table trust.session add column proxy bigint references trust.proxy;
alter table trust.code add column proxy bigint references trust.proxy;
alter table trust.token add column proxy bigint references trust.proxy;
