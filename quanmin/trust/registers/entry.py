"""What an Organization of the register says: its facts, and the states it is in from when to when.

States stand in extensions, each with a period; an entry without any is active from its first
version that says so, and closed from the one that says `active: false`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, Literal, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from quanmin.base.problems import Issue, Sentence
from quanmin.fhir.dates import interval
from quanmin.trust.registers.credit_code import credit_code_of, division_of, judge_credit_code
from quanmin.trust.registers.definitions import institution_rule

OPEN_START: Final = -(1 << 63)
OPEN_END: Final = (1 << 63) - 1


class Stage(msgspec.Struct, frozen=True):
    """A state with its period; what it says of level and grade goes before the whole entry's."""

    state: str
    since: int
    until: int
    level: str | None = None
    grade: str | None = None


class Entry(msgspec.Struct, frozen=True):
    """An institution as its Organization tells it. No `stages`: it states no periods; no `sender`:
    its code serves as one.
    """

    code: str
    sender: str | None
    name: str
    kind: str | None
    level: str | None
    grade: str | None
    region: str
    parent: str | None
    is_active: bool
    stages: tuple[Stage, ...]


Told = TypeVar("Told")


def pieces(
    bounds: tuple[int, int], own: Told, known: Sequence[tuple[int, int, Told]], now: int
) -> Iterator[tuple[int, int, Told]]:
    """A period in the parts in which different things held: until now what was `known`, in order of
    time, from now on what the entry says: no day is stated of a change within a period.
    """
    at, last = bounds
    end = min(last, now)
    for since, until, told in known:
        begin, stop = max(at, since), min(end, until)
        if begin >= stop or told == own:
            continue
        if at < begin:
            yield at, begin, own
        yield begin, stop, told
        at = stop
    if at < last:
        yield at, last, own


def read_entry(organization: Mapping[str, Any], zone: ZoneInfo) -> Entry | list[Issue] | None:
    """The entry; what is wrong with it; None for an Organization without a credit code, which is a
    part of an institution and no entry.
    """
    code = credit_code_of(organization)
    if code is None:
        return None
    faults = list(_faults(organization, code))
    stages = tuple(_stages(organization, zone, faults))
    faults += _clashes(stages)
    if faults:
        return faults
    address = institution_rule().address
    return Entry(
        code=code,
        sender=_identifier(organization, address.sender),
        name=organization["name"],
        kind=_coded(organization, address.kind),
        level=_coded(organization, address.level),
        grade=_coded(organization, address.grade),
        region=_division(organization) or division_of(code),
        parent=(organization.get("partOf") or {}).get("reference"),
        is_active=organization.get("active", True),
        stages=stages,
    )


def _faults(organization: Mapping[str, Any], code: str) -> Iterator[Issue]:
    decision = judge_credit_code(code)
    if not decision.allowed:
        texts = {
            "not-of-the-form": Sentence(
                "a unified social credit code has 18 characters of the alphabet of GB 32100"
                " (no I, O, S, V, Z), the third to the eighth digits"
            ),
            "check-character-wrong": Sentence(
                "a unified social credit code ends with the check character of GB 32100, and"
                " this one does not: look for a mistyped character"
            ),
        }
        text = texts[decision.reasons[0]]
        yield Issue("error", "value", text, "Organization.identifier")
    if not organization.get("name"):
        yield Issue(
            "error", "required", "an institution of the register has a name", "Organization.name"
        )
    rule = institution_rule()
    for system, words in (
        (rule.address.kind, rule.kind),
        (rule.address.level, rule.level),
        (rule.address.grade, rule.grade),
    ):
        stated, known = _coded(organization, system), [word.code for word in words]
        if stated is not None and stated not in known:
            text = Sentence(
                "the codes of %(system)s are %(known)s", system=system, known=", ".join(known)
            )
            yield Issue("error", "code-invalid", text, "Organization.type")


def _stages(
    organization: Mapping[str, Any], zone: ZoneInfo, faults: list[Issue]
) -> Iterator[Stage]:
    rule = institution_rule()
    for place, extension in enumerate(organization.get("extension") or ()):
        if extension.get("url") != rule.address.status:
            continue
        where = f"Organization.extension[{place}]"
        parts = {part.get("url"): part for part in extension.get("extension") or ()}
        period = (parts.get("period") or {}).get("valuePeriod") or {}
        codes: dict[str, str | None] = {}
        for name, words in (("state", rule.state), ("level", rule.level), ("grade", rule.grade)):
            codes[name] = (parts.get(name) or {}).get("valueCode")
            known = [word.code for word in words]
            if (codes[name] is None and name == "state") or codes[name] not in {None, *known}:
                text = Sentence(
                    "the %(name)s is a valueCode, one of %(known)s",
                    name=name,
                    known=", ".join(known),
                )
                faults.append(Issue("error", "code-invalid", text, where))
        bounds = period_of(period, zone)
        if bounds is None or not period.get("start"):
            text = Sentence(
                "the period is a valuePeriod with a start; it ends, if at all, after it began"
            )
            faults.append(Issue("error", "value", text, where))
            continue
        yield Stage(codes["state"] or "", *bounds, level=codes["level"], grade=codes["grade"])


def period_of(period: Mapping[str, Any], zone: ZoneInfo) -> tuple[int, int] | None:
    """When a Period begins, and the first moment after it; None for one that ends before."""
    since = _bound(period.get("start"), zone, "start")
    until = _bound(period.get("end"), zone, "end")
    return None if since is None or until is None or since >= until else (since, until)


def _bound(text: object, zone: ZoneInfo, end: Literal["start", "end"]) -> int | None:
    """The moment a period's bound means: a day that ends it belongs to it (R4 Period)."""
    if text is None:
        return OPEN_START if end == "start" else OPEN_END
    found = interval(str(text), zone)
    if found is None:
        return None
    return found[0] if end == "start" else found[1]


def _clashes(stages: Sequence[Stage]) -> list[Issue]:
    ordered = sorted(stages, key=lambda stage: stage.since)
    if any(later.since < earlier.until for earlier, later in pairwise(ordered)):
        text = Sentence("the periods of two states overlap: end one before the next begins")
        return [Issue("error", "value", text, "Organization.extension")]
    return []


def _identifier(organization: Mapping[str, Any], system: str) -> str | None:
    for identifier in organization.get("identifier") or ():
        if identifier.get("system") == system and identifier.get("value"):
            return str(identifier["value"])
    return None


def _coded(organization: Mapping[str, Any], system: str) -> str | None:
    for concept in organization.get("type") or ():
        for coding in concept.get("coding") or ():
            if coding.get("system") == system and coding.get("code"):
                return str(coding["code"])
    return None


def _division(organization: Mapping[str, Any]) -> str | None:
    url = institution_rule().address.division
    for address in organization.get("address") or ():
        for extension in address.get("extension") or ():
            if extension.get("url") == url and extension.get("valueCode"):
                return str(extension["valueCode"])
    return None
