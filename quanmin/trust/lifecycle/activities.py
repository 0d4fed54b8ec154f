"""The processing register (PIPL articles 54 to 56): what is done with personal data, why, on what
ground, and what of the node is part of which entry. A change is a new version of an entry.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final, Literal, get_args

import msgspec

from quanmin.base.database import Connection
from quanmin.base.problems import Conflict, Forbidden, Invalid, NotFound, Sentence
from quanmin.trust.deciding.rules import purposes_of_use
from quanmin.trust.desk import Desk
from quanmin.trust.lifecycle.activity_rules import Activity, activity_rules, check_activity
from quanmin.trust.lifecycle.declared_activities import DeclaredActivity, delivered_activities

UseKind = Literal["application", "purpose", "client", "export"]

EXPORTS: Final = "$export"
"""The export whose entry is asked for: in bulk, at the door."""

_NODE: Final = "node"
_LOCK: Final = "select pg_advisory_xact_lock(hashtextextended('activity ' || $1, 0))"
_INSERT: Final = """
    insert into trust.activity (activity, version, at, by, is_delivered, is_in_force, content)
    values ($1, $2, $3, $4, $5, $6, $7)
"""
_DELIVER: Final = """
    insert into trust.activity (activity, version, at, by, is_delivered, is_in_force, content)
    values ($1, $2, $3, $4, true, true, $5)
"""
_NEWEST: Final = """
    select distinct on (activity) activity, version, at, by, is_delivered, is_in_force, content
    from trust.activity order by activity, version desc
"""
_VERSIONS: Final = """
    select activity, version, at, by, is_delivered, is_in_force, content
    from trust.activity where activity = $1 order by version desc
"""
_USE: Final = """
    insert into trust.activity_use (kind, name, activity, at, by) values ($1, $2, $3, $4, $5)
    on conflict (kind, name) do update set activity = excluded.activity, at = excluded.at,
        by = excluded.by
"""
# What the program assigned follows its later versions, unless somebody has taken the matter into
# their own hands: by assigning it, or by changing or ending the entry that it was part of.
_DELIVER_USE: Final = """
    insert into trust.activity_use as u (kind, name, activity, at, by) values ($1, $2, $3, $4, $5)
    on conflict (kind, name) do update set activity = excluded.activity, at = excluded.at
    where u.by = excluded.by and u.activity <> excluded.activity and (
        select a.is_delivered and a.is_in_force from trust.activity a
        where a.activity = u.activity order by a.version desc limit 1)
"""
_COVERED: Final = """
    select u.kind, u.name, u.activity from trust.activity_use u
    where (
        select a.is_in_force from trust.activity a
        where a.activity = u.activity order by a.version desc limit 1)
    order by u.kind, u.name
"""


class Entered(msgspec.Struct, frozen=True):
    """A version of an entry: since when (microseconds), by whom; whether it is in force."""

    code: str
    version: int
    at: int
    by: str
    is_in_force: bool
    activity: Activity


class Use(msgspec.Struct, frozen=True, order=True):
    """Something of the node that processes personal data; `activity` "" is a gap."""

    kind: str
    name: str
    activity: str = ""


async def enter_delivered(
    connection: Connection, now: int, declared: Iterable[DeclaredActivity] = ()
) -> int:
    """Enter what the program delivers and what its applications declare, in the caller's
    transaction; gives how many versions are new. An entry that somebody has changed or ended is
    left as it is, and so is what is part of it. Raises Unusable as `delivered_activities`.
    """
    entered = 0
    for one in delivered_activities(declared):
        await connection.execute(_LOCK, one.code)
        content = _content(one)
        row = await connection.fetchrow(f"{_VERSIONS} limit 1", one.code)
        if row is None or (row["is_delivered"] and row["content"] != content):
            version = 1 if row is None else row["version"] + 1
            await connection.execute(_DELIVER, one.code, version, now, _NODE, content)
            entered += 1
        for use in one.uses:
            kind, _, name = use.partition(":")
            await connection.execute(_DELIVER_USE, kind, name, one.code, now, _NODE)
    return entered


async def is_covered(connection: Connection, kind: UseKind, name: str) -> bool:
    """Whether something of the node is part of an entry that is in force."""
    rows = await connection.fetch(_COVERED)
    return any((row["kind"], row["name"]) == (kind, name) for row in rows)


class ProcessingRegister(Desk):
    """The register as one actor keeps or reads it. It names no person."""

    async def entries(self) -> Sequence[Entered]:
        """The newest version of every entry. Raises Forbidden for who does not read it."""
        await self._refuse(activity_rules().roles.reads)
        async with self._guard.store.glancing() as connection:
            return [_entered(row) for row in await connection.fetch(_NEWEST)]

    async def versions(self, code: str) -> Sequence[Entered]:
        """All versions of an entry, the newest first. Raises NotFound."""
        await self._refuse(activity_rules().roles.reads)
        async with self._guard.store.glancing() as connection:
            found = [_entered(row) for row in await connection.fetch(_VERSIONS, code)]
        if not found:
            raise NotFound("the register has no entry of this code")
        return found

    async def write(
        self, code: str, activity: Activity, *, seen: int, is_in_force: bool = True
    ) -> Entered:
        """Enter the next version, after the one that was `seen` (0: there is none). Raises Invalid
        for one that lacks something, Conflict when another version came between.
        """
        await self._refuse(activity_rules().roles.writes)
        check_activity(code, activity)
        now, by, content = self._guard.now(), self._actor.code, _content(activity)
        async with self._guard.store.glancing() as connection, connection.transaction():
            await connection.execute(_LOCK, code)
            newest = await connection.fetchval(
                "select max(version) from trust.activity where activity = $1", code
            )
            if (newest or 0) != seen:
                raise Conflict("somebody has changed this entry meanwhile: look at it again")
            row = (code, seen + 1, now, by, False, is_in_force, content)
            await connection.execute(_INSERT, *row)
            entry = self._notes.entry_of_keys("write-activity", None, "ok", ())
            await self._notes.put_in(connection, [entry])
        self._notes.settle()
        self._guard.revoked.advance()
        return Entered(code, seen + 1, now, by, is_in_force, activity)

    async def assign(self, kind: str, name: str, code: str) -> None:
        """Say of which entry something is a part. Raises Invalid, NotFound for no such entry."""
        await self._refuse(activity_rules().roles.writes)
        if kind not in get_args(UseKind) or not name:
            raise Invalid(
                Sentence("what is a part is one of %(known)s", known=", ".join(get_args(UseKind)))
            )
        async with self._guard.store.glancing() as connection, connection.transaction():
            known = await connection.fetchval(
                "select true from trust.activity where activity = $1 limit 1", code
            )
            if not known:
                raise NotFound("the register has no entry of this code")
            await connection.execute(_USE, kind, name, code, self._guard.now(), self._actor.code)
            entry = self._notes.entry_of_keys("assign-activity", None, "ok", ())
            await self._notes.put_in(connection, [entry])
        self._notes.settle()
        self._guard.revoked.advance()

    async def uses(self, applications: Collection[str], purposes: Collection[str]) -> list[Use]:
        """Everything of the node that processes personal data, with the entry in force that it is
        part of; gaps first. Clients are those that are active.
        """
        await self._refuse(activity_rules().roles.reads)
        async with self._guard.store.glancing() as connection:
            covered = {
                (row["kind"], row["name"]): row["activity"]
                for row in await connection.fetch(_COVERED)
            }
            rows = await connection.fetch("select code from trust.client where is_active")
        there = [("application", one) for one in applications]
        there += [("purpose", one) for one in purposes]
        there += [("client", row["code"]) for row in rows]
        there += sorted({("export", EXPORTS), *(key for key in covered if key[0] == "export")})
        found = [Use(kind, name, covered.get((kind, name), "")) for kind, name in there]
        return sorted(found, key=lambda one: (bool(one.activity), one))

    def purposes(self) -> tuple[str, ...]:
        """The purposes of use that this node knows."""
        return tuple(sorted(purposes_of_use()))

    async def _refuse(self, roles: Collection[str]) -> None:
        await self._refuse_entrusted()
        if self._actor.role not in roles:
            raise Forbidden(
                Sentence(
                    "the processing register is open to %(known)s", known=", ".join(sorted(roles))
                )
            )


def _content(activity: Activity) -> str:
    fields = {name: getattr(activity, name) for name in Activity.__struct_fields__}
    return msgspec.json.encode(fields).decode()


def _entered(row: object) -> Entered:
    told = dict(row)  # type: ignore[call-overload]  # asyncpg's Record is a mapping
    activity = msgspec.json.decode(told["content"], type=Activity)
    return Entered(
        told["activity"],
        told["version"],
        told["at"],
        told["by"],
        told["is_in_force"],
        activity,
    )
