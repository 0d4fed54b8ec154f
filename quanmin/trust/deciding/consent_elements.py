"""What of a Consent is carried out (`definitions/consent_elements.toml`), and what is not: nothing
is stored that is ignored.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any, Final

import msgspec

from quanmin.base.problems import Issue, Sentence
from quanmin.fhir.table import load_table
from quanmin.records.sensitivity import load_kinds

SCOPE: Final = "patient-privacy"
_ACT_CODES: Final = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
_TYPES: Final = "http://hl7.org/fhir/resource-types"
_KNOWN: Final = frozenset(
    {
        *("id", "extension", "type", "period", "actor", "action", "securityLabel", "purpose"),
        *("class", "code", "dataPeriod", "data", "provision"),
    }
)
Fault = tuple[str, str]
"""Where in the Consent, and what is not carried out there and what to do instead."""


class _Limits(msgspec.Struct, frozen=True):
    depth_max: int
    codes_max: int


class _Actions(msgspec.Struct, frozen=True):
    reading: frozenset[str]
    onward: frozenset[str]


class _Roles(msgspec.Struct, frozen=True):
    recipients: frozenset[str]


class Elements(msgspec.Struct, frozen=True):
    """The definition file."""

    limits: _Limits
    policies: dict[str, str]
    actions: _Actions
    roles: _Roles
    codes: dict[str, tuple[str, ...]]


@cache
def elements() -> Elements:
    """What is carried out."""
    file = resources.files("quanmin") / "definitions" / "consent_elements.toml"
    return msgspec.convert(tomllib.loads(file.read_text("utf-8")), Elements)


@cache
def strict_kinds() -> dict[str, str]:
    """The labels of kinds that are kept apart, with their systems."""
    return {kind.label.code: kind.label.system for kind in load_kinds() if kind.is_strict}


@cache
def _purposes() -> frozenset[str]:
    file = resources.files("quanmin") / "definitions" / "purposes_of_use.toml"
    return frozenset(tomllib.loads(file.read_text("utf-8"))["codes"])


def is_privacy(consent: dict[str, Any]) -> bool:
    """Whether the Consent is about who may see what; others decide nothing here."""
    return SCOPE in codes_of([consent.get("scope")])


def find_faults(consent: dict[str, Any]) -> list[Issue]:
    """What a Consent says that the node would not carry out, each with where it says so."""
    found = [*_root_faults(consent)]
    root = consent.get("provision")
    if root is not None:
        found += _walk(root, "Consent.provision", 1, {})
    return [Issue("error", "not-supported", text, where) for where, text in found]


def _root_faults(consent: dict[str, Any]) -> Iterator[Fault]:
    if consent.get("modifierExtension"):
        yield (
            "Consent.modifierExtension",
            Sentence("it may mean anything: say it in elements of Consent"),
        )
    for coding in (consent.get("policyRule") or {}).get("coding") or ():
        known = elements().policies
        if coding.get("system") == _ACT_CODES and coding.get("code") not in known:
            text = Sentence(
                "the policies that are carried out are %(known)s", known=", ".join(sorted(known))
            )
            yield "Consent.policyRule", text


def _walk(
    provision: dict[str, Any], where: str, depth: int, around: dict[str, set[Any]]
) -> Iterator[Fault]:
    deepest = elements().limits.depth_max
    if depth > deepest:
        yield (
            where,
            Sentence(
                "provisions stand within each other %(deepest)s deep at most", deepest=deepest
            ),
        )
        return
    if depth > 1 and provision.get("type") is None:
        yield (
            f"{where}.type",
            Sentence("a provision within another says whether it permits or denies"),
        )
    yield from provision_faults(provision, where)
    within = dict(around)
    for name, named in _several(provision):
        if named and not named <= around.get(name, named):
            text = Sentence(
                "what a provision names is among what is named around it, if anything is"
            )
            yield f"{where}.{name}", text
        within[name] = named or around.get(name) or set()
    within = {name: named for name, named in within.items() if named}
    for number, inner in enumerate(provision.get("provision") or ()):
        yield from _walk(inner, f"{where}.provision[{number}]", depth + 1, within)


def _several(provision: dict[str, Any]) -> Iterator[tuple[str, set[Any]]]:
    """What is named of that of which a record may have several."""
    codings = (
        one for concept in provision.get("code") or () for one in concept.get("coding") or ()
    )
    yield "code", {(one.get("system"), one.get("code")) for one in codings}
    yield "securityLabel", {one.get("code") for one in provision.get("securityLabel") or ()}


def provision_faults(provision: dict[str, Any], where: str = "") -> Iterator[Fault]:
    """What is not carried out of one provision, without those within it."""
    for name in sorted(provision.keys() - _KNOWN):
        if not name.startswith("_"):
            yield f"{where}.{name}", Sentence("the node does not decide by it: leave it out")
    for part in _PARTS:
        yield from part(provision, where)


def _actor_faults(provision: dict[str, Any], where: str) -> Iterator[Fault]:
    recipients = elements().roles.recipients
    for number, actor in enumerate(provision.get("actor") or ()):
        place = f"{where}.actor[{number}]"
        unknown = set(codes_of([actor.get("role")])) - recipients
        if unknown:
            yield (
                f"{place}.role",
                Sentence("an actor is who is given to see: its role is IRCP, or uncoded"),
            )
        reference = actor.get("reference") or {}
        type_ = str(reference.get("reference") or "").rpartition("/")[0].rpartition("/")[2]
        type_ = type_ or str(reference.get("type") or "")
        if type_ not in {"", "Organization"}:
            yield (
                f"{place}.reference",
                Sentence(
                    "access is decided by institution: name an Organization, or its code as "
                    "identifier"
                ),
            )
        elif not (reference.get("reference") or (reference.get("identifier") or {}).get("value")):
            yield f"{place}.reference", Sentence("name the Organization, or its code as identifier")


def _action_faults(provision: dict[str, Any], where: str) -> Iterator[Fault]:
    actions, known = set(codes_of(provision.get("action"))), elements().actions
    if provision.get("action") and not (actions <= known.reading or actions <= known.onward):
        yield (
            f"{where}.action",
            Sentence("carried out are access and use, and disclose in a provision of its own"),
        )
    if actions & known.onward:
        for name in ("code", "dataPeriod", "data"):
            if name in provision:
                yield (
                    f"{where}.{name}",
                    Sentence("passing on is permitted by type and kind, not by this"),
                )


def _label_faults(provision: dict[str, Any], where: str) -> Iterator[Fault]:
    for number, label in enumerate(provision.get("securityLabel") or ()):
        if strict_kinds().get(label.get("code") or "", "none") != label.get("system"):
            kinds = ", ".join(strict_kinds())
            yield (
                f"{where}.securityLabel[{number}]",
                Sentence("the kinds that are kept apart are %(kinds)s", kinds=kinds),
            )


def _purpose_faults(provision: dict[str, Any], where: str) -> Iterator[Fault]:
    for number, purpose in enumerate(provision.get("purpose") or ()):
        if purpose.get("code") not in _purposes():
            yield f"{where}.purpose[{number}]", Sentence("it is a code of v3 PurposeOfUse")


def _class_faults(provision: dict[str, Any], where: str) -> Iterator[Fault]:
    for number, class_ in enumerate(provision.get("class") or ()):
        place = f"{where}.class[{number}]"
        if class_.get("system") not in {None, _TYPES} or class_.get("code") not in (
            load_table().types
        ):
            yield place, Sentence("it is a resource type, of %(types)s", types=_TYPES)
        elif provision.get("code") and class_["code"] not in elements().codes:
            yield (
                place,
                Sentence("records of this type are not found by a code: name the type or the code"),
            )


def _code_faults(provision: dict[str, Any], where: str) -> Iterator[Fault]:
    for number, concept in enumerate(provision.get("code") or ()):
        if not any(one.get("code") for one in concept.get("coding") or ()):
            yield (
                f"{where}.code[{number}]",
                Sentence("words cannot be decided by: send a coding with a code"),
            )


def _data_faults(provision: dict[str, Any], where: str) -> Iterator[Fault]:
    for number, data in enumerate(provision.get("data") or ()):
        place = f"{where}.data[{number}]"
        if data.get("meaning") != "instance":
            yield (
                f"{place}.meaning",
                Sentence("records are named one by one: the meaning is instance"),
            )
        if not (data.get("reference") or {}).get("reference"):
            yield f"{place}.reference", Sentence("name the record by its address")


_PARTS: Final = (
    _actor_faults,
    _action_faults,
    _label_faults,
    _purpose_faults,
    _class_faults,
    _code_faults,
    _data_faults,
)


def codes_of(concepts: Any) -> list[str]:
    """The codes of CodeableConcepts."""
    return [
        one.get("code") or ""
        for concept in concepts or ()
        for one in (concept or {}).get("coding") or ()
    ]
