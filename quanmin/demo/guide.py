"""What to look for in a province that has just been sent: people who show something."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from pypinyin import Style, lazy_pinyin

from quanmin.demo.households import Household, Human
from quanmin.demo.province import Book, Province
from quanmin.demo.tables import PLACES

_LOOKED_AT_MAX = 3000
_BASIC_PLANE = 0xFFFF


class Hint(msgspec.Struct, frozen=True):
    """Something to type into the search box, and what it will show."""

    shows: str
    term: str


def find_hints(province: Province) -> list[Hint]:
    """One person for each thing worth seeing, as far as the first households have them."""
    wanted: dict[str, Callable[[Household, list[Book]], Human | None]] = {
        "several": _registered_differently,
        "twins": _twin,
        "dot": _with_dot,
        "rare": _with_rare_character,
    }
    found: dict[str, Human] = {}
    for _, household in zip(range(_LOOKED_AT_MAX), province.households(), strict=False):
        if len(found) == len(wanted):
            break
        books = list(province.books(household))
        for key, looks in wanted.items():
            if key not in found and (human := looks(household, books)) is not None:
                found[key] = human
    return [hint for key, human in found.items() for hint in _hints(key, human)]


def _hints(key: str, human: Human) -> list[Hint]:
    name = human.name.text
    if key == "several":
        pinyin = lazy_pinyin(name, style=Style.NORMAL)
        return [
            Hint("one person in the books of several institutions, by name", name),
            Hint("the same by pinyin", "".join(pinyin)),
            Hint("by initials", "".join(syllable[0] for syllable in pinyin)),
            Hint("by identity number", human.identity),
            Hint("by phone, perhaps shared in the family", human.phone),
        ]
    shows = {
        "twins": "a twin: born the same day, another person",
        "dot": "a name with a middle dot",
        "rare": "a name with a character beyond the basic plane",
    }
    return [Hint(shows[key], name)]


def _registered_differently(household: Household, books: list[Book]) -> Human | None:
    """Someone of the focus county registered three times, once under a wrong name."""
    if household.township.county.code != PLACES.focus_county:
        return None
    for human in household.humans:
        own = [book.registration for book in books if book.registration.human is human]
        wrong = any(registration.differs in {"name_typo", "pinyin_name"} for registration in own)
        if len(own) > 2 and wrong and human.has_identity and human.died is None:
            return human
    return None


def _twin(household: Household, _: list[Book]) -> Human | None:
    return next((human for human in household.humans if human.twin is not None), None)


def _with_dot(household: Household, _: list[Book]) -> Human | None:
    return next((human for human in household.humans if "·" in human.name.text), None)


def _with_rare_character(household: Household, _: list[Book]) -> Human | None:
    for human in household.humans:
        if any(ord(character) > _BASIC_PLANE for character in human.name.text):
            return human
    return None
