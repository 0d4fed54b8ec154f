from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from quanmin.web.gist import title_of
from quanmin.web.reading import Reader

CHINESE = Reader("zh", ZoneInfo("Asia/Shanghai"))


@pytest.mark.parametrize(
    ("resource", "told"),
    [
        ({"resourceType": "Patient", "name": [{"text": "张伟"}]}, "张伟"),
        ({"resourceType": "Patient", "name": [{}, {"family": "张", "given": ["伟"]}]}, "张伟"),
        ({"resourceType": "Patient"}, "患者登记"),
        (
            {"resourceType": "Organization", "name": "第一医院", "type": [{"text": "综合医院"}]},
            "第一医院",
        ),
        ({"resourceType": "Questionnaire", "name": "PHQ9", "title": "抑郁筛查"}, "抑郁筛查"),
        ({"resourceType": "Condition", "code": {"text": "头痛"}, "name": "x"}, "头痛"),
    ],
)
def test_a_record_is_called_by_its_name_where_it_has_one_of_its_own(
    resource: dict[str, Any], told: str
) -> None:
    assert title_of(resource, CHINESE).text == told
