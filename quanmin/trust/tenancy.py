"""The tenants of a node as those see them who look after it, and the switching of applications."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from quanmin.base.problems import Forbidden
from quanmin.trust.desk import Desk
from quanmin.trust.registers.tenants import Agreement, Member, Switched, Tenant, TenantRegister

_KEEPERS: Final = frozenset({"operator", "system_administrator"})


class Whole(msgspec.Struct, frozen=True):
    """A tenant with what was decided of its applications, and what it shows and sees."""

    tenant: Tenant
    state: str
    switched: tuple[Switched, ...]
    agreements: tuple[Agreement, ...]


class Tenancy(Desk):
    """What a keeper of the node asks of its tenants and decides for them. It names no person."""

    async def list(self, *, after: str | None = None, count: int) -> Sequence[tuple[Tenant, str]]:
        """Tenants of any time with their state now, by code. Raises Forbidden."""
        await self._refuse_others()
        now = self._guard.now()
        async with self._guard.store.glancing() as connection:
            found = await TenantRegister(connection).all(after=after, count=count)
        return [(one, one.state(now)) for one in found]

    async def one(self, code: str) -> Whole:
        """One tenant. Raises Forbidden, NotFound."""
        await self._refuse_others()
        now = self._guard.now()
        async with self._guard.store.glancing() as connection:
            register = TenantRegister(connection)
            tenant = await register.one(code)
            switched = await register.switched(code, now)
            agreements = await register.agreements(code)
        held = tuple(one for one in agreements if one.since <= now < one.until)
        return Whole(tenant, tenant.state(now), tuple(switched), held)

    async def members(self, code: str, *, after: str | None = None, count: int) -> Sequence[Member]:
        """The senders that are of a tenant now, by code. Raises Forbidden."""
        await self._refuse_others()
        async with self._guard.store.glancing() as connection:
            return await TenantRegister(connection).members(
                code, self._guard.now(), after=after, count=count
            )

    async def switch(self, code: str, application: str, *, is_on: bool) -> None:
        """Switch an application on or off from now on. Raises Forbidden, NotFound, Invalid."""
        await self._refuse_others()
        now = self._guard.now()
        async with self._guard.store.glancing() as connection, connection.transaction():
            await TenantRegister(connection).switch(
                code, application, is_on=is_on, since=now, at=now, by=self._actor.code
            )
            entry = self._notes.entry_of_keys("switch-application", None, "ok", ())
            await self._notes.put_in(connection, [entry])
        self._notes.settle()

    async def _refuse_others(self) -> None:
        await self._refuse_entrusted()
        if self._actor.role not in _KEEPERS:
            raise Forbidden("tenants are looked after by system administrators of the node")
