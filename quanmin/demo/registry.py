"""The standing records: institutions, places, staff, and a person's entry in an institution's
books.
"""

from __future__ import annotations

from typing import Any

from quanmin.demo.households import LAST_DAY, Household
from quanmin.demo.institutions import Institution, Staff
from quanmin.demo.names import ETHNIC_GROUPS, Name
from quanmin.demo.registrations import Registration
from quanmin.demo.sheet import FICTIONAL, Sheet, coded, coding
from quanmin.demo.tables import PLACES, SYSTEMS

_V3 = "http://terminology.hl7.org/CodeSystem"
_MARRIED = coded(f"{_V3}/v3-MaritalStatus", "M")
_SINGLE = coded(f"{_V3}/v3-MaritalStatus", "S")
_NATIONAL = coded(f"{_V3}/v2-0203", "NI")
_RECORD_NUMBER = coded(f"{_V3}/v2-0203", "MR")
_INSURANCE = {"display": f"{PLACES.name}医疗保障局"}
_MARRIAGE_AGE = 20


def organization_reference(institution: Institution) -> dict[str, str]:
    """A conditional reference to an institution, as its own sender may resolve it."""
    return {
        "reference": f"Organization?identifier={SYSTEMS.credit_code}|{institution.credit_code}",
        "display": institution.name,
    }


def practitioner_reference(staff: Staff) -> dict[str, str]:
    """A conditional reference to a doctor."""
    return {
        "reference": f"Practitioner?identifier={SYSTEMS.staff_number}|{staff.number}",
        "display": staff.name.text,
    }


def add_institution(
    sheet: Sheet, institution: Institution, parent: dict[str, str] | None
) -> dict[str, str]:
    """Adds an institution, its place and its staff; returns a reference to the organization."""
    kind = institution.kind
    resource: dict[str, Any] = {
        "resourceType": "Organization",
        "meta": FICTIONAL,
        "identifier": [{"system": SYSTEMS.credit_code, "value": institution.credit_code}],
        "active": True,
        "type": [coding(SYSTEMS.institution_kind, kind.code, kind.display)],
        "name": institution.name,
        "telecom": [{"system": "phone", "value": institution.phone, "use": "work"}],
        "address": [_address(institution.place, institution.division, "")],
    }
    if parent is not None:
        resource["partOf"] = parent
    organization = sheet.add(
        resource, unless=_criteria(SYSTEMS.credit_code, institution.credit_code)
    )
    sheet.add(
        {
            "resourceType": "Location",
            "meta": FICTIONAL,
            "identifier": [{"system": SYSTEMS.place_number, "value": institution.code}],
            "status": "active",
            "name": institution.name,
            "mode": "instance",
            "address": _address(institution.place, institution.division, ""),
            "managingOrganization": organization,
        }
    )
    for staff in institution.staff:
        _add_staff(sheet, staff, organization)
    return organization


def _add_staff(sheet: Sheet, staff: Staff, organization: dict[str, str]) -> None:
    identifier = [{"system": SYSTEMS.staff_number, "value": staff.number}]
    practitioner = sheet.add(
        {
            "resourceType": "Practitioner",
            "meta": FICTIONAL,
            "identifier": identifier,
            "active": True,
            "name": [_name(staff.name)],
            "gender": "male" if staff.male else "female",
        },
        unless=_criteria(SYSTEMS.staff_number, staff.number),
    )
    sheet.add(
        {
            "resourceType": "PractitionerRole",
            "meta": FICTIONAL,
            "identifier": identifier,
            "active": True,
            "practitioner": practitioner,
            "organization": organization,
            "code": [{"text": staff.title}],
            "specialty": [{"text": staff.department}],
        }
    )


def add_patient(sheet: Sheet, registration: Registration, household: Household) -> dict[str, str]:
    """Adds a person's entry in an institution's books, unless it is there; returns a reference
    to it.
    """
    human = registration.human
    identifiers = [
        {"type": _RECORD_NUMBER, "system": registration.system, "value": registration.number}
    ]
    if registration.identity is not None:
        identifiers.append(
            {
                "use": "official",
                "type": _NATIONAL,
                "system": SYSTEMS.identity_number,
                "value": registration.identity,
            }
        )
    county = household.township.county
    place = (county.prefecture_name, county.name, household.township.name)
    resource: dict[str, Any] = {
        "resourceType": "Patient",
        "meta": FICTIONAL,
        "extension": [
            {
                "url": SYSTEMS.ethnic_group,
                "valueCoding": {
                    "system": "urn:oid:2.16.156.10011.2.3.3.3",
                    "code": human.ethnic_group,
                    "display": ETHNIC_GROUPS[human.ethnic_group],
                },
            }
        ],
        "identifier": identifiers,
        "active": True,
        "name": [{"use": "official", **_name(registration.name)}],
        "telecom": [{"system": "phone", "value": registration.phone, "use": "mobile"}],
        "gender": "male" if registration.male else "female",
        "birthDate": registration.born.isoformat(),
        "address": [_address(place, household.township.code, household.address)],
        "managingOrganization": organization_reference(registration.place),
    }
    if human.died is not None and registration.place.kind.code == "centre":
        resource["deceasedDateTime"] = human.died.isoformat()
    if human.age(LAST_DAY) >= _MARRIAGE_AGE:
        resource["maritalStatus"] = _MARRIED if human.is_married else _SINGLE
    if human.twin is not None:
        resource["multipleBirthInteger"] = human.twin
    if human.mother is not None:
        mother = household.humans[human.mother]
        resource["contact"] = [
            {
                "relationship": [coded(f"{_V3}/v3-RoleCode", "MTH")],
                "name": _name(mother.name),
                "telecom": [{"system": "phone", "value": mother.phone}],
            }
        ]
    return sheet.add(resource, unless=_criteria(registration.system, registration.number))


def add_coverage(
    sheet: Sheet, registration: Registration, patient: dict[str, str], *, is_first: bool
) -> dict[str, str]:
    """Adds the basic medical insurance under which an institution bills for a person.

    Only when it may have been sent before (`is_first` false) is the node asked to look for it.
    """
    system = f"{registration.system}/coverage"
    criteria = _criteria(system, registration.number)
    return sheet.add(
        {
            "resourceType": "Coverage",
            "meta": FICTIONAL,
            "identifier": [{"system": system, "value": registration.number}],
            "status": "active",
            "type": {"text": "城乡居民基本医疗保险"},
            "beneficiary": patient,
            "payor": [_INSURANCE],
        },
        unless=None if is_first else criteria,
    )


def _criteria(system: str, value: str) -> str:
    return f"identifier={system}|{value}"


def _name(name: Name) -> dict[str, Any]:
    if not name.family:
        return {"text": name.text, **({"given": [name.given]} if name.given else {})}
    return {"text": name.text, "family": name.family, "given": [name.given]}


def _address(place: tuple[str, ...], division: str, line: str) -> dict[str, Any]:
    parts = dict(zip(("city", "district"), place, strict=False))
    text = "".join((PLACES.name, *place, line))
    lines = ["".join((*place[2:], line))] if place[2:] or line else []
    return {
        "extension": [{"url": SYSTEMS.division, "valueCode": division}],
        "use": "home" if line else "work",
        "text": text,
        **({"line": lines} if lines else {}),
        **parts,
        "state": PLACES.name,
        "country": "CN",
    }
