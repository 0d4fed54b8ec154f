"""Questions that are too long for a link, kept for the actor who asked until their links expire.

They come here sealed; nothing here can read them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from quanmin.base.database import Connection

# So many that have expired are removed with each that comes.
_REMOVED_MAX: Final = 100


class Question(msgspec.Struct, frozen=True):
    """A sealed question under a name that says nothing of it. Moments are in milliseconds
    since 1970.

    One that has been kept is kept on until `expires` when it would be gone before `lasts`.
    """

    name: bytes
    sealed: bytes
    made: int
    lasts: int
    expires: int


async def keep(
    connection: Connection, actor: str, questions: Sequence[Question], *, number_max: int
) -> None:
    """Keep these questions of an actor, of all of theirs the `number_max` that expire last."""
    async with connection.transaction():
        # In one order, and passing over what another is removing, so that none waits for the other.
        for one in sorted(questions, key=lambda one: one.name):
            await connection.execute(
                "insert into trust.question as q (name, actor, expires, sealed)"
                " values ($1, $2, $3, $4) on conflict (name) do update"
                " set expires = excluded.expires where q.expires < $5",
                one.name,
                actor,
                one.expires,
                one.sealed,
                one.lasts,
            )
        await connection.execute(
            "delete from trust.question where name in (select q.name from trust.question q"
            " where q.name in (select name from trust.question where actor = $1"
            " order by expires desc offset $2) for update skip locked)",
            actor,
            number_max,
        )
        await connection.execute(
            "delete from trust.question where name in (select name from trust.question"
            " where expires < $1 limit $2 for update skip locked)",
            min(one.made for one in questions),
            _REMOVED_MAX,
        )


async def find(connection: Connection, actor: str, name: bytes) -> bytes | None:
    """The sealed question of this name, if it is the actor's and still kept."""
    found: bytes | None = await connection.fetchval(
        "select sealed from trust.question where name = $1 and actor = $2", name, actor
    )
    return found
