"""How a Patient resource is told on a page.

Name, sex, birth, identity number with its middle masked, place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from typing import Any

import msgspec

from quanmin.fhir.identity_number import rule
from quanmin.web.dates import tell_age
from quanmin.web.labels import Label, tell_code
from quanmin.web.reading import tell_address, tell_name
from quanmin.web.text import Language

_IDENTITY = re.compile(r"\d{17}[\dXx]|\d{15}")
_SHOWN_FIRST, _SHOWN_LAST = 3, 4


class Told(msgspec.Struct, frozen=True):
    """A patient in words.

    `gender` is the code of `sex`; `identity` is masked; `institution` is the (type, id, words) of
    who registered them.
    """

    name: str
    gender: str
    sex: Label | None
    birth: str
    age: str
    identity: str
    division: str
    deceased: bool
    institution: tuple[str, str] | None


def tell_patient(patient: dict[str, Any], language: Language, on: date) -> Told:
    """What a page says of a Patient on a day; parts that the record does not have are empty."""
    birth = str(patient.get("birthDate") or "")
    gender = str(patient.get("gender") or "")
    return Told(
        name=_name(patient),
        gender=gender,
        sex=tell_code("gender", gender, language),
        birth=birth,
        age="" if _has_died(patient) else tell_age(birth, on, language),
        identity=mask(identity_number(patient)),
        division=_division(patient),
        deceased=_has_died(patient),
        institution=_institution(patient),
    )


def identity_number(patient: dict[str, Any]) -> str:
    """The citizen identity number by its form (GB 11643: 18 characters, or 15 before 1999), of the
    system of such numbers by preference; empty when none.
    """
    identifiers = _dicts(patient.get("identifier"))
    named = [one for one in identifiers if one.get("system") in rule().number.systems]
    values = (str(one.get("value") or "").strip() for one in (*named, *identifiers))
    return next((value for value in values if _IDENTITY.fullmatch(value)), "")


def first_stated(patients: Iterable[dict[str, Any]], name: str) -> str:
    """An element of the first of these Patients that has it; empty when none has."""
    return next((str(one[name]) for one in patients if one.get(name)), "")


def mask(number: str) -> str:
    """`510***********0021`: enough to tell two people apart by eye, too little to copy."""
    if len(number) <= _SHOWN_FIRST + _SHOWN_LAST:
        return "*" * len(number)
    hidden = "*" * (len(number) - _SHOWN_FIRST - _SHOWN_LAST)
    return f"{number[:_SHOWN_FIRST]}{hidden}{number[-_SHOWN_LAST:]}"


def _name(patient: dict[str, Any]) -> str:
    names = _dicts(patient.get("name"))
    official = [name for name in names if name.get("use") == "official"]
    return next((told for told in map(tell_name, [*official, *names]) if told), "")


def _division(patient: dict[str, Any]) -> str:
    for address in _dicts(patient.get("address")):
        parts = [str(address.get(part) or "") for part in ("city", "district")]
        told = "".join(parts) or tell_address(address)
        if told:
            return told
    return ""


def _has_died(patient: dict[str, Any]) -> bool:
    return bool(patient.get("deceasedBoolean") or patient.get("deceasedDateTime"))


def _institution(patient: dict[str, Any]) -> tuple[str, str] | None:
    organization = patient.get("managingOrganization")
    if not isinstance(organization, dict):
        return None
    return str(organization.get("reference") or ""), str(organization.get("display") or "")


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
