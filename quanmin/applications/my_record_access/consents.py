"""Consents in words."""

from __future__ import annotations

from typing import Any

from quanmin.applications.my_record_access.choices import say_kind, say_purpose, say_types
from quanmin.web import Visit
from quanmin.web.dates import short_fhir


def tell_provision(
    visit: Visit, provision: dict[str, Any], names: dict[str, str], depth: int = 0
) -> list[dict[str, Any]]:
    """A provision and those within it, each as a line of words."""
    say, zone = visit.say, visit.house.settings.zone
    actors = [_institution(one.get("reference") or {}, names) for one in provision.get("actor", ())]
    kinds = [say_kind(visit, one.get("code", "")) for one in provision.get("securityLabel", ())]
    codes = [
        one.get("display") or one.get("code") or ""
        for concept in provision.get("code", ())
        for one in concept.get("coding", ())
    ]
    types = say_types(visit, tuple(one.get("code", "") for one in provision.get("class", ())))
    actions = [
        coding.get("code")
        for one in provision.get("action", ())
        for coding in one.get("coding", ())
    ]
    data = provision.get("dataPeriod") or {}
    line = {
        "depth": depth,
        "effect": provision.get("type", ""),
        "is_onward": "disclose" in actions,
        "whom": actors or [say("every institution")],
        "what": [*kinds, *types, *codes] or [say("the whole record but what is kept apart")],
        "purposes": [
            say_purpose(visit, one.get("code", "")) for one in provision.get("purpose", ())
        ]
        or [say("every purpose")],
        "data": " – ".join(filter(None, (data.get("start"), data.get("end")))),
        "since": short_fhir((provision.get("period") or {}).get("start", ""), zone),
        "until": short_fhir((provision.get("period") or {}).get("end", ""), zone),
    }
    inner = [
        one
        for each in provision.get("provision", ())
        for one in tell_provision(visit, each, names, depth + 1)
    ]
    return [*([line] if line["effect"] else []), *inner]


def institutions_named(provision: dict[str, Any]) -> set[str]:
    """The ids of the Organizations that a provision names."""
    found = {
        str((one.get("reference") or {}).get("reference") or "").removeprefix("Organization/")
        for one in provision.get("actor", ())
    }
    return found.union(*(institutions_named(one) for one in provision.get("provision", ()))) - {""}


def _institution(reference: dict[str, Any], names: dict[str, str]) -> str:
    id_ = str(reference.get("reference") or "").removeprefix("Organization/")
    code = str((reference.get("identifier") or {}).get("value") or "")
    return names.get(id_) or str(reference.get("display") or "") or code or id_
