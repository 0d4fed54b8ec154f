-- The feed is found by blocks of 16 places in a bucket: the rows of a block share one list of six
-- bytes a row, where an entry for every place takes twenty-eight and half-filled pages forty. A
-- consumer reads again at most the block that its cursor stands in.
drop index records.record_by_feed;
create index record_by_feed on records.record (bucket, (seq >> 4));
drop index records.history_feed;
create index history_feed on records.history (bucket, (seq >> 4));
