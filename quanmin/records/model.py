"""What the store gives out: versions of records, slices of them, and outcomes of writes."""

from __future__ import annotations

import msgspec

from quanmin.base.problems import Issue
from quanmin.records.visibility import Facts


class Stored(msgspec.Struct, frozen=True):
    """One version of a record.

    `body` is its JSON with id and meta in place; None when this version is a deletion. `updated` is
    in microseconds since 1970-01-01T00:00Z, `method` is the interaction that made the version.
    """

    type: str
    id: str
    rid: int
    version: int
    updated: int
    method: str
    body: bytes | None
    facts: Facts


class Batch(msgspec.Struct, frozen=True):
    """A slice of a history, newest first, and where the next begins (None at the end)."""

    versions: tuple[Stored, ...]
    next: str | None
    total: int | None = None


class Hits(msgspec.Struct, frozen=True):
    """A slice of a search.

    `matches` in order, `included` without repetition, `next` None at the end. `total` is None when
    it was not asked for; `total_is_exact` tells a count from an estimate.
    """

    matches: tuple[Stored, ...]
    included: tuple[Stored, ...] = ()
    total: int | None = None
    total_is_exact: bool = True
    next: str | None = None
    issues: tuple[Issue, ...] = ()


class Outcome(msgspec.Struct, frozen=True):
    """What a write did: the version that now holds, whether it is new or was left as it was, and
    the source Patient (a record key) whose it was before, when it became another's.
    """

    stored: Stored
    created: bool = False
    unchanged: bool = False
    left: int | None = None


class EntryOutcome(msgspec.Struct, frozen=True):
    """The answer to one entry of a batch or transaction.

    `status` is an HTTP status; `issues` when it failed.
    `hits` is set for an entry that searched, `history` for one that asked for a history. `counted`
    and `about` are for the access log alone: records that the answer does not show, and Patients
    beside those that all these are of.
    """

    status: int
    stored: Stored | None = None
    hits: Hits | None = None
    history: Batch | None = None
    issues: tuple[Issue, ...] = ()
    counted: tuple[Stored, ...] = ()
    about: tuple[int, ...] = ()
