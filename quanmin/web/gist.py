"""The gist of any clinical record.

When, what, its value, where; what a line in a list says of it.
"""

from __future__ import annotations

from typing import Any

from quanmin.web.labels import tell_type
from quanmin.web.reading import Reader, Value, tell_name

# Where a record's own words for "what" stand, the first that it has.
_TITLES = [
    "vaccineCode",
    "medicationCodeableConcept",
    "code",
    "type",
    "class",
    "serviceType",
    "questionnaire",
    "category",
    "scope",
]
# What is called by its name, rather than by what kind of it it is.
_NAMED = frozenset(
    {
        *("Patient", "Person", "RelatedPerson", "Practitioner"),
        *("Organization", "Location", "HealthcareService", "Group"),
    }
)
# Where a record says when, the first that it has; a Period counts from its start.
_TIMES = [
    "effectiveDateTime",
    "effectivePeriod",
    "effectiveInstant",
    "occurrenceDateTime",
    "occurrencePeriod",
    "performedDateTime",
    "performedPeriod",
    "period",
    "authoredOn",
    "whenHandedOver",
    "whenPrepared",
    "onsetDateTime",
    "recordedDate",
    "recorded",
    "billablePeriod",
    "created",
    "started",
    "date",
    "dateTime",
    "assertedDate",
    "issued",
]
# Where a record names the institution it was made at, the first that is an Organization.
_PLACES = [
    "serviceProvider",
    "performer",
    "performingOrganization",
    "custodian",
    "managingOrganization",
    "provider",
    "requester",
    "author",
    "insurer",
    "location",
    "organization",
]

# Interpretations (HL7 v3 ObservationInterpretation) that need nobody's attention.
_USUAL = frozenset({"N", "NEG", ""})


def time_of(resource: dict[str, Any]) -> str:
    """When it happened, as the record says it; empty when it does not."""
    for name in _TIMES:
        found = resource.get(name)
        if isinstance(found, dict):
            found = found.get("start") or found.get("end")
        if isinstance(found, str) and found:
            return found
    return ""


def place_of(resource: dict[str, Any]) -> tuple[str, str]:
    """(id, words) of the institution the record names; each empty when it is not said."""
    for name in _PLACES:
        found = resource.get(name)
        for one in found if isinstance(found, list) else [found]:
            actor = one.get("actor", one) if isinstance(one, dict) else {}
            target = str(actor.get("reference") or "") if isinstance(actor, dict) else ""
            if target.startswith("Organization"):  # or a conditional reference to one
                is_here = target.startswith("Organization/")
                return target.split("/")[1] if is_here else "", str(actor.get("display") or "")
    return "", ""


def title_of(resource: dict[str, Any], reader: Reader) -> Value:
    """What it is: whom it names, its main concept, its title, its medicine; else its type."""
    named = _name_of(resource)
    if named:
        return Value(text=named)
    for name in _TITLES:
        found = resource.get(name)
        first = found[0] if isinstance(found, list) and found else found
        if isinstance(first, dict):
            told = reader.concept(first)
            if told.text:
                return told
    for name in ("title", "description"):
        if isinstance(resource.get(name), str):
            return Value(text=resource[name])
    medication = resource.get("medicationReference")
    shown = medication.get("display") if isinstance(medication, dict) else None
    label = tell_type(str(resource.get("resourceType", "")), reader.language)
    return Value(text=str(shown)) if shown else Value(text=label.text, language=label.language)


def _name_of(resource: dict[str, Any]) -> str:
    """The name of a person, an institution or a place; empty for a record of anything else."""
    if resource.get("resourceType") not in _NAMED:
        return ""  # a definition's name is for machines
    name = resource.get("name")
    if isinstance(name, str):
        return name
    return next((told for told in map(tell_name, _dicts(name)) if told), "")


def value_of(resource: dict[str, Any], reader: Reader) -> str:
    """What was measured, prescribed, charged or complained of, in few words.

    Empty when nothing is.
    """
    found = _measured(resource, reader)
    if found:
        return found
    parts = [_measured(part, reader) for part in _dicts(resource.get("component"))]
    if any(parts):
        return " / ".join(part for part in parts if part)
    for name in ("dosageInstruction", "dosage"):
        for dosage in _dicts(resource.get(name)):
            if dosage.get("text"):
                return str(dosage["text"])
    for name in ("priceOverride", "totalNet", "total"):
        money = resource.get(name)
        if isinstance(money, dict) and money.get("value") is not None:
            return reader.money(money)
    told = [*_dicts(resource.get("reasonCode"))]
    if resource.get("resourceType") == "Encounter" and isinstance(
        resource.get("serviceType"), dict
    ):
        told.append(resource["serviceType"])
    return " · ".join(words for words in (reader.concept(one).text for one in told) if words)


def flag_of(resource: dict[str, Any], reader: Reader) -> Value | None:
    """What the laboratory says of its own value where it is out of range; None within."""
    for one in _dicts(resource.get("interpretation")):
        if reader.code(one) not in _USUAL:
            return reader.concept(one)
    return None


def _measured(resource: dict[str, Any], reader: Reader) -> str:
    quantity = resource.get("valueQuantity")
    if isinstance(quantity, dict):
        return reader.quantity(quantity)
    if isinstance(resource.get("valueCodeableConcept"), dict):
        return reader.concept(resource["valueCodeableConcept"]).text
    names = ("valueString", "valueInteger")
    return str(next((resource[name] for name in names if name in resource), ""))


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
