"""JSON Patch (RFC 6902, with the JSON Pointer of RFC 6901), applied to the bytes of a record.

What no step touches stays as it was to the byte, so that no decimal loses a digit; what is around
it loses white space at most.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from quanmin.base.problems import Invalid, Issue, Malformed, Sentence, TooLarge
from quanmin.fhir.json import decode_any, has_repeated_keys, malformed
from quanmin.fhir.patched import OpenDocument, accepted, is_equal, is_raw, opened

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
        text = Sentence(
            "operation %(position)s of the patch (%(op)s%(named)s): %(text)s",
            position=self.position,
            op=self.op,
            named=named,
            text=text,
        )
        return Invalid(text, issues=(Issue("error", code, text),))


_DOCUMENT = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_TEXT = msgspec.json.Decoder(str)


def read_json_patch(raw: bytes, *, steps_max: int) -> JsonPatch:
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
            Sentence(
                "the patch has %(sent)s operations; this node takes %(steps_max)s: send the"
                " whole record with PUT",
                sent=len(sent),
                steps_max=steps_max,
            )
        )
    if has_repeated_keys(raw):
        raise Malformed("an object in the patch has a key twice: keep one of them")
    return JsonPatch(tuple(_step(position, each) for position, each in enumerate(sent)))


def _step(position: int, sent: dict[str, msgspec.Raw]) -> _Step:
    where = f"operation {position} of the patch"
    op = _member(where, sent, "op")
    needed = _NEEDED.get(op)
    if needed is None:
        raise Malformed(
            Sentence("%(where)s: op is one of %(known)s", where=where, known=", ".join(_NEEDED))
        )
    for name in needed:
        if name not in sent:
            raise Malformed(
                Sentence("%(where)s (%(op)s) has no %(name)s", where=where, op=op, name=name)
            )
    path = _member(where, sent, "path")
    step = _Step(position, op, path, _pointer(where, path))
    if "from" in needed:
        source = _pointer(where, _member(where, sent, "from"))
        return msgspec.structs.replace(step, source=source)
    return msgspec.structs.replace(step, value=sent["value"].copy()) if needed else step


def _member(where: str, sent: dict[str, msgspec.Raw], name: str) -> str:
    if name not in sent:
        raise Malformed(Sentence("%(where)s has no %(name)s", where=where, name=name))
    try:
        return _TEXT.decode(sent[name])
    except msgspec.DecodeError:
        raise Malformed(
            Sentence("%(where)s: %(name)s must be a string", where=where, name=name)
        ) from None


def _pointer(where: str, path: str) -> tuple[str, ...]:
    """The reference tokens of a JSON Pointer (RFC 6901 section 4)."""
    if not path:
        return ()
    if not path.startswith("/") or _BAD_ESCAPE.search(path):
        raise Malformed(
            Sentence(
                "%(where)s: a path is a JSON Pointer like /name/0/family, with ~1 for / and ~0"
                " for ~",
                where=where,
            )
        )
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in path[1:].split("/"))


class JsonPatch(msgspec.Struct, frozen=True):
    """A JSON Patch document, understood."""

    steps: tuple[_Step, ...]

    def apply(self, body: bytes, *, bytes_max: int) -> bytes:
        """See `patch.Patch`. A step that cannot be made undoes all (RFC 6902 section 5)."""
        document = _Document(body, bytes_max)
        try:
            for step in self.steps:
                document.apply(step)
            return accepted(body, document.write())
        except RecursionError:
            raise Malformed("the patched record would be nested too deeply") from None


class _Document(OpenDocument):
    """The document that the steps go through."""

    def apply(self, step: _Step) -> None:
        match step.op:
            case "add":
                self._add(step, self.counted(step.value))
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
                if not is_equal(there, decode_any(step.value)):
                    raise step.fault("the value there is another: read the record again")

    def _copied(self, node: Any) -> msgspec.Raw:
        """A value as bytes of its own, which later steps do not change."""
        return self.counted(node if is_raw(node) else msgspec.Raw(msgspec.json.encode(node)))

    def _find(self, step: _Step, tokens: tuple[str, ...]) -> Any:
        if not tokens:
            return self.root
        holder = self._holder(step, tokens)
        return holder[_existing(step, holder, tokens[-1])]

    def _holder(self, step: _Step, tokens: tuple[str, ...]) -> Any:
        """The object or list that the last part is looked for in, opened."""
        node = self.root = opened(self.root)
        for part in tokens[:-1]:
            key = _existing(step, node, part)
            node[key] = opened(node[key])
            node = node[key]
        return node

    def _add(self, step: _Step, value: msgspec.Raw) -> None:
        if not step.tokens:
            self.root = value
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
        value = self.counted(step.value)
        if not step.tokens:
            self.root = value
            return
        holder = self._holder(step, step.tokens)
        holder[_existing(step, holder, step.tokens[-1])] = value


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
