-- The record's patient beside each of its codes: who has a code, and which records of one patient
-- have it, are then told by the index alone, however many there are. Sixteen bytes a code.
create table records.keyed_of (
    key bigint not null,
    low bigint,
    rid bigint not null,
    patient bigint,
    system int not null,
    type smallint not null,
    bucket smallint not null
);

insert into records.keyed_of (key, low, rid, patient, system, type, bucket)
select k.key, k.low, k.rid, r.patient, k.system, k.type, k.bucket
from records.keyed k
join records.record r on r.type = k.type and r.rid = k.rid
order by k.key, k.low desc nulls last, k.rid;

drop table records.keyed;
alter table records.keyed_of rename to keyed;
create index keyed_key on records.keyed (key, low desc nulls last, rid) include (system, patient);
analyze records.keyed;
