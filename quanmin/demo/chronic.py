"""Chronic diseases and the yearly examination: who is followed up, how often, and with what
result.

The rhythm is the national basic public health service norm (third edition): four visits a year,
two weeks after a visit that was not satisfactory, an examination a year from sixty-five.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import msgspec

from quanmin.demo.dice import Dice
from quanmin.demo.households import FIRST_DAY, LAST_DAY, Human
from quanmin.demo.institutions import Institution
from quanmin.demo.tables import INSTITUTIONS, MEDICINES, PANELS, POPULATION, Medicine, Panel
from quanmin.demo.visits import (
    Diagnosis,
    Finding,
    Visit,
    blood_pressure,
    choose_doctor,
    draw_panels,
    measure,
    named,
    report,
)

_PROGRAMME = (INSTITUTIONS.departments.public_health,)
_QUARTER_DAYS = 91
_SOON_DAYS = 14
_MEDICINES_MAX = 3
_EFFECT = 8.0  # by how many mmHg a further medicine lowers the upper pressure
_PRESSURE_MEDICINES = ("amlodipine", "valsartan", "enalapril", "nifedipine", "hydrochlorothiazide")
_SUGAR_MEDICINES = ("metformin", "gliclazide", "acarbose", "insulin_glargine")


class Found(msgspec.Struct, frozen=True):
    """What a follow-up found: by which doctor, the disease, what was measured, and whether it
    is under control.
    """

    doctor: int
    diagnosis: Diagnosis
    vitals: list[Finding]
    is_satisfactory: bool


def hypertension_follow_ups(dice: Dice, human: Human, place: Institution) -> Iterator[Visit]:
    """The follow-ups of a managed person with hypertension; a medicine is added when the pressure
    stays high twice in a row.
    """
    rates, since = POPULATION.hypertension, human.hypertension
    if since is None or not dice.chance(rates.managed):
        return
    upper, lower = (131.0, 79.0) if dice.chance(rates.controlled) else (153.0, 92.0)
    keys = list(_PRESSURE_MEDICINES)
    medicines = [MEDICINES[keys.pop(dice.below(len(keys)))]]
    doctor = choose_doctor(human, LAST_DAY, place, _PROGRAMME)
    day = max(since, FIRST_DAY) + timedelta(days=dice.below(_QUARTER_DAYS))
    failures = 0
    while day <= LAST_DAY and human.lives(day):
        wait = _QUARTER_DAYS + dice.between(-12, 12)
        if dice.chance(rates.visit_kept):
            pressure = blood_pressure(dice, upper, lower)
            satisfied = _is_below(pressure, rates.satisfied_below)
            failures = 0 if satisfied else failures + 1
            if failures > 1 and len(medicines) < _MEDICINES_MAX:
                medicines = [*medicines, MEDICINES[keys.pop(dice.below(len(keys)))]]
                upper, lower, failures = upper - _EFFECT, lower - _EFFECT / 2, 0
            found = Found(doctor, named("hypertension", since), pressure, satisfied)
            yield _follow_up(dice, place, day, found, medicines)
            if not satisfied and dice.chance(rates.seen_again_soon):
                wait = _SOON_DAYS
        day += timedelta(days=wait)


def _is_below(pressure: list[Finding], limits: tuple[int, int]) -> bool:
    return all(int(part.text) < limit for part, limit in zip(pressure, limits, strict=True))


def diabetes_follow_ups(dice: Dice, human: Human, place: Institution) -> Iterator[Visit]:
    """The follow-ups of a managed person with type 2 diabetes."""
    rates, since = POPULATION.diabetes, human.diabetes
    if since is None or not dice.chance(rates.managed):
        return
    usual = 6.3 if dice.chance(rates.controlled) else 8.8
    medicine = MEDICINES[dice.pick(_SUGAR_MEDICINES)]
    limit = rates.satisfied_below
    doctor = choose_doctor(human, LAST_DAY, place, _PROGRAMME)
    day = max(since, FIRST_DAY) + timedelta(days=dice.below(_QUARTER_DAYS))
    while day <= LAST_DAY and human.lives(day):
        if dice.chance(rates.visit_kept):
            sugar = report("fasting_glucose", dice.near(usual, 0.7))
            satisfied = float(sugar.text) < limit
            found = Found(doctor, named("diabetes", since), [sugar], satisfied)
            visit = _follow_up(dice, place, day, found, [medicine])
            if dice.chance(0.2):
                visit.vitals.append(report("hba1c", 2.6 + float(sugar.text) * 0.63))
            yield visit
        day += timedelta(days=_QUARTER_DAYS + dice.between(-14, 14))


def yearly_check_ups(dice: Dice, human: Human, place: Institution) -> Iterator[Visit]:
    """The examinations offered once a year to the elderly."""
    rates = POPULATION.elders
    height = dice.near(168 if human.male else 157, 5)
    weight = dice.near(23.8, 2.4) * height * height / 10_000
    for year in range(FIRST_DAY.year, LAST_DAY.year + 1):
        day = date(year, 4, 1) + timedelta(days=dice.below(180))
        if not FIRST_DAY <= day <= LAST_DAY or human.age(day) < rates.check_up_from:
            continue
        if not human.lives(day) or not dice.chance(rates.check_up_kept):
            continue
        ill = human.hypertension is not None and human.hypertension <= day
        weight += dice.near(0, 0.8)
        yield Visit(
            kind="check_up",
            place=place,
            day=day,
            minute=dice.between(450, 620),
            doctor=choose_doctor(human, day, place, _PROGRAMME),
            diagnoses=[named("check_up")],
            vitals=[
                *blood_pressure(dice, *((142, 84) if ill else (128, 76))),
                measure(dice, "pulse"),
                report("height", height),
                report("weight", weight),
                report("bmi", weight / (height * height / 10_000)),
            ],
            panels=_check_up_panels(dice, human, day),
        )


def _check_up_panels(dice: Dice, human: Human, day: date) -> list[tuple[Panel, list[Finding]]]:
    is_diabetic = human.diabetes is not None and human.diabetes <= day
    sugar = report("fasting_glucose", dice.near(7.4 if is_diabetic else 5.3, 0.5))
    return [*draw_panels(dice, ("lipids", "renal"), 0.6), (PANELS["glucose"], [sugar])]


def _follow_up(
    dice: Dice, place: Institution, day: date, found: Found, medicines: list[Medicine]
) -> Visit:
    return Visit(
        kind="follow_up",
        place=place,
        day=day,
        minute=dice.between(480, 1020),
        doctor=found.doctor,
        diagnoses=[found.diagnosis],
        vitals=found.vitals,
        medicines=medicines,
        outcome="satisfied" if found.is_satisfactory else "unsatisfied",
    )
