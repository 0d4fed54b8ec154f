"""What is due, held and deleted, as one actor of the node has it: numbers and codes, no person."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from quanmin.base.database import Connection
from quanmin.base.problems import Forbidden, Invalid, NotFound, Sentence
from quanmin.trust.actors import Role
from quanmin.trust.desk import Desk
from quanmin.trust.lifecycle import deletions
from quanmin.trust.lifecycle.deletions import Listed, Signed
from quanmin.trust.lifecycle.retention import Found, hold, put_finding, release, status

ROLES: Final[frozenset[Role]] = frozenset({"operator", "security_administrator"})
"""Who looks for what is due, proposes a deletion and confirms one."""

_HOLDS: Final = """
    select hold, reason, at, by, released_at, released_by from trust.hold
    order by released_at is not null, hold desc
"""


# Two actors of one account are one person.
_CONFIRMABLE: Final = """
    select deletion from trust.deletion where confirmed_at is null and proposed_by not in (
        select a.code from trust.actor a join trust.actor me
            on me.code = a.code or me.account = a.account
        where me.code = $1)
"""


class Held(msgspec.Struct, frozen=True):
    """A hold, without on whom it stands; moments are microseconds."""

    hold: int
    reason: str
    at: int
    by: str
    released_at: int | None
    released_by: str | None


async def account_of(connection: Connection, code: str) -> str:
    """Who stands behind an actor that may delete: two actors of one account are one person. Raises
    Forbidden for any other.
    """
    row = await connection.fetchrow(
        "select role, coalesce(account, code) as who from trust.actor"
        " where code = $1 and is_active",
        code,
    )
    if row is None or row["role"] not in ROLES:
        raise Forbidden(
            Sentence(
                "name an actor of this node who is one of %(known)s", known=", ".join(sorted(ROLES))
            )
        )
    return str(row["who"])


async def confirm_by_another(
    connection: Connection, deletion: uuid.UUID, *, at: int, by: str
) -> int:
    """Confirm a deletion that another person has proposed, in the caller's transaction; gives the
    number of the job. Raises NotFound, Forbidden, Conflict.
    """
    proposed = await connection.fetchval(
        "select proposed_by from trust.deletion where deletion = $1", deletion
    )
    if proposed is None:
        raise NotFound("there is no such deletion: `quanmin retention status`")
    if await account_of(connection, by) == await account_of(connection, proposed):
        raise Forbidden("who proposed a deletion does not confirm it: it needs another")
    return await deletions.confirm(connection, deletion, at=at, by=by)


class RetentionDesk(Desk):
    """For operators and security administrators of the node."""

    async def due(self) -> Sequence[Found]:
        """What was found due, by clock."""
        self._refuse()
        async with self._guard.store.glancing() as connection:
            return await status(connection)

    async def deletions(self) -> Sequence[Listed]:
        """All deletions, the newest first."""
        self._refuse()
        async with self._guard.store.glancing() as connection:
            return [*reversed(await deletions.listed(connection))]

    async def confirmable(self) -> frozenset[uuid.UUID]:
        """The deletions that the asker may confirm: another person has proposed them."""
        self._refuse()
        async with self._guard.store.glancing() as connection:
            rows = await connection.fetch(_CONFIRMABLE, self._actor.code)
        return frozenset(row["deletion"] for row in rows)

    async def certificate(self, deletion: uuid.UUID) -> Signed:
        """The certificate of a deletion that is done. Raises NotFound."""
        self._refuse()
        async with self._guard.store.glancing() as connection:
            return await deletions.signed(connection, deletion)

    async def holds(self) -> Sequence[Held]:
        """All holds, those that stand first."""
        self._refuse()
        async with self._guard.store.glancing() as connection:
            return [Held(**row) for row in await connection.fetch(_HOLDS)]

    async def find(self) -> None:
        """Have it looked for what is due, in the background."""
        async with self._changing("find-due") as connection:
            await put_finding(connection, self._actor.code)

    async def propose(self) -> None:
        """Propose to delete what was found due. Raises NotFound when nothing is."""
        async with self._changing("propose-deletion") as connection:
            await account_of(connection, self._actor.code)
            await deletions.propose(connection, at=self._guard.now(), by=self._actor.code)

    async def confirm(self, deletion: uuid.UUID) -> None:
        """As `confirm_by_another`."""
        async with self._changing("confirm-deletion") as connection:
            now, by = self._guard.now(), self._actor.code
            await confirm_by_another(connection, deletion, at=now, by=by)

    async def withdraw(self, deletion: uuid.UUID) -> None:
        """Take a proposal back, one's own or another's. Raises Conflict for one confirmed."""
        async with self._changing("withdraw-deletion") as connection:
            await account_of(connection, self._actor.code)
            await deletions.withdraw(connection, deletion)

    async def hold(self, patient: str, reason: str) -> None:
        """Keep everything of the person of a Patient (its id). Raises Invalid, NotFound."""
        rid = self._guard.store.context.rid_of("Patient", patient)
        if rid is None:
            raise Invalid("name a Patient by its id")
        async with self._changing("hold") as connection:
            now, by = self._guard.now(), self._actor.code
            await hold(connection, rid, reason=reason, at=now, by=by)

    async def release(self, number: int) -> None:
        """End a hold. Raises NotFound for none that stands."""
        async with self._changing("release-hold") as connection:
            await release(connection, number, at=self._guard.now(), by=self._actor.code)

    @asynccontextmanager
    async def _changing(self, action: str) -> AsyncIterator[Connection]:
        self._refuse()
        # What lies erased or held is of whatever tenant; only numbers come out.
        store = self._guard.store
        async with store.glancing(store.whole_node) as connection, connection.transaction():
            yield connection
            entry = self._notes.entry_of_keys(action, None, "ok", ())
            await self._notes.put_in(connection, [entry])
        self._notes.settle()

    def _refuse(self) -> None:
        if self._actor.role not in ROLES:
            raise Forbidden(
                Sentence("retention is open to %(known)s", known=", ".join(sorted(ROLES)))
            )
