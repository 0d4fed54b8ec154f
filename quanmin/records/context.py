"""What every part of the store shares: the language's table, keys, codec, the form of ids and the
named limits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import asyncpg
import msgspec

from quanmin.base.crypto import Suite
from quanmin.base.database import Connection, Database
from quanmin.base.keys import KeyPort
from quanmin.base.node_keys import node_keys
from quanmin.base.problems import NotFound, Sentence
from quanmin.fhir.grammar import QueryLimits
from quanmin.fhir.patch import Patch, read_patch
from quanmin.fhir.table import Table, TypeDefinition
from quanmin.records.abridgement import Told
from quanmin.records.catalogue import Catalogue, read_catalogue
from quanmin.records.codec import PATIENT, SENDER, Codec, DataKey, Holder, Place
from quanmin.records.index import Indexer
from quanmin.records.keying import INDEX, Keying
from quanmin.records.label_sets import LabelSets
from quanmin.records.model import Stored
from quanmin.records.profiles.judging import Profiles, ValidationLimits
from quanmin.records.rid import BUCKETS, bucket_of, id_of, is_assigned, rid_of
from quanmin.records.sensitivity import given_labels
from quanmin.records.visibility import Facts

# ERASED comes with DELETED: a deletion that left no body and no history.
DELETED, CHOSEN, SEVERAL, ERASED = 1, 2, 4, 8

# A record has fewer versions between one restore and the next.
_VERSIONS_PASSED = 1_000_000

# `records.nobody` has it, which is read in the place of a record that is not there.
NOBODY = 0

ROW = "r.rid, r.type, r.version, r.updated, r.sender, r.patient, r.low, r.labels, r.flags, r.body"


class StoreLimits(msgspec.Struct, frozen=True):
    """How far the store goes before it says so; each is a setting of the node."""

    bundle_entries_max: int = 10_000
    patch_operations_max: int = 1_000
    patched_bytes_max: int = 8 << 20
    patch_items_max: int = 1_000_000
    sort_rows_max: int = 10_000
    count_rows_max: int = 1_000_000
    include_rows_max: int = 1_000
    search_seconds_max: float = 20.0
    search_count_default: int = 20
    estimate_rows_max: int = 10_000
    write_attempts_max: int = 4
    data_key_seconds_max: float = 60.0
    wordings_max: int = 10_000
    hierarchy_rows_max: int = 1_000
    hierarchy_depth_max: int = 20


class Terms(Protocol):
    """What searches and validation ask of a terminology, over a connection of theirs."""

    async def codes_in(self, value_set: str) -> frozenset[tuple[str, str]]:
        """The (system, code) pairs of a value set, by its canonical address."""

    async def descendants(self, system: str, code: str) -> frozenset[tuple[str, str]]:
        """A concept and all below it."""

    async def is_member(self, value_set: str, system: str, code: str) -> bool:
        """Whether a value set holds a code."""

    async def is_above(self, system: str, general: str, special: str) -> bool:
        """Whether a concept is another or above it."""

    async def ancestors(self, system: str, code: str) -> frozenset[tuple[str, str]]:
        """A concept and all above it."""


class _Identified(msgspec.Struct):
    id: str


class Context:
    """Bound to one node; holds no connection and no state of a request."""

    def __init__(
        self,
        table: Table,
        keys: KeyPort,
        suite: Suite,
        *,
        prefix: str,
        zone: ZoneInfo,
        limits: StoreLimits,
        base_url: str = "",
        terms: Callable[[Connection], Terms] | None = None,
        validation: ValidationLimits | None = None,
        query_limits: QueryLimits | None = None,
    ) -> None:
        """`base_url` is the address under which others know this node's records, "" for none.
        `query_limits` are of what any one search may ask, wherever it stands.
        """
        self._r4 = table
        self.catalogue = Catalogue(0, table)
        self.suite = suite
        self.prefix = prefix
        self.zone = zone
        self.limits = limits
        self.query_limits = query_limits or QueryLimits()
        # With the slash, so that an address that only begins alike is not taken for ours.
        self.base = f"{base_url.rstrip('/')}/" if base_url else ""
        self.terms = terms
        self.profiles = Profiles(validation or ValidationLimits())
        self.keys = node_keys(keys)
        self.derive = self.keys.derive
        self.restores = 0
        self.keying = Keying(self.derive(INDEX))
        self.codec = Codec(keys, suite, seconds_max=limits.data_key_seconds_max)
        self.indexer = Indexer(self.keying, self.rid_of)
        self.label_sets = LabelSets()
        self.patient_paths: dict[str, tuple[tuple[str, ...], ...]] = {}
        self._names = {definition.number: name for name, definition in table.types.items()}
        self._identified = msgspec.json.Decoder(_Identified)

    @property
    def table(self) -> Table:
        """The language, with the custom search parameters that this process knows."""
        return self.catalogue.table

    async def refresh(self, database: Database) -> bool:
        """Read again by what records are indexed; whether another version holds now."""
        before = self.catalogue.version
        self.catalogue = await read_catalogue(database, self._r4)
        return self.catalogue.version != before

    def seal(self, purpose: str, plain: bytes, place: bytes) -> bytes:
        """Content under a key of the node for a purpose; it opens at this place alone."""
        return self.keys.rooted(purpose).seal(self.suite, plain, place)

    def unseal(self, purpose: str, sealed: bytes, place: bytes) -> bytes:
        """What was sealed, in whichever suite. Raises Tampered."""
        return self.keys.rooted(purpose).open(sealed, place)

    def definition(self, type_: str) -> TypeDefinition:
        """The definition of a resource type. Raises NotFound for a name that is none."""
        definition = self.table.types.get(type_)
        if definition is None:
            raise NotFound(Sentence("%(type)r is not a resource type of FHIR R4", type=type_[:64]))
        return definition

    def named(self, number: int) -> TypeDefinition:
        """The definition of the type with this number."""
        return self.table.types[self._names[number]]

    def rid_of(self, type_: str, id_: str) -> int | None:
        """The record key of `type/id`; None when there can be no such record."""
        definition = self.table.types.get(type_)
        if definition is None:
            return None
        return rid_of(definition.number, id_, self.prefix)

    def next_version(self, rid: int, version: int | None) -> int:
        """The number of the version after this one, or of the first. After a restore it is one that
        no version had before: what was lost may be known elsewhere by its number.
        """
        least = self.restores * _VERSIONS_PASSED + 1
        if version is None:
            return 1 if is_assigned(rid) else least
        return max(version + 1, least)

    def read_patch(self, content_type: str, raw: bytes) -> Patch:
        """The patch that a body of this media type is. Raises UnsupportedMedia, Malformed, Invalid,
        TooLarge.
        """
        return read_patch(
            content_type,
            raw,
            steps_max=self.limits.patch_operations_max,
            items_max=self.limits.patch_items_max,
        )

    def holder(self, patient: int | None, sender: int) -> Holder:
        """Whose data key seals a record of this source Patient and sender."""
        if patient is None:
            return Holder(sender % BUCKETS, SENDER, sender)
        return Holder(bucket_of(patient), PATIENT, patient)

    def instant(self, moment: int) -> str:
        """A moment as a FHIR instant in the node's zone, to the millisecond."""
        return instant_text(moment, self.zone)

    def place(self, type_: int, rid: int, version: int, patient: int | None, updated: int) -> Place:
        """Where a body stands, and what its row tells of it."""
        told = Told(self._told_id(rid), self._told_id(patient), updated)
        return Place(type_, rid, version, told)

    def _told_id(self, rid: int | None) -> bytes:
        """The id of a record whose key this node assigned; another's does not follow from it."""
        return b"" if rid is None or rid < 0 else id_of(rid, self.prefix).encode()

    async def open(self, connection: Database, rows: Sequence[asyncpg.Record]) -> list[Stored]:
        """The versions in rows with the columns of ROW, in order.

        A version that has no body, or whose data key has been destroyed, is left out: its person
        has been erased.
        """
        holders = [self.holder(row["patient"], row["sender"]) for row in rows]
        there = [
            (row, holder)
            for row, holder in zip(rows, holders, strict=True)
            if row["body"] is not None
        ]
        keys = await self.codec.keys_of(connection, [(h, row["body"]) for row, h in there])
        return [self._stored(row, keys[holder]) for row, holder in there if holder in keys]

    def _stored(self, row: Any, key: DataKey) -> Stored:
        rid, number, version, flags = row["rid"], row["type"], row["version"], row["flags"]
        place = self.place(number, rid, version, row["patient"], row["updated"])
        body = self.codec.open(key, place, row["body"])
        id_ = id_of(rid, self.prefix) if rid > 0 else self._identified.decode(body).id
        return Stored(
            type=self._names[number],
            id=id_,
            rid=rid,
            version=version,
            updated=row["updated"],
            method=method_of(flags, version),
            body=None if flags & DELETED else body,
            facts=self.facts(row),
        )

    def facts(self, row: Any) -> Facts:
        """What of a row with the columns of ROW decides its visibility; without its grants."""
        return Facts(
            sender=row["sender"],
            patient=row["patient"],
            type=self._names[row["type"]],
            labels=frozenset(row["labels"] or ()),
            time=row["low"],
            rid=row["rid"],
        )

    def labels_given(self, body: bytes, resource: Any) -> set[int]:
        """The keys of the labels that a record is given for what its codes say."""
        given = given_labels(body, resource)
        return {self.keying.label(label.system, label.code) for label in given}


# All records of a bundle have one.
@lru_cache(maxsize=64)
def instant_text(moment: int, zone: ZoneInfo) -> str:
    """A moment as a FHIR instant in a zone, to the millisecond."""
    when = datetime.fromtimestamp(moment // 1_000_000, UTC).astimezone(zone)
    text = when.isoformat(timespec="seconds")
    return f"{text[:19]}.{moment // 1000 % 1000:03d}{text[19:]}"


def method_of(flags: int, version: int) -> str:
    """The interaction that made a version with these flags."""
    if flags & DELETED:
        return "DELETE"
    return "POST" if version == 1 and not flags & CHOSEN else "PUT"
