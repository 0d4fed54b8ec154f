-- What an institution may use where it is other than the settings say: the most of a quota, 0 for
-- as much as it likes.
create table trust.allowance (
    institution text not null,
    quota text not null,
    most bigint not null check (most >= 0),
    primary key (institution, quota)
);
