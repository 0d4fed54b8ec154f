-- What a system outside has answered later of cases that it was told of, each once: `reference` is
-- its own name of the answer. `place` is up to where its answers were read; who reads them holds
-- the row. Why one was not carried out is one of a few codes; what it says stands in the case.
create table trust.outgoing_place (
    is_only boolean primary key default true check (is_only),
    place text not null default ''
);
insert into trust.outgoing_place default values;
create table trust.outgoing_answer (
    answer bigint generated always as identity primary key,
    reference text not null unique,
    task bigint not null,
    code text not null,
    kind text not null,
    status text not null check (status in ('taken', 'needless', 'refused')),
    why text not null default '',
    at bigint not null
);
create index outgoing_answer_task on trust.outgoing_answer (task);
