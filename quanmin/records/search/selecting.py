"""Which records of one type are meant, and by which index they are best reached.

What is asked of other records is selected here too, under the same visibility.
"""

from __future__ import annotations

import msgspec

from quanmin.fhir.query import Clause, Condition, Filtering, Query, query_of
from quanmin.records.reading import is_visible
from quanmin.records.search.arm import Write
from quanmin.records.search.chains import link_term
from quanmin.records.search.filtered import filter_term
from quanmin.records.search.linked import compartment_row
from quanmin.records.search.lots import Lot, asks_labels, lots_of, told_apart
from quanmin.records.search.meaning import Meaning
from quanmin.records.search.narrowing import MANY, leads, narrow
from quanmin.records.search.order import Order, can_walk
from quanmin.records.search.reader import Reader, Statement
from quanmin.records.search.selection import Selected
from quanmin.records.search.term import NOBODY, Scope, Term, any_rid, never
from quanmin.records.search.terms import terms_of
from quanmin.records.search.told import told_of
from quanmin.records.simplifying import seen_of_type
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
)
from quanmin.records.visibility_sql import visibility_sql


async def select(
    reader: Reader, scope: Scope, query: Query, visibility: Visibility, order: Order | None
) -> Selected:
    """The visible records of the one type of `scope` that a query is about."""
    return await _selecting(reader, scope, query, visibility).whole(query, order)


async def select_in_lots(
    reader: Reader, scope: Scope, query: Query, visibility: Visibility, order: Order | None
) -> tuple[tuple[Lot | None, Selected], ...]:
    """The same in disjoint parts, each with its lot, where an index tells all of them and what is
    asked does not leave few records in any case.
    """
    return await _selecting(reader, scope, query, visibility).in_lots(query, order)


def _selecting(reader: Reader, scope: Scope, query: Query, visibility: Visibility) -> _Selecting:
    compartment = None
    if query.compartment is not None:
        compartment = compartment_row(scope, *query.compartment)
    return _Selecting(reader, scope, visibility, compartment, is_few=compartment is not None)


class _Prepared(msgspec.Struct, frozen=True):
    """What is asked, made ready for all lots alike."""

    clauses: tuple[Clause, ...]
    terms: tuple[Term, ...]
    links: tuple[Term, ...]
    filters: tuple[Filtering, ...]

    def leads(self, *, but_by_patient: bool = False) -> bool:
        """Whether it leaves few records, whosever they are; or otherwise than by naming patients,
        whose records an index tells apart.
        """
        return any(
            term.drives and not term.is_negative and not (but_by_patient and term.owned)
            for term in (*self.terms, *self.links)
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
        lot = scope.lot
        self._seen = seen_of_type(visibility, scope.definitions[0].name)
        self._seen = self._seen if lot is None else lot.seen

    async def whole(self, query: Query, order: Order | None) -> Selected:
        """All that is seen at once."""
        return await self._selected(await self._prepared(query), order)

    async def in_lots(
        self, query: Query, order: Order | None
    ) -> tuple[tuple[Lot | None, Selected], ...]:
        """See `select_in_lots`."""
        prepared = await self._prepared(query)
        is_apart = self._among is None and not prepared.leads(but_by_patient=True)
        lots = lots_of(self._seen) if is_apart else ()
        if any(asks_labels(lot.seen) for lot in lots):
            lots = await self._told_apart(lots)
        is_measured = any(term.found for term in prepared.terms) or bool(prepared.filters)
        is_measured = is_measured and not prepared.leads()
        if is_measured and not all([await self._is_little(lot) for lot in lots]):
            lots = ()
        if not lots:
            return ((None, await self._selected(prepared, order)),)
        return tuple([(lot, await self._in(lot, prepared, order)) for lot in lots])

    async def _told_apart(self, lots: tuple[Lot, ...]) -> tuple[Lot, ...]:
        sets = self._scope.context.label_sets
        of = await sets.all(lambda text: self._reader.rows(text, Statement()))
        return told_apart(lots, of, is_full=sets.is_full)

    async def _is_little(self, lot: Lot) -> bool:
        """Whether each record of few patients may be asked; not of a sender, who has an index."""
        if not lot.is_of_few:
            return True
        statement = Statement()
        scope = msgspec.structs.replace(self._scope, lot=lot)
        selecting = _Selecting(self._reader, scope, self._visibility, None, is_few=False)
        where = " and ".join(write(statement.bind) for write in selecting._always())
        rows = f"select 1 from records.record r where {where} limit {MANY + 1}"
        number = (await self._reader.rows(f"select count(*) from ({rows}) c", statement))[0][0]
        return bool(number <= MANY)

    async def _in(self, lot: Lot, prepared: _Prepared, order: Order | None) -> Selected:
        scope = msgspec.structs.replace(self._scope, lot=lot)
        terms = await terms_of(self._reader, scope, prepared.clauses)
        selecting = _Selecting(self._reader, scope, self._visibility, None, is_few=False)
        return await selecting._selected(
            msgspec.structs.replace(prepared, terms=tuple(terms)), order
        )

    async def _prepared(self, query: Query) -> _Prepared:
        meaning = Meaning(self._reader, self._scope.context, self._visibility)
        definition = self._scope.definitions[0]
        clauses = await meaning.of_all(definition, query.clauses)
        terms = [
            await self._by_id(term) for term in await terms_of(self._reader, self._scope, clauses)
        ]
        is_few = self._is_few or _is_of_patients(self._seen) or any(map(leads, terms))
        links = [
            await link_term(self._reader, self._scope, link, self._end, is_driven=is_few)
            for link in query.links
        ]
        filters = [await meaning.of_filter(definition, asked) for asked in query.filters]
        return _Prepared(clauses, tuple(terms), tuple(links), tuple(filters))

    async def _by_id(self, term: Term) -> Term:
        """What is asked of one record by its id is asked of nobody where it is not seen: so as many
        rows are read whether it is hidden or not there.
        """
        if term.rid is None or term.is_negative or isinstance(self._seen, Everything):
            return term
        of = self._scope.definitions[0].name
        is_seen = await is_visible(self._reader, self._scope.context, self._seen, of, term.rid)
        return term if is_seen else msgspec.structs.replace(term, row=any_rid(set(NOBODY)))

    async def _selected(self, prepared: _Prepared, order: Order | None) -> Selected:
        lot = self._scope.lot
        always = self._always()
        is_open = isinstance(self._seen, Everything) and self._among is None
        # Along the index on senders nothing is met that is not seen.
        is_whole = lot is not None and lot.is_whole
        is_met = is_whole or (self._among is None and not _may_lead(self._seen))
        terms = [*prepared.terms, *prepared.links]
        is_of_few = self._is_few or _is_of_patients(self._seen)
        is_of_few = is_of_few or (lot is not None and lot.is_of_few)
        is_few = is_of_few or any(map(leads, prepared.terms))
        terms += [await self._filtered(asked, is_driven=is_few) for asked in prepared.filters]
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
        if is_met and not is_open and lot is None:
            told = told_of(narrowed.only_walk, self._scope.numbers[0], self._seen)
        is_all = is_open or (is_whole and narrowed.only_walk is not None)
        return Selected(
            (*always, *narrowed.reading),
            (*always, *narrowed.counting),
            narrowed.undecided,
            narrowed.uncounted,
            narrowed.judges,
            walk=narrowed.walk,
            walked=(*always, *narrowed.walked),
            is_walk_alone=narrowed.is_walk_short
            or (is_met and lot is None and (not narrowed.walked or narrowed.is_walk_near)),
            is_near=narrowed.is_walk_near,
            only_set=narrowed.only_set if is_all else (),
            only_walk=narrowed.only_walk if is_all else None,
            told=told,
            around=narrowed.only_walk,
        )

    async def _filtered(self, asked: Filtering, *, is_driven: bool) -> Term:
        return await filter_term(
            self._reader, self._scope, asked, self._alternative, self._end, is_driven=is_driven
        )

    def _always(self) -> list[Write]:
        number, seen, lot = self._scope.numbers[0], self._seen, self._scope.lot
        always: list[Write] = [
            lambda bind: f"r.type = {bind(number)}::smallint",
            lambda _: "r.flags & 1 <> 1",
            lambda bind: visibility_sql(seen, bind, "r"),
        ]
        if lot is not None and lot.apart is not None:
            always.append(lot.apart.write)
        return always if self._among is None else [*always, self._among]

    async def _end(
        self,
        type_: str,
        condition: Condition,
        among: Write | None = None,
        *,
        is_few: bool = False,
    ) -> tuple[Selected, ...]:
        """What is asked of records at the other end of a reference, of what the asker may see."""
        context = self._scope.context
        scope = Scope(context, (context.definition(type_),))
        selecting = _Selecting(self._reader, scope, self._visibility, among, is_few=is_few)
        parts = await selecting.in_lots(query_of(type_, condition), None)
        return tuple(selected for _, selected in parts)

    async def _alternative(self, condition: Condition, *, is_few: bool) -> Selected:
        """What one alternative of a filter asks of the records that are selected here."""
        selecting = _Selecting(
            self._reader, self._scope, self._visibility, self._among, is_few=is_few
        )
        return await selecting.whole(query_of(self._scope.definitions[0].name, condition), None)


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
