"""Whether a record is seen, worked out from the text of the rules and definitions alone: for one
record, by looking at every rule. It shares with what it examines the files and nothing else.
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from importlib import resources
from typing import Any, Final

import msgspec
from ruling import written

from quanmin.trust.deciding import Bounds

DAY: Final = 86_400_000_000
MIDNIGHT: Final = int(datetime(2026, 6, 1, tzinfo=UTC).timestamp()) * 1_000_000
TYPES: Final = ("Patient", "Observation", "Condition", "Organization", "Consent")
ANY: Final = "*"


def _table(name: str) -> dict[str, Any]:
    return tomllib.loads((resources.files("quanmin") / "definitions" / name).read_text("utf-8"))


SHIPPED: Final[str] = (
    resources.files("quanmin") / "definitions" / "consent_policies" / "base.toml"
).read_text("utf-8")
_WITHIN: Final[dict[str, str]] = _table("purposes_of_use.toml")["within"]
_KINDS: Final[list[dict[str, Any]]] = _table("sensitivity/kinds.toml")["kind"]
_LEVELS: Final = _table("sensitivity/levels.toml")
_DIRECTORY: Final = set(_table("directory.toml")["elements"])
_REGISTERS: Final = set(_table("registers/institutions.toml")["register"]["types"])
PURPOSES: Final = (*_table("purposes_of_use.toml")["codes"],)
ROLES: Final = tuple(one["code"] for one in _table("roles.toml")["role"])
DUTIES: Final = tuple(one["code"] for one in _table("registers/duties.toml")["duty"])
ADDRESSED: Final = "https://quanmin.example/fhir/addressed-to"
APPLICATIONS: Final = ("alpha", "beta")
LABELS: Final = tuple(
    dict.fromkeys(
        [(one["label"]["system"], one["label"]["code"]) for one in _KINDS]
        + [(_LEVELS["definition"]["confidentiality"], code) for code in _LEVELS["labels"]]
        + [("urn:labels", "ours"), (ADDRESSED, "sender-1"), (ADDRESSED, "code-2")]
    )
)


class Said(msgspec.Struct, frozen=True):
    """Something that stands about a patient: that an institution `treats` them or an account has
    opened `glass`, or what the person has said (`permit`, `refuse`, `withdraw`) to an institution.
    """

    word: str
    who: int | str
    purpose: str = ANY
    kind: str = ""
    type: str | None = None
    since: int = 0
    until: int = 0
    rank: int = 0


class Asker(msgspec.Struct, frozen=True):
    """Who asks, for what, where, when, and on the pages of which application."""

    account: str
    role: str
    purpose: str
    duties: frozenset[str]
    sender: int
    sender_code: str
    institution: str
    level: str
    grade: str
    kind: str
    region: str
    patients: frozenset[int]
    senders_of_region: frozenset[int]
    senders_of_registers: frozenset[int]
    at: int
    application: str = ""


class Record(msgspec.Struct, frozen=True):
    """What matters of a record."""

    sender: int
    patient: int | None
    type: str
    labels: frozenset[tuple[str, str]]
    said: tuple[Said, ...]


def is_seen(rules: Sequence[Mapping[str, Any]], asker: Asker, record: Record, deed: str) -> bool:
    """Whether some rule permits the deed and none forbids it; to be deleted a record must be one
    that may be changed by a rule of no application.
    """
    if deed == "delete":
        deed, rules = "change", [rule for rule in rules if "application" not in rule]
    reached = [
        rule["effect"]
        for rule in rules
        if deed in rule["does"] and _is_about(rule, asker) and _reaches(rule, asker, record)
    ]
    return "permit" in reached and "forbid" not in reached


def _is_about(rule: Mapping[str, Any], asker: Asker) -> bool:
    when, day = rule.get("when", {}), datetime.fromtimestamp(asker.at / 1e6, UTC).date()
    if day < rule["effective"] or ("ends" in rule and day >= rule["ends"]):
        return False
    if rule.get("application", asker.application) != asker.application:
        return False
    asked = {
        "roles": {asker.role},
        "purposes": {asker.purpose},
        "duties": asker.duties,
        "institutions": {asker.sender_code, asker.institution},
        "levels": {asker.level},
        "grades": {asker.grade},
        "kinds": {asker.kind},
    }
    if any(not set(when[name]) & set(has) for name, has in asked.items() if name in when):
        return False
    if set(when.get("without_duties", ())) & asker.duties:
        return False
    return "regions" not in when or any(_lies_in(asker.region, one) for one in when["regions"])


def _lies_in(region: str, wider: str) -> bool:
    pairs = [wider[at : at + 2] for at in (0, 2, 4)]
    while pairs and pairs[-1] == "00":
        pairs.pop()
    return region != "" and [region[at : at + 2] for at in (0, 2, 4)][: len(pairs)] == pairs


def _reaches(rule: Mapping[str, Any], asker: Asker, record: Record) -> bool:
    reach = rule["reach"]
    return (
        any(_is_in(atom, asker, record) for atom in reach["among"])
        and record.type in reach.get("types", [record.type])
        and (
            "labels" not in reach or any("|".join(one) in reach["labels"] for one in record.labels)
        )
        and not any(_is_in(atom, asker, record) for atom in reach.get("outside", []))
    )


def _is_in(atom: str, asker: Asker, record: Record) -> bool:  # noqa: C901, PLR0911 - an arm a word
    match atom:
        case "everything":
            return True
        case "own":
            return record.sender == asker.sender
        case "about-asker":
            return record.patient in asker.patients
        case "directory":
            return record.type in _DIRECTORY
        case "registers":
            return record.sender in asker.senders_of_registers and record.type in _REGISTERS
        case "region":
            return record.sender in asker.senders_of_region
        case "addressed":
            codes = {asker.sender_code, asker.institution}
            return any(system == ADDRESSED and code in codes for system, code in record.labels)
        case "reportable":
            duty = (asker.role, asker.purpose) == ("public_health_worker", "PUBHLTH")
            is_reported = any(
                one.get("is_reportable", False)
                and (one["label"]["system"], one["label"]["code"]) in record.labels
                for one in _KINDS
            )
            codes = {asker.sender_code, asker.institution}
            ours = record.sender in asker.senders_of_region or any(
                system == ADDRESSED and code in codes for system, code in record.labels
            )
            return duty and ours and is_reported
        case "treated":
            return _top(asker, record, "treats") is not None
        case "glass-opened":
            return asker.purpose == "BTG" and _top(asker, record, "glass") is not None
        case "consented" | "refused":
            return (_is_consented if atom == "consented" else _is_refused)(asker, record)
        case "sensitive":
            return any(_top(asker, record, "permit", kind) is None for kind in _strict(record))
        case "beyond-level":
            return record.patient is not None and _level(record) > _up_to(asker)
        case _:
            raise AssertionError(atom)


def _top(asker: Asker, record: Record, word: str, *kinds: str) -> int | None:
    """The rank of what was said last of those that concern asker and record; None for nothing."""
    around = {ANY, asker.purpose}
    wider = asker.purpose
    while wider in _WITHIN:
        wider = _WITHIN[wider]
        around.add(wider)
    who: set[int | str] = {asker.account} if word == "glass" else {asker.sender}
    if word not in {"glass", "treats"}:
        who.add(ANY)
    ranks = [
        one.rank
        for one in record.said
        if one.word == word
        and one.who in who
        and one.purpose in around
        and one.kind in (kinds or ("",))
        and one.type in {None, record.type}
        and one.since <= asker.at < one.until
    ]
    return max(ranks, default=None)


def _is_consented(asker: Asker, record: Record) -> bool:
    return any(_top(asker, record, "permit", kind) is not None for kind in ("", *_strict(record)))


def _is_refused(asker: Asker, record: Record) -> bool:
    for kind in _strict(record) or [""]:
        refused = _top(asker, record, "refuse", "", kind)
        permitted = _top(asker, record, "permit", kind)
        if refused is not None and (permitted is None or permitted <= refused):
            return True
    is_taken_back = _top(asker, record, "withdraw") is not None
    return is_taken_back and not _is_consented(asker, record)


def _strict(record: Record) -> list[str]:
    return [
        one["label"]["code"]
        for one in _KINDS
        if one["is_strict"] and (one["label"]["system"], one["label"]["code"]) in record.labels
    ]


def _level(record: Record) -> int:
    confidentiality = _LEVELS["definition"]["confidentiality"]
    levels = [
        level
        for code, level in _LEVELS["labels"].items()
        if (confidentiality, code) in record.labels
    ]
    levels += [
        one["level"]
        for one in _KINDS
        if not one["is_strict"] and (one["label"]["system"], one["label"]["code"]) in record.labels
    ]
    unlabelled: int = _LEVELS["definition"]["unlabelled"]
    return max(levels, default=unlabelled)


def _up_to(asker: Asker) -> int:
    for scenario in _LEVELS["scenario"]:
        if asker.purpose in scenario["purposes"]:
            return int(scenario["levels"].get(asker.role, 0))
    return 0


# ---- chance --------------------------------------------------------------------------------------

_WORDS: Final = (
    *("everything", "own", "about-asker", "directory", "registers", "treated", "consented"),
    *("refused", "sensitive", "beyond-level", "reportable", "region", "glass-opened", "addressed"),
)


def some_rules(chance: random.Random) -> str:
    """A file of further rules."""
    return "".join(_some_rule(chance, number) for number in range(chance.randrange(4)))


def some_brought(chance: random.Random) -> tuple[Bounds, ...]:
    """The rules that applications bring."""
    return tuple(
        Bounds(
            application=name,
            place=f"{name}/definitions/access.toml",
            text="".join(_some_brought(chance, name, one) for one in range(2)).encode(),
            roles=frozenset(ROLES),
            purposes=frozenset(PURPOSES),
            reads=frozenset(TYPES),
            writes=frozenset(TYPES),
        )
        for name in APPLICATIONS
        if chance.random() < 0.8
    )


def _some_brought(chance: random.Random, application: str, number: int) -> str:
    among = ("own", "treated", "consented", "reportable", "region", "region", "addressed")
    when = [
        f"roles = {_listed(_STAFF)}",
        f"purposes = {_listed(chance.sample(_OFTEN, 4))}",
    ]
    reach = [
        f"among = {_listed(chance.sample(among, 2))}",
        f"types = {_listed(chance.sample(TYPES, 4))}",
    ]
    if chance.random() < 0.3:
        labels = ["|".join(one) for one in chance.sample(LABELS, 2)]
        reach.append(f"labels = {_listed(labels)}")
    does = ["read", *chance.choice([[], ["change"]])]
    return written(
        f"{application}.chance-{number}",
        ", ".join(when),
        does=_listed(does),
        reach=f"{{ {', '.join(reach)} }}",
    )


def all_of(text: str, brought: Sequence[Bounds]) -> list[dict[str, Any]]:
    """The rules of a file and those that applications bring, as they are written."""
    found: list[dict[str, Any]] = tomllib.loads(text)["rule"]
    for one in brought:
        rules = tomllib.loads(one.text.decode()).get("rule", [])
        found += [{**rule, "application": one.application} for rule in rules]
    return found


def _some_rule(chance: random.Random, number: int) -> str:
    asked = {
        "roles": ROLES,
        "purposes": PURPOSES,
        "duties": DUTIES,
        "without_duties": DUTIES[:3],
        "institutions": ("code-1", "sender-1", "code-2"),
        "levels": ("province", "city", "county"),
        "grades": ("3", "2"),
        "kinds": ("A", "B"),
        "regions": ("580000", "580100", "580101", "570000"),
    }
    when = [
        f"{name} = {_listed(chance.sample(known, 1 + chance.randrange(len(known) - 1)))}"
        for name, known in asked.items()
        if chance.random() < 0.25
    ]
    reach = [f"among = {_listed(chance.sample(_WORDS, chance.choice([1, 1, 2])))}"]
    if chance.random() < 0.3:
        reach.append(f"types = {_listed(chance.sample(TYPES, 2))}")
    if chance.random() < 0.3:
        labels = ["|".join(one) for one in chance.sample(LABELS, 2)]
        reach.append(f"labels = {_listed(labels)}")
    if chance.random() < 0.4:
        reach.append(f"outside = {_listed(chance.sample(_WORDS, chance.choice([1, 2])))}")
    days = [date(2026, 5, 31), date(2026, 6, 1), date(2026, 6, 2)]
    first = chance.choice([date(2020, 1, 1), *days])
    more = {"effective": str(first)}
    if chance.random() < 0.3 and first < days[-1]:
        more["ends"] = str(chance.choice([day for day in days if day > first]))
    effect = chance.choice(["permit", "permit", "forbid"])
    if effect == "permit" and chance.random() < 0.3:
        more["does"] = '["read", "look_up", "change"]'
    return written(
        f"chance-{number}",
        ", ".join(when),
        effect=f'"{effect}"',
        reach=f"{{ {', '.join(reach)} }}",
        **more,
    )


def _listed(texts: Sequence[str]) -> str:
    return "[" + ", ".join(f'"{text}"' for text in texts) + "]"


_STAFF: Final = ("institution", "doctor", "nurse", "public_health_worker")
_OFTEN: Final = ("TREAT", "ETREAT", "BTG", "PUBHLTH", "HRESCH")


def some_asker(chance: random.Random, senders: Sequence[int], patients: Sequence[int]) -> Asker:
    sender = chance.choice(senders)
    return Asker(
        "a",
        chance.choice([*ROLES, *_STAFF * 4]),
        chance.choice([*_OFTEN * 3, *PURPOSES]),
        frozenset(chance.sample(DUTIES, chance.randrange(3))),
        sender,
        f"sender-{sender}",
        chance.choice(["", f"code-{sender}"]),
        chance.choice(["", "province", "city", "county"]),
        chance.choice(["", "3", "2"]),
        chance.choice(["", "A", "B"]),
        chance.choice(["", "580101", "580102", "580100", "570203"]),
        frozenset(chance.sample(patients, min(3, len(patients)))),
        frozenset(chance.sample(senders, chance.randrange(min(4, len(senders))))),
        frozenset(chance.sample(senders, chance.randrange(2))),
        MIDNIGHT + chance.choice([-1, 0, 1, DAY - 1, DAY, -DAY]),
        chance.choice(["", *APPLICATIONS, *APPLICATIONS]),
    )


def some_said(chance: random.Random, senders: Sequence[int]) -> list[Said]:
    """What stands about a patient."""
    found = []
    for _ in range(chance.randrange(12)):
        word = chance.choice(
            ["treats", "treats", "permit", "permit", "refuse", "refuse", "withdraw", "glass"]
        )
        is_of_person = word in {"permit", "refuse", "withdraw"}
        who: int | str = "a" if word == "glass" else chance.choice(senders)
        kinds = [one["label"]["code"] for one in _KINDS if one["is_strict"]]
        since = MIDNIGHT + chance.choice([-9 * DAY, -9 * DAY, -DAY, 0])
        found.append(
            Said(
                word,
                chance.choice([who, ANY, ANY]) if is_of_person else who,
                chance.choice(["TREAT", "ETREAT", "BTG", "HRESCH", ANY, ANY])
                if is_of_person
                else ANY,
                chance.choice(["", "", *kinds]) if word in {"permit", "refuse"} else "",
                chance.choice([None, None, *TYPES]),
                since,
                since + chance.choice([DAY, 99 * DAY]),
                chance.randrange(4) if is_of_person else 0,
            )
        )
    return found


def some_record(
    chance: random.Random, senders: Sequence[int], said: Mapping[int, Sequence[Said]]
) -> Record:
    patient = chance.choice([None, *said, *said])
    labels = frozenset(chance.sample(LABELS, chance.choice([0, 0, 0, 1, 1, 2])))
    of_person = () if patient is None else tuple(said[patient])
    return Record(chance.choice(senders), patient, chance.choice(TYPES), labels, of_person)
