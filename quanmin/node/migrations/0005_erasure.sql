-- A person is erased by destroying the data keys of their Patients. The row of a destroyed key
-- stays with nothing in `wrapped`, so that no key is ever made again in its place. `erasures`
-- counts the keys destroyed in a bucket: a writer learns it with the clock, and so whether a key it
-- has at hand may be one of them.
alter table records.clock add column erasures int not null default 0;
