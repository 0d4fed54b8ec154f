"""Who is registered, how stable somebody is by a visit, and what holds of emergencies. Pure; the
numbers are those of `definitions/norm.toml`.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

from quanmin.base.decision import Decision


def may_register(
    *, registered: int, consent: str, harm: bool, diagnosed: date, moment: datetime
) -> Decision:
    """With the consent of the person or the guardian; without it only who has harmed others or is
    in danger of it (Mental Health Law, article 30) [GK].
    """
    return _unless(
        registered_already=registered > 0,
        no_consent=consent == "refused" and not harm,
        diagnosed_in_the_future=diagnosed > moment.date(),
    )


def is_unstable(
    *, grade: int, symptoms: str, insight: str, reaction: str, illness: str, refer_from: int
) -> Decision:
    """Danger of grade 3 to 5, or marked symptoms, no insight, a severe adverse reaction or physical
    illness: who is so is referred and seen in two weeks (norm, third edition; what beside the grade
    makes unstable is [GK]).
    """
    is_bad = symptoms == "marked" or insight == "none" or "severe" in {reaction, illness}
    return _unless(not_unstable=grade < refer_from and not is_bad)


def is_stable(
    *,
    grade: int,
    symptoms: str,
    insight: str,
    function: str,
    reaction: str,
    illness: str,
    basic_from: int,
) -> Decision:
    """Danger of grade 0 and nothing bad found: seen again in three months. Who is neither stable
    nor unstable is basically stable (norm, third edition).
    """
    return _unless(
        danger=grade >= basic_from,
        symptoms=symptoms != "gone",
        insight=insight != "whole",
        function=function == "poor",
        reaction=reaction == "severe",
        illness=illness == "severe",
    )


def may_record_visit(
    *, registered: int, on: date, since: date, moment: datetime, unstable: bool, referred: str
) -> Decision:
    """Of somebody who is registered, on a day since then; who is unstable is referred, or it is
    said why not.
    """
    return _unless(
        not_registered=registered == 0,
        in_the_future=on > moment.date(),
        before_registration=registered > 0 and on < since,
        not_referred=unstable and not referred.strip(),
    )


def may_report(*, grade: int, self_harm: bool, refer_from: int) -> Decision:
    """An emergency: danger of grade 3 to 5, or somebody has harmed or tried to kill themselves."""
    return _unless(no_emergency=grade < refer_from and not self_harm)


def may_close(
    *, handled: datetime, on: date, recorded: datetime, unstable: bool, in_hospital: bool
) -> Decision:
    """An emergency ends with a visit that is recorded after it was handled, of that day or a later
    one, and finds somebody not unstable any more, or in hospital. Asked of the last visit.
    """
    is_seen = on >= handled.date() and recorded > handled
    return _unless(not_seen=not is_seen, still_unstable=is_seen and unstable and not in_hospital)


def may_close_unseen(*, followed: bool) -> Decision:
    """Of whom nobody follows up any more no visit is recorded: it is said how it ended."""
    return _unless(still_followed=followed)


def is_in_time(*, found: datetime, informed: datetime, hours: int) -> Decision:
    """Informed within so many hours of finding it, the last minute included [GK]."""
    return _unless(late=informed > found + timedelta(hours=hours))


def _unless(**faults: bool) -> Decision:
    """No for each fault, under its name with hyphens."""
    reasons = tuple(name.replace("_", "-") for name, is_so in faults.items() if is_so)
    return Decision(not reasons, reasons)
