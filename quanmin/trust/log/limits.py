"""How long the access log is kept, and how far it goes before it says so."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Annotated

import msgspec
from msgspec import Meta


@cache
def days_by_rule() -> int:
    """How long every entry is kept at least."""
    file = resources.files("quanmin") / "definitions" / "access_log.toml"
    return int(tomllib.loads(file.read_text("utf-8"))["days_min"])


class AccessLogLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The access log."""

    days_kept: Annotated[
        int,
        Meta(
            description="How long entries are kept, by whole months; less than the rule says "
            "(`quanmin/definitions/access_log.toml`) is refused. 0: as the rule says.",
            ge=0,
        ),
    ] = 0
    checkpoint_seconds: Annotated[
        float,
        Meta(description="How often the state of the log is signed as a whole.", gt=0),
    ] = 60.0
    heads_hours_kept: Annotated[
        float,
        Meta(
            description="How long the folder `witness` keeps what each tree grew to from moment to "
            "moment; the checkpoints in it stay. Verify the log more often than this: whoever puts "
            "a tree back between two checkpoints is found by these.",
            ge=2,
        ),
    ] = 26.0
    counted_named_max: Annotated[
        int,
        Meta(
            description="Up to how many records that a search only counted are named by its entry, "
            "with their Patients; a count of more is a number.",
            ge=0,
            le=1000,
        ),
    ] = 10
    search_seconds_max: Annotated[
        float,
        Meta(
            description="How long one page of a search of the access log is looked for; it then "
            "has what was found, and a link to go on.",
            gt=0,
        ),
    ] = 2.0

    def __post_init__(self) -> None:
        """Raises ValueError for fewer days than the rule says."""
        if 0 < self.days_kept < days_by_rule():
            raise ValueError(
                f"`days_kept` must be {days_by_rule()} or more, as the rule says, or 0, not"
                f" {self.days_kept}"
            )

    @property
    def days(self) -> int:
        """The days that hold."""
        return self.days_kept or days_by_rule()
