"""Records that hits refer to, or that refer to hits, given along with them (`_include`,
`_revinclude`).

Included records pass the same visibility as hits. Of them more is included only by what says
`:iterate`, until nothing new is found.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final

from quanmin.base.problems import Issue, Sentence
from quanmin.fhir.query import Include, Query
from quanmin.fhir.table import TypeDefinition
from quanmin.fhir.values import Link
from quanmin.records.context import ROW, Context
from quanmin.records.index import link_name
from quanmin.records.model import Stored
from quanmin.records.search.deciding import values_of
from quanmin.records.search.linked import takes
from quanmin.records.search.reader import Reader, Statement
from quanmin.records.simplifying import seen_of_type
from quanmin.records.visibility import Visibility
from quanmin.records.visibility_sql import visibility_sql

# How many references lie between a hit and what is included with it at most.
_ROUNDS_MAX: Final = 20


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
    found: list[Stored] = []
    fresh: Sequence[Stored] = hits
    includes, revincludes = query.includes, query.revincludes
    for _ in range(_ROUNDS_MAX):
        reader.check_time()
        room = limit + 1 - len(found)
        forward = _targets(context, includes, fresh)
        forward = {rid: type_ for rid, type_ in forward.items() if rid not in known}
        more = await _by_key(reader, context, forward, visibility, room)
        known.update(stored.rid for stored in more)
        backward = _reference_keys(context, revincludes, fresh)
        if backward and len(more) < room:
            more += await _by_reference(reader, backward, known, visibility, room - len(more))
            known.update(stored.rid for stored in more)
        found += more
        if len(found) > limit:
            return found[:limit], [cut(limit)]
        includes = tuple(one for one in includes if one.iterates)
        revincludes = tuple(one for one in revincludes if one.iterates)
        if not more or not (includes or revincludes):
            return found, []
        fresh = more
    return found, [_too_deep()]


def _too_deep() -> Issue:
    return Issue(
        "warning",
        "too-costly",
        Sentence(
            "references were followed %(rounds_max)s steps far: ask for what lies beyond by itself",
            rounds_max=_ROUNDS_MAX,
        ),
    )


def cut(limit: int) -> Issue:
    """What is said when not all included records are given."""
    return Issue(
        "warning",
        "too-costly",
        Sentence(
            "only the first %(limit)s included records are given: ask for fewer hits with"
            " _count, or follow the references one by one",
            limit=limit,
        ),
    )


def _targets(
    context: Context, includes: Iterable[Include], hits: Sequence[Stored]
) -> dict[int, str]:
    """The record keys that hits refer to by the parameters asked for, with the types."""
    wanted = tuple(includes)
    sources = {include.source for include in wanted}
    found: dict[int, str] = {}
    for stored in hits:
        if stored.type not in sources:
            continue
        for type_, id_ in _links(stored, wanted, context):
            rid = context.rid_of(type_, id_)
            if rid is not None:
                found[rid] = type_
    return found


def _links(
    stored: Stored, includes: Sequence[Include], context: Context
) -> Iterator[tuple[str, str]]:
    mine = [include for include in includes if include.source == stored.type]
    customs = [custom for include in mine for custom in include.customs]
    values = values_of(stored, context, customs)
    for include in mine:
        names = values if include.is_of_all else [include.name]
        links = (link for name in names for link in values.get(name, []) if isinstance(link, Link))
        for link in links:
            is_wanted = include.target in {None, link.type}
            if is_wanted and link.type is not None and link.id is not None:
                yield link.type, link.id


async def _by_key(
    reader: Reader, context: Context, targets: dict[int, str], visibility: Visibility, limit: int
) -> list[Stored]:
    """The visible ones. By types, so that the rest of the store is not prepared to be read."""
    if not targets:
        return []
    types = sorted(set(targets.values()))
    seen = seen_of_type(visibility, types[0]) if len(types) == 1 else visibility
    statement = Statement()
    bind = statement.bind
    numbers = bind([context.definition(type_).number for type_ in types])
    rows = await reader.rows(
        f"select {ROW} from records.record r where r.type = any({numbers}::smallint[])"
        f" and r.rid = any({bind(sorted(targets))}::bigint[])"
        f" and r.flags & 1 <> 1 and {visibility_sql(seen, bind, 'r')}"
        f" limit {bind(limit)}::bigint",
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
            if name not in definition.params or takes(definition.params[name], stored.type)
        }
        if keys:
            found.setdefault(definition.number, set()).update(keys)
    return found


def _reference_params(definition: TypeDefinition, include: Include) -> list[str]:
    if not include.is_of_all:
        return [include.name]
    params = definition.params.values()
    of_r4 = [one.name for one in params if one.kind == "reference" and not one.is_custom]
    return of_r4 + [one.name for one in include.customs]


async def _by_reference(
    reader: Reader,
    keys: dict[int, set[int]],
    known: Collection[int],
    visibility: Visibility,
    limit: int,
) -> list[Stored]:
    statement = Statement()
    bind = statement.bind
    others = f"r.rid <> all({bind(sorted(known))}::bigint[])"
    seen, first = visibility_sql(visibility, bind, "r"), f"limit {bind(limit)}::bigint"
    parts = []
    for number, of_type in keys.items():
        # Key by key: for a thousand at once the planner would rather read the table.
        referring = (
            f"select r.rid from records.record r where r.type = {bind(number)}::smallint"
            f" and r.refs @> array[w.key] and r.flags & 1 <> 1 and {others} and {seen} {first}"
        )
        rids = (
            f"select distinct f.rid from unnest({bind(sorted(of_type))}::bigint[]) as w (key)"
            f" cross join lateral ({referring}) f {first}"
        )
        parts.append(
            f"(select {ROW} from records.record r where r.type = {bind(number)}::smallint"
            f" and r.rid = any(array({rids})) {first})"
        )
    rows = await reader.rows(" union all ".join(parts), statement)
    return await reader.open(sorted(rows, key=lambda row: int(row["rid"])))
