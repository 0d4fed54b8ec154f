"""Every search parameter of simple kind finds what an independent reading of R4 says it finds."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from contract.proof.composed import composites
from contract.proof.composed import questions as composed_questions
from contract.proof.examination import Examination, disagreement
from contract.proof.oracle import SIMPLE, Definition, Evidence, read_json
from contract.proof.questions import Question
from contract.proof.resources import package
from contract.proof.stage import open_stage
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quanmin.base.cluster import Cluster
from quanmin.fhir.table import load_table

pytestmark = [pytest.mark.shared, pytest.mark.slow, pytest.mark.xdist_group("oracle")]

VALUES = 2
CLAUSES = 3


@pytest.fixture(scope="module")
def examination(postgres: Cluster) -> Iterator[Examination]:
    resources = list(package())
    with open_stage(postgres) as stage:
        stage.put(resources)
        yield Examination(stage, Evidence(read_json(raw) for _, _, raw in resources))


def test_no_parameter_of_these_types_is_left_out(examination: Examination) -> None:
    for type_, several in examination.definitions.items():
        params = load_table().types[type_].params.values()
        ours = {param.name for param in params if param.kind in SIMPLE} - {"_lastUpdated"}
        assert ours == {definition.name for definition in several}


def test_every_parameter_finds_what_r4_says(examination: Examination) -> None:
    asked = 0
    wrong = []
    for several in examination.definitions.values():
        for definition in several:
            questions = examination.questions(definition, VALUES)
            asked += len(questions)
            wrong += examination.disagreements(questions)
    assert asked > 1000
    assert not wrong, "\n" + "\n".join(wrong)


def test_every_composite_finds_what_r4_says(examination: Examination) -> None:
    asked = []
    for type_ in sorted(examination.evidence.by_type):
        several = composites(type_)
        params = load_table().types[type_].params.values()
        ours = {param.name for param in params if param.kind == "composite"}
        assert ours == {composite.name for composite in several}
        for composite in several:
            dice = random.Random(f"{type_}.{composite.name}")  # noqa: S311 - the same each time
            asked += list(composed_questions(examination.evidence, composite, dice, 80))
    wrong = examination.disagreements(asked)
    assert len(asked) > 200
    assert sum(bool(question.sure) for question in asked) > 50
    assert sum(not question.possible for question in asked) > 20
    assert not wrong, "\n" + "\n".join(wrong)


def test_an_answer_that_is_wrong_is_noticed() -> None:
    assert disagreement("Patient?a=b", ["1", "2"], {"1"}, {"1", "2"}) == ""
    assert "missing" in disagreement("Patient?a=b", ["2"], {"1"}, {"1", "2"})
    assert "too many" in disagreement("Patient?a=b", ["1", "3"], {"1"}, {"1", "2"})
    assert "twice" in disagreement("Patient?a=b", ["1", "1"], {"1"}, {"1", "2"})


@settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(0, 2**32), count=st.integers(3, 400))
def test_random_searches_find_what_r4_says_slice_after_slice(
    examination: Examination, seed: int, count: int
) -> None:
    dice = random.Random(seed)  # noqa: S311 - Hypothesis chooses the seed
    type_ = dice.choice(sorted(examination.definitions))
    questions = [draw(examination, type_, dice) for _ in range(dice.randint(1, CLAUSES))]
    sure = frozenset.intersection(*(question.sure for question in questions))
    possible = frozenset.intersection(*(question.possible for question in questions))
    pairs = [question.pair for question in questions]
    count = max(count, len(possible) // 8)
    found = examination.ids(type_, pairs, count)
    assert not disagreement(f"{type_}?{pairs} by {count}", found, sure, possible)


def draw(examination: Examination, type_: str, dice: random.Random) -> Question:
    """A question of this type that the dice choose; parameters with values more often."""
    with_values = [
        definition
        for definition in examination.definitions[type_]
        if examination.evidence.found(definition)
    ]
    definition: Definition = dice.choice(with_values)
    return dice.choice(examination.questions(definition, VALUES))
