"""Whatever a workflow looks like, its picture can be read: nothing lies over anything else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from itertools import combinations, pairwise
from random import Random
from typing import NamedTuple
from xml.etree import ElementTree as ET

from hypothesis import given, settings
from hypothesis import strategies as st

from quanmin.workflow.states import State, Step, Workflow
from quanmin.workflow.states.drawing import draw
from quanmin.workflow.states.model import Head

SVG = "{http://www.w3.org/2000/svg}"
HEAD = Head(
    source="a test",
    owner="a test",
    version="1",
    effective=date(2026, 1, 1),
    url="urn:test",
    zh="流程",
    en="Workflow",
)


class Run(NamedTuple):
    """A straight part of a line: which line, across or down, where, from where to where."""

    line: int
    is_across: bool
    at: float
    start: float
    end: float


def workflow(random: Random) -> Workflow:
    """Up to nine states, each reached from one before it, and steps anywhere among them."""
    count = random.randint(1, 9)
    states = {
        f"s{n}": State(
            code=f"s{n}",
            zh="状态" * random.randint(1, 6),
            en="state " * random.randint(1, 5),
            task="completed" if n == count - 1 else "requested",
            final=n == count - 1,
        )
        for n in range(count)
    }
    ways = [(frozenset[str](), "s0")]
    ways += [(frozenset({f"s{random.randrange(n)}"}), f"s{n}") for n in range(1, count)]
    for _ in range(random.randint(0, 8)):
        starts = random.sample(sorted(states), random.randint(1, min(3, count)))
        ways.append((frozenset(starts), f"s{random.randrange(count)}"))
    steps = {
        f"t{n}": Step(
            code=f"t{n}",
            zh="办理" * random.randint(1, 8),
            en="take it " * random.randint(1, 7),
            begins_in=starts,
            to=to,
            roles=frozenset({"doctor"} if random.random() < 0.8 else ()),
        )
        for n, (starts, to) in enumerate(ways)
    }
    return Workflow(
        name="test",
        head=HEAD,
        states=states,
        steps=steps,
        timers={},
        notices={},
        reasons={},
        rules={},
    )


def runs(picture: ET.Element) -> Iterator[Run]:
    lines = [one.get("d", "") for one in picture.iter(f"{SVG}path") if one.get("stroke")]
    for number, line in enumerate(lines):
        points = [(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", line)]
        for (x, y), (u, v) in pairwise(points):
            assert x == u or y == v
            if x != u:
                yield Run(number, is_across=True, at=y, start=min(x, u), end=max(x, u))
            elif y != v:
                yield Run(number, is_across=False, at=x, start=min(y, v), end=max(y, v))


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from(["zh", "en"]))
def test_boxes_words_and_lines_keep_apart(random: Random, language: str) -> None:
    picture = ET.fromstring(draw(workflow(random), language))  # noqa: S314 - drawn by ourselves
    width, height = float(picture.get("width", 0)), float(picture.get("height", 0))
    shapes = list(picture.iter(f"{SVG}rect"))[1:]
    boxes = [[float(one.get(part, 0)) for part in ("x", "y", "width", "height")] for one in shapes]
    assert all(x >= 0 and x + w <= width and y + h <= height for x, y, w, h in boxes)
    for (a, b, c, d), (e, f, g, h) in combinations(boxes, 2):
        # Places are told to a tenth.
        assert a + c <= e + 0.2 or e + g <= a + 0.2 or b + d <= f + 0.2 or f + h <= b + 0.2
    for one, other in combinations(runs(picture), 2):
        if one.line != other.line and one.is_across == other.is_across:
            is_beside = abs(one.at - other.at) >= 1.5
            assert is_beside or one.end <= other.start or other.end <= one.start
