"""The clock, and the parts of dates and times (FHIRPath 2.0, 5.9)."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from quanmin.fhir.path import moments
from quanmin.fhir.path.compiling import Function
from quanmin.fhir.path.functions.scalar import anything, scalar
from quanmin.fhir.path.moments import Moment, read_date
from quanmin.fhir.path.nodes import computed

_DAY_PARTS = 3


def _clock(shown: Callable[[Moment], Moment]) -> Function:
    return Function(
        0, 0, lambda _application: lambda _focus, _this, scope: computed(shown(scope.now))
    )


def _time(moment: Moment) -> Moment:
    return Moment("Time", moment.parts[_DAY_PARTS:])


def _moment(value: Any) -> Moment | None:
    found = read_date(value) if type(value) is str else value
    return found if type(found) is Moment else None


def _part(number: int) -> Function:
    def apply(value: Any) -> int | None:
        moment = _moment(value)
        if moment is None:
            return None
        at = number - _DAY_PARTS if moment.kind == "Time" else number
        return int(moment.parts[at]) if 0 <= at < len(moment.parts) else None

    return scalar(apply, anything)


def _millisecond(value: Any) -> int | None:
    moment = _moment(value)
    second = moment.parts[-1] if moment else None
    if not isinstance(second, Decimal) or "." not in str(second):
        return None
    return int(second % 1 * 1000)


def _offset(value: Any) -> Decimal | None:
    moment = _moment(value)
    if moment is None or moment.offset is None:
        return None
    return Decimal(moment.offset) / 60


def _date_of(value: Any) -> Moment | None:
    moment = _moment(value)
    return moments.converted(moment, "Date") if moment and moment.kind != "Time" else None


def _time_of(value: Any) -> Moment | None:
    moment = _moment(value)
    has_time = moment is not None and moment.kind != "Time" and moment.has_time
    return _time(moment) if moment and has_time else None


TIMES: dict[str, Function] = {
    "now": _clock(lambda moment: moment),
    "today": _clock(lambda moment: moments.converted(moment, "Date")),
    "timeOfDay": _clock(_time),
    "yearOf": _part(0),
    "monthOf": _part(1),
    "dayOf": _part(2),
    "hourOf": _part(3),
    "minuteOf": _part(4),
    "secondOf": _part(5),
    "millisecondOf": scalar(_millisecond, anything),
    "timezoneOffsetOf": scalar(_offset, anything),
    "dateOf": scalar(_date_of, anything),
    "timeOf": scalar(_time_of, anything),
}
"""The clock and parts of dates."""
