from __future__ import annotations

import itertools

from quanmin.base.once import ask_anew, asking_once, once


async def test_what_a_request_asks_is_asked_once_until_it_changes_something() -> None:
    numbers = itertools.count()

    async def ask() -> int:
        return next(numbers)

    assert [await once("a", ask), await once("a", ask)] == [0, 1], "no request"
    with asking_once():
        assert [await once("a", ask), await once("b", ask), await once("a", ask)] == [2, 3, 2]
        ask_anew()
        assert await once("a", ask) == 4
    assert await once("a", ask) == 5
