"""What results say of weight and blood type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from quanmin.fhir.portrait.definitions import (
    Blood,
    Fact,
    Found,
    Weight,
    Whose,
    Words,
    found,
    has_code,
    newest_first,
)

_TENTH: Final = Decimal("0.1")
_KILOGRAMS: Final = {"kg": Decimal(1), "g": Decimal("0.001")}
_CENTIMETRES: Final = {"cm": Decimal(1), "m": Decimal(100)}
_DAY_LENGTH: Final = 10


def age_on(birth: str, today: date) -> tuple[int, int] | None:
    """The least and the most completed years that a birth date, perhaps without its day or month,
    leaves open; who was born on 29 February is a year older on 1 March.
    """
    parts = [int(part) for part in birth[:_DAY_LENGTH].split("-") if part.isdigit()]
    if not parts:
        return None
    years = today.year - parts[0]
    here = (today.month, today.day)[: len(parts) - 1]
    if len(parts) == 1 or (len(parts) == 2 and here == tuple(parts[1:])):
        return max(years - 1, 0), max(years, 0)
    years -= here < tuple(parts[1:])
    return (years, years) if years >= 0 else None


def weighed(by: Weight, whose: Whose, results: Sequence[Fact], today: date) -> Iterator[Found]:
    """The class of an adult's weight by the body mass index, or the weight alone."""
    lately = today - timedelta(days=by.weight_days_max)
    weight = _measured(results, by.weight_codes, _KILOGRAMS, lately)
    index = _measured(results, by.bmi_codes, {"kg/m2": Decimal(1)}, lately)
    height = _measured(
        results, by.height_codes, _CENTIMETRES, today - timedelta(days=by.height_days_max)
    )
    age = age_on(whose.birth, today)
    is_adult = age is not None and age[0] >= by.age_from
    if is_adult and index and (weight is None or (index[0].on or today) >= (weight[0].on or today)):
        yield _classed(by, index[1], "reported", (index[0],))
    elif is_adult and weight and height and _was_grown(whose, height[0], by) and height[1] > 0:
        value = weight[1] / (height[1] / 100) ** 2
        yield _classed(by, value, "computed", (weight[0], height[0]))
    elif weight:
        words = Words(zh="体重", en="Weight")
        detail = f"{weight[1].normalize():f} kg"
        yield found("weight", "weight", words, by.source, ["not-classed"], weight[:1], detail)


def _was_grown(whose: Whose, height: Fact, by: Weight) -> bool:
    age = None if height.on is None else age_on(whose.birth, height.on)
    return age is not None and age[0] >= by.age_from


def _classed(by: Weight, value: Decimal, reason: str, rows: tuple[Fact, ...]) -> Found:
    shown = value.quantize(_TENTH, ROUND_HALF_UP)
    words = next(one for one in by.classes if one.below is None or shown < one.below)
    return found("weight", "bmi", words, by.source, [reason], rows, f"BMI {shown}")


def _measured(
    results: Sequence[Fact], codes: Sequence[str], units: Mapping[str, Decimal], since: date
) -> tuple[Fact, Decimal] | None:
    """The newest of these measurements since a day, in the first of the units."""
    for one in newest_first(row for row in results if has_code(row.body.get("code"), codes)):
        quantity = one.body.get("valueQuantity") or {}
        value: Any = quantity.get("value")
        unit = str(quantity.get("code") or quantity.get("unit"))
        is_number = isinstance(value, int | Decimal) and not isinstance(value, bool)
        if is_number and unit in units and one.on is not None and one.on >= since:
            return one, Decimal(value) * units[unit]
    return None


def typed(by: Blood, results: Sequence[Fact]) -> Iterator[Found]:
    """The blood type by its parts; results that contradict each other are no type at all."""
    told: dict[str, dict[str, Words]] = {}
    rows: list[Fact] = []
    for one in newest_first(row for row in results if has_code(row.body.get("code"), by.codes)):
        for value in by.value:
            if _says(one.body, value):
                told.setdefault(value.part, {})[value.en] = value
                rows.append(one)
    if not told:
        return
    known = tuple({row.id: row for row in rows}.values())
    if any(len(values) > 1 for values in told.values()):
        words = Words(
            zh="结果互相矛盾，请核实", en="Results contradict each other: have it checked"
        )
        yield found("blood", "contradictory", words, by.source, ["contradictory"], known)
        return
    parts = [next(iter(told[part].values())) for part in ("abo", "rh") if part in told]
    zh, en = " ".join(one.zh for one in parts), ", ".join(one.en for one in parts)
    yield found("blood", "type", Words(zh=zh, en=en), by.source, ["reported"], known)


def _says(body: Mapping[str, Any], value: Words) -> bool:
    concept = body.get("valueCodeableConcept") or {}
    words = {str(concept.get("text") or "").strip(), str(body.get("valueString") or "").strip()}
    return has_code(concept, value.codes) or not words.isdisjoint(value.words)
