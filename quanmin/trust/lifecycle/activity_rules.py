"""What an entry of the processing register says, and those that a node begins with."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Final

import msgspec

from quanmin.base.problems import Invalid, Issue, Sentence

_CODE: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
_CODE_LENGTH_MAX: Final = 64


class Assessment(msgspec.Struct, frozen=True):
    """An assessment of risks (PIPL article 55): when, by whom, what came of it, when the next."""

    on: str = ""
    by: str = ""
    result: str = ""
    next: str = ""


class Activity(msgspec.Struct, frozen=True, kw_only=True):
    """One processing activity as it is described. `country` is where it is transferred to, "" for
    nowhere; `risks` are those that an assessment has to weigh.
    """

    title: str
    purpose: str
    bases: tuple[str, ...]
    data: str
    persons: str
    recipients: str
    source: str
    retention: str
    measures: str
    owner: str = ""
    is_sensitive: bool = False
    country: str = ""
    risks: str = ""
    assessment: Assessment = Assessment()

    @property
    def needs_assessment(self) -> bool:
        """Whether the law asks for an assessment of its risks."""
        return self.is_sensitive or bool(self.country)

    def is_overdue(self, today: date) -> bool:
        """Whether an assessment is missing, or due again."""
        return self.needs_assessment and self.assessment.next < today.isoformat()


class Basis(msgspec.Struct, frozen=True):
    """A lawful ground."""

    code: str
    zh: str
    en: str
    article: str


class Delivered(Activity, frozen=True, kw_only=True):
    """An entry that a node begins with, and what is part of it (`kind:name`)."""

    code: str
    uses: tuple[str, ...] = ()


class _Roles(msgspec.Struct, frozen=True):
    reads: frozenset[str]
    writes: frozenset[str]


class _Head(msgspec.Struct, frozen=True):
    assessment_days: int
    letters_max: int
    always: tuple[str, ...]


class ActivityRules(msgspec.Struct, frozen=True):
    """The definition, read."""

    definition: _Head
    roles: _Roles
    basis: tuple[Basis, ...]
    activity: tuple[Delivered, ...]


@cache
def activity_rules() -> ActivityRules:
    """The definition in force."""
    file = files("quanmin.definitions").joinpath("lifecycle", "activities.toml")
    return msgspec.convert(tomllib.loads(file.read_text("utf-8")), ActivityRules)


def check_activity(code: str, activity: Activity) -> None:
    """Raises Invalid with a fault for every element that is missing or wrong."""
    faults = faults_of_activity(code, activity)
    if not activity.owner.strip():
        faults.append(("owner", Sentence("say who answers for it")))
    if faults:
        issues = tuple(Issue("error", "value", text, name) for name, text in faults)
        told = "; ".join(f"{name}: {text}" for name, text in faults)
        raise Invalid(
            Sentence("the register does not take this: %(told)s", told=told), issues=issues
        )


def _listed(bases: Sequence[Basis]) -> Basis:
    """All of them as one: their codes, as a definition has them, and as pages call them."""
    codes = ", ".join(sorted(one.code for one in bases))
    return Basis(code="", zh="、".join(one.zh for one in bases), en=codes, article="")


def faults_of_activity(code: str, activity: Activity) -> list[tuple[str, str]]:
    """What is missing or wrong, element by element, but for who answers for it."""
    rules = activity_rules()
    faults: list[tuple[str, str]] = []
    if not 0 < len(code) <= _CODE_LENGTH_MAX or not set(code) <= _CODE:
        faults.append(("code", Sentence("has 1 to 64 small letters, digits and -")))
    for name in _TEXTS:
        text = getattr(activity, name).strip()
        if len(text) > rules.definition.letters_max or not (text or name in _OPTIONAL):
            faults.append(
                (
                    name,
                    Sentence(
                        "say it in at most %(most)s letters", most=rules.definition.letters_max
                    ),
                )
            )
    known = {one.code for one in rules.basis}
    if not activity.bases or not set(activity.bases) <= known:
        faults.append(("bases", Sentence("one or more of %(known)s", known=_listed(rules.basis))))
    if activity.country and not (
        len(activity.country) == len("CN")
        and activity.country.isascii()
        and activity.country.isalpha()
        and activity.country.isupper()
    ):
        faults.append(("country", Sentence("two capital letters (ISO 3166-1)")))
    for name in ("on", "next"):
        text = getattr(activity.assessment, name)
        if text and not _is_day(text):
            faults.append((f"assessment.{name}", Sentence("a day, written as 2026-01-31")))
    done = msgspec.structs.astuple(activity.assessment)
    if any(done) and not all(done):
        faults.append(
            ("assessment", Sentence("say when, by whom, with which result, and when the next is"))
        )
    return faults


_TEXTS: Final = (
    *("title", "purpose", "data", "persons", "recipients", "source", "retention", "measures"),
    *("owner", "risks"),
)
_OPTIONAL: Final = frozenset({"owner", "risks"})


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
