"""The fast and the slow half of validation agree, and neither breaks, whatever is sent."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st
from property.fhir.generated import damaged, resources, write

from quanmin.base.problems import Malformed
from quanmin.fhir.table import load_table
from quanmin.fhir.validation import validate
from quanmin.fhir.validation.explanation import explain
from quanmin.fhir.validation.fast import is_clean

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=12,
)


def slow(name: str, raw: bytes, *, is_ruled: bool = True) -> list[str]:
    try:
        issues = explain(name, raw, at=name, may_search=False, is_ruled=is_ruled)
        return [issue.text for issue in issues]
    except Malformed as problem:
        return [problem.text]


@settings(max_examples=80, deadline=None)
@given(resources())
def test_a_resource_made_from_the_table_is_clean_both_ways(resource: dict[str, object]) -> None:
    raw, name = write(resource), str(resource["resourceType"])
    assert slow(name, raw, is_ruled=False) == []
    assert is_clean(name, raw, is_ruled=False)


@settings(max_examples=150, deadline=None)
@given(resource=damaged(), is_pretty=st.booleans())
def test_what_the_fast_half_accepts_the_slow_half_accepts(
    resource: dict[str, object], *, is_pretty: bool
) -> None:
    raw, name = write(resource, is_pretty=is_pretty), str(resource.get("resourceType"))
    if name in load_table().types and is_clean(name, raw, is_ruled=False):
        assert slow(name, raw, is_ruled=False) == []


@settings(max_examples=200, deadline=None)
@given(JSON, st.sampled_from(("Patient", "Bundle", "Parameters", "Observation")))
@example({"resourceType": "Patient", "contained": [{"resourceType": "Patient"}]}, "Patient")
@example({"resourceType": "Bundle", "entry": [{"resource": {"resourceType": 1}}]}, "Bundle")
def test_no_json_value_breaks_validation(value: object, name: str) -> None:
    wrapped = {"resourceType": name, "contained": [value], "extension": value, "name": [value]}
    for sent in (value, wrapped):
        raw = write(sent)
        try:
            issues = validate(name, raw)
        except Malformed:
            continue
        assert issues


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_no_bytes_break_validation(raw: bytes) -> None:
    assert slow("Patient", raw)
    assert not is_clean("Patient", raw)


@settings(max_examples=150, deadline=None)
@given(resource=damaged() | resources())
def test_the_fast_half_accepts_no_resource_that_breaks_an_invariant(
    resource: dict[str, object],
) -> None:
    raw, name = write(resource), str(resource.get("resourceType"))
    if name in load_table().types and is_clean(name, raw):
        assert slow(name, raw) == []
