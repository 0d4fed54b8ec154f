"""Enrolling residents at a counter of an institution: who they are is made sure by a document, and
their account opened, or opened anew for one who has lost the way in.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from quanmin.base.database import Connection
from quanmin.base.problems import Forbidden, Invalid, Problem, Sentence
from quanmin.fhir.identity_number import rule
from quanmin.fhir.json import decode
from quanmin.records.reading import read
from quanmin.trust.desk import Desk
from quanmin.trust.notices import Notices
from quanmin.trust.sign_in.accounts import Accounts
from quanmin.trust.sign_in.acting import Evidence, real_name

_ACTION: Final = "enrol"


class Enrolled(msgspec.Struct, frozen=True):
    """What is handed to the resident: the name of the account and the code that opens it, the only
    copy; "" for an account of theirs that goes on as it is. `is_new` is False for one that was
    there.
    """

    account: str
    invitation: str
    is_new: bool


class Enrolment(msgspec.Struct, frozen=True):
    """A line of the counter's own list."""

    number: int
    account: str
    level: int
    evidence: str
    at: int
    decided_by: str


class EnrolmentDesk(Desk):
    """What staff of an institution do for residents at its counter."""

    async def refuse_unless_counter(self) -> None:
        """Raises Forbidden for whoever does not enrol residents (`real_name.toml`)."""
        counter = real_name().counter
        standing = await self._guard.standings.of(self._actor)
        if standing.has_posts:
            may = counter.duty in standing.duties
        else:
            may = self._actor.role in counter.roles
        if not may or not self._actor.sender or self._actor.scopes is not None:
            raise Forbidden("residents are enrolled by who has the duty of registration")

    async def enrol(
        self,
        accounts: Accounts,
        notices: Notices,
        patient_id: str,
        *,
        evidence: str,
        number: str,
        account: str = "",
    ) -> Enrolled:
        """Open the account of the person whom a Patient of the asker's sight is, who has shown a
        document of this number; or let `account`, which they have already and keep as it is, be
        theirs. All of it and its entry in the access log are durable when this returns.

        Raises NotFound for a Patient that the asker does not see, Invalid when the number is not
        the Patient's or nothing links the Patient to a person, Forbidden for oneself, Conflict for
        an account that is locked, another's or no resident's.
        """
        await self.refuse_unless_counter()
        shown = _evidence(evidence)
        try:
            enrolled = await self._enrol(
                accounts, notices, patient_id, shown=shown, number=number, account=account
            )
        except Problem as problem:
            await self._notes.note(_ACTION, "Patient", problem.code)
            raise
        self._notes.settle()
        accounts.announce()
        return enrolled

    async def _enrol(
        self,
        accounts: Accounts,
        notices: Notices,
        patient_id: str,
        *,
        shown: Evidence,
        number: str,
        account: str,
    ) -> Enrolled:
        _, rights = await self._guard.rights(self._actor, self._purpose, "r", "Patient")
        context = self._guard.store.context
        async with self._guard.store.glancing(rights.wall) as connection, connection.transaction():
            found = await read(connection, context, rights.whole, "Patient", patient_id)
            patient = decode(found.body or b"{}")
            if not is_shown(patient, shown.system, number):
                raise Invalid(
                    "this is not the number of the document in the registration: compare both, and"
                    " correct the registration first where it is wrong"
                )
            if await self._is_own(connection, accounts.holder_of(number)):
                raise Forbidden("nobody enrols themselves: ask a colleague")
            person = await self._guard.people.hold(connection, found.rid)
            if person is None:
                raise Invalid(
                    "nothing says which person this registration is: see that it has an"
                    " identity number that is right"
                )
            level = real_name().counter.level
            if account:
                code, invitation, is_new = account.strip().casefold(), "", False
                await accounts.bind(connection, person, code, number, level)
            else:
                code, invitation, is_new = await accounts.enrol(
                    connection, person, _name(patient), number, level
                )
            await connection.execute(
                "insert into trust.enrolment (account, person, level, evidence, at, decided_by,"
                " sender) values ($1, $2, $3, $4, $5, $6, $7)",
                code,
                person,
                level,
                shown.code,
                self._guard.now(),
                self._actor.code,
                self._actor.sender,
            )
            await notices.leave(code, "enrolled", database=connection)
            entry = self._notes.entry(_ACTION, "Patient", "ok", [found])
            await self._notes.put_in(connection, [entry])
        return Enrolled(code, invitation, is_new)

    async def latest(self, before: tuple[int, int], count: int) -> Sequence[Enrolment]:
        """So many whom the asker's institution has enrolled, by their accounts, the latest first,
        before a moment and number.
        """
        await self.refuse_unless_counter()
        async with self._guard.store.glancing() as connection:
            rows = await connection.fetch(
                "select enrolment, account, level, evidence, at, decided_by from trust.enrolment"
                " where sender = $1 and (at, enrolment) < ($2, $3)"
                " order by at desc, enrolment desc limit $4",
                self._actor.sender,
                *before,
                count,
            )
        return [Enrolment(*row) for row in rows]

    async def _is_own(self, connection: Connection, holder: bytes) -> bool:
        return bool(
            await connection.fetchval(
                "select true from trust.actor a join trust.account k on k.code = a.account"
                " where a.code = $1 and k.holder = $2",
                self._actor.code,
                holder,
            )
        )


def _evidence(code: str) -> Evidence:
    for one in real_name().counter.evidence:
        if one.code == code:
            return one
    known = ", ".join(one.code for one in real_name().counter.evidence)
    raise Invalid(Sentence("the document is one of %(known)s", known=known))


def is_shown(patient: dict[str, Any], system: str, number: str) -> bool:
    """Whether a Patient has this number of this system, however it is typed; an identity number is
    one by whichever of its systems.
    """
    bare = re.sub(r"\s+", "", number).upper().encode()
    alike = rule().number.systems
    systems = alike if system in alike else (system,)
    known = (
        str(one.get("value") or "").upper().encode()
        for one in patient.get("identifier") or ()
        if one.get("system") in systems
    )
    return any(hmac.compare_digest(bare, value) for value in known if value)


def _name(patient: dict[str, Any]) -> str:
    for name in patient.get("name") or ():
        text = name.get("text") or " ".join((*(name.get("given") or ()), name.get("family") or ""))
        if str(text).strip():
            return str(text).strip()[:100]
    return "居民"
