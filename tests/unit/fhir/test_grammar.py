"""Searches as they are written, and what they ask for."""

from __future__ import annotations

from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from quanmin.base.problems import Malformed, NotSupported, Problem, TooCostly
from quanmin.fhir.grammar import QueryLimits, parse_query
from quanmin.fhir.query import (
    Chain,
    Clause,
    DateOperand,
    Has,
    Include,
    MissingOperand,
    NearOperand,
    NumberOperand,
    Operand,
    QuantityOperand,
    Query,
    ReferenceOperand,
    StringOperand,
    TokenOperand,
    UriOperand,
    asked_of,
)

UTC = ZoneInfo("UTC")


def parse(
    type_: str | None,
    *pairs: tuple[str, str],
    strict: bool = True,
    limits: QueryLimits | None = None,
) -> Query:
    return parse_query(type_, pairs, strict=strict, zone=UTC, limits=limits or QueryLimits())


def clause(type_: str, name: str, value: str) -> Clause:
    (found,) = parse(type_, (name, value)).clauses
    return found


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("code", "a", TokenOperand(None, "a")),
        ("code", "s|a", TokenOperand("s", "a")),
        ("code", "|a", TokenOperand("", "a")),
        ("code", "s|", TokenOperand("s", None)),
        ("code", r"s\|x|a\,b\\c\$d", TokenOperand("s|x", r"a,b\c$d")),
        ("value-string", r"a\,b", StringOperand("a,b")),
        ("_profile", "http://p|1", UriOperand("http://p|1")),
        ("subject", "Patient/1", ReferenceOperand("Patient", "1")),
        ("subject", "1", ReferenceOperand(None, "1")),
        ("patient", "1", ReferenceOperand("Patient", "1")),
        ("subject:Patient", "1", ReferenceOperand("Patient", "1")),
        ("subject:Patient", "Patient/1", ReferenceOperand("Patient", "1")),
        ("subject", "http://a/Patient/1", ReferenceOperand(None, None, "http://a/Patient/1")),
        ("subject:identifier", "s|v", TokenOperand("s", "v")),
        ("code:missing", "true", MissingOperand(missing=True)),
        ("subject:missing", "false", MissingOperand(missing=False)),
    ],
)
def test_each_kind_of_value_is_read_as_its_operand(
    name: str, value: str, expected: Operand
) -> None:
    assert clause("Observation", name, value).operands == (expected,)


@pytest.mark.parametrize(
    ("name", "value", "systems", "codes"),
    [
        ("identifier", "58010119910505004x", {None}, "xX"),
        ("identifier", "urn:oid:2.16.156.10011.1.3|58010119910505004X", "both", "xX"),
        ("identifier:not", "2.16.156.10011.1.3|580101199105050041", "both", "1"),
        ("identifier", "2.16.156.10011.1.3|", "both", ""),
        ("general-practitioner:identifier", "2.16.156.10011.1.3|7", "both", "7"),
        ("identifier", "urn:x|58010119910505004x", {"urn:x"}, "x"),
        ("identifier", "record-58010119910505x", {None}, "x"),
    ],
)
def test_an_identity_number_is_asked_in_every_writing(
    name: str, value: str, systems: set[str | None] | str, codes: str
) -> None:
    asked = [
        one for one in clause("Patient", name, value).operands if isinstance(one, TokenOperand)
    ]
    known = {"urn:oid:2.16.156.10011.1.3", "2.16.156.10011.1.3"}
    assert {one.system for one in asked} == (known if systems == "both" else systems)
    assert sorted({one.code[-1] if one.code else "" for one in asked}) == sorted(codes or [""])


def test_several_values_are_any_of_them_and_several_parameters_are_all() -> None:
    query = parse("Observation", ("code", "a,b"), ("code", "c"))
    assert [len(found.operands) for found in query.clauses] == [2, 1]


def test_modifiers_that_remain_are_told_in_the_clause() -> None:
    assert clause("Patient", "name:exact", "x").modifier == "exact"
    assert clause("Patient", "name:contains", "x").modifier == "contains"
    assert clause("Patient", "gender:not", "male").modifier == "not"
    assert clause("Observation", "subject:identifier", "x").modifier == "identifier"
    assert clause("Observation", "subject:Patient", "x").modifier is None
    assert clause("Observation", "code:missing", "true").modifier is None


@pytest.mark.parametrize("prefix", ["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"])
def test_every_prefix_is_read(prefix: str) -> None:
    (date,) = clause("Observation", "date", f"{prefix}2020-01-01").operands
    assert isinstance(date, DateOperand)
    assert date.prefix == prefix
    if prefix != "ap":
        assert (date.low, date.high) == (1_577_836_800_000_000, 1_577_923_200_000_000)


def test_roughly_is_a_tenth_of_the_gap_to_now_and_of_the_value() -> None:
    (date,) = clause("Observation", "date", "ap2020-01-01").operands
    assert isinstance(date, DateOperand)
    assert date.high - date.low > 86_400_000_000 * 365
    (number,) = clause("RiskAssessment", "probability", "ap100").operands
    assert number == NumberOperand("ap", Decimal(100), Decimal("90.0"), Decimal("110.0"))


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [("100", "99.5", "100.5"), ("100.00", "99.995", "100.005"), ("1e2", "95", "105")],
)
def test_a_number_covers_what_its_digits_say(text: str, low: str, high: str) -> None:
    (number,) = clause("RiskAssessment", "probability", text).operands
    assert number == NumberOperand("eq", Decimal(text), Decimal(low), Decimal(high))
    (negative,) = clause("RiskAssessment", "probability", f"-{text}").operands
    assert isinstance(negative, NumberOperand)
    assert (negative.low, negative.high) == (-Decimal(high), -Decimal(low))


def test_a_quantity_may_name_its_unit_with_or_without_a_system() -> None:
    def unit(value: str) -> tuple[str | None, str | None]:
        (found,) = clause("Observation", "value-quantity", value).operands
        assert isinstance(found, QuantityOperand)
        return found.system, found.code

    assert unit("5.4") == (None, None)
    assert unit("5.4|http://u|mg") == ("http://u", "mg")
    assert unit("gt5.4||mg") == ("", "mg")
    assert unit("5.4|http://u|") == ("http://u", None)
    assert unit("5.4||") == (None, None)


def test_a_plus_that_was_not_encoded_is_understood() -> None:
    (date,) = clause("Observation", "date", "2020-01-01T08:00:00 08:00").operands
    assert isinstance(date, DateOperand)
    assert date.low == 1_577_836_800_000_000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("date", "2020-13"), ("date", "xx2020"), ("date", "yesterday"), ("date", "")),
        *(("value-quantity", "abc"), ("value-quantity", "1|2"), ("value-quantity", "1e999")),
        *(("value-quantity", "1|2|3|4"), ("code", "a|b|c"), ("code", "|"), ("code", "a,,b")),
        *(("subject", "a b"), ("subject", "Foo/1"), ("subject:Patient", "Group/1")),
        *(("subject:Organization", "1"), ("code:missing", "maybe"), ("value-string", " ")),
        *(("_count", "-1"), ("_count", "x"), ("_count", "٣"), ("_total", "some")),
        *(("_summary", "x"), ("_include", "x"), ("_include", "Observation:")),
    ],
)
def test_a_value_of_another_form_is_refused_without_repeating_it(name: str, value: str) -> None:
    with pytest.raises(Malformed) as refused:
        parse("Observation", (name, value))
    assert name.split(":", maxsplit=1)[0] in refused.value.text
    assert len(value) < 5 or value not in refused.value.text


@pytest.mark.parametrize(
    "name",
    [
        *("status:text", "_id:in", "identifier:below", "subject:in", "date:above", "code:of-type"),
        *("subject:text", "patient._text", "_has:Observation:has-member:code:of-type"),
        *("subject.no-such", "code.text", "_has:Observation:nothing:code", "_has:Nothing:a:b"),
        *("subject:Nobody.name", "patient.name:below"),
        *(
            "code-value-quantity:missing",
            "_text",
            "_content",
            "_list:missing",
            "_query",
            "_type",
            "_contained",
        ),
        *("_include:recurse", "_revinclude:all", "date:exact", "code:exact", "_id:nonsense"),
        *("patient:above", "_profile:contains", "value-string:text", "encounter:exact"),
    ],
)
@pytest.mark.parametrize("strict", [True, False])
def test_what_is_not_served_is_refused_by_name_under_either_handling(
    name: str, *, strict: bool
) -> None:
    with pytest.raises(NotSupported) as refused:
        parse("Observation", (name, "x"), strict=strict)
    assert name.split(":", maxsplit=1)[0].split(".", maxsplit=1)[0] in refused.value.text


@pytest.mark.parametrize("name", ["_contained", "_containedType"])
@pytest.mark.parametrize("value", ["true", "both", "container"])
def test_search_contained_resources_are_not_searched(name: str, value: str) -> None:
    for type_ in ("Observation", None):
        with pytest.raises(NotSupported, match="search for the record that contains them"):
            parse(type_, (name, value), strict=False)


def test_conditions_on_other_records_are_read() -> None:
    query = parse(
        "Observation",
        ("patient.organization.name:contains", "a,b"),
        ("_has:DiagnosticReport:result:subject:Patient.birthdate", "ge2000"),
        ("subject.identifier", "x"),
    )
    chain, has, several = query.links
    assert isinstance(chain, Chain)
    [end] = chain.ends
    assert (chain.param.name, end.type) == ("patient", "Patient")
    assert isinstance(end.condition, Chain)
    [far] = end.condition.ends
    assert isinstance(far.condition, Clause)
    assert (far.type, far.condition.modifier) == ("Organization", "contains")
    assert far.condition.operands == (StringOperand("a"), StringOperand("b"))
    assert isinstance(has, Has)
    assert (has.param.type, has.param.name) == ("DiagnosticReport", "result")
    assert isinstance(has.condition, Chain)
    assert [one.type for one in has.condition.ends] == ["Patient"]
    assert isinstance(several, Chain)
    assert {one.type for one in several.ends} == {"Patient", "Group", "Device", "Location"}
    assert {(type_, param.name) for type_, param, _ in asked_of(query)} >= {
        ("Observation", "patient"),
        ("Patient", "organization"),
        ("Organization", "name"),
        ("DiagnosticReport", "result"),
        ("Patient", "birthdate"),
    }
    assert next(name for name, _ in query.pairs) == "patient.organization.name:contains"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("encounter.patient.organization.partof.name", TooCostly),
        ("patient._has:Encounter:patient:subject:Patient.organization.name", TooCostly),
        ("focus.code", TooCostly),
        ("_has:Encounter", Malformed),
        ("_has", Malformed),
        ("_has::a:b", Malformed),
        ("subject:Medication.code", Malformed),
        ("_has:Condition:encounter:code", Malformed),
    ],
)
def test_a_condition_on_others_that_cannot_be_meant_is_refused(
    name: str, problem: type[Problem]
) -> None:
    with pytest.raises(problem) as refused:
        parse("Observation", (name, "x-value"))
    assert "x-value" not in refused.value.text


def test_a_search_of_every_type_follows_no_reference() -> None:
    with pytest.raises(NotSupported, match="name one type"):
        parse(None, ("subject.name", "x"))


def test_what_a_terminology_tells_is_read() -> None:
    within = clause("Observation", "code:in", "http://a.example/vs|1,http://a.example/other")
    assert (within.modifier, within.operands) == (
        "in",
        (UriOperand("http://a.example/vs|1"), UriOperand("http://a.example/other")),
    )
    below = clause("Observation", "code:below", "http://loinc.org|2339-0")
    assert below.operands == (TokenOperand("http://loinc.org", "2339-0"),)


@pytest.mark.parametrize(
    ("name", "value"),
    [("code:in", "vs"), ("code:not-in", "a b"), ("code:below", "2339-0"), ("code:above", "|x")],
)
def test_what_a_terminology_cannot_be_asked_is_refused(name: str, value: str) -> None:
    with pytest.raises(Malformed, match=name.split(":")[1]):
        parse("Observation", (name, value))


@pytest.mark.parametrize(
    ("text", "metres"),
    [
        *(("30.66|104.06|5|km", 5000), ("30.66|104.06|5", 5000), ("30.66|104.06|5||", None)),
        *(("30.66|104.06", 10_000), ("30.66|104.06||", 10_000), ("30.66|104.06|1e3|m", 1000)),
        *(("30.66|104.06|1|[mi_i]", 1609.344), ("30.66|104.06|0", 0), ("-90|180|1|m", 1)),
        *(("30.66", None), ("91|0|1|km", None), ("0|181|1|km", None), ("x|1|1|km", None)),
        *(("1|1|-5|km", None), ("1|1|5|kg", None), ("1|1|5|miles", None), ("1|1|x|km", None)),
    ],
)
def test_a_place_and_a_distance_are_read(text: str, metres: float | None) -> None:
    if metres is None:
        with pytest.raises(Malformed, match="near"):
            parse("Location", ("near", text))
        return
    (operand,) = clause("Location", "near", text).operands
    assert isinstance(operand, NearOperand)
    assert operand.metres == pytest.approx(metres)


@pytest.mark.parametrize(
    ("type_", "name", "value"),
    [
        *(("Patient", "identifier:of-type", "MR|1"), ("Patient", "identifier:of-type", "s|MR|")),
        *(("ValueSet", "url:below", "urn:oid:1.2"), ("ValueSet", "url:above", "acme.org/x")),
        *(("Encounter", "location:below", "Patient/1"), ("Observation", "code:text", " ")),
        ("CarePlan", "instantiates-canonical:below", "PlanDefinition/1"),
        *(("Patient", "_list", "a b"), ("Patient", "_list", "Group/1")),
    ],
)
def test_what_a_modifier_cannot_be_asked_is_refused(type_: str, name: str, value: str) -> None:
    with pytest.raises(Malformed, match=name.split(":", maxsplit=1)[0]):
        parse(type_, (name, value))


def test_functional_lists_are_refused_by_name() -> None:
    with pytest.raises(NotSupported, match="functional lists"):
        parse("Condition", ("_list", "$current-problems"))


def test_an_unknown_parameter_is_refused_or_reported_with_what_the_type_has() -> None:
    with pytest.raises(NotSupported, match="Did you mean code"):
        parse("Observation", ("cod", "x"))
    query = parse("Observation", ("cod", "x"), ("code", "a"), ("_sort", "-dat,date"), strict=False)
    assert [issue.severity for issue in query.ignored] == ["warning", "warning"]
    assert "value-quantity" in query.ignored[0].text
    assert query.pairs == (("code", "a"), ("_sort", "-dat,date"))
    assert [key.param.name for key in query.sort] == ["date"]


def test_what_shapes_the_answer_is_read() -> None:
    query = parse(
        "Observation",
        ("_count", "20"),
        ("_total", "accurate"),
        ("_summary", "count"),
        ("_elements", "code, value,code"),
        ("_sort", "-date,_id"),
        ("_format", "json"),
        ("_pretty", "true"),
    )
    assert (query.count, query.total, query.summary) == (20, "accurate", "count")
    assert query.elements == ("code", "value")
    assert [(key.param.name, key.descending) for key in query.sort] == [
        ("date", True),
        ("_id", False),
    ]
    assert [name for name, _ in query.pairs] == [
        "_count",
        "_elements",
        "_sort",
        "_summary",
        "_total",
    ]


def test_elements_are_named_as_in_the_record_or_in_the_definition() -> None:
    names = "valueQuantity,Observation.code,effectiveDateTime,value"
    query = parse("Observation", ("_elements", names), strict=True)
    assert (query.elements, query.ignored) == (("value", "code", "effective"), ())


def test_an_element_that_is_none_is_told_with_those_that_are() -> None:
    with pytest.raises(NotSupported) as refused:
        parse("Observation", ("_elements", "efective"), strict=True)
    assert "Did you mean effective?" in refused.value.text
    assert "referenceRange" in refused.value.text
    assert "component-code" not in refused.value.text
    for other in ("Patient.code", "valueThing", "value.code", "valueQuantityy"):
        with pytest.raises(NotSupported):
            parse("Observation", ("_elements", other), strict=True)


def test_a_result_parameter_may_be_given_once() -> None:
    with pytest.raises(Malformed, match="once"):
        parse("Observation", ("_count", "1"), ("_count", "2"))


def test_includes_name_a_source_a_parameter_and_perhaps_a_target() -> None:
    query = parse(
        "Observation",
        ("_include", "Observation:subject:Patient"),
        ("_include", "*"),
        ("_revinclude", "Provenance:target"),
    )
    assert query.includes == (
        Include("Observation", "subject", "Patient"),
        Include("Observation", "*", None),
    )
    assert query.revincludes == (Include("Provenance", "target", None),)
    for value in ("Observation:code", "Foo:bar", "Observation:subject:Foo"):
        with pytest.raises(NotSupported):
            parse("Observation", ("_include", value))


def test_the_search_of_every_type_has_the_common_parameters_only() -> None:
    query = parse(None, ("_lastUpdated", "ge2020"), ("_tag", "s|t"))
    assert [found.param.name for found in query.clauses] == ["_lastUpdated", "_tag"]
    with pytest.raises(NotSupported):
        parse(None, ("code", "x"))


def test_search_across_types_several_have_the_parameters_that_all_of_them_have() -> None:
    query = parse(None, ("_type", "Observation,Condition"), ("code", "A"), ("_sort", "-_id"))
    assert query.type is None
    assert [part.type for part in query.parts] == ["Observation", "Condition"]
    params = [part.clauses[0].param for part in query.parts]
    assert [(param.type, param.name) for param in params] == [
        ("Observation", "code"),
        ("Condition", "code"),
    ]
    assert query.pairs == (("code", "A"), ("_sort", "-_id"), ("_type", "Observation,Condition"))
    one = parse(None, ("_type", "Observation"), ("value-quantity", "5"))
    assert (one.type, one.parts) == ("Observation", ())


@pytest.mark.parametrize(
    ("pairs", "says"),
    [
        (
            [("_type", "Observation,Condition"), ("value-quantity", "5")],
            "Observation and Condition",
        ),
        ([("_type", "Library,Task"), ("context", "x")], "'context' is not a search parameter"),
        ([("_type", "Observation,Condition"), ("_sort", "value-date")], "to sort by"),
        ([("_type", "Observation,Nothing")], "'Nothing' is no resource type"),
        ([("_type:not", "Observation")], "no modifier"),
        ([("_type", "Organization,Patient"), ("subject.name", "x")], "subject"),
    ],
)
def test_what_the_types_do_not_share_is_refused(pairs: list[tuple[str, str]], says: str) -> None:
    with pytest.raises(NotSupported, match=says):
        parse(None, *pairs)


@pytest.mark.parametrize("value", ["", "Observation,", ",Patient"])
def test_a_list_of_types_names_types(value: str) -> None:
    with pytest.raises(Malformed, match="_type must be"):
        parse(None, ("_type", value))
    with pytest.raises(Malformed, match="once"):
        parse(None, ("_type", "Patient"), ("_type", "Patient"))


def test_what_is_ignored_is_ignored_for_all_types() -> None:
    pairs = (("_type", "Observation,Condition"), ("value-quantity", "5"), ("code", "A"))
    query = parse(None, *pairs, strict=False)
    assert [len(part.clauses) for part in query.parts] == [1, 1]
    assert len(query.ignored) == 1
    assert "value-quantity" not in dict(query.pairs)


def test_limits_hold_and_a_large_count_is_lowered() -> None:
    limits = QueryLimits(
        count_max=10, clauses_max=2, values_max=3, value_length_max=20, includes_max=1
    )
    assert parse("Observation", ("_count", "99"), limits=limits).count == 10
    for pairs in (
        [("code", "a")] * 3,
        [("code", "a,b,c,d")],
        [("code", "a" * 21)],
        [("_include", "*"), ("_include", "*")],
    ):
        with pytest.raises(TooCostly):
            parse("Observation", *pairs, limits=limits)


def test_a_foreign_type_is_refused() -> None:
    with pytest.raises(NotSupported):
        parse("Foo", ("code", "x"))
