"""Translates codes by concept maps, forward and back (R4 conceptmap-operation-translate)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from quanmin.base.database import Connection
from quanmin.base.problems import Conflict
from quanmin.terminology.catalogue import Canonical, Entry, need
from quanmin.terminology.checking import Check

_DEPTH_MAX: Final = 8
# What a relation is called when it is read from the other side (R4 concept-map-equivalence).
_TURNED: Final = {
    "wider": "narrower",
    "narrower": "wider",
    "subsumes": "specializes",
    "specializes": "subsumes",
}
_NO_MATCH: Final = frozenset({"unmatched", "disjoint"})

_FORWARD: Final = """
    select r.url, r.version, m.target_system as system, m.target as code, m.display, m.equivalence,
           m.more
    from terminology.mapping m join terminology.resource r using (resource)
    where m.source = $1 and ($2 = '' or m.source_system = $2)
        and ($3::int is null or m.resource = $3) and ($4 = '' or m.target_system = $4)
    order by m.resource, m.place
"""
_BACKWARD: Final = """
    select r.url, r.version, m.source_system as system, m.source as code, null as display,
           m.equivalence, m.more
    from terminology.mapping m join terminology.resource r using (resource)
    where m.target = $1 and ($2 = '' or m.target_system = $2)
        and ($3::int is null or m.resource = $3) and ($4 = '' or m.source_system = $4)
    order by m.resource, m.place
"""


class Match(msgspec.Struct, frozen=True):
    """One translation: how the code found stands to the one given, and which map says so."""

    equivalence: str
    concept: dict[str, Any] | None
    source: str
    products: tuple[dict[str, Any], ...] = ()

    @property
    def is_one(self) -> bool:
        """Whether there is a code to use."""
        return self.equivalence not in _NO_MATCH


async def translate(
    connection: Connection,
    entry: Entry | None,
    codes: Sequence[Check],
    *,
    target_system: str = "",
    reverse: bool = False,
) -> list[Match]:
    """What the map says of the codes, or every map without one, each match once."""
    found: list[Match] = []
    for code in codes:
        found += await _translate(connection, entry, code, target_system, reverse=reverse)
    return [each for place, each in enumerate(found) if each not in found[:place]]


async def _translate(
    connection: Connection,
    entry: Entry | None,
    code: Check,
    target_system: str,
    *,
    reverse: bool,
    depth: int = 0,
) -> list[Match]:
    rows = await connection.fetch(
        _BACKWARD if reverse else _FORWARD,
        code.code,
        code.system,
        None if entry is None else entry.number,
        target_system,
    )
    if rows or entry is None or reverse:
        return [_match(row, reverse=reverse) for row in rows]
    if depth >= _DEPTH_MAX:
        raise Conflict(f"concept maps send one another in circles, {entry.canonical} among them")
    for group in entry.head.get("group") or ():
        given = group.get("unmapped")
        if given and group.get("source") in {None, code.system}:
            if given["mode"] == "other-map":
                other = await need(connection, "ConceptMap", Canonical.read(given["url"]))
                return await _translate(
                    connection, other, code, target_system, reverse=reverse, depth=depth + 1
                )
            return [_unmapped(entry, group, given, code)]
    return []


def _match(row: Any, *, reverse: bool) -> Match:
    said = row["equivalence"]
    more = msgspec.json.decode(row["more"]) if row["more"] else {}
    concept = (
        {name: row[name] for name in ("system", "code", "display") if row[name]}
        if row["code"]
        else None
    )
    return Match(
        _TURNED.get(said, said) if reverse else said,
        concept,
        str(Canonical(row["url"], row["version"])),
        () if reverse else tuple(more.get("product", ())),
    )


def _unmapped(
    entry: Entry, group: Mapping[str, Any], given: Mapping[str, Any], code: Check
) -> Match:
    """R4 `ConceptMap.group.unmapped`: the code as it came, or one that is used for all."""
    concept: dict[str, Any] = {"system": group.get("target") or code.system}
    if given["mode"] == "provided":
        return Match("equal", concept | {"code": code.code}, entry.canonical)
    concept["code"] = given.get("code") or ""
    if given.get("display"):
        concept["display"] = given["display"]
    return Match("inexact", concept, entry.canonical)
