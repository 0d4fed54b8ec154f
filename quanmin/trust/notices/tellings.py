"""What an application tells people of the records that it writes, in the transaction that writes
them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Literal, get_args

import msgspec

from quanmin.base.problems import Conflict, Invalid, Sentence
from quanmin.fhir.json import decode
from quanmin.trust.actors import Role
from quanmin.trust.deciding.bounds import ADDRESSED
from quanmin.trust.notices.kinds import NoticeKind
from quanmin.trust.notices.telling import (
    About,
    sealed_words,
    tell_account,
    tell_persons,
    tell_staff,
    withdraw,
)

if TYPE_CHECKING:
    from quanmin.base.database import Connection
    from quanmin.records.model import Outcome, Stored
    from quanmin.trust.actors import Actor
    from quanmin.trust.guarding import Guarding

_SENDER: Final = "select code from records.sender where sender = $1"

Where = Literal["writer", "sender", "addressed", "around"]


class Tell(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is told of a record of the transaction, the `entry` by its place.

    To the person whose record it is and who acts for them; else to those in these `roles`, with one
    of these `duties` where any are named, at an `institution` (its code), or to one `account`.
    Without an institution it is the `writer`'s own, that of the `sender` of the record, those that
    it is `addressed` to, or the nearest `around` the sender's that has such people: its county's,
    else its city's. `words` fill the
    placeholders of the kind. With `once` nobody is told a second time under the same key, however
    often it is tried; `until` is when it is over by itself, in microseconds.
    """

    kind: str
    entry: int = 0
    words: Mapping[str, str] = {}
    roles: Collection[str] = ()
    duties: Collection[str] = ()
    where: Where = "writer"
    institution: str = ""
    account: str = ""
    once: str | None = None
    until: int | None = None


class Tellings(msgspec.Struct, frozen=True):
    """What is told, by which kinds, and the kinds that are over for every record written."""

    kinds: Mapping[str, NoticeKind]
    told: Sequence[Tell] = ()
    over: Collection[str] = ()

    async def leave(
        self,
        connection: Connection,
        guard: Guarding,
        actor: Actor,
        written: Mapping[int, Outcome | None],
    ) -> None:
        """Leave it, of what was written by the place of its entry. Raises Invalid for words that
        the kind does not take, Conflict for a person whom the record does not name.
        """
        at = guard.now()
        matters = {place: _matter(outcome) for place, outcome in written.items()}
        if self.over:
            # What was there already has not moved on: what was told of it holds.
            moved = [matters[place] for place, one in written.items() if one and not one.unchanged]
            await withdraw(connection, [one for one in moved if one], self.over, at)
        for one in self.told:
            kind = self.kinds[one.kind]
            outcome = written.get(one.entry)
            if outcome is None:
                raise Invalid(
                    Sentence(
                        "entry %(entry)s writes nothing that could be told of", entry=one.entry
                    )
                )
            if outcome.unchanged:  # sent again: it was told of when it was written
                continue
            about = About(
                words=sealed_words(guard.store.context, kind, one.words),
                matter=matters[one.entry],
                once=one.once,
                until=one.until,
            )
            if one.account:
                await tell_account(connection, one.account, at, kind, about=about)
            elif one.roles:
                _refuse_unknown(one.roles)
                where = [one.institution] if one.institution else None
                await tell_staff(
                    connection,
                    where or await _places(connection, one.where, actor, outcome.stored),
                    one.roles,
                    at,
                    kind,
                    duties=one.duties,
                    is_around=one.where == "around",
                    about=about,
                )
            else:
                patient = outcome.stored.facts.patient
                if patient is None:
                    raise Conflict("the record is of no patient: there is no person to be told")
                await tell_persons(connection, [patient], at, kind, about=about)


async def _places(
    connection: Connection, where: Where, actor: Actor, stored: Stored
) -> Collection[str]:
    """The codes of the institutions that are meant."""
    if where == "writer":
        return [actor.sender]
    if where == "addressed":
        meta = decode(stored.body or b"{}").get("meta") or {}
        return [
            str(one.get("code") or "")
            for one in meta.get("security") or ()
            if one.get("system") == ADDRESSED
        ]
    code = await connection.fetchval(_SENDER, stored.facts.sender)
    return [str(code)]


def _refuse_unknown(roles: Collection[str]) -> None:
    unknown = sorted(set(roles) - set(get_args(Role)))
    if unknown:
        raise Invalid(
            Sentence("nobody acts as %(known)s: there is no such role", known=", ".join(unknown))
        )


def _matter(outcome: Outcome | None) -> str | None:
    return None if outcome is None else f"{outcome.stored.type}/{outcome.stored.id}"
