"""JSON Patch by the sections of RFC 6902 and RFC 6901, and what a record adds to it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from quanmin.base.problems import Invalid, Malformed, Problem, TooLarge, UnsupportedMedia
from quanmin.fhir.json_patch import read_json_patch
from quanmin.fhir.patch import JSON_PATCH, read_patch


def patched(body: Any, *steps: dict[str, Any], bytes_max: int = 10_000) -> Any:
    raw = json.dumps({"resourceType": "Basic", "id": "1", **body}).encode()
    patch = read_json_patch(json.dumps(steps).encode(), steps_max=100)
    made = json.loads(patch.apply(raw, bytes_max=bytes_max))
    assert (made.pop("resourceType"), made.pop("id")) == ("Basic", "1")
    return made


def step(op: str, path: str, **more: Any) -> dict[str, Any]:
    return {"op": op, "path": path, **more}


MADE: list[tuple[str, Any, list[dict[str, Any]], Any]] = [
    ("A.1 add a member", {"a": 1}, [step("add", "/b", value=2)], {"a": 1, "b": 2}),
    ("A.2 add an element", {"a": [1, 3]}, [step("add", "/a/1", value=2)], {"a": [1, 2, 3]}),
    ("A.3 remove a member", {"a": 1, "b": 2}, [step("remove", "/b")], {"a": 1}),
    ("A.4 remove an element", {"a": [1, 2, 3]}, [step("remove", "/a/1")], {"a": [1, 3]}),
    ("A.5 replace a value", {"a": 1}, [step("replace", "/a", value=2)], {"a": 2}),
    (
        "A.6 move a value",
        {"a": {"x": 1}, "b": {}},
        [{"op": "move", "from": "/a/x", "path": "/b/y"}],
        {"a": {}, "b": {"y": 1}},
    ),
    (
        "A.7 move an element",
        {"a": [1, 2, 3, 4]},
        [{"op": "move", "from": "/a/1", "path": "/a/3"}],
        {"a": [1, 3, 4, 2]},
    ),
    (
        "A.8 test a value",
        {"a": "x", "b": [1, "y", {}]},
        [step("test", "/a", value="x"), step("test", "/b", value=[1, "y", {}])],
        {"a": "x", "b": [1, "y", {}]},
    ),
    (
        "A.10 add a nested object",
        {"a": 1},
        [step("add", "/b", value={"c": {}})],
        {"a": 1, "b": {"c": {}}},
    ),
    (
        "A.11 ignore unrecognised members",
        {"a": 1},
        [step("add", "/b", value=2, note="why")],
        {"a": 1, "b": 2},
    ),
    ("A.14 escapes", {"a/b": 1, "m~n": 2}, [step("test", "/a~1b", value=1)], {"a/b": 1, "m~n": 2}),
    ("4 of RFC 6901: ~01 is ~1", {"~1": 1}, [step("replace", "/~01", value=2)], {"~1": 2}),
    ("A.16 add an array at the end", {"a": [1]}, [step("add", "/a/-", value=[2])], {"a": [1, [2]]}),
    ("4.1 add over a member", {"a": 1}, [step("add", "/a", value=None)], {"a": None}),
    ("4.1 add at the length", {"a": [1]}, [step("add", "/a/1", value=2)], {"a": [1, 2]}),
    (
        "4.5 copy a value",
        {"a": [1]},
        [{"op": "copy", "from": "/a", "path": "/b"}, step("add", "/b/-", value=2)],
        {"a": [1], "b": [1, 2]},
    ),
    ("4.4 move to itself", {"a": 1}, [{"op": "move", "from": "/a", "path": "/a"}], {"a": 1}),
    (
        "4.6 numbers are equal by what they are worth",
        {"a": 1.0, "b": {"x": 1, "y": 2}},
        [step("test", "/a", value=1), step("test", "/b", value={"y": 2, "x": 1})],
        {"a": 1.0, "b": {"x": 1, "y": 2}},
    ),
    ("3 the empty patch", {"a": 1}, [], {"a": 1}),
]


@pytest.mark.parametrize(("name", "body", "steps", "expected"), MADE, ids=[row[0] for row in MADE])
def test_a_patch_is_made_as_its_section_says(
    name: str, body: Any, steps: list[dict[str, Any]], expected: Any
) -> None:
    assert patched(body, *steps) == expected, name


REFUSED: list[tuple[str, Any, list[dict[str, Any]]]] = [
    ("A.9 a test fails", {"a": "x"}, [step("test", "/a", value="y")]),
    ("A.12 add where nothing is", {"a": 1}, [step("add", "/b/c", value=1)]),
    ("A.15 a string is no number", {"a": 10}, [step("test", "/a", value="10")]),
    ("4.6 true is no number", {"a": True}, [step("test", "/a", value=1)]),
    ("4.6 null is not nothing", {}, [step("test", "/a", value=None)]),
    ("4.1 beyond the end of a list", {"a": [1]}, [step("add", "/a/2", value=1)]),
    ("4.2 remove what is not there", {"a": 1}, [step("remove", "/b")]),
    ("4.2 - is no element", {"a": [1]}, [step("remove", "/a/-")]),
    ("4.3 replace what is not there", {"a": 1}, [step("replace", "/b", value=1)]),
    ("4.4 move into itself", {"a": {}}, [{"op": "move", "from": "/a", "path": "/a/b"}]),
    ("4.5 copy what is not there", {"a": 1}, [{"op": "copy", "from": "/b", "path": "/c"}]),
    ("4 of RFC 6901: leading zeros", {"a": [1, 2]}, [step("test", "/a/01", value=2)]),
    ("4 of RFC 6901: no such member of a number", {"a": 1}, [step("test", "/a/0", value=1)]),
    ("the whole cannot be removed", {}, [step("remove", "")]),
]


@pytest.mark.parametrize(("name", "body", "steps"), REFUSED, ids=[row[0] for row in REFUSED])
def test_a_patch_that_cannot_be_made_names_its_operation_and_path(
    name: str, body: Any, steps: list[dict[str, Any]]
) -> None:
    with pytest.raises(Invalid) as caught:
        patched(body, *steps)
    assert "operation 0" in caught.value.text, name
    assert steps[0]["op"] in caught.value.text
    assert steps[0]["path"] in caught.value.text


def test_a_failing_step_names_its_place_and_no_value_nor_a_path_that_could_hold_one() -> None:
    with pytest.raises(Invalid) as caught:
        patched({"a": 1}, step("test", "/a", value=1), step("test", "/a", value="secret"))
    assert "operation 1" in caught.value.text
    assert "secret" not in caught.value.text
    with pytest.raises(Invalid) as caught:
        patched({}, step("remove", "/张伟"))
    assert "张伟" not in caught.value.text


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"[1]",
        b"[{}]",
        b'[{"op":"add"}]',
        b'[{"op":"add","path":"/a"}]',
        b'[{"op":"spam","path":"/a","value":1}]',
        b'[{"op":1,"path":"/a","value":1}]',
        b'[{"op":"add","path":"a","value":1}]',
        b'[{"op":"add","path":"/a~2","value":1}]',
        b'[{"op":"move","path":"/a"}]',
        b'[{"op":"add","path":"/a","value":1,"op":"remove"}]',  # A.13
        b'[{"op":"add","path":"/a","value":{"b":1,"b":2}}]',
        b'[{"op":"add","path":"/a","value":\xff}]',
    ],
)
def test_what_is_no_patch_document_is_refused_as_such(raw: bytes) -> None:
    with pytest.raises(Malformed):
        read_json_patch(raw, steps_max=10)


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("application/xml-patch+xml", "XML Patch"),
        ("text/plain", JSON_PATCH),
        ("", JSON_PATCH),
    ],
)
def test_other_kinds_of_patch_are_refused_by_name(kind: str, word: str) -> None:
    with pytest.raises(UnsupportedMedia, match=word.replace("+", r"\+")):
        read_patch(kind, b"[]", steps_max=10, items_max=10)


def test_a_patch_is_bounded_in_operations_and_bytes() -> None:
    with pytest.raises(TooLarge):
        read_json_patch(json.dumps([step("remove", "/a")] * 3).encode(), steps_max=2)
    doubling = [{"op": "copy", "from": "/a", "path": "/a/-"}] * 60
    with pytest.raises(TooLarge):
        patched({"a": ["x"]}, *doubling)


@pytest.mark.parametrize(
    "wrong",
    [
        step("replace", "/id", value="2"),
        step("remove", "/id"),
        step("replace", "/resourceType", value="Patient"),
        step("replace", "", value={"resourceType": "Patient", "id": "1"}),
        step("replace", "", value=[]),
    ],
)
def test_a_patch_never_changes_what_a_record_is(wrong: dict[str, Any]) -> None:
    with pytest.raises(Problem, match=r"resourceType|id|object"):
        patched({"a": 1}, wrong)


NARRATIVE = {"status": "generated", "div": "<div xmlns='http://www.w3.org/1999/xhtml'>1</div>"}


def test_http_patch_a_narrative_does_not_outlive_the_data_it_was_made_from() -> None:
    change = step("replace", "/a", value=2)
    assert patched({"a": 1, "text": NARRATIVE}, change) == {"a": 2}
    assert patched({"a": 1, "text": NARRATIVE | {"status": "extensions"}}, change) == {"a": 2}
    kept = {"a": 1, "text": NARRATIVE, "meta": {"tag": []}}
    assert patched(kept, step("replace", "/meta", value={}))["text"] == NARRATIVE
    assert patched(kept, step("replace", "/a", value=1.0))["text"] == NARRATIVE
    told = step("replace", "/text/status", value="additional")
    assert patched({"a": 1, "text": NARRATIVE}, change, told)["text"]["status"] == "additional"
    with pytest.raises(Invalid, match="narrative"):
        patched({"a": 1, "text": NARRATIVE | {"status": "additional"}}, change)
