-- By what the register of people knows the document that an account's owner has shown: keyed, as
-- in people.number and records.keyed.
alter table trust.account add column document_keys bigint[] not null default '{}';
