from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from quanmin.fhir.json import decode
from quanmin.web.reading import Reader, Value, tell_address, tell_name, without_files

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
