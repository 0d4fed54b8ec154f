"""JSON in and out without losing anything: digits, order, escapes and white space stay as sent.

What a client sends is stored as its own bytes. The few values the server owns (id, version, last
update) and the references a transaction resolves are spliced into those bytes; nothing is decoded
and written again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from copy import copy
from decimal import Decimal
from typing import Any

import msgspec

from quanmin.base.problems import Malformed, Sentence
from quanmin.fhir.table import Element, load_table

Json = Any
"""A decoded JSON value: dict, list, str, int, Decimal, bool or None."""

_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_ENCODER = msgspec.json.Encoder(decimal_format="number")
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
_STRING = msgspec.json.Decoder(str)

_SPACE = rb"[ \t\r\n]*+"
_MEMBER = re.compile(_SPACE + rb'("(?:[^"\\]|\\.)*+")' + _SPACE + b":" + _SPACE)
_COMMA = re.compile(_SPACE + rb"([,}\]])")
_BLANK = re.compile(_SPACE)
_OFFSET = re.compile(r"\(byte (\d+)\)")
_REFERENCE = re.compile(rb'("reference"' + _SPACE + b":" + _SPACE + rb')("(?:[^"\\]|\\.)*+")')
# Where nothing is escaped; splitting at it costs half of what calling back for each does.
_PLAIN_REFERENCE = re.compile(rb'("reference"' + _SPACE + b":" + _SPACE + rb'")([^"]*+)')
_PLAIN = re.compile(rb'"([^"\\]*+)"')
_URN_REFERENCE = re.compile(rb'"reference"' + _SPACE + b":" + _SPACE + rb'"urn:(?:uuid|oid):')
# An escaped character; `half` when it is a surrogate without the other one.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
# Nobody writes a letter so, but JSON allows it, in a member's name too.
_ESCAPED_LETTER = re.compile(rb"\\u00[3-7]")
_CONDITIONAL = re.compile(
    rb'"reference"' + _SPACE + b":" + _SPACE + rb'("[A-Z][A-Za-z]+\?(?:[^"\\]|\\.)*")'
)
_SEARCH = re.compile(r"[A-Z][A-Za-z]+\?")
_LINKS = re.compile(r"""((?:href|src)\s*=\s*)(?:"([^"]*)"|'([^']*)')""")
# Stands for the type of Reference.reference, which is a string like any other.
_REFERENCED = "reference"
_LINKING_TYPES = frozenset({"uri", "url", "oid", "uuid", "canonical"})


def decode(raw: bytes) -> dict[str, Json]:
    """The JSON object in `raw`; integers as int, other numbers as Decimal with every digit.

    Raises Malformed with line and column when it is not UTF-8, not JSON, not an object or nested
    too deeply. Of a repeated key the last value counts here; validation refuses repeated keys.
    """
    value = decode_any(raw)
    if not isinstance(value, dict):
        raise Malformed("The body must be a JSON object: { ... }")
    return value


def decode_any(raw: bytes) -> Json:
    """Like `decode`, for any JSON value."""
    try:
        return _DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise malformed(raw, error) from None


def encode(value: Json) -> bytes:
    """What `decode` gives, as JSON again: every digit of a decimal is kept."""
    return _ENCODER.encode(value)


def malformed(raw: bytes, error: Exception) -> Malformed:
    """What is wrong with bytes the decoder refused, and where."""
    if isinstance(error, RecursionError):
        return Malformed("The JSON is nested too deeply: flatten it")
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as fault:
        return Malformed(
            Sentence(
                "The body is not UTF-8 %(place)s: send it as UTF-8", place=_place(raw, fault.start)
            )
        )
    if raw.startswith(b"\xef\xbb\xbf"):
        return Malformed("The body starts with a byte order mark: send JSON without one")
    lone = _lone_surrogate(raw)
    if lone is not None:
        return Malformed(
            Sentence(
                "The body is not JSON: an escape is half of a character %(place)s: write both"
                " halves, or the character itself",
                place=_place(raw, lone),
            )
        )
    text = str(error)
    found = _OFFSET.search(text)
    if found:
        what = text[: found.start()].removeprefix("JSON is malformed: ").strip()
        return Malformed(
            Sentence(
                "The body is not JSON: %(what)s %(place)s",
                what=what,
                place=_place(raw, int(found[1])),
            )
        )
    if "truncated" in text:
        return Malformed(
            Sentence(
                "The body is not JSON: it ends too early %(place)s", place=_place(raw, len(raw))
            )
        )
    return Malformed("The body is not JSON: a number or an escape in it cannot be read")


def _lone_surrogate(raw: bytes) -> int | None:
    """Where the first half of a pair of escapes stands alone; one at the end may have been cut."""
    for found in _ESCAPE.finditer(raw):
        if found["half"] and found.end() < len(raw):
            return found.start()
    return None


def _place(raw: bytes, offset: int) -> str:
    before = raw[:offset]
    line = before.count(b"\n") + 1
    column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
    return Sentence("at line %(line)s, column %(column)s", line=line, column=column)


def has_repeated_keys(raw: bytes) -> bool:
    """Whether any object in `raw` (which is JSON) has a key twice; exact, for the suspicious.

    Raises Malformed when it is nested too deeply to tell.
    """

    def check(pairs: list[tuple[str, Json]]) -> None:
        if len({key for key, _ in pairs}) != len(pairs):
            raise KeyError

    try:
        json.loads(raw, object_pairs_hook=check, parse_int=str, parse_float=str)
    except KeyError:
        return True
    except RecursionError as error:
        raise malformed(raw, error) from None
    return False


def members(raw: bytes) -> Iterator[tuple[str, int, int]]:
    """(key, start, end of its value) of each member of the object that `raw` is, in order.

    Raises Malformed when `raw` is not a JSON object or repeats a key.
    """
    values = _decoded_members(raw)
    at = raw.index(b"{") + 1
    for key, value in values.items():
        found = _MEMBER.match(raw, at)
        start = found.end() if found else at
        end = start + len(memoryview(value))
        after = _COMMA.match(raw, end)
        if found is None or after is None:
            break
        yield key, start, end
        at = after.end()
    if values and raw[at - 1 : at] != b"}":
        raise Malformed("The JSON has a key twice in one object: keep one of them")


def _decoded_members(raw: bytes) -> dict[str, msgspec.Raw]:
    try:
        return _MEMBERS.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(raw, error) from None


def without_member(raw: bytes | msgspec.Raw, name: str) -> bytes:
    """`raw`, any JSON value, without members of this name at any depth; all else as it was but for
    white space around what is left of the objects that had one. A member of which nothing is left
    goes too: FHIR knows no empty objects.
    """
    value = bytes(raw)
    if f'"{name}"'.encode() not in value and not _ESCAPED_LETTER.search(value):
        return value
    match value.lstrip()[:1]:
        case b"{":
            kept = {
                key: without_member(inner, name)
                for key, inner in _MEMBERS.decode(value).items()
                if key != name
            }
            written = (
                msgspec.json.encode(key) + b":" + left
                for key, left in kept.items()
                if left != b"{}"
            )
            return b"{" + b",".join(written) + b"}"
        case b"[":
            return (
                b"[" + b",".join(without_member(one, name) for one in _ITEMS.decode(value)) + b"]"
            )
    return value


def splice(raw: bytes, *, id: str, version: int, updated_text: str) -> bytes:
    """`raw` with `id`, `meta.versionId` and `meta.lastUpdated` set; every other byte as it was.

    The rest of a meta that was sent is kept. `updated_text` is an instant. Raises Malformed when
    `raw` is not a JSON object with a resourceType.
    """
    name = b'"' + id.encode() + b'"'
    stamp = f'{{"versionId":"{version}","lastUpdated":"{updated_text}"'.encode()
    head = _HEAD.match(raw)
    if head:
        spliced = _spliced(raw, head, name, stamp)
        if spliced:
            return spliced
    spans = _owned_spans(raw)
    if "resourceType" not in spans:
        raise Malformed("The body has no resourceType: it is not a FHIR resource")
    edits = []
    added = b""
    if "id" in spans:
        edits.append((*spans["id"], name))
    else:
        added = b',"id":' + name
    if "meta" in spans:
        start, end = spans["meta"]
        edits.append((start, end, _stamped(raw[start:end], stamp)))
    else:
        added += b',"meta":' + stamp + b"}"
    if added:
        end = spans["resourceType"][1]
        edits.append((end, end, added))
    return _edited(raw, edits)


_OWNED = frozenset({"resourceType", "id", "meta"})
_HEAD = re.compile(
    rb'(\{_"resourceType"_:_"[A-Za-z]++")(_,_"id"_:_"[A-Za-z0-9.-]++")?+'
    rb'(_,_"meta"_:_\{_(?=["]))?+'.replace(b"_", _SPACE)
)


class _Owned(msgspec.Struct):
    id: msgspec.Raw = msgspec.Raw()
    meta: msgspec.Raw = msgspec.Raw()


_SENT = msgspec.json.Decoder(_Owned)
# What the server stamps may be there already, or hide behind an escape.
_STAMPS = re.compile(rb'"(?:versionId|lastUpdated)"|\\u00')


def _spliced(raw: bytes, head: re.Match[bytes], name: bytes, stamp: bytes) -> bytes:
    """`raw` with the server's members where they mostly stand; empty where a walk must find them.

    A decoder that skips the other members knows what was sent at a fraction of a walk's cost.
    """
    try:
        sent = _SENT.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(raw, error) from None
    if head[2] is None and memoryview(sent.id).nbytes:
        return b""
    start = head[1] + b',"id":' + name
    meta = bytes(sent.meta)
    if not meta:
        return start + b',"meta":' + stamp + b"}" + raw[head.end() :]
    if not meta.startswith(b"{") or _STAMPS.search(meta):
        return b""
    if head[3]:
        return start + b',"meta":' + stamp + b"," + raw[head.end() :]
    kept, at = _MEMBER.match(meta, 1), raw.find(meta)
    if head[2] is None or kept is None or raw.find(meta, at + 1) > 0:
        return b""
    tail = meta[kept.end() : -1].rstrip()
    parts = (start, raw[head.end() : at], stamp, b",", kept[1], b":", tail, b"}")
    return b"".join((*parts, raw[at + len(meta) :]))


def _owned_spans(raw: bytes) -> dict[str, tuple[int, int]]:
    """Where the values of the members that the server owns are."""
    # Without white space or escapes the places follow from the lengths alone, at a third of the
    # cost of looking for them; if they do not add up to the whole, look.
    spans, at = {}, 1
    for key, value in _decoded_members(raw).items():
        start = at + len(key) + 3
        at = start + len(memoryview(value)) + 1
        if key in _OWNED:
            spans[key] = (start, at - 1)
    if at == len(raw):
        return spans
    return {key: (start, end) for key, start, end in members(raw) if key in _OWNED}


def _stamped(meta: bytes, stamp: bytes) -> bytes:
    """A meta object with the server's members first and the client's others after them."""
    kept = b"".join(
        b"," + msgspec.json.encode(key) + b":" + meta[start:end]
        for key, start, end in members(meta)
        if key not in {"versionId", "lastUpdated"}
    )
    return stamp + kept + b"}"


def _edited(raw: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    pieces: list[bytes] = []
    at = 0
    for start, end, new in sorted(edits):
        pieces += (raw[at:start], new)
        at = end
    pieces.append(raw[at:])
    return b"".join(pieces)


def rewrite_references(raw: bytes, mapping: Mapping[str, str]) -> bytes:
    """`Rewriting(mapping).apply(raw)`, for a single resource."""
    return Rewriting(mapping).apply(raw)


def unresolved_references(raw: bytes) -> list[str]:
    """Where References of `raw`, a resource of a transaction, still name an entry by a URN:
    FHIRPath locations. A Bundle is left alone: its references are among its own entries.
    """
    if not (_URN_REFERENCE.search(raw) or _ESCAPED_LETTER.search(raw)):
        return []
    resource = decode(raw)
    references = _references(resource, str(resource.get("resourceType")))
    return [at for at, text in references if text.startswith(("urn:uuid:", "urn:oid:"))]


def _references(value: Json, at: str) -> Iterator[tuple[str, str]]:
    """(FHIRPath location, text) of each literal Reference outside of Bundles."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _references(item, f"{at}[{index}]")
    elif isinstance(value, dict) and value.get("resourceType") != "Bundle":
        for name, item in value.items():
            if name == "reference" and isinstance(item, str):
                yield f"{at}.{name}", item
            else:
                yield from _references(item, f"{at}.{name}")


def conditional_references(raw: bytes) -> list[str]:
    """The References of `raw` that are a search (`Type?...`), some of them perhaps repeated. What
    is no JSON has none.
    """
    if b"?" not in raw and not _ESCAPED_LETTER.search(raw):
        return []
    try:
        if not _ESCAPED_LETTER.search(raw):
            return [_STRING.decode(found) for found in _CONDITIONAL.findall(raw)]
        texts = (text for _, text in _references(decode(raw), ""))
        return [text for text in texts if _SEARCH.match(text)]
    except (msgspec.DecodeError, UnicodeDecodeError, Malformed):
        return []


class FromBase(Mapping[str, str]):
    """A mapping as an entry sees it whose full URL begins with `base`: what is relative in it
    belongs to that base first (R4 bundle.html#references), and may be in the bundle too.
    """

    def __init__(self, mapping: Mapping[str, str], base: str) -> None:
        self._mapping = mapping
        self._base = base

    def __getitem__(self, reference: str) -> str:
        known = self._mapping.get(reference)
        return self._mapping[self._base + reference] if known is None else known

    def __iter__(self) -> Iterator[str]:
        return iter(self._mapping)

    def __len__(self) -> int:
        return len(self._mapping)


class Rewriting:
    """Replaces the links that a transaction has resolved in its entries (R4 http.html).

    Links are Reference.reference, elements of type uri, url, oid, uuid and canonical, and href and
    src in narratives. Other strings, such as the value of an Identifier, are left alone even when
    they are equal to a key of `mapping`.
    """

    def __init__(self, mapping: Mapping[str, str]) -> None:
        self._mapping = mapping
        self._base = b""
        # A search (`Type?...`) can stand in a Reference only, so it never asks for the second look.
        addresses = [key for key in mapping if "?" not in key]
        self._encoded = {
            key.encode(): msgspec.json.encode(new)[1:-1] for key, new in mapping.items()
        }
        # A body full of `urn:oid:` systems is no reason to look for `urn:uuid:` links in it.
        self._urns = {
            ":".join(key.split(":", 2)[:2]).encode() for key in addresses if key.startswith("urn:")
        }
        self._others = frozenset(key.encode() for key in addresses if not key.startswith("urn:"))

    def from_base(self, base: str) -> Rewriting:
        """The same for entries of this base (see FromBase), at no cost for each key."""
        other = copy(self)
        other._mapping = FromBase(self._mapping, base)  # noqa: SLF001 - its own kind
        other._base = base.encode()  # noqa: SLF001 - its own kind
        return other

    def apply(self, raw: bytes) -> bytes:
        """`raw`, a resource, with every such link replaced and every other byte as it was.

        Raises Malformed when it is not JSON or nested too deeply, where that is noticed.
        """
        try:
            # Never both looks at one Reference: what it has become may itself be a key.
            if _ESCAPED_LETTER.search(raw):
                return self._look_further(raw, with_references=True)
            rewritten = self._replaced(raw)
            return self._look_further(rewritten) if self._may_hold(rewritten) else rewritten
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise malformed(raw, error) from None

    def _look_further(self, raw: bytes, *, with_references: bool = False) -> bytes:
        resource = decode(raw)
        linking = _LINKING_TYPES | {_REFERENCED} if with_references else _LINKING_TYPES
        look = _Look(self._mapping, linking)
        changes = dict(_links(resource.get("resourceType"), resource, look, ()))
        return _changed(raw, changes) if changes else raw

    def _replaced(self, raw: bytes) -> bytes:
        """`raw` with its References replaced."""
        if b"\\" in raw:
            return _REFERENCE.sub(self._replace, raw)
        parts = _PLAIN_REFERENCE.split(raw)
        known, base = self._encoded, self._base
        if base:
            parts[2::3] = [known.get(text) or known.get(base + text, text) for text in parts[2::3]]
        else:
            parts[2::3] = [known.get(text, text) for text in parts[2::3]]
        return b"".join(parts)

    def _replace(self, found: re.Match[bytes]) -> bytes:
        new = self._mapping.get(_STRING.decode(found[2]))
        return found[0] if new is None else found[1] + msgspec.json.encode(new)

    def _may_hold(self, raw: bytes) -> bool:
        """Whether some string of `raw` may still hold a key; errs on the side of yes."""
        for urn in self._urns:
            if urn in raw:
                return True
        return bool(self._others) and (
            b"\\" in raw or not self._others.isdisjoint(_PLAIN.findall(raw))
        )


Path = tuple[str | int, ...]


class _Look(msgspec.Struct, frozen=True):
    """What is replaced, and in elements of which types."""

    mapping: Mapping[str, str]
    types: frozenset[str]


def _links(shape: object, value: Json, look: _Look, at: Path) -> Iterator[tuple[Path, str]]:
    """(path, new text) of each link of `value`, an object of this shape, that is to be replaced."""
    elements = load_table().shapes.get(shape, ()) if isinstance(shape, str) else ()
    if not isinstance(value, dict):
        return
    for element in elements:
        for name, code in json_names(element):
            if name in value:
                of_reference = shape == "Reference" and name == "reference"
                kind = _REFERENCED if of_reference else code
                yield from _element_links(kind, value[name], look, (*at, name))
            if "_" + name in value:
                yield from _element_links("Element", value["_" + name], look, (*at, "_" + name))


def _element_links(code: str, value: Json, look: _Look, at: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _element_links(code, item, look, (*at, index))
    elif isinstance(value, str):
        if code in look.types and value in look.mapping:
            yield at, look.mapping[value]
        elif code == "xhtml":
            div = _LINKS.sub(lambda found: _relinked(found, look.mapping), value)
            if div != value:
                yield at, div
    elif isinstance(value, dict):
        shape = value.get("resourceType") if code == "Resource" else code
        yield from _links(shape, value, look, at)


def _relinked(found: re.Match[str], mapping: Mapping[str, str]) -> str:
    target = found[2] if found[2] is not None else found[3]
    new = mapping.get(target)
    return found[0] if new is None else f'{found[1]}"{new}"'


def json_names(element: Element) -> tuple[tuple[str, str], ...]:
    """(JSON name, type) of each way to write an element: several for a choice."""
    if not element.is_choice:
        return ((element.name, element.types[0].code),)
    return tuple(
        (element.name + kind.code[0].upper() + kind.code[1:], kind.code) for kind in element.types
    )


def _changed(raw: bytes, changes: Mapping[Path, str]) -> bytes:
    """`raw` with the strings at these paths replaced, all other bytes as they were."""
    if () in changes:
        return msgspec.json.encode(changes[()])
    groups: dict[str | int, dict[Path, str]] = {}
    for path, new in changes.items():
        groups.setdefault(path[0], {})[path[1:]] = new
    spans: Iterator[tuple[str | int, int, int]]
    spans = items(raw) if raw.lstrip()[:1] == b"[" else iter(members(raw))
    edits = [
        (start, end, _changed(raw[start:end], groups[key]))
        for key, start, end in spans
        if key in groups
    ]
    return _edited(raw, edits)


def items(raw: bytes) -> Iterator[tuple[int, int, int]]:
    """(index, start, end) of each item of the array that `raw` is."""
    at = raw.index(b"[") + 1
    for index, value in enumerate(_ITEMS.decode(raw)):
        blank = _BLANK.match(raw, at)
        start = blank.end() if blank else at
        end = start + len(memoryview(value))
        yield index, start, end
        after = _COMMA.match(raw, end)
        at = after.end() if after else end
