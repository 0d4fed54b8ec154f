"""What the page of searches marks: a shape that grows too fast, unless its answer does."""

from __future__ import annotations

import msgspec
import pytest
from search import page
from search.results import Latencies, Measured


def measured(p50: float, size: int, p99: float = 20.0) -> Measured:
    four = Latencies(400, p50, p50, p99)
    return Measured(bytes=size, four=four, alone=Latencies(200, p50, p50, p50))


@pytest.mark.parametrize(
    ("smaller", "larger", "told"),
    [
        (measured(4, 1000), measured(11.9, 1000), ("3.0", "")),
        (measured(4, 1000), measured(12.2, 1000), ("3.0", "**more than 3 times**")),
        (measured(4, 1000), measured(40, 1100), ("10.0", "**more than 3 times**")),
        (measured(4, 1000), measured(40, 9000), ("10.0", "answer larger")),
        (measured(4, 1000), measured(2, 9000), ("0.5", "answer larger")),
        (measured(4, 1000), Measured(refused="400: too much"), ("", "")),
        (None, measured(4, 1000), ("", "")),
        (
            msgspec.structs.replace(measured(4, 1000), total=900),
            msgspec.structs.replace(measured(40, 1000), total=9_000),
            ("10.0", "answer larger"),
        ),
    ],
)
def test_growth_beyond_three_times_is_marked_unless_the_answer_grows(
    smaller: Measured | None, larger: Measured, told: tuple[str, str]
) -> None:
    assert page.step(smaller, larger) == told
