"""Which StructureDefinition a canonical address means, kept equal to the records in the transaction
that writes one: a profile is in force from the moment its write is answered, on every worker.

An address belongs to the sender that used it first: what another sender stores under the same
address is a record like any other, so that nobody redefines another's profile.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from quanmin.base.database import Connection
from quanmin.fhir.profiles import Definition, read_definition
from quanmin.fhir.profiles.definition import is_base_type, slimmed
from quanmin.records.operation import Change
from quanmin.terminology.catalogue import version_order

_FIND: Final = """
    select structure, url, version from profiles.structure s
    where url = any($1) and sender = (
        select sender from profiles.structure f where f.url = s.url
        order by f.since, f.structure limit 1)
    order by since, structure
"""
_ALL: Final = """
    select url, version, definition from profiles.structure s
    where sender = (
        select sender from profiles.structure f where f.url = s.url
        order by f.since, f.structure limit 1)
    order by url, since, structure
"""
Supported = tuple[tuple[str, str], ...]
"""The type of each profile in force, and its canonical address."""

_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")


class ProfileIndex:
    """The projection of StructureDefinitions onto what is compiled of them."""

    # What codes are in a value set decides as well as what a profile says: a change of either ends
    # what workers know.
    types = frozenset({"StructureDefinition", "ValueSet", "CodeSystem"})
    is_early = False

    async def apply(self, connection: Connection, changes: Sequence[Change]) -> None:
        """Write each changed definition anew.

        One that can be read by itself and cannot be used was refused before. One that needs another
        profile is taken as it is, since the order in which profiles are stored is nobody's rule.
        """
        for change in changes:
            if change.type == "StructureDefinition":
                await _rewrite(connection, change)
        # Last, since whoever changes another waits for this row until the commit.
        await connection.execute("update profiles.edition set edition = edition + 1")


async def _rewrite(connection: Connection, change: Change) -> None:
    since = await connection.fetchval(
        "delete from profiles.structure where rid = $1 returning since", change.rid
    )
    if change.body is not None:
        definition = read_definition(change.body)
        if definition.url:
            await _write(connection, change, definition, since or change.updated)


async def _write(
    connection: Connection, change: Change, definition: Definition, since: int
) -> None:
    await connection.execute(
        "insert into profiles.structure (rid, sender, since, url, version, definition)"
        " values ($1, $2, $3, $4, $5, $6)",
        change.rid,
        change.sender,
        since,
        definition.url,
        definition.version,
        _ENCODER.encode(slimmed(definition)),
    )


async def edition(connection: Connection) -> int:
    """The number that changes whenever a profile or a value set does."""
    return int(await connection.fetchval("select edition from profiles.edition"))


async def find_all(connection: Connection, canonicals: Collection[str]) -> dict[str, int | None]:
    """The number of the definition at each address (`url` or `url|version`), of the newest without
    a version; None where there is none. Each write of a definition gives it another number.
    """
    urls = sorted({each.partition("|")[0] for each in canonicals})
    rows = await connection.fetch(_FIND, urls)
    found: dict[str, int | None] = {}
    for canonical in canonicals:
        url, _, version = canonical.partition("|")
        same = [row for row in rows if row["url"] == url and version in {"", row["version"]}]
        newest = max(same, key=lambda row: version_order(row["version"]), default=None)
        found[canonical] = None if newest is None else newest["structure"]
    return found


class _Head(msgspec.Struct):
    """What tells whether a definition can be used, without reading its elements."""

    type: str = ""
    derivation: str = ""
    kind: str = ""
    baseDefinition: str = ""  # noqa: N815 - FHIR's name
    snapshot: msgspec.Raw = msgspec.Raw()


async def profiles_in_force(connection: Connection) -> Supported:
    """Each profile of records that is in force: the newest of its address counts, and one whose
    base is not known here is not.
    """
    newest: dict[str, tuple[list[tuple[int, int, str]], _Head]] = {}
    for row in await connection.fetch(_ALL):
        order = version_order(row["version"])
        if row["url"] not in newest or order >= newest[row["url"]][0]:
            newest[row["url"]] = order, msgspec.json.decode(row["definition"], type=_Head)
    heads = {url: head for url, (_, head) in newest.items()}
    found = [
        (head.type, url)
        for url, head in heads.items()
        if head.kind == "resource" and head.derivation == "constraint" and _is_based(url, heads)
    ]
    return tuple(sorted(found))


def _is_based(url: str, heads: dict[str, _Head]) -> bool:
    """Whether a definition says everything itself, or stands on one that does."""
    seen: set[str] = set()
    while url not in seen and url in heads:
        seen.add(url)
        head = heads[url]
        if head.snapshot or is_base_type(head.baseDefinition):
            return True
        url = head.baseDefinition.partition("|")[0]
    return False


async def definition_of(connection: Connection, number: int) -> Definition | None:
    """The definition with this number; None when it has been written anew or deleted since."""
    raw = await connection.fetchval(
        "select definition from profiles.structure where structure = $1", number
    )
    return None if raw is None else read_definition(raw)
