"""Whose contacts are observed, until when, and when a contact is free."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from quanmin.base.decision import Decision


def may_list(*, days: int, exposed: date, moment: datetime) -> Decision:
    """A contact is listed of a disease whose contacts are observed, after the contact and before
    the observation would be over.
    """
    today = moment.date()
    faults = {
        "not-observed": days == 0,
        "exposed-in-the-future": exposed > today,
        "over": days > 0 and exposed + timedelta(days=days) < today,
    }
    return _unless(faults)


def may_free(*, days: int, exposed: date, moment: datetime) -> Decision:
    """A contact is free after the last day of the observation."""
    return _unless({"not-over": moment.date() <= exposed + timedelta(days=days)})


def _unless(faults: dict[str, bool]) -> Decision:
    reasons = tuple(reason for reason, is_so in faults.items() if is_so)
    return Decision(not reasons, reasons)
