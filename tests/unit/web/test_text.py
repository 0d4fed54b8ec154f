from __future__ import annotations

import pytest

from quanmin.web.text import Text, as_language, preferred


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en-GB,en;q=0.9,zh;q=0.1", "en"),
        ("fr,de;q=0.9", "zh"),
        ("fr, en;q=0.2, zh;q=0.1", "en"),
        ("zh;q=0, en;q=0.1", "en"),
        ("en;q=banana, zh;q=0.1", "zh"),
        ("", "zh"),
        (";;;,,,q=", "zh"),
    ],
)
def test_the_language_of_most_weight_is_taken(header: str, language: str) -> None:
    assert preferred(header) == language


def test_a_language_tag_is_known_by_its_first_part() -> None:
    assert as_language("zh-Hans-CN") == "zh"
    assert as_language("EN_us") == "en"
    assert as_language("fr") is None
    assert as_language(None) is None


def test_a_text_is_told_in_the_language_asked_for() -> None:
    text = Text(zh="就诊", en="Visit")
    assert (text.told("zh"), text.told("en")) == ("就诊", "Visit")
