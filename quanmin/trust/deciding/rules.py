"""The rules as data (`definitions/consent_policies`), read and checked once."""

from __future__ import annotations

import re
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
    "onward",
]
"""What a reach is made of: sets of records that an asker stands in some relation to."""

GRANTED_ATOMS: Final = frozenset({"treated", "consented", "refused", "sensitive", "glass-opened"})
"""The words that ask what has been granted."""

Deed = Literal["read", "look_up", "change", "create", "erase", "take_out"]

_FORBIDDEN: Final = ({"read", "look_up"}, {"take_out"})
_ROLES: Final = frozenset(get_args(Role))
# The access log has them parted by spaces and a colon.
_TOKEN: Final = re.compile(r"[A-Za-z0-9._\-]+")


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


class Remark(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the access log says beside a rule that lets a record through, `unless` the rule of that
    id does as well.
    """

    id: str
    version: str
    en: str
    zh: str
    unless: str


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
    remark: Remark | None = None
    law_en: str = ""
    law_zh: str = ""

    @property
    def is_about_grants(self) -> bool:
        """Whether all that it reaches was granted by somebody."""
        return GRANTED_ATOMS.issuperset(self.reach.among)


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
    ids: set[str] = set()
    for name, text in files:
        try:
            found = tomllib.loads(text).get("rule", [])
        except tomllib.TOMLDecodeError as error:
            raise Unusable(f"{_FOLDER}/{name} is no TOML ({error}): mend the file") from None
        for number, raw in enumerate(found, start=1):
            where = f"{_FOLDER}/{name}, rule {number} ({raw.get('id', 'without id')})"
            rule = _read(raw, where)
            for id_ in (rule.id, *([rule.remark.id] if rule.remark else [])):
                if id_ in ids:
                    raise Unusable(f"{where}: there is a rule with this id already; choose another")
                ids.add(id_)
            rules[rule.id] = rule
    for rule in rules.values():
        if rule.remark is not None and rule.remark.unless not in rules:
            raise Unusable(
                f"{_FOLDER}: {rule.id} has a remark unless {rule.remark.unless}: no rule"
            )
    return tuple(rules.values())


def _read(raw: Any, where: str) -> Rule:
    try:
        rule = msgspec.convert(raw, Rule)
    except msgspec.ValidationError as error:
        raise Unusable(f"{where}: {error}") from None
    said = [name for name in ("id", "en", "zh", "source", "version") if not getattr(rule, name)]
    if said:
        raise Unusable(f"{where}: say its {', '.join(said)}")
    parts = [rule.id, rule.version]
    parts += [rule.remark.id, rule.remark.version] if rule.remark else []
    if not all(map(_TOKEN.fullmatch, parts)):
        raise Unusable(f"{where}: an id and a version are letters, digits, '.', '_' and '-'")
    if not rule.reach.among or not rule.does:
        raise Unusable(f"{where}: say which records it reaches (`among`) and what it `does`")
    if rule.effect == "forbid" and rule.does not in _FORBIDDEN:
        raise Unusable(
            f"{where}: what forbids does `read` and `look_up`, no more and no less, or `take_out`"
        )
    _refuse_unknown(rule.when.roles, _ROLES, f"{where}: no such role")
    _refuse_unknown(rule.when.purposes, purposes_of_use(), f"{where}: no such purpose of use")
    _refuse_unknown(rule.reach.types, load_table().types.keys(), f"{where}: no such type")
    return rule


def _refuse_unknown(named: frozenset[str] | None, known: Iterable[str], said: str) -> None:
    unknown = sorted((named or frozenset()) - set(known))
    if unknown:
        raise Unusable(f"{said}: {', '.join(unknown)}; known are {', '.join(sorted(known))}")


@cache
def purposes_of_use() -> frozenset[str]:
    """The codes of the purposes for which records may be used."""
    file = resources.files("quanmin") / "definitions" / "purposes_of_use.toml"
    return frozenset(tomllib.loads(file.read_text("utf-8"))["codes"])
