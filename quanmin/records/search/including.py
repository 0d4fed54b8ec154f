"""Records that hits refer to, or that refer to hits, given along with them (`_include`,
`_revinclude`).

Included records pass the same visibility as hits. They are not included any further.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from quanmin.base.problems import Issue
from quanmin.fhir.query import Include, Query
from quanmin.fhir.table import TypeDefinition
from quanmin.fhir.values import Link
from quanmin.records.context import ROW, Context
from quanmin.records.index import link_name
from quanmin.records.model import Stored
from quanmin.records.search.deciding import values_of
from quanmin.records.search.linked import takes
from quanmin.records.search.reader import Reader, Statement
from quanmin.records.visibility import Visibility
from quanmin.records.visibility_sql import visibility_sql


async def included(
    reader: Reader, context: Context, query: Query, hits: Sequence[Stored], visibility: Visibility
) -> tuple[list[Stored], list[Issue]]:
    """What the query's includes add to `hits`, none of them among it, and a warning when not all
    fit.
    """
    if not hits or not (query.includes or query.revincludes):
        return [], []
    limit = context.limits.include_rows_max
    known = {stored.rid for stored in hits}
    forward = _targets(context, query.includes, hits) - known
    found = await _by_key(reader, sorted(forward), visibility, limit + 1)
    backward = _reference_keys(context, query.revincludes, hits)
    if backward and len(found) <= limit:
        rows = await _by_reference(reader, backward, visibility, limit + 1)
        already = known | {stored.rid for stored in found}
        found += [stored for stored in rows if stored.rid not in already]
    issues = [_cut(limit)] if len(found) > limit else []
    return found[:limit], issues


def _cut(limit: int) -> Issue:
    return Issue(
        "warning",
        "too-costly",
        f"only the first {limit} included records are given: ask for fewer hits with _count,"
        " or follow the references one by one",
    )


def _targets(context: Context, includes: Iterable[Include], hits: Sequence[Stored]) -> set[int]:
    """The record keys that hits refer to by the parameters asked for."""
    wanted = tuple(includes)
    sources = {include.source for include in wanted}
    found: set[int] = set()
    for stored in hits:
        if stored.type not in sources:
            continue
        links = _links(stored, wanted, context)
        rids = (context.rid_of(type_, id_) for type_, id_ in links)
        found.update(rid for rid in rids if rid is not None)
    return found


def _links(
    stored: Stored, includes: Sequence[Include], context: Context
) -> Iterator[tuple[str, str]]:
    values = values_of(stored, context)
    for include in includes:
        if include.source != stored.type:
            continue
        names = values if include.param == "*" else [include.param]
        links = (link for name in names for link in values.get(name, []) if isinstance(link, Link))
        for link in links:
            is_wanted = include.target in {None, link.type}
            if is_wanted and link.type is not None and link.id is not None:
                yield link.type, link.id


async def _by_key(
    reader: Reader, rids: list[int], visibility: Visibility, limit: int
) -> list[Stored]:
    if not rids:
        return []
    statement = Statement()
    rows = await reader.rows(
        f"select {ROW} from records.record r where r.rid = any({statement.bind(rids)}::bigint[])"
        f" and r.flags & 1 <> 1 and {visibility_sql(visibility, statement.bind, 'r')}"
        f" limit {statement.bind(limit)}::bigint",
        statement,
    )
    return await reader.open(sorted(rows, key=lambda row: int(row["rid"])))


def _reference_keys(
    context: Context, includes: Iterable[Include], hits: Sequence[Stored]
) -> dict[int, set[int]]:
    """For each type that may refer to hits, the keys under which its records do."""
    found: dict[int, set[int]] = {}
    for include in includes:
        definition = context.definition(include.source)
        names = _reference_params(definition, include)
        keys = {
            context.keying.reference(definition.name, link_name(definition.name, name), stored.rid)
            for stored in hits
            if include.target in {None, stored.type}
            for name in names
            if takes(definition.params[name], stored.type)
        }
        if keys:
            found.setdefault(definition.number, set()).update(keys)
    return found


def _reference_params(definition: TypeDefinition, include: Include) -> list[str]:
    if include.param != "*":
        return [include.param]
    return [param.name for param in definition.params.values() if param.kind == "reference"]


async def _by_reference(
    reader: Reader, keys: dict[int, set[int]], visibility: Visibility, limit: int
) -> list[Stored]:
    statement = Statement()
    parts = [
        f"(select {ROW} from records.record r where r.type = {statement.bind(number)}::smallint"
        f" and r.refs && {statement.bind(sorted(of_type))}::bigint[] and r.flags & 1 <> 1"
        f" and {visibility_sql(visibility, statement.bind, 'r')}"
        f" limit {statement.bind(limit)}::bigint)"
        for number, of_type in keys.items()
    ]
    rows = await reader.rows(" union all ".join(parts), statement)
    return await reader.open(sorted(rows, key=lambda row: int(row["rid"])))
