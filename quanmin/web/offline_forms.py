"""A form as data, for a device that fills it in where there is no connection.

What a device carries out is said here, and a form that needs more to be asked rightly is refused
when the node starts. What it only needs to be judged (calculated values, rules, patterns) is left
to the node, which looks at every answer again when it is sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import tzinfo
from typing import Any, Final

import msgspec

from quanmin.base.problems import Invalid, Issue, Sentence
from quanmin.fhir.json import Json
from quanmin.web.questionnaires import control_of, texts_of
from quanmin.web.text import LANGUAGES
from quanmin.workflow.forms import Filling, Form, Item, Words
from quanmin.workflow.forms.enabling import number_like, unit_of
from quanmin.workflow.forms.filling import GROUPS_MAX, Place
from quanmin.workflow.forms.sending import OTHER, UNIT

# Whose answers a condition may be about: a number with a unit, or a moment in a zone, is compared
# by the node alone.
_COMPARED: Final = frozenset(
    {"boolean", "integer", "decimal", "date", "string", "text", "url", "choice", "open-choice"}
)
_ASKED: Final = _COMPARED | {"group", "display", "dateTime", "time", "quantity", "reference"}
_TODAY: Final = "today()"


class CarriedItem(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """An item as a device has it. `control` is how it is answered, `words` its text by language;
    `is_left` is answered by the node alone, `is_typed` is looked up there by its words, `is_today`
    begins with the day on which it is opened. The bounds of a quantity are of its first unit.
    """

    link: str
    control: str
    words: Mapping[str, str]
    hint: Mapping[str, str] = {}
    kind: str = ""
    is_needed: bool = False
    repeats: bool = False
    is_left: bool = False
    is_typed: bool = False
    is_today: bool = False
    is_open_choice: bool = False
    options: tuple[Option, ...] = ()
    units: tuple[Option, ...] = ()
    conditions: tuple[CarriedCondition, ...] = ()
    is_any: bool = False
    lowest: str = ""
    highest: str = ""
    length_max: int = 0
    places_max: int | None = None
    count_min: int = 0
    count_max: int = 0
    items: tuple[CarriedItem, ...] = ()


class Option(msgspec.Struct, frozen=True, omit_defaults=True):
    """What may be chosen: what stands for it in a field, and its words by language."""

    code: str
    words: Mapping[str, str]
    is_alone: bool = False


class CarriedCondition(msgspec.Struct, frozen=True):
    """A condition: what stands in the field of a question, compared with a text. `kind` is the
    question's; for `exists` the text is "true" or "false".
    """

    question: str
    operator: str
    kind: str
    value: str


class CarriedForm(msgspec.Struct, frozen=True, kw_only=True):
    """A form as a device has it; `canonical` names it and its version."""

    canonical: str
    title: Mapping[str, str]
    items: tuple[CarriedItem, ...]


def carried_form(form: Form) -> CarriedForm:
    """The form as data. Raises Invalid with an issue for each item that a device could not ask as
    the form means it.
    """
    issues = [
        Issue(
            "error",
            "not-supported",
            Sentence("%(link_id)s: %(fault)s", link_id=item.link_id, fault=fault),
            item.link_id,
        )
        for item in form.by_link.values()
        for fault in _beyond(form, item)
    ]
    if issues:
        raise Invalid("this form cannot be filled in offline", issues=tuple(issues))
    items = tuple(_carried(form, one) for one in form.items if not one.is_hidden)
    return CarriedForm(canonical=form.canonical, title=_said(form.title), items=items)


def _beyond(form: Form, item: Item) -> Iterator[str]:
    if item.enabled is not None:
        yield "whether it is asked is said by an expression"
    if item.kind not in _ASKED:
        yield f"what is of type {item.kind} is not given there"
    if item.is_coded and item.kind != "open-choice":
        yield "its options are a value set: list them as answerOption"
    if item.is_coded and (item.prefilled is not None or item.initial):
        yield "its options are a value set, and it is filled in before"
    if item.repeats and item.kind != "group" and not item.options:
        yield "what is typed is asked once, or in a group that repeats"
    for one in item.conditions:
        asked = form.by_link[one.question]
        if asked.is_hidden or asked.calculated is not None or asked.is_fixed:
            yield f"it depends on {asked.link_id}, which the node alone answers"
        elif one.operator != "exists" and asked.kind not in _COMPARED:
            yield f"it compares {asked.link_id}, of type {asked.kind}"


def _carried(form: Form, item: Item) -> CarriedItem:
    is_group, is_shown = item.kind == "group", item.kind == "display"
    prefilled = item.prefilled.text if item.prefilled is not None else ""
    length = {"length_max": item.length_max} if item.length_max else {}
    return CarriedItem(
        link=item.link_id,
        control=item.kind if is_group or is_shown else control_of(item, item.options),
        words={name: f"{item.prefix} {told}".strip() for name, told in _said(item.words).items()},
        hint=_said(item.hint) if item.hint else {},
        kind=item.kind,
        is_needed=item.is_needed,
        repeats=item.repeats,
        is_left=item.is_fixed or item.calculated is not None,
        is_today=item.kind == "date" and prefilled == _TODAY,
        is_typed=item.is_coded,
        is_open_choice=item.kind == "open-choice" and not item.is_coded,
        options=tuple(Option(one.code, _said(one.words), one.is_alone) for one in item.options),
        units=tuple(Option(one.code, _said(one.words)) for one in item.units),
        conditions=tuple(_conditions(form, item)),
        is_any=item.is_any,
        lowest=_bound(item, item.lowest),
        highest=_bound(item, item.highest),
        places_max=item.places_max,
        count_min=item.count_min or 0,
        count_max=item.count_max or (GROUPS_MAX if is_group else 0),
        items=tuple(_carried(form, one) for one in item.items if not one.is_hidden),
        **length,
    )


def _conditions(form: Form, item: Item) -> Iterator[CarriedCondition]:
    for one in item.conditions:
        value = str(one.value).lower() if isinstance(one.value, bool) else str(one.value)
        if isinstance(one.value, dict):
            value = f"{one.value.get('system', '')}|{one.value.get('code', '')}"
        yield CarriedCondition(one.question, one.operator, form.by_link[one.question].kind, value)


def _said(words: Words) -> dict[str, str]:
    return {one: words.told(one) for one in LANGUAGES}


def _bound(item: Item, value: Json) -> str:
    """A bound as a device compares it: in the first of the item's units, of a moment a day; "" for
    one that the node alone compares.
    """
    if isinstance(value, dict):
        is_of_unit = unit_of(value) and item.units
        value = number_like(value, item.units[0].value) if is_of_unit else value.get("value")
    is_moment = item.kind == "dateTime" and isinstance(value, str) and "T" in value
    return "" if value is None or is_moment else str(value)


def fields_of(filling: Filling) -> dict[str, list[str]]:
    """What stands in the fields of a form, as a page would send it; of what nobody can fill in, the
    words that are shown.
    """
    found: dict[str, list[str]] = {}
    starts = filling.starts()
    for place in filling.walk():
        item = place.item
        if item.is_hidden:
            continue
        if item.kind == "group":
            if item.repeats:
                found[f"{place.key}/"] = [starts[place.key]]
        elif item.kind != "display" and place.answers:
            found |= _fields(place, filling.around.zone)
    return found


def _fields(place: Place, zone: tzinfo) -> dict[str, Any]:
    item = place.item
    if item.is_fixed or item.calculated is not None:
        return {place.key: texts_of(place, zone)}
    if item.kind == "boolean":
        return {place.key: [str(place.value).lower()]}
    if item.options:
        codes = [one.code for one in item.options if one.code in place.codes]
        typed = [str(one["valueString"]) for one in place.answers if "valueString" in one]
        return {place.key: codes, **({place.key + OTHER: typed} if typed else {})}
    if item.kind == "quantity" and isinstance(place.value, dict):
        unit = next(
            (one.code for one in item.units if one.value.get("code") == place.value.get("code")), ""
        )
        return {place.key: texts_of(place, zone), place.key + UNIT: [unit]}
    return {place.key: texts_of(place, zone)}
