"""What folding, runs, readings and spellings give."""

from __future__ import annotations

import pytest

from quanmin.base.text import Piece, fold, readings, runs, spellings, words


def spelled(word: str) -> set[str]:
    """The spellings of a word; `*` marks a piece of which only the beginning was typed."""
    return {
        " ".join(
            f"{piece.letters}{piece.tone}{'' if piece.is_whole else '*'}" for piece in spelling
        )
        for spelling in spellings(word)
    }


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("José ÁLVAREZ", "jose alvarez"),
        ("O'Brien", "obrien"),
        ("Smith-Jones", "smith jones"),
        ("ＡＢＣ１２３", "abc123"),
        ("Straße", "strasse"),
        ("买买提·艾力", "买买提 艾力"),
        ("买买提•艾力", "买买提 艾力"),
        ("  two   spaces ", "two spaces"),
        ("བཀྲ་ཤིས", "བཀྲ ཤིས"),
        ("--", ""),
    ],
)
def test_folding_drops_case_accents_width_and_punctuation(text: str, folded: str) -> None:
    assert fold(text) == folded


def test_accents_stay_in_words_because_they_may_be_tones() -> None:
    assert words("Wáng Xiǎo") == ("wáng", "xiǎo")


def test_a_space_between_chinese_characters_parts_no_run() -> None:
    assert [run.text for run in runs(fold("王 小明"))] == ["王小明"]


def test_letters_and_digits_among_chinese_characters_are_runs_of_their_own() -> None:
    found = [(run.text, run.is_han) for run in runs(fold("红星路159号CT室"))]
    assert found == [
        ("红星路", True),
        ("159", False),
        ("号", True),
        ("ct", False),
        ("室", True),
    ]


@pytest.mark.parametrize(
    ("name", "reading"),
    [
        ("单雄信", "shan4"),
        ("曾国藩", "zeng1"),
        ("仇英", "qiu2"),
        ("解缙", "xie4"),
        ("朴成", "piao2"),
        ("盖叫天", "ge3"),
        ("尉迟恭", "yu4"),
        ("万俟卨", "mo4"),
        ("吕布", "lv3"),
    ],
)
def test_a_surname_is_read_as_a_surname(name: str, reading: str) -> None:
    assert reading in readings(name)[0]


def test_a_word_gives_its_characters_their_reading_first() -> None:
    assert readings("重庆")[0][0] == "chong2"
    assert readings("重量")[0][0] == "zhong4"


def test_a_character_has_few_readings_however_many_it_ever_had() -> None:
    assert all(1 <= len(found) <= 4 for found in readings("王行和着重长朝单解区"))


def test_a_character_no_dictionary_knows_has_no_reading_and_shifts_no_other() -> None:
    assert readings("\U0003134a明")[0] == ()
    assert "ming2" in readings("\U0003134a明")[1]


@pytest.mark.parametrize(
    ("word", "spelling"),
    [
        ("wangxiaoming", "wang xiao ming"),
        ("wáng", "wang2"),
        ("wang2xiao3", "wang2 xiao3"),
        ("wangxiaom", "wang xiao m*"),
        ("wangxm", "wang x* m*"),
        ("wxm", "w* x* m*"),
        ("zha", "zha"),
        ("zh", "zh*"),
        ("lü", "lv"),
        ("lyu", "lv"),
        ("nǚ", "nv3"),
    ],
)
def test_pinyin_is_read_whole_begun_or_as_initials(word: str, spelling: str) -> None:
    assert spelling in spelled(word)


def test_an_ambiguous_word_is_read_in_every_likely_way() -> None:
    assert spelled("xian") == {"xian", "xi an"}


@pytest.mark.parametrize("word", ["smith", "abbott774", "7", "naïve", "schwarzenegger", "v"])
def test_what_is_no_pinyin_has_no_spelling(word: str) -> None:
    assert spelled(word) == set()


def test_spellings_are_few_however_long_the_word() -> None:
    assert len(spellings("ananananananananananan")) <= 6
    assert spellings("an" * 40) == ()


def test_a_tone_must_be_one_of_the_readings() -> None:
    assert Piece("wang", "2").is_read_in(("wang2", "wang4"))
    assert not Piece("wang", "3").is_read_in(("wang2", "wang4"))
    assert Piece("wa", is_whole=False).is_read_in(("wang2",))


def test_of_a_text_as_long_as_a_record_may_have_only_the_beginning_is_read() -> None:
    assert readings("王" * 100_000) == readings("王" * 256)
    assert len(readings("王小明" * 100_000)) == 256


def test_names_are_remembered_and_long_texts_are_not() -> None:
    assert runs("王小明") is runs("王小明")
    assert runs("王小明" * 100) is not runs("王小明" * 100)
