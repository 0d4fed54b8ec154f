"""When nobody is to be woken: from a minute of the day to another, by the clock of a zone."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec

_HOUR_MINUTES = 60


class QuietHours(msgspec.Struct, frozen=True):
    """From a minute of the day, that one included, to another, that one not; over midnight where
    the first is the later. The same twice: none.
    """

    begins: int
    ends: int

    def end_of(self, moment: datetime, zone: ZoneInfo) -> datetime | None:
        """When the quiet time is over that holds at an (aware) moment; None where none holds."""
        there = moment.astimezone(zone)
        minute = there.hour * _HOUR_MINUTES + there.minute
        if self.begins <= self.ends:
            is_quiet, is_tomorrow = self.begins <= minute < self.ends, False
        else:
            is_quiet, is_tomorrow = not self.ends <= minute < self.begins, minute >= self.begins
        if not is_quiet:
            return None
        day = there.date() + timedelta(days=int(is_tomorrow))
        end = datetime.combine(day, time(*divmod(self.ends, _HOUR_MINUTES)), zone)
        if end <= moment:  # where the clock is put back, the later of the two
            end = end.replace(fold=1)
        # Compared as moments: two times of one zone are compared by their faces.
        return end if end.timestamp() > moment.timestamp() else None


def read_clock(text: str) -> int:
    """The minute of the day of a time such as 21:30."""
    hour, _, minute = text.partition(":")
    return int(hour) * _HOUR_MINUTES + int(minute)
