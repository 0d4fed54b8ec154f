"""Counting by a code what an asker sees who does not see all, without reading each record.

The index on codes tells the patient of each record. Where all records of a patient with the code
are seen, as far as patient and labels show, they are counted there; those of the other patients
are looked at one by one. The fewer the records that are looked at, the more of them are hidden: it
costs at most what looking at all of them costs.
"""

from __future__ import annotations

import msgspec

from quanmin.records.search.coded import BY_TIME, of_walk
from quanmin.records.search.reader import Reader, Statement
from quanmin.records.search.term import Walk
from quanmin.records.simplifying import both, either, without
from quanmin.records.visibility import (
    Both,
    Either,
    Everything,
    Except,
    Granted,
    Labelled,
    Nothing,
    OfNobody,
    OfPatient,
    Visibility,
)
from quanmin.records.visibility_sql import visibility_sql


class Surely(msgspec.Struct, frozen=True):
    """Of a patient for whom `patient` holds every record is seen that has none of `labels`."""

    patient: Visibility
    labels: frozenset[int] = frozenset()


_NEVER = Surely(Nothing())


def surely(visibility: Visibility, *, holds: bool = True) -> Surely:
    """What of a visibility, narrowed to a type, shows by the patient and by labels that are not
    there; or, with `holds` false, of what it does not show.
    """
    match visibility:
        case Everything():
            return Surely(Everything()) if holds else _NEVER
        case Nothing():
            return _NEVER if holds else Surely(Everything())
        case Labelled(labels):
            return _NEVER if holds else Surely(Everything(), labels)
        case OfPatient() | OfNobody():
            return Surely(visibility if holds else without(visibility))
        case Granted() if visibility.type is not None and not _is_of_parts(visibility):
            return Surely(visibility if holds else without(visibility))
        case Except(part):
            return surely(part, holds=not holds)
        case Both(parts) | Either(parts):
            several = [surely(part, holds=holds) for part in parts]
            join = both if isinstance(visibility, Both) is holds else either
            told = [one for one in several if not isinstance(one.patient, Nothing)]
            labels = frozenset[int]().union(*(one.labels for one in told))
            patient = join(one.patient for one in several)
            return _NEVER if isinstance(patient, Nothing) else Surely(patient, labels)
        case _:
            return _NEVER


def _is_of_parts(granted: Granted) -> bool:
    return bool(granted.parts or granted.parts_lifting)


class Told(msgspec.Struct, frozen=True):
    """The visible records of a type that have the one code of a walk."""

    walk: Walk
    type_number: int
    seen: Visibility
    surely: Surely

    async def count(self, reader: Reader, limit: int) -> int | None:
        """How many there are; None where more than `limit` have the code, seen or not."""
        statement = Statement()
        patients = _patients(self, statement, limit)
        rows = await reader.rows(
            f"with p as materialized ({patients}), t as materialized ("
            f"select p.patient, p.number, ({_is_told(self, statement)}) is true as told from p)"
            " select (select coalesce(sum(t.number), 0) from t),"
            " (select coalesce(sum(t.number) filter (where t.told), 0) from t)"
            f" + (select count(distinct r.rid) {_others(self, statement)})",
            statement,
        )
        number, visible = rows[0]
        return int(visible) if number < limit else None


def told_of(walk: Walk | None, type_number: int, seen: Visibility) -> Told | None:
    """What the index on codes tells of a search for a lone code; None where it tells nothing."""
    if walk is None or len({key for key, _ in walk.pairs}) > 1:
        return None
    found = surely(seen)
    return None if isinstance(found.patient, Nothing) else Told(walk, type_number, seen, found)


def _patients(told: Told, statement: Statement, limit: int) -> str:
    """A row for each patient with the code, and how many records have it."""
    bind = statement.bind
    is_once = len(told.walk.pairs) == 1 and told.walk.pairs[0][1] is not None
    # With no system told a record can have the code twice: then it is two neighbours.
    distinct = "" if is_once else "distinct on (s.low, s.rid) "
    entries = (
        f"select {distinct}s.patient from records.keyed s where {of_walk(told.walk, bind)}"
        f" order by {BY_TIME} limit {bind(limit)}::bigint"
    )
    return f"select s.patient, count(*) as number from ({entries}) s group by s.patient"


def _is_told(told: Told, statement: Statement) -> str:
    """All records of the type that a patient `p` has are seen. Never so of what is of nobody."""
    bind = statement.bind
    condition = f"p.patient is not null and {visibility_sql(told.surely.patient, bind, 'p')}"
    if not told.surely.labels:
        return condition
    # Of all who have such records, or of each patient by itself, as the planner finds better.
    apart = (
        f"select from records.record l where l.type = {bind(told.type_number)}::smallint"
        f" and l.patient = p.patient and l.labels && {bind(sorted(told.surely.labels))}::bigint[]"
    )
    return f"{condition} and not exists ({apart})"


def _others(told: Told, statement: Statement) -> str:
    """The records of those patients of whom it is not told, each looked up by its key: the planner
    would take them for half of all, and rather read the table.
    """
    bind = statement.bind
    entries = (
        f"select s.rid, s.patient from records.keyed s where {of_walk(told.walk, bind)}"
        f" order by {BY_TIME} offset 0"
    )
    visible = visibility_sql(told.seen, bind, "r")
    return (
        f"from ({entries}) s cross join lateral (select r.rid from records.record r"
        f" where r.type = {bind(told.type_number)}::smallint and r.rid = s.rid"
        f" and r.flags & 1 <> 1 and {visible} limit 1) r"
        " where (select exists (select from t where not t.told))"
        " and (s.patient is null or s.patient in (select t.patient from t where not t.told))"
    )
