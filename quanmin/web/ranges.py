"""Where a result stands: above, below or within the range that came with it, or why that cannot be
told. Nothing is compared but what the record itself holds.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import msgspec

Side = Literal["above", "below", "within", "beyond", "stated", "unknown"]
# Why: it was compared; the laboratory said so; and what kept it from being told.
Reason = Literal["range", "interpretation", "no-value", "no-range", "text-range", "other-unit",
                 "several-ranges", "comparator", "disagree"]  # fmt: skip


class Standing(msgspec.Struct, frozen=True):
    """Where a value stands, and by what; `low` and `high` are the range that decided, `text` one
    that is words only.
    """

    side: Side
    reasons: tuple[Reason, ...]
    is_critical: bool = False
    low: Decimal | None = None
    high: Decimal | None = None
    text: str = ""


class _Rules(msgspec.Struct, frozen=True):
    systems: tuple[str, ...]
    normal_types: tuple[str, ...]
    critical: tuple[str, ...]
    sexes: dict[str, frozenset[str]]
    sides: dict[Side, tuple[str, ...]]

    def side_of(self, code: str) -> Side | None:
        return next((side for side, codes in self.sides.items() if code in codes), None)


@cache
def _rules() -> _Rules:
    file = files("quanmin.definitions").joinpath("result_ranges.toml")
    return msgspec.convert(tomllib.loads(file.read_text("utf-8")), _Rules)


def standing_of(result: dict[str, Any], gender: str = "") -> Standing:
    """Where the value of an Observation, or of one component of it, stands; `gender` is that of its
    person (R4 Patient.gender), "" where it is not known.

    Bounds belong to the range (R4 Observation.referenceRange: low and high are inclusive). A range
    for the other sex is none; of several without a way to choose, only what all of them say is
    told; and where the laboratory's own word and its range do not agree, neither is. That the
    laboratory marks a value as critical is told whatever else is.
    """
    said, is_critical = _said(result)
    compared = msgspec.structs.replace(_compared(result, gender), is_critical=is_critical)
    if said is None:
        return compared
    if compared.side == "unknown":
        return msgspec.structs.replace(compared, side=said, reasons=("interpretation",))
    if said == "stated":
        return compared
    is_same = said == compared.side or (said == "beyond" and compared.side != "within")
    if not is_same:
        return msgspec.structs.replace(compared, side="unknown", reasons=("disagree",))
    reasons = ("range", "interpretation")
    return msgspec.structs.replace(compared, reasons=reasons)


def _said(result: dict[str, Any]) -> tuple[Side | None, bool]:
    """What the laboratory says, the more exact by preference: a side, then that it is beyond, then
    a mere finding; and whether it calls it critical.
    """
    rules = _rules()
    codes = [
        str(coding.get("code") or "")
        for one in _dicts(result.get("interpretation"))
        for coding in _dicts(one.get("coding"))
        if coding.get("system") in {*rules.systems, None}
    ]
    is_critical = any(code in rules.critical for code in codes)
    sides = [side for side in map(rules.side_of, codes) if side]
    placed = {side for side in sides if side != "stated"}
    if placed & {"above", "below"}:
        placed.discard("beyond")
    if len(placed) > 1:
        return None, is_critical
    return next(iter(placed or sides), None), is_critical


def _compared(result: dict[str, Any], gender: str) -> Standing:
    value = result.get("valueQuantity")
    if not isinstance(value, dict) or _number(value) is None:
        has_value = any(name.startswith("value") for name in result)
        return Standing("unknown", ("no-range",) if has_value else ("no-value",))
    ranges = [
        one for one in _dicts(result.get("referenceRange"))
        if _type_of(one) in {"", *_rules().normal_types} and _is_for(one, gender)
    ]  # fmt: skip
    text = next((str(one["text"]) for one in ranges if one.get("text")), "")
    bounded = [one for one in ranges if one.get("low") or one.get("high")]
    if not bounded:
        return Standing("unknown", ("text-range",) if text else ("no-range",), text=text)
    told = [_against(value, one) for one in bounded]
    sides = {one.side for one in told}
    if len(told) > 1 and len(sides) > 1:
        return Standing("unknown", ("several-ranges",))
    found = told[0] if len(told) == 1 else msgspec.structs.replace(told[0], low=None, high=None)
    return msgspec.structs.replace(found, text=text)


def _against(value: dict[str, Any], one: dict[str, Any]) -> Standing:
    low, high = one.get("low") or {}, one.get("high") or {}
    if not all(_is_same_unit(value, bound) for bound in (low, high) if bound):
        return Standing("unknown", ("other-unit",))
    number, least, most = _number(value), _number(low), _number(high)
    if number is None or (least is None and most is None):
        return Standing("unknown", ("no-range",))
    side = _side(str(value.get("comparator") or ""), number, least, most)
    if side is None:
        return Standing("unknown", ("comparator",), low=least, high=most)
    return Standing(side, ("range",), low=least, high=most)


def _side(
    comparator: str, number: Decimal, low: Decimal | None, high: Decimal | None
) -> Side | None:
    """Where it stands; None where a comparator leaves both open."""
    if comparator in {"<", "<="}:
        if low is not None:
            is_below = number <= low if comparator == "<" else number < low
            return "below" if is_below else None
        return "within" if high is not None and number <= high else None
    if comparator in {">", ">="}:
        if high is not None:
            is_above = number >= high if comparator == ">" else number > high
            return "above" if is_above else None
        return "within" if low is not None and number >= low else None
    if comparator:
        return None
    if low is not None and number < low:
        return "below"
    return "above" if high is not None and number > high else "within"


def _is_same_unit(value: dict[str, Any], bound: dict[str, Any]) -> bool:
    """Whether two quantities are of one unit: by their codes, else by what either calls it; a bound
    that says none is of the value's.
    """
    if value.get("code") and bound.get("code"):
        return bool(value["code"] == bound["code"])
    ours, theirs = (
        {str(one[name]) for name in ("code", "unit") if one.get(name)} for one in (value, bound)
    )
    return not ours or not theirs or not ours.isdisjoint(theirs)


def _is_for(one: dict[str, Any], gender: str) -> bool:
    """Whether a range may hold of somebody of this sex: it names none, or theirs among others."""
    named = {
        f"{coding.get('system')}|{coding.get('code')}"
        for concept in _dicts(one.get("appliesTo"))
        for coding in _dicts(concept.get("coding"))
    }
    meant = {sex for sex, codes in _rules().sexes.items() if not codes.isdisjoint(named)}
    return not meant or gender in meant or gender not in _rules().sexes


def _type_of(one: dict[str, Any]) -> str:
    codings: Iterable[dict[str, Any]] = _dicts((one.get("type") or {}).get("coding"))
    return next((str(coding.get("code") or "") for coding in codings), "")


def _number(quantity: dict[str, Any]) -> Decimal | None:
    value = quantity.get("value")
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    return Decimal(value)


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
