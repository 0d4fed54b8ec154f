"""Long questions kept for the links to their next pages."""

from __future__ import annotations

import asyncio

import asyncpg

from quanmin.trust import questions
from quanmin.trust.questions import Question

_KEPT_MAX = 6


async def test_many_keep_their_questions_at_once_and_none_stops_another(
    pool: asyncpg.Pool[asyncpg.Record],
) -> None:
    def question(number: int) -> Question:
        name = (number * 48_271 % 65_537).to_bytes(4, "big")
        return Question(name, b"sealed", made=1, lasts=1_000, expires=10_000 + number % 7)

    async def keep_on(one: int) -> None:
        for number in range(40):
            both = [question(number), question(one * 1_000 + number)]
            async with pool.acquire() as connection:
                ordered = both if one % 2 else both[::-1]
                await questions.keep(connection, "actor", ordered, number_max=_KEPT_MAX)

    await asyncio.gather(*(keep_on(one) for one in range(8)))
    async with pool.acquire() as connection:
        await questions.keep(connection, "actor", [question(1)], number_max=_KEPT_MAX)
        kept = await connection.fetchval("select count(*) from trust.question")
    assert kept == _KEPT_MAX
