-- Roots of the node's keys: since when, what tells that it is this node's, and since when it is
-- destroyed. Moments are microseconds since 1970.
create table node.root (
    number int primary key,
    made_at bigint not null,
    mark bytea not null,
    destroyed_at bigint
);

-- Secrets that stay when the root goes from which they follow, wrapped by the node's key.
create table node.secret (
    purpose text not null,
    root int not null,
    wrapped bytea not null,
    primary key (purpose, root)
);

-- What is sealed begins with the number of a suite, or with that and 64 and then the root's.
create function node.root_of(sealed bytea) returns int language sql immutable strict parallel safe
    return case when length(sealed) < 3 or get_byte(sealed, 0) < 64 then 1
        else get_byte(sealed, 1) * 256 + get_byte(sealed, 2) end;

-- Who has waited long between sealing and writing learns that nobody could open it any more. This
-- looks when it has the lock of the table, which whoever destroys a root takes from all writers.
create function node.is_destroyed(sealed bytea) returns boolean
language plpgsql volatile strict as $$
begin
    return exists (select from node.root
        where number = node.root_of(sealed) and destroyed_at is not null);
end $$;
create function node.refuse_destroyed() returns trigger language plpgsql as $$
begin
    raise exception 'sealed under a root of the node''s keys that is destroyed: repeat it'
        using errcode = 'serialization_failure';
end $$;

create trigger root before insert or update of reason on trust.glass for each row
    when (node.is_destroyed(new.reason)) execute function node.refuse_destroyed();
create trigger root_of_opinion before update of opinion on trust.glass for each row
    when (node.is_destroyed(new.opinion)) execute function node.refuse_destroyed();
create trigger root before insert or update of words on trust.notice for each row
    when (node.is_destroyed(new.words)) execute function node.refuse_destroyed();
create trigger root before insert or update of said on trust.outgoing for each row
    when (node.is_destroyed(new.said)) execute function node.refuse_destroyed();
create trigger root before insert or update of address on trust.contact for each row
    when (node.is_destroyed(new.address)) execute function node.refuse_destroyed();
create trigger root before insert or update of sealed on imports.refusal for each row
    when (node.is_destroyed(new.sealed)) execute function node.refuse_destroyed();
create trigger root before insert or update of told on trust.incident for each row
    when (node.is_destroyed(new.told)) execute function node.refuse_destroyed();
create trigger root before insert or update of words on trust.incident_step for each row
    when (node.is_destroyed(new.words)) execute function node.refuse_destroyed();
create trigger root before insert or update of sealed on trust.totp for each row
    when (node.is_destroyed(new.sealed)) execute function node.refuse_destroyed();
create trigger root before insert or update of sealed on trust.id_token_key for each row
    when (node.is_destroyed(new.sealed)) execute function node.refuse_destroyed();
create trigger root before insert or update of payload on jobs.job for each row
    when (node.is_destroyed(decode(new.payload->>'mandate', 'base64')))
    execute function node.refuse_destroyed();
create trigger root_of_words before insert or update of payload on jobs.job for each row
    when (new.kind = 'tell-incident'
        and node.is_destroyed(decode(new.payload->>'words', 'hex')))
    execute function node.refuse_destroyed();

-- These told no suite: they were always of the first.
update trust.totp set sealed = '\x01'::bytea || sealed;
update trust.id_token_key set sealed = '\x01'::bytea || sealed;
