-- When the clock of a case of a workflow runs out: the end of restriction.period of its Task. Kept
-- by the transaction that writes the Task, so that what is due is found by its moment, however many
-- cases wait. `code` is the workflow, `sender` the institution whose case it is.
create table trust.task_clock (
    task bigint primary key,
    due bigint not null,
    sender int not null,
    code text not null
);
create index task_clock_due on trust.task_clock (due, task);
