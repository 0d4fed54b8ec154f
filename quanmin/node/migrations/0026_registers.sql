-- What a security administrator writes are entries of the registers: under the sender that the
-- registers know, not under one of the account's own.
update trust.actor set sender = 'register' where role = 'security_administrator' and sender = '';

-- Which Practitioners are entries of the register, also of those without a licence.
create table trust.practitioner_entry (
    practitioner bigint primary key,
    id text
);
insert into trust.practitioner_entry (practitioner)
    select practitioner from trust.licence union select practitioner from trust.practice;
create index practitioner_entry_id on trust.practitioner_entry (id);

-- A role that moves to another place keeps what it was, with its end.
alter table trust.practice drop constraint practice_pkey;
create index practice_role on trust.practice (role, since);
