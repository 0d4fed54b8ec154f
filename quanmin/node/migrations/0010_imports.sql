-- Files that $import works off. Of the node, as jobs are; it names nobody: what was refused is
-- sealed.

create schema imports;

-- `spool` is the file on the node's disk that holds the lines, null until it was fetched; `piece`
-- the place in it that comes next, `entry` how many lines of that piece are done, `line` how many
-- of the file. They move on in the transaction that writes the records, so a line is written once
-- whatever is killed.
create table imports.input (
    job bigint not null references jobs.job on delete cascade,
    input int not null,
    spool text,
    lines bigint,
    piece bigint not null default 0,
    entry int not null default 0,
    line bigint not null default 0,
    counts jsonb not null default '{}',
    refused bigint not null default 0,
    is_done boolean not null default false,
    primary key (job, input)
);

-- `part` is how many lines of the input were refused before: OperationOutcomes, a line each.
create table imports.refusal (
    job bigint not null,
    input int not null,
    part bigint not null,
    outcomes int not null,
    sealed bytea not null,
    primary key (job, input, part),
    foreign key (job, input) references imports.input on delete cascade
);
