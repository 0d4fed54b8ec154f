-- Consents that were written before grants had ranks and parts (0031) are read once more by a job:
-- of several that a person has said the last one holds for them too. A new node has none.

insert into jobs.job (kind, owner, payload, once)
select 'regrant-consents', 'node', '{}', 'regrant-consents'
where exists (select from records.granted);
