"""Patches: a change to a record said as steps, applied to the bytes of the record.

JSON Patch is RFC 6902, with JSON Pointer (RFC 6901). What no step touches stays as it was to the
byte, so that no decimal loses a digit; what is around it loses white space at most.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Protocol

import msgspec

from quanmin.base.problems import Invalid, Issue, Malformed, TooLarge, UnsupportedMedia
from quanmin.fhir.json import decode_any, has_repeated_keys, malformed

JSON_PATCH = "application/json-patch+json"
XML_PATCH = "application/xml-patch+xml"

_ABSENT: Any = msgspec.UNSET
_PLAIN_PATH = re.compile(r"(?:/[A-Za-z0-9_-]{1,64}){0,32}")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_BAD_ESCAPE = re.compile(r"~(?![01])")
_NEEDED = {
    "add": ("value",),
    "remove": (),
    "replace": ("value",),
    "move": ("from",),
    "copy": ("from",),
    "test": ("value",),
}
# What a record is called and whose version it is follows from its address, never from a patch.
_FIXED = ("resourceType", "id")
# R4 http.html#patch: a narrative made from the data must not survive the data; one that says more
# than the data is for its author to change.
_NARRATED_ELSEWHERE = frozenset({"text", "meta", "id", "resourceType"})


class Patch(Protocol):
    """A change that can be made to whatever version holds when it comes to be made."""

    def apply(self, body: bytes, *, bytes_max: int) -> bytes:
        """The record after the change. Raises Invalid when it cannot be made to this record,
        TooLarge when it would come to more than `bytes_max`.
        """


class _Step(msgspec.Struct, frozen=True):
    position: int
    op: str
    path: str
    tokens: tuple[str, ...]
    source: tuple[str, ...] = ()
    value: msgspec.Raw = msgspec.Raw()

    def fault(self, text: str, code: str = "processing") -> Invalid:
        """What is wrong with the step, naming it; never a value."""
        # A path is shown only where it can be no more than names of elements and places in lists.
        named = f" at {self.path or 'the whole record'}" if _PLAIN_PATH.fullmatch(self.path) else ""
        text = f"operation {self.position} of the patch ({self.op}{named}): {text}"
        return Invalid(text, issues=(Issue("error", code, text),))


_DOCUMENT = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_TEXT = msgspec.json.Decoder(str)


def read_patch(content_type: str, raw: bytes, *, steps_max: int) -> Patch:
    """The patch that `raw` is, by its media type. UnsupportedMedia names those that are not served.

    See `read_json_patch`.
    """
    check_patch_kind(content_type.partition(";")[0].strip().lower())
    return read_json_patch(raw, steps_max=steps_max)


def check_patch_kind(kind: str) -> None:
    """Hold when this node reads patches of this media type (lower case, without parameters)."""
    if kind == JSON_PATCH:
        return
    if kind == XML_PATCH:
        raise UnsupportedMedia(f"XML Patch is not served, nor is XML: send {JSON_PATCH}")
    if kind in {"application/fhir+json", "application/json"}:
        raise UnsupportedMedia(
            f"FHIRPath Patch (a Parameters resource) is not served: send {JSON_PATCH}"
        )
    raise UnsupportedMedia(f"a patch is sent as {JSON_PATCH}")


def read_json_patch(raw: bytes, *, steps_max: int) -> Patch:
    """The JSON Patch document in `raw`. Raises Malformed when it is none, with the operation that
    is wrong, and TooLarge for more than `steps_max` operations.
    """
    try:
        sent = _DOCUMENT.decode(raw)
    except msgspec.ValidationError:
        raise Malformed("a JSON Patch is a list of operations, each of them an object") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(raw, error) from None
    if len(sent) > steps_max:
        raise TooLarge(
            f"the patch has {len(sent)} operations; this node takes {steps_max}: send the whole"
            " record with PUT"
        )
    if has_repeated_keys(raw):
        raise Malformed("an object in the patch has a key twice: keep one of them")
    return JsonPatch(tuple(_step(position, each) for position, each in enumerate(sent)))


def _step(position: int, sent: dict[str, msgspec.Raw]) -> _Step:
    where = f"operation {position} of the patch"
    op = _member(where, sent, "op")
    needed = _NEEDED.get(op)
    if needed is None:
        raise Malformed(f"{where}: op is one of {', '.join(_NEEDED)}")
    for name in needed:
        if name not in sent:
            raise Malformed(f"{where} ({op}) has no {name}")
    path = _member(where, sent, "path")
    step = _Step(position, op, path, _pointer(where, path))
    if "from" in needed:
        source = _pointer(where, _member(where, sent, "from"))
        return msgspec.structs.replace(step, source=source)
    return msgspec.structs.replace(step, value=sent["value"].copy()) if needed else step


def _member(where: str, sent: dict[str, msgspec.Raw], name: str) -> str:
    if name not in sent:
        raise Malformed(f"{where} has no {name}")
    try:
        return _TEXT.decode(sent[name])
    except msgspec.DecodeError:
        raise Malformed(f"{where}: {name} must be a string") from None


def _pointer(where: str, path: str) -> tuple[str, ...]:
    """The reference tokens of a JSON Pointer (RFC 6901 section 4)."""
    if not path:
        return ()
    if not path.startswith("/") or _BAD_ESCAPE.search(path):
        raise Malformed(
            f"{where}: a path is a JSON Pointer like /name/0/family, with ~1 for / and ~0 for ~"
        )
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in path[1:].split("/"))


class JsonPatch(msgspec.Struct, frozen=True):
    """A JSON Patch document, understood."""

    steps: tuple[_Step, ...]

    def apply(self, body: bytes, *, bytes_max: int) -> bytes:
        """See `Patch`. A step that cannot be made undoes all (RFC 6902 section 5)."""
        document = _Document(body, bytes_max)
        try:
            for step in self.steps:
                document.apply(step)
            return _accepted(body, document.write())
        except RecursionError:
            raise Malformed("the patched record would be nested too deeply") from None


class _Document:
    """A JSON document opened only where steps go: what is not opened is the bytes it came as."""

    def __init__(self, body: bytes, bytes_max: int) -> None:
        self._root: Any = msgspec.Raw(body)
        # Counts all that steps put in, move or look at: no patch can double a record over and over.
        self._bytes_left = bytes_max
        self._bytes_max = bytes_max

    def write(self) -> bytes:
        return bytes(self._root) if _is_raw(self._root) else msgspec.json.encode(self._root)

    def apply(self, step: _Step) -> None:
        match step.op:
            case "add":
                self._add(step, self._counted(step.value))
            case "remove":
                self._remove(step, step.tokens)
            case "replace":
                self._replace(step)
            case "move":
                if step.tokens[: len(step.source)] == step.source != step.tokens:
                    raise step.fault("a value cannot be moved into itself")
                taken = self._copied(self._find(step, step.source))
                self._remove(step, step.source)
                self._add(step, taken)
            case "copy":
                self._add(step, self._copied(self._find(step, step.source)))
            case _:
                there = decode_any(self._copied(self._find(step, step.tokens)))
                if not _is_equal(there, decode_any(step.value)):
                    raise step.fault("the value there is another: read the record again")

    def _counted(self, raw: msgspec.Raw) -> msgspec.Raw:
        self._bytes_left -= memoryview(raw).nbytes
        if self._bytes_left < 0:
            raise TooLarge(
                f"the patch comes to more than {self._bytes_max} bytes: send it in parts"
            )
        return raw

    def _copied(self, node: Any) -> msgspec.Raw:
        """A value as bytes of its own, which later steps do not change."""
        return self._counted(node if _is_raw(node) else msgspec.Raw(msgspec.json.encode(node)))

    def _root_opened(self) -> Any:
        self._root = _opened(self._root)
        return self._root

    def _find(self, step: _Step, tokens: tuple[str, ...]) -> Any:
        if not tokens:
            return self._root
        holder = self._holder(step, tokens)
        return holder[_existing(step, holder, tokens[-1])]

    def _holder(self, step: _Step, tokens: tuple[str, ...]) -> Any:
        """The object or list that the last part is looked for in, opened."""
        node = self._root_opened()
        for part in tokens[:-1]:
            key = _existing(step, node, part)
            node[key] = _opened(node[key])
            node = node[key]
        return node

    def _add(self, step: _Step, value: msgspec.Raw) -> None:
        if not step.tokens:
            self._root = value
            return
        holder, part = self._holder(step, step.tokens), step.tokens[-1]
        if isinstance(holder, dict):
            holder[part] = value
        elif isinstance(holder, list):
            place = len(holder) if part == "-" else _index(step, part)
            if place > len(holder):
                raise step.fault("the list is shorter than that")
            holder.insert(place, value)
        else:
            raise step.fault("there is no object or list there to add to")

    def _remove(self, step: _Step, tokens: tuple[str, ...]) -> None:
        if not tokens:
            raise step.fault("a record cannot be removed from itself: use DELETE")
        holder = self._holder(step, tokens)
        del holder[_existing(step, holder, tokens[-1])]

    def _replace(self, step: _Step) -> None:
        value = self._counted(step.value)
        if not step.tokens:
            self._root = value
            return
        holder = self._holder(step, step.tokens)
        holder[_existing(step, holder, step.tokens[-1])] = value


def _is_raw(node: Any) -> bool:
    return isinstance(node, msgspec.Raw)


def _opened(node: Any) -> Any:
    """The value with its first level decoded, where it is an object or a list."""
    if not _is_raw(node):
        return node
    text = bytes(node).lstrip()
    if text.startswith(b"{"):
        return _OBJECT.decode(text)
    return _ARRAY.decode(text) if text.startswith(b"[") else node


def _existing(step: _Step, holder: Any, part: str) -> Any:
    """The key or place of something that is there."""
    if isinstance(holder, dict) and part in holder:
        return part
    if isinstance(holder, list):
        place = _index(step, part)
        if place < len(holder):
            return place
    raise step.fault("there is nothing at this path", "not-found")


def _index(step: _Step, part: str) -> int:
    if not _INDEX.fullmatch(part):
        raise step.fault("a place in a list is a number from 0, without leading zeros")
    return int(part)


def _is_equal(one: Any, other: Any) -> bool:
    """Equal as JSON (RFC 6902 section 4.6): numbers by what they are worth, true is no number."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_is_equal(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_is_equal, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | Decimal) and isinstance(other, int | Decimal):
        return one == other
    return type(one) is type(other) and bool(one == other)


def _accepted(before: bytes, after: bytes) -> bytes:
    """The patched record: the same record as before, and no narrative that tells of what was."""
    was = _OBJECT.decode(before)
    try:
        now = _OBJECT.decode(after)
    except msgspec.ValidationError:
        raise Invalid("the patch leaves no record: a FHIR resource is a JSON object") from None
    for name in _FIXED:
        if _json_of(was, name) != _json_of(now, name):
            raise Invalid(f"a patch cannot change the {name} of a record")
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
    return _is_equal(_json_of(was, name), _json_of(now, name))
