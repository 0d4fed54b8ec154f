"""How far one export goes at a time, as named settings."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class ExportLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bulk export: how large its files and steps are, and how long it is kept."""

    file_records_max: Annotated[
        int, Meta(description="How many records one file of an export has at most.", ge=1)
    ] = 500_000
    file_bytes_max: Annotated[
        int,
        Meta(
            description="From this size on, unpacked, a file of an export is followed by another.",
            ge=1024,
        ),
    ] = 1 << 30
    step_records: Annotated[
        int,
        Meta(description="How many records an export reads at a time.", ge=1, le=100_000),
    ] = 2000
    step_bytes: Annotated[
        int,
        Meta(
            description="How much an export reads at a time, unpacked; it bounds the memory of an "
            "export together with the largest record.",
            ge=1024,
        ),
    ] = 8 << 20
    step_seconds: Annotated[
        float,
        Meta(
            description="After how long an export commits how far it has come: what a crash makes "
            "it do again.",
            gt=0,
        ),
    ] = 1.0
    search_seconds_max: Annotated[
        float, Meta(description="How long one search of `_typeFilter` may take at a time.", gt=0)
    ] = 120.0
    settle_seconds_max: Annotated[
        float,
        Meta(
            description="How long an export waits for transactions that are open at its beginning; "
            "after that its `transactionTime` is before them.",
            gt=0,
        ),
    ] = 60.0
    kept_hours: Annotated[
        int, Meta(description="How long the files of an export are kept after its end.", ge=1)
    ] = 24
    patients_max: Annotated[
        int, Meta(description="How many patients may be named, or be members of a Group.", ge=1)
    ] = 100_000
