"""A patch does what the simplest reading of RFC 6902 does, and leaves every other byte alone."""

from __future__ import annotations

import json
from copy import deepcopy
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quanmin.base.problems import Invalid
from quanmin.fhir.json import decode
from quanmin.fhir.json_patch import read_json_patch

# Numbers as they are written, so that equal ones differ in their digits.
NUMBERS = st.sampled_from(("0", "1", "1.0", "5.400", "1e3", "-0.0", "12345678901234.56789000"))
LEAVES = NUMBERS | st.sampled_from(('"x"', '"\\u0041"', "null", "true"))
NAMES = st.sampled_from(("a", "b", "~/"))


def _object(members: dict[str, str]) -> str:
    return "{" + ",".join(f"{json.dumps(key)}: {value}" for key, value in members.items()) + "}"


VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: "[" + " , ".join(items) + "]")
        | st.dictionaries(NAMES, inner, max_size=3).map(_object)
    ),
    max_leaves=6,
)
PATHS = st.lists(NAMES | st.sampled_from(("0", "1", "-")), min_size=1, max_size=3).map(
    lambda parts: "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)
)
STEPS = st.fixed_dictionaries(
    {
        "op": st.sampled_from(("add", "remove", "replace", "move", "copy", "test")),
        "path": PATHS,
        "from": PATHS,
        "value": VALUES,
    }
)


class Number(str):
    """A number as it was written."""

    __slots__ = ()


def _read(text: str) -> Any:
    return json.loads(text, parse_int=Number, parse_float=Number)


def _worth(value: Any) -> Any:
    """A value so that equality is that of JSON."""
    if isinstance(value, dict):
        return {key: _worth(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_worth(one) for one in value]
    if isinstance(value, Number):
        return ("number", Decimal(value))
    return (type(value), value)


class Refused(Exception):  # noqa: N818 - what the oracle says where a patch cannot be made
    """It cannot be made."""


def _place(holder: Any, token: str, *, is_new: bool) -> Any:
    if isinstance(holder, dict):
        if not is_new and token not in holder:
            raise Refused
        return token
    if not isinstance(holder, list):
        raise Refused
    place = len(holder) if is_new and token == "-" else int(token) if token.isdecimal() else -1
    if place not in range(len(holder) + is_new):
        raise Refused
    return place


def _walk(document: Any, path: str, *, is_new: bool = False) -> tuple[Any, Any]:
    tokens = [part.replace("~1", "/").replace("~0", "~") for part in path[1:].split("/")]
    for token in tokens[:-1]:
        document = document[_place(document, token, is_new=False)]
    return document, _place(document, tokens[-1], is_new=is_new)


def _add(document: Any, path: str, value: Any) -> None:
    holder, place = _walk(document, path, is_new=True)
    if isinstance(holder, list):
        holder.insert(place, value)
    else:
        holder[place] = value


def _make(document: Any, step: dict[str, str]) -> None:
    op, path, value = step["op"], step["path"], _read(step["value"])
    if op in {"move", "copy"}:
        holder, place = _walk(document, step["from"])
        value = deepcopy(holder[place])
        if op == "move":
            if path.startswith(step["from"] + "/"):
                raise Refused
            del holder[place]
    if op in {"add", "move", "copy"}:
        _add(document, path, value)
        return
    holder, place = _walk(document, path)
    if op == "remove":
        del holder[place]
    elif op == "replace":
        holder[place] = value
    elif _worth(holder[place]) != _worth(value):
        raise Refused


@given(st.dictionaries(NAMES, VALUES, max_size=3), st.lists(STEPS, max_size=6))
def test_a_patch_does_what_the_simplest_reading_of_the_rfc_does_to_the_digit(
    members: dict[str, str], steps: list[dict[str, str]]
) -> None:
    body = _object({"resourceType": '"Basic"', "id": '"1"', **members})
    expected: Any = _read(body)
    try:
        for step in steps:
            _make(expected, step)
    except Refused:
        expected = None
    written = ",".join(
        f'{{"op":"{one["op"]}","path":{json.dumps(one["path"])},"from":{json.dumps(one["from"])},'
        f'"value":{one["value"]}}}'
        for one in steps
    )
    patch = read_json_patch(f"[{written}]".encode(), steps_max=10)
    if expected is None:
        with pytest.raises(Invalid):
            patch.apply(body.encode(), bytes_max=1 << 20)
        return
    assert _read(patch.apply(body.encode(), bytes_max=1 << 20).decode()) == expected


@given(VALUES, VALUES)
def test_what_no_step_touches_stays_to_the_byte(kept: str, other: str) -> None:
    body = _object({"resourceType": '"Basic"', "id": '"1"', "a": kept, "b": other}).encode()
    steps = b'[{"op":"replace","path":"/b","value":7.10}]'
    made = read_json_patch(steps, steps_max=1).apply(body, bytes_max=1 << 20)
    assert b'"a":' + kept.encode() + b"," in made
    assert made.endswith(b'"b":7.10}')
    assert decode(made)["b"] == Decimal("7.10")
