"""Which records of one type are meant, and by which index they are best reached.

What is asked of other records is selected here too, under the same visibility.
"""

from __future__ import annotations

from quanmin.fhir.query import Condition, Query, query_of
from quanmin.records.search.arm import Write
from quanmin.records.search.chains import link_term
from quanmin.records.search.filtered import filter_term
from quanmin.records.search.linked import compartment_row
from quanmin.records.search.meaning import Meaning
from quanmin.records.search.narrowing import leads, narrow
from quanmin.records.search.order import Order, can_walk
from quanmin.records.search.reader import Reader
from quanmin.records.search.selection import Selected
from quanmin.records.search.term import Scope, never
from quanmin.records.search.terms import terms_of
from quanmin.records.search.told import told_of
from quanmin.records.visibility import (
    Both,
    Either,
    Everything,
    Except,
    Granted,
    OfNobody,
    OfPatient,
    OfType,
    Visibility,
    narrow_to_type,
)
from quanmin.records.visibility_sql import visibility_sql


async def select(
    reader: Reader, scope: Scope, query: Query, visibility: Visibility, order: Order | None
) -> Selected:
    """The visible records of the one type of `scope` that a query is about."""
    compartment = None
    if query.compartment is not None:
        compartment = compartment_row(scope, *query.compartment)
    return await _Selecting(reader, scope, visibility, compartment, is_few=compartment is not None)(
        query, order
    )


class _Selecting:
    """Selects records of one type, those for which `among` holds; `is_few` says they are few."""

    def __init__(
        self,
        reader: Reader,
        scope: Scope,
        visibility: Visibility,
        among: Write | None,
        *,
        is_few: bool,
    ) -> None:
        self._reader = reader
        self._scope = scope
        self._visibility = visibility
        self._among = among
        self._is_few = is_few
        self._seen = narrow_to_type(visibility, scope.definitions[0].name)

    async def __call__(self, query: Query, order: Order | None) -> Selected:
        always = self._always()
        is_open = isinstance(self._seen, Everything) and self._among is None
        is_met = self._among is None and not _may_lead(self._seen)
        meaning = Meaning(self._reader, self._scope.context, self._visibility)
        clauses = await meaning.of_all(self._scope.definitions[0], query.clauses)
        terms = await terms_of(self._reader, self._scope, clauses)
        is_of_few = self._is_few or _is_of_patients(self._seen)
        is_few = is_of_few or any(map(leads, terms))
        for link in query.links:
            terms.append(
                await link_term(self._reader, self._scope, link, self._end, is_driven=is_few)
            )
        for asked in query.filters:
            terms.append(
                await filter_term(
                    self._reader,
                    self._scope,
                    await meaning.of_filter(self._scope.definitions[0], asked),
                    self._alternative,
                    self._end,
                    is_driven=is_few,
                )
            )
        narrowed = await narrow(
            self._reader,
            always,
            terms,
            is_driven=is_of_few or self._among is not None,
            is_open=is_open,
            is_met=is_met,
            is_timed=can_walk(order),
        )
        if narrowed.is_empty:
            return Selected((*always, never), (*always, never))
        told = None
        if is_met and not is_open:
            told = told_of(narrowed.only_walk, self._scope.numbers[0], self._seen)
        return Selected(
            (*always, *narrowed.reading),
            (*always, *narrowed.counting),
            narrowed.undecided,
            narrowed.uncounted,
            narrowed.judges,
            walk=narrowed.walk,
            walked=(*always, *narrowed.walked),
            is_walk_alone=narrowed.is_walk_short
            or (is_met and (not narrowed.walked or narrowed.is_walk_near)),
            is_near=narrowed.is_walk_near,
            only_set=narrowed.only_set if is_open else (),
            only_walk=narrowed.only_walk if is_open else None,
            told=told,
            around=narrowed.only_walk,
        )

    def _always(self) -> list[Write]:
        number, seen = self._scope.numbers[0], self._seen
        always: list[Write] = [
            lambda bind: f"r.type = {bind(number)}::smallint",
            lambda _: "r.flags & 1 <> 1",
            lambda bind: visibility_sql(seen, bind, "r"),
        ]
        return always if self._among is None else [*always, self._among]

    async def _end(
        self,
        type_: str,
        condition: Condition,
        among: Write | None = None,
        *,
        is_few: bool = False,
    ) -> Selected:
        """What is asked of records at the other end of a reference, of what the asker may see."""
        context = self._scope.context
        scope = Scope(context, (context.definition(type_),))
        selecting = _Selecting(self._reader, scope, self._visibility, among, is_few=is_few)
        return await selecting(query_of(type_, condition), None)

    async def _alternative(self, condition: Condition, *, is_few: bool) -> Selected:
        """What one alternative of a filter asks of the records that are selected here."""
        selecting = _Selecting(
            self._reader, self._scope, self._visibility, self._among, is_few=is_few
        )
        return await selecting(query_of(self._scope.definitions[0].name, condition), None)


def _may_lead(visibility: Visibility) -> bool:
    """Whether what is visible may be so little that it is better fetched by an index than met among
    all that is asked for.
    """
    match visibility:
        case Everything() | Except() | OfNobody() | OfType():
            return False
        case Granted():
            return not visibility.is_wide
        case Both(parts):
            return any(_may_lead(part) for part in parts)
        case Either(parts):
            return all(_may_lead(part) for part in parts)
        case _:
            return True


def _is_of_patients(visibility: Visibility) -> bool:
    """Whether only the records of a few patients are visible at all."""
    match visibility:
        case OfPatient():
            return True
        case Both(parts):
            return any(_is_of_patients(part) for part in parts)
        case _:
            return False
