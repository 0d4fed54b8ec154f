"""Chains and `_has` find what an independent reading of R4 says they find, for everyone who asks.

The records are those of two institutions and of nobody in particular, and refer to each other
across; each asker sees some of them, and nothing is found by the others.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from functools import cache

import pytest
from contract.proof.examination import Examination, disagreement, the_same_each_time
from contract.proof.linked import LinkedQuestion, Paths, draw_linked
from contract.proof.oracle import Definition, Evidence, read_json
from contract.proof.questions import Question
from contract.proof.resources import package
from contract.proof.stage import OPERATOR, open_stage
from hypothesis import given
from hypothesis import strategies as st

from quanmin.base.cluster import Cluster
from quanmin.trust import Actor
from quanmin.trust.directory import directory

pytestmark = [pytest.mark.shared, pytest.mark.slow, pytest.mark.xdist_group("linked")]

VALUES = 2
EAST = Actor(code="east", role="institution", name="east", sender="east")
WEST = Actor(code="west", role="institution", name="west", sender="west")
SENDERS = (EAST, WEST)
ASKERS = (OPERATOR, EAST, WEST)


class Linked:
    """The examination, with who sent what and what leads where."""

    def __init__(self, examination: Examination, sender_of: dict[tuple[str, str], Actor]) -> None:
        self.examination = examination
        self.sender_of = sender_of
        self.paths = Paths(examination.evidence, examination.definitions)
        self.ids = cache(self._ids)

    def _ids(self, actor: Actor, type_: str, *, is_whole: bool) -> frozenset[str]:
        everyone = self.examination.evidence.by_type.get(type_, {})
        is_open = actor is OPERATOR or (type_ in directory() and not is_whole)
        return frozenset(id_ for id_ in everyone if is_open or self.sender_of[type_, id_] is actor)

    def answer(
        self, actor: Actor, questions: list[LinkedQuestion]
    ) -> tuple[frozenset[str], frozenset[str]]:
        """What the actor must find and may find at most, asking all of these at once."""
        is_whole = any(is_hidden(one) for question in questions for one in question.asked())
        answers = [
            self.paths.answer(question, lambda type_: self.ids(actor, type_, is_whole=is_whole))
            for question in questions
        ]
        sure = frozenset.intersection(*(sure for sure, _ in answers))
        return sure, frozenset.intersection(*(possible for _, possible in answers))

    def draw(self, dice: random.Random) -> Question:
        """A question with an answer, at random."""
        examination = self.examination
        while True:
            type_ = dice.choice(sorted(examination.definitions))
            with_values = [
                definition
                for definition in examination.definitions[type_]
                if examination.evidence.found(definition)
            ]
            questions = examination.questions(dice.choice(with_values), VALUES)
            found = [question for question in questions if question.sure]
            if found:
                return dice.choice(found)


def is_hidden(definition: Definition) -> bool:
    """Whether the directory shows none of what a parameter of its types looks at."""
    shown = directory().get(definition.type)
    if shown is None:
        return False
    elements = re.findall(rf"(?:\b{definition.type}\.|^)(\w+)", definition.expression)
    return not elements or not shown.issuperset(elements)


@pytest.fixture(scope="module")
def linked(postgres: Cluster) -> Iterator[Linked]:
    resources = list(package())
    sender_of = {
        (type_, id_): SENDERS[len(id_) % 2 if type_ != "Patient" else number % 2]
        for number, (type_, id_, _) in enumerate(resources)
    }
    with open_stage(postgres) as stage:
        for sender in SENDERS:
            own = [one for one in resources if sender_of[one[0], one[1]] is sender]
            stage.put(own, sender)
        evidence = Evidence(read_json(raw) for _, _, raw in resources)
        yield Linked(Examination(stage, evidence), sender_of)


@the_same_each_time(300)
@given(seed=st.integers(0, 2**32), count=st.integers(3, 400))
def test_random_chains_find_what_r4_says_for_everyone_who_asks(
    linked: Linked, seed: int, count: int
) -> None:
    dice = random.Random(seed)  # noqa: S311 - Hypothesis chooses the seed
    question = draw_linked(linked.paths, linked.draw, dice)
    if question is None:
        return
    questions = [question]
    if dice.random() < 0.3:
        others = (draw_linked(linked.paths, linked.draw, dice) for _ in range(20))
        questions += [one for one in others if one and one.type == question.type][:1]
    pairs = [one.pair for one in questions]
    for actor in ASKERS:
        sure, possible = linked.answer(actor, questions)
        found = linked.examination.stage.find(
            question.type, pairs, max(count, len(possible) // 8), actor
        )
        asked = f"{actor.code}: {question.type}?{pairs}"
        assert not disagreement(asked, [hit.id for hit in found], sure, possible)


def test_the_questions_have_answers_and_askers_differ(linked: Linked) -> None:
    dice = random.Random("linked")  # noqa: S311 - the same questions each time
    drawn = [draw_linked(linked.paths, linked.draw, dice) for _ in range(300)]
    questions = [one for one in drawn if one is not None]
    answers = [[linked.answer(actor, [one]) for actor in ASKERS] for one in questions]
    assert sum(bool(of_all[0][0]) for of_all in answers) > 100
    assert sum(of_all[0] != of_all[1] for of_all in answers) > 100
    assert {len(question.hops) for question in questions} == {1, 2, 3}
    assert {hop.is_reverse for question in questions for hop in question.hops} == {True, False}
