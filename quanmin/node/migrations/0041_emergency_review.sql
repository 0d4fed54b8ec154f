-- What a reviewer says of a record that was opened in an emergency, sealed, and when its opener
-- closed it again before its time.
alter table trust.glass add column opinion bytea, add column closed_at bigint;
create index glass_at on trust.glass (at, glass);
