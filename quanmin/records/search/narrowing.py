"""Chooses how each clause is asked, by measuring first how many records it concerns.

The planner cannot know how common a code is within thousands of others, and the two good plans are
far apart: what few records have is fetched by record key; what many have is met soon by walking the
wanted order and asking the side index about each row. Counting a side index up to a limit costs
under two milliseconds and settles it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from quanmin.fhir.query import Clause
from quanmin.records.search.reader import Reader, Statement
from quanmin.records.search.term import Scope, Term, Walk, Write, any_rid
from quanmin.records.visibility_sql import Bind

# Fetched by key and handed back as an array.
FEW: Final = 1_000
# Up to here fetching all by key and sorting them (about 4 µs each) is quicker than walking until a
# slice is full: the two meet at the root of (slice x records), 14 thousand for ten million records.
MANY: Final = 8_000
_WALKED_CODES_MAX = 32


class Size(msgspec.Struct, frozen=True):
    """How many records a term finds: all their keys when few, else a number, which stops above
    MANY.
    """

    rids: frozenset[int] | None
    number: int


class Narrowed(msgspec.Struct, frozen=True):
    """How the clauses are asked: for reading rows, for counting them, and what is left to decide.

    `walk` is the keyed codes by which rows may be walked in time order; `walked` are then the
    conditions on the rows, the walk's own left out.
    """

    reading: tuple[Write, ...]
    counting: tuple[Write, ...]
    undecided: tuple[Clause, ...]
    walk: Walk | None = None
    walked: tuple[Write, ...] = ()
    only_set: Write | None = None


async def narrow(
    reader: Reader, scope: Scope, terms: Sequence[Term], *, is_driven: bool, is_timed: bool
) -> Narrowed:
    """Measure the terms and choose.

    `is_driven` says that something else already leaves few records, `is_timed` that records are
    wanted in the order of their main date.
    """
    terms = [_with_own_arm(scope, term) for term in terms]
    measured = [term for term in terms if term.found and (term.is_negative or not term.is_point)]
    sizes = dict(zip(map(id, measured), await _measure(reader, measured), strict=True))
    choice = _Choice(terms, sizes, is_driven=is_driven, is_timed=is_timed)
    return choice.narrowed()


def _with_own_arm(scope: Scope, term: Term) -> Term:
    """A term that has both forms gets one: what its row condition finds becomes a subselect too."""
    if term.row is None or not term.found:
        return term
    row = term.row

    def arm(bind: Bind) -> str:
        return (
            "select r.rid from records.record r where r.flags & 1 <> 1"
            f" and r.type = any({bind(scope.numbers)}::smallint[]) and {row(bind)}"
        )

    return msgspec.structs.replace(term, row=None, found=(*term.found, arm), probe=None)


async def _measure(reader: Reader, terms: Sequence[Term]) -> list[Size]:
    if not terms:
        return []
    statement = Statement()
    columns = []
    for term in terms:
        few = f"array(select f.rid from ({_union(term, statement.bind)}) f limit {FEW + 1})"
        many = f"select 1 from ({_union(term, statement.bind)}) f limit {MANY + 1}"
        columns += [few, f"(select count(*) from ({many}) m)"]
    row = (await reader.rows(f"select {', '.join(columns)}", statement))[0]
    sizes = []
    for place in range(len(terms)):
        rids, number = row[2 * place], row[2 * place + 1]
        sizes.append(Size(frozenset(rids) if len(rids) <= FEW else None, number))
    return sizes


def _union(term: Term, bind: Bind) -> str:
    return " union all ".join(write(bind) for write in term.found)


def _in_set(term: Term) -> Write:
    return lambda bind: f"r.rid in ({_union(term, bind)})"


def _fetched(term: Term) -> Write:
    """Leads the plan: an array is looked up by key, whatever the planner thinks of the
    subselect.
    """
    return lambda bind: f"r.rid = any(array({_union(term, bind)}))"


def _not(write: Write) -> Write:
    return lambda bind: f"({write(bind)}) is not true"


class _Choice:
    """Goes through the terms once, the most selective first."""

    def __init__(
        self, terms: Sequence[Term], sizes: dict[int, Size], *, is_driven: bool, is_timed: bool
    ) -> None:
        self._sizes = sizes
        self._terms = sorted(terms, key=self._rank)
        self._is_driven = is_driven or any(self._leads(term) for term in terms)
        self._walked = self._walkable() if is_timed and not self._is_driven else None
        self._has_lead = False
        self._reading: list[Write] = []
        self._counting: list[Write] = []
        self._walking: list[Write] = []
        self._undecided: list[Clause] = []

    def narrowed(self) -> Narrowed:
        for term in self._terms:
            self._add(term)
        walk = self._walked.walk if self._walked is not None else None
        return Narrowed(
            tuple(self._reading),
            tuple(self._counting),
            tuple(self._undecided),
            walk=walk,
            walked=tuple(self._walking),
            only_set=self._only_set(),
        )

    def _rank(self, term: Term) -> int:
        size = self._sizes.get(id(term))
        return size.number if size is not None else -1

    def _leads(self, term: Term) -> bool:
        if term.is_negative:
            return False
        size = self._sizes.get(id(term))
        return term.drives or term.is_point or (size is not None and size.rids is not None)

    def _walkable(self) -> Term | None:
        """The one large set, when it can be walked in time order."""
        large = [term for term in self._terms if id(term) in self._sizes and not term.is_negative]
        if len(large) != 1 or large[0].walk is None:
            return None
        return large[0] if len(large[0].walk.pairs) <= _WALKED_CODES_MAX else None

    def _only_set(self) -> Write | None:
        """The side table's own answer, when the search asks for nothing else."""
        if len(self._terms) == 1 and self._terms[0].found and not self._terms[0].is_negative:
            term = self._terms[0]
            return lambda bind: _union(term, bind)
        return None

    def _add(self, term: Term) -> None:
        if not term.found:
            self._add_row(term)
        elif term.is_negative:
            self._add_negative(term)
        else:
            self._add_set(term)

    def _add_row(self, term: Term) -> None:
        if not term.is_exact:
            self._undecided.append(term.clause)
        if term.row is None or (term.is_negative and not term.is_exact):
            return
        self._ask(_not(term.row) if term.is_negative else term.row)

    def _add_negative(self, term: Term) -> None:
        rids = self._sizes[id(term)].rids
        if rids is not None:
            self._ask(_not(any_rid(set(rids))) if rids else None)
        elif term.probe is not None:
            self._ask(_not(term.probe), counting=_not(_in_set(term)))
        else:
            self._ask(_not(_in_set(term)))

    def _add_set(self, term: Term) -> None:
        size = self._sizes.get(id(term))
        if size is None:
            self._ask(_in_set(term))
        elif size.rids is not None:
            self._ask(any_rid(set(size.rids)))
        elif self._is_driven and term.probe is not None:
            self._ask(term.probe)
        elif self._is_driven:
            # Few records are left: they are decided after decryption, at less cost than a set of
            # many.
            self._undecided.append(term.clause)
        else:
            self._add_many(term, size)

    def _add_many(self, term: Term, size: Size) -> None:
        reading = term.probe or _in_set(term)
        if size.number <= MANY and not self._has_lead:
            reading = _fetched(term)
            self._has_lead = True
        self._ask(reading, counting=_in_set(term), walked=term is not self._walked)

    def _ask(
        self, write: Write | None, *, counting: Write | None = None, walked: bool = True
    ) -> None:
        if write is None:
            return
        self._reading.append(write)
        self._counting.append(counting or write)
        if walked:
            self._walking.append(write)
