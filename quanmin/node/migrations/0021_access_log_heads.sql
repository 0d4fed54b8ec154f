-- What each tree has grown to. The newest head of a lane holds; older ones are removed from time to
-- time. A row for each batch rather than one that is updated: while somebody reads for long, the
-- dead versions of an updated row could not go, and each batch would walk past all of them.
create table trust.head (
    lane int not null,
    size bigint not null,
    at bigint not null,
    root bytea not null,
    frontier bytea not null,
    signature bytea not null,
    primary key (lane, size)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
insert into trust.head (lane, size, at, root, frontier, signature)
    select lane, size, at, root, frontier, signature from trust.lane;
alter table trust.lane drop column size, drop column at, drop column root, drop column frontier,
    drop column signature;
alter table trust.lane reset
    (fillfactor, autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold);

-- A lane for writes, locked until the transaction ends: one that nobody has, or the next that
-- becomes free. Each query of a volatile function has a snapshot of its own: the head is looked for
-- when the lock is had.
create function trust.take_lane(low int, high int, of_suite text)
returns table (lane int, suite text, size bigint, frontier bytea) language plpgsql volatile as $$
declare
    taken int;
begin
    select l.lane into taken from trust.lane l
    where l.lane >= low and l.lane < high and l.suite = of_suite and l.is_for_writes
    order by random() limit 1 for update skip locked;
    if taken is null then
        select l.lane into taken from trust.lane l
        where l.lane >= low and l.lane < high and l.suite = of_suite and l.is_for_writes
        order by random() limit 1 for update;
    end if;
    return query select h.lane, of_suite, h.size, h.frontier from trust.head h
        where h.lane = taken order by h.size desc limit 1;
end
$$;
