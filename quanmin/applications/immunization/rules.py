"""What must hold before a dose is saved, of the first dose after birth, and at a school."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime

from quanmin.base.decision import Decision


def may_give(
    course: Sequence[str], lot: Sequence[str], given: datetime, moment: datetime, born: date
) -> Decision:
    """A dose is saved where the schedule, the lot and the clock are not against it; `course` and
    `lot` are what they have against it (national immunisation schedule, 2026; Vaccine
    Administration Law: check of the person, the vaccine and its certificate before each dose).
    """
    reasons = [*course, *lot]
    if given > moment:
        reasons.append("in-the-future")
    if given.date() < born:
        reasons.append("before-birth")
    return Decision(not reasons, tuple(reasons))


def first_dose_in_time(born: datetime, given: datetime, hours: int) -> Decision:
    """The first dose of hepatitis B is within so many hours of birth, to the minute."""
    is_late = (given - born).total_seconds() > hours * 3600
    return Decision(not is_late, (f"late:{hours}",) if is_late else ())


def may_enter(standings: Mapping[str, str]) -> Decision:
    """A certificate is complete at entry where no course is overdue (Vaccine Administration Law:
    nurseries and schools check certificates on entry). What is due and not yet late, what is
    postponed and what is contraindicated is not missing.
    """
    late = ("overdue", "escalated")
    missing = [f"missing:{series}" for series, status in standings.items() if status in late]
    return Decision(not missing, tuple(missing))
