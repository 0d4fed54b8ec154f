-- Restores, each a statement signed by the node: who put the database back, when and to which
-- moment, and what each lane of the access log held then. By their number, versions and ids from
-- before a restore are told from those after it.
create table trust.restored (
    number int primary key,
    content bytea not null
);

-- A lane that was put back grows no more: what it had grown to is claimed by the heads of then.
alter table trust.lane add column has_ended boolean not null default false;

create or replace function trust.take_lane(low int, high int, of_suite text)
returns table (lane int, suite text, size bigint, frontier bytea) language plpgsql volatile as $$
declare
    taken int;
begin
    select l.lane into taken from trust.lane l
    where l.lane >= low and l.lane < high and l.suite = of_suite and l.is_for_writes
        and not l.has_ended
    order by random() limit 1 for update skip locked;
    if taken is null then
        select l.lane into taken from trust.lane l
        where l.lane >= low and l.lane < high and l.suite = of_suite and l.is_for_writes
            and not l.has_ended
        order by random() limit 1 for update;
    end if;
    return query select h.lane, of_suite, h.size, h.frontier from trust.head h
        where h.lane = taken order by h.size desc limit 1;
end
$$;
