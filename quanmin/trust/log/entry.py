"""One entry of the access log, and the bytes by which a tree commits to it.

An entry has two parts. What it says of the one who asked stands in the leaf as it is; what it says
of whose records were touched stands there as a salted hash, so that the names of a person who is
erased can go while the leaf, and with it the tree, stays as it was.
"""

from __future__ import annotations

from typing import Final

import msgspec

SALT_BYTES: Final = 16
_FORM: Final = 1


class Place(msgspec.Struct, frozen=True, order=True):
    """Where an entry stands: the lane, and its number there, from 0."""

    lane: int
    number: int

    def __str__(self) -> str:
        return f"{self.lane}-{self.number}"


class Access(msgspec.Struct, frozen=True):
    """What one request did, or a part of it. `records` and `patients` are record keys; `hits`
    counts what was touched.

    `rules` are the ids of those that decided, parted by spaces. `part_of` is where the first entry
    of the same request stands, when that could not say all. `digest` commits an entry that changes
    the log itself to what it did there.
    """

    at: int
    request: str
    actor: str
    role: str
    purpose: str
    action: str
    type: str | None
    outcome: str
    hits: int
    records: tuple[int, ...] = ()
    patients: tuple[int, ...] = ()
    rules: str | None = None
    client: str | None = None
    note: str | None = None
    digest: bytes | None = None
    part_of: Place | None = None

    def open_bytes(self) -> bytes:
        """What a leaf holds as it is: JSON without spaces, in this order."""
        of = self.part_of
        return _ENCODER.encode(
            (
                _FORM,
                self.at,
                self.request,
                self.actor,
                self.role,
                self.purpose,
                self.action,
                self.type,
                self.outcome,
                self.hits,
                self.rules,
                self.client,
                self.note,
                None if self.digest is None else self.digest.hex(),
                None if of is None else (of.lane, of.number),
            )
        )


def personal_bytes(records: tuple[int, ...], patients: tuple[int, ...]) -> bytes:
    """What a leaf holds as a salted hash only."""
    return _ENCODER.encode((records, patients))


_ENCODER: Final = msgspec.json.Encoder()
