"""What is wrong with the answers of a form: its bounds, its options and its own rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, tzinfo
from decimal import Decimal
from operator import gt, lt
from typing import Any, Final

from quanmin.fhir.dates import local_text
from quanmin.fhir.json import Json
from quanmin.fhir.path import PathProblem, compile_path
from quanmin.workflow.forms.enabling import number_like, unit_of
from quanmin.workflow.forms.filling import Filling, Place, Seen
from quanmin.workflow.forms.model import Constraint, Fault, FaultCode, Item, code_of
from quanmin.workflow.forms.sending import offered

_OF_FILES: Final[tuple[FaultCode, ...]] = ("file-empty", "file-size", "file-kind")
_DAY_LENGTH: Final = len("2026-01-31")


def faults(filling: Filling) -> list[Fault]:
    """Everything that is wrong with a settled filling, in the order of the form.

    Closed places are asked nothing, nor what is below a group that repeats where nobody began it
    and nobody has to (R4 Questionnaire.item.required). A fault that `is_warning` does not stop the
    response.
    """
    seen = filling.seen()
    found: list[Fault] = []
    for place in _asked(filling.places):
        found += _of_place(filling, place)
        found += _of_rules(filling, place.item.constraints, place, seen)
    found += _of_counts(filling)
    return found + list(_of_rules(filling, filling.form.constraints, None, seen))


def _asked(places: Sequence[Place]) -> Iterator[Place]:
    counts: dict[str, int] = {}
    for place in places:
        if not place.is_open:
            continue
        item = place.item
        at = counts[item.link_id] = counts.get(item.link_id, 0) + 1
        least = max(item.count_min or 0, int(item.is_needed))
        is_optional = item.kind == "group" and item.repeats and at > least
        if is_optional and place.is_empty and not any(one.unread for one in place.walk()):
            continue
        yield place
        yield from _asked(place.places)


def _of_place(filling: Filling, place: Place) -> Iterator[Fault]:
    item = place.item

    def fault(code: FaultCode, limit: str = "") -> Fault:
        return Fault(place.key, item.link_id, code, limit)

    if item.kind in {"group", "display"}:
        if item.is_needed and place.is_empty:
            yield fault("needed")
        return
    if place.unread:
        yield from (fault(*one) for one in _unread(filling, place))
        return
    if item.is_needed and not place.answers:
        yield fault("needed")
    count = len(place.answers)
    if item.count_min is not None and 0 < count < item.count_min:
        yield fault("too-few", str(item.count_min))
    most = item.count_max if item.repeats else 1
    if most is not None and count > most:
        yield fault("too-many", str(most))
    alone = {option.code for option in item.options if option.is_alone}
    if count > 1 and alone & place.codes:
        yield fault("alone")
    for answer in place.answers:
        for element, value in answer.items():
            yield from (fault(*one) for one in _of_value(filling, place, element, value))


def _unread(filling: Filling, place: Place) -> Iterator[tuple[FaultCode, str]]:
    """Why what was typed or sent is no answer."""
    codes = filling.around.codes
    if place.item.kind == "attachment":
        for text in place.unread:
            code, _, limit = text.partition(" ")
            yield next((one for one in _OF_FILES if one == code), "file-gone"), limit
    elif not place.item.is_coded or codes is None:
        yield "unreadable", ""
    else:
        yield ("unchosen" if codes.is_here(place.item.value_set) else "no-list"), ""


def _of_value(
    filling: Filling, place: Place, element: str, value: Json
) -> Iterator[tuple[FaultCode, str]]:
    item = place.item
    if (item.options or item.value_set) and not _is_option(filling, place, element, value):
        is_code = item.is_coded and isinstance(value, dict) and filling.around.codes is not None
        yield ("unknown-code", str(value.get("code"))) if is_code else ("not-an-option", "")
    yield from _of_bounds(item, value, filling.around.zone)
    if item.kind == "quantity" and item.units:
        if value.get("code") not in {one.value.get("code") for one in item.units}:
            yield "unit", ", ".join(one.words.text for one in item.units)
        value = value.get("value")
    elif isinstance(value, dict):
        return
    if item.length_max is not None and isinstance(value, str) and len(value) > item.length_max:
        yield "too-long", str(item.length_max)
    if item.pattern and isinstance(value, str) and not _matches(item.pattern, value):
        yield "wrong-form", ""
    if isinstance(value, Decimal) and item.places_max is not None:
        exponent = value.normalize().as_tuple().exponent
        if isinstance(exponent, int) and -exponent > item.places_max:
            yield "too-precise", str(item.places_max)


def _of_bounds(item: Item, value: Json, zone: tzinfo) -> Iterator[tuple[FaultCode, str]]:
    bounds: tuple[tuple[Json, FaultCode, Callable[[Any, Any], bool]], ...] = (
        (item.lowest, "too-low", lt),
        (item.highest, "too-high", gt),
    )
    for bound, code, is_beyond in bounds:
        given, limit = _alike(value, bound, zone)
        if given is not None and limit is not None and is_beyond(given, limit):
            yield code, _told(bound, value)


def _alike(value: Json, bound: Json, zone: tzinfo) -> tuple[Any, Any]:
    """A value and a bound as they compare: numbers in the unit of the value, moments of one zone,
    and of days, months and years as much as both tell. None for what does not compare.
    """
    if isinstance(value, dict):
        is_of_unit = isinstance(bound, dict) and unit_of(bound) and unit_of(value)
        limit = number_like(bound, value) if is_of_unit else _plain(bound)
        return value.get("value"), limit
    limit = _plain(bound)
    if not isinstance(value, str) or not isinstance(limit, str):
        is_text = isinstance(value, str) or isinstance(limit, str)
        return (None, None) if is_text else (value, limit)
    one, other = local_text(value, zone), local_text(limit, zone)
    length = min(len(one), len(other))
    if length > _DAY_LENGTH:
        return datetime.fromisoformat(one), datetime.fromisoformat(other)
    return one[:length], other[:length]


def _plain(bound: Json) -> Json:
    return bound.get("value") if isinstance(bound, dict) else bound


def _told(bound: Json, value: Json) -> str:
    """A bound in words, with its unit where that is another than the value's."""
    is_another = isinstance(bound, dict) and unit_of(bound) not in {"", unit_of(value)}
    return (
        f"{_plain(bound)} {bound.get('unit') or unit_of(bound)}"
        if is_another
        else str(_plain(bound))
    )


def _is_option(filling: Filling, place: Place, element: str, value: Json) -> bool:
    item = place.item
    if item.kind == "open-choice" and element == "valueString":
        return True
    options = offered(place, filling.around)
    if options:
        return code_of(value) in {option.code for option in options}
    codes, terminology = filling.around.codes, filling.around.terminology
    if codes is not None:
        return isinstance(value, dict) and codes.coding(item.value_set, code_of(value)) is not None
    if terminology is None or not isinstance(value, dict):
        return False
    code = str(value.get("code", ""))
    # What a value set holds that is not known here is not refused: whoever stores it validates.
    return terminology.is_member(item.value_set, value.get("system"), code) is not False


def _matches(pattern: str, value: str) -> bool:
    escaped = pattern.replace("\\", "\\\\").replace("'", "\\'")
    try:
        return compile_path(f"$this.matchesFull('{escaped}')").is_true(value) is True
    except PathProblem:
        return False


def _of_counts(filling: Filling) -> Iterator[Fault]:
    """Groups that are there too seldom or too often."""
    counts: dict[tuple[str, str], list[Place]] = {}
    for place in filling.open_places():
        if place.item.kind == "group" and place.item.repeats and not place.is_empty:
            above = place.above.key if place.above else ""
            counts.setdefault((above, place.item.link_id), []).append(place)
    for places in counts.values():
        item = places[0].item
        if item.count_min is not None and len(places) < item.count_min:
            yield Fault(places[0].key, item.link_id, "too-few", str(item.count_min))
        if item.count_max is not None and len(places) > item.count_max:
            yield Fault(places[-1].key, item.link_id, "too-many", str(item.count_max))


def _of_rules(
    filling: Filling, constraints: tuple[Constraint, ...], place: Place | None, seen: Seen
) -> Iterator[Fault]:
    """A rule holds when it is true or says nothing, as FHIR's invariants do."""
    for one in constraints:
        if False in filling.evaluate(one.path, place, seen):
            key, link = (place.key, place.item.link_id) if place else ("", "")
            yield Fault(key, link, "rule", one.key, one.words, one.is_warning)
