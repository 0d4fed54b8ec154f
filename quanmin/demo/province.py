"""The whole province: what is registered, who lives there, what happened, and the truth about
it.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Container, Iterator
from functools import cached_property
from itertools import groupby
from operator import attrgetter
from pathlib import Path

import msgspec

from quanmin.base.problems import Invalid
from quanmin.demo import institutions
from quanmin.demo.chart import Chart, add_allergy, add_blood_type, add_death
from quanmin.demo.dice import Dice
from quanmin.demo.history import history
from quanmin.demo.households import (
    LAST_DAY,
    Household,
    make_household,
    place_of,
    size_of,
)
from quanmin.demo.infection import Outbreak, count_outbreak, outbreak_case
from quanmin.demo.institutions import CAPITAL, Institution, Sender, centre
from quanmin.demo.places import COUNTIES, Township
from quanmin.demo.registrations import Registration, Truth, register, truth_of
from quanmin.demo.registry import add_coverage, add_institution, add_patient
from quanmin.demo.sheet import ENTRIES_MAX, DemoBundle, Sheet
from quanmin.demo.tables import PLACES
from quanmin.demo.visits import Visit, named

PEOPLE_MAX = 100_000
_FULL_ENOUGH = 300  # a bundle is closed at a person's end from here on
_ROOM_FOR_A_VISIT = 40
_CAUSES = (
    "stroke",
    "infarction",
    "lung_cancer",
    "respiratory_failure",
    "cardiac_arrest",
    "old_age",
)


class Book(msgspec.Struct, frozen=True):
    """One registration and all that its institution wrote about the person."""

    registration: Registration
    visits: list[Visit]


class Province:
    """An invented province of at least `people` people, the same for the same seed on every
    machine.

    A larger province of the same seed holds the smaller one unchanged, so a node can be given
    more people later. Everything is made household by household; nothing is kept in memory but
    the list of townships.
    """

    def __init__(self, seed: int = 1, people: int = 2000) -> None:
        if not 1 <= people <= PEOPLE_MAX:
            raise Invalid(f"a demo province has 1 to {PEOPLE_MAX} people, not {people}")
        if not 0 <= seed < 10**9:
            raise Invalid("a seed is a whole number from 0 to 999999999")
        self.seed = seed
        self.people = people

    @cached_property
    def household_count(self) -> int:
        """How many households it takes to have so many people."""
        people = count = 0
        while people < self.people:
            people += size_of(self.seed, count)
            count += 1
        return count

    @staticmethod
    def senders() -> tuple[Sender, ...]:
        """Who sends: a platform for each prefecture, then a centre for disease control and two
        hospitals under their own name.
        """
        return institutions.senders()

    def townships(self) -> list[Township]:
        """The townships where somebody lives, by code; only these have a health centre in the
        demo.
        """
        lived_in = {
            (place := place_of(self.seed, number)).code: place
            for number in range(self.household_count)
        }
        return [lived_in[code] for code in sorted(lived_in)]

    def places(self) -> dict[str, list[Institution]]:
        """The institutions where somebody lives and those of the capital as a whole, by the key of
        the bundle that registers them; each bundle is of one sender.
        """
        townships = self.townships()
        counties = sorted({township.county.code for township in townships})
        prefectures = {CAPITAL.code, *(COUNTIES[county].prefecture for county in counties)}
        groups = [
            *(institutions.of_prefecture(prefecture) for prefecture in sorted(prefectures)),
            *(institutions.of_county(county) for county in counties),
            *(institutions.of_township(township) for township in townships),
        ]
        found = {}
        for group in groups:
            for _, several in groupby(group, key=attrgetter("sender")):
                listed = list(several)
                # Institutions are the same for every seed, and so is their mark.
                found[f"demo-place-{listed[0].code}"] = listed
        return found

    def institutions(self, done: Container[str] = ()) -> Iterator[DemoBundle]:
        """The bundles that register institutions and staff, without the keys that are done; all
        must be stored before any household's.
        """
        for key, listed in self.places().items():
            if key not in done:
                yield self._institution_bundle(key, listed)

    @staticmethod
    def _institution_bundle(key: str, listed: list[Institution]) -> DemoBundle:
        sheet = Sheet(Dice(listed[0].code).below(2**48))
        parents: dict[str, dict[str, str]] = {}
        for institution in listed:
            parents[institution.code] = add_institution(
                sheet, institution, parents.get(institution.parent or "")
            )
        return sheet.close(key, listed[0].sender, LAST_DAY)

    def households(self) -> Iterator[Household]:
        """All households in order of their number."""
        return (make_household(self.seed, number) for number in range(self.household_count))

    def bundles(
        self, is_done: Callable[[int], bool] = lambda _: False
    ) -> Iterator[list[DemoBundle]]:
        """The bundles of each household, those of one household together; `is_done` skips
        households unmade.
        """
        for number in range(self.household_count):
            yield [] if is_done(number) else self.household_bundles(number)

    def household_bundles(self, number: int) -> list[DemoBundle]:
        """What all institutions wrote about one household, a list of bundles by sender.

        Keys end in the number of the bundle and how many there are, so that a household's being
        complete can be told from the keys that are stored.
        """
        household = make_household(self.seed, number)
        by_sender: dict[str, list[Sheet]] = {}
        for book in self.books(household):
            sheets = by_sender.setdefault(book.registration.place.sender, [])
            self._write(sheets, book, household)
        listed = [(sender, sheet) for sender, sheets in by_sender.items() for sheet in sheets]
        return [
            sheet.close(f"{self.marker_prefix}{number:06d}-{part}-{len(listed)}", sender, LAST_DAY)
            for part, (sender, sheet) in enumerate(listed, 1)
        ]

    @property
    def marker_prefix(self) -> str:
        """What the marks of this seed's households begin with."""
        return f"demo-{self.seed}-h"

    def books(self, household: Household) -> Iterator[Book]:
        """Every registration of a household's people with the visits made under it."""
        for human in household.humans:
            found: dict[tuple[str, bool], Book] = {}
            home = centre(household.township)
            made = register(self.seed, household, human, home, is_newborn=False)
            found[home.code, False] = Book(made, [])
            for visit in history(self.seed, household, human):
                # A village clinic keeps no books of its own: it writes into those of its centre.
                place = home if visit.place.kind.code == "clinic" else visit.place
                key = place.code, visit.is_newborn
                if key not in found:
                    made = register(self.seed, household, human, place, is_newborn=visit.is_newborn)
                    found[key] = Book(made, [])
                found[key].visits.append(visit)
            yield from found.values()

    def _write(self, sheets: list[Sheet], book: Book, household: Household) -> None:
        """Writes a book into the last sheet, or into new ones as it fills."""
        if not sheets or len(sheets[-1].entries) >= _FULL_ENOUGH:
            sheets.append(self._sheet(household, book, sheets))
        chart = self._open(sheets[-1], book, household, is_first=True)
        for visit in book.visits:
            if len(sheets[-1].entries) > ENTRIES_MAX - _ROOM_FOR_A_VISIT:
                sheets.append(self._sheet(household, book, sheets))
                chart = self._open(sheets[-1], book, household, is_first=False)
            chart.write(visit)

    def _sheet(self, household: Household, book: Book, sheets: list[Sheet]) -> Sheet:
        name = Dice(self.seed, household.number, book.registration.place.sender, len(sheets))
        return Sheet(name.below(2**48))

    def _open(self, sheet: Sheet, book: Book, household: Household, *, is_first: bool) -> Chart:
        registration = book.registration
        patient = add_patient(sheet, registration, household)
        coverage = add_coverage(sheet, registration, patient, is_first=is_first)
        if is_first and registration.differs != "newborn":
            add_allergy(sheet, registration, patient)
            human = registration.human
            admitted = [
                visit.day for visit in book.visits if visit.kind in {"inpatient", "delivery"}
            ]
            if admitted:
                dice = Dice(self.seed, "blood", human.serial)
                add_blood_type(sheet, registration, patient, admitted[0], dice)
            if human.died is not None and registration.place.kind.code == "centre":
                cause = named(Dice(self.seed, "cause", human.serial).pick(_CAUSES))
                add_death(sheet, registration, patient, human.died, cause)
        return Chart(sheet, registration, patient, coverage)

    def truth(self) -> Iterator[Truth]:
        """For every registration whose it is and how it differs: what linkage is measured
        against.
        """
        for household in self.households():
            for book in self.books(household):
                yield truth_of(book.registration)

    def write_truth(self, path: Path) -> int:
        """Writes the truth as CSV and returns the number of registrations."""
        count = 0
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(Truth.__struct_fields__)
            for line in self.truth():
                writer.writerow(msgspec.structs.astuple(line))
                count += 1
        return count

    def outbreak(self) -> Outbreak:
        """The planted outbreak as it is, counted in the people who live in its county."""
        days, people = [], 0
        for number in range(self.household_count):
            if place_of(self.seed, number).county.code != PLACES.focus_county:
                continue
            for human in make_household(self.seed, number).humans:
                people += human.lives(LAST_DAY)
                case = outbreak_case(self.seed, human, PLACES.focus_county)
                if case is not None:
                    days.append(case.day)
        return count_outbreak(days, people)
