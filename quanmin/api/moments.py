"""Writes moments the two ways the door needs them: FHIR instants and HTTP dates."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, tzinfo

# By hand, since strftime follows the locale and email.utils takes five times as long.
_DAYS = (b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun")
_MONTHS = tuple(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split())
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant(moment: int, zone: tzinfo) -> str:
    """A moment in microseconds as a FHIR instant in `zone`, to the millisecond."""
    local = (_EPOCH + timedelta(microseconds=moment)).astimezone(zone)
    return local.isoformat(timespec="milliseconds")


def http_date(moment: int) -> bytes:
    """A moment in microseconds as an HTTP date (whole seconds, GMT)."""
    when = time.gmtime(moment // 1_000_000)
    day, month = _DAYS[when.tm_wday], _MONTHS[when.tm_mon - 1]
    return b"%s, %02d %s %04d %02d:%02d:%02d GMT" % (
        day,
        when.tm_mday,
        month,
        when.tm_year,
        when.tm_hour,
        when.tm_min,
        when.tm_sec,
    )
