"""A Questionnaire that cannot be carried out is refused with everything that is wrong with it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from questionnaires import (
    CORE,
    SDC,
    UCUM,
    calculated,
    extension,
    form,
    item,
    options,
    path,
    questionnaire,
    when,
)
from shared import members

from quanmin.base.problems import Invalid, Issue
from quanmin.fhir.json import decode
from quanmin.workflow.forms import compile_form

UNITS = f"{CORE}questionnaire-unitValueSet"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ((item("a"), item("a")), "linkId of its own"),
        ((item("a", "question"),), "type question are not carried out"),
        ((item("a", "group"),), "a group has items"),
        ((item("a", "choice"),), "answerOption or answerValueSet"),
        ((item("a", enableWhen=[when("b", answerBoolean=True)]),), "names the question b"),
        ((item("a", enableWhen=[when("b", "like", answerBoolean=True)]), item("b")), "operator"),
        (
            (
                item("a", enableWhen=[when("b", "exists", answerBoolean=True)]),
                item("b", enableWhen=[when("a", "exists", answerBoolean=True)]),
            ),
            "wait for themselves",
        ),
        ((item("a", "integer", calculated("1 +")),), "cannot be read"),
        ((item("a", "integer", calculated("1 + 1")),), "is readOnly"),
        ((item("a", "string", extension(f"{SDC}answerExpression", **path("1"))),), "not carried"),
        ((item("a", modifierExtension=[{"url": "urn:x"}]),), "modifierExtension"),
        ((item("a", "display", required=True),), "que-6"),
        ((item("a/b"),), "names a field"),
        ((item("a~b"),), "names a field"),
        ((item("a", answerValueSet="http://example.org/set"),), "que-5"),
        ((item("a", "choice", answerValueSet="#none"),), "contains no ValueSet #none"),
        ((item("a", "quantity", extension(UNITS, valueCanonical="urn:u")),), "one by one"),
    ],
)
def test_what_is_wrong_with_a_form_is_told(asked: tuple[Any, ...], said: str) -> None:
    with pytest.raises(Invalid) as caught:
        form(*asked)
    assert any(said in issue.text for issue in caught.value.issues)


def test_all_faults_are_told_at_once_with_their_places() -> None:
    with pytest.raises(Invalid) as caught:
        form(item("a", "choice"), item("b", "question"))
    places = {issue.expression for issue in caught.value.issues}
    assert places == {"Questionnaire.item[0]", "Questionnaire.item[1].type"}


def test_codes_that_a_contained_value_set_names_are_the_options_of_the_form() -> None:
    named = {"code": "kg", "display": "kg", "designation": [{"language": "zh", "value": "千克"}]}
    include = [{"system": UCUM, "concept": [named, {"code": "g"}]}]
    units = {"resourceType": "ValueSet", "id": "units", "compose": {"include": include}}
    composed = {"resourceType": "ValueSet", "id": "all", "compose": {"include": [{"system": UCUM}]}}
    made = form(
        item("a", "choice", answerValueSet="#units"),
        item("b", "quantity", extension(UNITS, valueCanonical="#units")),
        item("c", "choice", answerValueSet="#all"),
        contained=[units, composed],
    )
    asked = made.by_link
    assert [one.code for one in asked["a"].options] == [f"{UCUM}|kg", f"{UCUM}|g"]
    assert asked["a"].options[0].words.told("zh") == "千克"
    assert asked["b"].units == asked["a"].options
    assert (asked["a"].is_coded, asked["c"].is_coded) == (False, True)
    assert made.contained("#all") == composed


def test_a_template_that_is_not_there_is_told() -> None:
    reference = {"url": "template", "valueReference": {"reference": "#none"}}
    broken = {"url": f"{SDC}templateExtract", "extension": [reference]}
    with pytest.raises(Invalid, match="cannot be used") as caught:
        form(item("a"), extension=[broken])
    assert "none has this id" in caught.value.issues[0].text


def test_words_are_told_in_the_languages_of_the_form() -> None:
    translation = {
        "url": "http://hl7.org/fhir/StructureDefinition/translation",
        "extension": [
            {"url": "lang", "valueCode": "en"},
            {"url": "content", "valueString": "Pressure"},
        ],
    }
    asked = form({**item("a", text="血压"), "_text": {"extension": [translation]}})
    words = asked.by_link["a"].words
    assert (words.told("zh"), words.told("en")) == ("血压", "Pressure")


def test_no_form_is_deeper_than_the_limit() -> None:
    one: Any = item("leaf")
    for depth in range(20):
        one = item(f"g{depth}", "group", item=[one])
    with pytest.raises(Invalid):
        compile_form(questionnaire(one))


def issues_of(resource: Any) -> tuple[Issue, ...]:
    try:
        compile_form(resource)
    except Invalid as problem:
        return problem.issues
    return ()


def test_the_questionnaires_of_r4_compile_or_are_refused_for_what_they_ask() -> None:
    whole = [decode(raw) for _, raw in members("hl7.fhir.r4.examples-4.0.1.tar.xz")
             if b'"Questionnaire"' in raw]  # fmt: skip
    asked = [one for one in whole if one.get("resourceType") == "Questionnaire"]
    issues = [issues_of(resource) for resource in asked]
    assert sum(not found for found in issues) >= 4
    for found in issues:
        assert all(issue.text and issue.expression for issue in found)
        assert not any("cannot be read" in issue.text for issue in found)


def test_options_have_codes_that_stand_for_them() -> None:
    asked = form(item("a", "choice", answerOption=[*options("x"), {"valueInteger": 3}]))
    assert [one.code for one in asked.by_link["a"].options] == ["urn:test|x", "3"]
    assert json.dumps(asked.source)
