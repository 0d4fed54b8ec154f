from __future__ import annotations

from quanmin.fhir.json import decode
from quanmin.web.differences import differences


def told(before: str, after: str) -> list[tuple[str, str, str, str]]:
    found = differences(decode(before.encode()), decode(after.encode()))
    return [(one.place, one.kind, one.before, one.after) for one in found]


def test_each_leaf_that_differs_is_told_with_both_sides() -> None:
    assert told(
        '{"name": [{"text": "张伟"}], "active": true, "gender": "male"}',
        '{"name": [{"text": "张玮"}, {"text": "小张"}], "gender": "male"}',
    ) == [
        ("name[0].text", "changed", "张伟", "张玮"),
        ("name[1].text", "added", "", "小张"),
        ("active", "removed", "true", ""),
    ]


def test_version_and_time_of_storing_do_not_count() -> None:
    before = '{"meta": {"versionId": "1", "lastUpdated": "2020-01-01T00:00:00Z"}}'
    after = '{"meta": {"versionId": "2", "lastUpdated": "2021-01-01T00:00:00Z"}}'
    assert told(before, after) == []


def test_another_precision_is_another_statement() -> None:
    assert told('{"v": 1.0}', '{"v": 1.00}') == [("v", "changed", "1.0", "1.00")]
