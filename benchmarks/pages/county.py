"""Persons without end, registered at twenty institutions: children with doses, and people whose
hypertension is followed up.

They come in blocks of two thousand of one institution, each different and each with the same
proportions. A twentieth are registered at a second institution by the same identity number.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import copies
import msgspec

from quanmin.demo.dice import Dice
from quanmin.demo.names import draw_surname, make_name
from quanmin.demo.numbering import IDENTITIES, birth_day, identity_number, phone_number
from quanmin.node.demo_actors import HOSPITALS
from quanmin.trust import Actor
from quanmin.web.application import discover
from quanmin.workflow import chronic
from quanmin.workflow.states import Asking, take

PERSONS_A_BLOCK = 2_000
INSTITUTIONS = (
    HOSPITALS[0],
    *(
        Actor(f"county-{number:02d}", "institution", f"第{number}卫生院", f"county-{number:02d}")
        for number in range(2, 21)
    ),
)
EPISODES = "EpisodeOfCare/chronic-county-"
"""What references to their enrolments begin with."""
_PERSONS_A_BUNDLE = 80
_SHARE_TWICE, _SHARE_FOLLOWED = 0.05, 0.08
_FOLLOWED_FROM, _CHILD_TO = 40, 7
# Counties whose identity numbers no other data of the benchmarks use; one is enough for so many.
_COUNTY = 519903
_PHONES = 10_000_000
_ZONE = ZoneInfo("Asia/Shanghai")
_VACCINE = "https://quanmin.example/fhir/CodeSystem/vaccine"
# Vaccine and the months of age at which it is given, the first of each as the schedule has them.
_DOSES = (("HepB", 0), ("BCG", 0), ("HepB", 1), ("IPV", 2), ("IPV", 3), ("DTaP", 3), ("bOPV", 4),
          ("HepB", 6), ("MMR", 8), ("JE-L", 8))  # fmt: skip
_URN = "urn:uuid:%08x-0000-4000-8000-%012x"
_PLACEHOLDER = "placeholder"


def description() -> str:
    """What the data are, for the page."""
    return (
        "beside them persons with Chinese names registered at twenty institutions, a twentieth at"
        " two; a twelfth are children with a part of their doses, one in twenty-five is followed up"
        " for hypertension with a case of the workflow and one visit"
    )


def block(seed: int, number: int, today: date) -> Iterator[copies.Bundle]:
    """The bundles of one block, all of the institution `institution_of` tells."""
    first = number * PERSONS_A_BLOCK
    for begin in range(first, first + PERSONS_A_BLOCK, _PERSONS_A_BUNDLE):
        entries: list[Any] = []
        for serial in range(begin, begin + _PERSONS_A_BUNDLE):
            entries += _person(seed, serial, today)
        # Registered there too, and elsewhere first: blocks follow each other by institution.
        for serial in range(begin - PERSONS_A_BLOCK, begin - PERSONS_A_BLOCK + _PERSONS_A_BUNDLE):
            if serial >= 0 and Dice(seed, "twice", serial).chance(_SHARE_TWICE):
                entries.append(_patient(seed, serial, "T"))
        body = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        yield copies.Bundle(msgspec.json.encode(body), len(entries))


def institution_of(number: int) -> Actor:
    """Who registers the persons of a block."""
    return INSTITUTIONS[number % len(INSTITUTIONS)]


def _person(seed: int, serial: int, today: date) -> list[Any]:
    registered = _patient(seed, serial, "C")
    patient, born = registered["resource"], date.fromisoformat(registered["resource"]["birthDate"])
    dice, url = Dice(seed, "county records", serial), registered["fullUrl"]
    found = [registered]
    age = (today - born).days // 365
    if age < _CHILD_TO:
        found += _doses(dice, url, born, today)
    elif age >= _FOLLOWED_FROM and dice.chance(_SHARE_FOLLOWED):
        found += _case(dice, serial, patient["name"][0]["text"], today)
    return found


def _patient(seed: int, serial: int, books: str) -> dict[str, Any]:
    drawn = Dice(seed, "county", serial)
    male = drawn.chance(0.5)
    year = drawn.between(1934, 2026)
    day, order = birth_day(year, serial % IDENTITIES)
    born = min(date(year, 1, 1) + timedelta(days=day), date(2026, 10, 31))
    name = make_name(drawn, "01", draw_surname(drawn), year, male=male)
    number = identity_number(str(_COUNTY + serial // IDENTITIES), born, order, male=male)
    resource = {
        "resourceType": "Patient",
        "identifier": [
            {"system": "urn:oid:2.16.156.10011.1.3", "value": number},
            {"system": "https://county.example/records", "value": f"{books}{serial:08d}"},
        ],
        "active": True,
        "name": [{"family": name.family, "given": [name.given], "text": name.text}],
        "telecom": [{"system": "phone", "value": phone_number(_PHONES + serial)}],
        "gender": "male" if male else "female",
        "birthDate": born.isoformat(),
    }
    request = {"method": "POST", "url": "Patient"}
    return {"fullUrl": _URN % (serial, 0), "resource": resource, "request": request}


def _doses(dice: Dice, patient: str, born: date, today: date) -> Iterator[Any]:
    for vaccine, months in _DOSES:
        on = born + timedelta(days=30 * months + dice.below(20))
        if on > today or dice.chance(0.3):
            return
        yield _created(
            {
                "resourceType": "Immunization",
                "status": "completed",
                "vaccineCode": {"coding": [{"system": _VACCINE, "code": vaccine}]},
                "patient": {"reference": patient},
                "occurrenceDateTime": on.isoformat(),
            }
        )


def _case(dice: Dice, serial: int, name: str, today: date) -> list[Any]:
    """What enrolling somebody makes, as the application makes it, and a visit thereafter."""
    days = dice.between(10, 200)
    entries = _enrolled(today, days).replace("urn:uuid:00000000", f"urn:uuid:{serial:08x}")
    entries = entries.replace(f"Patient/{_PLACEHOLDER}", _URN % (serial, 0))
    # The ids of enrolments are of whom is enrolled.
    entries = entries.replace(f"chronic-{_PLACEHOLDER}", f"chronic-county-{serial:08d}")
    found: list[Any] = msgspec.json.decode(entries.replace(_PLACEHOLDER, name))
    upper, lower = round(dice.near(136, 12)), round(dice.near(82, 8))
    on = today - timedelta(days=dice.between(5, days))
    seen = chronic.judge("hypertension", chronic.Measured(age=60, systolic=upper, diastolic=lower))
    result = chronic.result_of("hypertension", _URN % (serial, 0), on, seen)
    visit = chronic.Seen(on, seen.result, seen.is_on_target)
    task = found[-1]["resource"]
    task["input"] = chronic.holding(task, visit)
    return [*found, _created(result)]


@cache
def _enrolled(today: date, days: int) -> str:
    """The entries of an enrolment so many days ago, with marks where they name somebody."""
    installed = {one.application.name: one.application for one in discover()}
    moment = datetime(today.year, today.month, today.day, 9, tzinfo=_ZONE) - timedelta(days=days)
    who = chronic.Enrolling(_PLACEHOLDER, _PLACEHOLDER, 0, [], [])
    enrolled = moment.date()
    recorded, head = chronic.enrolment("hypertension", who, enrolled, "some")
    facts = {"age": 60, "age_min": 0, "diagnosed": True, "high_days": 0, "days_needed": 3,
             "has_case": False, "is_doctor": True, "enrolled": enrolled}  # fmt: skip
    actor = Actor("county", "doctor", "县医院", "county", duties=frozenset({"family_doctor"}))
    asking = Asking(actor=actor, moment=moment, zone=_ZONE, facts=facts)
    workflow = installed["chronic_followup"].workflow
    if workflow is None:
        raise SystemExit("the follow-up of chronic diseases has no workflow")
    taken = take(workflow, "enrol", None, asking, recorded=recorded, head=head)
    text = msgspec.json.encode(taken.entries).decode()
    marked = recorded[-1]["resource"]["id"]
    return text.replace(marked, f"chronic-{_PLACEHOLDER}")


def _created(resource: dict[str, Any]) -> dict[str, Any]:
    return {"resource": resource, "request": {"method": "POST", "url": resource["resourceType"]}}
