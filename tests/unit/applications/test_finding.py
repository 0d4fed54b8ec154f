from __future__ import annotations

import pytest

from quanmin.applications.person_record.finding import searches, tidied


@pytest.mark.parametrize(
    ("term", "first"),
    [
        ("张伟", ("name", "张伟")),
        ("zhang wei", ("name", "zhang wei")),
        ("zw", ("name", "zw")),
        ("58010119800503002x", ("identifier", "58010119800503002X")),
        ("580101 19800503 002X", ("identifier", "58010119800503002X")),
        ("580101800503002", ("identifier", "580101800503002")),
        ("15412345678", ("phone", "15412345678")),
        ("154-1234-5678", ("phone", "15412345678")),
        ("MR-00123", ("identifier", "MR-00123")),
        ("a,b|c$d\\e", ("name", "a\\,b\\|c\\$d\\\\e")),
    ],
)
def test_what_was_typed_is_searched_as_what_it_is(term: str, first: tuple[str, str]) -> None:
    assert searches(tidied(term))[0] == (first,)


def test_a_name_is_sought_from_its_start_and_then_within() -> None:
    assert [pairs[0][0] for pairs in searches("伟")] == ["name", "name:contains"]


def test_a_whole_identity_number_is_never_taken_for_something_else() -> None:
    assert len(searches("58010119800503002X")) == 1


def test_an_empty_term_searches_nothing() -> None:
    assert searches(tidied("  \u3000 ")) == ()


def test_full_width_input_is_made_plain() -> None:
    assert tidied("\uff11\uff15\uff14　ｗｅｉ") == "154 wei"
