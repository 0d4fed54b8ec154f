-- The applications that people and systems come with, and what these hold of the node: tokens and
-- codes are kept as hashes only. Moments are microseconds since 1970-01-01T00:00Z.

create table trust.client (
    code text primary key,
    name text not null,
    grants text[] not null,
    scopes text not null,
    redirects text[] not null default '{}',
    jwks text,
    jwks_url text,
    secret bytea,
    launch_url text,
    registered bigint not null,
    is_active boolean not null default true
);

-- `patient` is the key of the Patient that an application was launched with; the ids are what it is
-- told. kind 1: access, 2: refresh. All that came of one grant is of one family and is revoked
-- together. A refresh token that was exchanged stays until it would have ended, so that its reuse
-- is noticed.
create table trust.token (
    hash bytea primary key,
    kind smallint not null,
    family bigint not null,
    client text not null references trust.client,
    actor text not null references trust.actor,
    scopes text not null,
    patient bigint,
    patient_id text,
    encounter_id text,
    session bigint,
    issued bigint not null,
    expires bigint not null,
    used bigint
);
create index token_family on trust.token (family);
create index token_expires on trust.token (expires);
create index token_client on trust.token (client);

-- Authorization codes. One that was used stays until it would have ended: then a second use revokes
-- its family.
create table trust.code (
    hash bytea primary key,
    family bigint not null,
    client text not null references trust.client,
    actor text not null references trust.actor,
    scopes text not null,
    redirect text not null,
    challenge text not null,
    nonce text,
    authenticated bigint,
    fhir_user text,
    patient bigint,
    patient_id text,
    encounter_id text,
    session bigint,
    expires bigint not null,
    used bigint
);
create index code_expires on trust.code (expires);

-- What an application inside the node lets another be launched with (SMART: `launch`).
create table trust.launch (
    hash bytea primary key,
    client text not null references trust.client,
    actor text not null references trust.actor,
    patient_id text,
    encounter_id text,
    expires bigint not null
);
create index launch_expires on trust.launch (expires);

-- Assertions by which clients have proven themselves: each works once (RFC 7523 section 3, `jti`).
create table trust.assertion (
    client text not null,
    jti bytea not null,
    expires bigint not null,
    primary key (client, jti)
);
create index assertion_expires on trust.assertion (expires);
