"""How many cases there are of what the law has reported: kept by the transaction that writes a case
and counted in the database, for whoever sees the cases, and without small groups for supervisors.

What a case is is not known here: whoever keeps the counts hands in what tells it (`Tell`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final, Literal

import msgspec

from quanmin.base.database import Connection
from quanmin.base.jobs import Continue, Done, Job, Kind
from quanmin.base.problems import Forbidden, Malformed, Problem
from quanmin.fhir.json import Json
from quanmin.records.context import DELETED, ROW, Context
from quanmin.records.operation import Change
from quanmin.records.rid import id_of, is_assigned
from quanmin.records.search.reader import Statement
from quanmin.records.visibility import Nothing, OfSender, Visibility, narrow_to_type
from quanmin.records.visibility_sql import visibility_sql
from quanmin.records.walls import Wall
from quanmin.trust.deciding import senders_of_region
from quanmin.trust.deciding.hindsight import change_of
from quanmin.trust.desk import Desk
from quanmin.trust.small_groups import hidden_among, least

COUNT_CASES: Final = "count-cases"
EVERY: Final = ""
"""In place of a disease or an area: all of them."""
NOWHERE: Final = "000000"
"""The area of those of whom none is told."""
By = Literal["onset", "report"]
_TYPE: Final = "Task"
_COLUMNS: Final[Mapping[By, str]] = {"onset": "c.onset", "report": "c.reported"}
_AREA_LENGTH: Final = 6
_WEEK: Final = timedelta(days=7)
_CASES_A_STEP: Final = 500
_FIRST: Final = -(2**63)
_PUT: Final = """
    insert into trust.counted_case (task, sender, disease, class, area, onset, reported)
    values ($1, $2, $3, $4, $5, $6, $7)
    on conflict (task) do update set sender = excluded.sender, disease = excluded.disease,
        class = excluded.class, area = excluded.area, onset = excluded.onset,
        reported = excluded.reported
"""
_FORGET: Final = "delete from trust.counted_case where task = any($1::bigint[])"
# Whoever writes one of them meanwhile waits, or has it read as it has become.
_BATCH: Final = f"""
    select {ROW} from records.record r where r.type = $1 and r.rid > $2
    order by r.rid limit $3 for update of r
"""  # noqa: S608 - constants of this program


class Told(msgspec.Struct, frozen=True):
    """A case as it is counted. `reported` is None before it was sent, `area` is a division of GB/T
    2260, "" for none.
    """

    disease: str
    case_class: str
    area: str
    onset: date
    reported: date | None


Tell = Callable[[Json], Told | None]
"""From a Task to what is counted of it; None of what is no case."""


class Codes(msgspec.Struct, frozen=True):
    """The codes of all diseases and classes: they are kept keyed, and read by these."""

    diseases: frozenset[str]
    classes: frozenset[str]


class CaseIndex:
    """The projection of cases onto what is counted."""

    types = frozenset({_TYPE})
    is_early = False

    def __init__(self, context: Context, tell: Tell) -> None:
        self._context = context
        self._tell = tell

    async def apply(self, connection: Connection, changes: Sequence[Change]) -> None:
        """See `Projection`."""
        gone = []
        for change in changes:
            # The engine has the node give ids: by one that was chosen nobody could read it.
            if change.type != _TYPE or not is_assigned(change.rid):
                continue
            resource = change.resource
            told = None if resource is None else self._tell(resource)
            if told is None:
                gone.append(change.rid)
                continue
            keyed = (_key(self._context, "disease", told.disease),
                     _key(self._context, "class", told.case_class))  # fmt: skip
            row = (change.rid, change.sender, *keyed, int(told.area or 0))
            await connection.execute(_PUT, *row, told.onset, told.reported)
        if gone:
            await connection.execute(_FORGET, gone)


class Place(msgspec.Struct, frozen=True):
    """Where the walk goes on: after this record. `done` counts Tasks."""

    after: int = _FIRST
    done: int = 0


def count_cases_kind(index: CaseIndex, context: Context) -> Kind:
    """The kind of job that reads all Tasks once, for cases from before they were counted."""

    async def step(connection: Connection, job: Job) -> Continue | Done:
        place = Place() if job.position is None else msgspec.convert(job.position, Place)
        number = context.definition(_TYPE).number
        rows = await connection.fetch(_BATCH, number, place.after, _CASES_A_STEP)
        if not rows:
            return Done({"tasks": place.done})
        found = await context.open(connection, rows)
        await index.apply(connection, [change_of(stored) for stored in found])
        gone = Place(rows[-1]["rid"], place.done + len(rows))
        return Continue(msgspec.to_builtins(gone), gone.done, message="Tasks")

    return Kind(COUNT_CASES, step)


class Sought(msgspec.Struct, frozen=True):
    """Which cases are meant: of a disease (`EVERY`: of all), of areas that begin with these digits,
    by the day of onset or report, from one to another, both included.
    """

    disease: str
    area: str
    by: By
    since: date
    until: date


class Group(msgspec.Struct, frozen=True):
    """How many cases of a disease and class an area had on a day."""

    disease: str
    case_class: str
    area: str
    day: date
    number: int


class Counted(msgspec.Struct, frozen=True):
    """A case of a list, by the id of its Task."""

    id: str
    told: Told


class Week(msgspec.Struct, frozen=True):
    """What supervisors are told of a week, by its Monday: the cases of each disease in each area,
    with `EVERY` for the sums; None for what is left out. What is not there is nought.
    """

    begin: date
    numbers: Mapping[tuple[str, str], int | None]


class CaseCounts(Desk):
    """The counts of cases. Of a public-health worker they are of the cases that they see; a
    supervisor is told whole weeks of the region that they answer for, without small groups, and
    sees no case.
    """

    async def groups(self, sought: Sought, codes: Codes) -> list[Group]:
        """The cases by disease, class, area and day. Raises Forbidden, Stopped, Malformed."""
        seen, wall = await self._seen()
        async with self._guard.store.reading(wall) as connection:
            found = await _groups(connection, self._guard.store.context, seen, sought, codes)
        await self._notes.note("search", _TYPE, "ok")
        return found

    async def listed(
        self, sought: Sought, codes: Codes, *, after: tuple[date, int] | None, count: int
    ) -> list[tuple[Counted, tuple[date, int]]]:
        """So many cases after a place, in the order of their days, each with its place. Raises as
        `groups`.
        """
        seen, wall = await self._seen()
        context = self._guard.store.context
        async with self._guard.store.reading(wall) as connection:
            rows = await _rows(connection, context, seen, sought, after=after, count=count)
        keys = [(row["task"], row["patient"]) for row in rows]
        await self._notes.put(self._notes.entry_of_keys("search", _TYPE, "ok", keys))
        diseases, classes = _read_by(context, codes)
        return [
            (Counted(id_of(row["task"], context.prefix), told), (row["day"], row["task"]))
            for row in rows
            if (told := _told(row, diseases, classes)) is not None
        ]

    async def weeks(self, since: date, number: int, codes: Codes) -> list[Week]:
        """So many weeks from a Monday on, by the day of report. Only weeks that are over are told:
        a number that grows from day to day would tell each case by what it grew. Raises Forbidden,
        Stopped, Malformed.
        """
        if self._actor.role != "supervisor" or self._actor.scopes is not None:
            raise Forbidden("counts without small groups are for supervisors of a region")
        if since.weekday():
            raise Malformed("a week begins on its Monday")
        standing = await self._guard.standings.of(self._actor)
        _, rights = await self._guard.rights(self._actor, self._purpose, "s", _TYPE)
        context, now = self._guard.store.context, self._guard.now()
        until = since + number * _WEEK - timedelta(days=1)
        sought = Sought(EVERY, "", "report", since, until)
        async with self._guard.store.reading(rights.wall) as connection:
            senders = await senders_of_region(connection, standing.region, now)
            seen = OfSender(senders) if senders else Nothing()
            found = await _groups(connection, context, seen, sought, codes)
        await self._notes.note("search", _TYPE, "ok")
        today = self._guard.due.today(now)
        begins = [since + at * _WEEK for at in range(number)]
        return [_without_small_groups(found, one) for one in begins if one + _WEEK <= today]

    async def _seen(self) -> tuple[Visibility, Wall | None]:
        try:
            _, rights = await self._guard.rights(self._actor, self._purpose, "s", _TYPE)
        except Problem as problem:
            await self._notes.note("search", _TYPE, problem.code)
            raise
        self._notes.decided_by(rights.reasons)
        return rights.readable, rights.wall


def _without_small_groups(groups: Sequence[Group], begin: date) -> Week:
    """One week by disease and area with the sums of both, in which nothing gives a small group
    away. A week is told once and no sum goes over several, so that no two tables can be set against
    each other.
    """
    numbers: dict[tuple[str, str], int] = defaultdict(int)
    for one in groups:
        if begin <= one.day < begin + _WEEK:
            for disease in (one.disease, EVERY):
                for area in (one.area or NOWHERE, EVERY):
                    numbers[disease, area] += one.number
    diseases = sorted({disease for disease, _ in numbers} - {EVERY})
    areas = sorted({area for _, area in numbers} - {EVERY})
    lines = [[(disease, area) for area in (*areas, EVERY)] for disease in (*diseases, EVERY)]
    lines += [[(disease, area) for disease in (*diseases, EVERY)] for area in (*areas, EVERY)]
    whole = {key: numbers[key] for line in lines for key in line}
    hidden = hidden_among(whole, lines, least())
    return Week(begin, {key: None if key in hidden else n for key, n in whole.items()})


async def _groups(
    connection: Connection, context: Context, seen: Visibility, sought: Sought, codes: Codes
) -> list[Group]:
    statement = Statement()
    text = _from(statement, context, seen, sought)
    rows = await connection.fetch(
        f"select c.disease, c.class, c.area, {_COLUMNS[sought.by]} as day, count(*) as number"
        f" {text} group by 1, 2, 3, 4",
        *statement.arguments,
    )
    diseases, classes = _read_by(context, codes)
    return [
        Group(diseases[row["disease"]], classes[row["class"]], _division(row["area"]), row["day"],
              row["number"])
        for row in rows
        if row["disease"] in diseases and row["class"] in classes
    ]  # fmt: skip


async def _rows(
    connection: Connection,
    context: Context,
    seen: Visibility,
    sought: Sought,
    *,
    after: tuple[date, int] | None,
    count: int,
) -> list[Any]:
    statement = Statement()
    text, day = _from(statement, context, seen, sought), _COLUMNS[sought.by]
    if after is not None:
        bound = f"({statement.bind(after[0])}::date, {statement.bind(after[1])}::bigint)"
        text += f" and ({day}, c.task) > {bound}"
    return await connection.fetch(
        f"select c.*, {day} as day, r.patient {text} order by {day}, c.task"
        f" limit {statement.bind(count)}",
        *statement.arguments,
    )


def _from(statement: Statement, context: Context, seen: Visibility, sought: Sought) -> str:
    """The cases that are meant, as `c`, as far as they are seen."""
    bind, number = statement.bind, context.definition(_TYPE).number
    low, high = _bounds(sought.area)
    day = _COLUMNS[sought.by]
    conditions = [
        f"{day} between {bind(sought.since)}::date and {bind(sought.until)}::date",
        f"c.area between {bind(low)}::int and {bind(high)}::int",
        f"r.flags & {DELETED} = 0",
        f"({visibility_sql(narrow_to_type(seen, _TYPE), bind, 'r')})",
    ]
    if sought.disease:
        key = _key(context, "disease", sought.disease)
        conditions.append(f"c.disease = {bind(key)}::bigint")
    return (
        f"from trust.counted_case c join records.record r on r.type = {number}"
        f" and r.rid = c.task where {' and '.join(conditions)}"
    )


def _bounds(area: str) -> tuple[int, int]:
    """The divisions that begin with these digits, from the first to the last."""
    return int(area.ljust(_AREA_LENGTH, "0")), int(area.ljust(_AREA_LENGTH, "9"))


def _division(area: int) -> str:
    return f"{area:06}" if area else ""


def _key(context: Context, what: str, code: str) -> int:
    return context.keying.code(_TYPE, f"counted-{what}", code)


def _read_by(context: Context, codes: Codes) -> tuple[dict[int, str], dict[int, str]]:
    """The codes of diseases and of classes by their keys."""
    diseases = {_key(context, "disease", code): code for code in codes.diseases}
    return diseases, {_key(context, "class", code): code for code in codes.classes}


def _told(row: Any, diseases: Mapping[int, str], classes: Mapping[int, str]) -> Told | None:
    if row["disease"] not in diseases or row["class"] not in classes:
        return None
    said = (diseases[row["disease"]], classes[row["class"]], _division(row["area"]))
    return Told(*said, row["onset"], row["reported"])
