-- Of whom a reader sees all or nothing is told by numbers, without looking at their records: one
-- for each sender, type and whether records are labelled. `plans.kind` has every number there has
-- been. What is kept already is made anew when the node starts.
delete from plans.plan;
delete from plans.due;
delete from plans.person;
delete from plans.fact;
alter table plans.fact add column is_labelled boolean not null;
alter table plans.person add column kinds bigint[] not null;
create index person_kinds on plans.person using gin (kinds) with (fastupdate = off);
create index person_sender on plans.person (sender, patient);
drop index plans.person_shared;
create table plans.kind (kind bigint primary key);
