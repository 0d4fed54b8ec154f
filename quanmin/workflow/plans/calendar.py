"""The calendar of `spans.py` for columns of days: months are added once for each day there is."""

from __future__ import annotations

import numpy as np

from quanmin.workflow.plans.population import END, EVER, Days
from quanmin.workflow.plans.spans import Span

# Longer than the years between anybody's birth and the last day that follows from it.
_TABLE_DAYS_MAX = 500_000
# A table pays when a column has one day for so many of it, or more: the same months are added to a
# handful of columns. The few dozen persons of one transaction may be born ninety years apart.
_TABLE_SHARE = 8


class Calendar:
    """Adds spans to days; EVER stays EVER, and nothing is after END.

    Most days are asked for often: births, doses. So the days between the first and the last are
    worked out in a table for each number of months, and looked up.
    """

    def __init__(self, *columns: Days) -> None:
        days = [column[column != EVER] for column in columns]
        self._low = min((int(column.min()) for column in days if len(column)), default=0)
        high = max((int(column.max()) for column in days if len(column)), default=0)
        self._length = high - self._low + 1
        self._tables: dict[int, Days] = {}

    def after(self, days: Days, span: Span) -> Days:
        """The days so long after these; see `spans.after`."""
        if not span.months:
            late = np.minimum(days.astype(np.int64) + span.days, END)
            return np.where(days == EVER, EVER, late).astype(np.int32)
        at = days - np.int64(self._low)
        is_listed = (at >= 0) & (at < self._length)
        is_short = self._length <= min(_TABLE_DAYS_MAX, _TABLE_SHARE * len(days))
        if not is_short or not (is_listed | (days == EVER)).all():
            return np.where(days == EVER, EVER, _shifted(days, span.months)).astype(np.int32)
        table = self._tables.get(span.months)
        if table is None:
            known = np.arange(self._low, self._low + self._length, dtype=np.int32)
            table = self._tables[span.months] = _shifted(known, span.months)
        found = table[np.where(is_listed, at, 0)]
        return np.asarray(np.where(is_listed, found, EVER), np.int32)


def _shifted(days: Days, months: int) -> Days:
    """So many calendar months later, the last of the month where it has no such day."""
    whole = np.where(days == EVER, 0, days).astype("M8[D]")
    month = whole.astype("M8[M]")
    begin = (month + months).astype("M8[D]")
    end = (month + months + 1).astype("M8[D]") - 1
    moved = np.minimum(begin + (whole - month.astype("M8[D]")), end).astype(np.int64)
    return np.asarray(np.minimum(moved, END), np.int32)
