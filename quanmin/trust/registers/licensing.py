"""Which licences there are, and what a person does with one only."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

import msgspec

from quanmin.trust.registers.definitions import Word


class LicenceKind(Word, frozen=True):
    """A kind of licence; `is_bound_to_place`: it holds where its holder is registered only."""

    is_bound_to_place: bool


ANYWHERE: Final = "*"
"""The level of an institution of which the register knows nothing: it may be any."""

Held = tuple[str, str]
"""A kind of licence that is in force, and a scope it states; "" when it states none."""


class Act(Word, frozen=True):
    """What is done by writing one of these types (with one of these codes, `system|code`; None:
    whatever its code), with a licence of one of these kinds and scopes, at an institution of one of
    these levels (None: any).
    """

    types: frozenset[str]
    kinds: frozenset[str]
    scopes: frozenset[str] | None = None
    levels: frozenset[str] | None = None
    codes: frozenset[str] | None = None

    def is_covered(self, licences: Collection[Held], level: str | None) -> bool:
        """Whether one of these licences covers it at an institution of this level, or ANYWHERE."""
        if self.levels is not None and level not in {ANYWHERE, *self.levels}:
            return False
        return any(
            kind in self.kinds and (self.scopes is None or scope in self.scopes)
            for kind, scope in licences
        )


class LicenceAddresses(msgspec.Struct, frozen=True):
    """The system of staff numbers, and where a qualification says its kind, scope and state."""

    staff: str
    kind: str
    scope: str
    state: str


class LicenceStates(msgspec.Struct, frozen=True):
    """The states of a licence."""

    in_force: frozenset[str]
    others: frozenset[str]


class AuthorRule(msgspec.Struct, frozen=True):
    """Where a record says who did what it tells, and when: elements, parted by dots."""

    who: tuple[str, ...]
    when: tuple[str, ...] = ()


class LicenceRule(msgspec.Struct, frozen=True):
    """The definition file, read."""

    address: LicenceAddresses
    states: LicenceStates
    kind: tuple[LicenceKind, ...]
    scope: tuple[Word, ...]
    act: tuple[Act, ...]
    author: dict[str, AuthorRule]


@cache
def licence_rule() -> LicenceRule:
    """The rule in force."""
    file = files("quanmin.definitions").joinpath("registers", "licences.toml")
    return msgspec.convert(tomllib.loads(file.read_text("utf-8")), LicenceRule)


@cache
def place_bound() -> frozenset[str]:
    """The kinds that hold where their holder is registered only."""
    return frozenset(kind.code for kind in licence_rule().kind if kind.is_bound_to_place)


@cache
def coded_types() -> frozenset[str]:
    """The types of which only records with certain codes are an act."""
    return frozenset(type_ for act in licence_rule().act if act.codes for type_ in act.types)


def unlicensed(
    type_: str,
    licences: Collection[Held],
    level: str | None,
    codes: Collection[str] = (),
) -> Act | None:
    """The act that writing a record of a type with these codes (`system|code`) is and that these
    licences do not cover; None when they do, or when it is no act of any licence.
    """
    acts = [
        act
        for act in licence_rule().act
        if type_ in act.types and (act.codes is None or not act.codes.isdisjoint(codes))
    ]
    if not acts or any(act.is_covered(licences, level) for act in acts):
        return None
    return acts[0]


def codes_of(resource: Mapping[str, Any]) -> frozenset[str]:
    """The codings in `code` and `type` of a record, as `system|code`."""
    concepts = [resource.get("code"), resource.get("type")]
    return frozenset(
        f"{coding.get('system', '')}|{coding.get('code', '')}"
        for concept in concepts
        if isinstance(concept, dict)
        for coding in concept.get("coding") or ()
    )
