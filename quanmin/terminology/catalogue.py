"""Which CodeSystem, ValueSet or ConceptMap a canonical address means.

An address belongs to the sender that used it first: a resource that another sender gives the same
address is kept as a record and means nothing here, so that nobody redefines another's codes.
"""

from __future__ import annotations

import re
from typing import Any, Final, Literal

import msgspec

from quanmin.base.database import Connection
from quanmin.base.problems import NotFound

Kind = Literal["CodeSystem", "ValueSet", "ConceptMap"]

_BY_URL: Final = """
    select resource, url, version, head from terminology.resource
    where url = $1 and type = $2 and ($3 = '' or version = $3) and sender = (
        select sender from terminology.resource where url = $1 and type = $2
        order by since, resource limit 1)
    order by since, resource
"""
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


async def find(connection: Connection, kind: Kind, canonical: Canonical) -> Entry | None:
    """The newest of this address; None when there is none."""
    rows = await connection.fetch(_BY_URL, canonical.url, kind, canonical.version)
    if not rows:
        return None
    return _entry(max(rows, key=lambda row: version_order(row["version"])))


async def need(connection: Connection, kind: Kind, canonical: Canonical) -> Entry:
    """The same. Raises NotFound with what to load."""
    entry = await find(connection, kind, canonical)
    if entry is None:
        raise NotFound(
            f"this node knows no {kind} {str(canonical)[:200]!r}: store it as a {kind} resource"
            " with this url, or name another"
        )
    return entry


async def find_record(connection: Connection, kind: Kind, rid: int) -> Entry:
    """The resource with this record key. Raises NotFound for one without a canonical address."""
    row = await connection.fetchrow(_BY_RID, kind, rid)
    if row is None:
        raise NotFound(f"the {kind} has no url, so terminology does not know it: give it one")
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
