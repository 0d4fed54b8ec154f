"""Sending survives a busy, silent or interrupted node and says what is wrong with any other."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import orjson
import pytest

from quanmin.base.problems import Conflict, Invalid, Overloaded, Unauthenticated
from quanmin.demo.post import Pace, Posted, Poster, Step
from quanmin.demo.province import Province

PROVINCE = Province(seed=2, people=8)
TOKENS = {sender.code: f"token of {sender.code}" for sender in PROVINCE.senders()}
QUICK = Pace(wait_seconds_first=0.001, wait_seconds_max=0.002, silence_seconds_max=0.02)


class Node:
    """Stands for a node's answers: keeps the marks of what it was sent, and fails as it is told."""

    def __init__(self, fail: Callable[[httpx.Request], httpx.Response | None]) -> None:
        self.fail = fail
        self.marks: dict[str, str] = {}
        self.received: list[str] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        failed = self.fail(request)
        if failed is not None:
            return failed
        sender = request.headers["Authorization"].removeprefix("Bearer token of ")
        if request.method == "POST":
            return self._take(request, sender)
        if request.url.path == "/fhir/Basic":
            return self._list(request, sender)
        key = request.url.path.rpartition("/")[2]
        return httpx.Response(200 if key in self.marks else 404, json={})

    def _take(self, request: httpx.Request, sender: str) -> httpx.Response:
        mark = orjson.loads(request.content)["entry"][-1]
        assert mark["request"]["ifNoneMatch"] == "*"
        key = mark["resource"]["id"]
        if key in self.marks:
            return httpx.Response(412, json=outcome("there is one"))
        self.marks[key] = sender
        self.received.append(key)
        return httpx.Response(200, json={})

    def _list(self, request: httpx.Request, sender: str) -> httpx.Response:
        """Two marks a page, so that paging is walked."""
        own = sorted(key for key, owner in self.marks.items() if owner == sender)
        start = int(request.url.params.get("start", 0))
        shown = [{"resource": {"id": key}} for key in own[start : start + 2]]
        page: dict[str, object] = {"entry": shown}
        if start + 2 < len(own):
            following = request.url.copy_set_param("start", start + 2)
            page["link"] = [{"relation": "next", "url": str(following)}]
        return httpx.Response(200, json=page)

    async def fill(self, province: Province = PROVINCE) -> Posted:
        transport = httpx.MockTransport(self.answer)
        return await Poster("http://node", TOKENS, province, pace=QUICK, transport=transport).post()


def outcome(text: str) -> dict[str, object]:
    return {"resourceType": "OperationOutcome", "issue": [{"diagnostics": text}]}


def never(_: httpx.Request) -> None:
    return None


def all_keys() -> list[str]:
    keys = [bundle.key for bundle in PROVINCE.institutions()]
    return keys + [bundle.key for bundles in PROVINCE.bundles() for bundle in bundles]


async def test_institutions_come_before_households_and_each_bundle_once() -> None:
    node = Node(never)
    posted = await node.fill()
    assert sorted(node.received) == sorted(all_keys())
    places = [key.startswith("demo-place-") for key in node.received]
    assert places == sorted(places, reverse=True)
    assert posted.bundles == len(node.received)


async def test_a_second_run_sends_nothing() -> None:
    node = Node(never)
    await node.fill()
    node.received.clear()
    posted = await node.fill()
    assert (posted.bundles, posted.found, node.received) == (0, len(all_keys()), [])


async def test_a_larger_province_adds_what_is_missing() -> None:
    node = Node(never)
    await node.fill()
    before = set(node.received)
    await node.fill(Province(2, 20))
    assert len(set(node.received)) == len(node.received) > len(before)


async def test_a_busy_node_is_asked_again() -> None:
    turns = {"left": 5}

    def busy(request: httpx.Request) -> httpx.Response | None:
        if request.method == "POST" and turns["left"]:
            turns["left"] -= 1
            return httpx.Response(429 + 74 * (turns["left"] % 2), headers={"Retry-After": "0"})
        return None

    node = Node(busy)
    await node.fill()
    assert turns["left"] == 0
    assert sorted(node.received) == sorted(all_keys())


async def test_an_answer_that_was_lost_doubles_nothing() -> None:
    node = Node(never)
    lost = {"left": 3}

    def lose(request: httpx.Request) -> httpx.Response | None:
        if request.method == "POST" and lost["left"]:
            lost["left"] -= 1
            node._take(request, request.headers["Authorization"].removeprefix("Bearer token of "))
            raise httpx.ReadError("the line was cut")
        return None

    node.fail = lose
    posted = await node.fill()
    assert len(node.received) == len(set(node.received))
    assert posted.found == 3


async def test_a_silent_node_is_given_up_with_the_way_to_go_on() -> None:
    def silent(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("nobody there")

    with pytest.raises(Overloaded, match="goes on where it stopped"):
        await Node(silent).fill()


async def test_a_refused_bundle_is_named_with_the_reason() -> None:
    def refuse(request: httpx.Request) -> httpx.Response | None:
        if request.method == "POST":
            return httpx.Response(422, json=outcome("the Patient breaks a rule"))
        return None

    with pytest.raises(Invalid, match=r"demo-place-.* with 422: the Patient breaks a rule"):
        await Node(refuse).fill()


async def test_a_conflict_that_is_not_a_repetition_is_not_taken_for_one() -> None:
    def conflict(request: httpx.Request) -> httpx.Response | None:
        if request.method == "POST":
            return httpx.Response(412, json=outcome("several match"))
        return None

    with pytest.raises(Conflict, match="several match"):
        await Node(conflict).fill()


async def test_a_token_that_is_not_accepted_is_told() -> None:
    with pytest.raises(Unauthenticated, match="does not accept"):
        await Node(lambda _: httpx.Response(401, json=outcome("unknown token"))).fill()


def test_a_missing_token_is_told_before_anything_is_sent() -> None:
    with pytest.raises(Unauthenticated, match="demo-580100"):
        Poster("http://node", {}, PROVINCE)


async def test_progress_counts_up_to_the_end() -> None:
    steps: list[Step] = []
    transport = httpx.MockTransport(Node(never).answer)
    await Poster(
        "http://node", TOKENS, PROVINCE, steps.append, pace=QUICK, transport=transport
    ).post()
    assert [step.done for step in steps] == list(range(1, steps[-1].total + 1))
    assert steps[-1].resources > 300
