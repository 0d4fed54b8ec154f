"""Results for who is no doctor: plain names, where each value stands in words, and how it went."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

from quanmin.fhir.json import decode
from quanmin.trust import Hits, Stored
from quanmin.web.charts import Band, Series, line_chart
from quanmin.web.dates import short_fhir
from quanmin.web.drawing import Figure, shown_rows
from quanmin.web.gist import flag_of, place_of, time_of, title_of, value_of
from quanmin.web.ranges import Standing, standing_of
from quanmin.web.records import DeclaredRecords
from quanmin.web.timeline import Visits, encounter_of
from quanmin.web.visit import Visit

_POINTS_MIN, _SERIES = 2, 2
# In a search value these separate.
_ESCAPED = re.compile(r"[\\,$|]")


class Name(msgspec.Struct, frozen=True):
    """What a result is called and is about; `about` is "" for one that has no plain words."""

    text: str
    about: str


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One value: the result itself, or a component of it. `key` is the same for what is the same
    measurement; `words` say where it stands, `range` the range in digits; `said` is the
    laboratory's own word. `number` is None where the value is not one exact number.
    """

    key: str
    name: Name
    value: str
    standing: Standing
    words: str
    range: str
    said: str
    number: Decimal | None
    unit: str

    @property
    def is_marked(self) -> bool:
        """Whether it is out of its range, or the laboratory marks it as critical."""
        return self.standing.is_critical or self.standing.side in {"above", "below", "beyond"}


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One Observation. `key` is the same for results of the same examination, "" for none; `words`
    say in one line where its parts stand; `organization` is the id of its institution, which
    `encounter` may tell instead.
    """

    id: str
    key: str
    patient: str
    name: Name
    title: str
    parts: tuple[Measured, ...]
    words: str
    time: str
    day: str
    organization: str
    place: str
    encounter: str
    status: str

    @property
    def value(self) -> str:
        """Its values in one line."""
        return " / ".join(part.value for part in self.parts)

    @property
    def is_marked(self) -> bool:
        """Whether one of them is to be looked at."""
        return any(part.is_marked for part in self.parts)


@cache
def _table() -> dict[str, Any]:
    file = files("quanmin.definitions").joinpath("result_names.toml")
    return tomllib.loads(file.read_text("utf-8"))


@cache
def _plain() -> dict[str, list[str]]:
    return {row[0]: row for row in _table()["results"]}


def tell_result(visit: Visit, stored: Stored, gender: str = "") -> Result | None:
    """An Observation of somebody of this gender ("": not known) as a result; None for one that is
    none, was taken back or has no value.
    """
    body = decode(stored.body or b"{}")
    parts = [one for one in body.get("component") or () if _has_value(one)]
    if body.get("status") in _table()["status_left_out"] or not (_has_value(body) or parts):
        return None
    categories = [
        coding.get("code")
        for one in body.get("category") or ()
        for coding in one.get("coding") or ()
    ]
    if categories and all(code in _table()["left_out"] for code in categories):
        return None
    time = time_of(body)
    organization, place = place_of(body)
    every = ([body] if _has_value(body) else []) + parts
    measured = tuple(_measured(visit, one, gender) for one in every)
    return Result(
        id=stored.id,
        key=_key(body),
        patient=str((body.get("subject") or {}).get("reference") or "").removeprefix("Patient/"),
        name=_name(visit, body),
        title=title_of(body, visit.reader).text,
        parts=measured,
        words=_said_of(visit, measured),
        time=time,
        day=short_fhir(time, visit.house.settings.zone),
        organization=organization,
        place=place,
        encounter=encounter_of(body),
        status=str(body.get("status") or ""),
    )


def _said_of(visit: Visit, parts: Sequence[Measured]) -> str:
    alike = {part.words for part in parts}
    if len(alike) == 1:
        return alike.pop()
    return visit.semicolon.join(f"{part.name.text}{visit.colon}{part.words}" for part in parts)


def newest_of_each(results: Iterable[Result]) -> list[tuple[Result, int]]:
    """Of results that are newest first the newest of each examination, and how many there are."""
    found: dict[str, tuple[Result, int]] = {}
    for one in results:
        key = one.key or one.id
        newest, number = found.get(key, (one, 0))
        found[key] = newest, number + 1
    return list(found.values())


def stands(visit: Visit, standing: Standing) -> str:
    """Where a value stands, in words."""
    return {
        "above": visit.say("above the range"),
        "below": visit.say("below the range"),
        "within": visit.say("within the range"),
        "beyond": visit.say("out of the usual, the laboratory says"),
        "stated": visit.say("as the laboratory states it"),
        "unknown": _why_not(visit, standing),
    }[standing.side]


def tell_results(visit: Visit, entries: Iterable[Stored], gender: str = "") -> list[Result]:
    """Those of these Observations of somebody that are results."""
    return [one for one in (tell_result(visit, stored, gender) for stored in entries) if one]


async def find_alike(
    records: DeclaredRecords, one: Result, patient_ids: str, *, count: int, cursor: str | None
) -> Hits:
    """Results of the same examination of these Patients (ids with commas), the newest first."""
    system, _, code = one.key.rpartition("|")
    asked = "|".join(_ESCAPED.sub(r"\\\g<0>", part) for part in (system, code))
    return await records.find(
        "Observation", ("patient", patient_ids), ("code", asked), ("_sort", "-date"),
        count=count, cursor=cursor,
    )  # fmt: skip


def place_in(one: Result, visits: Visits) -> str:
    """The name of the institution of a result: its own, else that of its visit."""
    known = one.organization or visits.organizations.get(one.encounter, "")
    return one.place or visits.names.get(known, "")


def headings(visit: Visit) -> list[str]:
    """What the columns of a list of results are called."""
    say = visit.say
    return [say("Result"), say("Value"), say("Where it stands"), say("Day"), say("Institution")]


def sheet_headings(visit: Visit) -> list[str]:
    """Those of its sheet."""
    return [*headings(visit), visit.say("Reference range"), visit.say("Address of the page")]


def sheet_rows(results: Iterable[Result], visits: Visits) -> list[list[str]]:
    """Results as rows of a sheet, one for each value."""
    return [
        [part.name.text, part.value, part.words, one.time, place_in(one, visits), part.range,
         f"/result/{one.id}"]
        for one in results
        for part in one.parts
    ]  # fmt: skip


def trend(visit: Visit, name: str, results: Sequence[Result], title: str) -> Figure | None:
    """How the values of one examination went, the oldest first, as far as they are of one unit;
    None for fewer than two. `name` is unique on its page.

    What is not told exactly (`<5`) is in the table and no point. Where each stands is said by its
    own range; a range is drawn where it is that of all.
    """
    dated = sorted(
        (one for one in results if _is_day(one.day)), key=lambda one: (one.day, one.time)
    )
    measured = [part for one in reversed(dated) for part in one.parts if part.number is not None]
    unit = measured[0].unit if measured else ""
    names = {part.key: part.name.text for part in reversed(measured) if part.unit == unit}
    keys = list(dict.fromkeys(part.key for part in measured if part.unit == unit))[:_SERIES]
    found = [[_part_of(one, key) for one in dated] for key in keys]
    numbers = [[_number_of(part, unit) for part in parts] for parts in found]
    if not any(sum(v is not None for v in one) >= _POINTS_MIN for one in numbers):
        return None
    figure = line_chart(
        visit.pen, name, title, [one.day for one in dated],
        [Series(names[key], one) for key, one in zip(keys, numbers, strict=True)],
        unit=unit, band=_band_of(visit, found[0], unit) if len(found) == 1 else None,
        at=[date.fromisoformat(one.day).toordinal() for one in dated],
        label_heading=visit.say("Day"),
    )  # fmt: skip
    told = [
        (one.day, *(_cell(visit, parts[at], unit) for parts in found), one.words)
        for at, one in enumerate(dated)
    ]
    rows, notes = shown_rows(visit.pen, told, is_newest_last=True)
    headings = (*figure.headings[: 1 + len(keys)], visit.say("Where it stands"))
    return msgspec.structs.replace(figure, headings=headings, rows=rows, notes=notes)


def _part_of(result: Result, key: str) -> Measured | None:
    return next((part for part in result.parts if part.key == key), None)


def _number_of(part: Measured | None, unit: str) -> float | None:
    return float(part.number) if part and part.number is not None and part.unit == unit else None


def _cell(visit: Visit, part: Measured | None, unit: str) -> str:
    """A value under a heading that says the unit: its number, else as it was told."""
    if part is None or _number_of(part, unit) is not None:
        return visit.pen.number(part.number if part else None)
    return part.value


def _band_of(visit: Visit, parts: Iterable[Measured | None], unit: str) -> Band | None:
    """The range of all that are drawn, where they have one in common."""
    drawn = [part.standing for part in parts if part and _number_of(part, unit) is not None]
    ranges = {(one.low, one.high) for one in drawn}
    if len(ranges) != 1 or ranges == {(None, None)}:
        return None
    ((low, high),) = ranges
    return Band(visit.say("Reference range"), low, high)


def _is_day(day: str) -> bool:
    try:
        return date.fromisoformat(day) is not None
    except ValueError:
        return False


def _measured(visit: Visit, body: dict[str, Any], gender: str) -> Measured:
    standing, quantity = standing_of(body, gender), body.get("valueQuantity") or {}
    value = quantity.get("value")
    said = flag_of(body, visit.reader)
    own = {key: one for key, one in body.items() if key != "component"}
    if quantity.get("comparator") or not isinstance(value, int | Decimal):
        value = None
    return Measured(
        key=_key(body) or _name(visit, body).text,
        name=_name(visit, body),
        value=value_of(own, visit.reader) or _told_value(visit, own),
        standing=standing,
        words=stands(visit, standing),
        range=_range(standing, visit, quantity),
        said=said.text if said else "",
        number=None if value is None else Decimal(value),
        unit=str(quantity.get("unit") or quantity.get("code") or ""),
    )


def _told_value(visit: Visit, own: dict[str, Any]) -> str:
    """A value that is neither measured, nor coded, nor text: as the record's own page tells it."""
    values = {name: value for name, value in own.items() if name.startswith("value")}
    told = [one.text for field in visit.reader.fields(values) for one in field.values]
    return " ".join(told)


def _range(standing: Standing, visit: Visit, quantity: dict[str, Any]) -> str:
    if standing.low is None and standing.high is None:
        return standing.text
    low, high = (
        ""
        if bound is None
        else visit.reader.quantity({**quantity, "comparator": "", "value": bound})
        for bound in (standing.low, standing.high)
    )
    if low and high:
        return f"{standing.low} – {high}"
    return f"≥ {low}" if low else f"≤ {high}"


def _why_not(visit: Visit, standing: Standing) -> str:
    reason = standing.reasons[0] if standing.reasons else "no-range"
    return {
        "no-value": visit.say("there is no value"),
        "no-range": visit.say("no range came with it"),
        "text-range": visit.say("its range is in words only"),
        "other-unit": visit.say("its range is in another unit"),
        "several-ranges": visit.say("several ranges came with it"),
        "comparator": visit.say("not told exactly enough for its range"),
        "disagree": visit.say("the laboratory's word and its range do not agree"),
    }.get(reason, visit.say("no range came with it"))


def _name(visit: Visit, body: dict[str, Any]) -> Name:
    codings = (body.get("code") or {}).get("coding") or ()
    for one in codings:
        row = (
            _plain().get(str(one.get("code"))) if one.get("system") == _table()["system"] else None
        )
        if row is not None:
            return Name(row[1], row[2]) if visit.language == "zh" else Name(row[3], row[4])
    return Name(visit.reader.concept(body.get("code")).text, "")


def _key(body: dict[str, Any]) -> str:
    for one in (body.get("code") or {}).get("coding") or ():
        if one.get("code"):
            return f"{one.get('system') or ''}|{one['code']}"
    return ""


def _has_value(body: dict[str, Any]) -> bool:
    return any(name.startswith("value") for name in body)
