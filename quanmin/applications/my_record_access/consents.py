"""Consents in words."""

from __future__ import annotations

from typing import Any

from quanmin.applications.my_record_access.choices import say_kind, say_types
from quanmin.trust.deciding.consent_lines import Line, endings_of, lines_of, state_of
from quanmin.web import Visit
from quanmin.web.dates import short_fhir
from quanmin.web.labels import tell_purpose, tell_type


def tell_consent(
    visit: Visit, id_: str, consent: dict[str, Any], names: dict[str, str]
) -> dict[str, Any]:
    """A consent in words; `can_end` says that its person can take it back."""
    say, zone = visit.say, visit.house.settings.zone
    lines, status = lines_of(consent), consent.get("status")
    states = {
        "in force": say("in force"),
        "over": say("over: its time has passed"),
        "to come": say("not in force yet"),
        "taken back": say("taken back"),
        "refused": say("refused"),
        "without effect": say("without effect"),
    }
    state = state_of(consent, zone, visit.house.guard.now())
    return {
        "id": id_,
        "lines": [_tell_line(visit, one, names) for one in lines],
        "given": short_fhir(str(consent.get("dateTime") or ""), zone),
        "state": states[state],
        "can_end": status in {"active", "rejected"} and state != "over",
        "is_refusal": status == "rejected" or bool(lines and lines[0].effect == "deny"),
        "has_permit": status == "rejected" or any(one.effect == "permit" for one in lines),
        "endings": _tell_endings(visit, consent),
    }


def _tell_line(visit: Visit, line: Line, names: dict[str, str]) -> dict[str, Any]:
    say, zone = visit.say, visit.house.settings.zone
    what = [
        *(say_kind(visit, one) for one in line.kinds),
        *say_types(visit, line.types),
        *line.codes,
        *(_record(visit, one) for one in line.records),
    ]
    return {
        "words": _effect(visit, line),
        "whom": [_institution(one, names) for one in line.institutions]
        or [say("every institution")],
        "what": what or [say("the whole record but what is kept apart")],
        "purposes": [tell_purpose(one, visit.language) for one in line.purposes]
        or [say("every purpose")],
        "data": " – ".join(filter(None, line.data)),
        "since": short_fhir(line.since, zone),
        "until": short_fhir(line.until, zone),
    }


def _effect(visit: Visit, line: Line) -> str:
    if line.is_onward:
        passing = visit.say("You permit passing on"), visit.say("You refuse passing on")
        return passing[line.effect == "deny"]
    return {
        ("permit", False): visit.say("You permit"),
        ("deny", False): visit.say("You refuse"),
        ("permit", True): visit.say("but you permit"),
        ("deny", True): visit.say("but you refuse"),
    }[line.effect, line.is_inner]


def _tell_endings(visit: Visit, consent: dict[str, Any]) -> list[str]:
    """What taking it back closes and what it leaves open, each in sentences."""
    say = visit.say
    words = {
        "treatment": say(
            "They can read nothing more of this from then on, not even while they treat you, but"
            " what they recorded themselves. In an emergency your record can be opened, of which"
            " you are told."
        ),
        "purpose": say(
            "For this purpose they can read nothing more of this from then on, but what they"
            " recorded themselves. What the law opens for other purposes stays open: while they"
            " treat you, they see your record for your treatment, unless you refuse it."
        ),
        "kind": say(
            "What is of a kind that is kept apart is closed to them again, but what they recorded"
            " themselves. All other records are as open to them as before: while they treat you,"
            " they see them, unless you refuse it."
        ),
        "onward": say(
            "They may pass on no more of what they see of other institutions. What they may read"
            " themselves is the same as before."
        ),
    }
    return [words[one] for one in endings_of(consent, visit.house.settings.zone)]


def _institution(reference: dict[str, Any], names: dict[str, str]) -> str:
    id_ = str(reference.get("reference") or "").removeprefix("Organization/")
    code = str((reference.get("identifier") or {}).get("value") or "")
    return names.get(id_) or str(reference.get("display") or "") or code or id_


def _record(visit: Visit, reference: dict[str, Any]) -> str:
    """One record that is named by itself."""
    type_, _, id_ = "/".join(str(reference.get("reference")).split("/")[-2:]).partition("/")
    return f"{tell_type(type_, visit.language).text} {reference.get('display') or id_}"
