"""Regular expressions matched in time that grows with the text, however they are written.

Python's own engine tries one way after another, and of some patterns (`(a+)+b`) there are more ways
than anyone can wait for, in a call that nothing can interrupt. Here all ways are followed at once.
It answers whether a text matches, and keeps no groups.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Final

from quanmin.fhir.path.problems import Unfit

STATES_MAX: Final = 4000
"""How many places a pattern may have; a repeated part counts once for each time."""

STEPS_MAX: Final = 500_000
"""How many places one match may look at, which is about a tenth of a second."""

# Sets of places are remembered up to so many places in all, some megabytes.
_KEPT_MAX: Final = 100_000
_PARSER: Any = re._parser  # type: ignore[attr-defined] # noqa: SLF001 - its trees are nowhere else
_MANY: Final = 1 << 40
_START, _LINE, _WORD, _OTHER = range(4)

_Key = tuple[frozenset[int], int, str, bool]
"""Places, the kind of character before them, the next one, and whether that is the last."""

Accepts = Callable[[str], bool]
Holds = Callable[[int, str, bool], bool]


def ways(pattern: str, options: int, length: int) -> int:
    """At most so many ways of matching there are to try in a text of this length."""
    return min(_MANY, _ways(_parsed(pattern, options), length) * (length + 1))


@lru_cache(maxsize=512)
def _parsed(pattern: str, options: int) -> Any:
    return _PARSER.parse(pattern, options)


def _ways(tree: Iterable[Any], length: int) -> int:
    found = 1
    for name, value in tree:
        found = min(_MANY, found * _ways_of(str(name), value, length))
    return found


def _ways_of(name: str, value: Any, length: int) -> int:
    if name == "BRANCH":
        return sum(_ways(each, length) for each in value[1])
    if name == "SUBPATTERN":
        return _ways(value[3], length)
    if name in {"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"}:
        least, most, inner = int(value[0]), min(int(value[1]), length), value[2]
        each = _ways(inner, length)
        times = max(1, most - least + 1)
        return times if each == 1 else min(_MANY, each ** min(max(most, 1), 64))
    if name in {"ASSERT", "ASSERT_NOT"}:
        return _ways(value[1], length)
    if name == "ATOMIC_GROUP":
        return _ways(value, length)
    return 1 if name in _PLAIN else _MANY


_PLAIN: Final = frozenset({"LITERAL", "NOT_LITERAL", "ANY", "IN", "AT", "GROUPREF"})


class Automaton:
    """One pattern as places with steps between them. Raises Unfit for one that cannot be so."""

    def __init__(self, pattern: str, options: int) -> None:
        self._options = options
        self._steps: list[tuple[Accepts, int] | None] = []
        self._frees: list[list[tuple[Holds | None, int]]] = []
        self._known: dict[_Key, tuple[bool, frozenset[int]]] = {}
        self._kept = self._spent = 0
        start = self._place()
        self._end = self._sequence(_parsed(pattern, options), start)
        self._start = frozenset({start})

    def search(self, text: str) -> bool:
        """Whether any part of the text matches."""
        return self._run(text, is_whole=False)

    def fullmatch(self, text: str) -> bool:
        """Whether the whole text matches."""
        return self._run(text, is_whole=True)

    def _run(self, text: str, *, is_whole: bool) -> bool:
        self._spent = 0
        now, before, last = self._start, _START, len(text) - 1
        for number, character in enumerate(text):
            key = now, before, character, number == last
            known = self._known.get(key)
            is_met, after = self._follow(key) if known is None else known
            if is_met and not is_whole:
                return True
            now = after if is_whole else after | self._start
            if not now:
                return False
            before = _kind(character)
        return self._end in self._reached((now, before, "", False))

    def _follow(self, key: _Key) -> tuple[bool, frozenset[int]]:
        """Whether the end is reached before the next character, and the places after it."""
        reached = self._reached(key)
        found = set()
        for place in reached:
            step = self._steps[place]
            if step is not None and step[0](key[2]):
                found.add(step[1])
        self._kept += len(key[0]) + len(found) + 1
        if self._kept > _KEPT_MAX:
            self._known.clear()
            self._kept = 0
        known = self._known[key] = self._end in reached, frozenset(found)
        return known

    def _reached(self, key: _Key) -> set[int]:
        """The places that are reached from those of a key without a character."""
        places, before, next_, is_last = key
        found = set(places)
        waiting = list(places)
        while waiting:
            place = waiting.pop()
            self._spent += 1
            for holds, target in self._frees[place]:
                if target not in found and (holds is None or holds(before, next_, is_last)):
                    found.add(target)
                    waiting.append(target)
        if self._spent > STEPS_MAX:
            raise Unfit("the regular expression takes too long on this text: make it simpler")
        return found

    # ---- building --------------------------------------------------------------------------------

    def _place(self) -> int:
        if len(self._steps) >= STATES_MAX:
            raise Unfit(
                f"the regular expression has more than {STATES_MAX} places: make it shorter"
            )
        self._steps.append(None)
        self._frees.append([])
        return len(self._steps) - 1

    def _sequence(self, tree: Iterable[Any], at: int) -> int:
        for name, value in tree:
            at = self._part(str(name), value, at)
        return at

    def _part(self, name: str, value: Any, at: int) -> int:
        if name in {"LITERAL", "NOT_LITERAL", "ANY", "IN"}:
            after = self._place()
            self._steps[at] = (self._accepts(name, value), after)
            return after
        if name == "SUBPATTERN" and not (value[1] or value[2]):  # flags of its own
            return self._sequence(value[3], at)
        if name == "BRANCH":
            after = self._place()
            for each in value[1]:
                begin = self._place()
                self._frees[at].append((None, begin))
                self._frees[self._sequence(each, begin)].append((None, after))
            return after
        if name in {"MAX_REPEAT", "MIN_REPEAT"}:
            return self._repeated(int(value[0]), value[1], value[2], at)
        if name == "AT" and str(value) in _PLACES:
            after = self._place()
            holds = _PLACES[str(value)]
            if self._options & re.MULTILINE:
                holds = _LINES.get(str(value), holds)
            self._frees[at].append((holds, after))
            return after
        raise Unfit("the regular expression is too costly to try in every way: make it simpler")

    def _repeated(self, least: int, most: Any, inner: Any, at: int) -> int:
        for _ in range(least):
            at = self._sequence(inner, self._beyond(at))
        after = self._place()
        if most is _PARSER.MAXREPEAT:
            again = self._beyond(at)
            self._frees[again].append((None, after))
            self._frees[self._sequence(inner, self._beyond(again))].append((None, again))
            return after
        for _ in range(int(most) - least):
            self._frees[at].append((None, after))
            at = self._sequence(inner, self._beyond(at))
        self._frees[at].append((None, after))
        return after

    def _beyond(self, at: int) -> int:
        """A new place that is reached from one for free, so that no two steps share a place."""
        after = self._place()
        self._frees[at].append((None, after))
        return after

    def _accepts(self, name: str, value: Any) -> Accepts:
        if name == "ANY":
            return (lambda _: True) if self._options & re.DOTALL else (lambda found: found != "\n")
        is_outside = name == "NOT_LITERAL"
        members = [("LITERAL", value)] if name != "IN" else [(str(op), each) for op, each in value]
        if members and members[0][0] == "NEGATE":
            is_outside, members = True, members[1:]
        tests = [_member(op, each) for op, each in members]
        if self._options & re.IGNORECASE:
            return lambda found: (
                is_outside
                != any(test(one) for one in {found, found.lower(), found.upper()} for test in tests)
            )
        return lambda found: is_outside != any(test(found) for test in tests)


def _member(name: str, value: Any) -> Accepts:
    if name == "LITERAL":
        return lambda found: found == chr(value)
    if name == "RANGE":
        low, high = chr(value[0]), chr(value[1])
        return lambda found: low <= found <= high and len(found) == 1
    category = re.compile(_CATEGORIES[str(value)])
    return lambda found: category.match(found) is not None


def _kind(character: str) -> int:
    if character == "\n":
        return _LINE
    return _WORD if character.isalnum() or character == "_" else _OTHER


def _is_boundary(before: int, next_: str, _: bool) -> bool:  # noqa: FBT001 - as all are asked
    return (before == _WORD) != (next_ != "" and _kind(next_) == _WORD)


_CATEGORIES: Final = {
    "CATEGORY_DIGIT": r"\d",
    "CATEGORY_NOT_DIGIT": r"\D",
    "CATEGORY_SPACE": r"\s",
    "CATEGORY_NOT_SPACE": r"\S",
    "CATEGORY_WORD": r"\w",
    "CATEGORY_NOT_WORD": r"\W",
}
_PLACES: Final[dict[str, Holds]] = {
    "AT_BEGINNING": lambda before, _, __: before == _START,
    "AT_BEGINNING_STRING": lambda before, _, __: before == _START,
    "AT_END": lambda _, next_, is_last: not next_ or (next_ == "\n" and is_last),
    "AT_END_STRING": lambda _, next_, __: not next_,
    "AT_BOUNDARY": _is_boundary,
    "AT_NON_BOUNDARY": lambda *at: not _is_boundary(*at),
}
_LINES: Final[dict[str, Holds]] = {
    "AT_BEGINNING": lambda before, _, __: before in {_START, _LINE},
    "AT_END": lambda _, next_, __: next_ in {"", "\n"},
}
