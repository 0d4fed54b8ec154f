"""A record on its way to the next: opened where a patch goes, and accepted when it is done."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from quanmin.base.problems import Invalid, Sentence, TooLarge
from quanmin.fhir.json import decode_any

_ABSENT: Any = msgspec.UNSET
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
# What a record is called and whose version it is follows from its address, never from a patch.
_FIXED = ("resourceType", "id")
# R4 http.html#patch: a narrative made from the data must not survive the data; one that says more
# than the data is for its author to change.
_NARRATED_ELSEWHERE = frozenset({"text", "meta", "id", "resourceType"})


class OpenDocument:
    """A JSON document opened only where steps go: what is not opened is the bytes it came as."""

    def __init__(self, body: bytes, bytes_max: int) -> None:
        self.root: Any = msgspec.Raw(body)
        # Counts all that steps put in, move or look at: no patch can double a record over and over.
        self._bytes_left = bytes_max
        self._bytes_max = bytes_max

    def write(self) -> bytes:
        """The document as it is now."""
        return bytes(self.root) if is_raw(self.root) else msgspec.json.encode(self.root)

    def counted(self, raw: msgspec.Raw) -> msgspec.Raw:
        """The value, when the patch may still put in so much. Raises TooLarge."""
        self._bytes_left -= memoryview(raw).nbytes
        if self._bytes_left < 0:
            raise TooLarge(
                Sentence(
                    "the patch comes to more than %(bytes_max)s bytes: send it in parts",
                    bytes_max=self._bytes_max,
                )
            )
        return raw


def is_raw(node: Any) -> bool:
    """Whether a value of the document has not been opened."""
    return isinstance(node, msgspec.Raw)


def opened(node: Any) -> Any:
    """The value with its first level decoded, where it is an object or a list."""
    if not is_raw(node):
        return node
    text = bytes(node).lstrip()
    if text.startswith(b"{"):
        return _OBJECT.decode(text)
    return _ARRAY.decode(text) if text.startswith(b"[") else node


def is_equal(one: Any, other: Any) -> bool:
    """Equal as JSON (RFC 6902 section 4.6): numbers by what they are worth, true is no number."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(is_equal(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(is_equal, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | Decimal) and isinstance(other, int | Decimal):
        return one == other
    return type(one) is type(other) and bool(one == other)


def accepted(before: bytes, after: bytes) -> bytes:
    """The patched record: the same record as before, and no narrative that tells of what was."""
    was = _OBJECT.decode(before)
    try:
        now = _OBJECT.decode(after)
    except msgspec.ValidationError:
        raise Invalid("the patch leaves no record: a FHIR resource is a JSON object") from None
    for name in _FIXED:
        if _json_of(was, name) != _json_of(now, name):
            raise Invalid(Sentence("a patch cannot change the %(name)s of a record", name=name))
    if msgspec.json.format(before, indent=-1) == msgspec.json.format(after, indent=-1):
        return before  # but for white space, which is no change
    if "text" not in now or not _same(was, now, "text") or not _differs(was, now):
        return after
    narrative = decode_any(now["text"])
    status = narrative.get("status") if isinstance(narrative, dict) else None
    if status == "additional":
        raise Invalid(
            "the narrative of this record says more than its data: patch text in the same request,"
            " or remove it"
        )
    if status not in {"generated", "extensions"}:
        return after
    del now["text"]
    return msgspec.json.encode(now)


def _json_of(members: dict[str, msgspec.Raw], name: str) -> Any:
    return decode_any(members[name]) if name in members else _ABSENT


def _same(was: dict[str, msgspec.Raw], now: dict[str, msgspec.Raw], name: str) -> bool:
    return name in was and name in now and bytes(was[name]) == bytes(now[name])


def _differs(was: dict[str, msgspec.Raw], now: dict[str, msgspec.Raw]) -> bool:
    """Whether something that a narrative tells of is not as it was."""
    names = (was.keys() | now.keys()) - _NARRATED_ELSEWHERE
    return not all(_same(was, now, name) or _equal(was, now, name) for name in names)


def _equal(was: dict[str, msgspec.Raw], now: dict[str, msgspec.Raw], name: str) -> bool:
    return is_equal(_json_of(was, name), _json_of(now, name))
