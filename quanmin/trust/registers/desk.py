"""The registers as those who keep them change them, and those who supervise ask them: every change
and every question about staff is in the access log.

Who keeps all of them is said by the rules (`keeps-the-registers`); whose duty it is to keep the
posts of their own institution, by `registers/duties.toml`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from quanmin.base.database import Connection, Lent
from quanmin.base.problems import Forbidden, NotFound, Problem
from quanmin.trust.desk import Desk
from quanmin.trust.registers.admissions import Admission, Admissions, Application
from quanmin.trust.registers.definitions import duties
from quanmin.trust.registers.institutions import Institution, Institutions
from quanmin.trust.registers.posts import Post, Posts, Wished, appoint
from quanmin.trust.registers.staff import Staff, WantedStaff, staff_as_of, staff_history

_READERS: Final = frozenset({"supervisor"})


class Reach(msgspec.Struct, frozen=True):
    """Whose posts an actor keeps or sees: those at an institution (credit code), of an actor, or
    all (None).
    """

    institution: str | None = None
    actor: str | None = None
    may_change: bool = False

    def covers(self, post: Post) -> bool:
        """Whether a post is among them."""
        return self.institution in {None, post.institution} and self.actor in {None, post.actor}


class Registers(Desk):
    """What one actor keeps of the registers, or asks them."""

    async def posts_reach(self) -> Reach:
        """Whose posts are the actor's to see: at least their own. Raises Stopped."""
        standing = await self._guard.standings.of(self._actor)
        if standing.party:  # who runs tenants for others keeps no register of the node
            return Reach(actor=self._actor.code)
        if self.keeps_all:
            return Reach(may_change=True)
        if self._actor.role in _READERS:
            return Reach()
        keeping = {duty.code for duty in duties() if duty.keeps_posts}
        if not keeping.isdisjoint(standing.duties):
            own = await self._own_institution()
            if own is not None:
                return Reach(institution=own, may_change=True)
        return Reach(actor=self._actor.code)

    @property
    def keeps_all(self) -> bool:
        """Whether a rule lets the actor change all that the registers say."""
        return self._guard.deciding.keeps_registers(self._actor, self._purpose, self._guard.now())

    async def posts(
        self,
        moment: int | None,
        institution: str | None,
        *,
        after: int | None,
        order: str = "",
        count: int,
    ) -> Sequence[Post]:
        """The posts held at a moment (None: now), as far as they are the actor's to see, in an
        order of `Posts.as_of`.
        """
        reach = await self.posts_reach()
        at = self._guard.now() if moment is None else moment
        async with self._guard.store.glancing() as connection:
            found = await Posts(Lent(connection)).as_of(
                at,
                actor=reach.actor,
                institution=reach.institution or institution,
                after=after,
                order=order,
                count=count,
            )
        await self._asked("read-posts", len(found))
        return found

    async def post(self, number: int) -> Post:
        """One post. Raises NotFound, also for one that is not the actor's to see."""
        reach = await self.posts_reach()
        async with self._guard.store.glancing() as connection:
            found = await Posts(Lent(connection)).one(number)
        if found is None or not reach.covers(found):
            raise NotFound("there is no such post")
        await self._asked("read-posts", 1)
        return found

    async def appoint(self, wished: Wished) -> Post:
        """Give a post. Raises as `appoint` does, and Forbidden for one's own."""
        reach = await self._changing_posts()
        if wished.actor == self._actor.code:
            raise Forbidden("nobody gives a post to themselves: let another keeper do it")
        if reach.institution is not None:
            wished = msgspec.structs.replace(wished, institution=reach.institution)
        async with self._change("appoint") as connection:
            return await appoint(connection, wished, at=self._guard.now(), by=self._actor.code)

    async def end_post(self, number: int, *, at: int | None = None) -> Post:
        """End a post now, or at a moment to come. Raises NotFound, Conflict."""
        await self._changing_posts()
        await self.post(number)
        now = self._guard.now()
        async with self._change("end-post") as connection:
            return await Posts(Lent(connection)).end(number, at=now if at is None else max(at, now))

    async def _changing_posts(self) -> Reach:
        reach = await self.posts_reach()
        if not reach.may_change:
            raise Forbidden(
                "the register of posts is kept by security administrators, and of their own"
                " institution by those whose duty it is"
            )
        return reach

    async def admissions(self, *, state: str | None, after: int, count: int) -> Sequence[Admission]:
        """Who applied and what became of it."""
        await self._ask_all()
        async with self._guard.store.glancing() as connection:
            return await Admissions(Lent(connection)).all(state=state, after=after, count=count)

    async def admission(self, number: int) -> Admission:
        """One admission. Raises NotFound."""
        await self._ask_all()
        async with self._guard.store.glancing() as connection:
            return await Admissions(Lent(connection)).one(number)

    async def apply(self, application: Application) -> Admission:
        """Enter an application."""
        await self._keep_all()
        async with self._change("apply-for-admission") as connection:
            return await Admissions(Lent(connection)).apply(
                application, at=self._guard.now(), by=self._actor.code
            )

    async def review(self, number: int, *, is_recommended: bool, opinion: str) -> Admission:
        """Say what the review found."""
        await self._keep_all()
        async with self._change("review-admission") as connection:
            return await Admissions(Lent(connection)).review(
                number,
                is_recommended=is_recommended,
                opinion=opinion,
                at=self._guard.now(),
                by=self._actor.code,
            )

    async def admit(self, number: int, *, agreement: str, since: int, until: int) -> Admission:
        """Admit a party for a time; also anew, after its last admission has ended."""
        await self._keep_all()
        async with self._change("admit") as connection:
            return await Admissions(Lent(connection)).admit(
                number,
                agreement=agreement,
                since=since,
                until=until,
                at=self._guard.now(),
                by=self._actor.code,
            )

    async def withdraw(self, number: int, *, reason: str) -> Admission:
        """Stop a party at once."""
        await self._keep_all()
        async with self._change("withdraw-admission") as connection:
            return await Admissions(Lent(connection)).withdraw(
                number, reason=reason, at=self._guard.now(), by=self._actor.code
            )

    async def staff(
        self, moment: int | None, wanted: WantedStaff, *, after: int, count: int
    ) -> Sequence[Staff]:
        """The practitioners of the register with their licences at a moment (None: now)."""
        await self._ask_all()
        at = self._guard.now() if moment is None else moment
        async with self._guard.store.glancing() as connection:
            found = await staff_as_of(connection, at, wanted, after=after, count=count)
        await self._asked("read-staff", len(found))
        return found

    async def staff_history(self, practitioner_id: str) -> Staff:
        """All licences and places of one practitioner. Raises NotFound."""
        await self._ask_all()
        async with self._guard.store.glancing() as connection:
            found = await staff_history(connection, practitioner_id)
        if found is None:
            raise NotFound("no practitioner of the register has this id")
        await self._asked("read-staff", 1)
        return found

    async def institution(self, code: str) -> Institution | None:
        """What an institution is now; None when there is none with this code."""
        async with self._guard.store.glancing() as connection:
            history = await Institutions(connection).history(code.upper())
        return history[-1] if history else None

    async def _keep_all(self) -> None:
        await self._refuse_entrusted()
        if not self.keeps_all:
            raise Forbidden("the registers are kept by security administrators")

    async def _ask_all(self) -> None:
        await self._refuse_entrusted()
        if not (self.keeps_all or self._actor.role in _READERS):
            raise Forbidden("the registers are kept by security administrators")

    async def _own_institution(self) -> str | None:
        async with self._guard.store.glancing() as connection:
            code = await connection.fetchval(
                "select code from trust.institution_entry where sender = $1", self._actor.sender
            )
            return None if code is None else str(code)

    async def _asked(self, action: str, number: int) -> None:
        entry = self._notes.entry_of_keys(action, None, "ok", ())
        await self._notes.put(msgspec.structs.replace(entry, hits=number))

    @asynccontextmanager
    async def _change(self, action: str) -> AsyncIterator[Connection]:
        """A transaction of a change with its entry in the log; a refusal is noted by itself."""
        try:
            async with self._guard.store.glancing() as connection, connection.transaction():
                yield connection
                entry = self._notes.entry_of_keys(action, None, "ok", ())
                await self._notes.put_in(connection, [entry])
        except Problem as problem:
            await self._notes.note(action, None, problem.code)
            raise
        self._notes.settle()
