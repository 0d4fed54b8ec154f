"""Evaluating: locations, environment, ports, strictness, limits, and what problems say."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, getcontext
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pathcases import OBSERVATION, PATIENT, ask

from quanmin.fhir.path import (
    LENIENT,
    Answer,
    Collection,
    Environment,
    Node,
    PathProblem,
    compile_path,
    evaluate,
    named_by_reference,
    root,
)
from quanmin.fhir.path.syntax import (
    EXPRESSION_DEPTH_MAX,
    EXPRESSION_LENGTH_MAX,
    OPERATORS_MAX,
)

CHECKED = Environment(strictness="checked")
SHANGHAI = ZoneInfo("Asia/Shanghai")


class Fruits:
    """A terminology that knows three codes."""

    def is_member(self, value_set: str, system: str | None, code: str) -> bool | None:
        if value_set != "http://example.org/fruits":
            return None
        return system in {None, "http://fruits"} and code in {"apple", "pear"}

    def subsumes(self, system: str, general: str, special: str) -> bool | None:
        return (general, special) == ("fruit", "pear") if system == "http://fruits" else None


def refusal(expression: str, on: Any = PATIENT, environment: Environment = CHECKED) -> PathProblem:
    with pytest.raises(PathProblem) as told:
        compile_path(expression).evaluate(on, environment=environment)
    return told.value


def test_every_node_says_where_it_stands() -> None:
    def at(expression: str, on: Any = PATIENT) -> list[str]:
        return [node.location for node in compile_path(expression).evaluate(on)]

    assert at("name.given")[:3] == [
        "Patient.name[0].given[0]",
        "Patient.name[0].given[1]",
        "Patient.name[1].given[0]",
    ]
    assert at("Patient") == ["Patient"]
    assert at("deceased") == ["Patient.deceased.ofType(boolean)"]
    assert at("value.unit", OBSERVATION) == ["Observation.value.ofType(Quantity).unit"]
    assert at("birthDate.extension.value") == [
        "Patient.birthDate.extension[0].value.ofType(dateTime)"
    ]
    assert at("contained.name") == ["Patient.contained[0].name"]
    assert at("1 + 1") == [""]


def test_one_call_answers_with_type_value_and_place() -> None:
    raw = b'{"resourceType":"Patient","active":true,"gender":"male","birthDate":"1974-12-25"}'
    assert evaluate("Patient.gender", raw) == [Answer("code", "male", "Patient.gender")]
    assert evaluate("Patient.gender | 'x'", raw)[1] == Answer("string", "x", "")
    types = "Patient | active | birthDate | 1 | 1.5 | active.not() | now() | timeOfDay() | 4 'mg'"
    assert [one.type for one in evaluate(f"({types}) | birthDate + 1 day", raw)] == [
        *("Patient", "boolean", "date", "integer", "decimal", "boolean"),
        *("dateTime", "time", "Quantity", "date"),
    ]
    assert [one.value for one in evaluate("birthDate + 1 day | 1.50 | 4 'mg'", raw)] == [
        "1974-12-26",
        Decimal("1.50"),
        "4 'mg'",
    ]
    assert evaluate("given1", {"given": ["a"]}, type_name="HumanName") == []
    assert evaluate("value", OBSERVATION)[0].type == "Quantity"
    component = {"resourceType": "Observation", "component": [{"valueString": "a"}]}
    assert evaluate("component", component)[0].type == "BackboneElement"


def test_one_call_refuses_when_checked_what_no_record_can_have() -> None:
    assert evaluate("name.given1", PATIENT) == []
    with pytest.raises(PathProblem) as told:
        evaluate("name.given1", PATIENT, is_checked=True)
    assert told.value.fault == "semantic"
    with pytest.raises(PathProblem):
        evaluate("given1", {"given": ["a"]}, type_name="HumanName", is_checked=True)


def test_a_record_nested_without_end_is_walked_all_the_same() -> None:
    item: dict[str, Any] = {"linkId": "end"}
    for _ in range(3000):
        item = {"item": [item]}
    questionnaire = {"resourceType": "Questionnaire", **item}
    found = compile_path("repeatAll(item).linkId").evaluate(questionnaire)
    assert found[0].location.count(".item[0]") == 3000
    assert ask("descendants().count()", questionnaire) == [3001]
    assert ask("item.distinct()", questionnaire) == "error"


def test_a_node_can_be_evaluated_further_and_keeps_its_place() -> None:
    name = compile_path("name[2]").evaluate(PATIENT)[0]
    found = compile_path("given.first()").evaluate(name)
    assert [node.location for node in found] == ["Patient.name[2].given[0]"]
    assert compile_path("%resource.id").values(name) == ["example"]
    assert compile_path("%context.use").values(name) == ["maiden"]


def test_an_element_is_evaluated_by_its_type() -> None:
    quantity = {"value": Decimal(3), "unit": "g"}
    found = compile_path("value is decimal").values(quantity, type_name="Quantity")
    assert found == [True]
    assert compile_path("$this + 1").values(4, type_name="integer") == [5]


def test_contained_records_know_who_contains_them() -> None:
    inner = compile_path("contained.partOf").evaluate(PATIENT)[0]
    assert compile_path("%resource.id").values(inner) == ["o1"]
    assert compile_path("%rootResource.id").values(inner) == ["example"]


def test_a_record_in_a_bundle_is_its_own_root() -> None:
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": PATIENT}]}
    inner = compile_path("entry.resource.contained.name").evaluate(bundle)[0]
    assert inner.location == "Bundle.entry[0].resource.contained[0].name"
    assert compile_path("%rootResource.id").values(inner) == ["example"]


def test_references_within_a_bundle_are_followed() -> None:
    base = "http://a.example/fhir"
    organization = {"resourceType": "Organization", "id": "1", "name": "Clinic"}
    bundle = {
        "resourceType": "Bundle",
        "entry": [
            {"fullUrl": f"{base}/Patient/example", "resource": PATIENT},
            {"fullUrl": f"{base}/Organization/1", "resource": organization},
        ],
    }
    path = "entry.resource.ofType(Patient).managingOrganization.resolve().name"
    assert compile_path(path).values(bundle) == ["Clinic"]


def test_references_are_resolved_by_what_is_handed_in() -> None:
    known = {"Organization/1": {"resourceType": "Organization", "id": "1", "name": "Clinic"}}
    environment = Environment(resolve=known.get)
    path = "managingOrganization.resolve()"
    assert ask(f"{path}.name", environment=environment) == ["Clinic"]
    assert ask(f"{path} is Organization", environment=environment) == [True]


def test_the_type_in_a_reference_is_enough_for_a_search_parameter() -> None:
    environment = Environment(resolve=named_by_reference)
    path = "managingOrganization.where(resolve() is {}).exists()"
    assert ask(path.format("Organization"), environment=environment) == [True]
    assert ask(path.format("Patient"), environment=environment) == [False]
    assert named_by_reference("http://a.example/Patient/1/_history/2") == {
        "resourceType": "Patient",
        "id": "1",
    }
    assert named_by_reference("urn:uuid:1") is None


def test_variables_are_values_records_and_collections() -> None:
    variables = {"a": 5, "p": PATIENT, "none": None, "several": [1, 2], "q": Decimal("1.50")}
    environment = Environment(variables=variables)
    assert ask("%a - 1", environment=environment) == [4]
    assert ask("%p.id", environment=environment) == ["example"]
    assert ask("%none", environment=environment) == []
    assert ask("%several.count()", environment=environment) == [2]
    assert ask("%q", environment=environment) == [Decimal("1.50")]


def test_the_clock_stands_still_and_can_be_set() -> None:
    at = datetime(2026, 11, 22, 23, 30, tzinfo=UTC).astimezone(SHANGHAI)
    environment = Environment(now=at)
    assert ask("now()", environment=environment) == ["2026-11-23T07:30:00.000+08:00"]
    assert ask("today()", environment=environment) == ["2026-11-23"]
    assert ask("timeOfDay()", environment=environment) == ["07:30:00.000"]


def test_times_without_a_zone_are_read_in_the_one_given() -> None:
    path = "@2012-04-15T15:00:00 = @2012-04-15T07:00:00Z"
    assert ask(path) == []
    assert ask(path, environment=Environment(zone=SHANGHAI)) == [True]


def test_terminology_answers_through_its_port() -> None:
    environment = Environment(terminology=Fruits())
    coding = {"resourceType": "Observation", "code": {"coding": [{"system": "http://fruits"}]}}
    coding["code"]["coding"][0]["code"] = "pear"  # type: ignore[index]  # a tree of JSON
    member = "code.memberOf('http://example.org/{}')"
    assert ask(member.format("fruits"), coding, environment) == [True]
    # R4 fhirpath.html: a value set that cannot be resolved is an error.
    assert ask(member.format("unknown"), coding, environment) == "error"
    fruit = {**environment.variables, "fruit": {"system": "http://fruits", "code": "fruit"}}
    environment = Environment(terminology=Fruits(), variables=fruit)
    assert ask("code.subsumedBy(%fruit)", coding, environment) == [True]
    assert ask("code.subsumes(%fruit)", coding, environment) == [False]
    assert ask("code.subsumes(code)", coding, environment) == [True]
    # Codings of systems between which nothing is known: an error, of concepts not true.
    other = {**fruit, "other": {"system": "http://t", "code": "fruit"}}
    other["concept"] = {"coding": [other["other"]]}
    environment = Environment(terminology=Fruits(), variables=other)
    assert ask("code.coding.subsumes(%other)", coding, environment) == "error"
    assert ask("code.coding.subsumedBy(%other)", coding, environment) == "error"
    assert ask("code.subsumes(%concept)", coding, environment) == [False]


def test_profiles_are_judged_through_their_port() -> None:
    environment = Environment(conforms=lambda _, url: True if url == "http://p" else None)
    assert ask("conformsTo('http://p')", environment=environment) == [True]
    assert ask("conformsTo('http://q')", environment=environment) == "error"


def test_slices_are_told_apart_through_their_port() -> None:
    def in_slice(node: Node, url: str, name: str) -> bool | None:
        return node.value.get("use") == name if url == "http://p" else None

    environment = Environment(in_slice=in_slice)
    assert ask("name.slice('http://p', 'usual').given", environment=environment) == ["Jim"]
    assert ask("name.slice('http://q', 'usual')", environment=environment) == "error"
    assert ask("name.slice('http://p', {})", environment=environment) == []
    assert ask("photo.slice('http://q', 'a')", environment=environment) == []
    assert ask("name.slice('http://p', 'usual')") == "error"


def test_traces_are_told_and_change_nothing() -> None:
    told: list[tuple[str, int]] = []

    def listen(name: str, items: Collection) -> None:
        told.append((name, len(items)))

    environment = Environment(trace=listen)
    assert ask("name.trace('n').trace('g', given).count()", environment=environment) == [3]
    assert told == [("n", 3), ("g", 5)]


def test_lenient_evaluation_filters_several_by_as() -> None:
    assert ask("name.as(HumanName).count()") == "error"
    assert ask("name.as(HumanName).count()", environment=LENIENT) == [3]
    assert ask("(name as HumanName).count()", environment=LENIENT) == [3]


def test_truth_and_plain_values_are_at_hand() -> None:
    assert compile_path("active").is_true(PATIENT) is True
    assert compile_path("photo").is_true(PATIENT) is None
    assert compile_path("photo.exists()").is_true(PATIENT) is False
    assert compile_path("today()").values(
        PATIENT, environment=Environment(now=datetime(2026, 1, 2, tzinfo=UTC))
    ) == ["2026-01-02"]
    with pytest.raises(PathProblem):
        compile_path("name").is_true(PATIENT)


def test_the_same_text_is_compiled_once() -> None:
    assert compile_path("name.given") is compile_path("name.given")


def test_the_arithmetic_of_others_is_left_alone() -> None:
    before = getcontext()
    compile_path("1 / 3").evaluate(PATIENT)
    assert getcontext() is before


@pytest.mark.parametrize(
    ("expression", "at", "fault"),
    [
        ("name.given..first()", 11, "syntax"),
        ("name.where(use = 'a'", 20, "syntax"),
        ("name.whre(true)", 5, "semantic"),
        ("name.first(1)", 5, "semantic"),
        ("name.given1", 5, "semantic"),
        ("Encounter.name", 0, "semantic"),
        ("name is Pacient", 5, "semantic"),
        ("children().skip(1)", 11, "semantic"),
        ("descendants()[0]", 13, "semantic"),
        ("deceasedBoolean", 0, "semantic"),
        ("(deceased as Period).nothing", 21, "semantic"),
        ("1.nothing", 2, "semantic"),
        ("name.count().nothing", 13, "semantic"),
        ("gender.upper().nothing", 15, "semantic"),
        ("today().year", 8, "semantic"),
        ("id.nothing", 3, "semantic"),
        ("(5 'mg').nothing", 9, "semantic"),
        ("active.exists().id", 16, "semantic"),
        ("contained.ofType(Questionnaire).repeat(item).nothing", 45, "semantic"),
        ("name.repeat(nothing)", 12, "semantic"),
        ("active and name", 7, "execution"),
        ("name.single()", 5, "execution"),
        ("1 + name.count() + 'a'", 17, "execution"),
        ("name.where(given.first() > 1)", 25, "execution"),
    ],
)
def test_a_problem_says_where_and_at_which_step(expression: str, at: int, fault: str) -> None:
    problem = refusal(expression)
    assert (problem.at, problem.fault) == (at, fault)
    assert problem.status == 400


def test_a_problem_never_tells_what_a_record_holds() -> None:
    problem = refusal("name.select(given & family)")
    assert "Chalmers" not in problem.text
    assert "Peter" not in problem.text


def test_a_misspelled_element_gets_a_hint() -> None:
    problem = refusal("valueQuantity.unit", OBSERVATION)
    assert "value meant" in problem.text


@pytest.mark.parametrize(
    "expression",
    [
        "name.where(use = 'usual').given.first()",
        "Patient.name.select(given | family)",
        "descendants().code",
        "children().name.first()",
        "contained.where(resourceType = 'x')",
        "generalPractitioner.resolve().name",
        "deceased.ofType(boolean)",
        "(deceased as dateTime) < today()",
        "birthDate.extension(%`ext-patient-birthTime`).value.ofType(dateTime)",
        "iif(active, name.first(), {}).given",
        "name.sort(-family).given",
        "%resource.whatever",
        "type().name",
        "5 'mg'.unit",
        "id.extension.value",
        "extension.url.extension.value",
        "contained.ofType(Questionnaire).repeat(item).linkId",
        "contained.ofType(ValueSet).expansion.repeat(contains).code",
        "repeat(name).given",
        "repeat(contained).id",
        "gender.toString().upper().length()",
        "(1 | birthDate).extension.value",
    ],
)
def test_checking_lets_pass_what_a_record_can_have(expression: str) -> None:
    expression = expression.replace("children().name.first()", "children().name")
    compile_path(expression).check("Patient")
    assert ask(expression, environment=CHECKED) != "error"


def test_limits_are_told_and_not_run_into() -> None:
    deep = "(" * (EXPRESSION_DEPTH_MAX + 1) + "1" + ")" * (EXPRESSION_DEPTH_MAX + 1)
    assert "nested deeper" in refusal(deep).text
    long = "1" + " " * EXPRESSION_LENGTH_MAX
    assert "longer than" in refusal(long).text
    many = " + ".join(["1"] * (OPERATORS_MAX + 2))
    assert "use brackets" in refusal(many).text
    assert ask(" + ".join(["1"] * OPERATORS_MAX)) == [OPERATORS_MAX]


@pytest.mark.parametrize(
    "expression",
    [
        "(1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9).select(%big.select(%big.select(%big.select($this))))",
        "%big.aggregate($total & $total & 'abcdefgh', 'a')",
        "1.repeatAll($this + 1)",
        "1.repeatAll($this | $this + 1)",
        "%big.aggregate($total.replace('', $total), 'ab')",
    ],
)
def test_an_expression_cannot_take_all_there_is(expression: str) -> None:
    environment = Environment(variables={"big": list(range(200))})
    problem = refusal(expression, environment=environment)
    assert "more than" in problem.text


def test_numbers_beyond_nature_are_no_numbers() -> None:
    vast = {"resourceType": "Observation", "valueQuantity": {"value": Decimal("1E+999999")}}
    assert ask("value.value + 1", vast) == []
    assert ask("value > 1", vast) == "error"
    assert ask("10.power(500)") == []
    assert root(vast).type.name == "Observation"


def test_decimals_decoded_as_floats_are_decimals_all_the_same() -> None:
    record = {"resourceType": "Observation", "valueQuantity": {"value": 0.1}}
    assert ask("value.value + 0.2 = 0.3", record) == [True]
    assert ask("a + 0.2 = 0.3", {"a": 0.1}) == [True]


def test_what_is_no_valid_record_is_only_strange() -> None:
    strange: list[Any] = [
        {"resourceType": "Patient", "name": "x", "birthDate": 5, "active": ["a"], "_active": "b"},
        {"resourceType": "Patient", "name": [None, 3, ["a"]], "contained": [1, {"id": 2}]},
        {"resourceType": "Nothing", "a": [1, None, {"b": []}]},
        {"resourceType": 5},
        {},
    ]
    for record in strange:
        for expression in (
            "name.given | birthDate | active",
            "descendants().count()",
            "birthDate > today()",
            "contained.id.distinct()",
        ):
            assert isinstance(ask(expression, record), list | str)
