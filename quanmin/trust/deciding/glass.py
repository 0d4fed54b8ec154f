"""Break-glass: in an emergency staff open one person's record for a short time, with a reason; the
person is told, and somebody judges it afterwards.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Final, Literal

import msgspec

from quanmin.base.crypto import SUITES, Suite
from quanmin.base.database import Connection
from quanmin.base.problems import Conflict, Forbidden, Invalid, NotFound
from quanmin.people import PersonIndex
from quanmin.records.context import Context
from quanmin.trust.deciding.grantees import Grantees
from quanmin.trust.deciding.granting import Granting, Grounded, replace_grants

State = Literal["waiting", "justified", "unjustified"]

_MINUTE: Final = 60_000_000
_INSERT: Final = """
    insert into trust.glass (at, until, actor, sender, patient, request, reason)
    values ($1, $2, $3, $4, $5, $6, $7) returning glass
"""
_COLUMNS: Final = "glass, at, until, actor, sender, patient, reason, state, reviewer, reviewed_at"
_WAITING: Final = f"""
    select {_COLUMNS} from trust.glass where state = 'waiting' order by at limit $1
"""  # noqa: S608 - constants of this module
_ABOUT: Final = f"""
    select {_COLUMNS} from trust.glass where patient = any($1) order by at desc
"""  # noqa: S608 - constants of this module
_JUDGE: Final = """
    update trust.glass set state = $2, reviewer = $3, reviewed_at = $4
    where glass = $1 and state = 'waiting' and actor <> $3 returning glass
"""
_STATISTICS: Final = """
    select actor, sender, count(*) as number,
        count(*) filter (where state = 'waiting') as waiting,
        count(*) filter (where state = 'unjustified') as unjustified
    from trust.glass where at >= $1 and at < $2
    group by actor, sender order by number desc, actor, sender
"""


class GlassRules(msgspec.Struct, frozen=True):
    """For how long, and how much of a reason (in letters)."""

    minutes: int
    reason_letters_min: int
    reason_letters_max: int


@cache
def load_glass_rules() -> GlassRules:
    """The definition in force."""
    file = resources.files("quanmin") / "definitions" / "break_glass.toml"
    whole = tomllib.loads(file.read_text("utf-8"))
    return msgspec.convert({**whole["definition"], **whole}, GlassRules)


class Opened(msgspec.Struct, frozen=True):
    """A record that was opened: when (microseconds), until when, by whom, acting for which
    institution, whose (the Patient's key), why, and what became of it.
    """

    glass: int
    at: int
    until: int
    actor: str
    sender: int
    patient: int
    reason: str
    state: State
    reviewer: str | None
    reviewed_at: int | None


class Openings(msgspec.Struct, frozen=True):
    """How often one actor has opened records for one institution (its number)."""

    actor: str
    sender: int
    number: int
    waiting: int
    unjustified: int


class Glasses:
    """The opened records of one node."""

    def __init__(self, people: PersonIndex, context: Context) -> None:
        self._people = people
        self._context = context
        self._grantees = Grantees(context.keying)

    async def open(
        self,
        connection: Connection,
        *,
        actor: str,
        sender: int,
        patient: int,
        reason: str,
        request: str,
        now: int,
    ) -> int:
        """Open the record of the person whom a Patient (record key) is, in the caller's
        transaction, for the actor and the purpose BTG; gives until when. Raises Invalid for a
        reason that says nothing.
        """
        rules = load_glass_rules()
        reason = reason.strip()
        if not rules.reason_letters_min <= len(reason) <= rules.reason_letters_max:
            raise Invalid(
                f"say why, in {rules.reason_letters_min} to {rules.reason_letters_max} letters:"
                " the person and a reviewer will read it"
            )
        until = now + rules.minutes * _MINUTE
        suite = self._context.suite
        sealed = suite.seal(self._key(suite), reason.encode(), _place(actor, now))
        number = await connection.fetchval(
            _INSERT,
            now,
            until,
            actor,
            sender,
            patient,
            request,
            bytes([suite.number]) + sealed,
        )
        source = self._context.keying.grantee("glass source", str(number))
        grant = Granting(self._grantees.glass(actor), 0, now, until)
        grounded = [Grounded(source, patient, (grant,))]
        await replace_grants(connection, self._people, (), grounded, now)
        return until

    async def waiting(self, connection: Connection, count: int) -> list[Opened]:
        """What nobody has judged yet, the oldest first."""
        rows = await connection.fetch(_WAITING, count)
        return [self._opened(row) for row in rows]

    async def about(self, connection: Connection, patients: Sequence[int]) -> list[Opened]:
        """What was opened of these Patients, the newest first: what their person is told."""
        rows = await connection.fetch(_ABOUT, [*patients])
        return [self._opened(row) for row in rows]

    async def judge(
        self,
        connection: Connection,
        glass: int,
        state: State,
        *,
        reviewer: str,
        now: int,
    ) -> None:
        """Say of one whether there was reason for it. Raises NotFound, Conflict when it has been
        judged, Forbidden for one's own.
        """
        if await connection.fetchval(_JUDGE, glass, state, reviewer, now) is not None:
            return
        row = await connection.fetchrow(
            "select actor, state from trust.glass where glass = $1", glass
        )
        if row is None:
            raise NotFound("nothing was opened under this number")
        if row["actor"] == reviewer:
            raise Forbidden("nobody judges what they opened themselves")
        raise Conflict(f"this has been judged already: {row['state']}")

    async def statistics(self, connection: Connection, since: int, before: int) -> list[Openings]:
        """How often who opened records from one moment to before another, the most first."""
        rows = await connection.fetch(_STATISTICS, since, before)
        return [Openings(**row) for row in rows]

    def _opened(self, row: object) -> Opened:
        told = dict(row)  # type: ignore[call-overload]  # asyncpg's Record is a mapping
        suite = SUITES[told["reason"][0]]
        place = _place(told["actor"], told["at"])
        reason = suite.open(self._key(suite), told["reason"][1:], place).decode()
        return Opened(**{**told, "reason": reason})

    def _key(self, suite: Suite) -> bytes:
        return self._context.derive("glass")[: suite.key_bytes]


def _place(actor: str, at: int) -> bytes:
    return f"glass {actor} {at}".encode()
