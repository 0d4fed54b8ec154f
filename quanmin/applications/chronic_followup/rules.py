"""Who is enrolled, when a visit may be entered or taken back and where it leads, who answers a
referral, and when a case is closed.
"""

from __future__ import annotations

from datetime import date, datetime

from quanmin.base.decision import Decision


def may_enrol(
    *,
    age: int,
    age_min: int,
    diagnosed: bool,
    high_days: int,
    days_needed: int,
    is_doctor: bool,
    has_case: bool,
    enrolled: date,
    moment: datetime,
) -> Decision:
    """Somebody is enrolled from an age on, once, with a diagnosis; of hypertension a pressure that
    was high on so many separate days is enough (third edition of the norm, screening), of which a
    doctor makes the diagnosis.
    """
    is_found = 0 < days_needed <= high_days
    return _unless(
        too_young=age < age_min,
        no_diagnosis=not diagnosed and not is_found,
        doctor_diagnoses=not diagnosed and is_found and not is_doctor,
        has_case=has_case,
        in_the_future=enrolled > moment.date(),
    )


def may_go_on(
    *, measure: str, on: date, enrolled: date, born: date, is_told: bool, moment: datetime
) -> Decision:
    """A visit after which the person stays with whoever follows them."""
    faults = _faults(on, enrolled, born, moment, is_told=is_told)
    return _unless(to_refer=measure == "refer", **faults)


def must_refer(
    *, measure: str, on: date, enrolled: date, born: date, is_told: bool, moment: datetime
) -> Decision:
    """A visit after which the person is referred: in a crisis, with a complication, or when a
    second visit in a row is not satisfactory (third edition of the norm, follow-up).
    """
    is_needed = measure in {"refer", ""}
    return _unless(no_need=not is_needed, **_faults(on, enrolled, born, moment, is_told=is_told))


def may_check(*, on: date, enrolled: date, born: date, is_told: bool, moment: datetime) -> Decision:
    """A visit to somebody who was referred, to see whether they went."""
    return _unless(**_faults(on, enrolled, born, moment, is_told=is_told))


def may_take_back(*, has_visit: bool, falls: bool) -> Decision:
    """A visit that was entered in error is taken back; one that a referral rests on, with it."""
    return _unless(not_told=not has_visit, referral_falls=falls)


def may_take_back_referral(*, has_visit: bool, falls: bool) -> Decision:
    """A referral is taken back with a visit without which nothing calls for it."""
    return _unless(not_told=not has_visit, referral_stands=not falls)


def may_answer(*, is_there: bool) -> Decision:
    """A referral is answered where it went to; one that went to no institution, by whoever sent."""
    return _unless(elsewhere=not is_there)


def may_take_over(*, is_mine: bool, is_referred_here: bool) -> Decision:
    """A case comes to whoever takes it over, of those who follow the person up."""
    return _unless(is_mine=is_mine, referred_here=is_referred_here)


def may_close(*, closed: date, enrolled: date, moment: datetime) -> Decision:
    """A case is closed with the day on which the person moved away, died or was lost."""
    return _unless(in_the_future=closed > moment.date(), before_enrolment=closed < enrolled)


def may_reopen(*, has_case: bool) -> Decision:
    """A case that was closed by mistake goes on, unless another of the disease was begun since."""
    return _unless(has_case=has_case)


def _faults(
    on: date, enrolled: date, born: date, moment: datetime, *, is_told: bool
) -> dict[str, bool]:
    return {
        "in_the_future": on > moment.date(),
        "before_birth": on < born,
        "before_enrolment": born <= on < enrolled,
        "told_already": is_told,
    }


def _unless(**faults: bool) -> Decision:
    """No for each fault, under its name with hyphens."""
    reasons = tuple(name.replace("_", "-") for name, is_so in faults.items() if is_so)
    return Decision(not reasons, reasons)
