"""When two items are equal, equivalent, or one before the other (FHIRPath 2.0, 6.1 and 6.2)."""

from __future__ import annotations

import re
from collections.abc import Hashable
from datetime import tzinfo
from decimal import Decimal
from typing import Any

from quanmin.fhir.json import Json
from quanmin.fhir.path import amounts, moments
from quanmin.fhir.path.amounts import Amount, places_of, rounded, whole
from quanmin.fhir.path.moments import Moment
from quanmin.fhir.path.nodes import Collection, Node, add_member
from quanmin.fhir.path.problems import Unfit

_CODED = ("system", "code")
_BLANK = re.compile(r"\s")


def key(node: Node) -> Hashable:
    """Equal keys for items that are surely equal: what distinct() and unions go by."""
    value = node.plain
    if value is None:
        return ("without value", _json_key(_without_id(node.extra)))
    return value_key(value)


def _without_id(extra: dict[str, Json] | None) -> dict[str, Json]:
    # An id names the place of an element, not what it says.
    return {name: item for name, item in (extra or {}).items() if name != "id"}


def value_key(value: Any) -> Hashable:
    """The key of a System value or of JSON."""
    if type(value) is str:
        return value
    if type(value) is Moment or type(value) is Amount:
        return value.key()
    return _json_key(value)


def _json_key(value: Json) -> Hashable:
    if type(value) is bool:
        return ("boolean", value)
    if type(value) is dict:
        return frozenset((name, _json_key(item)) for name, item in value.items())
    if type(value) is list:
        return tuple(_json_key(item) for item in value)
    return value if isinstance(value, str | int | Decimal) else str(value)


def equal(left: Collection, right: Collection, zone: tzinfo | None) -> bool | None:
    """Whether both hold equal items in the same order; None where that is open."""
    if not left or not right:
        return None
    if len(left) != len(right):
        return False
    if len(left) == 1:
        return equal_items(left[0], right[0], zone)
    answers = [equal_items(one, two, zone) for one, two in zip(left, right, strict=True)]
    if False in answers:
        return False
    return None if None in answers else True


def equal_items(left: Node, right: Node, zone: tzinfo | None) -> bool | None:
    """Whether two items are equal; None where precision, unit or a missing value leave it open."""
    one, two = left.plain, right.plain
    if type(one) is str and type(two) is str:
        return one == two
    if one is None or two is None:
        return None
    if type(one) is Moment and type(two) is Moment:
        if (one.kind == "Time") != (two.kind == "Time"):
            return False
        found = moments.compare(one, two, zone)
        return None if found is None else found == 0
    if type(one) is Amount or type(two) is Amount:
        return _equal_amounts(one, two)
    return value_key(one) == value_key(two)


def _equal_amounts(one: Any, two: Any) -> bool | None:
    left, right = amount(one), amount(two)
    if left is None or right is None:
        return False
    found = amounts.compare(left, right)
    return None if found is None else found == 0


def amount(value: Any) -> Amount | None:
    """A quantity, or a number as one; None for anything else."""
    if type(value) is Amount:
        return value
    return whole(value) if is_number(value) else None


def is_number(value: object) -> bool:
    """Whether it is an Integer, a Long or a Decimal (a Boolean is none)."""
    return isinstance(value, int | Decimal) and type(value) is not bool


# ---- order ---------------------------------------------------------------------------------------


def compare(one: Any, two: Any, zone: tzinfo | None) -> int | None:
    """-1, 0 or 1 for System values; None where open. Raises Unfit for what has no order."""
    if type(one) is str and type(two) is str:
        return (one > two) - (one < two)
    if is_number(one) and is_number(two):
        return int(one > two) - int(one < two)
    if type(one) is Moment and type(two) is Moment:
        return moments.compare(one, two, zone)
    left, right = amount(one), amount(two)
    if left is not None and right is not None:
        return amounts.compare(left, right)
    raise Unfit("only two numbers, texts, dates, times or quantities can be compared by size")


# ---- equivalence ---------------------------------------------------------------------------------


def equivalent(left: Collection, right: Collection) -> bool:
    """Whether both hold equivalent items in any order."""
    if len(left) != len(right):
        return False
    if len(left) == 1:
        return equivalent_items(left[0], right[0])
    rest = list(right)
    for one in left:
        for index, two in enumerate(rest):
            if equivalent_items(one, two):
                del rest[index]
                break
        else:
            return False
    return True


def equivalent_items(left: Node, right: Node) -> bool:
    """Whether two items say the same, case, space and surplus digits aside."""
    one, two = left.plain, right.plain
    if one is None or two is None:
        return one is None and two is None and key(left) == key(right)
    if type(one) is dict and type(two) is dict and left.type.ways and right.type.ways:
        return _equivalent_elements(left, right)
    return _equivalent_values(one, two)


def _equivalent_elements(left: Node, right: Node) -> bool:
    """Objects by their elements, ids aside; Codings by system and code, concepts by any Coding of
    theirs (R4 fhirpath.html, 2.9.1.6).
    """
    kind = left.type
    if kind.name != right.type.name:
        return False
    if kind.name == "CodeableConcept":
        mine, others = _members(left, "coding"), _members(right, "coding")
        # Without a Coding on either side only the text is left to say what is meant.
        if mine or others:
            return any(equivalent_items(one, two) for one in mine for two in others)
    names = _CODED if kind.name == "Coding" else (kind.ways or {}).keys() - {"id"}
    return all(equivalent(_members(left, name), _members(right, name)) for name in names)


def _members(node: Node, name: str) -> Collection:
    found: Collection = []
    add_member(node, name, found)
    return found


def _equivalent_values(one: Any, two: Any) -> bool:
    if type(one) is str and type(two) is str:
        return one == two or _folded(one) == _folded(two)
    if is_number(one) and is_number(two):
        places = min(places_of(Decimal(one)), places_of(Decimal(two)))
        return rounded(Decimal(one), places) == rounded(Decimal(two), places)
    if type(one) is Moment and type(two) is Moment:
        return one.key() == two.key()
    left, right = amount(one), amount(two)
    if (type(one) is Amount or type(two) is Amount) and left and right:
        return amounts.equivalent(left, right)
    if type(one) is dict and type(two) is dict:
        return _equivalent_objects(one, two)
    if type(one) is list and type(two) is list:
        return _equivalent_lists(one, two)
    return value_key(one) == value_key(two)


def _folded(text: str) -> str:
    return _BLANK.sub(" ", text.casefold())


def _equivalent_objects(one: dict[str, Json], two: dict[str, Json]) -> bool:
    mine, other = one.keys() - {"id"}, two.keys() - {"id"}
    return mine == other and all(_equivalent_values(one[name], two[name]) for name in mine)


def _equivalent_lists(one: list[Json], two: list[Json]) -> bool:
    if len(one) != len(two):
        return False
    rest = list(two)
    for item in one:
        for index, candidate in enumerate(rest):
            if _equivalent_values(item, candidate):
                del rest[index]
                break
        else:
            return False
    return True
