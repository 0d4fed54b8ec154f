-- The value beside each code, rounded to four bytes: records of a code with values in a range are
-- then told by a walk along the index on codes, which opens those alone. Null is no value, NaN one
-- that a number does not tell; such a record, and one at the very edge, is decided when it is read.
-- Eight bytes a code; in the index there was room.
create table records.keyed_of (
    key bigint not null,
    low bigint,
    rid bigint not null,
    patient bigint,
    system int not null,
    value real,
    type smallint not null,
    bucket smallint not null
);

-- As the program does it: see `value_param` and `IndexEntry.value`.
with measured as (
    select key from records.unit where param = 'value-quantity'
    union
    select ~key from records.unit where param = 'value-quantity'
), told as (
    select g.type, g.rid,
        case when count(*) = 1
                and bool_and(g.high is null and (g.low = 0 or abs(g.low) between 1e-30 and 1e30))
            then min(g.low)::double precision::real
            else 'NaN'
        end as value
    from records.ranged g
    where g.key in (select key from measured)
    group by g.type, g.rid
)
insert into records.keyed_of (key, low, rid, patient, system, value, type, bucket)
select k.key, k.low, k.rid, k.patient, k.system, t.value, k.type, k.bucket
from records.keyed k
left join told t on t.type = k.type and t.rid = k.rid
order by k.key, k.low desc nulls last, k.rid;

drop table records.keyed;
alter table records.keyed_of rename to keyed;
create index keyed_key on records.keyed (key, low desc nulls last, rid)
    include (system, value, patient);
analyze records.keyed;
