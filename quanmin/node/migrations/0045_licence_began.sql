-- A licence keeps what it was: `began` is the start of the period that it states, by which it is
-- known when its state or its scopes become others.
alter table trust.licence add column began bigint;
update trust.licence set began = since;
alter table trust.licence alter column began set not null;
