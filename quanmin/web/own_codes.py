"""Codes of value sets that an application knows itself, for people who choose one by typing: found
as those of the terminology are, by words of the name, pinyin or its initials.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

from quanmin.base.text import is_han
from quanmin.terminology import Choice, found_by
from quanmin.web.forms import read_number
from quanmin.workflow.forms import Option, Words

_CACHE: Final = 1024
_INITIALS_MIN: Final = 2


def found_in(
    options: Sequence[Option], words: str, language: str, *, after: str = "", count: int
) -> tuple[tuple[Choice, ...], str]:
    """At most `count` of those in which all the words are found, from a place on: what is called so
    first, then what begins so; and the place after which there are more, "" for none.
    """
    said = words.casefold().split()
    ranked = sorted(
        (rank, place)
        for place, one in enumerate(options)
        if (rank := _rank(one, " ".join(said), said)) is not None
    )
    start = read_number(after) or 0
    shown = ranked[start : start + count]
    more = str(start + count) if len(ranked) > start + count else ""
    return tuple(choice_of(options[at], language, is_exact=rank == 0) for rank, at in shown), more


def choice_of(option: Option, language: str, *, is_exact: bool = False) -> Choice:
    """An option as what may be chosen."""
    value = option.value
    display = str(value.get("display") or "")
    shown = option.words.told(language)
    return Choice(str(value.get("system") or ""), str(value["code"]), display, shown, is_exact)


def carried(options: Iterable[Option]) -> list[list[str]]:
    """Options as a page carries them, for the script that asks for more of them."""
    return [
        [str(one.value.get("system") or ""), str(one.value["code"]), one.words.text,
         one.words.told("en")]
        for one in options
    ]  # fmt: skip


def brought(carried: Any) -> list[Option]:
    """The options that a page has carried."""
    return [
        Option(
            "valueCoding",
            {"system": system, "code": code, "display": zh},
            Words(zh, {"en": en}),
        )
        for system, code, zh, en in carried
    ]


def _rank(option: Option, whole: str, said: Sequence[str]) -> int | None:
    """How well an option fits: 0 is called so, 1 begins so, 2 has all the words; None does not."""
    names = (option.words.text, option.words.told("en"))
    folded = [name.casefold() for name in names]
    words, pinyin, initials = _read(str(option.value["code"]), names)
    if not all(_has(word, words, pinyin, initials) for word in said):
        return None
    if whole in {str(option.value["code"]), *folded}:
        return 0
    begins = [*folded, *pinyin.split(), *initials.split()]
    return 1 if any(one.startswith(whole) for one in begins) else 2


def _has(word: str, words: str, pinyin: str, initials: str) -> bool:
    """Chinese anywhere, other words from their beginning, letters in pinyin and its initials."""
    if any(map(is_han, word)):
        return word in words
    is_spelled = word.isascii() and word.isalpha()
    is_short = len(word) < _INITIALS_MIN
    return (
        f" {word}" in words
        or (is_spelled and word in pinyin)
        or (is_spelled and not is_short and word in initials)
    )


@lru_cache(_CACHE)
def _read(code: str, names: tuple[str, ...]) -> tuple[str, str, str]:
    words, pinyin, initials = found_by(code, list(names))
    return words, pinyin or "", initials or ""
