"""Carries out a search: what is asked is measured, chosen, read, counted and completed."""

from __future__ import annotations

from quanmin.base.database import Connection
from quanmin.fhir.addresses import localized_query
from quanmin.fhir.query import Query
from quanmin.records.context import Context
from quanmin.records.model import Hits, Stored
from quanmin.records.search.including import included
from quanmin.records.search.order import Order, order_of
from quanmin.records.search.reader import Reader, Statement
from quanmin.records.search.selecting import select
from quanmin.records.search.selection import OfEach, Selection
from quanmin.records.search.slices import Slices
from quanmin.records.search.sorting import sorted_slice
from quanmin.records.search.term import Scope
from quanmin.records.search.totals import Total, total_of
from quanmin.records.visibility import Visibility


async def search(
    connection: Connection, context: Context, query: Query, visibility: Visibility
) -> Hits:
    """The records a query finds among those visible, one slice of them.

    To be of one moment it wants a connection in a snapshot. Raises TooCostly, saying how to narrow,
    beyond the store's limits of time, sorting and counting; Malformed for a cursor of another
    search.
    """
    query = localized_query(query, context.base)
    reader = Reader(connection, context)
    scope = await _scope(reader, context, query)
    order = order_of(scope, query.sort)
    if len(scope.definitions) == 1:
        selection: Selection = await select(reader, scope, query, visibility, order)
    else:
        parts = [
            await select(reader, Scope(context, (definition,)), query, visibility, order)
            for definition in scope.definitions
        ]
        selection = OfEach.of(parts)
    matches, cursor = await _matches(reader, context, selection, query, order)
    others, issues = await included(reader, context, query, matches, visibility)
    total = await _total(reader, context, selection, query, None if cursor else matches)
    return Hits(
        tuple(matches),
        tuple(others),
        total=None if total is None else total.number,
        total_is_exact=total is None or total.is_exact,
        next=cursor,
        issues=(*query.ignored, *issues),
    )


async def _scope(reader: Reader, context: Context, query: Query) -> Scope:
    """The types a query is about; of all, or of a compartment, those there are records of."""
    if query.type is not None:
        return Scope(context, (context.definition(query.type),))
    types = context.table.types
    names = set(types)
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
    return Scope(context, tuple(context.named(row["number"]) for row in rows))


def _is_counting(query: Query) -> bool:
    return query.summary == "count" or query.count == 0


async def _matches(
    reader: Reader, context: Context, selection: Selection, query: Query, order: Order | None
) -> tuple[list[Stored], str | None]:
    if _is_counting(query):
        return [], None
    count = query.count or context.limits.search_count_default
    if order is None:
        return await sorted_slice(reader, context, selection, query, count)
    return await Slices(reader, selection, order, context).after(query.cursor, count)


async def _total(
    reader: Reader, context: Context, selection: Selection, query: Query, last: list[Stored] | None
) -> Total | None:
    """The total asked for. `last` are the hits when no slice follows them."""
    is_whole = last is not None and query.cursor is None and not _is_counting(query)
    if is_whole and last is not None and query.total in {"accurate", "estimate"}:
        return Total(len(last), is_exact=True)
    return await total_of(reader, context, selection, query)
