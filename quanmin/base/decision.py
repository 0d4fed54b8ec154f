"""A decision that can explain itself: never a bare yes or no."""

from __future__ import annotations

import msgspec


class Decision(msgspec.Struct, frozen=True):
    """Whether, and why: `reasons` are short codes that pages and logs translate, in the order they
    were found.
    """

    allowed: bool
    reasons: tuple[str, ...]
