"""How one person stands in the books of each institution: the same human, not always the same
details.

What each registration really is (whose, and how it differs) is the known truth against which
linkage is measured.
"""

from __future__ import annotations

from datetime import date

import msgspec

from quanmin.demo.dice import Dice, Weighted
from quanmin.demo.households import Household, Human
from quanmin.demo.institutions import Institution
from quanmin.demo.names import Name, in_pinyin, misheard, newborn_name
from quanmin.demo.numbering import old_identity_number, phone_number
from quanmin.demo.tables import POPULATION, SYSTEMS

_KINDS = Weighted(POPULATION.registrations.kinds.items())
_CHANGED_PHONES = 30_000_000  # above every household's own numbers, below those of institutions
_NUMBERS = 10**12
_CENTURY_YEAR = 2000
_SWAPPABLE_DAYS = 12


class Registration(msgspec.Struct):
    """A person at an institution: the details of its Patient record, and the truth about them.

    `differs` is "" for a faithful registration, else the kind of difference; `identity` is None
    where none was given.
    """

    human: Human
    place: Institution
    number: str
    name: Name
    male: bool
    born: date
    identity: str | None
    phone: str
    differs: str = ""

    @property
    def system(self) -> str:
        """The system of the institution's own patient numbers."""
        return f"{SYSTEMS.patient_number}/{self.place.code}"


class Truth(msgspec.Struct, frozen=True):
    """One line of the known truth: this patient number belongs to this person."""

    sender: str
    system: str
    number: str
    person: str
    differs: str


def register(
    seed: int, household: Household, human: Human, place: Institution, *, is_newborn: bool
) -> Registration:
    """The registration of a person at an institution; as a newborn it is a different one,
    without name or number.
    """
    dice = Dice(seed, "registration", human.serial, place.code, is_newborn)
    made = Registration(
        human=human,
        place=place,
        # Drawn, not counted: a number that followed the person would give the truth away.
        number=f"{dice.below(_NUMBERS):012d}",
        name=human.name,
        male=human.male,
        born=human.born,
        identity=human.identity if human.has_identity else None,
        phone=human.phone,
    )
    if is_newborn:
        mother = household.humans[human.mother or 0]
        made.name = newborn_name(mother.name, male=human.male, order=human.twin)
        made.identity, made.phone, made.differs = None, mother.phone, "newborn"
    elif place.kind.code != "centre" and dice.chance(POPULATION.registrations.share):
        _differ(dice, made, dice.draw(_KINDS))
    return made


def _differ(dice: Dice, made: Registration, kind: str) -> None:
    """Changes one detail the way a counter does; kinds that cannot apply leave out the
    identity number.
    """
    human = made.human
    made.differs = kind
    if kind == "name_typo":
        made.name = misheard(dice, human.name)
    elif kind == "pinyin_name":
        made.name = in_pinyin(human.name)
    elif kind == "changed_phone":
        made.phone = phone_number(_CHANGED_PHONES + human.serial)
    elif kind == "old_identity" and made.identity and human.born.year < _CENTURY_YEAR:
        made.identity = old_identity_number(made.identity)
    elif kind == "identity_typo" and made.identity:
        made.identity = _mistyped(dice, made.identity)
    elif (
        kind == "birth_swapped"
        and human.born.day <= _SWAPPABLE_DAYS
        and human.born.day != human.born.month
    ):
        made.born = human.born.replace(month=human.born.day, day=human.born.month)
        made.identity = None
    else:
        made.identity, made.differs = None, "missing_identity"


def _mistyped(dice: Dice, identity: str) -> str:
    """One digit of the sequence wrong: the check digit no longer agrees."""
    position = 14 + dice.below(3)
    wrong = str((int(identity[position]) + 1 + dice.below(9)) % 10)
    return identity[:position] + wrong + identity[position + 1 :]


def truth_of(registration: Registration) -> Truth:
    """The truth line of a registration."""
    return Truth(
        registration.place.sender,
        registration.system,
        registration.number,
        registration.human.key,
        registration.differs,
    )
