"""A form opens, closes, calculates and refuses as its Questionnaire says (R4, SDC)."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Any

import pytest
from questionnaires import (
    CORE,
    SDC,
    answers_of,
    around,
    calculated,
    extension,
    form,
    item,
    options,
    path,
    rule,
    unit,
    variable,
    when,
)

from quanmin.base.problems import Invalid
from quanmin.workflow.forms import Filling, Form, fill, open_response, words_of
from quanmin.workflow.forms.checking import faults

YES, NO = options("yes", "no")
SMOKER = (
    item("smokes", "choice", answerOption=[YES, NO]),
    item("how-many", "integer", enableWhen=[when("smokes", answerCoding=YES["valueCoding"])]),
)


def filled(asked: Form, **sent: str | list[str]) -> Filling:
    named = {key.replace("__", "/").replace("_", "-"): value for key, value in sent.items()}
    texts = {key: [value] if isinstance(value, str) else value for key, value in named.items()}
    return fill(asked, around(), texts)


def bound(name: str, **value: Any) -> dict[str, Any]:
    return extension(f"{CORE}{name}", **value)


def wrong(filling: Filling) -> list[tuple[str, str, str]]:
    return [(one.place, one.code, one.limit) for one in faults(filling)]


# ---- what is open (R4 Questionnaire.item.enableWhen) ---------------------------------------------


def test_a_closed_question_holds_no_answer() -> None:
    asked = form(*SMOKER)
    open_ = filled(asked, smokes="urn:test|yes", how_many="20").response()
    assert answers_of(open_)["how-many"] == [20]
    closed = filled(asked, smokes="urn:test|no", how_many="20").response()
    assert set(answers_of(closed)) == {"smokes"}


def test_what_waits_for_a_closed_question_is_closed_too() -> None:
    asked = form(
        item("a", "boolean"),
        item("b", "boolean", enableWhen=[when("a", answerBoolean=True)]),
        item("c", enableWhen=[when("b", answerBoolean=True)]),
    )
    both = filled(asked, a="true", b="true", c="x").response()
    assert set(answers_of(both)) == {"a", "b", "c"}
    assert set(answers_of(filled(asked, a="false", b="true", c="x").response())) == {"a"}


def test_what_waits_for_later_questions_opens_one_after_the_other() -> None:
    names = "abcdef"
    asked = form(
        *[
            item(name, "boolean", enableWhen=[when(later, answerBoolean=True)])
            for name, later in itertools.pairwise(names)
        ],
        item(names[-1], "boolean"),
    )
    assert set(answers_of(filled(asked, **dict.fromkeys(names, "true")).response())) == {*names}
    assert not answers_of(filled(asked, **dict.fromkeys(names[:-1], "true")).response())


@pytest.mark.parametrize(
    ("operator", "answer", "value", "is_open"),
    [
        ("exists", {"answerBoolean": True}, "5", True),
        ("exists", {"answerBoolean": True}, "", False),
        ("exists", {"answerBoolean": False}, "", True),
        ("=", {"answerInteger": 5}, "5", True),
        ("!=", {"answerInteger": 5}, "5", False),
        ("!=", {"answerInteger": 5}, "6", True),
        ("!=", {"answerInteger": 5}, "", False),
        (">", {"answerInteger": 5}, "5", False),
        (">", {"answerInteger": 5}, "6", True),
        (">=", {"answerInteger": 5}, "5", True),
        ("<", {"answerInteger": 5}, "5", False),
        ("<=", {"answerInteger": 5}, "5", True),
    ],
)
def test_each_operator_compares_as_r4_says(
    operator: str, answer: dict[str, Any], value: str, *, is_open: bool
) -> None:
    asked = form(item("n", "integer"), item("q", enableWhen=[when("n", operator, **answer)]))
    filling = filled(asked, n=value, q="x")
    assert ("q" in answers_of(filling.response())) is is_open


@pytest.mark.parametrize(("behavior", "is_open"), [("any", True), ("all", False)])
def test_several_conditions_are_joined_as_the_form_says(behavior: str, *, is_open: bool) -> None:
    conditions = [when("a", answerBoolean=True), when("b", answerBoolean=True)]
    asked = form(
        item("a", "boolean"),
        item("b", "boolean"),
        item("q", enableWhen=conditions, enableBehavior=behavior),
    )
    filling = filled(asked, a="true", b="false", q="x")
    assert ("q" in answers_of(filling.response())) is is_open


def test_a_quantity_is_compared_in_the_unit_of_the_condition() -> None:
    limit = {"value": Decimal(1), "system": "http://unitsofmeasure.org", "code": "m"}
    asked = form(
        item("height", "quantity", unit("cm")),
        item("tall", enableWhen=[when("height", ">", answerQuantity=limit)]),
    )
    assert "tall" in answers_of(filled(asked, height="101", tall="x").response())
    assert "tall" not in answers_of(filled(asked, height="100", tall="x").response())


def test_a_condition_asks_within_its_own_occurrence_of_a_group() -> None:
    inner = [
        item("reacted", "boolean"),
        item("how", enableWhen=[when("reacted", answerBoolean=True)]),
    ]
    asked = form(item("dose", "group", repeats=True, item=inner))
    sent = {"dose.0/reacted": ["false"], "dose.0/how": ["a"],
            "dose.1/reacted": ["true"], "dose.1/how": ["b"]}  # fmt: skip
    response = fill(asked, around(), sent).response()
    assert answers_of(response)["how"] == ["b"]
    assert len(response["item"]) == 2


def test_an_expression_opens_as_well() -> None:
    opened = extension(
        f"{SDC}enableWhenExpression", **path("%resource.item.where(linkId='n').answer.value > 3")
    )
    asked = form(item("n", "integer"), item("q", "string", opened))
    assert "q" in answers_of(filled(asked, n="4", q="x").response())
    assert "q" not in answers_of(filled(asked, n="3", q="x").response())


# ---- what is calculated --------------------------------------------------------------------------

BODY = (
    item("weight", "decimal"),
    item("height", "decimal"),
    item(
        "bmi",
        "decimal",
        calculated("(%weight / (%height / 100).power(2)).round(1)"),
        readOnly=True,
    ),
    item("grade", "string", calculated("iif(%bmi >= 28, 'obese', 'other')"), readOnly=True),
)
BODY_VARIABLES = [
    variable(name, f"%resource.item.where(linkId='{name}').answer.value")
    for name in ("weight", "height", "bmi")
]


def test_what_is_calculated_follows_its_answers_through_other_calculations() -> None:
    asked = form(*BODY, extension=BODY_VARIABLES)
    answers = answers_of(filled(asked, weight="81", height="170").response())
    assert (answers["bmi"], answers["grade"]) == ([Decimal("28.0")], ["obese"])
    answers = answers_of(filled(asked, weight="80", height="170").response())
    assert (answers["bmi"], answers["grade"]) == ([Decimal("27.7")], ["other"])


def test_what_is_sent_for_a_calculated_field_counts_for_nothing() -> None:
    asked = form(*BODY, extension=BODY_VARIABLES)
    answers = answers_of(filled(asked, weight="81", height="170", bmi="1").response())
    assert answers["bmi"] == [Decimal("28.0")]


def test_variables_of_a_group_are_of_its_occurrence() -> None:
    inner = [
        item("n", "integer"),
        item("double", "integer", calculated("%own * 2"), readOnly=True),
    ]
    group = item("g", "group", variable("own", "item.where(linkId='n').answer.value"),
                 repeats=True, item=inner)  # fmt: skip
    response = fill(form(group), around(), {"g.0/n": ["2"], "g.1/n": ["5"]}).response()
    assert answers_of(response)["double"] == [4, 10]


def test_calculations_that_wait_for_each_other_without_end_are_refused() -> None:
    step = "%resource.item.where(linkId='{}').answer.value + 1"
    begun: Any = {"readOnly": True, "initial": [{"valueInteger": 1}]}
    asked = form(
        item("a", "integer", calculated(step.format("b")), **begun),
        item("b", "integer", calculated(step.format("a")), **begun),
    )
    with pytest.raises(Invalid, match="do not come to an end"):
        open_response(asked, around())


# ---- what is wrong -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "value", "expected"),
    [
        (item("q", required=True), "", ("needed", "")),
        (item("q", "integer"), "many", ("unreadable", "")),
        (item("q", "integer"), "1.5", ("unreadable", "")),
        (item("q", "date"), "2026-02-30", ("unreadable", "")),
        (item("q", "boolean"), "perhaps", ("unreadable", "")),
        (item("q", "choice", answerOption=options("a")), "urn:test|b", ("unreadable", "")),
        (item("q", "integer", bound("minValue", valueInteger=3)), "2", ("too-low", "3")),
        (item("q", "integer", bound("maxValue", valueInteger=3)), "4", ("too-high", "3")),
        (item("q", "date", bound("maxValue", valueDate="2026-01-31")), "2026-02-01",
         ("too-high", "2026-01-31")),
        (item("q", maxLength=3), "abcd", ("too-long", "3")),
        (item("q", "decimal", bound("maxDecimalPlaces", valueInteger=1)), "1.25",
         ("too-precise", "1")),
        (item("q", "string", bound("regex", valueString="[A-Z]{2}\\d")), "AB12",
         ("wrong-form", "")),
        (item("q", "integer", rule("k-1", "answer.value != 4", "Not four")), "4", ("rule", "k-1")),
    ],
)  # fmt: skip
def test_an_answer_beyond_its_bounds_is_told_with_its_field_and_its_bound(
    asked: Any, value: str, expected: tuple[str, str]
) -> None:
    assert wrong(filled(form(asked), q=value)) == [("q", *expected)]


@pytest.mark.parametrize(
    ("asked", "value"),
    [
        (item("q", "integer", bound("minValue", valueInteger=3)), "3"),
        (item("q", "integer", bound("maxValue", valueInteger=3)), "3"),
        (item("q", maxLength=3), "abc"),
        (item("q", maxLength=3), "三个字"),
        (item("q", "decimal", bound("maxDecimalPlaces", valueInteger=1)), "1.20"),
        (item("q", "decimal"), "１．５"),
        (item("q", "string", bound("regex", valueString="[A-Z]{2}\\d")), "AB1"),
        (item("q", "integer", rule("k-1", "answer.value != 4", "Not four")), ""),
    ],
)
def test_an_answer_at_its_bounds_is_taken(asked: Any, value: str) -> None:
    assert wrong(filled(form(asked), q=value)) == []


def test_a_closed_question_is_neither_needed_nor_held_to_its_bounds() -> None:
    asked = form(
        item("a", "boolean"),
        item("q", required=True, enableWhen=[when("a", answerBoolean=True)]),
    )
    assert wrong(filled(asked, a="false")) == []
    assert wrong(filled(asked, a="true")) == [("q", "needed", "")]


def test_a_choice_that_excludes_others_stands_alone() -> None:
    choices = options("cough", "fever")
    alone = {"extension": [extension(f"{CORE}questionnaire-optionExclusive", valueBoolean=True)]}
    none = {**options("none")[0], **alone}
    asked = form(item("q", "choice", repeats=True, answerOption=[*choices, none]))
    assert wrong(filled(asked, q=["urn:test|cough", "urn:test|fever"])) == []
    assert wrong(filled(asked, q=["urn:test|cough", "urn:test|none"])) == [("q", "alone", "")]


def test_one_answer_is_one_where_a_question_does_not_repeat() -> None:
    asked = form(item("q", "choice", answerOption=options("a", "b")))
    assert wrong(filled(asked, q=["urn:test|a", "urn:test|b"])) == [("q", "too-many", "1")]


def test_a_group_that_repeats_asks_nothing_where_it_is_empty_and_need_not_be_there() -> None:
    inner = [item("name", required=True), item("n", "integer")]
    asked = form(item("g", "group", repeats=True, item=inner))
    assert wrong(filled(asked)) == []
    # Begun, even with what is not understood, it is asked whole; one that was added is not.
    sent = {"g.0/n": ["one"], "g.1/n": ["2"], "g.2/": ["new"]}
    told = [(one.place, one.code) for one in faults(fill(asked, around(), sent))]
    assert told == [("g.0/name", "needed"), ("g.0/n", "unreadable"), ("g.1/name", "needed")]
    least = extension(f"{CORE}questionnaire-minOccurs", valueInteger=2)
    for more in ({"required": True}, {"extension": [least]}):
        demanded = form(item("g", "group", repeats=True, item=inner, **more))
        assert ("g.0/name", "needed", "") in wrong(filled(demanded))


def test_groups_are_counted() -> None:
    least, most = (bound(f"questionnaire-{name}Occurs", valueInteger=2) for name in ("min", "max"))
    asked = form(item("g", "group", least, most, repeats=True, item=[item("q")]))
    one = fill(asked, around(), {"g.0/q": ["x"]})
    assert wrong(one) == [("g.0", "too-few", "2")]
    three = fill(asked, around(), {f"g.{n}/q": ["x"] for n in range(3)})
    assert wrong(three) == [("g.2", "too-many", "2")]


def test_a_rule_that_warns_does_not_refuse() -> None:
    asked = form(item("q", "integer", rule("w", "answer.value < 200", "High", "warning")))
    (found,) = faults(filled(asked, q="250"))
    assert found.is_warning
    assert found.words is not None
    assert found.words.text == "High"


def test_what_could_not_be_read_is_kept_to_be_shown_again() -> None:
    filling = filled(form(item("q", "integer")), q="three")
    place = filling.place("q")
    assert place is not None
    assert place.unread == ("three",)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("2026-01-31", "2026-01-31"),
        ("20260131", "2026-01-31"),
        ("2026-W05-6", "2026-01-31"),
        ("2026-01-31T08:00", "2026-01-31T08:00:00+08:00"),
        ("2026-01-31T08:00+08:00:30", None),
        ("1890-01-31T08:00", None),
        ("0001-01-01T00:00", None),
        ("2026-02-30T08:00", None),
    ],
)
def test_a_moment_is_kept_as_fhir_writes_it_or_not_at_all(typed: str, kept: str | None) -> None:
    found = filled(form(item("at", "dateTime")), at=typed)
    assert answers_of(found.response()) == ({"at": [kept]} if kept else {})
    assert [one[1] for one in wrong(found)] == ([] if kept else ["unreadable"])


def test_control_characters_that_a_program_pastes_are_not_kept() -> None:
    asked = form(item("q", "text"), item("c", "open-choice", answerOption=options("a")))
    sent = {"q": ["a\x0bb\x02\tc\r\n"], "c~other": ["fe\x1frns"]}
    assert answers_of(fill(asked, around(), sent).response()) == {"q": ["a\nb\tc"], "c": ["ferns"]}


def test_an_open_choice_takes_what_is_typed() -> None:
    asked = form(item("q", "open-choice", answerOption=options("a")))
    assert answers_of(filled(asked, **{"q~other": "ferns"}).response())["q"] == ["ferns"]
    assert wrong(filled(asked, **{"q~other": "ferns"})) == []


def test_every_answer_is_told_in_words_each_occurrence_at_its_place() -> None:
    medicine = item("medicine", "group", repeats=True, item=[item("name"), item("dose")])
    asked = form(item("q", "choice", repeats=True, answerOption=options("a", "b")), medicine)
    sent = {"q": ["urn:test|b", "urn:test|a"], "medicine.0/name": ["M"], "medicine.1/name": ["N"],
            "medicine.1/dose": ["2"]}  # fmt: skip
    response = fill(asked, around(), sent).response()
    said = words_of(asked, response, "en", around().zone)
    assert said == {"q": "b; a", "name": "M; N", "dose": "–; 2"}
    assert words_of(asked, response, "zh", around().zone)["q"] == "b；a"


GRAMS = {"value": Decimal(1), "unit": "g/L", "code": "g/L"}
DAY = bound("maxValue", valueDateTime="2026-01-31")
NOON = bound("minValue", valueDateTime="2026-01-31T04:00:00Z")


@pytest.mark.parametrize(
    ("asked", "sent", "expected"),
    [
        (item("q", "quantity", unit("mg/dL"), bound("maxValue", valueQuantity=GRAMS)), "100", ""),
        (item("q", "quantity", unit("mg/dL"), bound("maxValue", valueQuantity=GRAMS)), "101",
         "1 g/L"),
        (item("q", "quantity", unit("g/L"), bound("minValue", valueQuantity=GRAMS)), "0.9", "1"),
        (item("q", "quantity", unit("g/L"), bound("maxValue", valueDecimal=Decimal(1))), "2", "1"),
        (item("q", "quantity", unit("kg"), bound("maxValue", valueQuantity=GRAMS)), "2", ""),
        (item("q", "dateTime", DAY), "2026-01-31T23:59", ""),
        (item("q", "dateTime", DAY), "2026-02-01T00:00", "2026-01-31"),
        (item("q", "dateTime", NOON), "2026-01-31T12:00", ""),
        (item("q", "dateTime", NOON), "2026-01-31T11:59", "2026-01-31T04:00:00Z"),
        (item("q", "dateTime", NOON), "2026-01-31", ""),
        (item("q", "date", bound("maxValue", valueDate="2026")), "2026-05-01", ""),
    ],
)  # fmt: skip
def test_bounds_are_compared_in_one_unit_and_one_zone(asked: Any, sent: str, expected: str) -> None:
    told = [one.limit for one in faults(filled(form(asked), q=sent))]
    assert told == ([expected] if expected else [])


# ---- a response goes on --------------------------------------------------------------------------


def test_a_draft_is_opened_again_with_all_it_held() -> None:
    inner = [item("n", "integer"), item("note", "text")]
    asked = form(*SMOKER, item("g", "group", repeats=True, item=inner))
    sent = {"smokes": ["urn:test|yes"], "how-many": ["7"], "g.0/n": ["1"], "g.1/note": ["x"]}
    draft = fill(asked, around(), sent).response()
    assert open_response(asked, around(), draft).response() == draft


def test_an_occurrence_goes_on_from_the_one_that_it_began_with() -> None:
    inner = [item("name", readOnly=True), item("n", "integer")]
    asked = form(item("g", "group", repeats=True, item=inner))
    start = {
        "resourceType": "QuestionnaireResponse",
        "item": [
            {"linkId": "g", "item": [{"linkId": "name", "answer": [{"valueString": name}]}]}
            for name in "ABC"
        ],
    }

    def kept(sent: dict[str, str]) -> dict[str, list[Any]]:
        return answers_of(
            fill(asked, around(), {k: [v] for k, v in sent.items()}, start).response()
        )

    begun = open_response(asked, around(), start)
    assert begun.starts() == {"g.0": "0", "g.1": "1", "g.2": "2"}
    # The first was taken away, then one was added.
    sent = {"g.0/": "1", "g.0/n": "2", "g.1/": "2", "g.1/n": "3", "g.2/": "new", "g.2/n": "4"}
    assert kept(sent) == {"name": ["B", "C"], "n": [2, 3, 4]}
    again = fill(asked, around(), {k: [v] for k, v in sent.items()}, start)
    assert again.starts() == {"g.0": "1", "g.1": "2", "g.2": "new"}
    # None stands twice, and a page that says nothing of it goes by position.
    assert kept({"g.0/": "2", "g.1/": "2", "g.2/": "9" * 9})["name"] == ["C"]
    assert kept({"g.0/": "", "g.0/n": "2"})["name"] == ["A", "B", "C"]
    assert kept({"g.3/": "new"})["name"] == ["A", "B", "C"]


def test_a_field_whose_name_goes_on_with_a_point_is_no_occurrence() -> None:
    inside = item("1", "group", repeats=True, item=[item("x")])
    sent = {"1.0/x": ["a"], "1.9": ["b"], "1.7/y": ["c"]}
    asked = form(inside, item("1.9"), item("1.7", "group", item=[item("y")]))
    filling = fill(asked, around(), sent)
    assert [one.key for one in filling.places] == ["1.0", "1.9", "1.7"]
    assert answers_of(filling.response()) == {"x": ["a"], "1.9": ["b"], "y": ["c"]}


def test_items_below_a_question_stand_beneath_its_answer() -> None:
    asked = form(item("q", "boolean", item=[item("why")]))
    response = fill(asked, around(), {"q": ["true"], "q/why": ["because"]}).response()
    (answered,) = response["item"]
    assert answered["answer"][0]["item"][0]["linkId"] == "why"
    assert open_response(asked, around(), response).response() == response


def test_the_response_of_another_form_is_refused() -> None:
    other = {"resourceType": "QuestionnaireResponse", "questionnaire": "http://example.org/other"}
    with pytest.raises(Invalid, match="another form"):
        open_response(form(item("q")), around(), other)


def test_no_number_of_groups_exhausts_the_node() -> None:
    asked = form(item("g", "group", repeats=True, item=[item("q")]))
    response = fill(asked, around(), {"g.999/q": ["x"], "g.99999999999/q": ["y"]}).response()
    assert len(response.get("item", [])) <= 200
