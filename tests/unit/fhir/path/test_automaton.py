"""Regular expressions whose cost is bounded find what Python finds."""

from __future__ import annotations

import random
import re
import time

import pytest

from quanmin.fhir.path import PathProblem, compile_path
from quanmin.fhir.path.automaton import Automaton, ways
from quanmin.fhir.path.problems import Unfit

PATTERNS = [
    *(r"(a+)+b", r"^(a|aa)*$", r"[a-c]{1,3}x?", r"(ab|a)(bc|c)?", r"\bfoo\b", r"^\d{3}-\d{4}$"),
    *(r"(\w+\s?)*$", r"[^a]b+", r"(?i)AbC", r"a{2}", r"(a*)*", r"(a|b)*?c", r"\Aab\Z", r"^$"),
    *(r".*.*x", r"a$", "", r"(?:x|y|)+z", r"[\d\s_-]+", r"[^\W\d]+$", r"a{2,}b", r"(a{0,2}){2}b"),
    *(r"\Bb", r"[A-Z]([A-Za-z0-9_]){0,254}", r"[A-Za-z]*(\.[a-z][a-z0-9]*(\[x])?)*"),
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_it_finds_what_python_finds(pattern: str) -> None:
    chance = random.Random(3)  # noqa: S311 - a repeatable choice, no secret
    for flags in (re.DOTALL, re.DOTALL | re.IGNORECASE, re.DOTALL | re.MULTILINE):
        python = re.compile(pattern, flags)
        automaton = Automaton(pattern, python.flags)
        for _ in range(150):
            text = "".join(chance.choices("aabbcxyzAB\n foo1_-.[]", k=chance.randint(0, 9)))
            assert automaton.search(text) is (python.search(text) is not None), text
            assert automaton.fullmatch(text) is (python.fullmatch(text) is not None), text


def test_a_hostile_pattern_ends_in_time() -> None:
    start = time.process_time()
    for pattern, length in (
        ("(a+)+b", 100_000),
        ("(a|a)" * 300 + "b", 400),
        (".*.*.*.*x", 50_000),
        ("(a*)*c", 100_000),
        ("a*b", 300_000),
    ):
        of = {"resourceType": "Patient", "name": [{"text": "a" * length}]}
        for function in ("matches", "matchesFull"):
            found = compile_path(f"name.text.{function}('{pattern}')").values(of)
            assert found == [False], pattern
    assert time.process_time() - start < 20.0


def test_what_can_be_neither_bounded_nor_followed_is_refused() -> None:
    of = {"resourceType": "Patient", "name": [{"text": "a" * 40}]}
    for expression in (
        r"matches('(a+)+\\1b')",
        "matches('(?=(a+)+)+b')",
        "matches('((a?){900}){9}')",
        "replaceMatches('(a+)+b', 'c')",
    ):
        with pytest.raises(PathProblem, match=r"simpler|shorter"):
            compile_path(f"name.text.{expression}").values(of)
    assert compile_path(r"name.text.matches('(a)\\1')").values(of) == [True]


def test_many_places_at_once_are_given_up() -> None:
    text = "".join(random.Random(1).choices("ab", k=60_000))  # noqa: S311 - no secret
    with pytest.raises(Unfit, match="too long"):
        Automaton("a.{300}c", 0).search(text)


def test_an_ordinary_pattern_is_left_to_python() -> None:
    assert ways("[A-Z]([A-Za-z0-9_]){0,254}", 0, 40) < 10_000
    assert ways("(ab|cd)e?", 0, 9) == 40
