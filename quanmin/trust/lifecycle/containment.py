"""Stops those whom an incident names, and lets the same act again when it is over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import asyncpg

from quanmin.base.problems import Conflict, Invalid, Sentence
from quanmin.trust.sign_in.keepers import refuse_shutting_out

if TYPE_CHECKING:
    from quanmin.base.database import Connection

# Whoever was inactive before is not let act again by the end of the incident.
_STOP: Final = """
    with stopped as (
        update trust.actor set is_active = false
        where is_active and (code = any($2) or (sender <> '' and sender = any($4)))
        returning 'actor' as kind, code
    ), clients as (
        update trust.client set is_active = false where is_active and code = any($3)
        returning 'client' as kind, code
    )
    insert into trust.suspension (incident, kind, member, at)
    select $1, kind, code, $5 from (table stopped union all table clients) s
    on conflict (incident, kind, member) do update set at = excluded.at, released_at = null
"""
_STANDING: Final = """
    select kind, member from trust.suspension where incident = $1 and released_at is null
"""
_RELEASE: Final = """
    with over as (
        update trust.suspension set released_at = $2 where incident = $1 and released_at is null
        returning kind, member
    ), free as (
        select kind, member from over o where not exists (
            select from trust.suspension s where (s.kind, s.member) = (o.kind, o.member)
                and s.released_at is null and s.incident <> $1)
    ), actors as (
        update trust.actor a set is_active = true from free f
        where f.kind = 'actor' and a.code = f.member and not exists (
            select from trust.account k where k.code = a.account and k.retired_at is not null)
        returning a.code
    ), clients as (
        update trust.client c set is_active = true from free f
        where f.kind = 'client' and c.code = f.member returning c.code
    )
    select (select count(*) from actors) + (select count(*) from clients)
"""
_FORGET: Final = (
    "delete from trust.token where actor = any($1) or client = any($2)",
    "delete from trust.code where actor = any($1) or client = any($2)",
)
_END_SESSIONS: Final = """
    delete from trust.session
    where account in (select account from trust.actor where code = any($1))
"""
# What a scope names must be there: a code that was mistyped would be found to concern nobody.
_UNKNOWN: Final = """
    select asked from unnest($1::text[]) asked
        where not exists (select from trust.actor where code = asked)
    union all
    select asked from unnest($2::text[]) asked
        where not exists (select from trust.client where code = asked)
    union all
    select asked from unnest($3::text[]) asked
        where not exists (select from trust.actor where sender = asked)
            and not exists (select from records.sender where code = asked)
"""
# An institution is named by the code of its sender, or by the one that the register gives it.
_SENDERS: Final = """
    select coalesce((select e.sender from trust.institution_entry e
        where e.code = asked and e.sender is not null limit 1), asked) as sender
    from unnest($1::text[]) asked
"""


async def stop(
    connection: Connection,
    incident: int,
    named: tuple[Sequence[str], Sequence[str], Sequence[str]],
    *,
    at: int,
    by: str,
) -> None:
    """The actors and clients that are `named`, and all actors of the senders that are, act no more:
    their sessions and tokens end, in the caller's transaction. Raises as `refuse_shutting_out`.
    """
    await refuse_shutting_out(connection, named[0], named[2], at=at, by=by)
    await connection.execute(_STOP, incident, *map(list, named), at)
    standing = await connection.fetch(_STANDING, incident)
    stopped = [
        [row["member"] for row in standing if row["kind"] == kind] for kind in ("actor", "client")
    ]
    for statement in _FORGET:
        await connection.execute(statement, *stopped)
    await connection.execute(_END_SESSIONS, stopped[0])


async def release(connection: Connection, incident: int, now: int) -> None:
    """Let those whom the incident stopped act again, but for whom another stops too or whose
    account has ended. Raises Conflict when nobody is stopped, or one may not act beside others.
    """
    if not await connection.fetch(_STANDING, incident):
        raise Conflict("nobody is stopped by this incident")
    try:
        async with connection.transaction():
            await connection.execute(_RELEASE, incident, now)
    except asyncpg.UniqueViolationError:
        raise Conflict(
            "one of them would hold two administrators' roles now: retire one of these first"
        ) from None


async def count_stopped(connection: Connection, incident: int) -> int:
    """How many actors and clients are stopped by an incident now."""
    return len(await connection.fetch(_STANDING, incident))


async def known_senders(
    connection: Connection,
    actors: Sequence[str],
    clients: Sequence[str],
    institutions: Sequence[str],
) -> tuple[str, ...]:
    """The senders of institutions that are named by these codes. Raises Invalid when one of all
    these is not known.
    """
    rows = await connection.fetch(_SENDERS, [*institutions])
    senders = tuple(row["sender"] for row in rows)
    unknown = await connection.fetch(_UNKNOWN, [*actors], [*clients], [*senders])
    if unknown:
        told = ", ".join(sorted(row["asked"] for row in unknown))
        raise Invalid(Sentence("nobody here has this code: %(told)s", told=told))
    return senders
