"""Whether an actor may act at this moment, by the registers: what was closed, ended or withdrawn
stops them with the next request, in every process.

So nothing is remembered from one request to the next. Requests that arrive while a statement is
under way share the next one, as single reads do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

import asyncpg
import msgspec

from quanmin.base.database import Connection
from quanmin.base.problems import Forbidden
from quanmin.trust.actors import Actor
from quanmin.trust.registers.definitions import acting_states

_BATCH_MAX: Final = 256
_ASK: Final = """
    select asked.sender, e.organization, i.state, i.level, i.grade, i.kind, i.region, i.tenant
    from unnest($1::text[]) asked (sender)
    join trust.institution_entry e using (sender)
    left join trust.institution i
        on i.organization = e.organization and i.since <= $2 and i.until > $2
"""


class Standing(msgspec.Struct, frozen=True):
    """What the registers say of an actor at this moment. `state` is "" of an institution that is
    not in the register, and all else then is unknown.
    """

    state: str = ""
    level: str | None = None
    grade: str | None = None
    kind: str | None = None
    region: str = ""
    tenant: str = ""

    def refuse(self) -> None:
        """Raises Forbidden for an actor whose institution does not act now."""
        if self.state and self.state not in acting_states():
            raise Forbidden(
                f"the register says that your institution is {self.state} now: nobody acts for it"
            )


_UNKNOWN: Final = Standing()


class Standings:
    """The standing of actors, for one process and one event loop."""

    def __init__(
        self,
        connect: Callable[[], AbstractAsyncContextManager[Connection]],
        now: Callable[[], int],
    ) -> None:
        """`connect` lends a connection; `now` gives microseconds since 1970-01-01T00:00Z."""
        self._connect = connect
        self._now = now
        self._waiting: dict[str, list[asyncio.Future[Standing]]] = {}
        self._asker: asyncio.Task[None] | None = None

    async def of(self, actor: Actor) -> Standing:
        """What the registers say of this actor now. Raises Forbidden for one who may not act."""
        if not actor.sender:
            return _UNKNOWN
        found = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(actor.sender, []).append(found)
        if self._asker is None or self._asker.done():
            self._asker = asyncio.create_task(self._ask_waiting())
        standing: Standing = await found
        standing.refuse()
        return standing

    async def _ask_waiting(self) -> None:
        while self._waiting:
            batch = {sender: self._waiting.pop(sender) for sender in [*self._waiting][:_BATCH_MAX]}
            try:
                async with self._connect() as connection:
                    rows = await connection.fetch(_ASK, list(batch), self._now())
            except Exception as error:  # noqa: BLE001 - handed to everyone who waits
                for found in _each(batch):
                    found.set_exception(error)
            else:
                told = {row["sender"]: _standing(row) for row in rows}
                for sender, waiting in batch.items():
                    for found in waiting:
                        if not found.done():
                            found.set_result(told.get(sender, _UNKNOWN))


def _each(
    batch: dict[str, list[asyncio.Future[Standing]]],
) -> list[asyncio.Future[Standing]]:
    return [found for waiting in batch.values() for found in waiting if not found.done()]


def _standing(row: asyncpg.Record) -> Standing:
    if row["state"] is None:
        return Standing(state="not in force")
    return Standing(
        row["state"], row["level"], row["grade"], row["kind"], row["region"], row["tenant"]
    )
