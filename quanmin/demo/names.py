"""Names of invented people: surname and given name as often as they occur, and what clerks
make of them.
"""

from __future__ import annotations

from bisect import bisect_right

import msgspec
from pypinyin import Style, lazy_pinyin

from quanmin.demo.dice import Dice, Weighted
from quanmin.demo.tables import GIVEN_NAMES, MINORITIES, POPULATION, SURNAMES, Era, People


class Name(msgspec.Struct, frozen=True):
    """A name as the register writes it; `family` is empty for those who have none."""

    family: str
    given: str
    text: str


_SURNAMES = Weighted(
    [
        *SURNAMES.common,
        *((name, SURNAMES.uncommon_share / len(SURNAMES.uncommon)) for name in SURNAMES.uncommon),
    ]
)
_ERA_STARTS = [era.from_year for era in GIVEN_NAMES.eras]
_PEOPLES = {people.code: people for people in MINORITIES.peoples}
_HOMOPHONES = {
    character: group.replace(character, "")
    for group in POPULATION.registrations.homophones
    for character in group
}
ETHNIC_GROUPS = {
    MINORITIES.majority["code"]: MINORITIES.majority["name"],
    **{people.code: people.name for people in MINORITIES.peoples},
}


def draw_surname(dice: Dice) -> str:
    """A surname, as often as the register has it."""
    return dice.draw(_SURNAMES)


def draw_ethnic_group(dice: Dice, prefecture: str) -> str:
    """The people (GB/T 3304 code) of a household of this prefecture."""
    share = dice.share()
    for people in MINORITIES.peoples:
        share -= people.at_home if prefecture in people.homes else people.everywhere
        if share < 0:
            return people.code
    return MINORITIES.majority["code"]


def make_name(dice: Dice, ethnic_group: str, family: str, born_year: int, *, male: bool) -> Name:
    """A name for someone born in that year; `family` is used by peoples who hand surnames down
    as the Han do.
    """
    people = _PEOPLES.get(ethnic_group)
    if people is not None and people.order != "as_majority":
        return _minority_name(dice, people, male=male)
    given = _given_name(
        dice, GIVEN_NAMES.eras[max(0, bisect_right(_ERA_STARTS, born_year) - 1)], male=male
    )
    return Name(family, given, family + given)


def _given_name(dice: Dice, era: Era, *, male: bool) -> str:
    if dice.chance(GIVEN_NAMES.rare_share):
        rare = dice.pick(GIVEN_NAMES.rare)
        return rare if dice.chance(0.5) else dice.pick(era.male if male else era.female) + rare
    if dice.chance(GIVEN_NAMES.whole_name):
        return dice.pick(era.male_names if male else era.female_names)
    characters = era.male if male else era.female
    first = dice.pick(characters)
    return first if dice.chance(GIVEN_NAMES.one_character) else first + dice.pick(characters)


def _minority_name(dice: Dice, people: People, *, male: bool) -> Name:
    own = dice.pick(people.male if male else people.female)
    other = dice.pick(people.family)
    if people.order == "given_only":
        return Name("", other + own, other + own)
    if people.order == "given_first":
        # The second part is the father's name, not a surname; clerks write it into the family
        # field all the same.
        return Name(other, own, f"{own}{people.dot}{other}")
    return Name(other, own, f"{other}{people.dot}{own}")


def misheard(dice: Dice, name: Name) -> Name:
    """The same sound in other characters; the last two characters swapped where none sounds
    alike.
    """
    for position in range(len(name.given) - 1, -1, -1):
        alike = _HOMOPHONES.get(name.given[position])
        if alike:
            return _with_given(
                name, name.given[:position] + dice.pick(alike) + name.given[position + 1 :]
            )
    if len(name.given) > 1:
        return _with_given(name, name.given[:-2] + name.given[-1] + name.given[-2])
    return _with_given(name, name.given + name.given)


def _with_given(name: Name, given: str) -> Name:
    # Replaced from the right: a surname may be the same character as the given name.
    head, _, tail = name.text.rpartition(name.given)
    return Name(name.family, given, head + given + tail)


def in_pinyin(name: Name) -> Name:
    """The name as a foreign-made registration machine writes it: capitals, no tones, no
    characters.
    """
    family = "".join(lazy_pinyin(name.family, style=Style.NORMAL)).upper()
    given = "".join(lazy_pinyin(name.given, style=Style.NORMAL)).upper()
    return Name(family, given, f"{family} {given}".strip())


def newborn_name(mother: Name, *, male: bool, order: int | None) -> Name:
    """What a delivery ward writes before a child has a name; `order` numbers twins from 1."""
    child = (
        ("之子" if male else "之女")
        if order is None
        else ("之大", "之小")[order - 1] + ("子" if male else "女")
    )
    return Name("", "", mother.text + child)
