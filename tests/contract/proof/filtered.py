"""Filters made from questions and from texts that occur, with their answers by the oracle."""

from __future__ import annotations

import json
import random
import re
from typing import NamedTuple

from contract.proof import comparison
from contract.proof.examination import Examination
from contract.proof.linked import LinkedQuestion, Paths, draw_linked
from contract.proof.oracle import Definition
from contract.proof.questions import Question

_PREFIXED = re.compile(r"(eq|ne|gt|lt|ge|le|sa|eb)?(.*)", re.DOTALL)
_TEXTS = ("eq", "ne", "co", "sw", "ew")
_DEPTH = 3


class Filter(NamedTuple):
    """A filter of one type. Hits lie between `sure` and `possible`."""

    text: str
    sure: frozenset[str]
    possible: frozenset[str]


class Drawing:
    """Draws filters on one type at random."""

    def __init__(
        self, examination: Examination, paths: Paths, type_: str, dice: random.Random
    ) -> None:
        self._examination = examination
        self._paths = paths
        self._type = type_
        self._dice = dice
        self._everyone = frozenset(examination.evidence.ids(type_))

    def filter(self, depth: int = _DEPTH) -> Filter:
        """A test, or several joined; what has no parentheses is taken from left to right."""
        if depth == 0 or self._dice.random() < 0.3:
            return self._test()
        if self._dice.random() < 0.25:
            part = self.filter(depth - 1)
            sure, possible = self._everyone - part.possible, self._everyone - part.sure
            return Filter(f"not ({part.text})", sure, possible)
        whole = self._enclosed(depth - 1)
        for _ in range(self._dice.randint(1, 2)):
            other = self._enclosed(depth - 1)
            word = self._dice.choice(("and", "or"))
            join = frozenset.__and__ if word == "and" else frozenset.__or__
            whole = Filter(
                f"{whole.text} {word} {other.text}",
                join(whole.sure, other.sure),
                join(whole.possible, other.possible),
            )
        return whole

    def _enclosed(self, depth: int) -> Filter:
        part = self.filter(depth)
        return part._replace(text=f"({part.text})")

    def _test(self) -> Filter:
        for _ in range(50):
            definition = self._dice.choice(self._with_values())
            if definition.kind == "string":
                return self._text(definition)
            if self._dice.random() < 0.2:
                linked = self._linked()
                if linked is not None:
                    return linked
            values_max = 2
            questions = self._examination.questions(definition, values_max)
            found = as_test(self._dice.choice(questions))
            if found is not None:
                return found
        return Filter("_id pr true", self._everyone, self._everyone)

    def _with_values(self) -> list[Definition]:
        evidence = self._examination.evidence
        return [one for one in self._examination.definitions[self._type] if evidence.found(one)]

    def _text(self, definition: Definition) -> Filter:
        found = self._examination.evidence.found(definition)
        several = [text for id_ in sorted(found) for text in comparison.texts(found[id_][0])]
        usable = [text for text in several if any(map(str.isalnum, text))]
        text = self._dice.choice(usable) if usable else "nothing of the kind"
        operator = self._dice.choice(_TEXTS)
        asked = {"sw": text[:5], "ew": text[-5:], "co": text[2:8]}.get(operator, text)[:60].strip()
        if not any(map(str.isalnum, asked)):
            asked = text[:60]
        verdicts = {
            id_: comparison.filtered_text(operator, asked, found.get(id_, []))
            for id_ in self._everyone
        }
        return Filter(
            f"{definition.name} {operator} {json.dumps(asked)}",
            frozenset(id_ for id_, verdict in verdicts.items() if verdict),
            frozenset(id_ for id_, verdict in verdicts.items() if verdict is not False),
        )

    def _linked(self) -> Filter | None:
        def draw(dice: random.Random) -> Question:
            while True:
                type_ = dice.choice(sorted(self._examination.definitions))
                evidence = self._examination.evidence
                own = [one for one in self._examination.definitions[type_] if evidence.found(one)]
                question = dice.choice(self._examination.questions(dice.choice(own), 2))
                if as_test(question) is not None and question.modifier == "":
                    return question

        for _ in range(30):
            question = draw_linked(self._paths, draw, self._dice)
            if question is not None and question.type == self._type:
                return self._at_the_end(question)
        return None

    def _at_the_end(self, question: LinkedQuestion) -> Filter | None:
        test = as_test(question.far)
        if test is None:
            return None
        path, _ = question.pair
        _, _, comparison_ = test.text.partition(" ")
        evidence = self._examination.evidence
        everyone = {type_: frozenset(found) for type_, found in evidence.by_type.items()}
        sure, possible = self._paths.answer(question, lambda type_: everyone[type_])
        return Filter(f"{path} {comparison_}", sure, possible)


def as_test(question: Question) -> Filter | None:
    """The test that asks what a parameter asks; None where a filter has no operator for it."""
    name, kind = question.definition.name, question.definition.kind
    answer = question.sure, question.possible
    value = question.text
    if question.modifier == "missing":
        return Filter(f"{name} pr {'false' if value == 'true' else 'true'}", *answer)
    if question.modifier == "not":
        return Filter(f"not ({name} eq {json.dumps(value)})", *answer)
    if question.modifier:
        return None
    match kind:
        case "token" | "uri":
            return Filter(f"{name} eq {json.dumps(value)}", *answer)
        case "reference":
            return Filter(f"{name} re {json.dumps(value)}", *answer)
        case "date" | "number" | "quantity":
            found = _PREFIXED.fullmatch(value)
            operator, rest = (found[1] or "eq", found[2]) if found else ("eq", value)
            return Filter(f"{name} {operator} {json.dumps(rest)}", *answer)
        case _:
            return None
