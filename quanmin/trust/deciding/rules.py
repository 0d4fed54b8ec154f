"""The rules as data, read and checked once: those of the program (`definitions/consent_policies`),
those that applications bring, and those that a node has besides, in a folder of its own.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from datetime import date
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final, Literal, get_args

import msgspec

from quanmin.base.problems import Unusable
from quanmin.fhir.table import load_table
from quanmin.trust.actors import Place, Role
from quanmin.trust.deciding.bounds import Bounds
from quanmin.trust.directory import directory
from quanmin.trust.registers.definitions import Word, duties, institution_rule

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
    "region",
    "glass-opened",
    "onward",
    "addressed",
]
"""What a reach is made of: sets of records that an asker stands in some relation to."""

GRANTED_ATOMS: Final = frozenset({"treated", "consented", "refused", "sensitive", "glass-opened"})
"""The words that ask what has been granted."""

# What is kept apart is so without any grant as well.
_OF_GRANTS: Final = GRANTED_ATOMS - {"sensitive"}

Deed = Literal["read", "look_up", "change", "create", "erase", "take_out"]

_FORBIDDEN: Final = ({"read", "look_up"}, {"take_out"})
_ROLES: Final = frozenset(get_args(Role))
# The access log has them parted by spaces and a colon.
_TOKEN: Final = re.compile(r"[A-Za-z0-9._\-]+")
_DIVISION: Final = re.compile(r"[0-9]{6}")


class When(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom a rule concerns; None says any. `institutions` are credit codes or codes of senders, the
    others what the register says of the asker's institution; `regions` are divisions (GB/T 2260)
    with those below them. `without_duties`: whose post has none of these.
    """

    roles: frozenset[str] | None = None
    purposes: frozenset[str] | None = None
    duties: frozenset[str] | None = None
    without_duties: frozenset[str] | None = None
    institutions: frozenset[str] | None = None
    levels: frozenset[str] | None = None
    grades: frozenset[str] | None = None
    kinds: frozenset[str] | None = None
    regions: frozenset[str] | None = None

    @property
    def asks_place(self) -> bool:
        """Whether it is about where the asker acts."""
        places = (self.institutions, self.levels, self.grades, self.kinds, self.regions)
        return any(wanted is not None for wanted in places)

    @property
    def asks_duties(self) -> bool:
        """Whether it is about the duties of the asker's post."""
        return self.duties is not None or self.without_duties is not None

    def unmet_of(self, sender: str, place: Place) -> list[tuple[str, frozenset[str], str]]:
        """What of the asker's place is not as it has to be: a word for it, what is wanted, and what
        the asker has.
        """
        found: list[tuple[str, frozenset[str], str]] = []
        if self.institutions is not None and self.institutions.isdisjoint(
            {sender, place.institution} - {""}
        ):
            found.append(("institution", self.institutions, place.institution or sender))
        for word, wanted, given in (
            ("level", self.levels, place.level),
            ("grade", self.grades, place.grade),
            ("kind", self.kinds, place.kind),
        ):
            if wanted is not None and given not in wanted:
                found.append((word, wanted, given))
        is_within = bool(place.region) and any(
            place.region.startswith(own_digits(region)) for region in self.regions or ()
        )
        if self.regions is not None and not is_within:
            found.append(("region", self.regions, place.region))
        return found


class Reach(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The records that a rule concerns: any of `among`, of these `types`, with one of these
    security `labels` (system|code), and none of `outside`.
    """

    among: tuple[Atom, ...]
    types: frozenset[str] | None = None
    labels: tuple[str, ...] | None = None
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
    """One rule, with its sentence for people and where it comes from. It decides from the day
    `effective` to before the day `ends`, by the node's time zone; None for no end. One that an
    `application` brings decides on the pages of this one alone; "" for every other rule.
    """

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
    ends: date | None = None
    application: str = ""

    def is_in_force(self, day: date) -> bool:
        """Whether it decides on a day, by the node's time zone."""
        return self.effective <= day and (self.ends is None or day < self.ends)

    @property
    def is_about_grants(self) -> bool:
        """Whether all that it reaches was granted by somebody."""
        return _OF_GRANTS.issuperset(self.reach.among)

    @property
    def deletes(self) -> bool:
        """Whether who changes a record by it may delete it as well."""
        return "change" in self.does and not self.application


@cache
def load_rules(
    folder: Path | None = None, applications: tuple[Bounds, ...] = ()
) -> tuple[Rule, ...]:
    """The rules of this program, of these applications, and of a node in a folder of its own, as
    they were when this process first read them. Raises Unusable, naming file and rule, for one that
    is faulty.
    """
    shipped = resources.files("quanmin") / _FOLDER
    texts = [
        (f"{_FOLDER}/{one.name}", one.read_bytes())
        for one in sorted(shipped.iterdir(), key=lambda one: one.name)
        if one.name.endswith(".toml")
    ]
    return read_rules([*texts, *([] if folder is None else _texts_in(folder))], applications)


def _texts_in(folder: Path) -> list[tuple[str, bytes]]:
    try:
        files = sorted(one for one in folder.iterdir() if one.suffix == ".toml")
        return [(str(one), one.read_bytes()) for one in files]
    except OSError as error:
        raise Unusable(
            f"the folder of rules {folder} cannot be read ({error.strerror}): make it, let the"
            " node's user read it, or take the setting rules.folder back"
        ) from None


def read_rules(
    files: Iterable[tuple[str, str | bytes]], applications: Iterable[Bounds] = ()
) -> tuple[Rule, ...]:
    """The rules in these files, given by name and text, and those of applications. Raises Unusable
    for one that is faulty.
    """
    rules: dict[str, Rule] = {}
    ids: set[str] = set()
    whole = [(name, text, None) for name, text in files]
    for name, text, bounds in [*whole, *((one.place, one.text, one) for one in applications)]:
        for number, raw in enumerate(_found_in(name, text), start=1):
            id_ = raw.get("id", "without id") if isinstance(raw, dict) else "no table"
            where = f"{name}, rule {number} ({id_})"
            rule = _read(raw, where)
            if bounds is not None:
                bounds.refuse(rule, where)
                rule = msgspec.structs.replace(rule, application=bounds.application)
            for one in (rule.id, *([rule.remark.id] if rule.remark else [])):
                if one in ids:
                    raise Unusable(f"{where}: there is a rule with this id already; choose another")
                ids.add(one)
            rules[rule.id] = rule
    for rule in rules.values():
        if rule.remark is not None and rule.remark.unless not in rules:
            raise Unusable(f"{rule.id} has a remark unless {rule.remark.unless}: no rule")
    return tuple(rules.values())


def _found_in(name: str, text: str | bytes) -> list[Any]:
    try:
        whole = tomllib.loads(text if isinstance(text, str) else text.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Unusable(f"{name} is no TOML ({error}): mend the file") from None
    others = sorted(whole.keys() - {"rule", "definition"})
    if others or not isinstance(whole.get("rule", []), list):
        raise Unusable(
            f"{name}: a rule begins with the line [[rule]]"
            + (f"; nothing is read of {', '.join(others)}" if others else "")
        )
    found: list[Any] = whole.get("rule", [])
    return found


def _read(raw: Any, where: str) -> Rule:
    try:
        rule = msgspec.convert(raw, Rule)
    except msgspec.ValidationError as error:
        raise Unusable(f"{where}: {error}") from None
    if rule.application:
        raise Unusable(
            f"{where}: `application` is said by the folder alone: a rule that is to hold on the"
            " pages of one stands in the definitions/access.toml of its folder"
        )
    said = [name for name in ("id", "en", "zh", "source", "version") if not getattr(rule, name)]
    if said:
        raise Unusable(f"{where}: say its {', '.join(said)}")
    parts = [rule.id, rule.version]
    parts += [rule.remark.id, rule.remark.version] if rule.remark else []
    if not all(map(_TOKEN.fullmatch, parts)):
        raise Unusable(f"{where}: an id and a version are letters, digits, '.', '_' and '-'")
    if rule.ends is not None and rule.ends <= rule.effective:
        raise Unusable(f"{where}: it ends before it is effective, so it would never decide")
    _refuse_deeds(rule, where)
    _refuse_words(rule, where)
    return rule


def _refuse_deeds(rule: Rule, where: str) -> None:
    """What would not do what it says is no rule."""
    reach, does = rule.reach, rule.does
    if not reach.among or not does:
        raise Unusable(f"{where}: say which records it reaches (`among`) and what it `does`")
    if rule.effect == "forbid" and does not in _FORBIDDEN:
        raise Unusable(
            f"{where}: what forbids does `read` and `look_up`, no more and no less, or `take_out`"
        )
    if rule.effect == "permit" and "take_out" in does:
        raise Unusable(
            f"{where}: what is seen may be taken out unless a rule forbids it, so none permits it"
        )
    is_narrow = reach.labels is not None or bool(reach.outside)
    if "erase" in does and (reach.among != ("everything",) or reach.types or is_narrow):
        raise Unusable(f"{where}: a person is erased whole, so who may `erase` reaches everything")
    if "create" in does and is_narrow:
        raise Unusable(
            f"{where}: who may `create` is narrowed by `types` alone: a record that is not there"
            " yet has no labels, and lies in no reach"
        )
    if "look_up" in does and "read" not in does:
        within = reach.among == ("directory",) or (reach.types or {""}) <= directory().keys()
        if not within:
            raise Unusable(
                f"{where}: only what is in the directory has a form to be looked up; let it `read`"
            )


def _refuse_words(rule: Rule, where: str) -> None:
    when, reach, places = rule.when, rule.reach, institution_rule()
    for named, known, said in (
        (when.roles, _ROLES, "no such role"),
        (when.purposes, purposes_of_use(), "no such purpose of use"),
        (when.duties, _codes(duties()), "no such duty"),
        (when.without_duties, _codes(duties()), "no such duty"),
        (when.levels, _codes(places.level), "no such level of an institution"),
        (when.grades, _codes(places.grade), "no such grade of an institution"),
        (when.kinds, _codes(places.kind), "no such kind of institution"),
        (reach.types, load_table().types.keys(), "no such type"),
    ):
        _refuse_unknown(named, known, f"{where}: {said}")
    for name in ("roles", "purposes", "duties", "without_duties", "institutions", "levels",
                 "grades", "kinds", "regions"):  # fmt: skip
        if getattr(when, name) == frozenset():
            raise Unusable(
                f"{where}: `{name}` names none, so it would concern nobody; leave it out"
            )
    if when.institutions is not None and not all(map(str.strip, when.institutions)):
        raise Unusable(f"{where}: name `institutions` by their credit codes or as senders")
    if not all(map(_DIVISION.fullmatch, when.regions or ())):
        raise Unusable(f"{where}: `regions` are divisions of six digits (GB/T 2260), as 580100")
    if reach.types == frozenset() or reach.labels == ():
        raise Unusable(
            f"{where}: an empty list of `types` or `labels` reaches nothing; leave it out"
        )
    for label in reach.labels or ():
        system, parting, code = label.rpartition("|")
        if not (system and parting and code):
            raise Unusable(f"{where}: a label is written system|code, not {label!r}")


def _codes(words: Sequence[Word]) -> frozenset[str]:
    return frozenset(word.code for word in words)


def own_digits(division: str) -> str:
    """What the divisions below one (GB/T 2260) begin with as well: its pairs of digits but 00."""
    own = division
    while own.endswith("00"):
        own = own.removesuffix("00")
    return own


def _refuse_unknown(named: frozenset[str] | None, known: Iterable[str], said: str) -> None:
    unknown = sorted((named or frozenset()) - set(known))
    if unknown:
        raise Unusable(f"{said}: {', '.join(unknown)}; known are {', '.join(sorted(known))}")


@cache
def purposes_of_use() -> frozenset[str]:
    """The codes of the purposes for which records may be used."""
    file = resources.files("quanmin") / "definitions" / "purposes_of_use.toml"
    return frozenset(tomllib.loads(file.read_text("utf-8"))["codes"])
