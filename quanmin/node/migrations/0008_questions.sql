-- Questions that are too long for the link to their next page, kept until the link expires: sealed
-- under the key of links, so that no term of them stands here.
create table trust.question (
    name bytea primary key,
    actor text not null,
    expires bigint not null,
    sealed bytea not null
);
alter table trust.question alter column sealed set storage external;
create index question_actor on trust.question (actor, expires);
create index question_expires on trust.question (expires);
