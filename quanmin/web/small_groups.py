"""How a number is shown that is left out for a small group, and what is said of it."""

from __future__ import annotations

from quanmin.trust.small_groups import least
from quanmin.web.visit import Visit


def told_figure(number: int | None) -> str:
    """A number as it is shown; None: it is left out."""
    return "*" if number is None else str(number)


def small_groups_told(visit: Visit) -> str:
    """What the sign means that stands for a number which is left out."""
    words = visit.say(
        "* stands for fewer than %(n)s, or for a number that would give such a one away."
    )
    return words % {"n": least()}
