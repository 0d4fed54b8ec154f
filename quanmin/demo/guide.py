"""What to look for in a province that has just been sent: people who show something."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
from pypinyin import Style, lazy_pinyin

from quanmin.demo.households import Human, make_household, place_of
from quanmin.demo.province import Province
from quanmin.demo.tables import PLACES

_LOOKED_AT_MAX = 3000
_BASIC_PLANE = 0xFFFF
_SEVERAL = 3
_PERFECT = 4


class Hint(msgspec.Struct, frozen=True):
    """Something to type into the search box, and what it will show."""

    shows: str
    term: str


def find_hints(province: Province) -> list[Hint]:
    """One person for each thing worth seeing, as far as the first households have them.

    The first hints are about one person in several books, whatever the size of the province.
    """
    looked_at = range(min(_LOOKED_AT_MAX, province.household_count))
    several = _find_several(province, looked_at)
    found = {"several": several} if several is not None else {}
    wanted: dict[str, Callable[[Human], bool]] = {
        "twins": lambda human: human.twin is not None,
        "dot": lambda human: "·" in human.name.text,
        "rare": lambda human: any(ord(character) > _BASIC_PLANE for character in human.name.text),
    }
    for number in looked_at:
        for human in make_household(province.seed, number).humans:
            for key in sorted(wanted.keys() - found.keys()):
                if wanted[key](human):
                    found[key] = human
        if len(found) == len(wanted) + 1:
            break
    return [hint for key, human in found.items() for hint in _hints(key, human)]


def _find_several(province: Province, looked_at: range) -> Human | None:
    """Someone with an identity number in three books or more, rather of the focus county and
    with a wrong name in one of them.
    """
    best, best_score = None, 0
    for number in looked_at:
        is_focus = place_of(province.seed, number).county.code == PLACES.focus_county
        # Histories take time to make, so others are looked at only while nobody has been found.
        if not is_focus and best is not None:
            continue
        for human, score in _in_several_books(province, number):
            if score + is_focus > best_score:
                best, best_score = human, score + is_focus
        if best_score == _PERFECT:
            break
    return best


def _in_several_books(province: Province, number: int) -> Iterator[tuple[Human, int]]:
    household = make_household(province.seed, number)
    books = list(province.books(household))
    for human in household.humans:
        own = [book.registration.differs for book in books if book.registration.human is human]
        if human.has_identity and human.died is None and len(own) >= _SEVERAL:
            yield human, 1 + 2 * any(differs in {"name_typo", "pinyin_name"} for differs in own)


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
