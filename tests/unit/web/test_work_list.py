from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from quanmin.web.work_list import due_cell, due_words

MINUTE = 60_000_000
HOUR, DAY = 60 * MINUTE, 24 * 60 * MINUTE
VISIT: Any = SimpleNamespace(say=str, moment=lambda at: f"at {at}")


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (0, "now"),
        (MINUTE - 1, "now"),
        (MINUTE, "in 1 min"),
        (2 * HOUR - 1, "in 119 min"),
        (2 * HOUR, "in 2 h"),
        (3 * HOUR - 1, "in 2 h"),
        (2 * DAY - 1, "in 47 h"),
        (2 * DAY, "in 2 days"),
        (400 * DAY, "in 400 days"),
        (-1, "late since now"),
        (-MINUTE, "1 min late"),
        (-2 * HOUR + 1, "119 min late"),
        (-2 * HOUR, "2 h late"),
        (-3 * DAY, "3 days late"),
        (-4 * DAY + 1, "3 days late"),
    ],
)
def test_a_time_limit_is_told_in_the_largest_unit_of_which_there_are_two(
    left: int, words: str
) -> None:
    assert due_words(VISIT, left) == words


def test_what_is_late_is_a_warning_in_words_beside_its_moment() -> None:
    late, still, at_once = (due_cell(VISIT, due, 10 * DAY) for due in (7 * DAY, 13 * DAY, 10 * DAY))
    assert (late.text, late.tag, late.is_warning) == (f"at {7 * DAY}", "3 days late", True)
    assert (still.tag, still.is_warning) == ("in 3 days", False)
    assert (at_once.tag, at_once.is_warning) == ("now", False)
    nothing = due_cell(VISIT, None, 10 * DAY)
    assert (nothing.text, nothing.tag) == ("", "")
