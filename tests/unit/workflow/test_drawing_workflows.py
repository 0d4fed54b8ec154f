"""The picture of a workflow: readable, told to who cannot see it, nothing over anything else."""

from __future__ import annotations

import re
from itertools import combinations, pairwise
from xml.etree import ElementTree as ET

import pytest

from quanmin.web.application import discover
from quanmin.workflow.states import Workflow
from quanmin.workflow.states.drawing import draw, layers, table

SVG = "{http://www.w3.org/2000/svg}"


def flow() -> Workflow:
    workflow = discover("trials")[0].application.workflow
    assert workflow is not None
    return workflow


FLOW = flow()
LANGUAGES = pytest.mark.parametrize("language", ["zh", "en"])


def parsed(language: str) -> ET.Element:
    return ET.fromstring(draw(FLOW, language))  # noqa: S314 - drawn by ourselves


def test_states_stand_in_layers_by_how_many_steps_lead_to_them() -> None:
    assert layers(FLOW) == [["entered"], ["returned", "escalated", "ended"], ["withdrawn"]]


@LANGUAGES
def test_every_state_and_step_is_in_the_picture_with_its_words(language: str) -> None:
    said = [element.text or "" for element in parsed(language).iter(f"{SVG}text")]
    for state in FLOW.states.values():
        assert state.told(language) in said
    for step in FLOW.steps.values():
        count = len([one for one in said if one.startswith(step.told(language))])
        assert count >= max(1, len(step.begins_in))
    assert any(text.endswith(("(24 h)", "(24 小时)")) for text in said)


@LANGUAGES
def test_no_text_is_smaller_than_twelve_pixels_and_all_ink_is_dark(language: str) -> None:
    picture = parsed(language)
    assert all(float(one.get("font-size", 0)) >= 12 for one in picture.iter(f"{SVG}text"))
    assert picture.get("width") == picture.get("viewBox", "").split()[2]
    inks = {one.get("fill") for one in picture.iter(f"{SVG}text")} - {None}
    assert inks == set()
    assert picture.get("fill") == "#17222c"
    # Nothing that a strict content policy would refuse.
    assert "style" not in draw(FLOW, language)


@LANGUAGES
def test_the_picture_is_told_to_who_cannot_see_it(language: str) -> None:
    picture = parsed(language)
    title, told = picture.find(f"{SVG}title"), picture.find(f"{SVG}desc")
    assert title is not None
    assert told is not None
    assert picture.get("role") == "img"
    assert picture.get("aria-labelledby") == f"{title.get('id')} {told.get('id')}"
    assert title.text == FLOW.head.zh if language == "zh" else FLOW.head.en
    assert all(step.told(language) in (told.text or "") for step in FLOW.steps.values())


@LANGUAGES
def test_no_box_and_no_words_lie_over_another(language: str) -> None:
    picture = parsed(language)
    shapes = list(picture.iter(f"{SVG}rect"))[1:]
    boxes = [[float(one.get(part, 0)) for part in ("x", "y", "width", "height")] for one in shapes]
    assert len(boxes) == 5 + 8
    for (a, b, c, d), (e, f, g, h) in combinations(boxes, 2):
        assert a + c <= e or e + g <= a or b + d <= f or f + h <= b
    width, height = float(picture.get("width", 0)), float(picture.get("height", 0))
    assert all(a >= 0 and a + c <= width and b + d <= height for a, b, c, d in boxes)


def test_lines_of_two_steps_do_not_run_on_the_same_track() -> None:
    paths = [one.get("d", "") for one in parsed("en").iter(f"{SVG}path") if one.get("stroke")]
    tracks = []
    for path in paths:
        points = [tuple(map(float, one)) for one in re.findall(r"[ML]([\d.]+) ([\d.]+)", path)]
        pairs = pairwise(points)
        tracks += [(y, min(x, u), max(x, u)) for (x, y), (u, v) in pairs if y == v and x != u]
    for (y, left, right), (other, start, end) in combinations(tracks, 2):
        assert y != other or right <= start or end <= left


def test_the_table_says_the_same_in_words() -> None:
    assert table(FLOW, "en")[5] == ("Escalate", "To be checked", "Overdue, escalated", "24 h")
    assert table(FLOW, "zh")[0] == ("录入报告卡", "", "待审核", "doctor")


def test_the_same_workflow_is_drawn_the_same() -> None:
    assert draw(FLOW, "en") == draw(flow(), "en")
