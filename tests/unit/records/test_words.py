"""What a name or address is found by, and how many keys it costs."""

from __future__ import annotations

import pytest

from quanmin.fhir.table import load_table
from quanmin.records.keying import Keying
from quanmin.records.words import Modifier, index_words, is_found, needed_keys

KEYING = Keying(b"k" * 32)


def is_candidate(
    param: str, modifier: Modifier, text: str, values: list[str], kept_as: str | None = None
) -> bool:
    """Whether the keys of the values have what the question needs."""
    keys = set(index_words(KEYING, "Patient", kept_as or param, values))
    needed = needed_keys(KEYING, "Patient", param, modifier, text)
    return all(any(keys.issuperset(each) for each in group) for group in needed)


@pytest.mark.parametrize(
    "text",
    [
        "王小明", "王", "小明", "明", "小", "王 小明", "wangxiaoming", "wang xiao ming",
        "xiaoming", "ming", "wang", "Xiaoming Wang", "wáng xiǎo míng", "wang2xiao3ming2",
        "WangXM", "wxm", "xm", "w", "wangx", "王xiaoming", "WXM",
    ],
)  # fmt: skip
def test_a_chinese_name_is_found_by_characters_pinyin_tones_initials_and_any_part(
    text: str,
) -> None:
    assert is_found("name", None, text, ["王小明"])
    assert is_candidate("name", None, text, ["王小明"])


@pytest.mark.parametrize(
    "text",
    [
        "明小",
        "李",
        "zhang",
        "wang3",
        "mx",
        "wangming",
        "wangxiaomi",
        "xiaomin g",
        "smith",
        "王大明",
    ],
)
def test_a_chinese_name_is_not_found_by_what_it_is_not(text: str) -> None:
    assert not is_found("name", None, text, ["王小明"])


@pytest.mark.parametrize(
    "text",
    ["买买提·艾力", "买买提艾力", "买买提•艾力", "艾力", "买买提", "maimaiti", "mmt", "提艾"],
)
def test_a_middle_dot_may_be_left_out_or_written_otherwise(text: str) -> None:
    assert is_found("name", None, text, ["买买提·艾力"])
    assert is_candidate("name", None, text, ["买买提·艾力"])


@pytest.mark.parametrize("text", ["shanxiongxin", "danxiongxin", "sxx"])
def test_a_name_is_found_by_its_surname_reading_and_by_the_usual_one(text: str) -> None:
    assert is_found("name", None, text, ["单雄信"])
    assert is_candidate("name", None, text, ["单雄信"])


@pytest.mark.parametrize("text", ["José", "jose", "JOSE", "jos", "alva", "o'brien", "obrien"])
def test_a_latin_name_is_found_without_accents_by_the_start_of_any_word(text: str) -> None:
    values = ["José Álvarez O'Brien"]
    assert is_found("name", None, text, values)
    assert is_candidate("name", None, text, values)


@pytest.mark.parametrize("text", ["lvarez", "ose", "brien", "alvarez jose"])
def test_a_latin_name_is_not_found_by_the_middle_of_a_word(text: str) -> None:
    assert not is_found("name", None, text, ["José Álvarez O'Brien"])


@pytest.mark.parametrize("text", ["lvar", "se al", "É"])
def test_contains_finds_any_part(text: str) -> None:
    assert is_found("name", "contains", text, ["José Álvarez"])
    assert is_candidate("name", "contains", text, ["José Álvarez"])


def test_exact_is_as_written() -> None:
    assert is_found("name", "exact", "José", ["José", "Álvarez"])
    assert not is_found("name", "exact", "jose", ["José", "Álvarez"])
    assert not is_found("name", "exact", "Jos", ["José", "Álvarez"])


@pytest.mark.parametrize(
    "text",
    ["锦江区", "成都", "红星路二段159号", "159", "chengdu", "jinjiang", "四", "Chéngdū", "dushi"],
)
def test_an_address_is_found_by_any_part_and_by_pinyin(text: str) -> None:
    values = ["四川省成都市锦江区红星路二段159号3栋"]
    assert is_found("address", None, text, values)
    assert is_candidate("address", None, text, values)


@pytest.mark.parametrize("text", ["江", "cheng", "jjq", "59"])
def test_an_address_is_not_found_by_a_single_character_or_syllable_within_it(text: str) -> None:
    assert not is_found("address", None, text, ["四川省成都市锦江区红星路二段159号3栋"])


def test_a_title_is_found_by_characters_but_not_by_pinyin() -> None:
    assert is_found("title", None, "随访", ["高血压患者随访记录"])
    assert is_candidate("title", None, "随访", ["高血压患者随访记录"])
    assert not is_found("title", None, "suifang", ["高血压患者随访记录"])


def test_what_lies_beyond_the_keys_of_a_long_text_is_found_all_the_same() -> None:
    values = [" ".join(f"word{number}" for number in range(200))]
    assert is_found("title", None, "word199", values)
    assert is_candidate("title", None, "word199", values)


def test_the_parts_of_a_name_are_found_by_the_keys_of_the_whole() -> None:
    assert index_words(KEYING, "Patient", "family", ["王"]) == []
    assert is_candidate("family", None, "王", ["王", "小明", "王小明"], kept_as="name")


def test_wherever_a_part_is_searched_the_whole_is_indexed() -> None:
    """Else the keys of a part would be nowhere."""
    for definition in load_table().types.values():
        for part, whole in [("family", "name"), ("phonetic", "name"), ("address-city", "address")]:
            if part in definition.params:
                assert definition.params[whole].kind == "string", definition.name


@pytest.mark.parametrize(
    ("name", "keys_max"), [("王小明", 18), ("欧阳娜娜", 24), ("曾国藩", 20), ("买买提·艾力", 40)]
)
def test_a_name_has_few_keys(name: str, keys_max: int) -> None:
    assert len(set(index_words(KEYING, "Patient", "name", [name, name[0], name[1:]]))) <= keys_max


def test_common_names_have_25_keys_at_most_on_average() -> None:
    surnames = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗"
    given = [
        "伟",
        "芳",
        "娜",
        "秀英",
        "敏",
        "静",
        "丽",
        "强",
        "磊",
        "军",
        "洋",
        "勇",
        "建国",
        "玉兰",
    ]
    names = [first + last for first in surnames for last in given]
    counts = [len(index_words(KEYING, "Patient", "name", [name])) for name in names]
    assert sum(counts) / len(counts) <= 18
    assert max(counts) <= 32


def test_a_text_of_nothing_but_marks_finds_nothing() -> None:
    assert not is_found("name", None, "--", ["王小明"])


@pytest.mark.parametrize("text", ["王", "明王", "ming wang", "wxm", "wangxiaoming"])
def test_a_text_too_long_to_be_read_whole_is_still_found_by_what_it_begins_with(text: str) -> None:
    assert is_found("name", None, text, ["王小明" * 1000])
    assert is_candidate("name", None, text, ["王小明" * 1000])


@pytest.mark.parametrize(
    ("text", "name"),
    [
        *[
            (text, "吕布")
            for text in ("lubu", "lvbu", "lübu", "lyubu", "lu", "lv", "lǚ bù", "lu3bu4")
        ],
        *[(text, "略阳") for text in ("lueyang", "lveyang", "lüeyang")],
        *[(text, "王女") for text in ("wangnu", "wangnv", "nü", "wangnü")],
        ("lubu", "鲁布"),
    ],
)
def test_a_name_with_the_vowel_u_umlaut_is_found_as_people_type_it(text: str, name: str) -> None:
    assert is_found("name", None, text, [name])
    assert is_candidate("name", None, text, [name])


@pytest.mark.parametrize("text", ["lvbu", "lübu", "lyubu"])
def test_who_types_the_umlaut_means_it(text: str) -> None:
    assert not is_found("name", None, text, ["鲁布"])
