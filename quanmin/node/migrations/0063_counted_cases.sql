-- Cases of what the law has reported, as they are counted: kept by the transaction that writes the
-- case. Disease and class are keyed, as in every index. The area is the county of residence, which
-- for most is that of the institution whose row the case is: it tells little more than that row.
create table trust.counted_case (
    task bigint primary key,
    sender int not null,
    disease bigint not null,
    class bigint not null,
    area int not null,
    onset date not null,
    reported date
);
create index counted_case_onset on trust.counted_case (onset, task);
create index counted_case_reported on trust.counted_case (reported, task)
    where reported is not null;
create policy walls on trust.counted_case using (((select trust.opened()))[2 * sender]);

-- Those that were written before are read once by a job (140: Task). A new node has none.
insert into jobs.job (kind, owner, payload, once)
select 'count-cases', 'node', '{}', 'count-cases'
where exists (select from records.record where type = 140);

-- Those of infectious diseases name their person by a digest that can be tried out: another job
-- gives them pseudonyms.
insert into jobs.job (kind, owner, payload, once)
select 'name-persons-of-cases', 'node', '{}', 'name-persons-of-cases'
where exists (select from records.record where type = 140);
