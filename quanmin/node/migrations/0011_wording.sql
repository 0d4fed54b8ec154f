-- What is said along with a code, and the addresses in use: once for each, however many records
-- have it. `key` stands among the tokens of the records; `words` are the pieces a text is found by,
-- or what lies above an address. Keyed like everything that is searched by, so a row tells nobody
-- anything. Of the node and not of a bucket: it names no record.
create table records.wording (
    key bigint primary key,
    words bigint[] not null
);
create index wording_words on records.wording using gin (words) with (fastupdate = off);
