"""When a card may be entered, sent, confirmed, handed over and merged; when it is in time, and when
two are one.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

from quanmin.base.decision import Decision


def may_report(
    *,
    is_ours: bool,
    is_port: bool,
    imported: bool,
    notifiable: bool,
    subtype_fits: bool,
    has_centre: bool,
    onset: date,
    diagnosed: datetime,
    moment: datetime,
    death: date | None = None,
) -> Decision:
    """A card is filled in by those who entered it, of a disease that was notifiable on the day of
    its diagnosis, one of a port of somebody from abroad; its days follow each other, and there is
    a centre to which it goes.
    """
    today = moment.astimezone(diagnosed.tzinfo).date()
    return _unless(
        not_ours=not is_ours,
        not_imported=is_port and not imported,
        not_notifiable=not notifiable,
        subtype=notifiable and not subtype_fits,
        diagnosed_in_the_future=diagnosed > moment,
        onset_after_diagnosis=onset > diagnosed.date(),
        death_before_onset=death is not None and death < onset,
        death_in_the_future=death is not None and death > today,
        no_centre=not has_centre,
    )


def may_report_death(
    *, is_ours: bool, onset: date, moment: datetime, death: date | None = None
) -> Decision:
    """A death is reported with its day, by those who entered the card."""
    return _unless(
        not_ours=not is_ours,
        no_death=death is None,
        death_before_onset=death is not None and death < onset,
        death_in_the_future=death is not None and death > moment.date(),
    )


def may_send(*, is_ours: bool, duplicates: int, kept_because: str) -> Decision:
    """A card is sent by those who entered it; one that may be of a case which is reported already
    with the reason why not.
    """
    is_double = duplicates > 0 and not kept_because.strip()
    return _unless(not_ours=not is_ours, duplicate=is_double)


def may_return_inside(*, is_ours: bool) -> Decision:
    """A card that is not sent is returned by those who entered it."""
    return _unless(not_ours=not is_ours)


def may_withdraw(*, is_ours: bool, was_sent: bool) -> Decision:
    """A card is withdrawn by those who entered it; once it was sent the centre declares it void."""
    return _unless(not_ours=not is_ours, was_sent=was_sent)


def may_exclude(*, is_ours: bool, was_sent: bool) -> Decision:
    """The centre is asked by those who entered a card to declare it void, once it was sent."""
    return _unless(not_ours=not is_ours, not_sent=not was_sent)


def may_confirm(
    *, is_here: bool, has_higher: bool, managed_as_a: bool, duplicates: int, kept_because: str
) -> Decision:
    """A card is confirmed by the centre at which it is; what is met by the measures of class A goes
    on to the centre above, as long as there is one.
    """
    is_double = duplicates > 0 and not kept_because.strip()
    return _unless(elsewhere=not is_here, goes_up=managed_as_a and has_higher, duplicate=is_double)


def may_pass_up(*, is_here: bool, has_higher: bool, managed_as_a: bool) -> Decision:
    """Only what is met by the measures of class A is reviewed above the county."""
    return _unless(elsewhere=not is_here, not_as_a=not managed_as_a, no_higher=not has_higher)


def may_decide(*, is_here: bool) -> Decision:
    """A centre decides of cards that are with it."""
    return _unless(elsewhere=not is_here)


def may_hand_over(*, is_here: bool, other_area: bool) -> Decision:
    """A card goes to the centre of the area where the person lives."""
    return _unless(elsewhere=not is_here, same_area=not other_area)


def may_merge(*, is_here: bool, targets: int) -> Decision:
    """A card is merged into another one of the same case that is with a centre."""
    return _unless(elsewhere=not is_here, no_duplicate=targets == 0)


def is_in_time(*, hours: int, diagnosed: datetime, sent: datetime) -> Decision:
    """Norm of Infectious Disease Reporting (2026): sent within 2 or 24 hours of the diagnosis, the
    last minute included.
    """
    return _unless(late=sent > diagnosed + timedelta(hours=hours))


def is_one_case(*, onset: date, other_onset: date, days: int) -> Decision:
    """Two cards of one person and disease are one case within so many days, the last included."""
    return _unless(apart=abs((onset - other_onset).days) > days)


def _unless(**faults: bool) -> Decision:
    """No for each fault, under its name with hyphens."""
    reasons = tuple(name.replace("_", "-") for name, is_so in faults.items() if is_so)
    return Decision(not reasons, reasons)
