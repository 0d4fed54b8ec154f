"""What the generator says is true is what the records show."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest

from quanmin.base.problems import Invalid
from quanmin.demo.guide import find_hints
from quanmin.demo.province import Province
from quanmin.demo.sheet import ENTRIES_MAX
from quanmin.demo.tables import INFECTIONS, PLACES, SYSTEMS

PROVINCE = Province(seed=5, people=900)


def resources(province: Province = PROVINCE) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each resource with its sender."""
    for bundles in province.bundles():
        for bundle in bundles:
            for entry in orjson.loads(bundle.body)["entry"]:
                yield bundle.sender, entry["resource"]


@cache
def patients() -> dict[tuple[str, str], dict[str, Any]]:
    """Patients by their number at their institution."""
    return {
        (resource["identifier"][0]["system"], resource["identifier"][0]["value"]): resource
        for _, resource in resources()
        if resource["resourceType"] == "Patient"
    }


def identity(patient: dict[str, Any]) -> str | None:
    for identifier in patient["identifier"]:
        if identifier["system"] == SYSTEMS.identity_number:
            return str(identifier["value"])
    return None


def test_every_patient_has_one_line_of_truth_and_the_other_way_round() -> None:
    lines = list(PROVINCE.truth())
    keys = {(line.system, line.number) for line in lines}
    assert len(keys) == len(lines)
    assert keys == patients().keys()


def test_faithful_registrations_of_one_person_agree_and_differing_ones_differ() -> None:
    known = patients()
    of_person: dict[str, list[tuple[str, dict[str, Any]]]] = defaultdict(list)
    for line in PROVINCE.truth():
        of_person[line.person].append((line.differs, known[line.system, line.number]))
    assert len(of_person) >= 900
    for found in of_person.values():
        faithful = [patient for differs, patient in found if not differs]
        assert len({(p["name"][0]["text"], p["birthDate"], identity(p)) for p in faithful}) == 1
        for differs, patient in found:
            if differs == "name_typo":
                assert patient["name"][0]["text"] != faithful[0]["name"][0]["text"]
                assert patient["birthDate"] == faithful[0]["birthDate"]
            if differs == "missing_identity":
                assert identity(patient) is None


def test_every_kind_of_difference_is_planted() -> None:
    kinds = Counter(line.differs for line in Province(5, 3000).truth())
    planted = {"name_typo", "pinyin_name", "missing_identity", "old_identity", "changed_phone"}
    assert planted | {"birth_swapped", "identity_typo", "newborn", ""} == kinds.keys()
    differing = sum(kinds.values()) - kinds[""] - kinds["newborn"]
    assert 0.03 < differing / sum(kinds.values()) < 0.2


def test_no_identity_number_belongs_to_two_people() -> None:
    known = patients()
    holders: dict[str, set[str]] = defaultdict(set)
    for line in PROVINCE.truth():
        number = identity(known[line.system, line.number])
        if number is not None and line.differs != "identity_typo":
            holders[number].add(line.person)
    assert holders
    assert all(len(persons) == 1 for persons in holders.values())


def test_the_truth_can_be_kept_as_a_table(tmp_path: Path) -> None:
    province = Province(5, 30)
    count = province.write_truth(tmp_path / "truth.csv")
    with (tmp_path / "truth.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == count == len(list(province.truth()))
    assert rows[0].keys() == {"sender", "system", "number", "person", "differs"}


def test_the_outbreak_stands_out_of_the_background_and_its_size_is_known() -> None:
    planted = INFECTIONS.outbreak
    outbreak = PROVINCE.outbreak()
    weeks: Counter[int] = Counter()
    for _, resource in resources():
        if resource["resourceType"] == "Condition":
            code = resource["code"]["coding"][0]["code"]
            if code == planted.code:
                onset = date.fromisoformat(resource["onsetDateTime"])
                weeks[(onset - outbreak.first_day).days // 7] += 1
    assert outbreak.county == PLACES.focus_county
    assert tuple(weeks[week] for week in range(outbreak.weeks)) == outbreak.cases
    # No other week of ten years has a single case of this disease.
    assert sum(weeks.values()) == sum(outbreak.cases) >= 5
    assert max(outbreak.cases) >= 2


def test_the_background_has_its_seasons() -> None:
    months: dict[str, Counter[int]] = defaultdict(Counter)
    for _, resource in resources():
        if resource["resourceType"] == "Condition":
            code = resource["code"]["coding"][0]["code"]
            months[code][int(resource["onsetDateTime"][5:7])] += 1
    influenza, diarrhoea = months["J11.100"], months["A09.000"]
    assert sum(influenza[month] for month in (12, 1, 2)) > influenza.total() / 3
    assert sum(diarrhoea[month] for month in (6, 7, 8)) > diarrhoea.total() / 4


def test_everything_is_marked_fictional() -> None:
    tags = {
        tag["code"]
        for _, resource in resources(Province(5, 30))
        for tag in resource["meta"]["tag"]
        if tag["system"] == SYSTEMS.tag
    }
    untagged = [r for _, r in resources(Province(5, 30)) if not r["meta"]["tag"]]
    assert tags == {"fictional"}
    assert not untagged


def test_bundles_are_of_a_size_a_node_takes_and_have_keys_of_their_own() -> None:
    bundles = [bundle for several in PROVINCE.bundles() for bundle in several]
    assert max(bundle.resources for bundle in bundles) <= ENTRIES_MAX
    assert len({bundle.key for bundle in bundles}) == len(bundles)
    assert {bundle.sender for bundle in bundles} <= {sender.code for sender in PROVINCE.senders()}


def test_each_person_has_a_history_worth_reading() -> None:
    per_person = sum(1 for _ in resources()) / 900
    assert 50 < per_person < 110


def test_charges_are_by_category_and_add_up() -> None:
    categories: Counter[str] = Counter()
    for _, resource in resources(Province(5, 100)):
        if resource["resourceType"] == "Claim":
            nets = [round(item["net"]["value"] * 100) for item in resource["item"]]
            assert sum(nets) == round(resource["total"]["value"] * 100)
            categories.update(item["category"]["coding"][0]["code"] for item in resource["item"])
    assert categories.keys() == {"medicine", "examination", "material", "service"}


def test_the_guide_names_somebody_with_a_difference_and_how_to_find_them() -> None:
    terms = [hint.term for hint in find_hints(PROVINCE)]
    assert len(terms) >= 5
    assert all(terms)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_even_a_small_province_has_somebody_to_look_for(seed: int) -> None:
    terms = [hint.term for hint in find_hints(Province(seed, 40))]
    assert any(term.isdecimal() and len(term) == 11 for term in terms)


@pytest.mark.parametrize(("seed", "people"), [(1, 0), (1, 100_001), (-1, 10), (10**9, 10)])
def test_a_province_outside_its_bounds_is_refused(seed: int, people: int) -> None:
    with pytest.raises(Invalid):
        Province(seed, people)
