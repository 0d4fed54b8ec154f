"""What the operator sets of what the national direct-reporting system is told."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Meta

from quanmin.base.retries import Attempts, Retries


class OutgoingSettings(Retries, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Report cards that go to the national direct-reporting system; without an address they are put
    into files.
    """

    url: Annotated[
        str,
        Meta(
            description="The address that takes report cards; empty: files.",
            pattern=r"^(https?://[^\s?#]+)?$",
        ),
    ] = ""
    secret_file: Annotated[
        Path | None,
        Meta(
            description="The file whose first line is the secret by which the address knows what "
            "is this node's; it needs it."
        ),
    ] = None
    send_seconds_max: Annotated[
        float, Meta(description="How long the other side may take to take a card.", gt=0)
    ] = 20.0
    answer_bytes_max: Annotated[
        int,
        Meta(
            description="The longest answer of the other side that is read, to a card or of what "
            "it has done since. Of a longer one nothing is kept: the number of a card stays "
            "unknown, what was done since is asked for again.",
            ge=1,
        ),
    ] = 1_000_000
    attempts_max: Attempts = 12
    answers_seconds: Annotated[
        float,
        Meta(
            description="How often a job process asks the other side what it has done with cards "
            "since.",
            gt=0,
        ),
    ] = 60.0
    poll_seconds: Annotated[
        float, Meta(description="How often a job process looks for what is to be sent.", gt=0)
    ] = 5.0
