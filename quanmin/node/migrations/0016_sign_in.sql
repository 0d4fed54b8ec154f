-- People sign in: accounts, what they prove themselves by, and sessions. Moments are microseconds
-- since 1970-01-01T00:00Z. No secret stands here that could be used: passwords as argon2id, codes
-- and ids of sessions as hashes, the secrets of one-time codes sealed under a key of the node.

create table trust.account (
    code text primary key check (code ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    name text not null,
    -- Who this is, as a keyed hash of the identity document; two accounts may be of one person.
    holder bytea,
    -- How surely a resident is known: 0 not, 1 by what they say, 2 seen with the document.
    real_name_level smallint not null default 0 check (real_name_level between 0 and 2),
    password text,
    password_at bigint,
    locked_at bigint,
    retired_at bigint,
    made_at bigint not null,
    unique (code, holder)
);

-- An actor of an account has no token of its own; an account may act as several.
alter table trust.actor
    alter column token_hash drop not null,
    drop constraint actor_role_check,
    add constraint actor_role_check check (role ~ '^[a-z_]{1,40}$'),
    add column account text,
    add column made bigint generated always as identity,
    add column holder bytea,
    add foreign key (account) references trust.account (code),
    add foreign key (account, holder) references trust.account (code, holder),
    -- GB/T 22239-2019 8.1.5: three administrators, and nobody is two of them. The person counts,
    -- not the account, so an administrator without a known holder cannot be.
    add constraint actor_administrator_holder check (
        role not in ('system_administrator', 'security_administrator', 'audit_administrator')
        or holder is not null and account is not null
    );
create unique index actor_one_administrator on trust.actor (holder)
    where is_active
    and role in ('system_administrator', 'security_administrator', 'audit_administrator');
create index actor_account on trust.actor (account) where account is not null;

create table trust.former_password (
    account text not null references trust.account,
    replaced_at bigint not null,
    password text not null
);
create index former_password_account on trust.former_password (account, replaced_at desc);

create table trust.totp (
    account text primary key references trust.account,
    sealed bytea not null,
    -- The last step a code was taken of: each code is taken once.
    last_step bigint not null default 0,
    made_at bigint not null
);

create table trust.passkey (
    id bytea primary key,
    account text not null references trust.account,
    public_key bytea not null,
    sign_count bigint not null,
    name text not null,
    made_at bigint not null,
    used_at bigint
);
create index passkey_account on trust.passkey (account);

create table trust.recovery_code (
    account text not null references trust.account,
    hash bytea not null,
    primary key (account, hash)
);

-- What works once and has been used, until it would have expired anyway.
create table trust.spent (
    hash bytea primary key,
    expires bigint not null
);
create index spent_expires on trust.spent (expires);

-- A code that lets its holder set a password: printed once, kept as a hash.
create table trust.invitation (
    hash bytea primary key,
    account text not null references trust.account,
    expires bigint not null
);
create index invitation_account on trust.invitation (account);

-- Failures by account, address and such; names are keyed hashes, for what is typed as a name may be
-- a password.
create table trust.attempt (
    kind text not null,
    name bytea not null,
    failures int not null,
    last_at bigint not null,
    closed_until bigint not null,
    primary key (kind, name)
);
create index attempt_last on trust.attempt (last_at);

-- A session in its stage: `proving` still owes a second factor, `enrolling` has none yet and may do
-- nothing but get one, `whole` is signed in.
create table trust.session (
    id bigint generated always as identity primary key,
    hash bytea not null unique,
    account text not null references trust.account,
    actor text references trust.actor,
    stage text not null check (stage in ('proving', 'enrolling', 'whole')),
    methods text[] not null,
    browser text not null,
    began_at bigint not null,
    authenticated_at bigint not null,
    used_at bigint not null,
    idle_microseconds bigint not null,
    ends_at bigint not null,
    check (stage <> 'whole' or actor is not null)
);
create index session_account on trust.session (account);
create index session_ends on trust.session (ends_at);

-- What an account is to be told: a sign-in from a browser it did not know, a factor more or less.
create table trust.notice (
    id bigint generated always as identity primary key,
    account text not null references trust.account,
    at bigint not null,
    kind text not null,
    detail text not null default '',
    seen_at bigint
);
create index notice_account on trust.notice (account, at desc);
