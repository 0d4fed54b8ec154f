"""Public health events: the kinds, grades, settings, time limits and standards of the norm, and an
event as its reports tell it, for all applications that read it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, tzinfo
from functools import cache
from importlib.resources import files
from typing import Any, Final

import msgspec

from quanmin.fhir.json import Json
from quanmin.workflow import notifiable
from quanmin.workflow.forms import Option, Words

_SYSTEM: Final = "https://quanmin.example/fhir/CodeSystem"


class Known(msgspec.Struct, frozen=True):
    """A kind, a grade or a setting. An event of a grade is told to levels above, and the next
    report of how it goes on is due after so many hours.
    """

    code: str
    zh: str
    en: str
    told: tuple[str, ...] = ()
    progress_hours: int = 0

    def in_language(self, language: str) -> str:
        """Its words; English where it is not Chinese."""
        return self.zh if language == "zh" else self.en


class Standard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From which numbers on an event is reported; None where it says nothing of one."""

    kind: str
    disease: str = ""
    settings: tuple[str, ...] = ()
    cases: int | None = None
    days: int | None = None
    deaths: int | None = None

    def is_reached(self, event: Event) -> bool:
        """Whether an event has so many cases, within so many days where it says so, or so many
        deaths; the last number included.
        """
        is_within = self.days is None or event.days <= self.days
        by_cases = self.cases is not None and event.cases >= self.cases and is_within
        return by_cases or (self.deaths is not None and event.deaths >= self.deaths)


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What the reports of an event say; "" and None for what they do not."""

    kind: str = ""
    disease: str = ""
    setting: str = ""
    level: str = ""
    area: str = ""
    began: datetime | None = None
    noticed: datetime | None = None
    newest: date | None = None
    cases: int = 0
    deaths: int = 0

    @property
    def grade(self) -> Known:
        """What its grade means; nothing before it has one."""
        return known("level").get(self.level) or Known("", "", "")

    @property
    def days(self) -> int:
        """Over how many days its cases came, the first and the last included."""
        first = self.began.date() if self.began else None
        last = self.newest or (self.noticed.date() if self.noticed else None)
        return (last - first).days + 1 if first and last else 1

    def standards(self) -> Iterator[tuple[Standard, bool]]:
        """The standards for events like this one, and whether its numbers reach each."""
        for one in standards():
            is_like = one.kind == self.kind and one.disease in {"", self.disease}
            if is_like and (not one.settings or self.setting in one.settings):
                yield one, one.is_reached(self)


@cache
def _raw() -> dict[str, Any]:
    file = files("quanmin.definitions").joinpath("health_events.toml")
    return tomllib.loads(file.read_text("utf-8"))


@cache
def known(part: str) -> Mapping[str, Known]:
    """The kinds, levels or settings, by code."""
    return {one.code: one for one in msgspec.convert(_raw()[part], list[Known])}


@cache
def standards() -> tuple[Standard, ...]:
    """From which numbers on events are reported."""
    return tuple(msgspec.convert(_raw()["standard"], list[Standard]))


def hours(part: str) -> int:
    """The hours of the norm: to `report` an event, to `review` it."""
    found: int = _raw()["hours"][part]
    return found


def closing_days() -> int:
    """Within how many days of the end the closing report is due."""
    found: int = _raw()["days"]["closing"]
    return found


def coding(part: str, code: str) -> dict[str, str]:
    """A kind, level or setting as a Coding."""
    return {"system": f"{_SYSTEM}/event-{part}", "code": code, "display": known(part)[code].zh}


def options(url: str, day: date) -> list[Option] | None:
    """What may be chosen on a day of a value set of these forms; None of any other."""
    part = url.rpartition("/")[2].removeprefix("event-")
    if part not in {"kind", "level", "setting"}:
        return notifiable.options(url, day)
    return [
        Option("valueCoding", coding(part, one.code), Words(one.zh, {"en": one.en}))
        for one in known(part).values()
    ]


def read_event(reports: Sequence[Mapping[str, Any]], zone: tzinfo) -> Event:
    """The event of which these are the answers, the oldest report first: a later one says more."""
    said = {name: value for one in reports for name, value in one.items() if value is not None}
    code = {
        name: str((said.get(name) or {}).get("code") or "")
        for name in ("kind", "disease", "setting", "level")
    }
    return Event(
        **code,
        area=str(said.get("area") or ""),
        began=read_moment(said.get("began"), zone),
        noticed=read_moment(said.get("noticed"), zone),
        newest=read_day(said.get("newest")),
        cases=int(said.get("cases") or 0),
        deaths=int(said.get("deaths") or 0),
    )


def read_moment(text: Any, zone: tzinfo) -> datetime | None:
    """The moment that an answer says; None for none."""
    try:
        found = datetime.fromisoformat(str(text or ""))
    except ValueError:
        return None
    return found.astimezone(zone) if found.tzinfo else found.replace(tzinfo=zone)


def read_day(text: Any) -> date | None:
    """The day that an answer says; None for none."""
    try:
        return date.fromisoformat(str(text or "")[:10])
    except ValueError:
        return None


def reports_of(task: Json) -> list[str]:
    """The ids of the reports of an event, the oldest first: the first one is put right in place."""
    found = (
        str((one.get("valueReference") or {}).get("reference") or "")
        for one in task.get("output") or ()
    )
    ids = (one.removeprefix("QuestionnaireResponse/") for one in found)
    return list(dict.fromkeys(one.partition("/_history")[0] for one in ids if one))
