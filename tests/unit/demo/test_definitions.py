"""The tables behind the province agree with their sources and with each other."""

from __future__ import annotations

import csv
import io
import tarfile

import msgspec
from shared import archive

from quanmin.demo.institutions import KINDS
from quanmin.demo.places import COUNTIES, townships
from quanmin.demo.tables import (
    DIAGNOSES,
    INFECTIONS,
    INSTITUTIONS,
    LABORATORY,
    MEASUREMENTS,
    MEDICINES,
    NUMBERING,
    PANELS,
    POPULATION,
    SYSTEMS,
    VACCINES,
)
from quanmin.fhir.units import canonical

ROWS = [row for group in DIAGNOSES.groups for row in group.rows]


def published(member: str) -> io.TextIOWrapper:
    """A file of the Chinese edition of ICD-10."""
    with tarfile.open(archive("icd_cn.tar.xz")) as opened:
        content = opened.extractfile(f"cn_terminology/opendrg/{member}")
        assert content is not None
        return io.TextIOWrapper(io.BytesIO(content.read()), "utf-8")


def test_diagnoses_have_the_published_names() -> None:
    names = dict(line.rstrip("\n").split(" ", 1) for line in published("ICD/ZD_INFO.dat"))
    ours = {row.code: row.name for row in ROWS}
    ours |= dict(DIAGNOSES.named.values())
    ours |= {each.code: each.name for each in INFECTIONS.infections}
    ours[INFECTIONS.outbreak.code] = INFECTIONS.outbreak.name
    # The published file has some names in two notations of brackets.
    wrong = {
        code: name
        for code, name in ours.items()
        if names[code].strip().replace("[", "［").replace("]", "］")
        != name.replace("[", "［").replace("]", "］")
    }
    assert len(ours) > 140
    assert wrong == {}


def test_no_township_has_the_name_of_a_real_one() -> None:
    with tarfile.open(archive("divisions.tar.xz")) as opened:
        content = opened.extractfile("divisions/town_sichuan.csv")
        assert content is not None
        real = {row["name"] for row in csv.DictReader(io.TextIOWrapper(content, "utf-8"))}
    ours = {township.name for code in COUNTIES for township in townships(code).items}
    assert len(real) > 2500
    assert len(ours) > 1000
    assert not real & ours


def test_township_codes_are_unique_and_lie_in_their_county() -> None:
    codes = [township.code for code in COUNTIES for township in townships(code).items]
    assert len(set(codes)) == len(codes)
    for code in COUNTIES:
        assert all(township.code.startswith(code) for township in townships(code).items)


def test_tables_name_only_what_other_tables_hold() -> None:
    treated = [(group.medicines, group.panels) for group in DIAGNOSES.groups]
    treated += [(each.medicines, each.panels) for each in INFECTIONS.infections]
    treated.append((INFECTIONS.outbreak.medicines, INFECTIONS.outbreak.panels))
    medicines = {key for keys, _ in treated for key in keys}
    medicines |= {key for row in ROWS for key in row.medicines or ()}
    assert medicines <= MEDICINES.keys()
    assert {key for _, keys in treated for key in keys} <= PANELS.keys()
    assert {key for panel in LABORATORY.panels for key in panel.members} <= MEASUREMENTS.keys()
    departments = {name for kind in KINDS.values() for name in kind.departments}
    assert {name for group in DIAGNOSES.groups for name in group.departments} <= departments
    assert set(INSTITUTIONS.departments.infections) <= departments


def test_every_age_and_sex_can_fall_ill() -> None:
    for age in range(101):
        for sex in ("male", "female"):
            found = [r for r in ROWS if r.youngest <= age <= r.oldest and r.sex in {"", sex}]
            assert len(found) >= 5, (age, sex)


def test_units_are_ucum() -> None:
    # Arbitrary units and scores have no canonical form, and need none.
    without = {"{score}", "m[IU]/L", "Cel"}
    units = {measured.unit for measured in MEASUREMENTS.values()} - without
    assert {unit for unit in units if canonical(unit) is None} == set()


def test_ranges_hold_their_own_mean() -> None:
    for measured in MEASUREMENTS.values():
        assert measured.low <= measured.mean <= measured.high, measured.key


def test_each_season_has_twelve_months_and_each_band_a_frequency() -> None:
    for infection in INFECTIONS.infections:
        assert len(infection.months) == 12
        assert len(infection.yearly_per_thousand) == len(INFECTIONS.bands)


def test_doses_are_in_order_of_age() -> None:
    assert all(list(vaccine.months) == sorted(vaccine.months) for vaccine in VACCINES.vaccines)
    assert {vaccine.code for vaccine in VACCINES.vaccines} >= {"HepB", "BCG", "DTaP", "MMR"}


def test_what_is_ours_is_named_under_an_address_that_cannot_exist() -> None:
    ours = [value for value in msgspec.structs.asdict(SYSTEMS).values() if value.startswith("http")]
    assert ours
    assert all(value.startswith("https://quanmin.example/") for value in ours)
    assert NUMBERING.phone_prefix not in NUMBERING.phone_prefixes_assigned


def test_prevalence_grows_with_age() -> None:
    shares = [share for _, share in POPULATION.hypertension.prevalence]
    assert shares == sorted(shares)
