"""What staff of an institution enter at its counter of guardians and proxies: who acts for whom, on
documents of both that they have seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final, Literal

import msgspec

from quanmin.base.database import Connection, Lent
from quanmin.base.problems import Forbidden, Invalid, NotFound, Problem, Sentence
from quanmin.fhir.json import decode
from quanmin.records.model import Stored
from quanmin.records.reading import read
from quanmin.trust.notices import Notices
from quanmin.trust.registers.entry import OPEN_END
from quanmin.trust.registers.proxies import Proxies, Proxy, refuse_minor
from quanmin.trust.sign_in.accounts import Accounts
from quanmin.trust.sign_in.acting import accounts_of, real_name
from quanmin.trust.sign_in.enrolling import EnrolmentDesk, is_shown

_ENTER: Final = "enter-proxy"
_END: Final = "end-proxy"
_ENTERED: Final = """
    select p.proxy, p.kind, p.evidence, p.since, p.until, p.decided_by
    from trust.proxy p join trust.actor a on a.code = p.decided_by
    where a.sender = $1
"""
_ONE: Final = f"{_ENTERED} and p.proxy = $2"
_LATEST: Final = f"{_ENTERED} and p.proxy < $2 order by p.proxy desc limit $3"
_OLDEST: Final = f"{_ENTERED} and p.proxy > $2 order by p.proxy limit $3"
_END_OF_NUMBERS: Final = (1 << 63) - 1


class WishedProxy(msgspec.Struct, frozen=True, kw_only=True):
    """Who is to act for whom: Patients of the asker's sight, each with the number that was read
    from the document shown. Without `until` as long as the kind allows.
    """

    patient: str
    number: str
    for_patient: str
    for_number: str
    kind: str
    evidence: str
    until: int = OPEN_END


class EnteredProxy(msgspec.Struct, frozen=True):
    """A line of the counter's own list; `until` is exclusive."""

    proxy: int
    kind: str
    evidence: str
    since: int
    until: int
    decided_by: str


class GuardianDesk(EnrolmentDesk):
    """Guardians and proxies at a counter."""

    async def enter(self, accounts: Accounts, notices: Notices, wished: WishedProxy) -> Proxy:
        """From now on a person acts for another; both are told. All of it and its entry in the
        access log are durable when this returns.

        Raises NotFound for a Patient that the asker does not see, Forbidden for oneself, and what
        `Proxies.enter` raises.
        """
        await self.refuse_unless_counter()
        try:
            entered = await self._enter(accounts, notices, wished)
        except Problem as problem:
            await self._notes.note(_ENTER, "Patient", problem.code)
            raise
        self._notes.settle()
        return entered

    async def _enter(self, accounts: Accounts, notices: Notices, wished: WishedProxy) -> Proxy:
        _, rights = await self._guard.rights(self._actor, self._purpose, "r", "Patient")
        context, now = self._guard.store.context, self._guard.now()
        async with self._guard.store.glancing(rights.wall) as connection, connection.transaction():
            found = [
                await read(connection, context, rights.whole, "Patient", id_)
                for id_ in (wished.patient, wished.for_patient)
            ]
            bodies = [decode(one.body or b"{}") for one in found]
            _refuse_unshown(bodies[0], wished.number, Sentence("who acts"))
            _refuse_unshown(bodies[1], wished.for_number, Sentence("the one acted for"))
            if await self._is_own(connection, accounts.holder_of(wished.number)):
                raise Forbidden("nobody lets themselves act for others: ask a colleague")
            person, other = [await self._person(connection, one) for one in found]
            zone = context.zone
            refuse_minor(_born(bodies[0]), datetime.fromtimestamp(now / 1e6, zone).date())
            entered = await Proxies(Lent(connection), zone).enter(
                person,
                other,
                kind=wished.kind,
                evidence=wished.evidence,
                born=_born(bodies[1]),
                until=wished.until,
                at=now,
                by=self._actor.code,
            )
            await _tell(connection, notices, person, "acting-began")
            await _tell(connection, notices, other, "proxy-began")
            entry = self._notes.entry(_ENTER, "Patient", "ok", found)
            await self._notes.put_in(connection, [entry])
        return entered

    async def entered(
        self, *, after: int = 0, count: int, is_oldest_first: bool = False
    ) -> Sequence[EnteredProxy]:
        """What the asker's institution has entered, by number, the latest first unless the oldest
        are to be; after the number `after`, 0 for the beginning.
        """
        await self.refuse_unless_counter()
        if is_oldest_first:
            return await self._listed(_OLDEST, after, count)
        return await self._listed(_LATEST, after or _END_OF_NUMBERS, count)

    async def one(self, number: int) -> EnteredProxy:
        """One of them. Raises NotFound."""
        await self.refuse_unless_counter()
        for found in await self._listed(_ONE, number):
            return found
        raise NotFound("your institution has entered no such proxy")

    async def end(self, number: int) -> None:
        """From now on the proxy acts no more. Raises NotFound, also for another institution's."""
        await self.one(number)
        async with self._guard.store.glancing() as connection, connection.transaction():
            zone = self._guard.store.context.zone
            await Proxies(Lent(connection), zone).end(number, at=self._guard.now())
            entry = self._notes.entry_of_keys(_END, None, "ok", ())
            await self._notes.put_in(connection, [entry])
        self._notes.settle()

    async def _listed(self, statement: str, *which: int) -> Sequence[EnteredProxy]:
        async with self._guard.store.glancing() as connection:
            rows = await connection.fetch(statement, self._actor.sender, *which)
        return [EnteredProxy(*row) for row in rows]

    async def _person(self, connection: Connection, patient: Stored) -> int:
        person = await self._guard.people.hold(connection, patient.rid)
        if person is None:
            raise Invalid(
                "nothing says which person a registration is: see that each has an identity number"
                " that is right"
            )
        return person


def _refuse_unshown(patient: dict[str, Any], number: str, who: Sentence) -> None:
    systems = {one.system for one in real_name().counter.evidence}
    if not any(is_shown(patient, system, number) for system in systems):
        raise Invalid(
            Sentence(
                "the number of %(who)s is not that of the registration: compare both, and correct "
                "the registration first where it is wrong",
                who=who,
            )
        )


def _born(patient: dict[str, Any]) -> date | None:
    stated = str(patient.get("birthDate") or "")
    return date.fromisoformat(stated) if len(stated) == len("2020-01-01") else None


async def _tell(
    connection: Connection,
    notices: Notices,
    person: int,
    kind: Literal["acting-began", "proxy-began"],
) -> None:
    for account in await accounts_of(connection, person):
        await notices.leave(account, kind, database=connection)
