"""The desk at which a person asks who may see their record, and who has looked at it.

Of the staff who looked it tells the institution and the role; a name is asked for by a petition.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

import msgspec

from quanmin.base.database import Connection
from quanmin.base.problems import Forbidden
from quanmin.records.model import Stored
from quanmin.records.reading import grants_of
from quanmin.records.search.reader import Statement
from quanmin.records.sensitivity import load_kinds
from quanmin.trust.deciding.closing import Closed, closed_to
from quanmin.trust.deciding.glass import Glasses
from quanmin.trust.deciding.grantees import Grantees
from quanmin.trust.deciding.treating import load_treating
from quanmin.trust.desk import Desk
from quanmin.trust.log.audit_event import id_of_entry
from quanmin.trust.log.searching import Asked, find, parts_of
from quanmin.trust.senders import NAME_OF_SENDER

if TYPE_CHECKING:
    from quanmin.trust.deciding.glass import Opened
    from quanmin.trust.log.rows import Kept

_ASKERS: Final = frozenset({"resident", "guardian"})
_BREAK_GLASS: Final = "BTG"
_OF_ACTORS: Final = f"""
    select a.code, a.sender, {NAME_OF_SENDER.format(code="a.sender", now="$2::bigint")} as name
    from trust.actor a where a.code = any($1::text[])
"""  # noqa: S608 - constants of this module
_ACTING_FOR: Final = "select o.code from trust.actor o where o.sender = {}::text and o.sender <> ''"
_OWN: Final = """
    select o.code from trust.actor a join trust.actor o on o.person = a.person
    where a.code = $1 and a.role = 'resident' and o.role = 'resident'
"""
# A visit, an episode and the like, by whose words its sender treats the person at this moment.
_TREATING: Final = f"""
    select s.sender, s.code, {NAME_OF_SENDER.format(code="s.code", now="$2::bigint")} as name,
        min(g.since) as since, max(g.until) as until
    from records.granted g
    join records.record r on r.rid = g.source and r.type = any($3::smallint[])
    join records.sender s using (sender)
    where g.patient = any($1::bigint[]) and g.since <= $2 and g.until > $2
    group by s.sender, s.code order by s.code
"""  # noqa: S608 - constants of this module
_TYPES: Final = """
    select r.rid, r.type from records.record r
    where r.rid = any($1::bigint[]) and r.patient = any($2::bigint[])
"""


class Treating(msgspec.Struct, frozen=True):
    """An institution that treats the person, from when until when (microseconds), and how much of
    the record the person has closed to it.
    """

    code: str
    name: str
    since: int
    until: int
    closed: Closed


class Wanted(msgspec.Struct, frozen=True):
    """Which accesses are asked for: from one moment to before another, of one institution (its
    code), and whether the person's own are among them.
    """

    since: int | None = None
    before: int | None = None
    institution: str | None = None
    with_own: bool = False


class Emergency(msgspec.Struct, frozen=True):
    """Why the record was opened in an emergency, and what a reviewer said of it."""

    reason: str
    state: str


class Looked(msgspec.Struct, frozen=True):
    """One access: the id of its AuditEvent, when (microseconds), by whom, what for, by which rules
    (their tokens), and how many of the person's records of each type it touched. `institution` is
    its name in the register, else that of the system that sent; "" for neither.
    """

    id: str
    at: int
    institution: str
    code: str
    role: str
    action: str
    purpose: str
    outcome: str
    rules: tuple[str, ...]
    types: tuple[tuple[str, int], ...]
    emergency: Emergency | None = None
    is_own: bool = False


class Slice(msgspec.Struct, frozen=True):
    """Some accesses, the newest first, and where to go on."""

    rows: tuple[Looked, ...]
    next: str | None


class RecordAccess(Desk):
    """Who may see, and who has looked at, the record of the asker or of whom they answer for."""

    async def treating(self) -> list[Treating]:
        """The institutions that treat the person now. Raises Forbidden for staff."""
        patients = await self._patients()
        numbers = [self._guard.store.context.definition(name).number for name in load_treating()]
        async with self._guard.store.glancing(self._guard.store.whole_node) as connection:
            now = self._guard.now()
            rows = await connection.fetch(_TREATING, patients, now, numbers)
            # What is granted of one registration is granted of all that are linked.
            grants = await grants_of(connection, patients[0]) if rows else frozenset()
        deciding, keying = self._guard.deciding, self._guard.store.context.keying
        return [
            Treating(
                row["code"],
                row["name"] or row["code"],
                row["since"],
                row["until"],
                closed_to(deciding, Grantees(keying), row["sender"], grants, now),
            )
            for row in rows
        ]

    async def looked(self, wanted: Wanted, *, count: int, after: str | None = None) -> Slice:
        """What the access log says of the person's records, newest first. Raises Forbidden for
        staff, Malformed for an `after` that no slice gave.
        """
        patients = await self._patients()
        seconds = self._guard.log.limits.search_seconds_max
        async with self._guard.store.glancing(self._guard.store.whole_node) as connection:
            own = await self._own(connection)
            asked = _asked(patients, wanted, own)
            found = await find(connection, asked, count=count, cursor=after, seconds=seconds)
            parts = await parts_of(connection, found.heads)
            glasses = Glasses(self._guard.people, self._guard.store.context)
            opened = await glasses.about(connection, patients)
            rows = await self._rows(connection, [one for one in parts if one], patients, opened)
        entry = self._notes.entry_of_keys("read-access-log", None, "ok", ())
        await self._notes.put(
            msgspec.structs.replace(entry, hits=len(rows), patients=tuple(patients))
        )
        told = tuple(msgspec.structs.replace(row, is_own=one in own) for row, one in rows)
        return Slice(told, found.next)

    async def note_taken_out(self, patients: Sequence[Stored]) -> None:
        """That the person takes a copy of their record away; what is read for it from now on is a
        part of that. Raises Forbidden for staff.
        """
        own = set(await self._patients())
        self._notes.begin_anew()
        await self._notes.note("download", None, "ok", [one for one in patients if one.rid in own])

    async def _patients(self) -> list[int]:
        if self._actor.role not in _ASKERS:
            raise Forbidden("a person asks this of their own record, or of whom they answer for")
        return sorted(await self._guard.patients_of(self._actor))

    async def _own(self, connection: Connection) -> set[str]:
        rows = await connection.fetch(_OWN, self._actor.code)
        return {self._actor.code, *(row["code"] for row in rows)}

    async def _rows(
        self,
        connection: Connection,
        several: Sequence[list[Kept]],
        patients: list[int],
        opened: list[Opened],
    ) -> list[tuple[Looked, str]]:
        """Each access, with the actor whose it was."""
        actors = list({parts[0].access.actor for parts in several})
        named = {
            row["code"]: row
            for row in await connection.fetch(_OF_ACTORS, actors, self._guard.now())
        }
        rids = {rid for parts in several for part in parts for rid in part.access.records}
        types = {
            row["rid"]: self._guard.store.context.named(row["type"]).name
            for row in await connection.fetch(_TYPES, [*rids], patients)
        }
        rows = []
        for parts in several:
            first = parts[0].access
            who: Any = named.get(first.actor) or {"sender": "", "name": None}
            touched = {rid for part in parts for rid in part.access.records}
            counted = Counter(types[rid] for rid in touched if rid in types)
            rules = dict.fromkeys(
                rule for part in parts for rule in (part.access.rules or "").split()
            )
            row = Looked(
                id_of_entry(parts[0].place),
                first.at,
                who["name"] or "",
                who["sender"],
                first.role,
                first.action,
                first.purpose,
                first.outcome,
                tuple(rules),
                tuple(sorted(counted.items())),
                _emergency(parts[0], opened),
            )
            rows.append((row, first.actor))
        return rows


def _asked(patients: list[int], wanted: Wanted, own: set[str]) -> Asked:
    statement = Statement()
    condition = f"a.patients && {statement.bind(patients)}::bigint[]"
    if not wanted.with_own:
        condition += f" and a.actor <> all({statement.bind(sorted(own))}::text[])"
    if wanted.institution is not None:
        bound = statement.bind(wanted.institution)
        condition += f" and a.actor = any(array({_ACTING_FOR.format(bound)}))"
    for moment, sign in ((wanted.since, ">="), (wanted.before, "<")):
        if moment is not None:
            condition += f" and a.at {sign} {statement.bind(moment)}::bigint"
    return Asked(condition, statement, wanted.since, wanted.before)


def _emergency(kept: Kept, opened: list[Opened]) -> Emergency | None:
    access = kept.access
    for one in opened:
        if one.actor == access.actor and (
            (access.action == "break-glass" and one.at <= access.at <= one.until)
            or (access.purpose == _BREAK_GLASS and one.at <= access.at < one.until)
        ):
            return Emergency(one.reason, one.state)
    return None


@cache
def purposes_of_use() -> dict[str, dict[str, str]]:
    """The words of each purpose, by its code and language."""
    file = resources.files("quanmin") / "definitions" / "purposes_of_use.toml"
    return dict(tomllib.loads(file.read_text("utf-8"))["codes"])


@cache
def roles() -> dict[str, dict[str, str]]:
    """The words of each role, by its code and language."""
    file = resources.files("quanmin") / "definitions" / "roles.toml"
    return {one["code"]: one for one in tomllib.loads(file.read_text("utf-8"))["role"]}


@cache
def kinds_apart() -> tuple[dict[str, str], ...]:
    """The kinds that only a consent opens that names them: their labels and words."""
    return tuple(
        {"system": kind.label.system, "code": kind.label.code, "zh": kind.zh, "en": kind.en}
        for kind in load_kinds()
        if kind.is_strict
    )
