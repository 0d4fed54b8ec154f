"""Questions that arrive while a statement is under way go together into the next one.

A round trip costs more than what is looked up in it. Nobody waits longer than for the statement
before theirs, and what is answered was asked after the question arrived: so nothing is answered
that was not true any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Final, Generic, TypeVar

_BATCH_MAX: Final = 256

Key = TypeVar("Key", bound=Hashable)
Answer = TypeVar("Answer")


class Shared(Generic[Key, Answer]):
    """Questions of one kind, by their keys, for one process and one event loop."""

    def __init__(
        self, ask: Callable[[Sequence[Key]], Awaitable[Mapping[Key, Answer]]], unknown: Answer
    ) -> None:
        """`ask` answers several different keys; `unknown` stands for one that it does not."""
        self._ask = ask
        self._unknown = unknown
        self._waiting: dict[Key, list[asyncio.Future[Answer]]] = {}
        self._asker: asyncio.Task[None] | None = None

    async def of(self, key: Key) -> Answer:
        """What is true of a key at a moment after this was called. Raises what `ask` raised."""
        found: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(found)
        if self._asker is None or self._asker.done():
            self._asker = asyncio.create_task(self._ask_waiting())
        return await found

    async def _ask_waiting(self) -> None:
        while self._waiting:
            batch = {key: self._waiting.pop(key) for key in [*self._waiting][:_BATCH_MAX]}
            try:
                told = await self._ask([*batch])
            except Exception as error:  # noqa: BLE001 - handed to everyone who waits
                for found in _each(batch):
                    found.set_exception(error)
            else:
                for key, waiting in batch.items():
                    answer = told.get(key, self._unknown)
                    for found in waiting:
                        if not found.done():
                            found.set_result(answer)


def _each(
    batch: Mapping[Key, list[asyncio.Future[Answer]]],
) -> list[asyncio.Future[Answer]]:
    return [found for waiting in batch.values() for found in waiting if not found.done()]
