"""Splicing changes what it should and not one byte more; decoding never breaks."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from property.fhir.generated import resources, write

from quanmin.base.problems import Malformed
from quanmin.fhir.json import decode, members, rewrite_references, splice

STAMP = "2026-11-22T08:30:00+08:00"
SPACES = st.sampled_from(("", " ", "\n", " \t\r\n "))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=6)
    | st.decimals(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=10,
)
METAS = st.dictionaries(
    st.sampled_from(("versionId", "lastUpdated", "profile", "tag", "é\n")), VALUES, max_size=4
)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _escaped(text: str) -> str:
    units = text.encode("utf-16-be").hex(" ", 2).split()
    return '"' + "".join(f"\\u{unit}" for unit in units) + '"'


@st.composite
def written(draw: st.DrawFn, value: Any) -> str:
    """`value` as JSON with white space anywhere it may be, and escapes or not."""
    if isinstance(value, dict):
        parts = []
        for key, item in value.items():
            name = draw(st.sampled_from((json.dumps(key), _escaped(key), _quoted(key))))
            inner = draw(written(item))
            parts.append(f"{draw(SPACES)}{name}{draw(SPACES)}:{draw(SPACES)}{inner}{draw(SPACES)}")
        return "{" + (",".join(parts) or draw(SPACES)) + "}"
    if isinstance(value, list):
        items = [f"{draw(SPACES)}{draw(written(item))}{draw(SPACES)}" for item in value]
        return "[" + (",".join(items) or draw(SPACES)) + "]"
    if isinstance(value, Decimal):
        return str(value)
    return json.dumps(value, ensure_ascii=draw(st.booleans()))


@st.composite
def bodies(draw: st.DrawFn) -> str:
    """A resource-like object with its members in any order, with or without id and meta."""
    content = draw(st.dictionaries(st.text(max_size=5), VALUES, max_size=4))
    content["resourceType"] = "Patient"
    if draw(st.booleans()):
        content["id"] = "sent"
    if draw(st.booleans()):
        content["meta"] = draw(METAS)
    keys = draw(st.permutations(list(content)))
    text = draw(written({key: content[key] for key in keys}))
    return f"{draw(SPACES)}{text}{draw(SPACES)}"


def exact(text: str | bytes) -> Any:
    """Decoded with every digit: a number is the text it was written as."""
    return json.loads(text, parse_float=str, parse_int=str)


@settings(max_examples=200, deadline=None)
@given(bodies())
def test_splicing_sets_what_the_server_owns_and_nothing_else(text: str) -> None:
    result = exact(splice(text.encode(), id="new", version=7, updated_text=STAMP))
    expected = exact(text)
    expected["id"] = "new"
    meta = {**expected.get("meta", {}), "versionId": "7", "lastUpdated": STAMP}
    expected["meta"] = meta
    assert result == expected


@settings(max_examples=100, deadline=None)
@given(bodies())
def test_the_bytes_of_other_members_are_left_as_they_were(text: str) -> None:
    raw = text.encode()
    before = {key: raw[start:end] for key, start, end in members(raw)}
    result = splice(raw, id="new", version=7, updated_text=STAMP)
    after = {key: result[start:end] for key, start, end in members(result)}
    kept = [key for key in before if key not in {"id", "meta"}]
    assert [key for key in after if key not in {"id", "meta"}] == kept
    for key in kept:
        assert after[key] == before[key]


@settings(max_examples=40, deadline=None)
@given(resources())
def test_splicing_twice_is_splicing_once_with_the_last_values(resource: dict[str, Any]) -> None:
    raw = write(resource)
    once = splice(raw, id="a", version=2, updated_text=STAMP)
    twice = splice(splice(raw, id="b", version=1, updated_text="x"), **_second())
    assert exact(twice) == exact(once)
    assert splice(once, **_second()) == once


def _second() -> dict[str, Any]:
    return {"id": "a", "version": 2, "updated_text": STAMP}


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40) | st.text(max_size=40).map(str.encode))
def test_no_bytes_break_decoding(raw: bytes) -> None:
    try:
        value = decode(raw)
    except Malformed:
        value = {}
    assert isinstance(value, dict)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=20), st.sampled_from((b"%b", b'{"reference":"%b"}', b'{"a":"urn:%b"}')))
def test_no_bytes_break_rewriting(raw: bytes, frame: bytes) -> None:
    sent = frame % raw
    is_malformed = False
    try:
        rewrite_references(sent, {"urn:x": "Patient/1", "http://a": "b"})
    except Malformed:
        is_malformed = True
    assert not (is_malformed and _is_json_object(sent))


def _is_json_object(raw: bytes) -> bool:
    try:
        return isinstance(json.loads(raw.decode()), dict)
    except ValueError:
        return False


@settings(max_examples=200, deadline=None)
@given(VALUES)
def test_decoding_keeps_every_digit(value: Any) -> None:
    raw = write({"value": value})
    assert exact(write(decode(raw))) == exact(raw)


@settings(max_examples=60, deadline=None)
@given(resource=resources(), is_pretty=st.booleans())
def test_rewriting_maps_every_reference_and_touches_nothing_else(
    resource: dict[str, Any], *, is_pretty: bool
) -> None:
    raw = write(resource, is_pretty=is_pretty)
    # References by id only: a URI that is rewritten may stand in other elements too.
    mapping = dict.fromkeys((r for r in _references(resource) if ":" not in r), "Patient/mapped")
    assert exact(rewrite_references(raw, mapping)) == _replaced(exact(raw), mapping)


def _references(value: Any) -> set[str]:
    if isinstance(value, dict):
        found = set().union(*map(_references, value.values())) if value else set()
        reference = value.get("reference")
        return found | ({reference} if isinstance(reference, str) else set())
    return set().union(*map(_references, value)) if isinstance(value, list) and value else set()


def _replaced(value: Any, mapping: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {
            key: mapping.get(item, item)
            if key == "reference" and isinstance(item, str)
            else _replaced(item, mapping)
            for key, item in value.items()
        }
    return [_replaced(item, mapping) for item in value] if isinstance(value, list) else value
