"""What a sender asks the store to do to one record, and what became of it; and what others hear of
a change.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import msgspec

from quanmin.base.database import Connection
from quanmin.fhir.json import decode
from quanmin.fhir.patch import Patch
from quanmin.fhir.query import Query
from quanmin.records.visibility import Everything, Visibility
from quanmin.records.walls import Wall

IfMatch = int | Literal["*"]
"""The version that must hold now, or "*": any, as long as the record is there."""


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One write. `criteria` makes it conditional; `full_url` is what other entries of its bundle
    call it.

    `body` are the bytes of the resource as sent, None for a deletion and for a `patch`, which makes
    them out of those that hold when its turn comes. `id` is None for a creation.
    `keeps_version` makes no version of it: the one that holds is written anew (R4 $meta-add).
    `is_brought_back` allows an id that this node gave to a record which a restore has lost.
    `position` is its place in a bundle, so that issues can name it.
    """

    kind: Literal["create", "update", "patch", "delete"]
    type: str
    id: str | None = None
    body: bytes | None = None
    patch: Patch | None = None
    keeps_version: bool = False
    is_brought_back: bool = False
    criteria: Query | None = None
    if_match: IfMatch | None = None
    if_none_match: bool = False
    full_url: str | None = None
    position: int | None = None


class Sender(msgspec.Struct, frozen=True):
    """Who writes: the interned number of the institution, what of the store it may know of, and
    what of that it may change.

    A record that is not `readable` is for this sender as if it were not there: no answer to a write
    tells otherwise, except that an id of its own choosing that another has taken is refused.
    `deletable` is what it may delete where that is another part than it may change, and only
    among what is `sought` do conditional criteria look. Beyond the `wall` (None: there are none) it
    writes nothing and knows of nothing.
    """

    number: int
    readable: Visibility
    writable: Visibility
    deletable: Visibility | None = None
    sought: Visibility = Everything()
    wall: Wall | None = None

    def may(self, kind: str) -> Visibility:
        """Which of the existing records an operation of this kind may change."""
        if kind == "delete" and self.deletable is not None:
            return self.deletable
        return self.writable


class Change(msgspec.Struct, frozen=True):
    """A new version, told to projections in the transaction that makes it. `body` is None for a
    deletion.
    """

    type: str
    id: str
    rid: int
    bucket: int
    version: int
    sender: int
    patient: int | None
    updated: int
    body: bytes | None

    @property
    def resource(self) -> dict[str, Any] | None:
        """The body, decoded anew each time; None for a deletion."""
        return None if self.body is None else decode(self.body)


class Projection(Protocol):
    """Something derived from records that must never disagree with them (person links, consents,
    terminology).

    Registered by `node`; runs inside the writing transaction, so it commits or vanishes with the
    records. One that `is_early` looks at the changes alone and runs before the clocks of buckets
    are taken: however long it takes, no other writer waits for it.
    """

    types: frozenset[str]
    is_early: bool

    async def apply(self, connection: Connection, changes: Sequence[Change]) -> None:
        """Bring the projection up to these changes, all of its types."""
