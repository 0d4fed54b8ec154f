"""Numbers in which no small group can be told, nor worked out from the others and their sums."""

from __future__ import annotations

import tomllib
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Final, TypeVar

Key = TypeVar("Key", bound=Hashable)
_OUTSIDE: Final = -1


@cache
def least() -> int:
    """The smallest group that is told in figures (`definitions/small_groups.toml`)."""
    file = files("quanmin.definitions").joinpath("small_groups.toml")
    number: int = tomllib.loads(file.read_text("utf-8"))["least"]
    return number


def hidden_among(
    numbers: Mapping[Key, int], lines: Iterable[Sequence[Key]], least_told: int
) -> set[Key]:
    """The keys of what is left out. Of each line the last number is the sum of the others; a number
    is in one line, or in one across and one down.

    Left out is every number from 1 up to one less than the least that is told, and as many others,
    the smallest first and sums last, as it takes that in each line what is left out together is no
    small group and no single number, and that no number which is left out follows from all that is
    told. That nobody is there may be told.
    """
    known = [tuple(line) for line in lines]
    hidden = {key for key, number in numbers.items() if 0 < number < least_told}
    while True:
        _complete(numbers, known, hidden, least_told)
        exposed = _followed(known, hidden)
        more = {
            found
            for line in known
            if not exposed.isdisjoint(line) and (found := _next(numbers, line, hidden)) is not None
        }
        if not more:
            return hidden
        hidden.add(min(more, key=lambda key: (numbers[key], str(key))))


def suppressed(numbers: Sequence[int], least_told: int) -> tuple[list[int | None], int | None]:
    """The numbers of one line and their sum, None for what is left out."""
    *cells, total = range(len(numbers) + 1)
    whole = [*numbers, sum(numbers)]
    hidden = hidden_among(dict(enumerate(whole)), [range(len(whole))], least_told)
    shown = [None if at in hidden else whole[at] for at in cells]
    return shown, None if total in hidden else whole[total]


def _complete(
    numbers: Mapping[Key, int], lines: Sequence[Sequence[Key]], hidden: set[Key], least_told: int
) -> None:
    """Leave out more until in each line it is no single number and no small group."""
    is_open = True
    while is_open:
        is_open = False
        for line in lines:
            while _is_thin(numbers, line, hidden, least_told):
                found = _next(numbers, line, hidden)
                if found is None:
                    break
                hidden.add(found)
                is_open = True


def _is_thin(
    numbers: Mapping[Key, int], line: Sequence[Key], hidden: set[Key], least_told: int
) -> bool:
    """Whether what is left out of a line is a single number or, beside a sum that is told, a small
    group together.
    """
    out = [key for key in line if key in hidden]
    if len(out) < 2:
        return bool(out)
    return line[-1] not in hidden and sum(numbers[key] for key in out) < least_told


def _next(numbers: Mapping[Key, int], line: Sequence[Key], hidden: set[Key]) -> Key | None:
    """What of a line is left out next: the smallest group, then where nobody is, then the sum."""
    told = [key for key in line[:-1] if key not in hidden]
    if told:
        return min(told, key=lambda key: (numbers[key] == 0, numbers[key], str(key)))
    return None if line[-1] in hidden else line[-1]


def _followed(lines: Sequence[Sequence[Key]], hidden: set[Key]) -> set[Key]:
    """What is left out and follows all the same from the equations of the lines.

    A line is a node and what is left out of two lines an edge between them, out of one line an edge
    to the outside: a number follows from the others where its edge is the only way between two
    parts of the graph. Found by one walk in depth (Tarjan, 1974).
    """
    at: dict[Key, list[int]] = {}
    for number, line in enumerate(lines):
        for key in line:
            if key in hidden:
                at.setdefault(key, []).append(number)
    beside: dict[int, list[tuple[Key, int]]] = {}
    for key, found in at.items():
        one, other = (*found, _OUTSIDE)[:2]
        beside.setdefault(one, []).append((key, other))
        beside.setdefault(other, []).append((key, one))
    seen: dict[int, int] = {}
    bridges: set[Key] = set()
    for begin in beside:
        if begin not in seen:
            _walk(begin, beside, seen, bridges)
    return bridges


def _walk(
    begin: int,
    beside: Mapping[int, list[tuple[Key, int]]],
    seen: dict[int, int],
    bridges: set[Key],
) -> None:
    """Walk one part of the graph; `seen` has the order in which nodes were come to."""
    seen[begin] = len(seen)
    low = {begin: seen[begin]}
    path: list[tuple[int, Key | None, int, Iterator[tuple[Key, int]]]]
    path = [(begin, None, begin, iter(beside[begin]))]
    while path:
        node, by, parent, left = path[-1]
        step = next(left, None)
        if step is None:
            path.pop()
            low[parent] = min(low[parent], low[node])
            if by is not None and low[node] > seen[parent]:
                bridges.add(by)
            continue
        key, other = step
        if key == by:
            continue
        if other in seen:
            low[node] = min(low[node], seen[other])
        else:
            seen[other] = low[other] = len(seen)
            path.append((other, key, node, iter(beside[other])))
