"""Forms as data for a device: what it is given, and which forms no device could ask rightly."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from quanmin.base.problems import Invalid
from quanmin.web.offline_forms import carried_form, fields_of
from quanmin.workflow.forms import Around, answers, compile_form, fill, open_response, words_of

ZONE = ZoneInfo("Asia/Shanghai")
WITHIN = Around(now=datetime(2026, 11, 22, 9, tzinfo=ZONE), zone=ZONE)
SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-"
CORE = "http://hl7.org/fhir/StructureDefinition/"
YES = {"linkId": "yes", "type": "boolean", "text": "Yes?"}
DOSE = {
    "linkId": "dose",
    "type": "quantity",
    "extension": [{"url": f"{CORE}questionnaire-unit", "valueCoding": {"code": "mg"}}],
}


def form(*items: dict[str, Any]) -> Any:
    return compile_form(
        {"resourceType": "Questionnaire", "url": "urn:f", "version": "2", "item": list(items)}
    )


def expression(name: str, text: str) -> dict[str, Any]:
    held = {"language": "text/fhirpath", "expression": text}
    return {"url": f"{SDC}{name}", "valueExpression": held}


def when(question: str, operator: str, **answer: Any) -> list[dict[str, Any]]:
    return [{"question": question, "operator": operator, **answer}]


def test_what_was_written_in_another_zone_stands_in_that_of_the_node() -> None:
    asked = form({"linkId": "at", "type": "dateTime"}, {"linkId": "on", "type": "date"})
    answer = [{"valueDateTime": "2026-11-21T16:30:00Z"}]
    held = {"resourceType": "QuestionnaireResponse", "item": [{"linkId": "at", "answer": answer}]}
    fields = fields_of(open_response(asked, WITHIN, held))
    assert fields == {"at": ["2026-11-22T00:30"]}
    again = fill(asked, WITHIN, fields).response()
    assert answers(again) == {"at": "2026-11-22T00:30:00+08:00"}
    assert words_of(asked, held, "zh", ZONE) == {"at": "2026-11-22 00:30"}


ASKED = {
    "linkId": "why",
    "type": "string",
    "maxLength": 20,
    "enableWhen": when("yes", "=", answerBoolean=True),
}
SUM = {
    "linkId": "sum",
    "type": "integer",
    "readOnly": True,
    "extension": [expression("calculatedExpression", "1 + 1")],
}
DAY = {
    "linkId": "day",
    "type": "date",
    "extension": [expression("initialExpression", "today()")],
}
GROUP = {"linkId": "group", "type": "group", "repeats": True, "item": [DOSE]}


def test_a_device_has_what_it_needs_to_ask() -> None:
    carried = carried_form(form(YES, ASKED, SUM, DAY, GROUP))
    assert carried.canonical == "urn:f|2"
    asked = {one.link: one for one in carried.items}
    (condition,) = asked["why"].conditions
    assert (condition.question, condition.kind, condition.value) == ("yes", "boolean", "true")
    assert (asked["why"].length_max, asked["yes"].control) == (20, "buttons")
    assert asked["sum"].is_left
    assert asked["day"].is_today
    assert (asked["group"].control, asked["group"].count_max) == ("group", 200)


@pytest.mark.parametrize(
    ("fault", "items"),
    [
        ("by an expression", [{**YES, "extension": [expression("enableWhenExpression", "true")]}]),
        ("value set", [{"linkId": "c", "type": "choice", "answerValueSet": "urn:v"}]),
        ("asked once", [{"linkId": "s", "type": "string", "repeats": True}]),
        (
            "the node alone answers",
            [SUM, {**ASKED, "enableWhen": when("sum", "=", answerInteger=2)}],
        ),
        (
            "compares dose",
            [DOSE, {**ASKED, "enableWhen": when("dose", ">", answerQuantity={"value": 1})}],
        ),
    ],
)
def test_a_form_that_no_device_could_ask_as_it_is_meant_is_refused(
    fault: str, items: list[dict[str, Any]]
) -> None:
    with pytest.raises(Invalid) as refused:
        carried_form(form(*items))
    assert fault in refused.value.issues[0].text


def test_an_open_choice_of_a_value_set_is_typed() -> None:
    (item,) = carried_form(
        form({"linkId": "c", "type": "open-choice", "answerValueSet": "urn:v"})
    ).items
    assert (item.is_typed, item.control) == (True, "text")


def test_whether_a_quantity_is_given_may_be_asked() -> None:
    carried = carried_form(
        form(DOSE, {**ASKED, "enableWhen": when("dose", "exists", answerBoolean=True)})
    )
    assert [one.operator for one in carried.items[1].conditions] == ["exists"]


def test_a_bound_is_of_the_unit_in_which_a_device_asks() -> None:
    ask = {"url": f"{CORE}questionnaire-unit", "valueCoding": {"code": "mg/dL"}}
    most = {"url": f"{CORE}maxValue", "valueQuantity": {"value": 1, "code": "g/L"}}
    least = {"url": f"{CORE}minValue", "valueQuantity": {"value": 1, "code": "kg"}}
    sugar = {"linkId": "sugar", "type": "quantity", "extension": [ask, most, least]}
    noon = {"url": f"{CORE}minValue", "valueDateTime": "2026-01-31T04:00:00Z"}
    day = {"url": f"{CORE}maxValue", "valueDateTime": "2026-01-31"}
    at = {"linkId": "at", "type": "dateTime", "extension": [noon, day]}
    bounds = [(one.lowest, one.highest) for one in carried_form(form(sugar, at)).items]
    assert bounds == [("", "100"), ("", "2026-01-31")]


def test_what_stands_in_the_fields_is_read_back_as_it_was() -> None:
    made = form(YES, ASKED, SUM, GROUP)
    sent = {"yes": ["true"], "why": ["so"], "group.0/dose": ["5"], "group.1/dose": ["7.5"]}
    filled = fill(made, WITHIN, sent)
    fields = fields_of(filled)
    assert fields["sum"] == ["2"]
    assert fill(made, WITHIN, fields).response() == filled.response()
