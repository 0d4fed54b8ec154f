-- Forms that were sent of pages lately, so that the same is done once: by a hash of the page's own
-- token, what was filled in and who sent it, which says nothing and cannot be tried out without the
-- token. Unlogged: no page waits for the disk on its account, and nothing of it is in a backup. A
-- crash of the database empties it, which then knows of no form that it stopped while it was done;
-- so it was before there was this table, and a flush for every form would be dear for that moment.
create unlogged table trust.sent_form (
    form bytea primary key,
    taker bigint not null,
    taken_at bigint not null,
    until_at bigint not null,
    doubted_at bigint,
    answer text
);
