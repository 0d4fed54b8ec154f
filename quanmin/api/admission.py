"""Who may come in now: a bound on what runs at once, and on the bytes of bodies held.

All of it is counted in one worker process without locks: an event loop runs one step at a time.
"""

from __future__ import annotations

import asyncio
from collections import deque

from quanmin.api.limits import DoorLimits
from quanmin.base.problems import Overloaded, TooMany


class Held:
    """The bytes of request bodies held at one time by all requests together."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0

    def take(self, count: int) -> None:
        """Hold `count` bytes more; Overloaded when they do not fit beside the others' bodies."""
        if self._bytes + count > self._bytes_max:
            raise Overloaded(
                "too many large bodies are being received at this moment; repeat it in a second",
                retry_after_seconds=1,
            )
        self._bytes += count

    def give_back(self, count: int) -> None:
        """Those bytes are no longer held."""
        self._bytes -= count


class Admission:
    """Lets a bounded number of requests run and a bounded number wait, in order of arrival."""

    def __init__(self, limits: DoorLimits) -> None:
        self._limits = limits
        self._running = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._by_client: dict[str, int] = {}

    @property
    def running(self) -> int:
        """How many requests run now."""
        return self._running

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return len(self._waiting)

    async def enter(self, client: str) -> None:
        """Take a place, at once or in turn; TooMany or Overloaded when there is none in time.

        Whoever has entered must `leave`, whatever happens.
        """
        mine = self._by_client.get(client, 0)
        if mine >= self._limits.client_running_max:
            raise TooMany(
                f"one client may have {mine} requests under way; wait for one to end",
                retry_after_seconds=1,
            )
        self._by_client[client] = mine + 1
        try:
            if self._running < self._limits.running_max and not self._waiting:
                self._running += 1
            else:
                await self._wait()
        except BaseException:
            self._forget(client)
            raise

    def leave(self, client: str) -> None:
        """Give the place to the next in turn."""
        self._forget(client)
        self._hand_over()

    def _forget(self, client: str) -> None:
        left = self._by_client[client] - 1
        if left:
            self._by_client[client] = left
        else:
            del self._by_client[client]

    async def _wait(self) -> None:
        if len(self._waiting) >= self._limits.waiting_max:
            raise self._refusal()
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            # The place is handed over by whoever leaves, so nobody slips in between.
            async with asyncio.timeout(self._limits.waiting_seconds_max):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self._hand_over()
            elif turn in self._waiting:
                self._waiting.remove(turn)
            if isinstance(error, TimeoutError):
                raise self._refusal() from None
            raise

    def _hand_over(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._running -= 1

    def _refusal(self) -> Overloaded:
        return Overloaded(
            f"{self._running} requests run already and {len(self._waiting)} wait; nothing was "
            "done, repeat it in a second",
            retry_after_seconds=1,
        )
