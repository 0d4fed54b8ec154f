-- Data keys can be replaced while records are read and written. `generation` (0 to 15, then 0
-- again) is what bodies name the key by; `former` is the key before, wrapped, as long as bodies may
-- be left under it. `succession` leads from each former key to the next: sealed under the former
-- and under a key of the node, so that a database that was restored from before can open what the
-- ledger holds from after.
alter table records.data_key
    add column generation smallint not null default 0,
    add column former bytea,
    add column succession bytea;
create index data_key_former on records.data_key (bucket, kind, holder) where former is not null;

-- What led to the key of the body when the entry was made.
alter table records.ledger add column succession bytea;
