-- Who asks for a record by its id is told alike of one that is hidden and of one that is not there;
-- so that as many rows are read either way, what is not there has this row read in its place.
create table records.nobody (like records.record);
insert into records.nobody (rid, seq, updated, patient, low, present, version, sender, bucket, type,
    flags, body)
values (0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, sha512('') || sha512('a'));

-- What somebody grants to one is found without what they grant to others.
drop index records.granted_patient;
create index granted_patient on records.granted (patient, grantee);
