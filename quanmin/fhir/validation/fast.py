"""The fast yes: one compiled decode that accepts only what is certainly right.

It may refuse what is right after all (primitives given by an extension only, unusual references);
the explanation then finds nothing wrong. It must never accept what the explanation refuses.
"""

from __future__ import annotations

import re

import msgspec

from quanmin.fhir.json import has_repeated_keys
from quanmin.fhir.table import load_table
from quanmin.fhir.validation.explanation import DEPTH_MAX
from quanmin.fhir.validation.references import targets_by_name
from quanmin.fhir.validation.shapes import Shaped, decoder_of

# The decoder has no opinion on these; each is rare enough to look closer when it turns up.
_CONTROL_ESCAPE = re.compile(rb"\\(?:u00[01]|[bf])")
# Possessive: JSON that is spaced has a long blank after every brace, and none need be tried twice.
_EMPTY = re.compile(rb'\{[ \t\r\n]*+(?:\}|"id"[ \t\r\n]*+:[ \t\r\n]*+"[^"]*+"[ \t\r\n]*+\})')
_FRAGMENT = re.compile(rb'"reference"[ \t\r\n]*:[ \t\r\n]*"#([^"\\]*)"')
_FRAGMENT_AT = re.compile(
    rb'"([A-Za-z]+)"[ \t\r\n]*:[ \t\r\n]*(?:\[[ \t\r\n]*)?\{[ \t\r\n]*'
    rb'"reference"[ \t\r\n]*:[ \t\r\n]*"#([^"\\]*)"'
)
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*+"')
_NO_BRACES = bytes(byte for byte in range(256) if byte not in b"{}")
_NO_MARKS = bytes(byte for byte in range(256) if byte not in b'{}"')
_ENCODER = msgspec.json.Encoder()
_HOLDERS = frozenset({"Bundle", "Parameters"})


_ASKING = frozenset({"batch", "transaction", "history"})
_ANSWERING = frozenset({"batch-response", "transaction-response", "history"})
_FIRST = {"document": "Composition", "message": "MessageHeader"}


class _PeekMeta(msgspec.Struct, frozen=True):
    versionId: str = ""  # noqa: N815 - FHIR's name


class _Peek(msgspec.Struct):
    resourceType: str  # noqa: N815 - FHIR's name
    meta: _PeekMeta = _PeekMeta()


_PEEK = msgspec.json.Decoder(_Peek)


def is_clean(type_name: str, raw: bytes, *, is_ruled: bool = True) -> bool:
    """True only if `raw` is right as a resource of this type; False says to look closer.

    Unless `is_ruled` is false it also surely keeps the invariants of R4.
    """
    if b"\\" in raw and _CONTROL_ESCAPE.search(raw):
        return False
    if _EMPTY.search(raw):
        return False
    if raw.count(b"{") > DEPTH_MAX and _is_deep(raw):
        return False
    return _decode(type_name, raw, is_ruled=is_ruled) is not None


def _is_deep(raw: bytes) -> bool:
    """Whether objects stand in objects more than DEPTH_MAX deep."""
    # Of a text without escapes or braces only its two quotes are left, which then cancel out.
    braces = raw.translate(None, _NO_MARKS).replace(b'""', b"")
    if b"\\" in raw or b'"' in braces:
        braces = _STRINGS.sub(b"", raw).translate(None, _NO_BRACES)
    for _ in range(DEPTH_MAX):
        if not braces:
            return False
        braces = braces.replace(b"{}", b"")
    return bool(braces)


def _decode(type_name: str, raw: bytes, *, is_ruled: bool) -> Shaped | None:
    try:
        shaped = decoder_of(type_name, is_ruled=is_ruled).decode(raw)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if _repeats_keys(raw, shaped):
        return None
    if type_name in _HOLDERS:
        is_right = _are_held_clean(shaped, raw, is_ruled=is_ruled)
    else:
        is_right = _are_contained_clean(shaped, raw, is_ruled=is_ruled)
    return shaped if is_right else None


def _repeats_keys(raw: bytes, shaped: Shaped) -> bool:
    """Whether a key stands twice in one object: then fewer keys come out again than went in."""
    # Colons are counted, since a search for one byte costs a tenth of one for two. Those in texts
    # come out as they went in, but for one that was written as an escape.
    if b"\\" in raw and b"\\u003" in raw:
        return has_repeated_keys(raw)
    return raw.count(b":") != _ENCODER.encode(shaped).count(b":")


def _are_contained_clean(shaped: Shaped, raw: bytes, *, is_ruled: bool) -> bool:
    contained = getattr(shaped, "contained", msgspec.UNSET)
    if contained is msgspec.UNSET:
        return b"#" not in raw or not _FRAGMENT.search(raw)
    types: dict[bytes, str] = {}
    for item in contained:
        inner = _decode_any(bytes(item), is_ruled=is_ruled)
        if inner is None or not _may_be_contained(inner):
            return False
        types[inner.id.encode()] = inner.__struct_config__.tag
    fragments = _FRAGMENT_AT.findall(raw)
    if b'"#"' in raw or len(types) != len(contained) or len(fragments) != _fragments(raw):
        return False
    if {id_ for _, id_ in fragments} != types.keys():
        return False
    holders = {shaped.__struct_config__.tag, *types.values()}
    return all(_may_point(name.decode(), types[id_], holders) for name, id_ in fragments)


def _may_be_contained(inner: Shaped) -> bool:
    contained = getattr(inner, "contained", msgspec.UNSET)
    is_bare = contained is msgspec.UNSET and inner.meta is msgspec.UNSET
    return is_bare and inner.id is not msgspec.UNSET


def _may_point(name: str, target: str, holders: set[str]) -> bool:
    """Whether references of a name, in whichever of these types they stand, may point at a type."""
    for holder in holders:
        targets = targets_by_name(holder).get(name)
        if targets is not None and target not in targets:
            return False
    return True


def _decode_any(raw: bytes, *, is_ruled: bool) -> Shaped | None:
    try:
        name = _PEEK.decode(raw).resourceType
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return _decode(name, raw, is_ruled=is_ruled) if name in load_table().types else None


def _are_held_clean(shaped: Shaped, raw: bytes, *, is_ruled: bool) -> bool:
    is_bundle = hasattr(shaped, "entry")
    held = _entries(shaped) if is_bundle else _parameters(shaped.parameter)
    bodies = [bytes(each) for each in held]
    # Fragments are right where the records within say so; a holder has none of its own.
    if b'"#' in raw and _fragments(raw) != sum(map(_fragments, bodies)):
        return False
    if is_bundle and is_ruled and not _keeps_rules(shaped):
        return False
    return all(_decode_any(body, is_ruled=is_ruled) is not None for body in bodies)


def _fragments(raw: bytes) -> int:
    return len(_FRAGMENT.findall(raw))


def _keeps_rules(bundle: Shaped) -> bool:
    """Whether a Bundle surely keeps the rules that are DECIDED_BY_HOLDER: bdl-3, 4, 7, 11, 12."""
    entries = [] if bundle.entry is msgspec.UNSET else bundle.entry
    is_asking, is_answering = bundle.type in _ASKING, bundle.type in _ANSWERING
    for entry in entries:
        if (entry.request is msgspec.UNSET) is is_asking:
            return False
        if (entry.response is msgspec.UNSET) is is_answering:
            return False
    try:
        peeks = [
            None if entry.resource is msgspec.UNSET else _PEEK.decode(entry.resource)
            for entry in entries
        ]
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError):
        return False
    first = _FIRST.get(bundle.type)
    if first is not None and not (peeks and peeks[0] and peeks[0].resourceType == first):
        return False
    names = [
        entry.fullUrl + (peek.meta.versionId if peek else "")
        for entry, peek in zip(entries, peeks, strict=True)
        if entry.fullUrl is not msgspec.UNSET
    ]
    return bundle.type == "history" or len(set(names)) == len(names)


def _entries(bundle: Shaped) -> list[msgspec.Raw]:
    if bundle.entry is msgspec.UNSET:
        return []
    held = [entry.resource for entry in bundle.entry]
    held += [
        entry.response.outcome for entry in bundle.entry if entry.response is not msgspec.UNSET
    ]
    return [raw for raw in held if raw is not msgspec.UNSET]


def _parameters(parameters: object) -> list[msgspec.Raw]:
    if not isinstance(parameters, list):
        return []
    held = [item.resource for item in parameters if item.resource is not msgspec.UNSET]
    for item in parameters:
        held += _parameters(item.part)
    return held
