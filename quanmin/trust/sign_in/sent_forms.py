"""Forms that were sent of pages lately, so that what is sent twice, as by a double click, is done
once: who comes first does it, and who comes meanwhile or after it is answered as the first was.

It is known in the database, as the workers of a node share no memory.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Final

import asyncpg
import msgspec

from quanmin.base.problems import Unanswered

_SECOND: Final = 1_000_000
_TAKER_BITS: Final = 63
# Hardly anybody waits, and who does waits for what takes some tens of milliseconds.
_LOOK_SECONDS: Final = 0.05
# Taken is what nobody has, what was answered too long ago, and what somebody sends again after it
# was said that nobody knows what came of it.
_TAKE: Final = """
    insert into trust.sent_form as s (form, taker, taken_at, until_at) values ($1, $2, $3, $4)
    on conflict (form) do update set taker = excluded.taker, taken_at = excluded.taken_at,
        until_at = excluded.until_at, doubted_at = null, answer = null
    where s.until_at <= $3 or (s.answer is null and s.doubted_at < $5)
    returning true
"""
_LOOK: Final = "select taken_at, doubted_at, answer from trust.sent_form where form = $1"
_DOUBT: Final = """
    update trust.sent_form set doubted_at = $2
    where form = $1 and answer is null and doubted_at is null
"""
_ANSWER: Final = "update trust.sent_form set answer = $3 where form = $1 and taker = $2"
_GIVE_BACK: Final = "delete from trust.sent_form where form = $1 and taker = $2"
_SWEEP: Final = "delete from trust.sent_form where until_at <= $1"


class Turn(msgspec.Struct, frozen=True):
    """A form, and who has taken it. With an `answer` it has been done, and that came of it."""

    form: bytes
    taker: int
    answer: str = ""


class SentForms:
    """The forms of one node."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], now: Callable[[], int]) -> None:
        """`now` gives microseconds since 1970-01-01T00:00Z."""
        self._pool = pool
        self._now = now

    async def take(self, form: bytes, *, wait_seconds: float, kept_seconds: int) -> Turn:
        """The turn to do a form, or what came of it where it was done in the last `kept_seconds`.
        Who comes while somebody does it waits until `wait_seconds` after it was begun. Raises
        Unanswered where nothing came of it by then; who sends it again after that has the turn.
        """
        arrived, taker = self._now(), secrets.randbits(_TAKER_BITS)
        while True:
            now = self._now()
            until = now + kept_seconds * _SECOND
            if await self._pool.fetchval(_TAKE, form, taker, now, until, arrived):
                return Turn(form, taker)
            answer = await self._awaited(form, wait_seconds)
            if answer:
                return Turn(form, taker, answer)

    async def answer(self, turn: Turn, answer: str) -> None:
        """Have all who send the same answered like this; "": it came to nothing, and the next who
        sends it has the turn.
        """
        if answer:
            await self._pool.execute(_ANSWER, turn.form, turn.taker, answer)
        else:
            await self._pool.execute(_GIVE_BACK, turn.form, turn.taker)

    async def sweep(self) -> None:
        """Forget what has had its time."""
        await self._pool.execute(_SWEEP, self._now())

    async def _awaited(self, form: bytes, wait_seconds: float) -> str:
        """What came of a form that somebody else has taken; "" once they have given it back."""
        while True:
            found = await self._pool.fetchrow(_LOOK, form)
            if found is None or found["answer"] is not None:
                return "" if found is None else str(found["answer"])
            now = self._now()
            if found["doubted_at"] is not None or now - found["taken_at"] > wait_seconds * _SECOND:
                await self._pool.execute(_DOUBT, form, now)
                raise Unanswered(
                    "this form was sent before, and it is not known what came of it: look whether"
                    " it was stored, and send it again only if it was not"
                )
            await asyncio.sleep(_LOOK_SECONDS)
