"""Keeps the tables of terminology equal to the records, in the transaction that writes a record."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from quanmin.base.database import Connection
from quanmin.terminology.limits import TermLimits
from quanmin.terminology.systems import read_system

_CONCEPTS: Final = (
    *("resource", "concept", "matched", "code", "display", "is_abstract", "is_inactive"),
    *("parents", "words", "pinyin", "initials", "more"),
)
_ANCESTORS: Final = ("resource", "ancestor", "concept")
_PROPERTIES: Final = ("resource", "concept", "code", "value")
_MAPPINGS: Final = (
    *("resource", "place", "source_system", "source", "target_system", "target"),
    *("equivalence", "display", "more"),
)
_EMPTY: Final = tuple(
    f"delete from terminology.{table} where resource = $1"
    for table in ("concept", "ancestor", "property", "mapping")
)
# What is asked row by row is not kept a second time in the head.
_TAKEN_OUT: Final = {
    "CodeSystem": frozenset({"concept", "text", "contained"}),
    "ValueSet": frozenset({"text", "contained", "expansion"}),
    "ConceptMap": frozenset({"text", "contained"}),
}


class Changed(Protocol):
    """A new version of a record, as the store tells it."""

    @property
    def type(self) -> str:
        """The resource type."""

    @property
    def rid(self) -> int:
        """The record's key."""

    @property
    def sender(self) -> int:
        """The number of who wrote the record first."""

    @property
    def updated(self) -> int:
        """When, in microseconds."""

    @property
    def resource(self) -> dict[str, Any] | None:
        """The resource; None for a deletion."""


class TerminologyIndex:
    """The projection of CodeSystems, ValueSets and ConceptMaps onto tables."""

    types = frozenset({"CodeSystem", "ValueSet", "ConceptMap"})
    # The concepts of a large code system take seconds.
    is_early = True

    def __init__(self, limits: TermLimits | None = None) -> None:
        self._limits = limits or TermLimits()

    async def apply(self, connection: Connection, changes: Sequence[Changed]) -> None:
        """Write each changed record anew. Raises Invalid for a CodeSystem that contradicts itself.

        A resource without a canonical address is a record like any other, and nothing more.
        """
        for change in changes:
            since = await _forget(connection, change)
            if change.resource is not None and change.resource.get("url"):
                await self._write(connection, change, change.resource, since or change.updated)

    async def _write(
        self, connection: Connection, change: Changed, resource: dict[str, Any], since: int
    ) -> None:
        supplements = resource.get("supplements") if change.type == "CodeSystem" else None
        number = await connection.fetchval(
            "insert into terminology.resource"
            " (type, rid, sender, since, url, version, supplements, head)"
            " values ($1, $2, $3, $4, $5, $6, $7, $8) returning resource",
            change.type,
            change.rid,
            change.sender,
            since,
            resource["url"],
            resource.get("version") or "",
            None if supplements is None else supplements.partition("|")[0],
            msgspec.json.encode(_head(change.type, resource)).decode(),
        )
        if change.type == "CodeSystem":
            # Tens of thousands of concepts take a second, and requests go on meanwhile.
            rows = await asyncio.to_thread(read_system, resource, self._limits)
            await _copy(connection, "concept", number, _CONCEPTS, rows.concepts)
            await _copy(connection, "ancestor", number, _ANCESTORS, rows.ancestors)
            await _copy(connection, "property", number, _PROPERTIES, rows.properties)
        elif change.type == "ConceptMap":
            await _copy(connection, "mapping", number, _MAPPINGS, mappings(resource))


async def _forget(connection: Connection, change: Changed) -> int | None:
    """Take out what the last version said; since when the record was known."""
    row = await connection.fetchrow(
        "delete from terminology.resource where type = $1 and rid = $2 returning resource, since",
        change.type,
        change.rid,
    )
    if row is None:
        return None
    for statement in _EMPTY:
        await connection.execute(statement, row["resource"])
    return int(row["since"])


def _head(type_: str, resource: Mapping[str, Any]) -> dict[str, Any]:
    left = {name: value for name, value in resource.items() if name not in _TAKEN_OUT[type_]}
    if type_ == "ConceptMap":
        left["group"] = [
            {name: value for name, value in group.items() if name != "element"}
            for group in resource.get("group") or ()
        ]
    return left


async def _copy(
    connection: Connection,
    table: str,
    number: int,
    columns: Sequence[str],
    rows: Sequence[tuple[Any, ...]],
) -> None:
    if not rows:
        return
    # One by one: a large code system has millions of rows, and they are in memory once already.
    await connection.copy_records_to_table(
        table,
        schema_name="terminology",
        columns=columns,
        records=((number, *row) for row in rows),
    )


def mappings(resource: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """A ConceptMap's rows: each source code with each of its targets."""
    rows: list[tuple[Any, ...]] = []
    for group in resource.get("group") or ():
        for element in group.get("element") or ():
            for target in element.get("target") or ():
                more = {name: target[name] for name in ("product", "dependsOn") if target.get(name)}
                rows.append(
                    (
                        len(rows),
                        group.get("source") or "",
                        element.get("code") or "",
                        group.get("target") or "",
                        target.get("code"),
                        target.get("equivalence") or "equivalent",
                        target.get("display"),
                        msgspec.json.encode(more).decode() if more else None,
                    )
                )
    return rows
