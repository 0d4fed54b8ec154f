-- Which security labels a record has decides with its patient who sees it. The sets of labels that
-- occur are few: each has a small number, which stands in the row and in the indexes by which whose
-- records are read, so that what a label hides is passed over there. -1 is a set beyond those that
-- are numbered. Of no label it is 0, and null in the row, where a null takes no place.
create table records.label_set (
    number smallint primary key,
    -- In order.
    labels bigint[] not null unique
);

-- The last number, in a row of its own: whoever gives the next holds it, and to read it costs the
-- same however many there are.
create table records.label_count (last smallint not null);

alter table records.record add column apart smallint;

insert into records.label_set (number, labels)
select row_number() over (order by count(*) desc, s.labels), s.labels from (
    select (select array_agg(l order by l) from unnest(r.labels) l) as labels
    from records.record r where r.labels is not null
) s
where s.labels is not null
group by s.labels order by count(*) desc, s.labels limit 1000;

insert into records.label_count (last) select count(*) from records.label_set;

update records.record r set apart = coalesce((
    select s.number from records.label_set s
    where s.labels = (select array_agg(l order by l) from unnest(r.labels) l)
), -1)
where r.labels is not null;

alter table records.record
    add constraint labels_are_numbered check (labels is null or apart is not null);

-- As a case: of a function nothing says that it tells nothing, and under policies it would keep a
-- search from the index.
drop index records.record_by_patient;
create index record_by_patient on records.record (
    patient, low desc nulls last, sender, (case when apart is null then 0::smallint else apart end)
) where patient is not null;
drop index records.record_by_sender;
create index record_by_sender on records.record (
    sender, updated, (case when apart is null then 0::smallint else apart end)
);
