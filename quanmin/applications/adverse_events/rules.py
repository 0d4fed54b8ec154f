"""What must hold of a report of an adverse event, and before its case is closed."""

from __future__ import annotations

from datetime import datetime

from quanmin.base.decision import Decision


def may_report(given: datetime, began: datetime, moment: datetime) -> Decision:
    """An adverse event began after the dose and not in the future."""
    reasons = []
    if began < given:
        reasons.append("before-the-dose")
    if began > moment:
        reasons.append("in-the-future")
    return Decision(not reasons, tuple(reasons))


def may_close(grade: str, outcome: str) -> Decision:
    """A case is closed once it was graded and its outcome is known."""
    reasons = []
    if not grade:
        reasons.append("not-graded")
    if outcome in {"", "unknown", "ongoing"}:
        reasons.append("no-outcome")
    return Decision(not reasons, tuple(reasons))
