"""What the elements, types and codes of FHIR are called on a page, in both languages.

The words are data (`labels/*.toml`); what has no entry shows its own name, taken apart, marked as
English.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from quanmin.trust.record_access import purposes_of_use, roles
from quanmin.web.text import Language, Text

_FOLDER = Path(__file__).parent / "labels"
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
# The types that end the name of a choice element (`valueQuantity`); the longest must win, so order
# matters.
_CHOICES = [
    "CodeableConcept",
    "SampledData",
    "Identifier",
    "Annotation",
    "Reference",
    "Attachment",
    "Quantity",
    "DateTime",
    "Duration",
    "UnsignedInt",
    "PositiveInt",
    "Integer",
    "Decimal",
    "Boolean",
    "Address",
    "Instant",
    "HumanName",
    "Period",
    "String",
    "Timing",
    "Coding",
    "Range",
    "Ratio",
    "Money",
    "Time",
    "Date",
    "Code",
    "Age",
    "Uri",
    "Url",
    "Canonical",
    "Markdown",
    "Id",
]


class Label(msgspec.Struct, frozen=True):
    """A word to show and the language it is in."""

    text: str
    language: Language


@cache
def _table(name: str) -> dict[str, Any]:
    return tomllib.loads((_FOLDER / f"{name}.toml").read_text(encoding="utf-8"))


def taken_apart(name: str) -> str:
    """`medicationCodeableConcept` as `Medication codeable concept`."""
    words = _HUMP.sub(" ", name).replace("-", " ").split()
    told = " ".join(word if word.isupper() else word.lower() for word in words)
    return told[:1].upper() + told[1:]


def tell_type(type_: str, language: Language) -> Label:
    """The name of a resource type."""
    return _label(_table("types")["types"].get(type_), type_, language)


def tell_purpose(code: str, language: Language) -> str:
    """A purpose of use in words."""
    return purposes_of_use().get(code, {}).get(language, code)


def tell_role(code: str, language: Language) -> str:
    """A role in words."""
    return roles().get(code, {}).get(language, code)


def tell_element(name: str, language: Language) -> Label:
    """The name of an element; a choice element is found by the part before its type."""
    elements = _table("elements")["elements"]
    known = name if name in elements else before_choice(name)
    found = elements.get(known)
    told = {"zh": found, "en": taken_apart(known)} if found else None
    return _label(told, known, language)


def tell_code(group: str, code: str, language: Language) -> Label | None:
    """The word for a code of an element (`gender`) or code system (the end of its address)."""
    codes = _table("codes")["codes"]
    found = codes.get(group, {}).get(code)
    return _label(found, code, language) if found else None


def print_unit(unit: str, language: Language) -> str:
    """A unit or currency as it is printed: a bare code of UCUM or ISO 4217 by its sign, any other
    as it was written.
    """
    known = _table("codes")["units"].get(unit, unit)
    return str(known[language] if isinstance(known, dict) else known)


def before_choice(name: str) -> str:
    """`value` for `valueQuantity`; a name that is no choice comes back whole."""
    for ending in _CHOICES:
        if name.endswith(ending) and len(name) > len(ending):
            return name.removesuffix(ending)
    return name


def as_text(type_: str) -> Text:
    """The name of a resource type in both languages."""
    return Text(zh=tell_type(type_, "zh").text, en=tell_type(type_, "en").text)


def _label(found: dict[str, str] | None, name: str, language: Language) -> Label:
    if found is None:
        return Label(taken_apart(name), "en")
    return Label(found[language], language)
