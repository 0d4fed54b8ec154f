"""The rates of a year of the follow-up of hypertension and type-2 diabetes: who was managed, to the
norm, and controlled. Pure; persons are counted, and whoever asks hands over their cases.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Any, Final

import msgspec

from quanmin.fhir.json import Json
from quanmin.workflow.chronic import Seen, day_of, limits, visits_of


class Counted(msgspec.Struct, frozen=True):
    """A person in the rates of a year: how many visits they had, and the last of them."""

    is_managed: bool
    visits: int = 0
    last: Seen | None = None

    @property
    def is_standard(self) -> bool:
        """Whether they were managed to the norm."""
        return self.is_managed and self.visits >= limits()["standard"]["visits"]

    @property
    def is_controlled(self) -> bool:
        """Whether the last visit was below the target."""
        return self.is_managed and self.last is not None and self.last.is_on_target


class _Held(msgspec.Struct):
    input: list[dict[str, Any]] = []


_HELD: Final = msgspec.json.Decoder(_Held)


def held_by(body: bytes) -> Json:
    """Of a case, its Task as it is stored, what it holds: a third of the time to read all of it."""
    return {"input": _HELD.decode(body).input}


def counted(task: Json, year: int, today: date) -> Counted:
    """How somebody counts in a year by a case: they are managed if it was begun by the end of it
    (or today) and not closed before it began.
    """
    first, last = date(year, 1, 1), min(date(year, 12, 31), today)
    since, until = day_of(task, "enrolled"), day_of(task, "closed")
    if since is None or since > last or (until is not None and until < first):
        return Counted(is_managed=False)
    visits = [one for one in visits_of(task) if first <= one.on <= last]
    return Counted(is_managed=True, visits=len(visits), last=visits[-1] if visits else None)


def together(cases: Iterable[Counted]) -> Counted:
    """How somebody counts who was closed and enrolled again: once, with the visits of all cases."""
    held = [one for one in cases if one.is_managed]
    visits = sum(one.visits for one in held)
    last = max((one.last for one in held if one.last is not None), default=None)
    return Counted(is_managed=bool(held), visits=visits, last=last)


class Rates(msgspec.Struct, frozen=True):
    """The rates of a year: how many were managed, to the norm, and controlled."""

    managed: int = 0
    standard: int = 0
    controlled: int = 0

    def share(self, number: int) -> Decimal | None:
        """In per cent of those managed, to a tenth; None where nobody was."""
        if not self.managed:
            return None
        return (Decimal(number) * 100 / self.managed).quantize(Decimal("0.1"))


def rates(persons: Iterable[Counted]) -> Rates:
    """The rates of some persons."""
    known = [one for one in persons if one.is_managed]
    return Rates(
        len(known), sum(one.is_standard for one in known), sum(one.is_controlled for one in known)
    )
