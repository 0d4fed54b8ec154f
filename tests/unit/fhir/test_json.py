"""Bytes in, bytes out: what decoding says of bad input, and the places rewriting reaches."""

from __future__ import annotations

from decimal import Decimal

import pytest

from quanmin.base.problems import Malformed
from quanmin.fhir.json import (
    Rewriting,
    decode,
    has_repeated_keys,
    rewrite_references,
    splice,
    without_member,
)


def spliced(raw: bytes) -> bytes:
    return splice(raw, id="n1", version=3, updated_text="2026-11-22T08:30:00Z")


def test_numbers_keep_their_digits() -> None:
    value = decode(b'{"a":1.10,"b":1e2,"c":-0.000,"d":12345678901234567890123}')
    assert [str(value[key]) for key in "abcd"] == ["1.10", "1E+2", "-0.000", str(value["d"])]
    assert value["d"] == 12345678901234567890123
    assert isinstance(value["a"], Decimal)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "ends too early at line 1, column 1"),
        (rb'{"a":"\ud8', "ends too early at line 1, column 11"),
        (rb'{"a":"\ud800', "ends too early at line 1, column 13"),
        (rb'{"a":"\\ud800', "ends too early at line 1, column 14"),
        (b'{"b":1,\n"a":"\\ud83d\\ude00 \\ud800"}', "half of a character at line 2, column 19"),
        (rb'{"a":"\ud800","b":"x"}', "half of a character at line 1, column 7"),
        (rb'{"a":"\udc00"}', "half of a character at line 1, column 7"),
        (rb'{"a":"\ud800\u0041"}', "half of a character at line 1, column 7"),
        (b'{"a" 1}', "expected ':' at line 1, column 6"),
        (b'{\n "a": "\xff"}', "not UTF-8 at line 2, column 8"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[1]", "must be a JSON object"),
        (b'{"a":01}', "invalid number at line 1, column 7"),
        ('{"全":"全\t"}'.encode(), "invalid character at line 1, column 8"),
        (b'{"a":1}x', "trailing characters at line 1"),
    ],
)
def test_what_is_not_json_is_refused_with_its_place(raw: bytes, said: str) -> None:
    with pytest.raises(Malformed, match=r"JSON|UTF-8|byte order") as refused:
        decode(raw)
    assert said in refused.value.text


def test_repeated_keys_are_noticed_at_any_depth() -> None:
    assert has_repeated_keys(b'{"a":[{"b":1,"c":2,"b":3}]}')
    assert not has_repeated_keys(b'{"a":[{"b":1},{"b":1}],"b":2}')


def test_id_and_meta_are_put_after_the_type() -> None:
    assert spliced(b'{"resourceType":"Basic","code":{}}') == (
        b'{"resourceType":"Basic","id":"n1",'
        b'"meta":{"versionId":"3","lastUpdated":"2026-11-22T08:30:00Z"},"code":{}}'
    )


def test_what_was_sent_as_id_and_meta_is_replaced_where_it_stands() -> None:
    raw = (
        b'{ "active" : true, "meta" : { "profile":["p"], "versionId":"9" },'
        b' "resourceType":"Patient", "id":"x" }'
    )
    assert spliced(raw) == (
        b'{ "active" : true, "meta" : {"versionId":"3","lastUpdated":"2026-11-22T08:30:00Z",'
        b'"profile":["p"]}, "resourceType":"Patient", "id":"n1" }'
    )


@pytest.mark.parametrize(
    "raw",
    [
        rb'{"resourceType":"Basic","\u0069d":"x","code":{"text":"id"}}',
        rb'{"resourceType":"Basic","id":"x","meta":{"\u0076ersionId":"9","tag":[]}}',
        rb'{"resourceType":"Basic","id":"x","code":{},"meta":{"\u0076ersionId":"9","tag":[]}}',
        rb'{"resourceType":"Basic","id":"x","code":{},"\u006deta":{"lastUpdated":"9"}}',
    ],
)
def test_names_written_with_escapes_are_the_same_names(raw: bytes) -> None:
    done = spliced(raw)
    assert not has_repeated_keys(done)
    assert decode(done)["id"] == "n1"
    assert decode(done)["meta"]["versionId"] == "3"


def test_ids_and_metas_of_inner_objects_are_left_alone() -> None:
    raw = b'{"resourceType":"Patient","contained":[{"id":"c","meta":{"versionId":"1"}}]}'
    assert spliced(raw).endswith(b',"contained":[{"id":"c","meta":{"versionId":"1"}}]}')


@pytest.mark.parametrize("raw", [b"[]", b"{}", b"1", b'{"id":"a"}', b'{"resourceType":'])
def test_only_a_resource_can_be_spliced(raw: bytes) -> None:
    with pytest.raises(Malformed):
        spliced(raw)


MAPPING = {
    "urn:uuid:1": "Patient/1",
    "http://a.example/Patient/2": "Patient/2",
    "Patient?identifier=a|b": "Patient/3",
}


def test_references_are_rewritten_wherever_they_stand() -> None:
    raw = (
        b'{"resourceType":"List","subject":{ "reference" :\n"urn:uuid:1"},"entry":[{"item":'
        b'{"reference":"http:\\/\\/a.example\\/Patient\\/2"}},{"item":{"reference":'
        b'"Patient?identifier=a|b"}},{"item":{"reference":"#urn:uuid:1"}}]}'
    )
    assert rewrite_references(raw, MAPPING) == (
        b'{"resourceType":"List","subject":{ "reference" :\n"Patient/1"},"entry":[{"item":'
        b'{"reference":"Patient/2"}},{"item":{"reference":"Patient/3"}},'
        b'{"item":{"reference":"#urn:uuid:1"}}]}'
    )


def test_references_whose_name_is_written_with_escapes_are_rewritten() -> None:
    raw = (
        b'{"resourceType":"List","subject":{"r\\u0065ference":"urn:uuid:1"},"entry":[{"item":'
        b'{"\\u0072eference" : "urn:u\\u0075id:1","display":"r\\u0065"}}]}'
    )
    assert rewrite_references(raw, MAPPING) == (
        b'{"resourceType":"List","subject":{"r\\u0065ference":"Patient/1"},"entry":[{"item":'
        b'{"\\u0072eference" : "Patient/1","display":"r\\u0065"}}]}'
    )


@pytest.mark.parametrize("text", ["x", "r\\u0065"])
def test_what_a_reference_has_become_is_not_looked_up_again(text: str) -> None:
    base = "https://hospital/fhir/"
    mapping = {"urn:uuid:1": "Patient/1", f"{base}Patient/1": "Patient/2", "urn:x": "Patient/3"}
    subject = f'{{"reference":"urn:uuid:1","display":"{text}"}}'
    raw = f'{{"resourceType":"Basic","subject":{subject}}}'.encode()
    rewritten = Rewriting(mapping).from_base(base).apply(raw)
    assert decode(rewritten)["subject"]["reference"] == "Patient/1"


def test_uris_and_links_in_narratives_are_rewritten_and_identifiers_are_not() -> None:
    raw = (
        b'{"resourceType":"Patient","text":{"status":"generated","div":"<a href=\\"urn:uuid:1\\">'
        b'urn:uuid:1</a><img src=\'urn:uuid:1\'/>"},"identifier":[{"system":"urn:uuid:1",'
        b'"value":"urn:uuid:1"}],"extension":[{"url":"x","valueUri":"urn:uuid:1"},'
        b'{"url":"x","valueString":"urn:uuid:1"}]}'
    )
    assert rewrite_references(raw, MAPPING) == (
        b'{"resourceType":"Patient","text":{"status":"generated","div":"<a href=\\"Patient/1\\">'
        b'urn:uuid:1</a><img src=\\"Patient/1\\"/>"},"identifier":[{"system":"Patient/1",'
        b'"value":"urn:uuid:1"}],"extension":[{"url":"x","valueUri":"Patient/1"},'
        b'{"url":"x","valueString":"urn:uuid:1"}]}'
    )


def test_links_inside_contained_resources_are_rewritten() -> None:
    raw = (
        b'{"resourceType":"Basic","contained":[{"resourceType":"Library","id":"l",'
        b'"relatedArtifact":[{"type":"depends-on","resource":"urn:uuid:1"}]}]}'
    )
    assert b'"resource":"Patient/1"' in rewrite_references(raw, MAPPING)


def test_nesting_too_deep_to_follow_is_malformed() -> None:
    deep = b'{"resourceType":"Basic","extension":' + b'[{"extension":' * 900
    with pytest.raises(Malformed):
        rewrite_references(deep + b'[{"valueUri":"urn:uuid:1"}]' + b"}]" * 900 + b"}", MAPPING)
    with pytest.raises(Malformed):
        has_repeated_keys(b"[" * 100_000)


def test_nothing_to_rewrite_gives_the_same_bytes() -> None:
    raw = b'{"resourceType":"Patient","name":[{"text":"\\u5f20 urn:uuid:2"}]}'
    assert Rewriting(MAPPING).apply(raw) == raw
    assert rewrite_references(raw, {}) is raw


def test_a_member_is_left_out_at_any_depth_and_nothing_else_changes() -> None:
    raw = b'{"a":[1.50,{"x":"y","b":"\\u00e9 \\"x\\""}],"x":{"x":1},"c":{"d":[ {} ]}}'
    left = b'{"a":[1.50,{"b":"\\u00e9 \\"x\\""}],"c":{"d":[ {} ]}}'
    assert without_member(raw, "x") == left
    assert without_member(b'{"a":{"\\u0078":2,"b":[]}}', "x") == b'{"a":{"b":[]}}'
    assert without_member(b'{"a":{"x":2},"b":1}', "x") == b'{"b":1}'
    for whole in (b'{"a": 1.0}', b'"x"', b"[ ]"):
        assert without_member(whole, "x") == whole
