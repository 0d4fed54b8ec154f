"""Whether a record stands as it is told: not taken back, not only thought of, not over."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

from quanmin.web.labels import tell_code
from quanmin.web.reading import Reader


class _Codes(msgspec.Struct, frozen=True):
    uncounted: frozenset[str]
    marked: frozenset[str]
    past: frozenset[str]


class _File(msgspec.Struct, frozen=True):
    definition: _Codes


@cache
def _codes() -> _Codes:
    text = files("quanmin.definitions").joinpath("record_status.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(text), _File).definition


class Mark(msgspec.Struct, frozen=True):
    """What a line says of a record that does not simply stand: a warning of one that counts
    nowhere, and of another how things are, such as that a disease is over.
    """

    text: str
    is_warning: bool


def counts(record: dict[str, Any]) -> bool:
    """Whether a record is stated, and not taken back or only thought of; an allergy: and there
    still.
    """
    by = _codes()
    said = {code for code, _ in _said(record)}
    is_past = record.get("resourceType") == "AllergyIntolerance" and not said.isdisjoint(by.past)
    return said.isdisjoint(by.uncounted) and not is_past


def mark_of(record: dict[str, Any], reader: Reader) -> Mark | None:
    """What a line must say of a record that does not simply stand; None for one that does."""
    by = _codes()
    for codes in (by.uncounted, by.marked):
        for code, concept in _said(record):
            if code in codes:
                return Mark(_told(code, concept, reader), codes is by.uncounted)
    return None


def _told(code: str, concept: Any, reader: Reader) -> str:
    if isinstance(concept, dict):
        return reader.concept(concept).text
    label = tell_code("status", code, reader.language)
    return label.text if label else code


def _said(record: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Each code of its status, and what says it."""
    yield str(record.get("status") or ""), record.get("status")
    for name in ("verificationStatus", "clinicalStatus"):
        concept = record.get(name)
        codings = concept.get("coding") if isinstance(concept, dict) else None
        for one in codings if isinstance(codings, list) else ():
            if isinstance(one, dict):
                yield str(one.get("code") or ""), concept
