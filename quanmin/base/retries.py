"""How often something that failed is tried again, and after which pauses: one declaration for all
settings that have them.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

# The exponent is bounded: a float has an end, and a pause has one long before.
_DOUBLINGS_MAX = 60
_MICROSECONDS = 1_000_000

Attempts = Annotated[
    int, Meta(description="After how many failures in a row it is given up.", ge=1)
]
Pause = Annotated[
    float,
    Meta(
        description="The pause before the second attempt; each further one is twice as long.", ge=0
    ),
]
LongestPause = Annotated[float, Meta(description="The longest pause between two attempts.", ge=0)]


class Retries(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What failed is tried again after pauses that double, until it is given up."""

    attempts_max: Attempts = 8
    backoff_seconds: Pause = 30.0
    backoff_seconds_max: LongestPause = 3600.0

    def gives_up(self, attempts: int) -> bool:
        """Whether what has failed so often in a row is tried no more."""
        return attempts >= self.attempts_max

    def after(self, attempts: int, now: int) -> int:
        """When what has failed so often in a row is tried again (microseconds)."""
        pause = self.backoff_seconds * 2.0 ** min(attempts - 1, _DOUBLINGS_MAX)
        return now + round(min(pause, self.backoff_seconds_max) * _MICROSECONDS)
