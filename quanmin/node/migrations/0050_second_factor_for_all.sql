-- Everybody proves a second factor, residents too: what a password alone has opened ends, and the
-- database holds that nothing is opened by it again.
delete from trust.session where stage = 'whole' and not 'mfa' = any (methods);
alter table trust.session add constraint session_by_two_factors
    check (stage <> 'whole' or 'mfa' = any (methods));

-- What residents let applications do while a password was enough for that.
create temporary table by_password on commit drop as
    select a.code as actor from trust.actor a
    where a.role = 'resident' and a.account is not null
        and not exists (select from trust.totp f where f.account = a.account)
        and not exists (select from trust.passkey f where f.account = a.account);
delete from trust.token where actor in (select actor from by_password);
delete from trust.code where actor in (select actor from by_password);
update trust.approval
set withdrawn_at = (extract(epoch from clock_timestamp()) * 1000000)::bigint
where withdrawn_at is null and actor in (select actor from by_password);
