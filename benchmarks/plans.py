"""Who of a county is due for what: how long it takes for everybody at once, and for one at a time.

python benchmarks/plans.py [--persons 500000] [--singly 500]

Invented people of all ages; each under 18 has had most of the doses that were due, some late, some
twice, and one in ten adults has hypertension and visits. Both plans that the program brings along
are evaluated on one day. Processor time of this one process is told, and checked against the answer
person by person for those who are done singly.
"""

from __future__ import annotations

import argparse
import resource
import time
from datetime import date
from importlib import resources

import msgspec
import numpy as np
from numpy.typing import NDArray

from quanmin.fhir.json import decode
from quanmin.workflow.plans import (
    Event,
    Facts,
    Plan,
    Population,
    State,
    compile_plan,
    due_items,
    standings,
)
from quanmin.workflow.plans.facts import SEXES
from quanmin.workflow.plans.population import END, Happened, Held, date_of, number_of

TODAY = date(2026, 11, 22)
MONTH = 30.44
DOSES = (
    ("hepb", 0), ("bcg", 0), ("hepb", 1), ("ipv", 2), ("dtap", 2), ("ipv", 3), ("bopv", 4),
    ("dtap", 4), ("hepb", 6), ("dtap", 6), ("mpsv-a", 6), ("mmr", 8), ("je-live", 8),
    ("mpsv-a", 9), ("mmr", 18), ("dtap", 18), ("hepa-live", 18), ("je-live", 24), ("mpsv-ac", 36),
    ("bopv", 48), ("dtap", 72), ("mpsv-ac", 72), ("hpv", 156), ("hpv", 162),
)  # fmt: skip
RESULTS = ("", "satisfied", "unsatisfied")
CODES = tuple(sorted({code for code, _ in DOSES} | {"hypertension", "hypertension-visit"}))


def county(persons: int, seed: int = 1) -> Population:
    """So many invented people."""
    chance = np.random.default_rng(seed)
    today = number_of(TODAY)
    age = chance.integers(0, 90 * 365, persons)
    born = (today - age).astype(np.int32)
    columns: list[tuple[NDArray[np.int64], str, NDArray[np.int64], NDArray[np.int64]]] = []
    child = np.flatnonzero(age < 18 * 365)
    for code, months in DOSES:
        late = chance.exponential(20, len(child)).astype(np.int64)
        day = born[child] + int(months * MONTH) + late
        given = (day <= today) & (chance.random(len(child)) < 0.95)
        columns.append((child[given], code, day[given], np.zeros(int(given.sum()), np.int64)))
    adult = np.flatnonzero((age > 35 * 365) & (chance.random(persons) < 0.16))
    for _ in range(8):
        day = today - chance.integers(0, 700, len(adult))
        columns.append((adult, "hypertension-visit", day, chance.integers(1, 3, len(adult))))
    number = {code: n for n, code in enumerate(CODES)}
    events = Happened(
        np.concatenate([one[0] for one in columns]).astype(np.int32),
        np.concatenate([np.full(len(one[0]), number[one[1]]) for one in columns]).astype(np.int16),
        np.concatenate([one[2] for one in columns]).astype(np.int32),
        np.concatenate([one[3] for one in columns]).astype(np.int16),
    )
    states = Held(
        adult.astype(np.int32),
        np.full(len(adult), number["hypertension"], np.int16),
        np.full(len(adult), today - 800, np.int32),
        np.full(len(adult), END, np.int32),
    )
    return Population(
        born=born,
        sex=chance.integers(0, 2, persons).astype(np.int8),
        groups={"mother-hbsag-positive": chance.random(persons) < 0.05},
        events=events,
        states=states,
        codes=CODES,
        details=RESULTS,
    )


def one_of(population: Population, person: int) -> Facts:
    """One person's facts."""
    events, states = population.events, population.states
    mine, theirs = np.flatnonzero(events.person == person), np.flatnonzero(states.person == person)

    def day(number: int) -> date:
        found = date_of(number)
        if found is None:
            raise ValueError("an event has no day")
        return found

    return Facts(
        born=day(population.born[person]),
        sex=SEXES[population.sex[person]],
        groups=frozenset(code for code, held in population.groups.items() if held[person]),
        events=tuple(
            Event(day(events.day[n]), CODES[events.code[n]], RESULTS[events.detail[n]])
            for n in mine
        ),
        states=tuple(State(CODES[states.code[n]], date_of(states.since[n]), None) for n in theirs),
    )


def shipped(name: str) -> Plan:
    """A plan that the program brings along."""
    folder = resources.files("quanmin") / "definitions" / "plans"
    bundle = decode((folder / "activities.json").read_bytes())
    activities = [entry["resource"] for entry in bundle["entry"]]
    return compile_plan(decode((folder / f"{name}.json").read_bytes()), activities)


def measure(plan: Plan, population: Population, singly: int) -> None:
    """Print what one plan costs, for all at once and for each of some."""
    wall, spent = time.perf_counter(), time.process_time()
    columns = standings(plan, population, TODAY)
    spent, wall = time.process_time() - spent, time.perf_counter() - wall
    due = sum(len(one.persons("due", "overdue", "escalated")) for one in columns)
    print(f"{plan.title}\n  at once: {spent:.2f} s of one processor, {wall:.2f} s; {due} items due")
    chosen = np.random.default_rng(2).choice(population.size, singly, replace=False)
    persons = [one_of(population, int(number)) for number in chosen]
    spent = time.process_time()
    items = [due_items(plan, one, TODAY) for one in persons]
    each = (time.process_time() - spent) / singly
    print(f"  singly:  {each * 1e6:.0f} us a person, so {each * population.size:.0f} s for all")
    for number, found in zip(chosen, items, strict=True):
        expected = [msgspec.structs.replace(item, reasons=()) for item in found]
        if [column.item(int(number)) for column in columns] != expected:
            raise SystemExit("the two forms disagree")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--persons", type=int, default=500_000)
    parser.add_argument("--singly", type=int, default=500)
    given = parser.parse_args()
    population = county(given.persons)
    print(f"{population.size} persons, {len(population.events.person)} events")
    for name in ("immunization-2026", "hypertension-2017"):
        measure(shipped(name), population, given.singly)
    print(f"memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB at most")


if __name__ == "__main__":
    main()
