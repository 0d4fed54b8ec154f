"""What was taken back, is only thought of or is over does not stand as true."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from quanmin.web.reading import Reader
from quanmin.web.validity import counts, mark_of

HL7 = "http://terminology.hl7.org/CodeSystem"


def stated(type_: str, name: str, code: str) -> dict[str, Any]:
    system = {"AllergyIntolerance": "allergyintolerance", "Condition": "condition"}[type_]
    ending = {"clinicalStatus": "clinical", "verificationStatus": "verification"}[name]
    if type_ == "Condition" and name == "verificationStatus":
        ending = "ver-status"
    concept = {"coding": [{"system": f"{HL7}/{system}-{ending}", "code": code}]}
    return {"resourceType": type_, name: concept}


@pytest.mark.parametrize(
    ("record", "is_counted", "mark"),
    [
        ({"resourceType": "Observation", "status": "final"}, True, None),
        ({"resourceType": "Observation", "status": "entered-in-error"}, False, "误录"),
        ({"resourceType": "Observation", "status": "preliminary"}, True, "初步"),
        ({"resourceType": "Immunization", "status": "not-done"}, False, "未执行"),
        (stated("AllergyIntolerance", "verificationStatus", "refuted"), False, "已排除"),
        (stated("AllergyIntolerance", "verificationStatus", "entered-in-error"), False, "误录"),
        (stated("AllergyIntolerance", "verificationStatus", "unconfirmed"), True, "未确认"),
        (stated("AllergyIntolerance", "clinicalStatus", "resolved"), False, "已消除"),
        (stated("AllergyIntolerance", "clinicalStatus", "active"), True, None),
        (stated("Condition", "clinicalStatus", "resolved"), True, "已痊愈"),
        (stated("Condition", "verificationStatus", "refuted"), False, "已排除"),
        ({"resourceType": "Condition", "verificationStatus": "refuted", "status": 1}, True, None),
    ],
)
def test_a_record_counts_where_it_stands_and_says_where_it_does_not(
    record: dict[str, Any], mark: str | None, *, is_counted: bool
) -> None:
    told = mark_of(record, Reader("zh", ZoneInfo("Asia/Shanghai")))
    assert (counts(record), told.text if told else None) == (is_counted, mark)


@pytest.mark.parametrize(
    ("record", "is_warning"),
    [
        ({"resourceType": "Observation", "status": "entered-in-error"}, True),
        (stated("AllergyIntolerance", "verificationStatus", "refuted"), True),
        (stated("Condition", "clinicalStatus", "resolved"), False),
        ({"resourceType": "Observation", "status": "preliminary"}, False),
    ],
)
def test_what_counts_nowhere_is_marked_as_a_warning_and_what_is_over_is_not(
    record: dict[str, Any], *, is_warning: bool
) -> None:
    told = mark_of(record, Reader("en", ZoneInfo("Asia/Shanghai")))
    assert told is not None
    assert told.is_warning is is_warning
