"""Tells people what is due, and staff what is overdue: by notices, each of them once.

Who is to be told is a range of the index on any day. Days that a node did not work through are made
up for, and a notice has a key by which nobody gets it twice, however often it is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

import msgspec

from quanmin.base.database import Connection
from quanmin.base.jobs import Continue, Done, Job, Kind, put
from quanmin.trust.due.keeping import OWN, WHOLE, DueKeeping
from quanmin.trust.due.model import EXCLUDED, Escalating, Line, Planned, Reminder
from quanmin.trust.due.reading import COLUMNS, line_of
from quanmin.trust.notices.kinds import NoticeKind
from quanmin.trust.notices.telling import About, sealed_words, tell_persons, tell_staff

TELL: Final = "tell-who-is-due"
_ROWS_A_STEP: Final = 200
_MADE_UP: Final = timedelta(days=7)
_HOUR: Final = 3_600_000_000
_FIRST: Final = -(2**63)
_REMINDED: Final = f"""
    select {COLUMNS} from plans.due d
    where d.plan = $1 and d.due > $2 and d.due <= $3 and d.is_first and d.basis & {WHOLE} > 0
        and d.hold < {EXCLUDED} and (d.patient, d.series) > ($4, $5)
    order by d.patient, d.series limit $6
"""  # noqa: S608 - constants of this program
# To an institution nothing is told that does not follow from what it sent itself.
_ESCALATED: Final = f"""
    select {COLUMNS}, s.code from plans.due d join records.sender s using (sender)
    where d.plan = $1 and d.escalated <= $3 and d.basis & {WHOLE} > 0
        and exists (select from unnest(d.escalates) e where e > $2 and e <= $3)
        and exists (select from plans.due o where o.patient = d.patient and o.plan = d.plan
            and o.series = d.series and o.basis & {OWN} > 0 and o.escalated <= $3)
        and (d.patient, d.series) > ($4, $5)
    order by d.patient, d.series limit $6
"""  # noqa: S608 - constants of this program
# A division of GB/T 2260 without the pairs 00 at its end has those below it.
_NEAREST: Final = """
    select n.sender from trust.institution i
    join trust.institution n on n.kind = any($2) and n.since <= $3 and n.until > $3
        and starts_with(i.region, regexp_replace(n.region, '(00)+$', ''))
    where i.sender = $1 and i.since <= $3 and i.until > $3
    order by length(regexp_replace(n.region, '(00)+$', '')) desc, n.code limit 1
"""
_IS_PUT: Final = """
    select exists (select from jobs.job where kind = $1 and created_at > jobs.now() - $2)
"""


class Place(msgspec.Struct, frozen=True):
    """Where the job goes on: in which of its rounds, after which row."""

    round: int = 0
    patient: int = _FIRST
    series: int = _FIRST
    told: int = 0


Round = tuple[Planned, Reminder | Escalating]


async def put_telling(connection: Connection, keeping: DueKeeping) -> None:
    """Have those told who are to be, every hour, in the caller's transaction."""
    if _rounds(keeping) and not await connection.fetchval(_IS_PUT, TELL, _HOUR):
        await put(connection, TELL, {}, owner="node", once=TELL)


def tell_kind(keeping: DueKeeping, kinds: Mapping[str, NoticeKind], now: Callable[[], int]) -> Kind:
    """The kind of job that tells them, by these kinds of notice."""
    telling = _Telling(keeping, kinds, now)
    return Kind(TELL, telling.step)


def _rounds(keeping: DueKeeping) -> list[Round]:
    found: list[Round] = []
    for _, plan in sorted(keeping.named.items()):
        found += [(plan, one) for one in plan.reminders]
        found += [(plan, one) for one in plan.escalations]
    return found


class _Telling:
    def __init__(
        self, keeping: DueKeeping, kinds: Mapping[str, NoticeKind], now: Callable[[], int]
    ) -> None:
        self._keeping = keeping
        self._kinds = kinds
        self._now = now

    async def step(self, connection: Connection, job: Job) -> Continue | Done:
        place = Place() if job.position is None else msgspec.convert(job.position, Place)
        rounds = _rounds(self._keeping)
        if place.round >= len(rounds):
            return Done({"told": place.told})
        plan, what = rounds[place.round]
        rows = await self._rows(connection, plan, what, place)
        told = place.told
        names = {self._keeping.series_key(plan, one): one for one in plan.series}
        for row in rows:
            line = line_of(names, row)
            if isinstance(what, Reminder):
                told += await self._remind(connection, plan, what, line, row)
            else:
                told += await self._escalate(connection, plan, what, line, row)
        if len(rows) < _ROWS_A_STEP:
            gone = Place(place.round + 1, told=told)
        else:
            gone = Place(place.round, rows[-1]["patient"], rows[-1]["series"], told)
        return Continue(msgspec.to_builtins(gone), told, None, "notices")

    async def _rows(
        self, connection: Connection, plan: Planned, what: Reminder | Escalating, place: Place
    ) -> Sequence[Any]:
        day = self._keeping.today(self._now())
        text = _ESCALATED
        if isinstance(what, Reminder):
            text, day = _REMINDED, day - timedelta(days=what.days)
        key = self._keeping.key_of(plan)
        after = (place.patient, place.series)
        return await connection.fetch(text, key, day - _MADE_UP, day, *after, _ROWS_A_STEP)

    async def _remind(
        self, connection: Connection, plan: Planned, what: Reminder, line: Line, row: Any
    ) -> int:
        about = self._about(plan, what, line, f"{what.days}")
        patients = [row["patient"]]
        return await tell_persons(
            connection, patients, self._now(), self._kinds[what.kind], about=about
        )

    async def _escalate(
        self, connection: Connection, plan: Planned, what: Escalating, line: Line, row: Any
    ) -> int:
        today = self._keeping.today(self._now())
        reached = [
            day
            for day, to in zip(line.escalates, plan.told_to(line), strict=True)
            if to == what.to and today - _MADE_UP < day <= today
        ]
        if not reached:
            return 0
        institution = row["code"]
        if what.kinds:
            found = await connection.fetchval(
                _NEAREST, institution, sorted(what.kinds), self._now()
            )
            if found is None:
                return 0
            institution = str(found)
        about = self._about(plan, what, line, f"{what.to} {row['patient']}")
        kind = self._kinds[what.kind]
        now, duties = self._now(), what.duties
        return await tell_staff(
            connection, institution, what.roles, now, kind, duties=duties, about=about
        )

    def _about(self, plan: Planned, what: Reminder | Escalating, line: Line, more: str) -> About:
        context, kind = self._keeping.context, self._kinds[what.kind]
        values = {"what": plan.title(line), "due": _day(line.due)}
        words = sealed_words(context, kind, {one: values[one] for one in kind.places})
        text = f"{plan.code} {line.series} {line.turn} {_day(line.due)} {what.kind} {more}"
        # It is kept as it is: what somebody is due for would stand there.
        once = context.keying.code("PlanDefinition", "told", text)
        return About(words=words, once=str(once))


def _day(day: date) -> str:
    return day.isoformat()
