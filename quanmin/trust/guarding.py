"""What the guard rests on: the store, who is who, the rules, and what an actor has by them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial

import msgspec

from quanmin.base.epoch import Epoch
from quanmin.base.once import once
from quanmin.people import PersonIndex
from quanmin.records.profiles.catalogue import Supported
from quanmin.records.readiness import Indexed, indexed
from quanmin.records.store import Store
from quanmin.records.walls import Wall
from quanmin.trust.actors import Actor
from quanmin.trust.allowances import Allowances
from quanmin.trust.deciding import (
    Deciding,
    Grants,
    Ground,
    InUse,
    Rights,
    bounded,
    senders_of_region,
)
from quanmin.trust.deciding.rules import Rule
from quanmin.trust.due import DueKeeping
from quanmin.trust.lifecycle.registered import Mode, Registered
from quanmin.trust.log import AccessLog
from quanmin.trust.reach import Scoped, as_reached
from quanmin.trust.registers.definitions import institution_rule
from quanmin.trust.registers.standing import Standing, Standings
from quanmin.trust.sign_in.acting import person_asked_for
from quanmin.trust.walling import FOR_OWN, claim_of


class Guarding:
    """What guarded records stand on: the store, the persons and the log of one process."""

    def __init__(
        self,
        store: Store,
        people: PersonIndex,
        log: AccessLog,
        now: Callable[[], int],
        *,
        allowances: Allowances | None = None,
        posts_required: bool = True,
        revoked: Epoch | None = None,
        rules: Sequence[Rule] | None = None,
        unregistered: Mode = "show",
        due: DueKeeping | None = None,
    ) -> None:
        """`now` gives microseconds since 1970-01-01T00:00Z. Without `allowances` nobody has any
        quota; `posts_required` as `Standings`, `rules` as `Deciding`, `unregistered` as
        `Registered`; `revoked` is advanced when somebody is stopped or that register changes.
        """
        self.store = store
        self.people = people
        self.log = log
        self.now = now
        self.allowances = allowances
        self.due = due or DueKeeping(store.context, ())
        self.revoked = revoked or Epoch()
        self.registered = Registered(store.looking_up(), self.revoked, unregistered)
        self.deciding = Deciding(store.context.keying, rules, store.context.zone)
        self.grants = Grants(store.looking_up)
        self.standings = Standings(store.looking_up(), now, posts_required=posts_required)

    async def spend(self, actor: Actor, **amounts: int) -> None:
        """Count what an actor uses of its institution's quotas (`Allowances`). Raises TooMany."""
        if self.allowances is not None:
            await self.allowances.spend(actor, **amounts)

    def spending(self, actor: Actor, **amounts: int) -> AbstractAsyncContextManager[None]:
        """The same, given back when what is done within fails."""
        if self.allowances is None:
            return nullcontext()
        return self.allowances.spending(actor, **amounts)

    async def indexed(self) -> Indexed:
        """How far the index is: what custom parameters there are, and what can be searched by. It
        names nobody, so everybody may know it.
        """
        await self.store.refresh()
        async with self.store.glancing() as connection:
            return await indexed(connection, self.store.context.catalogue)

    async def supported_profiles(self) -> Supported:
        """The profiles in force, type and address of each; they name nobody either."""
        async with self.store.glancing() as connection:
            return await self.store.context.profiles.supported(connection)

    async def look_again(self) -> None:
        """Read anew by what records are indexed and can be searched."""
        await self.store.refresh()

    async def rights(
        self,
        actor: Actor,
        purpose: str,
        ways: str,
        type_: str | None = None,
        *,
        is_for_one: bool = False,
    ) -> tuple[int, Rights]:
        """The number the actor's writes are signed with, and what they may do now for a purpose, as
        far as the application that asks may: `ways` are the letters of `cruds` that it needs.

        `is_for_one` record that is read it costs less to look at its own grants, and at none where
        it is the asker's, than to find out first which grants there are.

        Raises InsufficientScope when it has none for this type (None: for any type).
        """
        sender, rights = await self.own_rights(actor, purpose, is_for_one=is_for_one)
        return sender, as_reached(rights, await self.scoped(actor), ways, type_)

    async def scoped(self, actor: Actor) -> Scoped | None:
        """What the scopes of the application that asks reach; None when none asks."""
        if actor.scopes is None:
            return None
        patients: frozenset[int] = frozenset()
        if actor.patient is not None:
            async with self.store.glancing() as connection:
                person = await self.people.person_of(connection, actor.patient)
                linked = await self.people.patients_of(connection, person) if person else ()
            patients = frozenset({actor.patient, *linked})
        return Scoped(actor.scopes, self.store.context, patients)

    async def own_rights(
        self, actor: Actor, purpose: str, *, is_for_one: bool = False
    ) -> tuple[int, Rights]:
        """The same whatever application asks. Raises Stopped for one whom the registers do not let
        act.
        """
        key = "rights", actor, purpose, is_for_one
        return await once(key, partial(self._own_rights, actor, purpose, is_for_one=is_for_one))

    async def _own_rights(
        self, actor: Actor, purpose: str, *, is_for_one: bool
    ) -> tuple[int, Rights]:
        standing = await self.standings.of(actor)
        await self.registered.refuse(purpose=purpose, client=actor.client)
        actor = standing.acting(actor)
        sender = await self.store.sender(actor.sender or f"actor:{actor.code}")
        patients = await self.patients_of(actor)
        wall, own = [
            await self.store.wall(claim_of(actor, use, standing), standing.walls)
            for use in (purpose, FOR_OWN)
        ]
        granted = None if is_for_one else await self._granted(actor, purpose, sender, wall)
        region = await self._region(actor, purpose, standing)
        registers = await self._registers(actor, purpose)
        addresses = frozenset({actor.sender, actor.place.institution} - {""})
        now = self.now()
        ground = Ground(sender, patients, region, now, granted, registers, addresses)
        rights = self.deciding.compile(actor, purpose, ground)
        rights = msgspec.structs.replace(rights, standing=standing, wall=wall, own_wall=own)
        return sender, bounded(rights, actor, self.deciding.reaching)

    async def acting(self, actor: Actor) -> Actor:
        """The actor with what the registers say now. Raises Stopped."""
        return (await self.standings.of(actor)).acting(actor)

    async def taken_out(self, actor: Actor, purpose: str, sender: int, rights: Rights) -> Rights:
        """The rights on what may leave the node in bulk, of what these show."""
        actor = rights.standing.acting(actor)
        numbers = self.deciding.onward_grantees(actor, purpose, sender, self.now())
        if not numbers:
            return rights
        granted = await self._granted(actor, purpose, sender, rights.wall)
        granted = granted.joined(await self.grants.to(numbers, rights.wall))
        patients = await self.patients_of(actor)
        region = await self._region(actor, purpose, rights.standing)
        ground = Ground(sender, patients, region, self.now(), granted)
        taken = self.deciding.taken_out(actor, purpose, ground, rights)
        return msgspec.structs.replace(taken, may_erase=rights.may_erase)

    async def _granted(self, actor: Actor, purpose: str, sender: int, wall: Wall | None) -> InUse:
        numbers = self.deciding.grantees(actor, purpose, sender, self.now())
        if not numbers:
            return InUse()
        granted = await self.grants.to(numbers, wall)
        parts = self.deciding.parts(sender, purpose, granted)
        return granted if not parts else granted.joined(await self.grants.to(parts, wall))

    async def _region(self, actor: Actor, purpose: str, standing: Standing) -> frozenset[int]:
        now, region = self.now(), standing.region
        if not region or not self.deciding.asks_region(actor, purpose, now):
            return frozenset()
        ask = partial(senders_of_region, self.store.looking_up(), region, now)
        return await once(("region", region), ask)

    async def _registers(self, actor: Actor, purpose: str) -> frozenset[int]:
        """Who writes entries of the registers, for those who keep them."""
        if not self.deciding.keeps_registers(actor, purpose, self.now()):
            return frozenset()
        codes = sorted(institution_rule().register.senders)
        return frozenset([await self.store.sender(code) for code in codes])

    async def patients_of(self, actor: Actor, what: str = "own_record") -> frozenset[int]:
        """The Patients that a resident is, or those for whom they act; nobody else is any. Raises
        Forbidden for one who does not act for them any more.
        """
        if actor.person is None:
            return frozenset()
        async with self.store.glancing() as connection:
            person = await person_asked_for(connection, actor, self.now(), what)
            if person is None:
                return frozenset()
            return frozenset(await self.people.patients_of(connection, person))
