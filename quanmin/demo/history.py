"""Ten years of one person: every visit to every institution, in order of time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from datetime import date, timedelta

import msgspec

from quanmin.demo.chronic import diabetes_follow_ups, hypertension_follow_ups, yearly_check_ups
from quanmin.demo.dice import Dice, Weighted
from quanmin.demo.households import FIRST_DAY, LAST_DAY, Household, Human
from quanmin.demo.infection import Case, background, outbreak_case
from quanmin.demo.institutions import CAPITAL, Institution, centre, clinic, secondary, tertiary
from quanmin.demo.tables import INSTITUTIONS, MEDICINES, POPULATION, VACCINES, Vaccine
from quanmin.demo.visits import (
    Diagnosis,
    Group,
    Visit,
    choose_doctor,
    draw_diagnosis,
    draw_medicines,
    draw_panels,
    measure,
    named,
    report,
)

_DEPARTMENTS = INSTITUTIONS.departments
_RATES = POPULATION.visits
_PLACES = Weighted(zip(("clinic", "centre", "secondary", "tertiary"), _RATES.places, strict=True))
_VISIT_AGES = [upper for upper, _, _ in _RATES.by_age]


class Around(msgspec.Struct, frozen=True):
    """The institutions a household goes to."""

    clinic: Institution
    centre: Institution
    secondary: Institution
    tertiary: Institution
    capital: Institution


def around(household: Household) -> Around:
    """The institutions near a household, and the great hospital of the capital."""
    county = household.township.county
    return Around(
        clinic(household.township, household.village),
        centre(household.township),
        secondary(county.code),
        tertiary(county.prefecture),
        tertiary(CAPITAL.code),
    )


def history(seed: int, household: Household, human: Human) -> list[Visit]:
    """All visits of one person, oldest first."""
    dice = Dice(seed, "history", human.serial)
    near = around(household)
    visits = [
        *_birth(dice, human, near),
        *_deliveries(dice, household, human, near),
        *_immunizations(dice, human, near.centre),
        *_ordinary(dice, human, near),
        *hypertension_follow_ups(dice, human, near.centre),
        *diabetes_follow_ups(dice, human, near.centre),
        *yearly_check_ups(dice, human, near.centre),
    ]
    cases = background(dice, human)
    planted = outbreak_case(seed, human, household.township.county.code)
    if planted is not None:
        cases.append(planted)
    visits.extend(_infection(dice, human, case, near) for case in cases)
    visits.sort(key=_moment)
    return visits


def _moment(visit: Visit) -> tuple[date, int]:
    return visit.day, visit.minute


def _ordinary(dice: Dice, human: Human, near: Around) -> Iterator[Visit]:
    for year in range(FIRST_DAY.year, LAST_DAY.year + 1):
        age = year - human.born.year
        if age < 0:
            continue
        row = _RATES.by_age[bisect_left(_VISIT_AGES, age)]
        for _ in range(dice.count(row[1])):
            day = _day_in(dice, year)
            if _is_possible(human, day):
                yield _outpatient(dice, human, near, day)
        if dice.chance(row[2]):
            day = _day_in(dice, year)
            if _is_possible(human, day):
                yield _inpatient(dice, human, near, day)


def _day_in(dice: Dice, year: int) -> date:
    return date(year, 1, 1) + timedelta(days=dice.below(365))


def _is_possible(human: Human, day: date) -> bool:
    return FIRST_DAY <= day <= LAST_DAY and human.lives(day)


def _outpatient(dice: Dice, human: Human, near: Around, day: date) -> Visit:
    group = draw_diagnosis(dice, human, day, admitted=False)
    where = dice.draw(_PLACES)
    # What needs a bed elsewhere is not seen in a village; a tertiary hospital is the one at home
    # or the capital's.
    if group.stay_days and where in {"clinic", "centre"}:
        where = "secondary"
    far = where == "tertiary" and dice.chance(_RATES.capital_share)
    place: Institution = near.capital if far else getattr(near, where)
    examined = place.kind.code != "clinic" and dice.chance(_RATES.examined)
    return Visit(
        kind="outpatient",
        place=place,
        day=day,
        minute=dice.between(480, 1050),
        doctor=choose_doctor(human, day, place, group.departments),
        diagnoses=[Diagnosis(group.code, group.name)],
        vitals=[measure(dice, "temperature", spread=2.2)]
        if dice.chance(_RATES.temperature_taken)
        else [],
        panels=draw_panels(dice, group.panels[:2], 1.2) if examined else [],
        medicines=draw_medicines(dice, group.medicines, 2),
        is_dispensed=dice.chance(_RATES.dispensed),
    )


def _inpatient(dice: Dice, human: Human, near: Around, day: date) -> Visit:
    group = draw_diagnosis(dice, human, day, admitted=True)
    place = _admitting(dice, near)
    days = max(2, min(int(dice.near(group.stay_days, 2.5)), (LAST_DAY - day).days))
    diagnoses = [Diagnosis(group.code, group.name)]
    if human.hypertension is not None and human.hypertension <= day:
        diagnoses.append(named("hypertension", human.hypertension))
    if human.diabetes is not None and human.diabetes <= day:
        diagnoses.append(named("diabetes", human.diabetes))
    return Visit(
        kind="inpatient",
        place=place,
        day=day,
        minute=dice.between(480, 1320),
        doctor=choose_doctor(human, day, place, group.departments),
        days=days,
        diagnoses=diagnoses,
        vitals=[
            measure(dice, key)
            for key in ("temperature", "pulse", "breathing", "systolic", "diastolic")
        ],
        panels=draw_panels(dice, _admission_panels(group), 1.6),
        medicines=draw_medicines(dice, group.medicines, 3),
        is_dispensed=True,
    )


def _admission_panels(group: Group) -> tuple[str, ...]:
    return tuple(dict.fromkeys(("blood_count", "electrolytes", *group.panels[-1:])))


def _admitting(dice: Dice, near: Around) -> Institution:
    if dice.chance(_RATES.admitted_in_county):
        return near.secondary
    return near.tertiary if dice.chance(_RATES.admitted_at_home) else near.capital


def _infection(dice: Dice, human: Human, case: Case, near: Around) -> Visit:
    place = near.centre if dice.chance(_RATES.infection_at_centre) else near.secondary
    return Visit(
        kind="outpatient",
        place=place,
        day=case.day,
        minute=dice.between(480, 1050),
        doctor=choose_doctor(human, case.day, place, _DEPARTMENTS.infections),
        diagnoses=[Diagnosis(case.code, case.name, notifiable=case.notifiable)],
        vitals=[measure(dice, "temperature", shift=5.0)],
        panels=draw_panels(dice, case.panels, 1.5),
        medicines=draw_medicines(dice, case.medicines, 2),
        is_dispensed=dice.chance(_RATES.dispensed),
    )


def _birth(dice: Dice, human: Human, near: Around) -> Iterator[Visit]:
    """A child born in the ten years has its first record, without a name, where the mother
    gave birth.
    """
    if human.mother is None or human.born < FIRST_DAY:
        return
    yield Visit(
        kind="inpatient",
        place=near.secondary,
        day=human.born,
        minute=600,
        doctor=choose_doctor(human, human.born, near.secondary, ()),
        days=2 if human.born < LAST_DAY - timedelta(days=3) else 0,
        diagnoses=[named("newborn")],
        vitals=[
            measure(dice, "birth_weight", shift=-1.4 if human.twin else 0.0),
            report("apgar", min(10, 9.4 + dice.share())),
        ],
        is_newborn=True,
    )


def _deliveries(dice: Dice, household: Household, human: Human, near: Around) -> Iterator[Visit]:
    born = {
        child.born
        for child in household.humans
        if child.mother == human.slot and child.born >= FIRST_DAY
    }
    for day in sorted(born):
        caesarean = dice.chance(_RATES.caesarean)
        yield Visit(
            kind="delivery",
            place=near.secondary,
            day=day,
            minute=560,
            doctor=choose_doctor(human, day, near.secondary, (_DEPARTMENTS.delivery,)),
            days=5 if caesarean else 3,
            diagnoses=[named("caesarean" if caesarean else "delivery")],
            vitals=[
                measure(dice, key) for key in ("systolic", "diastolic", "pulse", "temperature")
            ],
            panels=draw_panels(dice, ("blood_count",), 0.5),
            medicines=[MEDICINES["oxytocin"], MEDICINES["iron"]],
        )


def _immunizations(dice: Dice, human: Human, place: Institution) -> Iterator[Visit]:
    if human.age(FIRST_DAY) > 7:
        return
    for vaccine in VACCINES.vaccines:
        if vaccine.girls_only and human.male:
            continue
        for dose, months in enumerate(vaccine.months, 1):
            late = dice.below(VACCINES.days_late_max) if months else 0
            day = human.born + timedelta(days=round(months * 30.44) + late)
            if not dice.chance(VACCINES.missed_share) and _is_possible(human, day):
                yield _dose(dice, human, place, day, (vaccine, dose))


def _dose(
    dice: Dice, human: Human, place: Institution, day: date, vaccine: tuple[Vaccine, int]
) -> Visit:
    return Visit(
        kind="immunization",
        place=place,
        day=day,
        minute=dice.between(490, 690),
        doctor=choose_doctor(human, day, place, (_DEPARTMENTS.public_health,)),
        vaccine=vaccine,
    )
