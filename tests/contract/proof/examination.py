"""A node and an oracle with the same resources, and the questions on which they disagree."""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property

from contract.proof.oracle import Definition, Evidence, definitions, read_json
from contract.proof.questions import Question, missing, questions
from contract.proof.resources import package
from contract.proof.stage import Stage, open_stage
from hypothesis import HealthCheck, settings

from quanmin.base.cluster import Cluster
from quanmin.base.problems import Problem

# `make test-full` says so: all examples. What every run can pay is a part of them.
IS_WHOLE = os.environ.get("QUANMIN_TESTS") == "full"
PART = 10


def the_same_each_time(times: int) -> settings:
    """Hypothesis draws so many examples (in `make test` a tenth), in every run the same; what it
    draws with is kept.
    """
    return settings(
        max_examples=times if IS_WHOLE else times // PART,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )


class Examination:
    """Puts questions to the node and compares its answers with the oracle's."""

    def __init__(self, stage: Stage, evidence: Evidence) -> None:
        self.stage = stage
        self.evidence = evidence
        self._questions: dict[tuple[Definition, int], tuple[Question, ...]] = {}

    @cached_property
    def definitions(self) -> dict[str, tuple[Definition, ...]]:
        """The parameters of every type that occurs, by type."""
        return {type_: definitions(type_) for type_ in sorted(self.evidence.by_type)}

    def questions(self, definition: Definition, values_max: int) -> tuple[Question, ...]:
        """What to ask about a parameter; the same every time."""
        known = self._questions.get((definition, values_max))
        if known is None:
            name = f"{definition.type}.{definition.name}"
            dice = random.Random(name)  # noqa: S311 - the same questions each time
            known = (
                *missing(self.evidence, definition),
                *questions(self.evidence, definition, dice, values_max),
            )
            self._questions[definition, values_max] = known
        return known

    def ids(self, type_: str, pairs: Iterable[tuple[str, str]], count: int = 1000) -> list[str]:
        """The ids of all hits, in order."""
        return [hit.id for hit in self.stage.find(type_, pairs, count)]

    def disagreements(self, asked: Iterable[Question]) -> list[str]:
        """Each question that the node answers otherwise than R4 allows, and how."""
        return [text for question in asked if (text := self._disagreement(question))]

    def _disagreement(self, question: Question) -> str:
        try:
            found = self.ids(question.definition.type, [question.pair])
        except Problem as problem:
            return f"{question}: refused ({problem.text})"
        except Exception as error:  # noqa: BLE001 - a fault is an answer too, and others remain
            return f"{question}: failed ({error!r})"
        return disagreement(str(question), found, question.sure, question.possible)


@contextmanager
def examined(postgres: Cluster) -> Iterator[Examination]:
    """The package in a store of its own."""
    resources = list(package())
    with open_stage(postgres) as stage:
        stage.put(resources)
        yield Examination(stage, Evidence(read_json(raw) for _, _, raw in resources))


def disagreement(asked: str, found: list[str], sure: Iterable[str], possible: Iterable[str]) -> str:
    """What is wrong with an answer; empty when nothing is."""
    wrong = []
    once = set(found)
    if len(once) < len(found):
        wrong.append(f"{len(found) - len(once)} hits stand there twice")
    if lost := sorted(set(sure) - once):
        wrong.append(f"{len(lost)} are missing, such as {lost[0]}")
    if more := sorted(once - set(possible)):
        wrong.append(f"{len(more)} are too many, such as {more[0]}")
    return f"{asked}: {'; '.join(wrong)}" if wrong else ""
