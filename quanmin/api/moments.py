"""Writes moments the two ways the door needs them: FHIR instants and HTTP dates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from email.utils import format_datetime

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant(moment: int, zone: tzinfo) -> str:
    """A moment in microseconds as a FHIR instant in `zone`, to the millisecond."""
    local = (_EPOCH + timedelta(microseconds=moment)).astimezone(zone)
    return local.isoformat(timespec="milliseconds")


def http_date(moment: int) -> bytes:
    """A moment in microseconds as an HTTP date (whole seconds, GMT)."""
    when = _EPOCH + timedelta(seconds=moment // 1_000_000)
    return format_datetime(when, usegmt=True).encode("ascii")
