"""The infectious diseases of the province: a seasonal background, and one outbreak whose truth
is known.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from datetime import date, timedelta

import msgspec

from quanmin.demo.dice import Dice, Weighted
from quanmin.demo.households import FIRST_DAY, LAST_DAY, Human
from quanmin.demo.tables import INFECTIONS, PLACES, Infection

_MONTHS = {
    infection.key: Weighted(enumerate(infection.months, 1)) for infection in INFECTIONS.infections
}


class Case(msgspec.Struct, frozen=True):
    """One person ill with one infection from a day on."""

    code: str
    name: str
    day: date
    notifiable: bool
    medicines: tuple[str, ...]
    panels: tuple[str, ...]


class Outbreak(msgspec.Struct, frozen=True):
    """The planted outbreak as it really is: `cases` by week from `first_day`, all of them in
    `county`.
    """

    code: str
    name: str
    county: str
    first_day: date
    weeks: int
    attack_rate: float
    cases: tuple[int, ...]
    people: int


def background(dice: Dice, human: Human) -> list[Case]:
    """The infections a person has in ten years without any outbreak."""
    cases = []
    for year in range(FIRST_DAY.year, LAST_DAY.year + 1):
        age = year - human.born.year
        if age < 0 or (human.died is not None and year > human.died.year):
            continue
        band = bisect_left(INFECTIONS.bands, age)
        for infection in INFECTIONS.infections:
            if dice.share() * 1000 < infection.yearly_per_thousand[band]:
                case = _draw_case(dice, infection, year)
                if FIRST_DAY <= case.day <= LAST_DAY and human.lives(case.day):
                    cases.append(case)
    return cases


def _draw_case(dice: Dice, infection: Infection, year: int) -> Case:
    day = date(year, dice.draw(_MONTHS[infection.key]), dice.between(1, 28))
    return Case(
        infection.code,
        infection.name,
        day,
        infection.notifiable,
        infection.medicines,
        infection.panels,
    )


_WEEKS = Weighted(enumerate(INFECTIONS.outbreak.weeks))


def outbreak_case(seed: int, human: Human, county: str) -> Case | None:
    """The person's illness in the planted outbreak; its own dice, so that it can be counted
    without a history.
    """
    if county != PLACES.focus_county:
        return None
    planted = INFECTIONS.outbreak
    dice = Dice(seed, "outbreak", human.serial)
    if not dice.chance(planted.attack_rate):
        return None
    day = planted.first_day + timedelta(days=7 * dice.draw(_WEEKS) + dice.below(7))
    if not human.lives(day):
        return None
    return Case(
        planted.code,
        planted.name,
        day,
        notifiable=True,
        medicines=planted.medicines,
        panels=planted.panels,
    )


def count_outbreak(cases: list[date], people: int) -> Outbreak:
    """The truth of the outbreak from the days of its cases among `people` of the county."""
    planted = INFECTIONS.outbreak
    weeks = Counter((day - planted.first_day).days // 7 for day in cases)
    return Outbreak(
        planted.code,
        planted.name,
        PLACES.focus_county,
        planted.first_day,
        len(planted.weeks),
        planted.attack_rate,
        tuple(weeks[week] for week in range(len(planted.weeks))),
        people,
    )
