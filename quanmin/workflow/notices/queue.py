"""The messages of a node as its operator sees them: what waits, what was sent, what was refused and
why. Neither words nor addresses are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from quanmin.base.database import Database
from quanmin.base.problems import Conflict, Forbidden, NotFound, Sentence
from quanmin.trust.desk import Desk
from quanmin.trust.notices import Channel
from quanmin.trust.notices.kinds import keepers

MessageState = Literal["waiting", "sent", "refused", "needless"]
STATES: Final[tuple[MessageState, ...]] = ("waiting", "sent", "refused", "needless")
_EVER: Final = (1 << 63) - 1
_LISTED: Final = """
    select message, account, channel, cardinality(notices) as count, state, attempts, reason,
        made_at, due, ended_at
    from trust.message where ($1::text is null or state = $1) and message < $2
    order by message desc limit $3
"""
_RESEND: Final = """
    update trust.message set state = 'waiting', attempts = 0, due = $2, ended_at = null
    where message = $1 and state = 'refused' returning message
"""


class Queued(msgspec.Struct, frozen=True):
    """A message. Moments are microseconds since 1970-01-01T00:00Z; `due` is when it is tried next,
    while it waits.
    """

    number: int
    account: str
    channel: Channel
    count: int
    state: MessageState
    attempts: int
    reason: str
    made_at: int
    due: int
    ended_at: int | None


async def list_messages(
    database: Database, state: MessageState | None, *, before: int = _EVER, count: int
) -> Sequence[Queued]:
    """The newest before a number, in one state if asked."""
    return [Queued(*row) for row in await database.fetch(_LISTED, state, before, count)]


async def resend(database: Database, number: int, now: int) -> None:
    """Try a refused message anew, under the same key. Raises NotFound, and Conflict for one that is
    in another state.
    """
    if await database.fetchval(_RESEND, number, now) is not None:
        return
    state = await database.fetchval("select state from trust.message where message = $1", number)
    if state is None:
        raise NotFound(Sentence("there is no message %(number)s", number=number))
    raise Conflict(
        Sentence(
            "message %(number)s is %(state)s: only a refused one can be sent again",
            number=number,
            state=state,
        )
    )


class Messages(Desk):
    """The queue, for those who run the node."""

    async def listed(
        self, state: MessageState | None, *, before: int = _EVER, count: int
    ) -> Sequence[Queued]:
        """The newest before a number, in one state if asked. Raises Forbidden."""
        await self._refuse_others()
        async with self._guard.store.glancing() as connection:
            found = await list_messages(connection, state, before=before, count=count)
        await self._notes.put(self._notes.entry_of_keys("list-messages", None, "ok", []))
        return found

    async def resend(self, number: int) -> None:
        """Try a refused message anew. Raises Forbidden, NotFound, Conflict."""
        await self._refuse_others()
        async with self._guard.store.glancing() as connection, connection.transaction():
            await resend(connection, number, self._guard.now())
            entry = self._notes.entry_of_keys("resend-message", None, "ok", [])
            await self._notes.put_in(connection, [entry])
        self._notes.settle()

    async def _refuse_others(self) -> None:
        if self._actor.role not in keepers() or self._actor.scopes is not None:
            raise Forbidden("the messages of the node are for those who run it")
        await self._refuse_entrusted()
