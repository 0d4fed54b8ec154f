"""Questions made from what records hold: for each value of each parameter the ways to ask for
it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from quanmin.fhir.values import (
    Link,
    Number,
    Quantity,
    SearchParameter,
    Text,
    Token,
    Uri,
    Value,
    When,
)

PREFIXES = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")


def questions(param: SearchParameter, value: Value) -> Iterator[tuple[str, str]]:
    """(name, value) pairs of a query that ask for this value, or for what lies about it."""
    name = param.name
    match value:
        case Token(system, code):
            yield from _token(name, system, code)
        case Text(text):
            yield from _text(name, text)
        case When(low, high):
            for moment in (low, high):
                if moment is not None:
                    yield from _moment(name, moment)
        case Number(low, high):
            for number in (low, high):
                if number is not None:
                    yield from ((name, f"{prefix}{number}") for prefix in PREFIXES)
        case Quantity():
            yield from _quantity(name, value)
        case Link():
            yield from _link(name, value)
        case Uri(uri):
            yield name, _escaped(uri)


def _escaped(text: str) -> str:
    for mark in "\\,|$":
        text = text.replace(mark, f"\\{mark}")
    return text


def _token(name: str, system: str | None, code: str | None) -> Iterator[tuple[str, str]]:
    before = "" if system is None else _escaped(system)
    if code is not None:
        yield name, _escaped(code)
        yield name, f"{before}|{_escaped(code)}"
        yield name, f"|{_escaped(code)}"
        yield f"{name}:not", _escaped(code)
        yield name, f"nothing,{_escaped(code)}"
    if system is not None:
        yield name, f"{before}|"


def _text(name: str, text: str) -> Iterator[tuple[str, str]]:
    for part in {
        text,
        text[:3],
        text[-2:],
        text[1:5],
        text.rsplit(" ", maxsplit=1)[-1],
        text.upper(),
    }:
        if part.strip():
            yield name, _escaped(part)
            yield f"{name}:contains", _escaped(part)
            yield f"{name}:exact", _escaped(part)


def _moment(name: str, moment: int) -> Iterator[tuple[str, str]]:
    when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=moment)
    stamp = when.strftime("%Y-%m-%dT%H:%M:%SZ")
    for prefix in PREFIXES:
        for text in (stamp, stamp[:10], stamp[:7], stamp[:4]):
            yield name, f"{prefix}{text}"


def _quantity(name: str, value: Quantity) -> Iterator[tuple[str, str]]:
    system, code = value.system or "", _escaped(value.code or value.unit or "")
    for number in (value.low, value.high):
        if number is not None:
            for prefix in PREFIXES:
                yield name, f"{prefix}{number}"
                if code:
                    yield name, f"{prefix}{number}|{system}|{code}"
            if code:
                yield name, f"{number}||{code}"
            yield name, f"lt{number + Decimal(1)}"


def _link(name: str, value: Link) -> Iterator[tuple[str, str]]:
    if value.type is not None and value.id is not None:
        yield name, f"{value.type}/{value.id}"
        yield name, value.id
        yield f"{name}:{value.type}", value.id
    if value.url is not None:
        yield name, _escaped(value.url)
    if value.identifier is not None:
        identifier = value.identifier
        yield from _token(f"{name}:identifier", identifier.system, identifier.code)
