"""Reads due lists as one actor may see them.

Where a person stands rests on records, and whoever may not see one of them must not learn of it by
a list. So a line is shown on the basis of what its reader sees of the person: of all that is known
where every record is seen, of what one institution sent where only that is; and of whom some more
or less is seen, it is worked out from just that (`_partly_seen`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

import msgspec

from quanmin.base.database import Connection
from quanmin.base.problems import Malformed
from quanmin.records.context import DELETED, ROW
from quanmin.records.model import Stored
from quanmin.records.reading import read
from quanmin.records.search.reader import Statement
from quanmin.records.simplifying import seen_of_type
from quanmin.records.visibility import Visibility
from quanmin.records.visibility_sql import visibility_sql
from quanmin.trust.due.doubts import Doubts
from quanmin.trust.due.keeping import OWN, WHOLE, DueKeeping, Group, read_kind
from quanmin.trust.due.kinds import Kinds, grantees_in, is_kind_seen, takers_in
from quanmin.trust.due.model import EXCLUDED, HELD, POSTPONED, Asked, Line, Planned, Status
from quanmin.trust.due.progress import Progress

COLUMNS: Final = (
    "d.patient, d.sender, d.series, d.hold, d.turn, d.earliest, d.due, d.overdue, d.last,"
    " d.escalates"
)
_KINDS: Final = "select kind from plans.kind"
_PLACE: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})~(-?[0-9]{1,19})~(-?[0-9]{1,19})")
_KEY_END: Final = 1 << 63
# So many lines more than are wanted are walked at first, and never more than so many at once.
_BESIDE: Final = 50
_WALKED_MAX: Final = 10_000
_ROWS: Final = f"""
    select {ROW} from records.record r where r.type = $1 and r.rid = any($2)
"""  # noqa: S608 - constants of this program


class DueRow(msgspec.Struct, frozen=True):
    """A line of a list: the source Patient by its key, and as a record where that was wanted; who
    registered it; `place` is where to go on after it.
    """

    rid: int
    sender: int
    line: Line
    place: str
    patient: Stored | None = None
    institution: str = ""


class DueSlice(msgspec.Struct, frozen=True):
    """Some of a list as it is `today`, what is due first before all, where to go on, and whether it
    is complete.
    """

    rows: tuple[DueRow, ...]
    next: str
    progress: Progress
    today: date


class Schedule(msgspec.Struct, frozen=True):
    """Where one person stands, by the records that were looked at for it."""

    explained: Any
    patients: tuple[Stored, ...]
    records: tuple[tuple[int, int], ...]


class _Partly(msgspec.Struct, frozen=True):
    """A person of whom a reader sees some records and not others: the registration that stands in
    the list, and what is seen.
    """

    rid: int
    sender: int
    group: Group


Place = tuple[date, int, int]
"""Of a line: the day it is due, the Patient, the series."""


class _Within(msgspec.Struct, frozen=True):
    """Lines that were walked: up to which place, and of which Patients."""

    last: Place
    patients: list[int]


class DueReading:
    """The lists in one snapshot, as `seen` lets them be seen on a day."""

    def __init__(
        self,
        connection: Connection,
        keeping: DueKeeping,
        seen: Visibility,
        today: date,
        *,
        is_walled: bool = False,
    ) -> None:
        """Who `is_walled` may be shown less by the database than `seen` says."""
        self._connection = connection
        self._keeping = keeping
        self._context = keeping.context
        self._seen = seen
        self.today = today
        self._is_walled = is_walled
        self._doubts = Doubts(is_walled=is_walled)

    async def slice(
        self, plan: Planned, asked: Asked, *, count: int, after: str, institution: int | None
    ) -> tuple[list[DueRow], str]:
        """So many rows of a list after a place, and where to go on. Raises Malformed for what is no
        place.
        """
        place = _read_place(after)
        await self._look(plan)
        listed = self._listed if institution is None else self._walked
        rows = await listed(plan, asked, institution, place, count + 1)
        partly = await self._partly_lines(plan, asked, institution)
        rows += [row for row in partly if place is None or _order(row) > place]
        rows.sort(key=_order)
        following = rows[count - 1].place if len(rows) > count else ""
        return rows[:count], following

    async def counts(
        self, plan: Planned, asked: Asked, *, institution: int | None
    ) -> dict[tuple[str, Status], int]:
        """How many lines a list has, by series and status."""
        await self._look(plan)
        statement = Statement()
        text = self._selected(statement, plan, asked, institution)
        today = f"{statement.bind(self.today)}::date"
        stage = f"""
            case when d.hold = {EXCLUDED} then 'excluded' when d.hold = {POSTPONED} then 'postponed'
            when d.due > {today} then case when d.hold = {HELD} then 'postponed' else 'planned' end
            when d.escalated <= {today} then 'escalated' when d.overdue <= {today} then 'overdue'
            else 'due' end
        """
        rows = await self._connection.fetch(
            f"select d.series, {stage} as status, count(*) as number {text} group by 1, 2",
            *statement.arguments,
        )
        names = self._names(plan)
        found: dict[tuple[str, Status], int] = {}
        for row in rows:
            found[names[row["series"]], row["status"]] = row["number"]
        for one in await self._partly_lines(plan, asked, institution):
            key = (one.line.series, one.line.status(self.today))
            found[key] = found.get(key, 0) + 1
        return found

    async def patients(self, rows: Sequence[DueRow]) -> dict[int, Stored]:
        """The Patients of some rows."""
        number = self._context.definition("Patient").number
        found = await self._connection.fetch(_ROWS, number, list({row.rid for row in rows}))
        return {one.rid: one for one in await self._context.open(self._connection, found)}

    async def schedule(self, plan: Planned, patient_id: str) -> Schedule:
        """Where the person of a Patient stands, by all that is seen of them. Raises NotFound,
        Gone.
        """
        first = await read(self._connection, self._context, self._seen, "Patient", patient_id)
        linked = await self._connection.fetchval(
            "select patients from plans.person where patient = $1", first.rid
        )
        patients = [first.rid, *(one for one in linked or () if one != first.rid)]
        group = (await self._groups(plan, [patients]))[0]
        stored = await self._patients_seen(patients)
        explained = plan.explained(group.known(self._keeping.key_of(plan)), self.today)
        records = tuple((fact.rid, fact.patient) for fact in group.facts)
        return Schedule(explained, tuple(stored), records)

    # ---- what is kept --------------------------------------------------------------------------

    async def _walked(
        self,
        plan: Planned,
        asked: Asked,
        institution: int | None,
        place: Place | None,
        count: int,
    ) -> list[DueRow]:
        """The lines of one institution: walked in the order of their index, a few more each time,
        and those of them looked at that may be shown. How many lines the institution has besides
        makes no difference to a page.
        """
        found: list[DueRow] = []
        most = count + _BESIDE
        while True:
            statement = Statement()
            key = statement.bind(self._keeping.key_of(plan))
            conditions = [
                f"d.plan = {key}::bigint",
                f"d.sender = {statement.bind(institution)}::int",
                *self._wanted(statement, plan, asked),
                *_after(statement, place),
            ]
            walked = await self._connection.fetch(
                f"select d.due, d.patient, d.series from plans.due d"  # noqa: S608 - as below
                f" where {' and '.join(conditions)}"
                f" order by d.due, d.patient, d.series limit {statement.bind(most)}",
                *statement.arguments,
            )
            if not walked:
                return found[:count]
            within = _Within(tuple(walked[-1]), sorted({row["patient"] for row in walked}))
            found += await self._listed(plan, asked, institution, place, count, within)
            if len(walked) < most or len(found) >= count:
                return found[:count]
            place, most = within.last, min(most * 4, _WALKED_MAX)

    async def _listed(  # noqa: PLR0917 - what is asked, and between which places
        self,
        plan: Planned,
        asked: Asked,
        institution: int | None,
        place: Place | None,
        count: int,
        within: _Within | None = None,
    ) -> list[DueRow]:
        statement = Statement()
        text = self._selected(statement, plan, asked, institution)
        text += "".join(f" and {one}" for one in _after(statement, place))
        if within is not None:
            text += f" and d.patient = any({statement.bind(within.patients)}::bigint[])"
            text += f" and (d.due, d.patient, d.series) <= ({_bound(statement, within.last)})"
        rows = await self._connection.fetch(
            f"select {COLUMNS} {text} order by d.due, d.patient, d.series"
            f" limit {statement.bind(count)}",
            *statement.arguments,
        )
        names = self._names(plan)
        return [_row(names, row) for row in rows]

    def _names(self, plan: Planned) -> dict[int, str]:
        return {self._keeping.series_key(plan, one): one for one in plan.series}

    def _selected(
        self, statement: Statement, plan: Planned, asked: Asked, institution: int | None
    ) -> str:
        """The lines of a list that are kept, as `d`."""
        key = statement.bind(self._keeping.key_of(plan))
        conditions = [f"d.plan = {key}::bigint", *self._wanted(statement, plan, asked)]
        if institution is not None:
            conditions.append(f"d.sender = {statement.bind(institution)}::int")
        if self._is_all and institution is None and not asked.area:
            return (
                f"from plans.due d where d.is_first and d.basis & {WHOLE} > 0 and "
                + " and ".join(conditions)
            )
        if asked.area:
            conditions.append(f"p.areas @> array[{self._area(statement, asked)}]")
        number = self._context.definition("Patient").number
        return f"""
            from plans.due d join plans.person p on p.patient = d.patient and p.bucket = d.bucket
            join records.record r
                on r.type = {number} and r.rid = d.patient and r.bucket = d.bucket
            cross join lateral ({self._sources(statement, plan)}) s
            where {" and ".join(conditions)} and r.flags & {DELETED} = 0
            and {self._visible(statement, "r", "Patient")}
            and (d.basis & {WHOLE} > 0 and s.seen = s.whole
                or d.basis & {OWN} > 0 and s.seen = s.own and s.seen_own = s.own)
            and (cardinality(p.patients) = 1
                or not exists ({self._earlier(statement, asked, institution)}))
        """

    async def _look(self, plan: Planned) -> None:
        """Find out what kinds of records are seen, and whose grants matter."""
        types = {self._context.definition(type_).number: type_ for type_ in plan.types}
        found: dict[bool | None, list[int]] = {True: [], False: [], None: []}
        other = []
        for row in await self._connection.fetch(_KINDS):
            sender, number, is_labelled = read_kind(row["kind"])
            type_ = types.get(number)
            if type_ is None:
                other.append(row["kind"])
                continue
            is_seen = is_kind_seen(self._seen, sender, type_, is_labelled=is_labelled)
            found[is_seen].append(row["kind"])
        several = (found[True], found[False], found[None], other)
        kinds = Kinds(*(tuple(one) for one in several))
        grantees = (tuple(sorted(found(self._seen))) for found in (grantees_in, takers_in))
        self._doubts = Doubts(kinds, *grantees, is_walled=self._is_walled)

    @property
    def _is_all(self) -> bool:
        """Whether all that the plan knows of anybody is seen."""
        return not self._doubts.hidden and not self._doubts.grantees and not self._is_walled

    def _visible(self, statement: Statement, alias: str, type_: str | None = None) -> str:
        seen = self._seen if type_ is None else seen_of_type(self._seen, type_)
        return f"({visibility_sql(seen, statement.bind, alias)})"

    def _area(self, statement: Statement, asked: Asked) -> str:
        return f"{statement.bind(self._keeping.area_key(asked.area))}::bigint"

    def _sources(self, statement: Statement, plan: Planned) -> str:
        """For a registration `p` on how many records it rests where they stand, by all and by its
        institution, and how many of these are seen.
        """
        key = f"{statement.bind(self._keeping.key_of(plan))}::bigint"
        number = self._context.definition("Patient").number
        # Said as constants, the types keep the planner from the tables of all others.
        types = sorted(self._context.definition(one).number for one in plan.types)
        of_plan = f"array_position(p.plans, {key})"
        told = f"select p.sources[{of_plan}] as whole, p.own_sources[{of_plan}] as own"
        if self._is_all:
            return f"{told}, p.sources[{of_plan}] as seen, p.own_sources[{of_plan}] as seen_own"
        counted = f"""
            with registered as materialized (
                select q.rid, q.sender from records.record q
                where k.is_so and q.type = {number} and q.rid = any(p.patients)
                    and q.flags & {DELETED} = 0 and {self._visible(statement, "q", "Patient")})
            select count(*) as seen, count(*) filter (where t.sender = p.sender) as seen_own from (
                select g.sender from registered g
                union all
                select q.sender from registered g
                join plans.fact f on f.patient = g.rid and f.plan = {key}
                join records.record q on q.type = f.type and q.rid = f.rid and q.bucket = f.bucket
                where q.type in ({", ".join(map(str, types))}) and {self._visible(statement, "q")}
            ) t
        """  # noqa: S608 - composed of this program's own constants; every value is bound
        doubts = self._doubts
        return f"""
            select t.*, case when k.is_so then c.seen
                when {doubts.is_whole(statement)} then t.whole else t.own end as seen,
                case when k.is_so then c.seen_own else t.own end as seen_own
            from ({told}) t
            cross join lateral (
                select {doubts.is_in_doubt(statement, _is_one)} as is_so offset 0) k
            cross join lateral ({counted}) c
        """  # noqa: S608 - composed of this program's own constants; every value is bound

    def _earlier(self, statement: Statement, asked: Asked, institution: int | None) -> str:
        """The same line of another registration of the person that stands before it: of one person
        one is shown.
        """
        number = self._context.definition("Patient").number
        text = f"""
            select from plans.due o
            join records.record q on q.type = {number} and q.rid = o.patient and q.bucket = o.bucket
            join plans.person a on a.patient = o.patient and a.bucket = o.bucket
            where o.patient = any(p.patients) and o.patient < d.patient and o.plan = d.plan
                and o.series = d.series and o.basis & d.basis > 0
                and {self._visible(statement, "q", "Patient")}
        """
        if institution is not None:
            text += f" and o.sender = {statement.bind(institution)}::int"
        if asked.area:
            text += f" and a.areas @> array[{self._area(statement, asked)}]"
        return text

    def _wanted(self, statement: Statement, plan: Planned, asked: Asked) -> list[str]:
        conditions = []
        today = f"{statement.bind(self.today)}::date"
        ways = {
            "planned": f"d.hold = 0 and d.due > {today}",
            "postponed": f"(d.hold = {HELD} and d.due > {today} or d.hold = {POSTPONED})",
            "excluded": f"d.hold = {EXCLUDED}",
            "due": f"d.due <= {today} and (d.overdue is null or d.overdue > {today})",
            "overdue": f"d.due <= {today} and d.overdue <= {today}"
            f" and (d.escalated is null or d.escalated > {today})",
            "escalated": f"d.due <= {today} and d.escalated <= {today}",
        }
        late = {"due", "overdue", "escalated"}
        wanted = {str(one) for one in asked.statuses}
        if late <= wanted:
            ways = {**{k: v for k, v in ways.items() if k not in late}, "late": f"d.due <= {today}"}
            wanted = wanted - late | {"late"}
        conditions.append("(" + " or ".join(ways[one] for one in sorted(wanted)) + ")")
        if wanted <= late | {"late"}:
            conditions.append(f"d.due <= {today}")
        if asked.series:
            keys = [self._keeping.series_key(plan, one) for one in asked.series]
            conditions.append(f"d.series = any({statement.bind(keys)}::bigint[])")
        for day, sign in ((asked.since, ">="), (asked.until, "<=")):
            if day is not None:
                conditions.append(f"d.due {sign} {statement.bind(day)}::date")
        return conditions

    # ---- of whom some records are seen and others not ------------------------------------------

    async def _partly_lines(
        self, plan: Planned, asked: Asked, institution: int | None
    ) -> list[DueRow]:
        """The lines of those who are seen in part, worked out from what is seen."""
        if self._is_all:
            return []
        partly = await self._partly_seen(plan, asked, institution)
        key = self._keeping.key_of(plan)
        stood = plan.stand([one.group.known(key) for one in partly], self.today)
        rows = []
        for one, found in zip(partly, stood, strict=True):
            for line in found.lines:
                if _is_wanted(line, asked, self.today):
                    series = self._keeping.series_key(plan, line.series)
                    place = _place(line.due, one.rid, series)
                    rows.append(DueRow(one.rid, one.sender, line, place))
        return rows

    async def _partly_seen(
        self, plan: Planned, asked: Asked, institution: int | None
    ) -> list[_Partly]:
        statement = Statement()
        number = self._context.definition("Patient").number
        if institution is None:
            conditions = [self._doubts.is_in_doubt(statement, _is_among)]
            if not self._is_walled:
                # By these an index leads to them.
                hidden = self._doubts.overlaps(statement, self._doubts.hidden)
                granting = _is_among(self._doubts.granting(statement))
                conditions.append(f"({hidden} or {granting})")
        else:
            conditions = [
                f"p.sender = {statement.bind(institution)}::int",
                self._doubts.is_of_one_in_doubt(statement, institution),
            ]
        if asked.area:
            conditions.append(f"p.areas @> array[{self._area(statement, asked)}]")
        # Who of an institution is in doubt is found first: they are fewer than are registered. Of
        # each the Patient is then read by its key.
        fence = "" if institution is None else "offset 0"
        rows = await self._connection.fetch(
            f"""
            select p.patient, p.sender, p.patients
            from (select * from plans.person p where {" and ".join(conditions)} {fence}) p
            cross join lateral (
                select from records.record r
                where r.type = {number} and r.rid = p.patient and r.bucket = p.bucket
                    and r.flags & {DELETED} = 0 and {self._visible(statement, "r", "Patient")}
                offset 0) r
            cross join lateral ({self._sources(statement, plan)}) s
            where s.seen <> s.whole and not (s.seen = s.own and s.seen_own = s.own)
            order by p.patient
            """,  # noqa: S608 - composed of this program's own constants; every value is bound
            *statement.arguments,
        )
        groups = await self._groups(plan, [row["patients"] for row in rows])
        found: dict[tuple[int, ...], _Partly] = {}
        for row, group in zip(rows, groups, strict=True):
            own = next((one for one in group.patients if one.rid == row["patient"]), None)
            if own is not None and own.is_active:
                known = _Partly(own.rid, own.sender, group)
                found.setdefault(tuple(row["patients"]), known)
        return list(found.values())

    async def _groups(self, plan: Planned, several: Sequence[Sequence[int]]) -> list[Group]:
        """What is seen of some persons, by their Patients."""
        everyone = sorted({one for group in several for one in group})
        if not everyone:
            return []
        stored = await self._patients_seen(everyone)
        patients = {one.rid: self._keeping.registration(one) for one in stored}
        statement = Statement()
        # Who does not see a registration is not told by a list whose it is.
        statement.bind([*patients])
        statement.bind(self._keeping.key_of(plan))
        rows = await self._connection.fetch(
            f"""
            select f.rid, f.plan, f.type, f.patient, f.sender, f.version, f.updated, f.body,
                f.is_labelled
            from plans.fact f
            join records.record q on q.type = f.type and q.rid = f.rid and q.bucket = f.bucket
            where f.patient = any($1) and f.plan = $2 and {self._visible(statement, "q")}
            order by f.rid
            """,  # noqa: S608 - composed of this program's own constants; every value is bound
            *statement.arguments,
        )
        facts: dict[int, list[Any]] = {}
        for fact in await self._keeping.opened(self._connection, rows):
            facts.setdefault(fact.patient, []).append(fact)
        return [
            Group(
                tuple(patients[one] for one in group if one in patients),
                tuple(fact for one in group for fact in facts.get(one, ())),
            )
            for group in several
        ]

    async def _patients_seen(self, patients: Sequence[int]) -> list[Stored]:
        """Those of these Patients that are seen."""
        statement = Statement()
        number = statement.bind(self._context.definition("Patient").number)
        wanted = statement.bind([*patients])
        rows = await self._connection.fetch(
            f"""
            select {ROW} from records.record r where r.type = {number} and r.rid = any({wanted})
                and r.flags & {DELETED} = 0 and {self._visible(statement, "r", "Patient")}
            order by r.rid
            """,  # noqa: S608 - composed of this program's own constants; every value is bound
            *statement.arguments,
        )
        return await self._context.open(self._connection, rows)


def _is_among(granting: str) -> str:
    return f"p.patient = any(array({granting}))"


def _is_one(granting: str) -> str:
    return f"exists ({granting} and g.patient = p.patient)"


def _after(statement: Statement, place: Place | None) -> list[str]:
    """The condition that a line `d` stands after a place, if there is one."""
    if place is None:
        return []
    return [f"(d.due, d.patient, d.series) > ({_bound(statement, place)})"]


def _bound(statement: Statement, place: Place) -> str:
    return ", ".join(
        f"{statement.bind(one)}::{kind}"
        for one, kind in zip(place, ("date", "bigint", "bigint"), strict=True)
    )


def _is_wanted(line: Line, asked: Asked, today: date) -> bool:
    return (
        (not asked.series or line.series in asked.series)
        and line.status(today) in asked.statuses
        and (asked.since is None or line.due >= asked.since)
        and (asked.until is None or line.due <= asked.until)
    )


def line_of(names: Mapping[int, str], row: Any) -> Line:
    """The line of a row of these columns; `names` are those of series by their keys."""
    return Line(
        series=names[row["series"]],
        turn=row["turn"],
        hold=row["hold"],
        earliest=row["earliest"],
        due=row["due"],
        overdue=row["overdue"],
        last=row["last"],
        escalates=tuple(row["escalates"] or ()),
    )


def _row(names: Mapping[int, str], row: Any) -> DueRow:
    place = _place(row["due"], row["patient"], row["series"])
    return DueRow(row["patient"], row["sender"], line_of(names, row), place)


def _place(due: date, patient: int, series: int) -> str:
    return f"{due.isoformat()}~{patient}~{series}"


def _order(row: DueRow) -> Place:
    place = _read_place(row.place)
    if place is None:
        raise ValueError("a row has a place")
    return place


def _read_place(text: str) -> Place | None:
    """Where a place is in the order of a list. Raises Malformed for what is none."""
    if not text:
        return None
    found = _PLACE.fullmatch(text)
    try:
        place = found and (date.fromisoformat(found[1]), int(found[2]), int(found[3]))
    except ValueError:  # no day of the calendar
        place = None
    if not place or max(map(abs, place[1:])) >= _KEY_END:
        raise Malformed("this is no place in the list: begin from its first page")
    return place
