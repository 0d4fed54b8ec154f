"""Translates codes by concept maps, forward and back (R4 conceptmap-operation-translate)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec

from quanmin.base.database import Connection
from quanmin.base.problems import Conflict, NotFound, Sentence
from quanmin.terminology.catalogue import Canonical, Entry, need
from quanmin.terminology.checking import Check
from quanmin.terminology.index import mappings

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
    select m.resource, r.url, r.version, m.target_system as system, m.target as code,
           m.display, m.equivalence, m.more
    from terminology.mapping m join terminology.resource r using (resource)
    where m.source = $1 and ($2 = '' or m.source_system = $2)
        and ($3::int is null or m.resource = $3) and ($4 = '' or m.target_system = $4)
    order by m.resource, m.place
"""
_BACKWARD: Final = """
    select m.resource, r.url, r.version, m.source_system as system, m.source as code,
           null as display, m.equivalence, m.more
    from terminology.mapping m join terminology.resource r using (resource)
    where m.target = $1 and ($2 = '' or m.target_system = $2)
        and ($3::int is null or m.resource = $3) and ($4 = '' or m.source_system = $4)
    order by m.resource, m.place
"""
_MAPPING: Final = (
    *("place", "source_system", "source", "target_system", "target", "equivalence", "display"),
    "more",
)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of concept maps.

    `source` and `target` are value sets by their addresses, `target_system` a code system. With
    `reverse`, maps are read from their targets to their sources, and `source` and `target` change
    places (R4 conceptmap-operation-translate.html). `dependencies` are elements with the codes they
    have (`system|code`), by which a mapping that depends on them holds or does not.
    """

    source: str = ""
    target: str = ""
    target_system: str = ""
    reverse: bool = False
    dependencies: Mapping[str, frozenset[str]] = {}
    date: str = ""


class SentMap(Entry, frozen=True):
    """A ConceptMap that is not stored here but came with the question."""

    rows: tuple[dict[str, Any], ...] = ()

    @classmethod
    def read(cls, resource: dict[str, Any]) -> SentMap:
        """From the resource."""
        rows = tuple(dict(zip(_MAPPING, row, strict=True)) for row in mappings(resource))
        url, version = resource.get("url") or "", resource.get("version") or ""
        return cls(0, url, version, resource, rows)

    def mapped(self, code: Check, asked: Asked) -> list[dict[str, Any]]:
        """The mappings of a code, as the database gives those of a stored map."""
        here, there = ("target", "source") if asked.reverse else ("source", "target")
        return [
            {
                "url": self.url,
                "version": self.version,
                "system": row[f"{there}_system"],
                "code": row[there],
                "display": None if asked.reverse else row["display"],
                "equivalence": row["equivalence"],
                "more": row["more"],
            }
            for row in self.rows
            if row[here] == code.code
            and code.system in {"", row[f"{here}_system"]}
            and asked.target_system in {"", row[f"{there}_system"]}
        ]


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


class Translated(msgspec.Struct, frozen=True):
    """The matches, and the elements on which mappings depend that did not hold without them."""

    matches: tuple[Match, ...]
    missing: tuple[str, ...] = ()


async def translate(
    connection: Connection, entry: Entry | None, codes: Sequence[Check], asked: Asked
) -> Translated:
    """What the map says of the codes, or every map without one, each match once."""
    asking = _Asking(connection, asked)
    found = [match for code in codes for match in await asking.translate(entry, code)]
    unique = [each for place, each in enumerate(found) if each not in found[:place]]
    return Translated(tuple(unique), tuple(sorted(asking.missing)))


class _Asking:
    """One question; gathers the elements that mappings depend on and nobody told."""

    def __init__(self, connection: Connection, asked: Asked) -> None:
        self.missing: set[str] = set()
        self._connection = connection
        self._asked = asked

    async def translate(self, entry: Entry | None, code: Check, depth: int = 0) -> list[Match]:
        asked = self._asked
        if entry is not None and not _is_between(entry.head, asked):
            return []
        rows = await self._mapped(entry, code)
        if rows or entry is None or asked.reverse:
            return [_match(row, reverse=asked.reverse) for row in rows if self._holds(row)]
        if depth >= _DEPTH_MAX:
            raise Conflict(
                Sentence(
                    "concept maps send one another in circles, %(canonical)s among them",
                    canonical=entry.canonical,
                )
            )
        for group in entry.head.get("group") or ():
            given = group.get("unmapped")
            if given and group.get("source") in {None, code.system}:
                if given["mode"] == "other-map":
                    canonical = Canonical.read(given["url"])
                    other = await need(self._connection, "ConceptMap", canonical, asked.date)
                    return await self.translate(other, code, depth + 1)
                return [_unmapped(entry, group, given, code)]
        return []

    async def _mapped(self, entry: Entry | None, code: Check) -> Sequence[Any]:
        """The mappings of a code in this map, or in each map that is in force."""
        asked = self._asked
        if isinstance(entry, SentMap):
            return entry.mapped(code, asked)
        rows = await self._connection.fetch(
            _BACKWARD if asked.reverse else _FORWARD,
            code.code,
            code.system,
            None if entry is None else entry.number,
            asked.target_system,
        )
        if entry is not None:
            return rows
        # Older versions and those of senders that an address does not belong to say nothing.
        in_force: set[int] = set()
        for url in {row["url"] for row in rows}:
            with suppress(NotFound):  # none of this address was in force on the date asked for
                canonical = Canonical(url)
                newest = await need(self._connection, "ConceptMap", canonical, asked.date)
                if _is_between(newest.head, asked):
                    in_force.add(newest.number)
        return [row for row in rows if row["resource"] in in_force]

    def _holds(self, row: Any) -> bool:
        """R4 `ConceptMap.group.element.target.dependsOn`: a mapping is only applicable if each
        element it depends on has the value it says.
        """
        more = msgspec.json.decode(row["more"]) if row["more"] else {}
        for depends in more.get("dependsOn", ()):
            known = self._asked.dependencies.get(depends["property"])
            if known is None:
                self.missing.add(depends["property"])
                return False
            system, value = depends.get("system"), depends["value"]
            if (f"{system}|{value}" if system else value) not in known:
                return False
        return True


def _is_between(head: Mapping[str, Any], asked: Asked) -> bool:
    """Whether a map is of the value sets asked for; one that names none is of any."""
    ends = (asked.target, asked.source) if asked.reverse else (asked.source, asked.target)
    for name, wanted in zip(("source", "target"), ends, strict=True):
        given = head.get(f"{name}Canonical") or head.get(f"{name}Uri")
        if wanted and given and _without_version(given) != _without_version(wanted):
            return False
    return True


def _without_version(canonical: str) -> str:
    return canonical.partition("|")[0]


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
