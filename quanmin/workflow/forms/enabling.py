"""Whether a condition of an item is met (R4 Questionnaire.item.enableWhen)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from operator import eq, ge, gt, le, lt, ne
from typing import TYPE_CHECKING, Any

from quanmin.fhir.json import Json
from quanmin.fhir.units import convert

if TYPE_CHECKING:
    from quanmin.workflow.forms.filling import Place
    from quanmin.workflow.forms.model import Condition


def is_met(condition: Condition, place: Place, places: Sequence[Place]) -> bool:
    """Whether the nearest occurrence of the question is answered as the condition says.

    A question that is closed has no answer. Of several answers one is enough.
    """
    question = _nearest(condition.question, place, places)
    answers = list(question.answers) if question is not None and _is_open(question) else []
    if condition.operator == "exists":
        return bool(answers) is condition.value
    values = [value for one in answers for value in one.values()]
    return any(_holds(value, condition.operator, condition.value) for value in values)


def _is_open(place: Place) -> bool:
    at: Place | None = place
    while at is not None:
        if not at.is_open:
            return False
        at = at.above
    return True


def _nearest(link_id: str, place: Place, places: Sequence[Place]) -> Place | None:
    """R4 Questionnaire.item.enableWhen.question: among the ancestors, then what precedes, then
    what follows; so first within the same occurrence of a group.
    """
    above = place.above
    while above is not None:
        if above.item.link_id == link_id:
            return above
        found = next(_named(link_id, above.places), None)
        if found is not None:
            return found
        above = above.above
    return next(_named(link_id, places), None)


def _named(link_id: str, places: Sequence[Place]) -> Iterator[Place]:
    for one in places:
        yield from (inner for inner in one.walk() if inner.item.link_id == link_id)


def _holds(value: Json, operator: str, other: Json) -> bool:
    if isinstance(value, dict) and isinstance(other, dict):
        if "value" in value:
            return _ordered(number_like(value, value), operator, number_like(other, value))
        name = "reference" if "reference" in value else "code"
        is_same = all(value.get(one) == other.get(one) for one in {name, "system"})
        return is_same if operator == "=" else operator == "!=" and not is_same
    return _ordered(_moment(value), operator, _moment(other))


def _ordered(one: Any, operator: str, other: Any) -> bool:
    """Whether the comparison holds; what cannot be compared does not hold, and is not equal."""
    if one is None or other is None:
        return operator == "!="
    try:
        return _ORDERS[operator](one, other)
    except TypeError:
        return operator == "!="


def number_like(quantity: dict[str, Json], like: dict[str, Json]) -> Decimal | None:
    """The number of a quantity in the unit of another; None where it has none in it."""
    number = quantity.get("value")
    if number is None:
        return None
    units = [unit_of(one) or "1" for one in (quantity, like)]
    if units[0] == units[1]:
        return Decimal(number)
    return convert(Decimal(number), *units)


def unit_of(quantity: dict[str, Json]) -> str:
    """The unit of a quantity; "" where none is said."""
    return str(quantity.get("code") or quantity.get("unit") or "")


def _moment(value: Json) -> Json | datetime:
    """A time of a day in a zone as such: as text it could not be compared with another zone's."""
    if isinstance(value, str) and _IN_ZONE.fullmatch(value):
        return datetime.fromisoformat(value)
    return value


_IN_ZONE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)")
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "=": eq,
    "!=": ne,
    ">": gt,
    "<": lt,
    ">=": ge,
    "<=": le,
}
