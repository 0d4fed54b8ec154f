"""Which CodeSystem, ValueSet or ConceptMap a canonical address means.

An address belongs to the sender that used it first: a resource that another sender gives the same
address is kept as a record and means nothing here, so that nobody redefines another's codes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from quanmin.base.database import Connection
from quanmin.base.problems import Conflict, NotFound, Sentence

Kind = Literal["CodeSystem", "ValueSet", "ConceptMap"]

_BY_URL: Final = """
    select resource, url, version, head from terminology.resource
    where url = $1 and type = $2 and ($3 = '' or version = $3) and sender = (
        select sender from terminology.resource where url = $1 and type = $2
        order by since, resource limit 1)
    order by since, resource
"""
_DAY: Final = len("2026-01-31")
_BY_RID: Final = """
    select resource, url, version, head from terminology.resource where type = $1 and rid = $2
"""


class Canonical(msgspec.Struct, frozen=True):
    """A canonical address with or without a version; "" stands for the newest."""

    url: str
    version: str = ""

    @classmethod
    def read(cls, text: str, version: str | None = None) -> Canonical:
        """From `url` or `url|version`; a version said beside it goes first."""
        url, _, inside = text.partition("|")
        return cls(url, version or inside)

    def __str__(self) -> str:
        """As FHIR writes it."""
        return f"{self.url}|{self.version}" if self.version else self.url


class Entry(msgspec.Struct, frozen=True):
    """A resource of the catalogue. `head` is all of it but its concepts and mappings."""

    number: int
    url: str
    version: str
    head: dict[str, Any]

    @property
    def canonical(self) -> str:
        """Its address with its version."""
        return str(Canonical(self.url, self.version))

    @property
    def since(self) -> str:
        """From when on it has read as it does: its own `date`, else when it was stored."""
        return str(self.head.get("date") or (self.head.get("meta") or {}).get("lastUpdated") or "")

    @property
    def is_case_sensitive(self) -> bool:
        """Of a CodeSystem: whether its codes differ by case."""
        return self.head.get("caseSensitive") is not False

    @property
    def has_concepts(self) -> bool:
        """Of a CodeSystem: whether it can say which codes it has."""
        return self.head.get("content") not in {"not-present", "supplement"}

    @property
    def is_whole(self) -> bool:
        """Of a CodeSystem: whether a code that is not in it is no code of the system."""
        return self.head.get("content") == "complete"


class Pins(msgspec.Struct, frozen=True, kw_only=True):
    """Which definitions to use where several could be meant, as a request says it.

    `versions` are those of code systems that are named without one, `checked` those that nothing
    may contradict, `forced` those that go before what is named (R4 valueset-operation-expand.html).
    With `date`, definitions are read as they were on that day.
    """

    versions: Mapping[str, str] = {}
    checked: Mapping[str, str] = {}
    forced: Mapping[str, str] = {}
    date: str = ""

    def version(self, url: str, named: str | None) -> str | None:
        """The version of a code system to use where `named` is said. Raises Conflict."""
        if url in self.forced:
            return self.forced[url]
        wanted = self.checked.get(url)
        if wanted is not None and named not in {None, wanted}:
            raise Conflict(
                Sentence(
                    "the value set names version %(named)s of %(url)s, and check-system-version"
                    " wants %(wanted)s: leave the parameter out, or set the version by"
                    " force-system-version",
                    named=named,
                    url=url,
                    wanted=wanted,
                )
            )
        return named or wanted or self.versions.get(url)


async def find(
    connection: Connection, kind: Kind, canonical: Canonical, date: str = ""
) -> Entry | None:
    """The newest of this address, or the one that was the newest on `date`; None when there is
    none. Raises NotFound when there is one, but none that reads as it did on that date.
    """
    rows = await connection.fetch(_BY_URL, canonical.url, kind, canonical.version)
    entries = [_entry(row) for row in rows]
    if not entries:
        return None
    held = [entry for entry in entries if _was_in_force(entry, date)]
    if not held:
        oldest = min(entry.since for entry in entries)[:_DAY]
        raise NotFound(
            Sentence(
                "this node has no %(kind)s %(canonical)r as it was on that date; what it has is"
                " of %(oldest)s: ask for a later date, or store the version that was in force"
                " then",
                kind=kind,
                canonical=str(canonical)[:200],
                oldest=oldest,
            )
        )
    return max(held, key=lambda entry: version_order(entry.version))


def _was_in_force(entry: Entry, date: str) -> bool:
    """By days, as far as both are told: a year holds all its days."""
    length = min(len(entry.since), len(date), _DAY)
    return entry.since[:length] <= date[:length]


async def need(connection: Connection, kind: Kind, canonical: Canonical, date: str = "") -> Entry:
    """The same. Raises NotFound with what to load."""
    entry = await find(connection, kind, canonical, date)
    if entry is None:
        raise NotFound(
            Sentence(
                "this node knows no %(kind)s %(canonical)r: store it as a %(kind)s resource"
                " with this url, or name another",
                kind=kind,
                canonical=str(canonical)[:200],
            )
        )
    return entry


async def find_record(connection: Connection, kind: Kind, rid: int) -> Entry:
    """The resource with this record key. Raises NotFound for one without a canonical address."""
    row = await connection.fetchrow(_BY_RID, kind, rid)
    if row is None:
        raise NotFound(
            Sentence(
                "the %(kind)s has no url, so terminology does not know it: give it one", kind=kind
            )
        )
    return _entry(row)


async def supplements(connection: Connection, url: str) -> list[int]:
    """The supplements of a code system, by their numbers, oldest first."""
    rows = await connection.fetch(
        "select resource from terminology.resource where supplements = $1 order by since", url
    )
    return [row["resource"] for row in rows]


def version_order(version: str) -> list[tuple[int, int, str]]:
    """By what newer versions are told: numbers as numbers, the rest as text."""
    parts = re.findall(r"\d+|[^\d.\-]+", version)
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts]


def _entry(row: Any) -> Entry:
    return Entry(row["resource"], row["url"], row["version"], msgspec.json.decode(row["head"]))
