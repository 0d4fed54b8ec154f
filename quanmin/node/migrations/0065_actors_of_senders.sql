-- Who acts for a sender: what it is called, and which accesses were its own. Residents, the most of
-- all actors, act for none.
create index actor_sender on trust.actor (sender) where sender <> '';
