from __future__ import annotations

import json

import pytest

from quanmin.api.summary import subset, subset_asked_for
from quanmin.base.problems import Malformed

BODY = (
    b'{"resourceType":"Observation","id":"a","meta":{"versionId":"1","tag":[{"code":"x"}]},'
    b'"text":{"status":"generated","div":"<div/>"},"status":"final","_status":{"id":"s"},'
    b'"code":{"text":"c"},"valueQuantity":{"value":5.4000},"note":[{"text":"n"}]}'
)


def cut(summary: str | None, *elements: str) -> bytes:
    make = subset(summary, elements)
    assert make is not None
    return make("Observation", BODY)


def test_a_summary_keeps_the_elements_of_the_definition_and_every_digit() -> None:
    body = cut("true")
    assert b'"value":5.4000' in body
    left = json.loads(body)
    assert set(left) == {
        "resourceType", "id", "meta", "status", "_status", "code", "valueQuantity",
    }  # fmt: skip


def test_what_was_cut_is_tagged_beside_the_tags_it_had() -> None:
    tags = json.loads(cut("true"))["meta"]["tag"]
    assert [tag["code"] for tag in tags] == ["x", "SUBSETTED"]


def test_data_leaves_out_the_text_and_text_leaves_out_the_data() -> None:
    assert "text" not in json.loads(cut("data"))
    assert set(json.loads(cut("text"))) == {
        "resourceType", "id", "meta", "text", "status", "_status", "code",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["value", "valueQuantity", "Observation.value"])
def test_elements_keep_what_must_be_there(name: str) -> None:
    left = json.loads(cut(None, name))
    assert set(left) == {
        "resourceType", "id", "meta", "status", "_status", "code", "valueQuantity",
    }  # fmt: skip


def test_a_record_that_lost_nothing_is_sent_as_it_is() -> None:
    whole = b'{"resourceType":"Observation","id":"a","status":"final","code":{"text":"c"}}'
    make = subset("data", ())
    assert make is not None
    assert make("Observation", whole) is whole


def test_the_whole_needs_no_cutting() -> None:
    assert subset(None, ()) is None
    assert subset("false", ()) is None
    assert subset_asked_for([]) is None


@pytest.mark.parametrize("pair", [("_summary", "yes"), ("_summary", "count"), ("_elements", "a;b")])
def test_a_shape_that_is_none_is_refused(pair: tuple[str, str]) -> None:
    with pytest.raises(Malformed):
        subset_asked_for([pair])
