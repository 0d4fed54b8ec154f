"""Pieces of what is loaded and imported, and the Bundles of requests that write them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec

NO_RESOURCE: Final = "not a JSON object with a resourceType"


class Piece(msgspec.Struct, frozen=True):
    """Something to write: a Bundle of requests, or resources with the line where each stood."""

    source: str
    kind: Literal["requests", "resources"]
    bodies: tuple[bytes, ...]
    lines: tuple[int, ...]


class Head(msgspec.Struct, rename="camel"):
    """What a resource says of itself. An `id` of any kind is read: what is wrong with one, the
    validation says best.
    """

    resource_type: str = ""
    id: Any = ""


class Request(msgspec.Struct, frozen=True):
    """A resource, its line, and how it is written: its id is kept when it has one."""

    line: int
    type: str
    body: bytes
    method: Literal["PUT", "POST"]
    url: str


_head = msgspec.json.Decoder(Head)


def head_of(body: bytes) -> Head | None:
    """None for what is no JSON object."""
    try:
        return _head.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def as_requests(bodies: Sequence[bytes], lines: Sequence[int]) -> tuple[list[Request], list[int]]:
    """The request that writes each resource, and the lines of what is none."""
    requests: list[Request] = []
    refused: list[int] = []
    for line, body in zip(lines, bodies, strict=True):
        head = head_of(body)
        if head is None or not head.resource_type.isalnum():
            refused.append(line)
        elif head.id and isinstance(head.id, str):
            url = f"{head.resource_type}/{head.id}"
            requests.append(Request(line, head.resource_type, body, "PUT", url))
        else:
            requests.append(Request(line, head.resource_type, body, "POST", head.resource_type))
    return requests, refused


def as_bundle(kind: Literal["transaction", "batch"], requests: Sequence[Request]) -> bytes:
    """A Bundle around the bodies as they are: no digit of a decimal passes through a parser."""
    parts = []
    for each in requests:
        asked = msgspec.json.encode({"method": each.method, "url": each.url})
        parts.append(b'{"resource":' + each.body + b',"request":' + asked + b"}")
    return b'{"resourceType":"Bundle","type":"%b","entry":[%b]}' % (kind.encode(), b",".join(parts))
