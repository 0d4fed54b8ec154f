"""What a person chooses from, and the words of codes, read from their definitions."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

import msgspec

from quanmin.trust.deciding.rules import load_rules
from quanmin.trust.record_access import kinds_apart
from quanmin.web import Visit
from quanmin.web.labels import tell_type

_FILE = Path(__file__).parent / "definitions" / "choices.toml"


class Category(msgspec.Struct, frozen=True):
    """Some types under one name."""

    name: str
    zh: str
    en: str
    types: tuple[str, ...]


class Choices(msgspec.Struct, frozen=True):
    """The definition file."""

    purposes: tuple[str, ...]
    years_max: int
    rules: tuple[str, ...]
    category: tuple[Category, ...]
    actions: dict[str, dict[str, str]]


@cache
def choices() -> Choices:
    """What is chosen from."""
    return msgspec.convert(tomllib.loads(_FILE.read_text(encoding="utf-8")), Choices)


def say_kind(visit: Visit, code: str) -> str:
    """A kind that is kept apart in words."""
    return next((one[visit.language] for one in kinds_apart() if one["code"] == code), code)


def say_action(visit: Visit, code: str) -> str:
    """What was done, in words."""
    return choices().actions.get(code, choices().actions["other"])[visit.language]


def say_types(visit: Visit, types: tuple[str, ...]) -> list[str]:
    """Resource types in words: by their category where they are all of one."""
    left, found = set(types), []
    for one in choices().category:
        if left >= set(one.types):
            found.append(one.zh if visit.language == "zh" else one.en)
            left -= set(one.types)
    return [*found, *(tell_type(one, visit.language).text for one in sorted(left))]


def rules_told(visit: Visit) -> list[tuple[str, str]]:
    """The rules that hold when a person says nothing, and those that this node has of its own: the
    sentence, and the law it rests on; what two rules say alike stands once.
    """
    by_id = {rule.id: rule for rule in visit.rules}
    usual = {rule.id for rule in load_rules()}
    told = [by_id[id_] for id_ in choices().rules if id_ in by_id]
    told += [
        rule
        for rule in visit.rules
        if rule.id not in usual and "read" in rule.does and rule.is_in_force(visit.today)
    ]
    if visit.language == "zh":
        return list(dict.fromkeys((one.zh, one.law_zh) for one in told))
    return list(dict.fromkeys((one.en, one.law_en) for one in told))
