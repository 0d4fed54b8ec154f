"""Diseases of a report card as people type them."""

from __future__ import annotations

from datetime import date

import pytest

from quanmin.web.own_codes import brought, carried, found_in
from quanmin.workflow.notifiable import options

DISEASES = options("x/notifiable-disease", date(2026, 11, 23)) or []


def codes(words: str, count: int = 8, after: str = "") -> list[str]:
    found, _ = found_in(DISEASES, words, "en", after=after, count=count)
    return [one.code for one in found]


@pytest.mark.parametrize(
    ("words", "first", "number"),
    [
        ("麻疹", "measles", 1),
        ("mz", "measles", 1),
        ("mazhen", "measles", 1),
        ("measles", "measles", 1),
        ("rubella", "rubella", 1),
        ("手足", "hand-foot-mouth", 1),
        ("szkb", "hand-foot-mouth", 1),
        ("hand mouth", "hand-foot-mouth", 1),
        ("typh", "typhoid", 2),
        ("easles", "", 0),
        ("%_'", "", 0),
    ],
)
def test_a_disease_is_found_by_what_people_type(words: str, first: str, number: int) -> None:
    found = codes(words)
    assert (next(iter(found), ""), len(found)) == (first, number)


def test_what_is_called_so_comes_first_and_the_rest_page_by_page() -> None:
    assert codes("流行性感冒")[0] == "influenza"
    shown, after = found_in(DISEASES, "病", "zh", count=3)
    seen = [one.code for one in shown]
    while after:
        shown, after = found_in(DISEASES, "病", "zh", after=after, count=3)
        seen += [one.code for one in shown]
    assert len(seen) == len(set(seen)) == sum("病" in one.words.text for one in DISEASES)


def test_what_is_no_place_begins_anew() -> None:
    for after in ("9" * 5000, "-1", "²", "x"):
        assert found_in(DISEASES, "病", "zh", after=after, count=3) == found_in(
            DISEASES, "病", "zh", count=3
        )


def test_what_a_page_carries_is_searched_like_the_whole() -> None:
    again = brought(carried(DISEASES))
    assert found_in(again, "mz", "zh", count=8) == found_in(DISEASES, "mz", "zh", count=8)
