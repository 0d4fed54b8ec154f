-- Counting by a code what somebody sees asks which patients have records with certain labels. Few
-- records have any, and what has none is not in the index.
create index record_by_labels on records.record using gin (labels) with (fastupdate = off)
    where labels is not null;
