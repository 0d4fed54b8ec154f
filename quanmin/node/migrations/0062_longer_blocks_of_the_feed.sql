-- Blocks of 128 places instead of 16: a block's rows lie in as many lists as it has types, and
-- shorter ones had hardly more than one row each. It pays for the numbers of labels in the index by
-- patient.
drop index records.record_by_feed;
create index record_by_feed on records.record (bucket, (seq >> 7));
drop index records.history_feed;
create index history_feed on records.history (bucket, (seq >> 7));
