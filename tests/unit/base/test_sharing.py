"""Questions that arrive while others are asked go together, and never get an older answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from quanmin.base.sharing import Shared


class Source:
    """Answers with what it holds when it is asked, once it is let."""

    def __init__(self) -> None:
        self.held: dict[str, int] = {}
        self.asked: list[list[str]] = []
        self.fault: Exception | None = None
        self.may_answer = asyncio.Event()

    async def ask(self, keys: Sequence[str]) -> Mapping[str, int]:
        self.asked.append(sorted(keys))
        seen = dict(self.held)
        await self.may_answer.wait()
        if self.fault is not None:
            raise self.fault
        return seen


async def _begun(shared: Shared[str, int], *keys: str) -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(shared.of(key)) for key in keys]
    await asyncio.sleep(0.001)
    return tasks


async def test_what_arrives_meanwhile_is_asked_together_and_anew() -> None:
    source = Source()
    shared = Shared(source.ask, 0)
    first = await _begun(shared, "a")
    source.held["a"] = 1
    others = await _begun(shared, "b", "a", "a")
    source.may_answer.set()
    assert await asyncio.gather(*first) == [0]
    assert await asyncio.gather(*others) == [0, 1, 1]
    assert source.asked == [["a"], ["a", "b"]]


async def test_a_fault_reaches_all_who_wait_and_the_next_are_asked_for_again() -> None:
    source = Source()
    shared = Shared(source.ask, 0)
    source.may_answer.set()
    source.fault = ConnectionError("gone")
    failed = await asyncio.gather(shared.of("a"), shared.of("a"), return_exceptions=True)
    assert [type(one) for one in failed] == [ConnectionError, ConnectionError]
    source.fault, source.held = None, {"a": 2}
    assert await shared.of("a") == 2


async def test_who_waits_no_more_keeps_nobody_from_an_answer() -> None:
    source = Source()
    shared = Shared(source.ask, 7)
    one, other = await _begun(shared, "a", "a")
    one.cancel()
    source.may_answer.set()
    assert await other == 7
    with pytest.raises(asyncio.CancelledError):
        await one
