"""What a report card must meet: to be entered, and to be confirmed."""

from __future__ import annotations

from datetime import datetime

from quanmin.base.decision import Decision

NOTIFIABLE = frozenset({"cholera", "measles", "influenza"})


def may_enter(disease: str, diagnosed: datetime, moment: datetime) -> Decision:
    """A card is of a notifiable disease that has been diagnosed."""
    reasons = []
    if disease not in NOTIFIABLE:
        reasons.append("not-notifiable")
    if diagnosed > moment:
        reasons.append("diagnosed-in-the-future")
    return Decision(not reasons, tuple(reasons))


def may_confirm(cards_of_person: int) -> Decision:
    """One card for a person and disease is confirmed, not two."""
    reasons = ("duplicate",) if cards_of_person > 1 else ()
    return Decision(not reasons, reasons)
