"""The rules as data (`definitions/consent_policies`), read and checked once."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from datetime import date
from functools import cache
from importlib import resources
from typing import Any, Final, Literal, get_args

import msgspec

from quanmin.base.problems import Unusable
from quanmin.fhir.table import load_table
from quanmin.trust.actors import Role

_FOLDER: Final = "definitions/consent_policies"

Atom = Literal[
    "everything",
    "own",
    "about-asker",
    "directory",
    "registers",
    "treated",
    "consented",
    "refused",
    "sensitive",
    "beyond-level",
    "reportable",
    "glass-opened",
]
"""What a reach is made of: sets of records that an asker stands in some relation to."""

Deed = Literal["read", "look_up", "change", "create", "erase"]

_ROLES: Final = frozenset(get_args(Role))


class When(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom a rule concerns; None says any."""

    roles: frozenset[str] | None = None
    purposes: frozenset[str] | None = None
    duties: frozenset[str] | None = None


class Reach(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The records that a rule concerns: any of `among`, of these `types`, and none of `outside`."""

    among: tuple[Atom, ...]
    types: frozenset[str] | None = None
    outside: tuple[Atom, ...] = ()


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One rule, with its sentence for people and where it comes from."""

    id: str
    en: str
    zh: str
    source: str
    version: str
    effective: date
    effect: Literal["permit", "forbid"]
    does: frozenset[Deed]
    reach: Reach
    when: When = When()


@cache
def load_rules() -> tuple[Rule, ...]:
    """The rules of this program. Raises Unusable, naming file and rule, for one that is faulty."""
    folder = resources.files("quanmin") / _FOLDER
    files = sorted(
        (one for one in folder.iterdir() if one.name.endswith(".toml")), key=lambda one: one.name
    )
    return read_rules((one.name, one.read_text("utf-8")) for one in files)


def read_rules(files: Iterable[tuple[str, str]]) -> tuple[Rule, ...]:
    """The rules in these files, given by name and text. Raises Unusable for one that is faulty."""
    rules: dict[str, Rule] = {}
    for name, text in files:
        try:
            found = tomllib.loads(text).get("rule", [])
        except tomllib.TOMLDecodeError as error:
            raise Unusable(f"{_FOLDER}/{name} is no TOML ({error}): mend the file") from None
        for number, raw in enumerate(found, start=1):
            where = f"{_FOLDER}/{name}, rule {number} ({raw.get('id', 'without id')})"
            rule = _read(raw, where)
            if rule.id in rules:
                raise Unusable(f"{where}: there is a rule with this id already; choose another")
            rules[rule.id] = rule
    return tuple(rules.values())


def _read(raw: Any, where: str) -> Rule:
    try:
        rule = msgspec.convert(raw, Rule)
    except msgspec.ValidationError as error:
        raise Unusable(f"{where}: {error}") from None
    said = [name for name in ("id", "en", "zh", "source", "version") if not getattr(rule, name)]
    if said:
        raise Unusable(f"{where}: say its {', '.join(said)}")
    if not rule.reach.among or not rule.does:
        raise Unusable(f"{where}: say which records it reaches (`among`) and what it `does`")
    if rule.effect == "forbid" and rule.does != {"read", "look_up"}:
        raise Unusable(f"{where}: what forbids does `read` and `look_up`, no more and no less")
    _refuse_unknown(rule.when.roles, _ROLES, f"{where}: no such role")
    _refuse_unknown(rule.when.purposes, _purposes(), f"{where}: no such purpose of use")
    _refuse_unknown(rule.reach.types, load_table().types.keys(), f"{where}: no such type")
    return rule


def _refuse_unknown(named: frozenset[str] | None, known: Iterable[str], said: str) -> None:
    unknown = sorted((named or frozenset()) - set(known))
    if unknown:
        raise Unusable(f"{said}: {', '.join(unknown)}; known are {', '.join(sorted(known))}")


@cache
def _purposes() -> frozenset[str]:
    file = resources.files("quanmin") / "definitions" / "purposes_of_use.toml"
    return frozenset(tomllib.loads(file.read_text("utf-8"))["codes"])
