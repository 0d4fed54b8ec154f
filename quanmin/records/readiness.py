"""How far the index is: what of it may be searched by, and what is said of the rest.

A search by what is not indexed for every record would find some of what there is and look like all.
It is refused, under either handling, with how far the indexing has come.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal

import msgspec

from quanmin.base.database import Connection, Database
from quanmin.base.jobs import Reason
from quanmin.base.problems import NotSupported, Outdated, Overloaded, Sentence
from quanmin.fhir.query import Include, Query, asked_of
from quanmin.fhir.table import Table
from quanmin.fhir.values import SearchParameter
from quanmin.records.catalogue import Catalogue, IndexRule
from quanmin.records.context import Context

State = Literal["unused", "pending", "indexing", "ready", "failed"]

# A job that has ended without making its subject ready was given up, cancelled or forgotten.
_STATES: Final = """
    select {columns}, s.state, s.reason, s.job, j.state as job_state, j.done, j.total, j.reasons
    from indexing.{table} s left join jobs.job j on j.job = s.job
"""
_PARAMETERS: Final = _STATES.format(
    table="parameter",
    columns="s.generation, s.rid, s.url, s.codes, s.kind,"
    " (select version from indexing.catalogue) as catalogue",
)
_RULES: Final = _STATES.format(table="rule", columns="s.rule, s.version")
_RETRY_SECONDS: Final = 10


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """How far one parameter or one rule is. `done` and `total` count records, the total estimated
    beforehand; `job` works or worked at it.
    """

    state: State
    done: int = 0
    total: int | None = None
    reason: str = ""
    job: int | None = None

    @property
    def share(self) -> float:
        """How much of it is done, 0 to 1."""
        if self.state == "ready":
            return 1.0
        return min(self.done / self.total, 0.99) if self.total else 0.0


class ParameterState(msgspec.Struct, frozen=True):
    """A custom search parameter and how far it is; `rid` is the key of its SearchParameter."""

    generation: int
    rid: int
    url: str
    code: str
    types: tuple[str, ...]
    kind: str
    readiness: Readiness


class RuleState(msgspec.Struct, frozen=True):
    """A rule of indexing, the version that the store has or is getting, and how far that is."""

    rule: str
    version: int
    readiness: Readiness


async def parameter_states(database: Database) -> list[ParameterState]:
    """Every custom search parameter there is, the oldest first."""
    rows = await database.fetch(_PARAMETERS + " where s.state <> 'removed' order by s.generation")
    return [_parameter(row) for row in rows]


async def rule_states(database: Database) -> list[RuleState]:
    """Every rule by which the store is indexed."""
    rows = await database.fetch(_RULES + " order by s.rule")
    return [RuleState(row["rule"], row["version"], _readiness(row)) for row in rows]


class Indexed(msgspec.Struct, frozen=True):
    """How far the whole index is, at one moment; `ready` are the custom parameters that can be
    searched by, `unready` the rules that not all records are indexed by.
    """

    parameters: tuple[ParameterState, ...]
    rules: tuple[RuleState, ...]
    ready: tuple[SearchParameter, ...]
    unready: tuple[IndexRule, ...]


async def indexed(database: Database, catalogue: Catalogue) -> Indexed:
    """How far the index is; the catalogue has been read just before."""
    parameters = await parameter_states(database)
    ready = {one.generation for one in parameters if one.readiness.state == "ready"}
    customs = (param for several in catalogue.customs.values() for param in several)
    return Indexed(
        tuple(parameters),
        tuple(await rule_states(database)),
        tuple(one for one in customs if one.custom and one.custom.generation in ready),
        catalogue.unready,
    )


def _parameter(row: Any) -> ParameterState:
    named = [text.partition(" ") for text in row["codes"]]
    return ParameterState(
        row["generation"],
        row["rid"],
        row["url"],
        named[0][2],
        tuple(type_ for type_, _, _ in named),
        row["kind"],
        _readiness(row),
    )


def _readiness(row: Any) -> Readiness:
    state, reason = row["state"], row["reason"]
    if state == "indexing" and row["job_state"] not in {"waiting", "running"}:
        reasons = msgspec.json.decode(row["reasons"] or "[]", type=list[Reason])
        why = reasons[0].text if reasons else "its job is not there any more"
        state, reason = "failed", reason or why
    is_counted = state in {"indexing", "failed"}
    return Readiness(
        state=state,
        done=(row["done"] or 0) if is_counted else 0,
        total=row["total"] if is_counted else None,
        reason=reason,
        job=row["job"],
    )


# ---- asked by a search ---------------------------------------------------------------------------


async def require_indexed(connection: Connection, context: Context, query: Query) -> None:
    """`require_ready` by what this process knows, which it reads when it has looked at none yet."""
    if not context.catalogue.version:
        await context.refresh(connection)
    await require_ready(connection, context.catalogue, query)


async def require_ready(connection: Connection, catalogue: Catalogue, query: Query) -> None:
    """Make sure that all the query asks for is indexed for every record, in the snapshot of the
    connection. Costs nothing where it asks for parameters of R4 in a store that is whole.

    Raises Overloaded with how far it is, NotSupported when it has stopped, Outdated when this
    process knows an old definition.
    """
    customs: dict[int, tuple[str, SearchParameter]] = {}
    rules: dict[str, tuple[str, IndexRule]] = {}
    for type_, param, modifier in _needed(query, catalogue.table):
        shown = f"{type_}:{param.code}"
        if param.custom is not None:
            customs[param.custom.generation] = shown, param
        for rule in catalogue.unready:
            if rule.is_for(type_, param, modifier):
                rules[rule.name] = f"{shown}:{modifier}" if modifier else shown, rule
    if customs:
        await _require_parameters(connection, catalogue.version, customs)
    if rules:
        await _require_rules(connection, rules)


def _needed(query: Query, table: Table) -> Iterator[tuple[str, SearchParameter, str | None]]:
    yield from asked_of(query)
    for include in (*query.includes, *query.revincludes):
        for param in _followed(include, table):
            yield include.source, param, None
    # All that a hit refers to stands in the hit: no index is asked for it.
    for include in query.revincludes:
        for param in include.customs if include.is_of_all else ():
            yield include.source, param, None


def _followed(include: Include, table: Table) -> Iterable[SearchParameter]:
    if include.customs and not include.is_of_all:
        return include.customs
    params = table.types[include.source].params.values()
    return (
        one
        for one in params
        if not one.is_custom and (include.is_of_all or one.name == include.param)
    )


async def _require_parameters(
    connection: Connection, version: int, asked: dict[int, tuple[str, SearchParameter]]
) -> None:
    rows = await connection.fetch(
        _PARAMETERS + " where s.generation = any($1) and s.state not in ('removed', 'unused')",
        list(asked),
    )
    # A definition may have changed in what it lets be asked, and keep its generation.
    if len(rows) < len(asked) or any(row["catalogue"] != version for row in rows):
        raise Outdated("a search parameter has just been changed: ask again", retry_after_seconds=1)
    for row in rows:
        _refuse(asked[row["generation"]][0], _readiness(row))


async def _require_rules(connection: Connection, asked: dict[str, tuple[str, IndexRule]]) -> None:
    rows = await connection.fetch(_RULES + " where s.rule = any($1)", list(asked))
    known = {(row["rule"], row["version"]): _readiness(row) for row in rows}
    for shown, rule in asked.values():
        _refuse(shown, known.get((rule.name, rule.version), Readiness(state="pending")))


def _refuse(shown: str, readiness: Readiness) -> None:
    if readiness.state == "ready":
        return
    if readiness.state == "failed":
        job = readiness.job
        retry = "" if job is None else Sentence(" with `quanmin jobs retry %(job)s`", job=job)
        raise NotSupported(
            Sentence(
                "%(shown)s is not indexed for all records, and the indexing has stopped"
                " (%(reason)s): an operator can let it go on%(retry)s; search without it",
                shown=shown,
                reason=readiness.reason[:200],
                retry=retry,
            )
        )
    state = Sentence("waits to be indexed")
    if readiness.state == "indexing":
        state = Sentence(
            "is being indexed, %(share)s of the records are done", share=f"{readiness.share:.0%}"
        )
    raise Overloaded(
        Sentence(
            "%(shown)s %(state)s: until then a search by it would not find all there is. Ask"
            " again later, or search without it",
            shown=shown,
            state=state,
        ),
        retry_after_seconds=_RETRY_SECONDS,
    )
