"""Which records a search is about, and the statements that read or count them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import msgspec

from quanmin.fhir.query import Clause
from quanmin.records.context import ROW, SEVERAL, Context
from quanmin.records.model import Stored
from quanmin.records.search.arm import Arm, Write
from quanmin.records.search.coded import entries, of_walk
from quanmin.records.search.deciding import hits_among
from quanmin.records.search.lots import Lot
from quanmin.records.search.order import (
    Column,
    Order,
    Phase,
    Position,
    after,
    order_by,
    part_condition,
    phases,
    sorting_key,
)
from quanmin.records.search.reader import Reader, Statement
from quanmin.records.search.term import Judge, Walk
from quanmin.records.search.told import Told
from quanmin.records.visibility_sql import Bind

_OWN: dict[Column, str] = {"updated": "r.updated", "low": "r.low", "rid": "r.rid"}
_SIDE: dict[Column, str] = {"updated": "r.updated", "low": "s.low", "rid": "s.rid"}
_LAST: dict[Column, str] = {"updated": "r.updated", "low": "m.low", "rid": "r.rid"}
# A row found by its code. Its time is the index's own, so that what is asked of it is a range
# there.
_BY_CODE = (
    "s.low, s.rid, k.high, k.updated, k.patient, k.present, k.version, k.sender, k.bucket, k.type,"
    " k.flags, k.body, k.labels, k.tokens, k.refs, k.words, k.apart"
)


class Selection(Protocol):
    """The same records in every statement of a search.

    `undecided` clauses are left to Python by what reads rows, `uncounted` ones by what counts them.
    """

    @property
    def undecided(self) -> tuple[Clause, ...]:
        """What rows that were read must still be asked."""

    @property
    def uncounted(self) -> tuple[Clause, ...]:
        """What keeps rows from being counted by SQL alone."""

    @property
    def judges(self) -> tuple[Judge, ...]:
        """Who must agree beside, for reading and for counting."""

    @property
    def is_near(self) -> bool:
        """Whether rows that were read are hardly ever decided against by the clauses."""

    async def hits(self, opened: Sequence[Stored], context: Context) -> list[Stored]:
        """Those of opened rows that all agree on, in their order."""

    async def slice(
        self, reader: Reader, phase: Phase, position: Position | None, limit: int
    ) -> list[Any]:
        """The next rows of a phase after a position, in its order."""

    async def all(self, reader: Reader, limit: int) -> list[Any]:
        """All rows in no order, at most `limit`."""

    async def count(self, reader: Reader, limit: int) -> int:
        """How many rows there are, counted up to `limit`."""

    async def estimate(self, reader: Reader) -> int:
        """How many rows the planner expects."""


class Selected(msgspec.Struct, frozen=True):
    """The records of one or more types that meet conditions.

    `reading` and `counting` are the same conditions in the forms best for each. `walk` replaces one
    of them when records are read in time order; `walked` are then the others, and when there are
    none to speak of, `is_walk_alone`. `is_near` says that the clauses hardly ever decide against
    what it meets. `only_set` gives exactly the records selected, from a side table, and
    `only_walk` does where that is the index on codes; `told` counts them by it. `around` is the
    walk that has them and those like them that are hidden.
    """

    reading: tuple[Write, ...]
    counting: tuple[Write, ...]
    undecided: tuple[Clause, ...] = ()
    uncounted: tuple[Clause, ...] = ()
    judges: tuple[Judge, ...] = ()
    walk: Walk | None = None
    walked: tuple[Write, ...] = ()
    is_walk_alone: bool = False
    is_near: bool = False
    only_set: tuple[Arm, ...] = ()
    only_walk: Walk | None = None
    told: Told | None = None
    around: Walk | None = None

    async def hits(self, opened: Sequence[Stored], context: Context) -> list[Stored]:
        """See `Selection`."""
        return await hits_among(opened, self.undecided, self.judges, context)

    async def slice(
        self, reader: Reader, phase: Phase, position: Position | None, limit: int
    ) -> list[Any]:
        """See `Selection`."""
        text, statement = self._rows(phase, position, limit)
        if self.walk is not None and phase.order[0].column in {"low", "rid"}:
            by_walk = self._walked_rows(self.walk, phase, position, limit)
            other = (text, statement)
            if self.walk.walls and not self.is_walk_alone:
                # Of very many it may take longer to sort them than to meet them among all.
                among_all = msgspec.structs.replace(self.walk, walls=())
                other = text, statement = self._walked_rows(among_all, phase, position, limit)
            if self.is_walk_alone or await _is_cheaper(reader, by_walk, other):
                text, statement = by_walk
        return await reader.rows(text, statement)

    async def all(self, reader: Reader, limit: int) -> list[Any]:
        """See `Selection`."""
        text, statement = self._unordered(self.reading, ROW)
        return await reader.rows(f"{text} limit {statement.bind(limit)}::bigint", statement)

    async def values(self, reader: Reader, column: str, limit: int) -> tuple[int, set[int]]:
        """How many rows there are up to `limit`, with the values of a column in them.

        Nothing is decided after decryption.
        """
        statement = Statement()
        where = _all(write(statement.bind) for write in self.counting)
        text = (
            f"select count(*), array_agg(distinct c.value) from (select {column} as value"
            f" from records.record r where {where} limit {statement.bind(limit)}::bigint) c"
        )
        number, values = (await reader.rows(text, statement))[0]
        return number, {value for value in values or () if value is not None}

    async def references(
        self, reader: Reader, limit: int
    ) -> tuple[int, list[tuple[int, list[int]]]]:
        """How many rows there are up to `limit`, with the patient of each that is a patient's and
        all that it refers to, by key.

        Nothing is decided after decryption.
        """
        text, statement = self._unordered(self.counting, "r.patient, r.refs")
        rows = await reader.rows(f"{text} limit {statement.bind(limit)}::bigint", statement)
        return len(rows), [(patient, refs) for patient, refs in rows if patient and refs]

    async def patients(self, reader: Reader, limit: int) -> tuple[int, set[int]]:
        """How many rows up to `limit` the index on codes has for `around`, with the patients of
        their records. It reads no record.
        """
        if self.around is None:
            return 0, set()
        statement = Statement()
        of_code = entries(self.around, statement.bind, "s.patient", str(limit), is_owned=True)
        text = f"select count(*), array_agg(distinct c.patient) from ({of_code}) c"
        number, patients = (await reader.rows(text, statement))[0]
        return number, set(patients or ())

    async def count(self, reader: Reader, limit: int) -> int:
        """See `Selection`."""
        told = None if self.told is None else await self.told.count(reader, limit)
        if told is not None:
            return told
        counted = None if self.only_walk is None else _counted(self.only_walk)
        if counted is not None:
            text, statement = counted
        elif self.only_set:
            statement = Statement()
            union = " union all ".join(arm.first(statement.bind, limit) for arm in self.only_set)
            text = f"select distinct f.rid from ({union}) f"
        else:
            text, statement = self._unordered(self.counting, "1")
        text = f"select count(*) from ({text} limit {statement.bind(limit)}::bigint) c"
        return int((await reader.rows(text, statement))[0][0])

    async def estimate(self, reader: Reader) -> int:
        """See `Selection`."""
        return (await reader.cost(*self._unordered(self.counting, "1")))[1]

    def _unordered(self, conditions: tuple[Write, ...], columns: str) -> tuple[str, Statement]:
        statement = Statement()
        where = _all(write(statement.bind) for write in conditions)
        return f"select {columns} from records.record r where {where}", statement

    def _rows(self, phase: Phase, position: Position | None, limit: int) -> tuple[str, Statement]:
        statement = Statement()
        bind = statement.bind
        conditions = [write(bind) for write in self.reading]
        first = f"limit {bind(limit)}::bigint"
        own = [*conditions, *_place(phase, position, _OWN, statement)]
        if phase.several:
            own.append(f"r.flags & {SEVERAL} = 0")
        text = (
            f"select {ROW} from records.record r where {_all(own)}"
            f" order by {order_by(phase, _OWN)} {first}"
        )
        if not phase.several:
            return text, statement
        # Few records have several dates: the last of each is found anew for every slice.
        conditions += _place(phase, position, _LAST, statement)
        last = (
            "select d.rid, max(d.low) as low from records.dated d"
            f" where d.key = {bind(phase.several)}::bigint group by d.rid"
        )
        several = (
            f"select {ROW.replace('r.low', 'm.low')} from ({last}) m"
            f" join records.record r on r.rid = m.rid where {_all(conditions)}"
            f" order by {order_by(phase, _LAST)} {first}"
        )
        whole = f"select * from (({text}) union all ({several})) r order by {order_by(phase, _OWN)}"
        return f"{whole} {first}", statement

    def _walked_rows(
        self, walk: Walk, phase: Phase, position: Position | None, limit: int
    ) -> tuple[str, Statement]:
        """The same rows along the index on codes, which has each code's records by time."""
        statement = Statement()
        parts = []
        for pair in walk.pairs:
            of_pair = msgspec.structs.replace(walk, pairs=(pair,))
            parts.append(self._walked_part(of_pair, phase, position, statement, limit))
        if len(parts) == 1:
            return parts[0], statement
        text = (
            f"select distinct on ({_columns(phase, _OWN)}) * from ({' union all '.join(parts)}) r"
            f" order by {order_by(phase, _OWN)} limit {statement.bind(limit)}::bigint"
        )
        return text, statement

    def _walked_part(
        self,
        walk: Walk,
        phase: Phase,
        position: Position | None,
        statement: Statement,
        limit: int,
    ) -> str:
        bind = statement.bind
        where = of_walk(walk, bind)
        keyed = f"records.keyed s join records.record k on k.rid = s.rid where {where}"
        if walk.walls:
            # A sender's entries lie in no order: they are sorted before a record is looked up.
            own = [where, *_entries_after(phase, position, bind)]
            keyed = (
                f"(select s.low, s.rid from records.keyed s where {_all(own)}"
                f" order by {order_by(phase, _SIDE)} offset 0) s"
                " join records.record k on k.rid = s.rid"
            )
        conditions = [write(bind) for write in self.walked]
        conditions += _place(phase, position, _OWN, statement)
        # A record can have a code twice, in two systems. The join leaves the bucket out: rids
        # are unique, and the planner would multiply by its selectivity.
        return (
            f"(select distinct on ({_columns(phase, _OWN)}) {ROW} from (select {_BY_CODE}"
            f" from {keyed}) r where {_all(conditions)} order by {order_by(phase, _OWN)}"
            f" limit {bind(limit)}::bigint)"
        )


class Part(msgspec.Struct, frozen=True):
    """The selection of one type among those of several, and the order of all as it is of the type:
    each has a main date of its own. Of what is seen of the type, those of one lot.
    """

    type: str
    selected: Selected
    order: Order
    lot: Lot | None = None

    def has(self, stored: Stored) -> bool:
        """Whether a record that was selected is of this part."""
        return stored.type == self.type and (self.lot is None or self.lot.may_have(stored.facts))


class OfEach(msgspec.Struct, frozen=True):
    """Selections of several types or lots, each asked by itself and merged.

    Keys hold their type, so one question for all would ask each type's index for the keys of every
    other, and the planner would take the sum of what it does not know for a great deal.
    """

    parts: tuple[Part, ...]

    @property
    def undecided(self) -> tuple[Clause, ...]:
        """See `Selection`."""
        return tuple(clause for part in self.parts for clause in part.selected.undecided)

    @property
    def uncounted(self) -> tuple[Clause, ...]:
        """See `Selection`."""
        return tuple(clause for part in self.parts for clause in part.selected.uncounted)

    @property
    def judges(self) -> tuple[Judge, ...]:
        """See `Selection`."""
        return tuple(judge for part in self.parts for judge in part.selected.judges)

    @property
    def is_near(self) -> bool:
        """See `Selection`."""
        return all(part.selected.is_near for part in self.parts)

    async def hits(self, opened: Sequence[Stored], context: Context) -> list[Stored]:
        """See `Selection`. What is asked of a type is asked of its own records."""
        agreed: set[int] = set()
        for part in self.parts:
            mine = [stored for stored in opened if part.has(stored)]
            agreed.update(stored.rid for stored in await part.selected.hits(mine, context))
        return [stored for stored in opened if stored.rid in agreed]

    async def slice(
        self, reader: Reader, phase: Phase, position: Position | None, limit: int
    ) -> list[Any]:
        """See `Selection`."""
        rows: list[Any] = []
        for part in self.parts:
            own = phases(part.order)[phase.number]
            rows += await part.selected.slice(reader, own, position, limit)
        return sorted(rows, key=lambda row: sorting_key(phase, row))[:limit]

    async def all(self, reader: Reader, limit: int) -> list[Any]:
        """See `Selection`."""
        rows: list[Any] = []
        for part in self.parts:
            rows += await part.selected.all(reader, limit - len(rows))
            if len(rows) >= limit:
                break
        return rows

    async def count(self, reader: Reader, limit: int) -> int:
        """See `Selection`."""
        number = 0
        for part in self.parts:
            number += await part.selected.count(reader, limit - number)
            if number >= limit:
                break
        return number

    async def estimate(self, reader: Reader) -> int:
        """See `Selection`."""
        return sum([await part.selected.estimate(reader) for part in self.parts])


def _counted(walk: Walk) -> tuple[str, Statement] | None:
    """A row for each record with the one code of a walk, as they come in the index; None for more
    codes than one.

    With no system told a record can have the code twice: then it is two neighbours.
    """
    if len({key for key, _ in walk.pairs}) > 1:
        return None
    statement = Statement()
    is_told = len(walk.pairs) == 1 and walk.pairs[0][1] is not None
    return entries(walk, statement.bind, "1", is_distinct=not is_told), statement


async def _is_cheaper(
    reader: Reader, one: tuple[str, Statement], other: tuple[str, Statement]
) -> bool:
    return (await reader.cost(*one))[0] <= (await reader.cost(*other))[0]


def _place(
    phase: Phase, position: Position | None, columns: dict[Column, str], statement: Statement
) -> list[str]:
    conditions = part_condition(phase, columns)
    if position is not None:
        conditions += after(phase, position, columns, statement.bind)
    return conditions


def _entries_after(phase: Phase, position: Position | None, bind: Bind) -> list[str]:
    """What the phase and the position say of entries of the index on codes."""
    conditions = [] if position is None else after(phase, position, _SIDE, bind)
    if phase.timed or not phase.mask:
        conditions.append(f"s.low is {'not ' if phase.timed else ''}null")
    return conditions


def _columns(phase: Phase, columns: dict[Column, str]) -> str:
    return ", ".join(columns[key.column] for key in phase.order)


def _all(conditions: Iterable[str]) -> str:
    return " and ".join(conditions) or "true"
