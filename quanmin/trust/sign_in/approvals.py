"""What people have let applications do: they see it, with its last use, and take it back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from quanmin.base.problems import Forbidden, NotFound
from quanmin.records.context import DELETED, ROW
from quanmin.trust.desk import Desk
from quanmin.trust.scopes import Scopes, parse_scopes

if TYPE_CHECKING:
    from quanmin.trust.sign_in.server import AuthorizationServer

_PRACTITIONER: Final = f"""
    select {ROW} from trust.post p join records.record r on r.rid = p.practitioner and r.type = $3
    where p.actor = $1 and p.since <= $2 and p.until > $2 and r.flags & {DELETED} = 0
"""  # noqa: S608 - constants of this program
_HELD: Final = """
    select a.family, c.name, a.scopes, a.proxy, a.given_at, a.used_at
    from trust.approval a join trust.client c on c.code = a.client
    where a.actor = $1 and a.withdrawn_at is null and c.is_active
        and exists (
            select from trust.token t
            where t.family = a.family and t.expires > $2 and t.used is null)
"""
_LISTED: Final = f"""{_HELD}
        and (a.given_at, a.family) < ($3, $4)
    order by a.given_at desc, a.family desc limit $5
"""
_ONE: Final = f"{_HELD} and a.family = $3"
_WITHDRAW: Final = """
    update trust.approval set withdrawn_at = $3
    where family = $1 and actor = $2 and withdrawn_at is null returning client
"""


class Approval(msgspec.Struct, frozen=True):
    """What an application was let do, by the name of the application; moments in microseconds.
    `proxy` is that by which the person acted for another in it.
    """

    family: int
    client: str
    scopes: str
    proxy: int | None
    given_at: int
    used_at: int | None

    @property
    def parsed(self) -> Scopes:
        """The scopes."""
        return parse_scopes(self.scopes)


class ApprovalDesk(Desk):
    """The approvals of the one who asks."""

    async def given(self, patient: int | None) -> None:
        """Note that an application was let work, with the record key of the Patient it is about."""
        keys = [] if patient is None else [(patient, patient)]
        await self._notes.put(self._notes.entry_of_keys("approve", None, "ok", keys))

    async def listed(self, before: tuple[int, int], count: int) -> Sequence[Approval]:
        """So many of those that hold, the latest first, given before a moment and number."""
        self._refuse_applications()
        async with self._guard.store.glancing() as connection:
            rows = await connection.fetch(
                _LISTED, self._actor.code, self._guard.now(), *before, count
            )
        return [Approval(*row) for row in rows]

    async def one(self, family: int) -> Approval:
        """One that holds. Raises NotFound for one that is not the asker's, or not any more."""
        self._refuse_applications()
        async with self._guard.store.glancing() as connection:
            row = await connection.fetchrow(_ONE, self._actor.code, self._guard.now(), family)
        if row is None:
            raise NotFound("there is no such approval, or it was taken back before")
        return Approval(*row)

    async def own_practitioner(self) -> str | None:
        """The id of the Practitioner of the register whom the asker is in the post they hold now;
        None for one who is none.
        """
        context = self._guard.store.context
        async with self._guard.store.glancing() as connection:
            rows = await connection.fetch(
                _PRACTITIONER,
                self._actor.code,
                self._guard.now(),
                context.definition("Practitioner").number,
            )
            found = await context.open(connection, rows)
        if not found:
            return None
        await self._notes.note("read", "Practitioner", "ok", found)
        return found[0].id

    async def withdraw(self, server: AuthorizationServer, family: int) -> None:
        """Take one back: all tokens that came of it work nowhere any more when this returns. Raises
        NotFound for one that is not the asker's, or not any more.
        """
        self._refuse_applications()
        async with self._guard.store.glancing() as connection, connection.transaction():
            client = await connection.fetchval(
                _WITHDRAW, family, self._actor.code, self._guard.now()
            )
            if client is None:
                raise NotFound("there is no such approval, or it was taken back before")
            patients = await connection.fetch(
                "select distinct patient from trust.token"
                " where family = $1 and patient is not null",
                family,
            )
            await server.tokens.end_family(connection, family)
            await connection.execute("delete from trust.code where family = $1", family)
            keys = [(row["patient"], row["patient"]) for row in patients]
            entry = self._notes.entry_of_keys("approval-withdrawn", None, "ok", keys)
            await self._notes.put_in(connection, [entry])
        self._notes.settle()
        server.tokens.announce()

    def _refuse_applications(self) -> None:
        if self._actor.scopes is not None:
            raise Forbidden("people see and take back what they approved themselves")
