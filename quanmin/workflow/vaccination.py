"""The national schedule of vaccination: where a person stands in it, in words, and what one more
dose would be. Pure; who asks hands over what is known of the person.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Sequence
from datetime import date, datetime, tzinfo
from functools import cache
from hashlib import sha256
from importlib.resources import files
from itertools import count
from typing import Any, Final

import msgspec

from quanmin.fhir.dates import interval, on_clock, tells_day
from quanmin.fhir.json import Json, decode
from quanmin.workflow.plans import (
    Event,
    Facts,
    Item,
    Place,
    Plan,
    Reason,
    compile_plan,
    counted,
    due_items,
    would_count,
)
from quanmin.workflow.plans.mapping import first_day
from quanmin.workflow.stock import PRODUCT_SYSTEM, products

FINDING_SYSTEM: Final = "https://quanmin.example/fhir/CodeSystem/vaccination-finding"
PACKAGE_SYSTEM: Final = "https://quanmin.example/fhir/NamingSystem/minimum-package"
LABEL: Final = {
    "system": "https://quanmin.example/fhir/CodeSystem/vaccination",
    "code": "vaccination",
}
"""Stands in the security labels of what is for all who are charged with vaccination."""
_BIRTH_TIME: Final = "http://hl7.org/fhir/StructureDefinition/patient-birthTime"


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """A dose that is recorded, as pages tell it; `counted` is its number in the course, "" where it
    does not count and `why` says why. `is_again` is one that another record has told of.
    """

    id: str
    on: str
    product: str
    lot: str
    package: str
    counted: str
    why: str
    is_again: bool


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """Where a person stands in a series, in words and days; "" for a day that there is not."""

    series: str
    name: str
    status: str
    said: str
    number: str
    earliest: str
    due: str
    why: str

    @property
    def is_late(self) -> bool:
        """Whether it should have been done."""
        return self.status in {"overdue", "escalated"}

    @property
    def is_open(self) -> bool:
        """Whether it is due by now, late or not."""
        return self.status == "due" or self.is_late

    def next_day(self, today: date) -> str:
        """When it can be done next."""
        return max(self.earliest, today.isoformat()) if self.is_open else self.due


@cache
def schedule() -> Plan:
    """The schedule in force."""
    folder = files("quanmin").joinpath("definitions", "plans")
    activities = decode(folder.joinpath("activities.json").read_bytes())["entry"]
    definition = decode(folder.joinpath("immunization-2026.json").read_bytes())
    return compile_plan(definition, [one["resource"] for one in activities])


@cache
def _words() -> dict[str, Any]:
    path = files("quanmin").joinpath("definitions", "vaccination", "words.toml")
    return tomllib.loads(path.read_text("utf-8"))


def word(kind: str, code: str, language: str) -> str:
    """The words of a series, status, reason or finding. What follows a colon in a reason, a day or
    another code, is said after them.
    """
    name = "zh" if language == "zh" else "en"
    head, _, rest = code.partition(":")
    words = str(_words()[kind].get(head, {}).get(name, head))
    for other in ("finding", "series"):
        rest = str(_words()[other].get(rest, {}).get(name, rest))
    return f"{words} {rest}" if rest else words


def against(known: Facts, product: str, on: date) -> tuple[str, ...]:
    """What the schedule has against a dose of a product on a day. A product that is in no course
    may be given whenever; of several courses one that takes it is enough.
    """
    places = would_count(schedule(), known, Event(on, products()[product].plan))
    return _why(places)


def _why(places: Sequence[Place]) -> tuple[str, ...]:
    """Why an event counts in none of its courses, by the first that is meant for the person."""
    if not places or any(one.turn for one in places):
        return ()
    meant = [one for one in places if all(r.rule != "condition" for r in one.reasons)]
    return tuple(dict.fromkeys(_code(reason) for reason in (meant or places)[0].reasons))


def _code(reason: Reason) -> str:
    is_early = reason.rule == "too-early" and reason.gives is not None
    return f"{reason.rule}:{reason.gives}" if is_early else reason.rule


def turn_of(known: Facts, product: str, on: date) -> tuple[str, int] | None:
    """The series and number of the dose that one more would be; None where it would count for
    none.
    """
    places = would_count(schedule(), known, Event(on, products()[product].plan))
    return _turn(places)


def _turn(places: Sequence[Place]) -> tuple[str, int] | None:
    found = next((one for one in places if one.turn), None)
    return None if found is None else (found.series, int(found.turn.rpartition("-")[2]))


def id_of_dose(person: str, product: str, on: date, taken: Collection[str]) -> str:
    """The id of one more dose of a product on a day, alike for all who record it at once, so that
    there is one; those `taken`, of mistaken ones too, stay. What a package holds needs no such
    claim: its doses are of one lot, and of two who take from that at once one begins again.
    """
    claims = (f"{person}.{product}.{on}.{number}".encode() for number in count(1))
    ids = (f"dose-{sha256(claim).hexdigest()[:48]}" for claim in claims)
    return next(one for one in ids if one not in taken)


def standings(known: Facts, today: date) -> list[Item]:
    """Where the person stands in each series that is meant for them."""
    items = due_items(schedule(), known, today)
    return [one for one in items if one.status != "not-applicable"]


def line(item: Item, language: str) -> Line:
    """The same in words. A course of which every dose has passed ungiven is over and none is
    complete.
    """
    turns = next(one.turns for one in schedule().series if one.id == item.series)
    is_passed = sum(one.rule == "skipped" for one in item.reasons) == len(turns) > 0
    why = word("reason", "age-limit" if is_passed else item.because, language)
    return Line(
        series=item.series,
        name=word("series", item.series, language),
        status=item.status,
        said=word("status", "lapsed" if is_passed else item.status, language),
        number=item.turn.removeprefix(f"{item.series}-"),
        earliest=_told(item.earliest),
        due=_told(item.due),
        why=f"{why} ({item.because_on})" if item.because_on else why,
    )


def given(
    known: Facts, doses: Sequence[Json], today: date, zone: tzinfo, *, language: str
) -> list[Given]:
    """The doses that are recorded, oldest first, each with what it counts for in the schedule. Of
    several records of a vaccine on a day, of which two institutions tell, one counts: that which
    says the most of where the dose came from.
    """
    places, told = counted(schedule(), known, today), list[Given]()
    seen = set[Event]()
    for on, dose in sorted(((_day_of(one, zone), one) for one in doses), key=_in_order):
        product = product_of(dose)
        event = Event(on, products()[product].plan) if product and on else None
        found, is_again = places.get(event, ()) if event else (), event in seen
        turn, reasons = _turn(found), ("told-already",) if is_again else _why(found)
        seen |= {event} if event else set()
        told.append(
            Given(
                id=str(dose.get("id", "")),
                on=_told(on),
                product=product,
                lot=str(dose.get("lotNumber", "")),
                package=package_of(dose),
                counted="" if turn is None or is_again else str(turn[1]),
                why=word("reason", reasons[0], language) if reasons else "",
                is_again=is_again,
            )
        )
    return told


def _in_order(one: tuple[date | None, Json]) -> tuple[Any, ...]:
    on, dose = one
    lacks = (not package_of(dose), not dose.get("lotNumber"))
    return on or date.min, *lacks, str(dose.get("occurrenceDateTime", ""))


def birth_and_first_dose(
    patient: Json, known: Facts, doses: Sequence[Json]
) -> tuple[datetime, datetime, int] | None:
    """When the person was born, when they had the first dose against hepatitis B, and within how
    many hours that has to be; None where a time of day is not known.
    """
    extensions = patient.get("_birthDate", {}).get("extension", [])
    born = next((e.get("valueDateTime", "") for e in extensions if e.get("url") == _BIRTH_TIME), "")
    times = [str(d.get("occurrenceDateTime", "")) for d in doses if product_of(d) == "HepB"]
    if "T" not in born or not times or "T" not in min(times):
        return None
    hours = _words()["hours"]["exposed" if known.groups else "usual"]
    return datetime.fromisoformat(born), datetime.fromisoformat(min(times)), hours


def is_given(dose: Json) -> bool:
    """Whether a dose was given: what was not, or was entered in error, was none."""
    return bool(dose.get("status") == "completed")


def product_of(dose: Json) -> str:
    """The code of the product that a dose was of; "" for one that is not known."""
    codings = dose.get("vaccineCode", {}).get("coding", [])
    known = (one.get("code") for one in codings if one.get("system") == PRODUCT_SYSTEM)
    return next((str(code) for code in known if code in products()), "")


def patient_of(dose: Json) -> str:
    """The id of the Patient who was given a dose."""
    return str(dose.get("patient", {}).get("reference", "")).removeprefix("Patient/")


def package_of(dose: Json) -> str:
    """The code of the smallest package that a dose came from; "" where none was recorded."""
    found = (one for one in dose.get("identifier", []) if one.get("system") == PACKAGE_SYSTEM)
    return next((str(one.get("value", "")) for one in found), "")


def finding_of(flag: Json) -> str:
    """What a Flag of the register of contraindications says; "" for another Flag."""
    codings = flag.get("code", {}).get("coding", [])
    return next((one["code"] for one in codings if one.get("system") == FINDING_SYSTEM), "")


def moment_of(dose: Json, zone: tzinfo) -> datetime | None:
    """When a dose was given, in a zone; of one that tells its day alone when that began. None for
    one that tells no day, or one that no clock of the zone has.
    """
    text = str(dose.get("occurrenceDateTime", ""))
    found = interval(text, zone) if tells_day(text) else None
    return None if found is None else on_clock(found[0], zone)


def _day_of(dose: Json, zone: tzinfo) -> date | None:
    text = str(dose.get("occurrenceDateTime", ""))
    return first_day(text, zone) if tells_day(text) else None


def _told(day: date | None) -> str:
    return "" if day is None else day.isoformat()
