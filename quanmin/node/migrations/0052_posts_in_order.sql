-- The register of posts is sorted by when they begin and end.
create index post_since on trust.post (since, post);
create index post_until on trust.post (until, post);
