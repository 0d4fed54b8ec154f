"""The notifiable diseases as data: which table holds on a day, what a code of ICD-10 makes
notifiable, and the hours and days of the norm.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal

import msgspec

Class = Literal["A", "B", "C"]
Haste = Literal["measures_of_a", "outbreaks", "others"]
SYSTEM: Final = "https://quanmin.example/fhir/CodeSystem/notifiable-disease"
_ICD10: Final = ("icd-10", "icd10", "icd/release/10", "2.16.156.10011.2.3.3.11")
SUBTYPES: Final = "https://quanmin.example/fhir/CodeSystem/notifiable-subtype"


class Disease(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A disease, or a subtype `of` one, with the prefixes of ICD-10 by which it is known."""

    code: str
    zh: str
    en: str
    icd10: tuple[str, ...]
    of: str = ""

    def told(self, language: str) -> str:
        """Its name in a language; English where it is not Chinese."""
        return self.zh if language == "zh" else self.en

    def coding(self) -> dict[str, str]:
        """As a Coding of FHIR, in the language of the law."""
        return {"system": SUBTYPES if self.of else SYSTEM, "code": self.code, "display": self.zh}


class Table(msgspec.Struct, frozen=True):
    """The diseases of one version of the law, by class, from a day on. `as_a` are those of class B
    that are met by the measures of class A; what is `beside` the classes is reported like these.
    """

    effective: date
    source: str
    as_a: frozenset[str]
    has_subtypes: bool
    classes: Mapping[str, Class]
    beside: frozenset[str] = frozenset()

    def has(self, disease: str) -> bool:
        """Whether the disease is reported."""
        return disease in self.classes or disease in self.beside

    def is_managed_as_a(self, disease: str, subtype: str = "") -> bool:
        """Whether it is reported and reviewed by the measures of class A."""
        of_a = self.as_a | self.beside
        return self.classes.get(disease) == "A" or not of_a.isdisjoint({disease, subtype})


class Hours(msgspec.Struct, frozen=True):
    """Within how many hours of the diagnosis a card is sent, and of its coming it is reviewed."""

    report: int
    review: int


@cache
def _raw(name: str) -> dict[str, Any]:
    file = files("quanmin.definitions").joinpath("notifiable", name)
    return tomllib.loads(file.read_text("utf-8"))


@cache
def diseases() -> Mapping[str, Disease]:
    """All diseases of all tables, by code."""
    found = msgspec.convert(_raw("diseases.toml")["disease"], list[Disease])
    return {one.code: one for one in found}


@cache
def subtypes() -> Mapping[str, Disease]:
    """The reportable subtypes, by code."""
    found = msgspec.convert(_raw("diseases.toml")["subtype"], list[Disease])
    return {one.code: one for one in found}


@cache
def tables() -> tuple[Table, ...]:
    """The tables of the law, the youngest first."""
    found = []
    for one in _raw("diseases.toml")["table"]:
        classes: dict[str, Class] = dict.fromkeys(one["A"], "A")
        classes |= dict.fromkeys(one["B"], "B") | dict.fromkeys(one["C"], "C")
        as_a = frozenset(one["as_a"])
        said = (one["effective"], one["source"], as_a, one["has_subtypes"], classes)
        found.append(Table(*said, frozenset(one.get("beside", ()))))
    return tuple(sorted(found, key=lambda one: one.effective, reverse=True))


def table_on(day: date) -> Table | None:
    """The table in force on a day; None before the first that is known."""
    return next((one for one in tables() if one.effective <= day), None)


def notifiable(icd10: str, day: date) -> tuple[str, str] | None:
    """The disease and subtype ("": it does not say) that a code of ICD-10 means on a day; None for
    what is not notifiable then. Codes may be longer than WHO's, and lack the dot.
    """
    table, code = table_on(day), _plain(icd10)
    if table is None or not code:
        return None
    best: tuple[int, str, str] = (0, "", "")
    for one in (*diseases().values(), *subtypes().values()):
        disease, subtype = (one.of, one.code) if one.of else (one.code, "")
        if disease not in table.classes:
            continue
        length = max((len(p) for p in map(_plain, one.icd10) if code.startswith(p)), default=0)
        # A subtype says more than its disease by the same prefix.
        best = max(best, (length, disease, subtype if table.has_subtypes else ""),
                   key=lambda found: (found[0], bool(found[2])))  # fmt: skip
    return (best[1], best[2]) if best[0] else None


def subtypes_of(disease: str, day: date) -> frozenset[str]:
    """The subtypes of which one is named on a card of this disease on a day; HIV is named beside
    AIDS and not within it, so a disease with one subtype may go without.
    """
    table = table_on(day)
    if table is None or not table.has_subtypes:
        return frozenset()
    return frozenset(one.code for one in subtypes().values() if one.of == disease)


def as_a_by_subtype(day: date) -> frozenset[str]:
    """The diseases of which some subtypes alone are met by the measures of class A on a day."""
    table = table_on(day)
    as_a = table.as_a if table else frozenset()
    return frozenset(one.of for code, one in subtypes().items() if code in as_a)


def hours(kind: Haste) -> Hours:
    """The time limits of a case."""
    return msgspec.convert(_raw("norm.toml")["hours"][kind], Hours)


def until(begin: datetime, hours: int) -> datetime:
    """When a limit of so many hours ends."""
    return begin + timedelta(hours=hours)


def duplicate_days(disease: str) -> int:
    """Within how many days two cards of one person are one case of this disease."""
    days: Mapping[str, int] = _raw("norm.toml")["duplicate_days"]
    return days.get(disease, days["usual"])


def observation_days(disease: str) -> int:
    """For how many days after the last contact close contacts of a case are observed; 0: not."""
    days: Mapping[str, int] = _raw("norm.toml")["observation_days"]
    return days.get(disease, 0)


def suspected_days() -> int:
    """For how many days a suspicion that is neither confirmed nor excluded is asked about."""
    days: int = _raw("norm.toml")["suspected"]["days"]
    return days


def guardian_up_to() -> int:
    """Up to which age, in years, the name of a parent stands on a card."""
    age: int = _raw("norm.toml")["card"]["guardian_up_to"]
    return age


def area_in(name: str) -> str:
    """What a county is called, by the name of its centre for disease control or of its hospital; ""
    where that does not tell.
    """
    areas: Mapping[str, list[str]] = _raw("norm.toml")["areas"]
    end = next((one for one in areas["named_by"] if name.endswith(one)), "")
    found = name.removesuffix(end) if end else ""
    return found if found.endswith(tuple(areas["ends"])) else ""


def _plain(code: str) -> str:
    return code.strip().upper().replace(".", "")


def is_icd10(coding: Any) -> bool:
    """Whether a Coding is of ICD-10, by WHO or a national edition."""
    system = str(coding.get("system") or "").lower()
    return any(name in system for name in _ICD10)
