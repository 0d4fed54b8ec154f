"""The independent oracle over everything: many values, both collections, longer random searches."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from contract.proof.examination import Examination, disagreement
from contract.proof.oracle import Evidence, read_json
from contract.proof.resources import package, valid_examples
from contract.proof.stage import open_stage
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quanmin.base.cluster import Cluster

pytestmark = [pytest.mark.shared, pytest.mark.slow, pytest.mark.xdist_group("oracle")]

Examined = tuple[str, Examination]
VALUES = {"package": 8, "examples": 4}


@pytest.fixture(scope="module", params=["package", "examples"])
def examined(
    request: pytest.FixtureRequest, postgres: Cluster
) -> Iterator[tuple[str, Examination]]:
    is_package = request.param == "package"
    resources = list(package() if is_package else valid_examples(definitions_max=40))
    with open_stage(postgres) as stage:
        stage.put(resources)
        evidence = Evidence(read_json(raw) for _, _, raw in resources)
        yield request.param, Examination(stage, evidence)


def test_every_parameter_finds_what_r4_says(examined: Examined) -> None:
    name, examination = examined
    asked = 0
    wrong = []
    for several in examination.definitions.values():
        for definition in several:
            questions = examination.questions(definition, VALUES[name])
            asked += len(questions)
            wrong += examination.disagreements(questions)
    assert asked > 4000
    assert not wrong, "\n" + "\n".join(wrong)


@settings(
    max_examples=3000,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(seed=st.integers(0, 2**48))
def test_random_searches_find_what_r4_says(examined: Examined, seed: int) -> None:
    name, examination = examined
    dice = random.Random(seed)  # noqa: S311 - Hypothesis chooses the seed
    type_ = dice.choice(sorted(examination.definitions))
    several = [
        definition
        for definition in examination.definitions[type_]
        if examination.evidence.found(definition)
    ]
    questions = [
        dice.choice(examination.questions(dice.choice(several), VALUES[name]))
        for _ in range(dice.randint(1, 4))
    ]
    sure = frozenset.intersection(*(question.sure for question in questions))
    possible = frozenset.intersection(*(question.possible for question in questions))
    pairs = [question.pair for question in questions]
    count = max(dice.randint(1, 300), len(possible) // 8)
    found = examination.ids(type_, pairs, count)
    assert not disagreement(f"{type_}?{pairs} by {count}", found, sure, possible)
