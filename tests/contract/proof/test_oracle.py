"""Every search parameter of simple kind finds what an independent reading of R4 says it finds."""

from __future__ import annotations

import random
import re

import pytest
from contract.proof.composed import composites
from contract.proof.composed import questions as composed_questions
from contract.proof.examination import Examination, disagreement, the_same_each_time
from contract.proof.oracle import SIMPLE, Definition
from contract.proof.questions import Question, ask, together
from contract.proof.sorted import Keys, is_in_order
from hypothesis import given
from hypothesis import strategies as st

from quanmin.fhir.table import load_table

pytestmark = [pytest.mark.shared, pytest.mark.slow, pytest.mark.xdist_group("oracle")]

VALUES = 2
CLAUSES = 3
# What these take has a form of its own, and not every parameter of a name takes them.
OF_ELEMENTS = {"text", "of-type", "above", "below"}


@pytest.fixture(scope="module")
def keys(examination: Examination) -> Keys:
    return Keys(examination.evidence)


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


@the_same_each_time(300)
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


RANDOM = the_same_each_time(120)


@RANDOM
@given(seed=st.integers(0, 2**32), count=st.integers(3, 400))
def test_random_orders_of_several_keys_are_as_r4_says(
    examination: Examination, keys: Keys, seed: int, count: int
) -> None:
    dice = random.Random(seed)  # noqa: S311 - Hypothesis chooses the seed
    type_ = dice.choice(sorted(examination.definitions))
    decided = [one for one in examination.definitions[type_] if keys.of(one) is not None]
    with_values = [one for one in decided if keys.of(one)] or decided
    chosen = dice.sample(with_values, min(len(with_values), dice.randint(1, 3)))
    if dice.random() < 0.2:
        chosen.append(dice.choice(decided))
    directions = [dice.random() < 0.5 for _ in chosen]
    sort = ",".join(
        f"{'-' if descending else ''}{one.name}"
        for one, descending in zip(chosen, directions, strict=True)
    )
    question = draw(examination, type_, dice)
    pairs = [question.pair] if dice.random() < 0.5 else []
    sure = question.sure if pairs else frozenset(examination.evidence.ids(type_))
    possible = question.possible if pairs else sure
    found = examination.ids(type_, [*pairs, ("_sort", sort)], max(count, len(possible) // 8))
    asked = f"{type_}?{pairs}&_sort={sort} by {count}"
    assert not disagreement(asked, found, sure, possible)
    by = [(keys.of(one) or {}, down) for one, down in zip(chosen, directions, strict=True)]
    assert is_in_order(found, by) is None, asked


def test_an_order_that_is_wrong_is_noticed() -> None:
    values = {"a": [1, 5], "b": [2], "c": [3]}
    assert is_in_order(["a", "b", "c", "d"], [(values, False)]) is None
    assert is_in_order(["a", "c", "b", "d"], [(values, True)]) is None
    assert is_in_order(["b", "a"], [(values, False)]) == ("b", "a")
    assert is_in_order(["d", "a"], [(values, True)]) == ("d", "a")
    assert is_in_order(["a", "b"], [({}, False), (values, True)]) is None
    assert is_in_order(["b", "a"], [({"a": [1], "b": [1]}, False), (values, False)]) == ("b", "a")


@RANDOM
@given(seed=st.integers(0, 2**32), count=st.integers(3, 400))
def test_random_searches_of_several_types_find_what_r4_says_of_each(
    examination: Examination, seed: int, count: int
) -> None:
    dice = random.Random(seed)  # noqa: S311 - Hypothesis chooses the seed
    types = dice.sample(sorted(examination.definitions), dice.randint(2, 5))
    shared = _shared(examination, types)
    name = dice.choice(sorted(shared))
    asked = dice.choice(examination.questions(dice.choice(shared[name]), VALUES))
    if asked.modifier in {"missing", *OF_ELEMENTS}:
        return
    plain = re.sub(r"\\([\\,$|])", r"\1", asked.text)
    each = [
        ask(examination.evidence, definition, asked.modifier, plain, asked.text)
        for definition in shared[name]
    ]
    sure = {f"{one.definition.type}/{id_}" for one in each for id_ in one.sure}
    possible = {f"{one.definition.type}/{id_}" for one in each for id_ in one.possible}
    sort = [("_sort", dice.choice(["_id", "-_lastUpdated", name, f"-{name},_id"]))]
    pairs = [("_type", ",".join(types)), asked.pair, *(sort if dice.random() < 0.5 else [])]
    hits = examination.stage.find(None, pairs, max(count, len(possible) // 8))
    found = [f"{hit.type}/{hit.id}" for hit in hits]
    assert not disagreement(f"{pairs} by {count}", found, sure, possible)


def _shared(examination: Examination, types: list[str]) -> dict[str, list[Definition]]:
    """The parameters that all types have, of one kind in all."""
    by_name: dict[str, list[Definition]] = {}
    for type_ in types:
        for definition in examination.definitions[type_]:
            by_name.setdefault(definition.name, []).append(definition)
    return {
        name: several
        for name, several in by_name.items()
        if len(several) == len(types) and len({one.kind for one in several}) == 1
    }


@RANDOM
@given(seed=st.integers(0, 2**32), count=st.integers(3, 400), absent=st.integers(0, 3000))
def test_long_lists_find_what_their_values_find(
    examination: Examination, seed: int, count: int, absent: int
) -> None:
    dice = random.Random(seed)  # noqa: S311 - Hypothesis chooses the seed
    type_ = dice.choice(sorted(examination.definitions))
    keyed = [
        one
        for one in examination.definitions[type_]
        if one.kind in {"token", "reference", "uri"} and examination.evidence.found(one)
    ]
    definition = dice.choice(keyed)
    questions = [
        one for one in examination.questions(definition, VALUES) if one.modifier != "missing"
    ]
    modifier = dice.choice(sorted({one.modifier for one in questions} - OF_ELEMENTS))
    several = [one for one in questions if one.modifier == modifier]
    chosen = dice.sample(several, dice.randint(1, len(several)))
    text, sure, possible = together(chosen)
    nothing = ",".join(f"no-such-value-{number}" for number in range(absent))
    pair = (chosen[0].pair[0], f"{nothing},{text}" if absent else text)
    found = examination.ids(type_, [pair], max(count, len(possible) // 8))
    assert not disagreement(f"{type_}?{pair[0]} of {absent}: {text}", found, sure, possible)


def draw(examination: Examination, type_: str, dice: random.Random) -> Question:
    """A question of this type that the dice choose; parameters with values more often."""
    with_values = [
        definition
        for definition in examination.definitions[type_]
        if examination.evidence.found(definition)
    ]
    definition: Definition = dice.choice(with_values)
    return dice.choice(examination.questions(definition, VALUES))
