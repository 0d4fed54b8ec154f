"""A transaction bundle while it is being written: entries, their temporary addresses, and the
mark of being done.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec
import orjson

from quanmin.demo.tables import SYSTEMS

FICTIONAL = {"tag": [{"system": SYSTEMS.tag, "code": "fictional", "display": "虚构数据"}]}
ENTRIES_MAX = 400
"""A bundle holds at most so many entries, the mark included."""


class DemoBundle(msgspec.Struct, frozen=True):
    """A transaction bundle ready to send, by whom; `key` is the id of the Basic record that
    marks it as stored.
    """

    key: str
    sender: str
    body: bytes
    resources: int


class Sheet:
    """Collects the entries of one bundle and gives each a temporary address."""

    def __init__(self, number: int) -> None:
        self._prefix = f"urn:uuid:{number & 0xFFFFFFFF:08x}-{number >> 32 & 0xFFFF:04x}-4000-8000-"
        self.entries: list[dict[str, Any]] = []

    def add(self, resource: dict[str, Any], *, unless: str | None = None) -> dict[str, str]:
        """Adds a resource to create and returns a reference to it; `unless` are criteria of
        one that may exist.
        """
        address = f"{self._prefix}{len(self.entries):012x}"
        request = {"method": "POST", "url": resource["resourceType"]}
        if unless is not None:
            request["ifNoneExist"] = unless
        self.entries.append({"fullUrl": address, "resource": resource, "request": request})
        return {"reference": address}

    def close(self, key: str, sender: str, made_on: date) -> DemoBundle:
        """The finished bundle.

        Its last entry creates the mark `Basic/{key}` and refuses to replace one: a bundle sent
        twice is refused whole, so nothing is ever doubled, whatever was interrupted.
        """
        mark = {
            "resourceType": "Basic",
            "id": key,
            "meta": FICTIONAL,
            "code": {"coding": [{"system": SYSTEMS.marker, "code": "demo-bundle"}]},
            "created": made_on.isoformat(),
        }
        request = {"method": "PUT", "url": f"Basic/{key}", "ifNoneMatch": "*"}
        entries = [*self.entries, {"resource": mark, "request": request}]
        body = orjson.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries})
        return DemoBundle(key, sender, body, len(entries))


def coding(system: str, code: str, display: str) -> dict[str, Any]:
    """A CodeableConcept of one coding, its display also as text."""
    return {"coding": [{"system": system, "code": code, "display": display}], "text": display}


def coded(system: str, code: str) -> dict[str, Any]:
    """A CodeableConcept of one bare code."""
    return {"coding": [{"system": system, "code": code}]}


def moment(day: date, minute: int) -> str:
    """An instant of the province's day, in the time of China."""
    return f"{day.isoformat()}T{minute // 60:02d}:{minute % 60:02d}:00+08:00"


def decimal(text: str) -> orjson.Fragment:
    """A JSON number with exactly these digits."""
    return orjson.Fragment(text)


def yuan(fen: int) -> dict[str, Any]:
    """An amount of money."""
    return {"value": decimal(f"{fen // 100}.{fen % 100:02d}"), "currency": "CNY"}
