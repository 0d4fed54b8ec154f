"""The lists of petitions: those of a person, those an institution owes an answer to, and those that
concern who stands above.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from quanmin.base.database import Connection
from quanmin.records.rid import id_of
from quanmin.trust.lifecycle.petition_rules import petition_rules

_NEVER: Final = 2**63 - 1
_LAST: Final = -(2**63)

# A petition concerns who stands above when an appeal or forwarding brought it there, when its
# answer is late, or when no institution answers.
_SCOPE: Final = """
    ($1::bigint[] is null or p.patient = any($1))
    and ($2::int is null or p.answerer = $2)
    and ($3::int[] is null or (
        (p.answerer is null or p.answerer = any($3) or not exists (
            select from records.sender s join trust.institution_entry e on e.sender = s.code
            where s.sender = p.answerer))
        and (p.answerer is null or p.state = any($12) or (p.is_open and p.due < $4))))
"""
_FOUND: Final = f"""
    select p.task, p.patient, p.kind, p.state, p.filed, p.due, p.is_open,
        coalesce(s.code, '') as answerer, coalesce((
            select i.name from trust.institution i
            where i.sender = s.code and i.since <= $4 and i.until > $4), s.code, '') as named
    from trust.petition p left join records.sender s on s.sender = p.answerer
    where {_SCOPE}
        and ($5::text is null or p.kind = $5) and ($6::text is null or p.state = $6)
        and (p.is_open or not $7) and (not $13 or (p.is_open and p.due < $4))
        and ($11::text is null or coalesce(s.code, '') = $11)
        and (case when p.is_open then coalesce(p.due, {_NEVER}) else {_NEVER} - 1 end, p.task)
            > ($8::bigint, $9::bigint)
    order by case when p.is_open then coalesce(p.due, {_NEVER}) else {_NEVER} - 1 end, p.task
    limit $10
"""  # noqa: S608 - constants of this module
_SCOPE_COUNTED: Final = _SCOPE.replace("$12", "$5")
_COUNTED: Final = f"""
    select coalesce(s.code, '') as answerer, p.kind, p.state, count(*) as number,
        count(*) filter (where p.is_open and p.due < $4) as overdue
    from trust.petition p left join records.sender s on s.sender = p.answerer
    where {_SCOPE_COUNTED}
    group by 1, 2, 3 order by overdue desc, number desc, 1, 2, 3
"""  # noqa: S608 - constants of this module


_OPEN: Final = f"""
    select count(*) as number, count(*) filter (where due < $4) as late
    from (select p.due from trust.petition p where {_SCOPE_COUNTED} and p.is_open
        order by p.due limit $6) open
"""  # noqa: S608 - constants of this module


class Scope(msgspec.Struct, frozen=True):
    """Whose petitions: of these Patients, to this institution, or of the institutions of a region
    as they concern who stands above; all None for all.
    """

    patients: tuple[int, ...] | None = None
    answerer: int | None = None
    region: tuple[int, ...] | None = None


class Wanted(msgspec.Struct, frozen=True):
    """Which of them: of a kind, in a state, to an institution (its code, "" for none); None for any
    of these.
    """

    kind: str | None = None
    state: str | None = None
    answerer: str | None = None
    only_open: bool = False
    only_late: bool = False


class Waiting(msgspec.Struct, frozen=True):
    """A petition in a list: its Task, nothing of what it says; `named` is what the register calls
    the institution that answers. Moments are microseconds.
    """

    task: int
    patient: int | None
    kind: str
    state: str
    filed: int
    due: int | None
    is_open: bool
    answerer: str
    named: str

    def is_overdue(self, now: int) -> bool:
        """Whether an answer is owed and late."""
        return self.is_open and self.due is not None and self.due < now

    def id(self, prefix: str) -> str:
        """The id of its Task, in a node whose ids begin so."""
        return id_of(self.task, prefix)

    @property
    def place(self) -> tuple[int, int]:
        """Where it stands in the order of the list."""
        due = _NEVER if self.due is None else self.due
        return due if self.is_open else _NEVER - 1, self.task


class Counted(msgspec.Struct, frozen=True):
    """How many petitions of a kind an institution has in a state, and how many of them are late."""

    answerer: str
    kind: str
    state: str
    number: int
    overdue: int


async def listed(
    connection: Connection,
    scope: Scope,
    now: int,
    *,
    wanted: Wanted,
    after: tuple[int, int] | None,
    count: int,
) -> Sequence[Waiting]:
    """Petitions, the one that is due first before all, those that are answered last."""
    rows = await connection.fetch(
        _FOUND,
        *_bound(scope),
        now,
        wanted.kind,
        wanted.state,
        wanted.only_open,
        *(after or (_LAST, _LAST)),
        count,
        wanted.answerer,
        [*petition_rules().states_above],
        wanted.only_late,
    )
    return [
        Waiting(
            row["task"],
            row["patient"],
            row["kind"],
            row["state"],
            row["filed"],
            row["due"],
            row["is_open"],
            row["answerer"],
            row["named"],
        )
        for row in rows
    ]


async def counted(connection: Connection, scope: Scope, now: int) -> Sequence[Counted]:
    """The same as numbers."""
    rows = await connection.fetch(_COUNTED, *_bound(scope), now, [*petition_rules().states_above])
    return [Counted(**row) for row in rows]


async def open_count(
    connection: Connection, scope: Scope, now: int, *, count_max: int
) -> tuple[int, int]:
    """How many have no answer yet, and how many of these are late; it stops counting beyond
    `count_max`, those that are due first before all.
    """
    above = [*petition_rules().states_above]
    row = await connection.fetchrow(_OPEN, *_bound(scope), now, above, count_max + 1)
    return (0, 0) if row is None else (int(row["number"]), int(row["late"]))


def _bound(scope: Scope) -> tuple[object, ...]:
    patients = None if scope.patients is None else [*scope.patients]
    region = None if scope.region is None else [*scope.region]
    return patients, scope.answerer, region
