-- Forms that were begun and not sent: the fields as they stood, sealed, of one actor as who they
-- act for (0: themselves). The place is a keyed hash of both and of the form's address, so there is
-- one at each. The Patient is whom the form is about: with them it is erased.
create table trust.draft (
    draft bigint generated always as identity primary key,
    place text not null unique,
    actor text not null references trust.actor (code) on delete cascade,
    proxy bigint not null,
    patient bigint,
    kept_at bigint not null,
    sealed bytea not null
);
create index draft_actor on trust.draft (actor, proxy, kept_at desc);
create index draft_patient on trust.draft (patient) where patient is not null;
create index draft_kept on trust.draft (kept_at);
create trigger root before insert or update of sealed on trust.draft for each row
    when (node.is_destroyed(new.sealed)) execute function node.refuse_destroyed();
