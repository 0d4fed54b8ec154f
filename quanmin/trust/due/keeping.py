"""Works out where people stand and keeps it: for all that is known of a person, and for what each
institution sent itself, which is all that many may see.

Who stands where depends on all records of a person, so it is worked out under a lock of the person,
and behind a claim for the whole node; who reads it is held to what they may see (`reading.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import cache
from importlib import resources
from typing import Any, Final

import msgspec

from quanmin.base.database import Connection
from quanmin.fhir.json import Json, decode
from quanmin.records.codec import DataKey, Holder
from quanmin.records.context import DELETED, ROW, Context
from quanmin.records.model import Stored
from quanmin.records.rid import bucket_of
from quanmin.trust.due.model import Known, Planned, Stood

_LOCK: Final = """
    select person from people.person
    where person = any(select l.person from people.link l where l.patient = any($1))
    order by person for no key update
"""
_LINKED: Final = """
    select o.person, o.patient from people.link o
    where o.person = any(select l.person from people.link l where l.patient = any($1))
    order by o.person, o.patient
"""
_PATIENTS: Final = f"""
    select {ROW} from records.record r
    where r.type = $1 and r.rid = any($2) and r.flags & {DELETED} = 0
"""  # noqa: S608 - constants of this program
_FACTS: Final = """
    select rid, plan, type, patient, sender, version, updated, is_labelled, body from plans.fact
    where patient = any($1) and plan = any($2)
"""
_FORGET: Final = (
    "delete from plans.due where patient = any($1)",
    "delete from plans.person where patient = any($1)",
)
_PUT_KINDS: Final = """
    insert into plans.kind (kind) select k from unnest($1::bigint[]) k
    where not exists (select from plans.kind o where o.kind = k)
    order by k on conflict do nothing
"""
_PERSON_COLUMNS: Final = {
    "bucket": "smallint", "patient": "bigint", "sender": "int", "patients": "text",
    "is_shared": "boolean", "plans": "text", "sources": "text", "own_sources": "text",
    "kinds": "text", "areas": "text", "again": "date",
}  # fmt: skip
_DUE_COLUMNS: Final = {
    "bucket": "smallint", "patient": "bigint", "plan": "bigint", "series": "bigint",
    "basis": "smallint", "is_first": "boolean", "hold": "smallint", "turn": "smallint",
    "sender": "int", "earliest": "date", "due": "date", "overdue": "date", "escalated": "date",
    "last": "date", "escalates": "text",
}  # fmt: skip
# Arrays of arrays must be of one length, so those within rows come as their text.
_ARRAYS: Final = {
    "patients": "bigint[]", "plans": "bigint[]", "sources": "int[]", "own_sources": "int[]",
    "kinds": "bigint[]", "areas": "bigint[]", "escalates": "date[]",
}  # fmt: skip

_MADE: Final = 2
"""Another number has all lists made anew, by a program that keeps them otherwise."""

WHOLE, OWN = 1, 2
"""What a line rests on: all that is known of the person; what the institution of its Patient sent
itself."""
TYPES: Final = 256
"""More than there are types of records."""
ALL: Final = 0
"""In place of a sender: by what all have sent."""


class Fact(msgspec.Struct, frozen=True):
    """What a record of a type (its number) tells a plan (its key)."""

    rid: int
    plan: int
    type: int
    sender: int
    patient: int
    told: bytes
    is_labelled: bool = False


class Registered(msgspec.Struct, frozen=True):
    """A source Patient that is there: its key, who sent it, and what it says."""

    rid: int
    sender: int
    body: Json
    is_labelled: bool = False

    @property
    def is_active(self) -> bool:
        """Whether the registration is in use."""
        return self.body.get("active") is not False


class Group(msgspec.Struct, frozen=True):
    """The registrations of one person, by their keys, and what records tell of them."""

    patients: tuple[Registered, ...]
    facts: tuple[Fact, ...]

    @property
    def is_shared(self) -> bool:
        """Whether several institutions have sent something of them."""
        senders = {one.sender for one in self.patients} | {one.sender for one in self.facts}
        return len(senders) > 1

    def kinds(self, patient: int) -> list[int]:
        """The kinds of what is known of them; `patient` is the number of Patients."""
        known = {kind_of(one.sender, patient, one.is_labelled) for one in self.patients}
        told = {kind_of(one.sender, one.type, one.is_labelled) for one in self.facts}
        return sorted(known | told)

    def of(self, sender: int) -> Group:
        """What one institution sent of them."""
        return Group(
            tuple(one for one in self.patients if one.sender == sender),
            tuple(one for one in self.facts if one.sender == sender),
        )

    def known(self, plan: int) -> Known:
        """What of it concerns a plan (its key)."""
        told = tuple(one.told for one in self.facts if one.plan == plan)
        return Known(tuple(one.body for one in self.patients), told)

    def sources(self, plan: int) -> int:
        """On how many records that rests."""
        return len(self.patients) + sum(one.plan == plan for one in self.facts)


class _Standing(msgspec.Struct, frozen=True):
    """Where a person stands on one basis, and on how many records that rests."""

    sources: int
    stood: Stood


class DueKeeping:
    """Keeps the lists of some plans."""

    def __init__(self, context: Context, plans: Sequence[Planned]) -> None:
        self.context = context
        self.plans = {self.key_of(plan): plan for plan in plans}
        self.named = {plan.code: plan for plan in plans}

    def key_of(self, plan: Planned) -> int:
        """The key under which lines of a plan stand, as it is now."""
        # By what the codes say it is told whose records are labelled, and so who sees them.
        stamp = f"{plan.stamp} {_sensitivity()} {_MADE}"
        return self.context.keying.code("PlanDefinition", plan.code, stamp)

    def series_key(self, plan: Planned, series: str) -> int:
        """The key of a series of a plan."""
        return self.context.keying.code("PlanDefinition", f"{plan.code} {plan.stamp}", series)

    def area_key(self, area: str) -> int:
        """The key of an area."""
        return self.context.keying.code("Patient", "plan-area", area)

    def today(self, moment: int) -> date:
        """The day of a moment (microseconds) in the zone of the node."""
        return datetime.fromtimestamp(moment // 1_000_000, UTC).astimezone(self.context.zone).date()

    async def renew(self, connection: Connection, patients: Collection[int], today: date) -> int:
        """Work out anew where the persons of these source Patients (record keys) stand, in the
        caller's transaction; gives of how many Patients.

        Whoever changes what is known of one of them holds the clock of that Patient's bucket.
        """
        wanted = sorted(patients)
        groups = await self._linked(connection, wanted)
        everyone = sorted({one for group in groups for one in group})
        found = await self._groups(connection, groups, everyone)
        for statement in _FORGET:
            await connection.execute(statement, everyone)
        await self.put(connection, found, today)
        return len(everyone)

    async def put(self, connection: Connection, groups: Sequence[Group], today: date) -> None:
        """Work out where persons stand of whom nothing is kept, and keep it."""
        persons: list[tuple[Any, ...]] = []
        lines: list[tuple[Any, ...]] = []
        for group, stood in zip(groups, self._stand(groups, today), strict=True):
            for patient in group.patients:
                persons.append(self._person(group, patient, stood))
                if patient.is_active:
                    lines += self._lines(group, patient, stood)
        number = self.context.definition("Patient").number
        kinds = sorted({kind for group in groups for kind in group.kinds(number)})
        await connection.execute(_PUT_KINDS, kinds)
        await _put(connection, "person", _PERSON_COLUMNS, persons)
        await _put(connection, "due", _DUE_COLUMNS, lines)

    async def _linked(self, connection: Connection, patients: Sequence[int]) -> list[list[int]]:
        """All source Patients of the persons of these; who writes of one of them waits."""
        await connection.execute(_LOCK, patients)
        by_person: dict[int, list[int]] = {}
        for row in await connection.fetch(_LINKED, patients):
            by_person.setdefault(row["person"], []).append(row["patient"])
        linked = {one for group in by_person.values() for one in group}
        return [*by_person.values(), *([one] for one in patients if one not in linked)]

    async def _groups(
        self, connection: Connection, groups: Sequence[Sequence[int]], everyone: Sequence[int]
    ) -> list[Group]:
        number = self.context.definition("Patient").number
        rows = await connection.fetch(_PATIENTS, number, everyone)
        patients = {one.rid: one for one in await self.registered(connection, rows)}
        facts = await self.facts(connection, everyone)
        return [
            Group(
                tuple(patients[one] for one in group if one in patients),
                tuple(fact for one in group for fact in facts.get(one, ())),
            )
            for group in groups
        ]

    async def registered(self, connection: Connection, rows: Sequence[Any]) -> list[Registered]:
        """The Patients of rows of records."""
        return [self.registration(one) for one in await self.context.open(connection, rows)]

    def registration(self, patient: Stored) -> Registered:
        """A Patient as plans look at it."""
        raw = patient.body or b"{}"
        body = decode(raw)
        is_labelled = self.is_labelled(raw, body)
        return Registered(patient.rid, patient.facts.sender, body, is_labelled)

    def is_labelled(self, raw: bytes, resource: Json) -> bool:
        """Whether a record has a security label, its own or for what its codes say."""
        own = (resource.get("meta") or {}).get("security")
        return bool(own) or bool(self.context.labels_given(raw, resource))

    async def facts(self, connection: Connection, patients: Sequence[int]) -> dict[int, list[Fact]]:
        """What the records of these Patients tell the plans."""
        rows = await connection.fetch(_FACTS, [*patients], [*self.plans])
        return by_patient(await self.opened(connection, rows))

    async def opened(self, connection: Connection, rows: Sequence[Any]) -> list[Fact]:
        """What rows of `plans.fact` hold; of an erased person nothing."""
        codec, context = self.context.codec, self.context
        holders = [context.holder(row["patient"], row["sender"]) for row in rows]
        pairs = [(holder, row["body"]) for holder, row in zip(holders, rows, strict=True)]
        keys = await codec.keys_of(connection, pairs)
        found = []
        for holder, row in zip(holders, rows, strict=True):
            if holder in keys:
                place = context.place(
                    row["type"], row["rid"], row["version"], row["patient"], row["updated"]
                )
                found.append(_fact(row, codec.open(keys[holder], place, row["body"])))
        return found

    def _stand(
        self, groups: Sequence[Group], today: date
    ) -> list[dict[tuple[int, int], _Standing]]:
        """Of each group, by the plan and the sender on whose records it rests (ALL: on all)."""
        bases: list[tuple[int, int, Group]] = []
        for number, group in enumerate(groups):
            if not group.patients:
                continue
            bases.append((number, ALL, group))
            if group.is_shared:
                senders = sorted({one.sender for one in group.patients})
                bases += [(number, sender, group.of(sender)) for sender in senders]
        found: list[dict[tuple[int, int], _Standing]] = [{} for _ in groups]
        for key, plan in self.plans.items():
            several = plan.stand([group.known(key) for _, _, group in bases], today)
            for (number, sender, group), stood in zip(bases, several, strict=True):
                found[number][key, sender] = _Standing(group.sources(key), stood)
        return found

    def _person(
        self, group: Group, patient: Registered, stood: Mapping[tuple[int, int], _Standing]
    ) -> tuple[Any, ...]:
        """The row of a registration."""
        areas = {
            self.area_key(area) for plan in self.plans.values() for area in plan.areas(patient.body)
        }
        days = [one.stood.again for one in stood.values() if one.stood.again is not None]
        return (
            bucket_of(patient.rid),
            patient.rid,
            patient.sender,
            _array(one.rid for one in group.patients),
            group.is_shared,
            _array(self.plans),
            _array(stood[key, ALL].sources for key in self.plans),
            _array(_own(stood, key, patient).sources for key in self.plans),
            _array(group.kinds(self.context.definition("Patient").number)),
            _array(sorted(areas)) if areas else None,
            # Of several registrations one is enough to look at the person again.
            min(days, default=None) if patient is group.patients[0] else None,
        )

    def _lines(
        self, group: Group, patient: Registered, stood: Mapping[tuple[int, int], _Standing]
    ) -> Iterator[tuple[Any, ...]]:
        """The rows of a registration in the lists."""
        is_first = patient.rid == next(one.rid for one in group.patients if one.is_active)
        for key, plan in self.plans.items():
            whole = stood[key, ALL].stood.lines
            own = _own(stood, key, patient).stood.lines
            lines = dict.fromkeys(whole, WHOLE)
            for line in own:
                lines[line] = lines.get(line, 0) | OWN
            for line, basis in lines.items():
                yield (
                    bucket_of(patient.rid),
                    patient.rid,
                    key,
                    self.series_key(plan, line.series),
                    basis,
                    is_first,
                    line.hold,
                    line.turn,
                    patient.sender,
                    line.earliest,
                    line.due,
                    line.overdue,
                    min(line.escalates, default=None),
                    line.last,
                    _array(line.escalates) if line.escalates else None,
                )

    def seal(self, keys: Mapping[Holder, DataKey], fact: Any, told: bytes, version: int) -> bytes:
        """What a record tells, as it is kept; `fact` is the change that made the record so."""
        context, holder = self.context, self.context.holder(fact.patient, fact.sender)
        number = context.definition(fact.type).number
        place = context.place(number, fact.rid, version, fact.patient, fact.updated)
        return context.codec.seal(
            keys[holder], "PlanFact", place, told, updated_text=context.instant(fact.updated)
        )


@cache
def _sensitivity() -> str:
    """A number for what codes are kept apart."""
    file = resources.files("quanmin") / "definitions" / "sensitivity" / "kinds.toml"
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


def kind_of(sender: int, type_: int, is_labelled: bool) -> int:  # noqa: FBT001 - as it is kept
    """A sender, a type of records, and whether they are labelled, as one number."""
    return (sender * TYPES + type_) * 2 + is_labelled


def read_kind(kind: int) -> tuple[int, int, bool]:
    """The sender, the type and whether records are labelled."""
    return kind // 2 // TYPES, kind // 2 % TYPES, bool(kind % 2)


def _fact(row: Any, told: bytes) -> Fact:
    return Fact(
        *(row["rid"], row["plan"], row["type"], row["sender"], row["patient"]),
        told=told,
        is_labelled=row["is_labelled"],
    )


def _own(stood: Mapping[tuple[int, int], _Standing], key: int, patient: Registered) -> _Standing:
    """Where the person stands by what the institution of a registration sent: where nobody else
    has sent anything, by all.
    """
    return stood.get((key, patient.sender)) or stood[key, ALL]


def by_patient(facts: Iterable[Fact]) -> dict[int, list[Fact]]:
    """Facts by the Patient whose they are."""
    found: dict[int, list[Fact]] = {}
    for one in facts:
        found.setdefault(one.patient, []).append(one)
    return found


def _array(values: Iterable[object]) -> str:
    return f"{{{','.join(str(one) for one in values)}}}"


async def _put(
    connection: Connection, table: str, columns: Mapping[str, str], rows: Sequence[tuple[Any, ...]]
) -> None:
    if not rows:
        return
    marks = ", ".join(f"${n}::{kind}[]" for n, kind in enumerate(columns.values(), 1))
    chosen = ", ".join(
        f"t.{one}::{_ARRAYS[one]}" if one in _ARRAYS else f"t.{one}" for one in columns
    )
    names = ", ".join(columns)
    await connection.execute(
        f"""
        insert into plans.{table} ({names}) select {chosen} from unnest({marks}) t ({names})
        """,  # noqa: S608 - constants of this module
        *(list(column) for column in zip(*rows, strict=True)),
    )
