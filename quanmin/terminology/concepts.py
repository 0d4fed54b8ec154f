"""Tells what a code is and how it stands to another (R4 codesystem-operation-lookup, -subsumes)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from quanmin.base.database import Connection
from quanmin.base.problems import NotFound, NotSupported, Sentence
from quanmin.terminology.catalogue import Entry
from quanmin.terminology.checking import concept_row, designations_of
from quanmin.terminology.expanding import in_language

Relation = Literal["equivalent", "subsumes", "subsumed-by", "not-subsumed"]


class Described(msgspec.Struct, frozen=True):
    """A concept as `$lookup` tells of it. A property is a code and a FHIR value by its name."""

    name: str
    version: str
    display: str
    designations: tuple[dict[str, Any], ...]
    properties: tuple[tuple[str, str, Any], ...]


async def look_up(
    connection: Connection,
    entry: Entry,
    code: str,
    *,
    language: str | None = None,
    properties: Sequence[str] = (),
) -> Described:
    """The concept of a code, with the properties asked for (all without). Raises NotFound."""
    row = await concept_row(connection, entry, code)
    if row is None:
        raise NotFound(
            Sentence(
                "the code is not in %(canonical)s: look it up by ValueSet/$expand",
                canonical=entry.canonical,
            )
        )
    designations = await designations_of(connection, entry.url, row)
    more = msgspec.json.decode(row["more"]) if row["more"] else {}
    found = [
        (each["code"], name, each[name])
        for each in more.get("property", ())
        for name in each
        if name.startswith("value")
    ]
    found += [("parent", "valueCode", each) for each in await _parents(connection, row)]
    found += [("child", "valueCode", each) for each in await _children(connection, row)]
    found.append(("inactive", "valueBoolean", row["is_inactive"]))
    if "definition" in more:
        found.append(("definition", "valueString", more["definition"]))
    unique = list({(code, str(value)): (code, name, value) for code, name, value in found}.values())
    return Described(
        name=entry.head.get("name") or entry.head.get("title") or entry.url,
        version=entry.version,
        display=in_language(designations, language) or row["display"] or row["code"],
        designations=tuple(designations),
        properties=tuple(one for one in unique if not properties or one[0] in properties),
    )


async def _parents(connection: Connection, row: Any) -> list[str]:
    rows = await connection.fetch(
        "select code from terminology.concept where resource = $1 and concept = any($2)"
        " order by concept",
        row["resource"],
        row["parents"] or [],
    )
    return [each["code"] for each in rows]


async def _children(connection: Connection, row: Any) -> list[str]:
    """By the closure: a concept has many descendants at most, a system many more concepts."""
    rows = await connection.fetch(
        "select c.code from terminology.ancestor a join terminology.concept c"
        " on c.resource = a.resource and c.concept = a.concept"
        " where a.resource = $1 and a.ancestor = $2 and $2 = any(c.parents) order by c.concept",
        row["resource"],
        row["concept"],
    )
    return [each["code"] for each in rows]


async def relate(connection: Connection, entry: Entry, first: str, second: str) -> Relation:
    """How the first code stands to the second. Raises NotFound for a code that is not there,
    NotSupported for a system whose hierarchy does not mean subsumption.
    """
    meaning = entry.head.get("hierarchyMeaning", "is-a")
    if meaning != "is-a":
        raise NotSupported(
            Sentence(
                "the hierarchy of %(canonical)s means %(meaning)s, not is-a: its codes do not"
                " subsume one another",
                canonical=entry.canonical,
                meaning=meaning,
            )
        )
    rows = [await concept_row(connection, entry, code) for code in (first, second)]
    for name, row in zip(("codeA", "codeB"), rows, strict=True):
        if row is None:
            raise NotFound(
                Sentence("%(name)s is not in %(canonical)s", name=name, canonical=entry.canonical)
            )
    one, two = (row["concept"] for row in rows if row is not None)
    if one == two:
        return "equivalent"
    above = await connection.fetchval(
        "select ancestor from terminology.ancestor where resource = $1"
        " and ((ancestor = $2 and concept = $3) or (ancestor = $3 and concept = $2))",
        entry.number,
        one,
        two,
    )
    if above is None:
        return "not-subsumed"
    return "subsumes" if above == one else "subsumed-by"
