-- The keys by which id tokens are signed, each sealed under a key of the node; the newest signs
-- once applications have had time to fetch it. Moments are microseconds since 1970.
create table trust.id_token_key (
    number bigint generated always as identity primary key,
    sealed bytea not null,
    made_at bigint not null
);
