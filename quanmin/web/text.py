"""The two languages of the pages, and which one an asker reads."""

from __future__ import annotations

from typing import Final, Literal, get_args

import msgspec

Language = Literal["zh", "en"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
_HAN_FIRST = 0x2E80


class Text(msgspec.Struct, frozen=True):
    """A short text in both languages; neither may be missing."""

    zh: str
    en: str

    def told(self, language: Language) -> str:
        """The text in one language."""
        return self.zh if language == "zh" else self.en


COLON: Final = Text(zh="：", en=": ")
"""What stands between a name and what is said of it."""
SEMICOLON: Final = Text(zh="；", en="; ")
"""What stands between what is said one after the other."""


def as_language(word: str | None) -> Language | None:
    """The language a tag names (`zh-CN`, `en_GB`), None when it is neither of ours."""
    head = (word or "").strip().lower().replace("_", "-").partition("-")[0]
    return next((language for language in LANGUAGES if language == head), None)


def preferred(accept_language: str) -> Language:
    """Our language of most weight in an Accept-Language header; Chinese when it names neither.

    A header that is not understood counts as none: a page in the second-best language beats an
    error.
    """
    wishes: list[tuple[float, int, Language]] = []
    for place, part in enumerate(accept_language.split(",")[:20]):
        tag, _, weight = part.partition(";")
        language = as_language(tag)
        if language is not None:
            wishes.append((-_weight(weight), place, language))
    wishes.sort()
    return wishes[0][2] if wishes and wishes[0][0] < 0 else "zh"


def _weight(text: str) -> float:
    name, _, value = text.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return min(max(float(value), 0.0), 1.0)
    except ValueError:
        return 0.0


def other_language(text: str, page_language: Language) -> Language | None:
    """The language of a text where it is not that of its page; digits and signs belong to both."""
    has_chinese = any(ord(character) >= _HAN_FIRST for character in text)
    if page_language == "en":
        return "zh" if has_chinese else None
    is_english = any(character.isascii() and character.isalpha() for character in text)
    return "en" if is_english and not has_chinese else None
