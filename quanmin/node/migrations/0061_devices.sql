-- Devices that hold forms of some people where there is no line. A device is of the actor who has
-- enrolled it and known by the public half of a key that never leaves it. A receipt is written by
-- the transaction that stores what was filled in, so that the same is stored once however often it
-- is sent; it says nothing of what that was.
create table trust.device (
    device uuid primary key default gen_random_uuid(),
    actor text not null references trust.actor (code) on delete cascade,
    name text not null,
    key bytea not null,
    enrolled_at bigint not null,
    seen_at bigint not null,
    taken_at bigint,
    until_at bigint,
    revoked_at bigint,
    revoked_by text
);
create index device_actor on trust.device (actor);
create index device_enrolled on trust.device (enrolled_at desc, device);
create table trust.receipt (
    submission uuid primary key,
    device uuid not null references trust.device (device) on delete cascade,
    signature bytea not null,
    received_at bigint not null
);
create index receipt_device on trust.receipt (device);
