"""When an event may be reported, verified, followed and closed, and when it was in time."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from quanmin.base.decision import Decision


def may_report(
    *, has_centre: bool, began: datetime, noticed: datetime, moment: datetime
) -> Decision:
    """It has begun, then it was noticed, and there is a centre that verifies it."""
    return _unless(
        noticed_in_the_future=noticed > moment,
        began_after_noticed=began > noticed,
        no_centre=not has_centre,
    )


def may_verify(
    *, is_here: bool, is_graded: bool, began: datetime, noticed: datetime, moment: datetime
) -> Decision:
    """The centre at which it is puts it right and says of which grade it is."""
    found = may_report(has_centre=True, began=began, noticed=noticed, moment=moment)
    return _unless(found.reasons, elsewhere=not is_here, not_graded=not is_graded)


def may_follow(
    *, is_here: bool, is_graded: bool, as_of: datetime, told_until: datetime, moment: datetime
) -> Decision:
    """A report of how it goes on says more than the one before, and nothing of the future."""
    return _unless(
        elsewhere=not is_here,
        not_graded=not is_graded,
        as_of_in_the_future=as_of > moment,
        nothing_newer=as_of <= told_until,
    )


def may_decide(*, is_here: bool) -> Decision:
    """A centre decides of events that are with it."""
    return _unless(elsewhere=not is_here)


def may_close(
    *, is_here: bool, is_graded: bool, ended: date, began: datetime, moment: datetime
) -> Decision:
    """It is summed up after it was over, with its grade."""
    return _unless(
        elsewhere=not is_here,
        not_graded=not is_graded,
        ended_in_the_future=ended > moment.date(),
        ended_before_began=ended < began.date(),
    )


def is_in_time(*, hours: int, noticed: datetime, reported: datetime) -> Decision:
    """Reported within so many hours of being noticed, the last minute included."""
    return _unless(late=reported > noticed + timedelta(hours=hours))


def _unless(found: tuple[str, ...] = (), **faults: bool) -> Decision:
    """No for what was found and for each fault, under its name with hyphens."""
    reasons = tuple(name.replace("_", "-") for name, is_so in faults.items() if is_so)
    return Decision(not (*found, *reasons), (*found, *reasons))
