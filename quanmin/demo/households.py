"""Households and the people in them: who lives together, since when, with which numbers.

A household is made from the seed and its own number alone, so any one of them can be made at any
time, in any order.
"""

from __future__ import annotations

from datetime import date, timedelta

import msgspec

from quanmin.demo.dice import Dice, Weighted
from quanmin.demo.names import Name, draw_ethnic_group, draw_surname, make_name
from quanmin.demo.numbering import birth_day, identity_number, phone_number
from quanmin.demo.places import COUNTIES, COUNTY_WEIGHTS, Township, address_line, townships
from quanmin.demo.tables import POPULATION, ChronicRates

LAST_DAY = POPULATION.last_day
FIRST_DAY = LAST_DAY.replace(year=LAST_DAY.year - POPULATION.years)
SLOTS = 5  # no kind of household has more members
_KINDS = Weighted(POPULATION.households.items())
_ALLERGIES = ("青霉素类抗生素", "头孢菌素类抗生素", "磺胺类药物", "花粉", "海鲜", "尘螨")


class Human(msgspec.Struct):
    """One person of the province, as only the generator knows them.

    `twin` is 1 or 2 for twins; `mother` the slot of the mother when she lives here;
    `hypertension` and `diabetes` the day of the first diagnosis.
    """

    serial: int
    slot: int
    name: Name
    male: bool
    born: date
    identity: str
    has_identity: bool
    ethnic_group: str
    phone: str
    is_married: bool
    died: date | None = None
    mother: int | None = None
    twin: int | None = None
    hypertension: date | None = None
    diabetes: date | None = None
    allergy: str | None = None

    @property
    def key(self) -> str:
        """Names this person in the known truth, never in a record."""
        return f"person-{self.serial:07d}"

    def age(self, day: date) -> int:
        """Completed years on that day; negative before birth."""
        born = self.born
        return day.year - born.year - ((day.month, day.day) < (born.month, born.day))

    def lives(self, day: date) -> bool:
        """Whether the person is alive on that day."""
        return self.born <= day and (self.died is None or day < self.died)


class Household(msgspec.Struct, frozen=True):
    """People at one address; `village` is the number of the village clinic that looks after
    them.
    """

    number: int
    township: Township
    village: int
    address: str
    humans: tuple[Human, ...]


class _Member(msgspec.Struct, frozen=True):
    """What a kind of household asks of a member: `child_of` is the slot of the mother."""

    age: float
    male: bool
    is_married: bool
    own_family: bool
    child_of: int | None = None
    twin: int | None = None


def place_of(seed: int, number: int) -> Township:
    """Where a household lives: the first draws of its dice, so that asking is cheap."""
    dice = Dice(seed, "household", number)
    return dice.draw(townships(dice.draw(COUNTY_WEIGHTS).code))


def size_of(seed: int, number: int) -> int:
    """How many people a household has, without making them."""
    return len(_members(Dice(seed, "members", number)))


def make_household(seed: int, number: int) -> Household:
    """The household of this number."""
    dice = Dice(seed, "household", number)
    township = dice.draw(townships(dice.draw(COUNTY_WEIGHTS).code))
    address, village = address_line(township, dice)
    ethnic_group = draw_ethnic_group(dice, township.county.prefecture)
    families = draw_surname(dice), draw_surname(dice), draw_surname(dice)
    shared_phone = phone_number(number * (SLOTS + 1))
    humans: list[Human] = []
    for slot, member in enumerate(_members(Dice(seed, "members", number))):
        # A wife keeps her own surname; children and their father's parents share his.
        family = families[0] if member.own_family else families[1 + slot % 2]
        human = _make_human(
            dice, number * SLOTS + slot, slot, member, township, ethnic_group, family, humans
        )
        adult = human.age(LAST_DAY) >= 16
        own = adult and dice.chance(POPULATION.people.own_phone)
        human.phone = phone_number(number * (SLOTS + 1) + 1 + slot) if own else shared_phone
        humans.append(human)
    for human in humans:
        _draw_health(dice, human, humans)
    return Household(number, township, village, address, tuple(humans))


def _members(dice: Dice) -> list[_Member]:
    """The members a drawn kind of household has; the second of a couple is the wife."""
    kind = dice.draw(_KINDS)
    if kind == "one_old":
        return [_Member(dice.near(76, 6), dice.chance(0.4), is_married=False, own_family=True)]
    if kind == "one_young":
        return [
            _Member(22 + 20 * dice.share(), dice.chance(0.55), is_married=False, own_family=True)
        ]
    if kind == "old_couple":
        return _couple(dice, dice.near(70, 6))
    if kind == "young_couple":
        return _couple(dice, 24 + 14 * dice.share())
    if kind == "one_parent":
        mother = _Member(28 + 22 * dice.share(), male=False, is_married=False, own_family=True)
        return [mother, *_children(dice, mother.age, 0, 1)]
    age = 27 + 31 * dice.share()
    parents = _couple(dice, age)
    if kind == "three_generations":
        old = _couple(dice, age + dice.near(26, 2))
        grown = [*parents, *_children(dice, parents[1].age, 1, 1)]
        return [*grown, *old] if dice.chance(0.6) else [*grown, old[dice.below(2)]]
    return [*parents, *_children(dice, parents[1].age, 1, 1 if kind == "parents_one_child" else 2)]


def _couple(dice: Dice, age: float) -> list[_Member]:
    wife = max(21.0, age - dice.near(2, 1.5))
    return [
        _Member(age, male=True, is_married=True, own_family=True),
        _Member(wife, male=False, is_married=True, own_family=False),
    ]


def _children(dice: Dice, mother_age: float, mother: int, count: int) -> list[_Member]:
    # Born when she was 21 to 34; nobody is born after the last day.
    oldest = max(0.02, min(mother_age - 21 - 13 * dice.share(), 24 + dice.share()))
    first = _Member(oldest, dice.chance(0.52), is_married=False, own_family=True, child_of=mother)
    if count == 1:
        return [first]
    if dice.chance(POPULATION.people.twins_of_two):
        alike = dice.chance(0.6)
        male = first.male if alike else not first.male
        return [
            msgspec.structs.replace(first, twin=1),
            msgspec.structs.replace(first, twin=2, male=male),
        ]
    younger = max(0.02, oldest - 1.5 - 4 * dice.share())
    return [
        msgspec.structs.replace(first, age=max(oldest, younger + 1.2)),
        _Member(younger, dice.chance(0.52), is_married=False, own_family=True, child_of=mother),
    ]


def _make_human(  # noqa: PLR0917 - a person is made of all of this
    dice: Dice,
    serial: int,
    slot: int,
    member: _Member,
    township: Township,
    ethnic_group: str,
    family: str,
    others: list[Human],
) -> Human:
    year = (LAST_DAY - timedelta(days=member.age * 365.25)).year
    day, order = birth_day(year, serial)
    born = date(year, 1, 1) + timedelta(days=day)
    if born > LAST_DAY:
        born = born.replace(year=year - 1)
    if member.twin == 2:
        born, order = others[-1].born, order + 249
    name = make_name(dice, ethnic_group, family, born.year, male=member.male)
    while any(name.text == other.name.text for other in others):
        name = make_name(dice, ethnic_group, family, born.year, male=member.male)
    moved = member.child_of is None and dice.chance(POPULATION.people.moved_in)
    division = dice.pick(list(COUNTIES)) if moved else township.county.code
    return Human(
        serial=serial,
        slot=slot,
        name=name,
        male=member.male,
        born=born,
        identity=identity_number(division, born, order, male=member.male),
        has_identity=not dice.chance(POPULATION.people.identity_missing),
        ethnic_group=ethnic_group,
        phone="",
        is_married=member.is_married,
        mother=member.child_of,
        twin=member.twin,
    )


def _draw_health(dice: Dice, human: Human, household: list[Human]) -> None:
    """When the person dies, falls chronically ill, and what they cannot bear."""
    if dice.chance(POPULATION.people.allergy):
        human.allergy = dice.pick(_ALLERGIES)
    children = [child.born for child in household if child.mother is not None]
    # A parent of a small child is not let die: the household would need a story that the demo
    # does not tell.
    died = _draw_death(dice, human)
    if died is not None and (not children or died > max(children) + timedelta(days=400)):
        human.died = died
    human.hypertension = _draw_onset(dice, human, POPULATION.hypertension)
    human.diabetes = _draw_onset(dice, human, POPULATION.diabetes)


def _draw_death(dice: Dice, human: Human) -> date | None:
    for year in range(max(FIRST_DAY.year, human.born.year), LAST_DAY.year + 1):
        age = year - human.born.year
        yearly = next(rate for upper, rate in POPULATION.deaths.by_age if age <= upper)
        if dice.chance(yearly):
            died = date(year, 1, 1) + timedelta(days=dice.below(365))
            if max(FIRST_DAY, human.born) < died <= LAST_DAY:
                return died
    return None


def _draw_onset(dice: Dice, human: Human, rates: ChronicRates) -> date | None:
    age = human.age(human.died or LAST_DAY)
    share, when = dice.share(), dice.share()
    if age <= rates.age_from:
        return None
    if share >= next(share for upper, share in rates.prevalence if age <= upper):
        return None
    days = int((rates.age_from + when * (age - rates.age_from)) * 365.25)
    return human.born + timedelta(days=days)
