"""Signatures in Provenance (R4 provenance.html, datatypes.html#Signature): one of the document, and
beside it the time stamp over that one.
"""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Any, Final

import msgspec

from quanmin.base.problems import Invalid, Sentence
from quanmin.fhir.json import decode

JOSE: Final = "application/jose"
STAMP: Final = "application/vnd.etsi.timestamp-token"
SYSTEM: Final = "urn:iso-astm:E1762-95:2013"
AUTHOR: Final = "1.2.840.10065.1.12.1.1"
_STAMPED: Final = "1.2.840.10065.1.12.1.16"


class Statement(msgspec.Struct, frozen=True):
    """What a Provenance says that a signature is for (codes) and when it was made."""

    kinds: frozenset[str]
    when: str


class Signed(msgspec.Struct, frozen=True):
    """What a Provenance says of one signature: of which version of which record, by whom."""

    target: str
    signature: bytes
    stamp: bytes | None
    who: dict[str, Any]
    statement: Statement


def write(
    target: str,
    kind: str,
    *,
    who: dict[str, Any],
    moment: datetime,
    signature: bytes,
    stamp: bytes,
) -> bytes:
    """The Provenance of one signature. `target` names a version: Type/id/_history/1."""
    when = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    shared = {"when": when, "who": who, "targetFormat": "application/fhir+json"}
    return msgspec.json.encode(
        {
            "resourceType": "Provenance",
            "target": [{"reference": target}],
            "recorded": when,
            "agent": [{"who": who}],
            "signature": [
                {
                    "type": [{"system": SYSTEM, "code": kind}],
                    **shared,
                    "sigFormat": JOSE,
                    "data": base64.b64encode(signature).decode(),
                },
                {
                    "type": [{"system": SYSTEM, "code": _STAMPED}],
                    **shared,
                    "targetFormat": JOSE,
                    "sigFormat": STAMP,
                    "data": base64.b64encode(stamp).decode(),
                },
            ],
        }
    )


def read(body: bytes) -> Signed:
    """The one signature of a Provenance. Raises Invalid where there is none, or more than one."""
    resource = decode(body)
    signatures = _listed(resource, "signature")
    documents = [each for each in signatures if each.get("sigFormat") == JOSE]
    stamps = [each for each in signatures if each.get("sigFormat") == STAMP]
    targets = _listed(resource, "target")
    if len(documents) != 1 or len(stamps) > 1 or len(targets) != 1:
        raise Invalid(
            Sentence(
                "a Provenance is verified that has one target, one signature of %(jose)s and at "
                "most one time stamp (%(stamp)s)",
                jose=JOSE,
                stamp=STAMP,
            )
        )
    who = documents[0].get("who")
    return Signed(
        target=str(targets[0].get("reference", "")),
        signature=_data(documents[0]),
        stamp=_data(stamps[0]) if stamps else None,
        who=who if isinstance(who, dict) else {},
        statement=Statement(
            frozenset(str(each.get("code", "")) for each in _listed(documents[0], "type")),
            str(documents[0].get("when", "")),
        ),
    )


def with_stamp(body: bytes, stamp: bytes) -> bytes:
    """The same Provenance with another stamp of its signature."""
    resource = decode(body)
    for each in _listed(resource, "signature"):
        if each.get("sigFormat") == STAMP:
            each["data"] = base64.b64encode(stamp).decode()
    return msgspec.json.encode(resource)


def with_id(body: bytes, id_: str) -> bytes:
    """The same Provenance under an id."""
    return msgspec.json.encode({**decode(body), "id": id_})


def is_signed(resource: dict[str, Any]) -> bool:
    """Whether a resource is a Provenance with a signature of this kind."""
    return resource.get("resourceType") == "Provenance" and any(
        each.get("sigFormat") == JOSE for each in _listed(resource, "signature")
    )


def identifiers(resource: dict[str, Any]) -> frozenset[str]:
    """The identifiers of whoever a record of the directory stands for, or a Reference names."""
    listed = resource.get("identifier", [])
    items = listed if isinstance(listed, list) else [listed]
    return frozenset(
        each["value"]
        for each in items
        if isinstance(each, dict) and isinstance(each.get("value"), str) and each["value"]
    )


def _listed(resource: dict[str, Any], element: str) -> list[dict[str, Any]]:
    found = resource.get(element)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _data(signature: dict[str, Any]) -> bytes:
    try:
        # R4 allows white space in base64.
        return base64.b64decode("".join(str(signature.get("data", "")).split()), validate=True)
    except (binascii.Error, ValueError):
        raise Invalid("Provenance.signature.data is not base64") from None
