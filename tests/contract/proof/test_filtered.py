"""Random filters find what an independent reading of R4 says they find."""

from __future__ import annotations

import random

import pytest
from contract.proof.examination import Examination, disagreement, the_same_each_time
from contract.proof.filtered import Drawing
from contract.proof.linked import Paths
from hypothesis import given
from hypothesis import strategies as st

pytestmark = [pytest.mark.shared, pytest.mark.slow, pytest.mark.xdist_group("oracle")]


@pytest.fixture(scope="module")
def paths(examination: Examination) -> Paths:
    return Paths(examination.evidence, examination.definitions)


@the_same_each_time(200)
@given(seed=st.integers(0, 2**32), count=st.integers(3, 400))
def test_random_filters_find_what_r4_says_slice_after_slice(
    examination: Examination, paths: Paths, seed: int, count: int
) -> None:
    dice = random.Random(seed)  # noqa: S311 - Hypothesis chooses the seed
    type_ = dice.choice(sorted(examination.definitions))
    drawing = Drawing(examination, paths, type_, dice)
    several = [drawing.filter() for _ in range(dice.choice((1, 1, 1, 2)))]
    sure = frozenset.intersection(*(one.sure for one in several))
    possible = frozenset.intersection(*(one.possible for one in several))
    pairs = [("_filter", one.text) for one in several]
    count = max(count, len(possible) // 8)
    found = examination.ids(type_, pairs, count)
    assert not disagreement(f"{type_}?{pairs} by {count}", found, sure, possible)


def test_the_filters_have_answers(examination: Examination, paths: Paths) -> None:
    dice = random.Random("filters")  # noqa: S311 - the same filters each time
    drawn = [
        Drawing(examination, paths, dice.choice(sorted(examination.definitions)), dice).filter()
        for _ in range(300)
    ]
    assert sum(bool(one.sure) for one in drawn) > 100
    assert sum(one.sure == one.possible for one in drawn) > 100
    operators = {word for one in drawn for word in one.text.split()}
    assert {"and", "or", "not", "eq", "ne", "co", "sw", "ew"} <= operators
    assert {"gt", "lt", "ge", "le", "sa", "eb", "pr", "re"} <= operators
    assert sum("." in one.text.split(" ")[0] or "_has" in one.text for one in drawn) > 5
