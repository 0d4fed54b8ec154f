"""What happens at one visit: complaints, measurements, laboratory results, medicines and what
they cost.
"""

from __future__ import annotations

from datetime import date
from typing import Literal

import msgspec

from quanmin.demo.dice import Dice, Weighted
from quanmin.demo.households import Human
from quanmin.demo.institutions import Institution
from quanmin.demo.tables import (
    DIAGNOSES,
    INSTITUTIONS,
    MEASUREMENTS,
    MEDICINES,
    PANELS,
    Medicine,
    Panel,
    Vaccine,
)

VisitKind = Literal["outpatient", "inpatient", "check_up", "follow_up", "delivery", "immunization"]
Outcome = Literal["satisfied", "unsatisfied"]


class Finding(msgspec.Struct, frozen=True):
    """A measured value as reported (all its digits), and whether it is above (1) or below (-1)
    the usual range.
    """

    key: str
    text: str
    beyond: int


class Diagnosis(msgspec.Struct, frozen=True):
    """A diagnosis and since when (None: since this visit)."""

    code: str
    name: str
    since: date | None = None
    notifiable: bool = False


class Visit(msgspec.Struct, kw_only=True):
    """One contact of a person with an institution, or one dose of vaccine.

    `minute` counts from midnight; `days` is the length of a stay; `doctor` a number of the staff;
    `outcome` how a chronic disease was found at a follow-up; `child_registered` is set at a
    newborn's own first record.
    """

    kind: VisitKind
    place: Institution
    day: date
    minute: int
    doctor: int
    days: int = 0
    diagnoses: list[Diagnosis] = []
    vitals: list[Finding] = []
    panels: list[tuple[Panel, list[Finding]]] = []
    medicines: list[Medicine] = []
    is_dispensed: bool = False
    outcome: Outcome | None = None
    vaccine: tuple[Vaccine, int] | None = None
    is_newborn: bool = False


class Group(msgspec.Struct, frozen=True):
    """A diagnosis with how it is treated and where."""

    code: str
    name: str
    departments: tuple[str, ...]
    medicines: tuple[str, ...]
    panels: tuple[str, ...]
    stay_days: int


_AGES = 101


def _diagnoses_by_age(*, admitted: bool) -> dict[tuple[int, bool], Weighted[Group]]:
    """For every age and sex the diagnoses that occur, so that a draw is one look-up."""
    table: dict[tuple[int, bool], list[tuple[Group, float]]] = {
        (age, male): [] for age in range(_AGES) for male in (True, False)
    }
    for group in DIAGNOSES.groups:
        if admitted and not group.stay_days:
            continue
        for row in group.rows:
            medicines = group.medicines if row.medicines is None else row.medicines
            found = Group(
                row.code, row.name, group.departments, medicines, group.panels, group.stay_days
            )
            for age in range(row.youngest, min(row.oldest, _AGES - 1) + 1):
                for male in (True, False):
                    if row.sex in {"", "male" if male else "female"}:
                        table[age, male].append((found, row.weight))
    return {key: Weighted(pairs) for key, pairs in table.items()}


_OUTPATIENT = _diagnoses_by_age(admitted=False)
_INPATIENT = _diagnoses_by_age(admitted=True)


def draw_diagnosis(dice: Dice, human: Human, day: date, *, admitted: bool) -> Group:
    """Something a person of this age and sex comes with."""
    age = max(0, min(human.age(day), _AGES - 1))
    return dice.draw((_INPATIENT if admitted else _OUTPATIENT)[age, human.male])


def choose_doctor(human: Human, day: date, place: Institution, wanted: tuple[str, ...]) -> int:
    """The number of the doctor a person sees at a place for what these departments treat.

    Always the same one of a department; children are seen by the children's department where
    there is one.
    """
    departments = INSTITUTIONS.departments
    if human.age(day) <= departments.children_age_max and departments.delivery not in wanted:
        wanted = (departments.children, *wanted)
    for department in wanted:
        found = [
            number for number, staff in enumerate(place.staff) if staff.department == department
        ]
        if found:
            return found[human.serial % len(found)]
    return 0


def named(key: str, since: date | None = None) -> Diagnosis:
    """A diagnosis that the histories name themselves."""
    code, name = DIAGNOSES.named[key]
    return Diagnosis(code, name, since)


def measure(dice: Dice, key: str, *, shift: float = 0.0, spread: float = 1.0) -> Finding:
    """A measured value around the healthy mean, `shift` deviations away from it."""
    measured = MEASUREMENTS[key]
    mean = measured.mean + shift * measured.deviation
    return report(key, dice.near(mean, measured.deviation * spread))


def report(key: str, value: float) -> Finding:
    """A value as the laboratory prints it, never below zero."""
    measured = MEASUREMENTS[key]
    text = f"{max(value, 0.1 if measured.decimals else 1.0):.{measured.decimals}f}"
    shown = float(text)
    beyond = 1 if shown > measured.high else -1 if shown < measured.low else 0
    return Finding(key, text, beyond)


def draw_panels(
    dice: Dice, keys: tuple[str, ...], shift: float = 0.0
) -> list[tuple[Panel, list[Finding]]]:
    """The results of these panels; `shift` moves them away from health."""
    return [
        (
            PANELS[key],
            [measure(dice, member, shift=shift * dice.share()) for member in PANELS[key].members],
        )
        for key in keys
    ]


def draw_medicines(dice: Dice, keys: tuple[str, ...], most: int) -> list[Medicine]:
    """One to `most` of these medicines, none twice; none at all where there are none."""
    start, count = dice.below(len(keys) or 1), min(len(keys), dice.between(1, most))
    return [MEDICINES[keys[(start + step) % len(keys)]] for step in range(count)]


def blood_pressure(dice: Dice, systolic: float, diastolic: float) -> list[Finding]:
    """A blood pressure around these values, the lower always well below the upper."""
    upper = dice.near(systolic, 6)
    lower = min(dice.near(diastolic, 5), upper - 18)
    return [report("systolic", upper), report("diastolic", lower)]
