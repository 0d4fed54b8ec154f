"""Keeps what is searched by equal to the SearchParameter resources, in the transaction that writes
one.

From the commit on every writer indexes by it, and a job indexes what was there before. A code
belongs to who defined it first: the same code of another sender is kept as a record and means
nothing until the first is gone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from quanmin.base.database import Connection
from quanmin.base.jobs import put
from quanmin.base.problems import Invalid, Issue, Sentence
from quanmin.fhir.defining import Defined, is_active, read_definition
from quanmin.fhir.table import load_table
from quanmin.fhir.values import Kind
from quanmin.records.operation import Change

REINDEX: Final = "reindex"

# Whoever changes the catalogue holds its row until the commit: they come one after the other.
HOLD: Final = "select version from indexing.catalogue for update"
NEXT: Final = "update indexing.catalogue set version = version + 1 returning version"
_OPEN: Final = """
    select true from indexing.parameter
    where state in ('pending', 'removed') and job is null limit 1
"""
_GENERATION: Final = "select nextval(pg_get_serial_sequence('indexing.parameter', 'generation'))"
_CURRENT: Final = """
    select generation, since, state, definition::text as definition from indexing.parameter
    where rid = $1 and state <> 'removed'
"""
HOLDER: Final = """
    select sender, url from indexing.parameter
    where codes && $1 and rid <> $2 and state not in ('unused', 'removed') limit 1
"""
_INSERT: Final = """
    insert into indexing.parameter
        (generation, rid, sender, since, url, codes, kind, definition, state, reason)
    overriding system value values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""
_REMOVE: Final = """
    update indexing.parameter set state = 'removed', job = null where generation = $1
"""
_DELETE: Final = "delete from indexing.parameter where generation = $1"
_WAITING: Final = """
    select generation, codes from indexing.parameter where state = 'unused'
    order by since, generation
"""
_TAKEN: Final = """
    select true from indexing.parameter
    where codes && $1 and state not in ('unused', 'removed') limit 1
"""


class SearchParameterIndex:
    """The projection of SearchParameter resources onto what is indexed."""

    types = frozenset({"SearchParameter"})
    is_early = False

    async def apply(self, connection: Connection, changes: Sequence[Change]) -> None:
        """Bring the catalogue up to these changes. Raises Invalid for one that cannot be served."""
        await connection.execute(HOLD)
        results = [await _apply(connection, change) for change in changes]
        if not any(results):
            return
        await _advance(connection)
        version = await connection.fetchval(NEXT)
        # The job takes up whatever is open when it begins, so that one walk serves several.
        if await connection.fetchval(_OPEN):
            await put(connection, REINDEX, {}, owner="node", once=f"catalogue {version}")


async def _apply(connection: Connection, change: Change) -> bool:
    """Whether anything changed for what is indexed, or for how it is searched."""
    row = await connection.fetchrow(_CURRENT, change.rid)
    resource = change.resource
    if resource is None or not is_active(resource):
        if row is None:
            return False
        await _drop(connection, row)
        return True
    generation = await connection.fetchval(_GENERATION)
    kinds = await _kinds(connection, resource)
    defined = read_definition(resource, generation, load_table(), kinds.get)
    codes = [f"{type_} {defined.code}" for type_ in defined.types]
    holder = await connection.fetchrow(HOLDER, codes, change.rid)
    if holder is not None and holder["sender"] == change.sender:
        raise _clash(defined, holder["url"])
    if row is not None and await _is_kept(connection, row, resource, kinds, unused=holder):
        return True
    since = change.updated
    if row is not None:
        since = row["since"]
        await _drop(connection, row)
    await connection.execute(
        _INSERT,
        generation,
        change.rid,
        change.sender,
        since,
        defined.url,
        codes,
        defined.kind,
        msgspec.json.encode(defined).decode(),
        "pending" if holder is None else "unused",
        "" if holder is None else "another sender has defined this code before",
    )
    return True


async def _is_kept(
    connection: Connection,
    row: Any,
    resource: Mapping[str, Any],
    kinds: Mapping[str, Kind],
    *,
    unused: object,
) -> bool:
    """Whether records are indexed by the changed definition as by the last, so that nothing need be
    indexed again; then it takes the place of the last.
    """
    defined = read_definition(resource, row["generation"], load_table(), kinds.get)
    before = msgspec.json.decode(row["definition"], type=Defined)
    is_the_same = (unused is not None) == (row["state"] == "unused")
    if not is_the_same or not defined.is_indexed_like(before):
        return False
    await connection.execute(
        "update indexing.parameter set definition = $2, url = $3 where generation = $1",
        row["generation"],
        msgspec.json.encode(defined).decode(),
        defined.url,
    )
    return True


async def _kinds(connection: Connection, resource: Mapping[str, Any]) -> dict[str, Kind]:
    """The kinds of the custom parameters that the components of a composite name."""
    named = [str(one.get("definition")) for one in resource.get("component") or ()]
    rows = await connection.fetch(
        "select url, kind from indexing.parameter where url = any($1) and state <> 'removed'",
        [canonical.partition("|")[0] for canonical in named],
    )
    return {row["url"]: row["kind"] for row in rows}


async def _drop(connection: Connection, row: Any) -> None:
    """Take a definition out; its rows in the side tables are deleted afterwards by the job."""
    await connection.execute(_DELETE if row["state"] == "unused" else _REMOVE, row["generation"])


async def _advance(connection: Connection) -> None:
    """Let those come into force whose code has become free, the earliest first."""
    for row in await connection.fetch(_WAITING):
        if not await connection.fetchval(_TAKEN, row["codes"]):
            await connection.execute(
                "update indexing.parameter set state = 'pending', reason = ''"
                " where generation = $1",
                row["generation"],
            )


def _clash(defined: Defined, url: str) -> Invalid:
    text = Sentence(
        "%(code)s is defined for one of these types by your SearchParameter %(url)s already: change"
        " or delete that one, or choose another code",
        code=defined.code,
        url=url[:200],
    )
    return Invalid(text, issues=(Issue("error", "duplicate", text, "SearchParameter.code"),))
