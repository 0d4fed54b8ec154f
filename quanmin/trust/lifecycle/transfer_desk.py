"""Recipients outside the country and the transfers to them, as one actor keeps or reads them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager

from quanmin.base.database import Connection, Lent
from quanmin.base.problems import Forbidden, Sentence
from quanmin.trust.desk import Desk
from quanmin.trust.lifecycle.activity_rules import activity_rules
from quanmin.trust.lifecycle.transfers import Approval, Listed, Transfers


class TransferDesk(Desk):
    """Open to those who read the processing register, for changes to those who keep it. It names no
    person.
    """

    async def all(self) -> Sequence[Listed]:
        """Every recipient with its transfers."""
        self._refuse(activity_rules().roles.reads)
        async with self._guard.store.glancing() as connection:
            return await Transfers(Lent(connection)).all()

    async def declare(self, kind: str, member: str, country: str) -> None:
        """As `Transfers.declare`."""
        async with self._changing("declare-recipient") as transfers:
            await transfers.declare(
                kind, member, country, at=self._guard.now(), by=self._actor.code
            )

    async def approve(self, kind: str, member: str, approval: Approval) -> int:
        """As `Transfers.approve`."""
        async with self._changing("approve-transfer") as transfers:
            now, zone = self._guard.now(), self._guard.store.context.zone
            return await transfers.approve(
                kind, member, approval, at=now, by=self._actor.code, zone=zone
            )

    async def withdraw(self, transfer: int, reason: str) -> None:
        """As `Transfers.withdraw`."""
        async with self._changing("withdraw-transfer") as transfers:
            await transfers.withdraw(
                transfer, reason=reason, at=self._guard.now(), by=self._actor.code
            )

    @asynccontextmanager
    async def _changing(self, action: str) -> AsyncIterator[Transfers]:
        self._refuse(activity_rules().roles.writes)
        async with self._guard.store.glancing() as connection, connection.transaction():
            yield Transfers(Lent(connection))
            await self._note(connection, action)
        self._notes.settle()

    async def _note(self, connection: Connection, action: str) -> None:
        entry = self._notes.entry_of_keys(action, None, "ok", ())
        await self._notes.put_in(connection, [entry])

    def _refuse(self, roles: Collection[str]) -> None:
        if self._actor.role not in roles:
            raise Forbidden(
                Sentence("transfers abroad are open to %(known)s", known=", ".join(sorted(roles)))
            )
