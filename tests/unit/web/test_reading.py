from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from quanmin.fhir.json import decode, encode
from quanmin.fhir.translations import translated
from quanmin.web.labels import Label
from quanmin.web.reading import Reader, Value, tell_address, tell_name, without_files
from quanmin.workflow.states import Words

CHINESE = Reader("zh", ZoneInfo("Asia/Shanghai"))
ENGLISH = Reader("en", ZoneInfo("Asia/Shanghai"))


def read(json: str, reader: Reader = CHINESE) -> dict[str, list[Value]]:
    return {field.label.text: list(field.values) for field in reader.fields(decode(json.encode()))}


def only(json: str, reader: Reader = CHINESE) -> Value:
    (values,) = read(json, reader).values()
    (value,) = values
    return value


def test_an_element_stands_under_its_label_in_the_language_of_the_page() -> None:
    assert list(read('{"birthDate": "1980-05-03"}')) == ["出生日期"]
    assert list(read('{"birthDate": "1980-05-03"}', ENGLISH)) == ["Birth date"]


def test_a_choice_element_is_labelled_without_its_type() -> None:
    assert list(read('{"onsetDateTime": "2020"}')) == ["起病时间"]
    assert list(read('{"valueQuantity": {"value": 1}}', ENGLISH)) == ["Value"]


def test_an_element_without_a_label_shows_its_own_name_as_english() -> None:
    (field,) = CHINESE.fields({"strangeNewThing": "a"})
    assert (field.label.text, field.label.language) == ("Strange new thing", "en")


@pytest.mark.parametrize("number", ["1.00", "132", "0.10", "1E-10", "123456789012345678901.5"])
def test_no_digit_of_a_quantity_is_lost(number: str) -> None:
    told = only(f'{{"valueQuantity": {{"value": {number}, "unit": "mmol/L"}}}}').text
    plain = {"1E-10": "0.0000000001"}.get(number, number)
    assert told == f"{plain} mmol/L"


def test_a_quantity_keeps_its_comparator_and_a_bare_unit_is_printed_by_its_sign() -> None:
    json = '{"valueQuantity": {"value": 5, "comparator": "<", "code": "mm[Hg]"}}'
    assert only(json).text == "<5 mmHg"


def test_a_concept_is_told_by_a_known_word_else_its_own_text_else_its_code() -> None:
    system = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
    known = f'{{"class": {{"system": "{system}", "code": "AMB", "display": "ambulatory"}}}}'
    assert only(known).text == "门诊"
    assert only(known, ENGLISH).text == "Outpatient"
    spoken = only('{"code": {"coding": [{"code": "I10", "display": "高血压"}], "text": "血压高"}}')
    assert (spoken.text, spoken.detail) == ("血压高", "I10")
    assert only('{"code": {"coding": [{"code": "I10"}]}}').text == "I10"
    assert only('{"code": {"text": "头痛"}}').text == "头痛"


def test_a_coded_element_is_told_in_words_and_free_text_is_left_alone() -> None:
    assert only('{"gender": "female"}').text == "女"
    assert only('{"comment": "active"}').text == "active"


def test_a_text_is_told_in_the_language_of_the_page_where_it_says_that_as_well() -> None:
    json = encode(translated("text", "填报", {"en": "Enter the card"})).decode()
    assert (only(json).text, only(json, ENGLISH).text) == ("填报", "Enter the card")
    for beside in ("null", "[]", '{"extension": 1}', '{"extension": [1, {"url": "x"}]}'):
        assert only(f'{{"text": "填报", "_text": {beside}}}', ENGLISH).text == "填报"


def test_what_a_case_is_coded_by_is_told_in_the_words_of_its_workflow() -> None:
    step = Words(code="enter", zh="填报", en="Enter the card")
    reader = Reader("zh", ZoneInfo("Asia/Shanghai"), {("https://a/step", "enter"): step})
    coding = '{"system": "https://a/step", "code": "%s", "display": "Enter the card"}'
    assert only(f'{{"type": {{"coding": [{coding % "enter"}]}}}}', reader).text == "填报"
    assert only(f'{{"type": {{"coding": [{coding % "send"}]}}}}', reader).text == "Enter the card"
    told = only('{"extension": [{"url": "https://a/step", "valueCode": "enter"}]}', reader)
    assert (told.text, told.detail, told.language) == ("填报", "步骤", "zh")


def test_the_answers_to_a_form_stand_under_their_questions() -> None:
    answered = """{"item": [{"linkId": "person", "text": "患者", "item": [
        {"linkId": "name", "text": "姓名", "answer": [{"valueString": "王若汐"}]},
        {"linkId": "left"},
        {"linkId": "fever", "answer": [{"valueBoolean": true,
         "item": [{"linkId": "since", "text": "起始", "answer": [{"valueDate": "2026-11-01"}]}]}]},
        {"linkId": "signs", "text": "症状", "answer": [
            {"valueCoding": {"system": "https://a", "code": "1", "display": "咳嗽",
             "_display": {"extension": []}}}, {"valueQuantity": {"value": 38.50, "unit": "℃"}}]}
    ]}]}"""
    (asked,) = CHINESE.fields(decode(answered.encode()))
    assert asked.label == Label("患者", "zh")
    name, fever, signs = asked.values[0].fields
    assert (name.label.text, name.values[0].text) == ("姓名", "王若汐")
    assert fever.label == Label("fever", "en")
    since = fever.values[0].fields[1]
    assert (since.label.text, since.values[0].text) == ("起始", "2026年11月1日")
    assert [one.text for one in signs.values] == ["咳嗽", "38.50 ℃"]


def test_the_items_of_a_claim_and_the_questions_of_a_form_keep_their_elements() -> None:
    assert list(read('{"item": [{"sequence": 1}, {"sequence": 2}]}', ENGLISH)) == ["Item"]
    asked = only('{"item": [{"linkId": "a", "text": "A", "type": "string"}]}', ENGLISH)
    assert [field.name for field in asked.fields] == ["linkId", "text", "type"]


def test_a_reference_leads_to_its_record_and_a_foreign_one_nowhere() -> None:
    local = only('{"subject": {"reference": "Patient/p1", "display": "张伟"}}')
    assert (local.text, local.reference) == ("张伟", ("Patient", "p1"))
    versioned = only('{"subject": {"reference": "Patient/p1/_history/3"}}')
    assert (versioned.text, versioned.reference) == ("患者登记", ("Patient", "p1"))
    foreign = only('{"subject": {"reference": "https://x.example/Patient/p1"}}')
    assert foreign.reference is None
    assert only('{"subject": {"reference": "javascript:alert(1)"}}').reference is None


def test_names_are_said_as_one_says_them() -> None:
    assert tell_name({"family": "张", "given": ["伟"]}) == "张伟"
    assert tell_name({"family": "Li", "given": ["Wei", "B"]}) == "Wei B Li"
    assert tell_name({"text": "阿依古丽·买买提", "family": "x"}) == "阿依古丽·买买提"
    assert tell_name({"given": "not a list"}) == ""


def test_an_address_is_told_from_the_province_down() -> None:
    address = {"line": ["长街1号"], "district": "青县", "city": "白市", "state": "岷省"}
    assert tell_address(address) == "岷省白市青县长街1号"


def test_an_identifier_and_a_phone_are_told_apart_by_their_system() -> None:
    phone = only('{"telecom": [{"system": "phone", "value": "123", "use": "home"}]}')
    assert (phone.text, phone.detail) == ("123", "电话 · 家庭")
    number = only('{"identifier": [{"system": "urn:oid:1.2", "value": "7", "use": "official"}]}')
    assert (number.text, number.detail) == ("7", "urn:oid:1.2")
    code = '{"identifier": [{"system": "https://x.example/sid/uscc", "value": "7"}]}'
    assert only(code).detail == "统一社会信用代码"
    assert only(code, ENGLISH).detail == "Unified social credit code"


@pytest.mark.parametrize(
    ("period", "told"),
    [
        ('{"start": "2020-01-01", "end": "2020-01-02"}', "2020年1月1日 – 2020年1月2日"),
        ('{"start": "2020-01-01", "end": "2020-01-01"}', "2020年1月1日"),
        ('{"start": "2020-01-01"}', "2020年1月1日 – …"),
        ('{"end": "2020-01-02"}', "… – 2020年1月2日"),
    ],
)
def test_a_period_keeps_its_open_end(period: str, told: str) -> None:
    assert only(f'{{"period": {period}}}').text == told


def test_a_simple_extension_is_one_value_with_its_name_beside() -> None:
    url = "https://quanmin.example/fhir/StructureDefinition/ethnic-group"
    told = only(f'{{"extension": [{{"url": "{url}", "valueString": "汉族"}}]}}')
    assert (told.text, told.detail) == ("汉族", "民族")
    told = only(f'{{"extension": [{{"url": "{url}-of-old", "valueString": "汉族"}}]}}')
    assert (told.text, told.detail) == ("汉族", "ethnic-group-of-old")


def test_parts_within_parts_are_read_to_a_bounded_depth() -> None:
    json: dict[str, Any] = {"note": "deep"}
    for _ in range(500):
        json = {"section": json}
    field = CHINESE.fields(json)[0]
    depth = 1
    while field.values and field.values[0].fields:
        field, depth = field.values[0].fields[0], depth + 1
    assert depth < 20


def test_numbers_ranges_ratios_and_money_are_told_in_one_line() -> None:
    assert only('{"total": {"value": 100.20, "currency": "CNY"}}').text == "100.20 元"
    assert only('{"total": {"value": 1, "currency": "XTS"}}').text == "1 XTS"
    assert only('{"valueQuantity": {"value": 61, "unit": "/min"}}').text == "61 次/分"
    assert only('{"valueQuantity": {"value": 101, "code": "umol/L"}}').text == "101 μmol/L"
    both = '{"low": {"value": 3.9, "unit": "mmol/L"}, "high": {"value": 6.1, "unit": "mmol/L"}}'
    assert only(f'{{"referenceRange": [{both}]}}').text == "3.9 mmol/L – 6.1 mmol/L"
    parts = '{"numerator": {"value": 5, "unit": "mg"}, "denominator": {"value": 1, "unit": "mL"}}'
    assert only(f'{{"strength": {parts}}}').text == "5 mg / 1 mL"
    assert only('{"active": false}').text == "否"


def test_the_narrative_of_strangers_is_never_shown() -> None:
    (values,) = read('{"text": {"status": "generated", "div": "<div>x</div>"}}').values()
    assert "<div>" not in str(values)


def test_the_content_of_a_file_is_never_shown_as_text() -> None:
    data = "A" * 4000
    document = {"content": [{"attachment": {"contentType": "image/png", "data": data}}]}
    shown = str(ENGLISH.fields(document))
    assert "AAAAAAAA" not in shown
    assert "0.003 MB" in shown
    raw = without_files(f'{{"data": "{data}", "note": "{data}"}}'.encode())
    assert raw == f'{{"data": "{data[:40]}...", "note": "{data}"}}'.encode()
    signal = {"valueSampledData": {"data": "1 2 3"}}
    assert "1 2 3" in str(ENGLISH.fields(signal))
