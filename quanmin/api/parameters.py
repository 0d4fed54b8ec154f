"""The parameters of an operation: from the address or from a Parameters resource, and back out."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from quanmin.base.problems import Malformed, NotSupported
from quanmin.fhir.json import decode

if TYPE_CHECKING:
    from quanmin.api.address import Pairs
    from quanmin.api.call import Call


def named(call: Call, known: Collection[str]) -> Pairs:
    """The parameters of an operation as names and values, those of the body after those of the
    address. Raises NotSupported for one that the operation does not take.
    """
    pairs = all_named(call)
    for name, _ in pairs:
        if name not in known:
            taken = ", ".join(sorted(known)) or "no parameters"
            raise NotSupported(f"the operation does not take {name[:64]!r}; it takes {taken}")
    return pairs


def all_named(call: Call) -> Pairs:
    """The parameters, known or not, those of the body after those of the address."""
    return [*call.pairs, *(_texts(call.body) if call.body else ())]


def given(body: bytes) -> dict[str, list[dict[str, Any]]]:
    """The parameters of a Parameters resource by name. Raises Malformed when it is none."""
    resource = decode(body)
    listed = resource.get("parameter", [])
    if resource.get("resourceType") != "Parameters" or not isinstance(listed, list):
        raise Malformed("an operation takes a Parameters resource with a list of parameter")
    found: dict[str, list[dict[str, Any]]] = {}
    for place, parameter in enumerate(listed):
        name = parameter.get("name") if isinstance(parameter, dict) else None
        if not isinstance(name, str):
            raise Malformed(f"Parameters.parameter[{place}] has no name")
        found.setdefault(name, []).append(parameter)
    return found


def _texts(body: bytes) -> Iterable[tuple[str, str]]:
    for name, parameters in given(body).items():
        for parameter in parameters:
            yield name, _text(name, parameter)


def _text(name: str, parameter: dict[str, Any]) -> str:
    for key, value in parameter.items():
        if not key.startswith("value"):
            continue
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, str | int | Decimal):
            return str(value)
        coded = _coded(value)
        if coded is not None:
            return coded
    raise Malformed(f"the parameter {name[:64]!r} has no simple value here")


def _coded(value: Any) -> str | None:
    """A Reference, Coding or one-coded CodeableConcept as search writes it."""
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("reference"), str):
        return str(value["reference"])
    codings = value.get("coding", [value])
    if not isinstance(codings, list) or not all(isinstance(one, dict) for one in codings):
        return None
    written = [f"{one['system']}|{one['code']}" for one in codings if {"system", "code"} <= {*one}]
    return ",".join(written) if written and len(written) == len(codings) else None


def single(pairs: Pairs, name: str) -> str | None:
    """The one value of a parameter that may be given once; None without."""
    values = [value for one, value in pairs if one == name]
    if len(values) > 1:
        raise Malformed(f"{name} is given more than once")
    return values[0] if values else None


def all_of(pairs: Pairs, name: str) -> list[str]:
    """The values of a parameter that may be repeated or hold a list joined by commas."""
    return [part for one, value in pairs if one == name for part in value.split(",") if part]


def parameters(*members: tuple[str, str, bytes]) -> bytes:
    """A Parameters resource of (name, element, finished bytes of its value)."""
    listed = b",".join(
        b'{"name":%s,"%s":%s}' % (msgspec.json.encode(name), element.encode("ascii"), value)
        for name, element, value in members
    )
    return b'{"resourceType":"Parameters","parameter":[%s]}' % listed
