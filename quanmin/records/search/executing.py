"""Carries out a search: what is asked is measured, chosen, read, counted and completed."""

from __future__ import annotations

import msgspec

from quanmin.base.database import Connection
from quanmin.base.problems import Sentence, TooCostly
from quanmin.fhir.addresses import localized_query
from quanmin.fhir.query import Query
from quanmin.records.context import Context
from quanmin.records.model import Hits, Stored
from quanmin.records.readiness import require_indexed
from quanmin.records.search.advising import advice
from quanmin.records.search.including import included
from quanmin.records.search.order import NEWEST_FIRST, Order, in_columns, order_of
from quanmin.records.search.reader import Reader, Statement
from quanmin.records.search.selecting import select_in_lots
from quanmin.records.search.selection import OfEach, Part, Selection
from quanmin.records.search.slices import Slices
from quanmin.records.search.sorting import TiedSlices, sorted_slice
from quanmin.records.search.term import Scope
from quanmin.records.search.totals import Total, estimated, total_of, wants_total
from quanmin.records.simplifying import seen_of_type
from quanmin.records.visibility import Everything, Visibility


async def search(
    connection: Connection, context: Context, query: Query, visibility: Visibility
) -> Hits:
    """The records a query finds among those visible, one slice of them.

    To be of one moment it wants a connection in a snapshot. Raises TooCostly, saying how to narrow,
    beyond the store's limits of time, sorting and counting; Malformed for a cursor of another
    search.
    """
    try:
        return await _search(connection, context, query, visibility)
    except TooCostly as costly:
        said = advice(query)
        text = Sentence("%(text)s.", text=costly.text)
        if said:
            text = Sentence("%(text)s. %(said)s", text=costly.text, said=said)
        raise TooCostly(text) from costly


async def _search(
    connection: Connection, context: Context, query: Query, visibility: Visibility
) -> Hits:
    await require_indexed(connection, context, query)
    query = localized_query(query, context.base)
    reader = Reader(connection, context)
    found = await _found(reader, context, query, visibility)
    matches, cursor = await _matches(reader, context, found, query)
    others, issues = await included(reader, context, query, matches, visibility)
    last = None if cursor else matches
    total = await _total(reader, context, found, query, last, visibility=visibility)
    if total is not None and not total.is_exact and query.total != "estimate":
        issues.append(estimated())
    return Hits(
        tuple(matches),
        tuple(others),
        total=None if total is None else total.number,
        total_is_exact=total is None or total.is_exact,
        next=cursor,
        issues=(*query.ignored, *issues),
    )


class _Found(msgspec.Struct, frozen=True):
    """What is selected, and the order that an index has for the first `given` keys of `_sort`."""

    selection: Selection
    order: Order
    given: int
    types: tuple[str, ...]

    def sees_all(self, visibility: Visibility) -> bool:
        """Whether every record of its types is visible."""
        seen = (seen_of_type(visibility, type_) for type_ in self.types)
        return all(isinstance(one, Everything) for one in seen)


async def _found(reader: Reader, context: Context, query: Query, visibility: Visibility) -> _Found:
    asked = await _by_type(reader, context, query)
    given = min((in_columns(scope, part.sort) for scope, part in asked), default=0)
    parts = []
    for scope, part in asked:
        clauses = () if query.type is None or part.sort else part.clauses
        order = order_of(scope, part.sort[:given], clauses)
        # What is sorted after reading is read in no order.
        wanted = order if given or not part.sort else None
        name = scope.definitions[0].name
        lots = await select_in_lots(reader, scope, part, visibility, wanted)
        parts += [Part(name, selected, order, lot) for lot, selected in lots]
    order = parts[0].order if parts else NEWEST_FIRST
    types = tuple(part.type for part in parts)
    if len(parts) == 1:
        return _Found(parts[0].selected, order, given, types)
    return _Found(OfEach(tuple(parts)), order, given, types)


async def _by_type(reader: Reader, context: Context, query: Query) -> list[tuple[Scope, Query]]:
    """The types a query is about, and what it asks of each; of several types, or of all of a
    compartment or of the node, those there are records of.
    """
    if query.type is not None:
        return [(Scope(context, (context.definition(query.type),)), query)]
    types = context.table.types
    parts = {part.type: part for part in query.parts if part.type is not None}
    names = set(parts) if parts else set(types)
    if query.compartment is not None:
        kind = query.compartment[0]
        names = {kind, *context.table.compartments.get(kind, ())} & names
    statement = Statement()
    numbers = statement.bind([types[name].number for name in sorted(names)])
    rows = await reader.rows(
        f"select t.number from unnest({numbers}::smallint[]) as t (number) cross join lateral"
        " (select 1 from records.record r where r.type = t.number limit 1) one",
        statement,
    )
    asked = []
    for row in rows:
        definition = context.named(row["number"])
        part = parts.get(definition.name, query)
        part = msgspec.structs.replace(part, compartment=query.compartment)
        asked.append((Scope(context, (definition,)), part))
    return asked


def _is_counting(query: Query) -> bool:
    return query.summary == "count" or query.count == 0


async def _matches(
    reader: Reader, context: Context, found: _Found, query: Query
) -> tuple[list[Stored], str | None]:
    if _is_counting(query):
        return [], None
    count = query.count or context.limits.search_count_default
    if query.sort and not found.given:
        return await sorted_slice(reader, context, found.selection, query, count)
    slices = Slices(reader, found.selection, found.order, context)
    if found.given == len(query.sort):
        return await slices.after(query.cursor, count)
    return await TiedSlices(slices, query, context, given=found.given).after(query.cursor, count)


async def _total(
    reader: Reader,
    context: Context,
    found: _Found,
    query: Query,
    last: list[Stored] | None,
    *,
    visibility: Visibility,
) -> Total | None:
    """The total asked for. `last` are the hits when no slice follows them."""
    is_whole = last is not None and query.cursor is None and not _is_counting(query)
    if is_whole and last is not None and query.total in {"accurate", "estimate"}:
        return Total(len(last), is_exact=True)
    sees_all = wants_total(query) and found.sees_all(visibility)
    return await total_of(reader, context, found.selection, query, sees_all=sees_all)
