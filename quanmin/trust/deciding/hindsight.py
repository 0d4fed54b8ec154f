"""What was so at an earlier moment: a record's facts then, and what its person had granted.

Grants that no longer hold are forgotten, so they are worked out anew from the versions of the
records that they rested on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from quanmin.base.database import Connection
from quanmin.base.problems import Sentence, TooCostly
from quanmin.people import PersonIndex
from quanmin.records.context import ROW, Context
from quanmin.records.model import Stored
from quanmin.records.operation import Change
from quanmin.records.visibility import Grant
from quanmin.trust.deciding.consents import CONSENT, ConsentIndex
from quanmin.trust.deciding.grantees import Grantees
from quanmin.trust.deciding.granting import Granting
from quanmin.trust.deciding.treating import load_treating, treated

_ROWS_MAX: Final = 5_000
_THEN: Final = f"""
    select {ROW} from (
        select {ROW} from records.record r
        where r.rid = any($1::bigint[]) and r.type = any($2::smallint[]) and r.updated <= $3
        union all
        select {ROW} from records.history r
        where r.rid = any($1::bigint[]) and r.type = any($2::smallint[]) and r.updated <= $3
    ) r
"""  # noqa: S608 - constants of this program
_GROUNDS: Final = """
    select rid from records.record
    where patient = any($1::bigint[]) and type = any($2::smallint[]) limit $3
"""
_OPENED: Final = """
    select actor, at, until from trust.glass where patient = any($1::bigint[]) and at <= $2
"""


async def row_at(connection: Connection, type_: int, rid: int, moment: int) -> Any:
    """The row of a record as it was at a moment; None when it was not there yet."""
    rows = await connection.fetch(_THEN, [rid], [type_], moment)
    return max(rows, key=lambda row: row["version"], default=None)


async def grants_at(
    connection: Connection,
    context: Context,
    people: PersonIndex,
    patients: Sequence[int],
    moment: int,
) -> frozenset[Grant]:
    """What the person of these source Patients had granted by a moment, holding then or not."""
    grantees = Grantees(context.keying)
    found: set[Grant] = set()
    consents = ConsentIndex(people, context)
    names = {one.number: name for name, one in context.table.types.items()}
    for stored in await _grounds(connection, context, patients, moment):
        change = change_of(stored)
        if stored.type == CONSENT:
            for one in await consents.said(connection, change):
                found.add(_grant(one, names.get(one.type), stored.rid))
            continue
        span = treated(change, context.zone)
        if span is not None and span[1] > change.updated:
            found.add(Grant(grantees.treating(change.sender), None, *span, stored.rid))
    for row in await connection.fetch(_OPENED, [*patients], moment):
        found.add(Grant(grantees.glass(row["actor"]), None, row["at"], row["until"]))
    return frozenset(found)


async def _grounds(
    connection: Connection, context: Context, patients: Sequence[int], moment: int
) -> list[Stored]:
    """The records on which grants rested, in the versions that held at a moment."""
    types = [context.definition(name).number for name in (CONSENT, *load_treating())]
    rows = await connection.fetch(_GROUNDS, [*patients], types, _ROWS_MAX + 1)
    if len(rows) > _ROWS_MAX:
        raise TooCostly(
            Sentence(
                "this person has more than %(rows_max)s consents and visits: ask for the present",
                rows_max=_ROWS_MAX,
            )
        )
    held: dict[int, Any] = {}
    for row in await connection.fetch(_THEN, [row["rid"] for row in rows], types, moment):
        if row["rid"] not in held or held[row["rid"]]["version"] < row["version"]:
            held[row["rid"]] = row
    opened = await context.open(connection, list(held.values()))
    return [stored for stored in opened if stored.body is not None]


def _grant(one: Granting, type_: str | None, source: int) -> Grant:
    return Grant(
        *(one.grantee, type_, one.since, one.until, source),
        part=one.part,
        rank=one.rank,
        span=one.span,
        codes=None if one.codes is None else frozenset(one.codes),
        rids=None if one.rids is None else frozenset(one.rids),
    )


def change_of(stored: Stored) -> Change:
    """A version of a record as projections are told of it."""
    return Change(
        stored.type,
        stored.id,
        stored.rid,
        0,
        stored.version,
        stored.facts.sender,
        stored.facts.patient,
        stored.updated,
        stored.body,
    )
