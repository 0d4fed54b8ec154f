"""What the accounts of a demonstration do is written so that it can be done in its order."""

from __future__ import annotations

import re
from datetime import datetime
from zoneinfo import ZoneInfo

import httpx
import pytest

from quanmin.base.problems import Invalid
from quanmin.demo.scenes import Act, Playing, Scene, Visitor, scenes_of_accounts
from quanmin.node.demo_registers import ACCOUNTS_WITH_POSTS

SCENES = scenes_of_accounts()
MOMENT = datetime(2026, 11, 22, 12, tzinfo=ZoneInfo("Asia/Shanghai"))
PAGE = """<form method="get"><input name="term" value="no"></form><form method="post">
<input type="hidden" name="token" value="t1"><input name="name" value="A &amp; B">
<input type="radio" name="sex" value="male"><input type="radio" name="sex" value="female" checked>
<select name="area"><option value="1">x</option><option value="2" selected>y</option></select>
<textarea name="words">said</textarea><input name="do" value="send"></form>"""


class Node:
    """Answers as the pages of a node do, and keeps what it was sent."""

    def __init__(self, refused: str = "") -> None:
        self.sent: list[tuple[str, dict[str, str]]] = []
        self._refused = refused

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, text=PAGE)
        path = request.url.raw_path.decode()
        self.sent.append((path, dict(httpx.QueryParams(request.content.decode()))))
        if self._refused and self._refused in path:
            alert = '<div role="alert"><p>Fill this in: &lt;name&gt;</p></div>'
            return httpx.Response(422, text=alert)
        return httpx.Response(303, headers={"location": f"/at/id{len(self.sent)}"})

    def visitor(self) -> Visitor:
        transport = httpx.MockTransport(self.answer)
        return Visitor(httpx.AsyncClient(transport=transport, base_url="http://node.test"))


async def nothing(act: Act, patient: str) -> str:
    assert re.fullmatch(r"id\d+", patient)
    assert sum(map(bool, (act.earlier, act.diagnosis[0], act.sent))) == 1
    return "made"


async def play(node: Node, *scenes: Scene) -> Playing:
    accounts = {act.by for scene in scenes for act in scene.act} | {one.by for one in scenes}
    playing = Playing({one: node.visitor() for one in accounts}, MOMENT, nothing)
    for scene in scenes:
        await playing.go_through(scene)
    return playing


async def test_every_place_is_filled_by_then_and_every_account_has_its_post() -> None:
    node = Node()
    await play(node, *SCENES.scene)
    assert not [one for path, fields in node.sent for one in (path, *fields.values()) if "{" in one]
    accounts = {act.by for scene in SCENES.scene for act in scene.act}
    assert accounts | {scene.by for scene in SCENES.scene} <= ACCOUNTS_WITH_POSTS


async def test_everybody_who_is_registered_has_a_number_of_their_own() -> None:
    node = Node()
    await play(node, *SCENES.scene)
    people = [fields for path, fields in node.sent if path == "/registration"]
    assert len({one["identity"] for one in people}) == len(people) > 20
    assert len({one["name"] for one in people}) == len(people)


async def test_a_form_is_filled_in_on_top_of_what_stands_in_it() -> None:
    node = Node()
    await node.visitor().send("/form", {"name": "C", "day": "2026-11-22"}, fills_in=True)
    ((_, sent),) = node.sent
    assert sent == {"token": "t1", "name": "C", "sex": "female", "area": "2", "words": "said",
                    "day": "2026-11-22"}  # fmt: skip


async def test_days_and_moments_are_told_from_now_on() -> None:
    playing = await play(Node())
    assert playing.filled("{day-3} {day+10} {minute-90} {own}x|y", {}) == (
        "2026-11-19 2026-12-02 2026-11-22T10:30 https://quanmin.example/fhir/CodeSystem/x|y"
    )


async def test_what_a_page_has_against_it_is_told_and_so_is_what_nobody_kept() -> None:
    with pytest.raises(Invalid, match=r"/cold-chain/new answers 422 .*: Fill this in: <name>"):
        await play(Node(refused="cold"), *SCENES.scene)
    with pytest.raises(Invalid, match="nothing was kept under fridge"):
        await play(Node(), *(one for one in SCENES.scene if one.name == "temperatures"))
