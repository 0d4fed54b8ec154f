"""The second part of a front page: who somebody is and what is known of their health, by a
definition that names every field; each value with who says so, no field left out for want of one.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

from quanmin.fhir.json import decode
from quanmin.trust import Stored, Timeline
from quanmin.web.heads import Person
from quanmin.web.persons import identity_number, mask, tell_patient
from quanmin.web.reading import tell_address, tell_name
from quanmin.web.text import Text
from quanmin.web.validity import counts
from quanmin.web.visit import Visit


class Definition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A field as its definition has it."""

    code: str
    zh: str
    en: str
    element: str = ""
    type: str = "Patient"
    extension: tuple[str, ...] = ()
    observations: tuple[str, ...] = ()


class Group(msgspec.Struct, frozen=True):
    """Fields that the norm names together."""

    code: str
    zh: str
    en: str
    fields: tuple[Definition, ...]


class _Head(msgspec.Struct, frozen=True):
    shown_max: int


class _File(msgspec.Struct, frozen=True):
    definition: _Head
    group: tuple[Group, ...]


class Field(msgspec.Struct, frozen=True):
    """A field of somebody: what it is called, each value with the institutions that say so, how
    many values are not shown, and whether there may be others, in records that were not read.
    """

    code: str
    title: Text
    values: list[tuple[str, list[str]]]
    more: int
    is_partial: bool = False


class Known(msgspec.Struct, frozen=True):
    """What a front page is made of: the registrations, each with who made it, the records, and the
    types of which only the newest were read.
    """

    registrations: Sequence[tuple[dict[str, Any], str]]
    records: Sequence[dict[str, Any]]
    partial: frozenset[str] = frozenset()


def known_of(person: Person, parts: Sequence[Timeline], results: Sequence[Stored]) -> Known:
    """What is known of a person by these parts of the timeline, each of one type, and results."""
    registrations = [
        (decode(stored.body or b"{}"), one.institution)
        for one, stored in zip(person.registrations, parts[0].patients, strict=True)
    ]
    read = [*(one for part in parts for one in part.entries), *results]
    partial = frozenset(part.entries[0].type for part in parts if part.next and part.entries)
    return Known(registrations, [decode(stored.body or b"{}") for stored in read], partial)


@cache
def _file() -> _File:
    text = files("quanmin.definitions").joinpath("front_page.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(text), _File)


def groups() -> tuple[Group, ...]:
    """The groups of fields, in the order of the page."""
    return _file().group


def record_types() -> tuple[str, ...]:
    """The types of records that its fields read, beside the Patient."""
    return tuple(sorted({one.type for each in groups() for one in each.fields} - {"Patient"}))


def observation_codes() -> tuple[str, ...]:
    """The codes of the results that its fields read, each as `system|code`."""
    return tuple(code for each in groups() for one in each.fields for code in one.observations)


def tell_basics(visit: Visit, known: Known, *, is_own: bool) -> list[tuple[Text, list[Field]]]:
    """Every field of the definition, with what is known; whole numbers and addresses for the
    person alone.
    """
    most = _file().definition.shown_max
    told = []
    for group in groups():
        fields = []
        for one in group.fields:
            said: dict[str, list[str]] = {}
            for words, institution in _said(visit, one, known, is_own=is_own):
                if words:
                    by = said.setdefault(words, [])
                    by += [institution] if institution and institution not in by else []
            values = list(said.items())
            title = Text(zh=one.zh, en=one.en)
            is_partial = bool(values) and one.type in known.partial
            more = max(len(values) - most, 0)
            fields.append(Field(one.code, title, values[:most], more, is_partial))
        told.append((Text(zh=group.zh, en=group.en), fields))
    return told


def _said(
    visit: Visit, one: Definition, known: Known, *, is_own: bool
) -> Iterator[tuple[str, str]]:
    """What is said in a field, and by whom ("": not told)."""
    for patient, institution in known.registrations:
        if one.type == "Patient" and one.element:
            for words in _of_patient(visit, one.element, patient, is_own=is_own):
                yield words, institution
        for each in patient.get("extension") or ():
            if str(each.get("url", "")).rpartition("/")[2] in one.extension:
                yield _extended(visit, each), institution
    for record in known.records:
        if counts(record):
            for words in _of_record(visit, one, record):
                yield words, ""


def _of_patient(
    visit: Visit, element: str, patient: dict[str, Any], *, is_own: bool
) -> Iterable[str]:
    told = tell_patient(patient, visit.language, visit.today)
    shown: Callable[[str], str] = str if is_own else mask
    phones = [
        shown(str(one.get("value") or ""))
        for one in patient.get("telecom") or ()
        if one.get("system") == "phone"
    ]
    places = [
        tell_address(one) if is_own else told.division for one in patient.get("address") or ()
    ]
    return {
        "name": [told.name],
        "gender": [told.sex.text if told.sex else ""],
        "birthDate": [told.birth],
        "identifier": [shown(identity_number(patient))],
        "telecom": phones,
        "address": places,
        "contact": [_contact(visit, one, shown) for one in patient.get("contact") or ()],
        "maritalStatus": [visit.reader.concept(patient.get("maritalStatus") or {}).text],
    }[element]


def _contact(visit: Visit, contact: dict[str, Any], shown: Callable[[str], str]) -> str:
    whose = [visit.reader.concept(one).text for one in contact.get("relationship") or ()]
    phones = [shown(str(one.get("value") or "")) for one in contact.get("telecom") or ()]
    return " ".join(one for one in (tell_name(contact.get("name") or {}), *whose, *phones) if one)


def _extended(visit: Visit, extension: dict[str, Any]) -> str:
    for name, value in extension.items():
        if name.startswith("value"):
            return visit.reader.concept(value).text if isinstance(value, dict) else str(value)
    return ""


def _of_record(visit: Visit, one: Definition, record: dict[str, Any]) -> Iterator[str]:
    if record.get("resourceType") == "Observation":
        codings = (record.get("code") or {}).get("coding") or ()
        if any(f"{each.get('system')}|{each.get('code')}" in one.observations for each in codings):
            concept = record.get("valueCodeableConcept")
            yield visit.reader.concept(concept).text if concept else record.get("valueString", "")
    elif record.get("resourceType") != one.type:
        return
    elif one.element == "condition":
        whose = visit.reader.concept(record.get("relationship") or {}).text
        for each in record.get("condition") or ():
            yield f"{whose}{visit.colon}{visit.reader.concept(each.get('code') or {}).text}"
    else:
        yield visit.reader.concept(record.get(one.element) or {}).text
