"""What personal health identifiers are defined by, what they are made of, and what is found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from quanmin.base.decision import Decision


class Group(msgspec.Struct, frozen=True):
    """A group of identifiers of the front page."""

    code: str
    zh: str
    en: str


class Identifier(msgspec.Struct, frozen=True, kw_only=True):
    """One identifier as its definition has it."""

    group: str
    code: str
    zh: str
    en: str
    source: str
    sex: str = ""
    age_from: int | None = None
    age_below: int | None = None
    conditions: tuple[str, ...] = ()
    ended_by: tuple[str, ...] = ()
    within_days: int | None = None
    even_ended: bool = False


class Diagnoses(msgspec.Struct, frozen=True):
    """Which codes are diagnoses, and which statements do not count or end one."""

    systems: tuple[str, ...]
    uncounted: tuple[str, ...]
    ended: tuple[str, ...]


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """A class of weight up to a bound, or a value of a blood type (`part`) by codes and words."""

    zh: str
    en: str
    below: Decimal | None = None
    part: str = ""
    codes: tuple[str, ...] = ()
    words: tuple[str, ...] = ()


class Weight(msgspec.Struct, frozen=True):
    """How the weight is judged."""

    source: str
    weight_codes: tuple[str, ...]
    height_codes: tuple[str, ...]
    bmi_codes: tuple[str, ...]
    age_from: int
    weight_days_max: int
    height_days_max: int
    classes: tuple[Words, ...]


class Blood(msgspec.Struct, frozen=True):
    """How a blood type is read."""

    source: str
    codes: tuple[str, ...]
    value: tuple[Words, ...]


class Definitions(msgspec.Struct, frozen=True):
    """A whole file of definitions; `definition` says where it is from."""

    definition: dict[str, Any]
    diagnoses: Diagnoses
    observations: dict[str, tuple[str, ...]]
    group: tuple[Group, ...]
    weight: Weight
    blood: Blood
    identifier: tuple[Identifier, ...]

    @property
    def observation_codes(self) -> tuple[tuple[str, ...], ...]:
        """The codes of the Observations that identifiers are derived from: first all of them, then
        by what the newest few of each are enough for.
        """
        weight = self.weight
        weights, heights = (*weight.weight_codes, *weight.bmi_codes), weight.height_codes
        return (*weights, *heights, *self.blood.codes), weights, heights, self.blood.codes


class Fact(msgspec.Struct, frozen=True):
    """A record: its id, what it says, and its day where the node stands; None where it has none."""

    type: str
    id: str
    body: Mapping[str, Any]
    on: date | None


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """An identifier that a person has; `rows` are what it comes from, the newest first; none for
    what the birth date says. `detail` is a value in digits.
    """

    group: str
    code: str
    zh: str
    en: str
    source: str
    decision: Decision
    rows: tuple[Fact, ...] = ()
    detail: str = ""


class Whose(msgspec.Struct, frozen=True):
    """Of whom the records are: birth date as sent, and sex."""

    birth: str
    sex: str


def found(  # noqa: PLR0917 - what, in which words, by what, of what
    group: str,
    code: str,
    words: Identifier | Words,
    source: str,
    reasons: Sequence[str],
    rows: Sequence[Fact],
    detail: str = "",
) -> Found:
    """An identifier that holds, for these reasons."""
    return Found(
        group=group, code=code, zh=words.zh, en=words.en, source=source,
        decision=Decision(allowed=True, reasons=tuple(reasons)), rows=tuple(rows), detail=detail,
    )  # fmt: skip


def has_code(concept: Any, codes: Iterable[str]) -> bool:
    """Whether a CodeableConcept has one of these, each written as `system|code`."""
    codings = (concept or {}).get("coding") or ()
    return any(f"{one.get('system')}|{one.get('code')}" in codes for one in codings)


def is_one_of(concept: Any, codes: Iterable[str]) -> bool:
    """The same whatever the system."""
    return any(one.get("code") in codes for one in (concept or {}).get("coding") or ())


def newest_first(rows: Iterable[Fact]) -> list[Fact]:
    """By their days; undated ones last."""
    return sorted(rows, key=lambda one: one.on or date.min, reverse=True)
