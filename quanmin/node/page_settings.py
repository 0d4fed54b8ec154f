"""The settings of the first page. They stand here and not in the kit, which every command of the
node's command line would otherwise have to load.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class FirstPageSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the first page asks for."""

    work_seconds_max: Annotated[
        float,
        Meta(
            description="How long an application may take to tell the first page what waits; "
            "the page says of one that takes longer that it did not tell.",
            gt=0,
        ),
    ] = 1.0
    work_count_max: Annotated[
        int,
        Meta(description="Up to which number the first page counts what waits.", ge=1, le=9999),
    ] = 99
