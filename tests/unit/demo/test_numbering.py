"""Numbers are rightly made and belong to nobody."""

from __future__ import annotations

import csv
import io
import tarfile
from datetime import date

from shared import archive

from quanmin.demo.numbering import (
    birth_day,
    credit_check,
    credit_code,
    identity_check,
    identity_number,
    old_identity_number,
    organisation_check,
    phone_number,
)
from quanmin.demo.places import COUNTIES
from quanmin.demo.tables import NUMBERING, PLACES


def published_divisions() -> dict[str, str]:
    """Name by code of every division that GB/T 2260 assigns, down to counties."""
    found = {}
    with tarfile.open(archive("divisions.tar.xz")) as opened:
        for name in ("province", "city", "area"):
            content = opened.extractfile(f"divisions/{name}.csv")
            assert content is not None
            rows = csv.DictReader(io.TextIOWrapper(content, "utf-8"))
            found.update({row["code"]: row["name"] for row in rows})
    return found


def test_check_digits_agree_with_numbers_computed_elsewhere() -> None:
    assert identity_check("11010519491231002") == "X"
    assert credit_check("91350100M000100Y4") == "3"
    assert organisation_check("D2143569") == "X"


def test_an_identity_number_tells_division_birth_date_and_sex() -> None:
    man = identity_number("580102", date(1980, 2, 29), 3, male=True)
    woman = identity_number("580102", date(1980, 2, 29), 3, male=False)
    assert man.startswith("58010219800229")
    assert int(man[16]) % 2 == 1
    assert int(woman[16]) % 2 == 0
    assert len(man) == len(woman) == 18
    assert len(old_identity_number(man)) == 15


def test_no_division_code_of_the_province_is_assigned() -> None:
    assigned = published_divisions()
    assert not {code for code in assigned if code.startswith(NUMBERING.division_prefix)}
    ours = {PLACES.code, *COUNTIES, *(place.code for place in PLACES.prefectures)}
    assert not ours & assigned.keys()
    assert all(code.startswith(NUMBERING.division_prefix) for code in ours)


def test_no_place_has_the_name_of_a_real_one() -> None:
    real = set(published_divisions().values())
    ours = {place.name for place in PLACES.prefectures}
    ours |= {county.name for county in COUNTIES.values()}
    stems = {name[:-1] for name in ours}
    assert len(ours) == len(stems) == len(PLACES.prefectures) + len(COUNTIES)
    assert not {stem for stem in stems for name in real if name.startswith(stem)}


def test_the_province_is_shaped_like_sichuan() -> None:
    assert len(PLACES.prefectures) == 21
    assert len(COUNTIES) == 183
    assert PLACES.focus_county in COUNTIES


def test_phones_are_in_a_range_that_no_network_has_and_never_repeat() -> None:
    phones = [phone_number(serial) for serial in range(20_000)]
    assert len(set(phones)) == len(phones)
    assert all(len(phone) == 11 and phone.isdecimal() for phone in phones)
    assert not {phone[:3] for phone in phones} & NUMBERING.phone_prefixes_assigned


def test_credit_codes_have_both_check_characters() -> None:
    code = credit_code("580102", 7)
    assert len(code) == 18
    assert organisation_check(code[8:16]) == code[16]
    assert credit_check(code[:17]) == code[17]


def test_persons_of_one_year_are_spread_over_all_its_days() -> None:
    days = {birth_day(1990, serial)[0] for serial in range(365)}
    assert len(days) == 365
