"""What a SearchParameter defines, and what is found by it (R4 searchparameter.html)."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import pytest
from definitions import definition, nation, of_nation

from quanmin.base.problems import Invalid
from quanmin.fhir.custom import indexed_values
from quanmin.fhir.defining import Defined, read_definition
from quanmin.fhir.path import compile_path
from quanmin.fhir.table import load_table
from quanmin.fhir.values import SearchParameter, Text, Token

R4 = "http://hl7.org/fhir/SearchParameter"


def _no_other(_: str) -> None:
    """No custom parameter is there that a component could name."""


def read(body: dict[str, Any], generation: int = 7) -> Defined:
    return read_definition(body, generation, load_table(), _no_other)


def places(body: dict[str, Any]) -> list[str]:
    """Where the faults are of a definition that is refused."""
    with pytest.raises(Invalid) as refused:
        read(body)
    return [issue.expression for issue in refused.value.issues]


def test_an_expression_tells_what_types_it_finds() -> None:
    several = compile_path("Patient.name | Patient.birthDate")
    assert several.types("Patient") == frozenset({"HumanName", "date"})
    others = frozenset({"Practitioner"})
    of_two = compile_path("Patient.name | Practitioner.photo")
    assert of_two.types("Patient", others) == frozenset({"HumanName"})
    assert compile_path("children()").types("Patient") is None


def test_searchparameter_base_each_type_has_the_parameter() -> None:
    body = definition("said", "string", "Patient.name | Practitioner.name", "Patient")
    assert places(body) == ["SearchParameter.expression"]
    both = read({**body, "base": ["Practitioner", "Patient"]})
    assert both.types == ("Patient", "Practitioner")
    assert {param.name for param in both.params} == {"said~7"}
    assert {param.code for param in both.params} == {"said"}
    every = read(definition("origin", "uri", "meta.source", "Resource"))
    assert set(every.types) == set(load_table().types)


def test_searchparameter_expression_what_an_index_cannot_keep_is_refused() -> None:
    for expression in (
        "Patient.generalPractitioner.resolve().name",
        "Patient.birthDate <= today()",
        "Patient.gender.memberOf('http://example.org/vs')",
        "%unknown.name",
    ):
        assert places(definition("x", "token", expression)) == ["SearchParameter.expression"]


def test_searchparameter_component_each_fault_is_told_with_its_place() -> None:
    body = definition("pair", "composite", "Observation.component", "Observation")
    assert places(body) == ["SearchParameter.component"]
    parts = [
        {"definition": f"{R4}/Observation-component-code", "expression": "cod"},
        {"definition": "http://example.org/nobody", "expression": "value"},
    ]
    assert places({**body, "component": parts}) == [
        "SearchParameter.component[0].expression",
        "SearchParameter.component[1].definition",
    ]


def test_a_change_of_words_is_indexed_alike_and_a_change_of_expression_is_not() -> None:
    before = read(nation())
    assert read(nation(description="Other words", multipleOr=False)).is_indexed_like(before)
    other = {**nation(), "expression": "Patient.extension('http://example.org/x').value"}
    assert not read(other).is_indexed_like(before)
    assert not read({**nation(), "base": ["Patient", "Person"]}).is_indexed_like(before)


def test_what_is_found_is_as_the_kind_of_the_parameter_says() -> None:
    (param,) = read(nation()).params
    assert indexed_values([param], of_nation("01"), UTC) == [
        (param, [Token("urn:oid:nations", "01")])
    ]
    assert indexed_values([param], {"resourceType": "Patient"}, UTC) == []


def test_an_expression_that_cannot_be_evaluated_on_a_record_finds_nothing_there() -> None:
    one = definition("only", "string", "Patient.name.given.single()")
    (param,) = read(one).params
    given = {"resourceType": "Patient", "name": [{"given": ["Li"]}]}
    assert indexed_values([param], given, UTC) == [(param, [Text("Li")])]
    given["name"] = [{"given": ["Li", "Na"]}]
    failed: list[SearchParameter] = []
    assert indexed_values([param], given, UTC, failed=failed) == []
    assert failed == [param]
