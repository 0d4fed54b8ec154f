"""A form on which it is told why what was asked for is refused."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from quanmin.base.problems import (
    Conflict,
    Forbidden,
    Invalid,
    Issue,
    Malformed,
    NotFound,
    Problem,
)
from quanmin.web.forms import Field, Sent, confirm_page, read_number
from quanmin.web.tables import place_number, place_numbers


def filled(**sent: str) -> Sent:
    return Sent(cast("Any", SimpleNamespace(sent=sent, say=lambda message: message)))


def test_what_is_refused_is_said_beside_its_field_and_it_goes_on() -> None:
    sent, done = filled(until="2026-01-31"), []
    with sent.blaming({"period": "until"}):
        raise Invalid("no", issues=(Issue("error", "value", "too late", "Post.period[0]"),))
    with sent.blaming():
        done.append("asked")
    assert sent.faults == {"until": "too late"}
    assert done == ["asked"]
    (shown,) = sent.shown([Field("until", "Until")])
    assert (shown.value, shown.fault) == ("2026-01-31", "too late")


def test_all_that_was_filled_in_comes_again_after_the_question_whether_it_is_meant() -> None:
    sent = {"token": ["t"], "roles": ["doctor", "nurse"], "words": [""]}
    visit = SimpleNamespace(sent_all=sent, page=lambda _template, **values: values)
    values = cast("Any", confirm_page(cast("Any", visit), "Really?", ["It ends."], back="/"))
    again = [("roles", "doctor"), ("roles", "nurse"), ("words", ""), ("confirmed", "1")]
    assert values["kept"] == again


def test_what_belongs_to_no_field_is_said_above_the_form() -> None:
    sent = filled()
    with sent.blaming({"period": "until"}):
        raise Conflict("somebody was first")
    assert sent.general
    assert sent.exact == ("somebody was first",)
    assert not sent.is_sound


@pytest.mark.parametrize("problem", [NotFound("no such one"), Forbidden("not yours")])
def test_other_refusals_are_told_where_the_page_says_so_and_else_are_its_answer(
    problem: Problem,
) -> None:
    sent = filled()
    with pytest.raises(type(problem)), sent.blaming():
        raise problem
    assert sent.is_sound
    with sent.blaming({}, type(problem)):
        raise problem
    assert not sent.is_sound


def test_a_number_is_one_that_a_column_holds_and_the_next_as_well() -> None:
    assert [read_number(one) for one in ("0", "007", f"{(1 << 63) - 2}")] == [0, 7, (1 << 63) - 2]
    for none in ("", "-1", "+1", " 1", "1.0", "²", "٣", "x", f"{(1 << 63) - 1}", "9" * 5000):
        assert read_number(none) is None
        with pytest.raises(Malformed):
            place_numbers(f"1.{none}")
    assert place_number("") == 0
    assert place_numbers("2.3") == (2, 3)
