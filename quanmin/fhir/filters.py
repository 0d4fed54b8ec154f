"""Reads the text of `_filter` into a tree of tests (R4 search_filter.html 3.1.3.1)."""

from __future__ import annotations

import re
from typing import NoReturn

import msgspec

from quanmin.base.problems import Malformed, Sentence, TooCostly


class Step(msgspec.Struct, frozen=True):
    """A name in a path, at a place in the text; what is referred to by it must meet `where`."""

    name: str
    at: int
    where: Node | None = None


class Test(msgspec.Struct, frozen=True):
    """`path operator value`; the value is without the quotes of a string."""

    path: tuple[Step, ...]
    operator: str
    value: str
    at: int


class Both(msgspec.Struct, frozen=True):
    """All of the parts."""

    parts: tuple[Node, ...]


class Either(msgspec.Struct, frozen=True):
    """At least one of the parts."""

    parts: tuple[Node, ...]


class Negated(msgspec.Struct, frozen=True):
    """Not the part."""

    part: Node


Node = Test | Both | Either | Negated

_SPACE = re.compile(r"\s*")
_WORD = re.compile(r"[A-Za-z]+(?![A-Za-z0-9_.:\[-])")
_NAME = re.compile(r"_has:[A-Za-z]+:[A-Za-z0-9_-]+(?=:)|[A-Za-z_][A-Za-z0-9_-]*(?::[A-Za-z]+)?")
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_TOKEN = re.compile(r"[^\s)\]]+")


def read_filter(text: str, *, tests_max: int, depth_max: int) -> Node:
    """The tree of a filter. `and` and `or` are taken from left to right, neither before the other.

    Raises Malformed, saying at which character, and TooCostly beyond the limits.
    """
    return _Reading(text, tests_max, depth_max).whole()


def stop(at: int, what: str) -> NoReturn:
    """Refuse a filter for what stands at a place of its text, counted from 0."""
    raise Malformed(Sentence("_filter, from character %(at)s: %(what)s", at=at + 1, what=what))


class _Reading:
    def __init__(self, text: str, tests_max: int, depth_max: int) -> None:
        self._text = text
        self._at = 0
        self._tests_left = self._tests_max = tests_max
        self._depth_left = self._depth_max = depth_max

    def whole(self) -> Node:
        node = self._filter()
        if self._at < len(self._text):
            stop(self._at, Sentence("'and', 'or' or the end of the filter must stand here"))
        return node

    def _filter(self) -> Node:
        node = self._part()
        while True:
            at = self._at
            word = self._word()
            if word == "and":
                node = Both((node, self._part()))
            elif word == "or":
                node = Either((node, self._part()))
            else:
                self._at = at
                self._skip()
                return node

    def _part(self) -> Node:
        at = self._at
        is_negated = self._word() == "not"
        if not is_negated:
            self._at = at
        self._skip()
        if self._next("("):
            node = self._inner(")")
            return Negated(node) if is_negated else node
        if is_negated:
            stop(self._at, Sentence("'not' stands before a filter in parentheses: not (...)"))
        return self._test()

    def _inner(self, end: str) -> Node:
        if self._depth_left == 0:
            raise TooCostly(
                Sentence(
                    "_filter: at most %(depth_max)s parentheses within each other",
                    depth_max=self._depth_max,
                )
            )
        self._depth_left -= 1
        node = self._filter()
        self._depth_left += 1
        self._skip()
        if not self._next(end):
            stop(self._at, Sentence("'and', 'or' or %(end)r must stand here", end=end))
        return node

    def _test(self) -> Test:
        if self._tests_left == 0:
            raise TooCostly(
                Sentence(
                    "_filter: at most %(tests_max)s tests in one filter", tests_max=self._tests_max
                )
            )
        self._tests_left -= 1
        path = self._path()
        self._skip()
        at = self._at
        operator = self._word()
        if not operator:
            stop(at, Sentence("an operator such as eq must stand here, after a space"))
        self._skip()
        return Test(path, operator, self._value(), at)

    def _path(self) -> tuple[Step, ...]:
        steps = [self._step()]
        while True:
            if steps[-1].name.startswith("_has:"):
                self._next(":")
            elif not self._next("."):
                break
            steps.append(self._step())
        if steps[-1].where is not None:
            stop(
                self._at, Sentence("after ']' goes '.' and what is asked of the record referred to")
            )
        return tuple(steps)

    def _step(self) -> Step:
        found = _NAME.match(self._text, self._at)
        if found is None:
            stop(self._at, Sentence("the name of a search parameter must stand here"))
        self._at = found.end()
        where = self._inner("]") if self._next("[") else None
        return Step(found[0], found.start(), where)

    def _value(self) -> str:
        if self._text.startswith('"', self._at):
            found = _STRING.match(self._text, self._at)
            if found is None:
                stop(self._at, Sentence("a string begins here that does not end"))
            try:
                value = msgspec.json.decode(found[0], type=str)
            except msgspec.DecodeError:
                stop(self._at, Sentence("this is no JSON string"))
        else:
            found = _TOKEN.match(self._text, self._at)
            if found is None:
                stop(self._at, Sentence("a value must stand here, after a space"))
            value = found[0]
        self._at = found.end()
        return value

    def _word(self) -> str:
        """The word that comes next, in small letters; "" where there is none."""
        self._skip()
        found = _WORD.match(self._text, self._at)
        if found is None:
            return ""
        self._at = found.end()
        return found[0].lower()

    def _next(self, mark: str) -> bool:
        if not self._text.startswith(mark, self._at):
            return False
        self._at += len(mark)
        return True

    def _skip(self) -> None:
        found = _SPACE.match(self._text, self._at)
        self._at = found.end() if found else self._at
