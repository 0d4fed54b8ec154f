-- Who signs in by another issuer (OpenID Connect): which account a subject of it is. A subject is
-- one account's, and of one issuer an account has one subject.
create table trust.external_link (
    issuer text not null,
    subject text not null,
    account text not null references trust.account,
    made_at bigint not null,
    primary key (issuer, subject),
    unique (issuer, account)
);

-- A hash of what the issuer calls the session that one of ours came of.
alter table trust.session add column external bytea;
create index session_external on trust.session (external) where external is not null;

-- How the person who approved had signed in (RFC 8176), for the id token.
alter table trust.code add column methods text[] not null default '{}';
