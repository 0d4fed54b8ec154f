"""Entries of the registers as a form changes them: from one version of a record to the next, with
the day from which the change holds. What was before stays, with its end.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo

from quanmin.base.problems import Invalid, Issue, Sentence
from quanmin.fhir.dates import local_text
from quanmin.trust.registers.credit_code import code_rule
from quanmin.trust.registers.definitions import acting_states, institution_rule
from quanmin.trust.registers.entry import OPEN_END, OPEN_START
from quanmin.trust.registers.institutions import Institution
from quanmin.trust.registers.licensing import licence_rule

_DAY: Final = timedelta(days=1)
Body = dict[str, Any]


def institution_body(
    values: Mapping[str, str], parent_id: str | None, before: Body | None = None
) -> Body:
    """An Organization with these values (credit_code, sender, name, kind, level, grade, region);
    of `before` what they do not say stays. An institution keeps its codes.
    """
    rule = institution_rule().address
    body: Body = copy.deepcopy(before) if before else {"resourceType": "Organization"}
    if before is None:
        codes = ((code_rule().own, values["credit_code"].upper()), (rule.sender, values["sender"]))
        body["identifier"] = [{"system": system, "value": code} for system, code in codes if code]
        body["active"] = True
    body["name"] = values["name"]
    systems = {rule.kind: "kind", rule.level: "level", rule.grade: "grade"}
    types = [one for one in body.get("type") or () if not _is_of(one, systems)]
    types += [
        {"coding": [{"system": system, "code": values[name]}]}
        for system, name in systems.items()
        if values[name]
    ]
    _put(body, "type", types)
    addresses = [one for one in body.get("address") or () if not _extension(one, rule.division)]
    if values["region"]:
        extension = {"url": rule.division, "valueCode": values["region"]}
        addresses.append({"extension": [extension], "use": "work"})
    _put(body, "address", addresses)
    parent = {"reference": f"Organization/{parent_id}"} if parent_id else None
    _put(body, "partOf", parent)
    return body


def with_state(
    organization: Body, history: Sequence[Institution], state: str, first: date, zone: ZoneInfo
) -> Body:
    """The Organization with a state from a day on, whatever it was to be from then on. `history` is
    what the register says of it so far: all of it is stated from now on. `active`, which others
    read, says what the last state is.
    """
    url = institution_rule().address.status
    body = copy.deepcopy(organization)
    kept = [one for one in body.get("extension") or () if one.get("url") != url]
    stages = []
    for one in history:
        since = None if one.since == OPEN_START else _day(one.since, zone)
        until = None if one.until == OPEN_END else _day(one.until - 1, zone)
        if since is not None and since >= first:
            continue
        last = first - _DAY if until is None else min(until, first - _DAY)
        first_known = since or date(1949, 10, 1)
        stages.append(_stage(one.state, first_known, last, level=one.level, grade=one.grade))
    body["extension"] = [*kept, *stages, _stage(state, first, None)]
    body["active"] = state in acting_states()
    return body


def site_body(
    organization_id: str, name: str, address: str, first: date, before: Body | None = None
) -> Body:
    """A Location where the institution gives its services, from a day on."""
    body = copy.deepcopy(before) if before else {"resourceType": "Location", "mode": "instance"}
    body |= {
        "status": "active",
        "name": name,
        "managingOrganization": {"reference": f"Organization/{organization_id}"},
        "extension": [_stage("active", first, None)],
    }
    _put(body, "address", {"use": "work", "text": address} if address else None)
    return body


def ended_site(location: Body, last: date) -> Body:
    """The Location with its last day. Raises Invalid for one before it began, or a second."""
    body = copy.deepcopy(location)
    first, before = site_period(location)
    if before or (first and last.isoformat() < first):
        raise _fault("until", Sentence("the site has ended already, or had not begun by that day"))
    start = date.fromisoformat(first) if first else last
    url = institution_rule().address.status
    kept = [one for one in body.get("extension") or () if one.get("url") != url]
    return body | {"status": "inactive", "extension": [*kept, _stage("active", start, last)]}


def site_period(location: Mapping[str, Any]) -> tuple[str, str]:
    """The first and the last day of a site, as they are stated; "" for none."""
    url = institution_rule().address.status
    for one in location.get("extension") or ():
        if one.get("url") == url:
            parts = {part.get("url"): part for part in one.get("extension") or ()}
            period = (parts.get("period") or {}).get("valuePeriod") or {}
            return str(period.get("start", "")), str(period.get("end", ""))
    return "", ""


def practitioner_body(number: str, name: str, before: Body | None = None) -> Body:
    """One of the staff under a staff number."""
    system = licence_rule().address.staff
    body: Body = copy.deepcopy(before) if before else {"resourceType": "Practitioner"}
    others = [one for one in body.get("identifier") or () if one.get("system") != system]
    body["identifier"] = [*others, {"system": system, "value": number}]
    return body | {"active": True, "name": [{"text": name}]}


def staff_number(practitioner: Mapping[str, Any]) -> str:
    """The staff number that a Practitioner states; "" for none."""
    system = licence_rule().address.staff
    for identifier in practitioner.get("identifier") or ():
        if identifier.get("system") == system:
            return str(identifier.get("value", ""))
    return ""


def with_licence(
    practitioner: Body, kind: str, scopes: Sequence[str], first: date, last: date | None
) -> Body:
    """The Practitioner with one licence more."""
    body = copy.deepcopy(practitioner)
    address = licence_rule().address
    licence: Body = {
        "code": {"coding": [{"system": address.kind, "code": kind}]},
        "period": _period(first, last),
    }
    if scopes:
        licence["extension"] = [{"url": address.scope, "valueCode": scope} for scope in scopes]
    body.setdefault("qualification", []).append(licence)
    return body


def with_licence_state(
    practitioner: Body, number: int, state: str, first: date, zone: tzinfo
) -> Body:
    """The Practitioner whose licence of this number (from 0) is in a state from a day on. Raises
    Invalid for a day outside its validity.
    """
    body = copy.deepcopy(practitioner)
    licences: list[Body] = body.get("qualification") or []
    if not 0 <= number < len(licences):
        raise _fault(
            "number", Sentence("there is no such licence: it has changed since the page was opened")
        )
    licence = licences[number]
    period = licence.get("period") or {}
    since, until = _local_day(period, "start", zone), _local_day(period, "end", zone)
    if not since <= first.isoformat() <= (until or "9999-12-31"):
        raise _fault(
            "from", Sentence("the licence is not valid on that day: choose one of its validity")
        )
    url = licence_rule().address.state
    later = copy.deepcopy(licence)
    later["period"] = {**period, "start": first.isoformat()}
    extensions = [one for one in later.get("extension") or () if one.get("url") != url]
    later["extension"] = [*extensions, {"url": url, "valueCode": state}]
    if since == first.isoformat():
        licences[number] = later
    else:
        licence["period"] = {**period, "end": (first - _DAY).isoformat()}
        licences.insert(number + 1, later)
    return body


def _local_day(period: Mapping[str, str], end: str, zone: tzinfo) -> str:
    return local_text(str(period.get(end, "")), zone)[:10]


def practice_body(
    practitioner_id: str, organization_id: str, first: date, last: date | None
) -> Body:
    """That somebody practises at an institution."""
    return {
        "resourceType": "PractitionerRole",
        "active": True,
        "practitioner": {"reference": f"Practitioner/{practitioner_id}"},
        "organization": {"reference": f"Organization/{organization_id}"},
        "period": _period(first, last),
    }


def ended_practice(role: Body, last: date, zone: tzinfo) -> Body:
    """The PractitionerRole with its last day. Raises Invalid for one before it began."""
    body = copy.deepcopy(role)
    period = body.get("period") or {}
    if _local_day(period, "start", zone) > last.isoformat():
        raise _fault("until", Sentence("it had not begun by that day"))
    return body | {"period": {**period, "end": last.isoformat()}}


def _stage(state: str, first: date, last: date | None, **words: str | None) -> Body:
    period = {"url": "period", "valuePeriod": _period(first, last)}
    said = [{"url": name, "valueCode": code} for name, code in words.items() if code]
    parts = [{"url": "state", "valueCode": state}, *said, period]
    return {"url": institution_rule().address.status, "extension": parts}


def _period(first: date, last: date | None) -> dict[str, str]:
    return {
        "start": first.isoformat(),
        **({} if last is None else {"end": last.isoformat()}),
    }


def _day(moment: int, zone: ZoneInfo) -> date:
    return datetime.fromtimestamp(moment / 1_000_000, zone).date()


def _is_of(concept: Mapping[str, Any], systems: Mapping[str, str]) -> bool:
    return any(coding.get("system") in systems for coding in concept.get("coding") or ())


def _extension(element: Mapping[str, Any], url: str) -> bool:
    return any(one.get("url") == url for one in element.get("extension") or ())


def _put(body: Body, name: str, value: Any) -> None:
    if value:
        body[name] = value
    else:
        body.pop(name, None)


def _fault(element: str, text: str) -> Invalid:
    return Invalid(text, issues=(Issue("error", "value", text, element),))
