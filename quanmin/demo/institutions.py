"""The institutions of the province and their staff, the same for every seed."""

from __future__ import annotations

from functools import cache

import msgspec

from quanmin.demo.dice import Dice
from quanmin.demo.names import Name, draw_surname, make_name
from quanmin.demo.numbering import credit_code, phone_number
from quanmin.demo.places import COUNTIES, Township
from quanmin.demo.tables import INSTITUTIONS, MINORITIES, PLACES, InstitutionKind

KINDS = {kind.code: kind for kind in INSTITUTIONS.kinds}
CAPITAL = PLACES.prefectures[0]
_STAFF_PHONES = 60_000_000  # above every serial number of a household, below a hundred million
_TITLES = ("主任医师", "副主任医师", "主治医师", "住院医师")


class Staff(msgspec.Struct, frozen=True):
    """A doctor; `number` is unique in the province."""

    number: str
    name: Name
    male: bool
    department: str
    title: str


class Institution(msgspec.Struct, frozen=True):
    """A hospital, centre, clinic or CDC; `parent` is the centre that a village clinic belongs to.

    `sender` is the code of the actor who sends its records.
    """

    code: str
    kind: InstitutionKind
    name: str
    division: str
    place: tuple[str, ...]
    credit_code: str
    phone: str
    sender: str
    staff: tuple[Staff, ...]
    parent: str | None = None


class Sender(msgspec.Struct, frozen=True):
    """Who sends records: the platform of a prefecture, or an institution under its own name."""

    code: str
    name: str


def senders() -> tuple[Sender, ...]:
    """All senders of the province, platforms first."""
    platforms = tuple(
        Sender(_platform(prefecture.code), f"{prefecture.name}全民健康信息平台")
        for prefecture in PLACES.prefectures
    )
    return platforms + tuple(
        Sender(own.code, _own_institution(own.kind, own.division).name)
        for own in INSTITUTIONS.own_senders
    )


@cache
def tertiary(prefecture: str) -> Institution:
    """The central hospital of a prefecture."""
    name = next(place.name for place in PLACES.prefectures if place.code == prefecture)
    return _institution("tertiary", prefecture, name, (name,), 1)


@cache
def city_cdc(prefecture: str) -> Institution:
    """The centre for disease control of a prefecture."""
    name = next(place.name for place in PLACES.prefectures if place.code == prefecture)
    return _institution("city-cdc", prefecture, name, (name,), 4)


@cache
def secondary(county: str) -> Institution:
    """The people's hospital of a county."""
    place = COUNTIES[county]
    return _institution("secondary", county, place.name, (place.prefecture_name, place.name), 2)


@cache
def cdc(county: str) -> Institution:
    """The centre for disease control of a county."""
    place = COUNTIES[county]
    return _institution("cdc", county, place.name, (place.prefecture_name, place.name), 3)


@cache
def centre(township: Township) -> Institution:
    """The health centre of a township."""
    county = township.county
    place = (county.prefecture_name, county.name, township.name)
    number = 1000 + int(township.code[6:])
    name = county.name + township.name
    return _institution("centre", township.code, name, place, number, in_town=township.is_town)


@cache
def clinic(township: Township, village: int) -> Institution:
    """The clinic of a village."""
    county = township.county
    name = township.villages[village]
    place = (county.prefecture_name, county.name, township.name, name)
    number = 100_000 + int(township.code[6:]) * 100 + village
    code = f"{township.code}{village + 201:03d}"
    name = township.name + name
    made = _institution("clinic", code, name, place, number, in_town=township.is_town)
    return msgspec.structs.replace(made, parent=centre(township).code)


def of_prefecture(prefecture: str) -> list[Institution]:
    """The institutions that serve a whole prefecture: its central hospital and its CDC."""
    return [tertiary(prefecture), city_cdc(prefecture)]


def of_county(county: str) -> list[Institution]:
    """The institutions that serve a whole county: its hospital and its CDC."""
    return [secondary(county), cdc(county)]


def of_township(township: Township) -> list[Institution]:
    """A township's centre and its village clinics."""
    return [
        centre(township),
        *(clinic(township, village) for village in range(len(township.villages))),
    ]


def _own_institution(kind: str, division: str) -> Institution:
    return {"tertiary": tertiary, "secondary": secondary, "city-cdc": city_cdc}[kind](division)


def _platform(division: str) -> str:
    return f"demo-{division[:4]}00"


def _sender(kind: str, division: str) -> str:
    for own in INSTITUTIONS.own_senders:
        if (own.kind, own.division) == (kind, division):
            return own.code
    return _platform(division)


def _institution(
    kind_code: str,
    division: str,
    name: str,
    place: tuple[str, ...],
    number: int,
    *,
    in_town: bool = False,
) -> Institution:
    kind = KINDS[kind_code]
    code = f"{kind_code}-{division}"
    dice = Dice("institution", code)
    return Institution(
        code=code,
        kind=kind,
        name=(kind.town_name if in_town else kind.name).format(place=name),
        division=division,
        place=place,
        credit_code=credit_code(division[:6], number),
        phone=phone_number(_STAFF_PHONES + dice.below(1_000_000)),
        sender=_sender(kind_code, division),
        staff=tuple(
            _staff(code, number, department, dice)
            for number, department in enumerate(
                department
                for department in kind.departments
                for _ in range(kind.doctors_per_department)
            )
        ),
    )


def _staff(institution: str, number: int, department: str, dice: Dice) -> Staff:
    male = dice.chance(0.48)
    name = make_name(
        dice, MINORITIES.majority["code"], draw_surname(dice), dice.between(1965, 1995), male=male
    )
    return Staff(f"{institution}-{number + 1:02d}", name, male, department, dice.pick(_TITLES))
