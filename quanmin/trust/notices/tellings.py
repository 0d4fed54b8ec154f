"""What an application tells people of the records that it writes, in the transaction that writes
them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, get_args

import msgspec

from quanmin.base.problems import Conflict, Invalid
from quanmin.trust.actors import Role
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
    from quanmin.records.model import Outcome
    from quanmin.trust.actors import Actor
    from quanmin.trust.guarded_reading import Guarding


class Tell(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is told of a record of the transaction, the `entry` by its place.

    To the person whose record it is and who acts for them; else to those in these `roles` at an
    `institution` (its code; "": the writer's own), or to one `account`. `words` fill the
    placeholders of the kind. With `once` nobody is told a second time under the same key, however
    often it is tried; `until` is when it is over by itself, in microseconds.
    """

    kind: str
    entry: int = 0
    words: Mapping[str, str] = {}
    roles: Collection[str] = ()
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
            await withdraw(connection, [one for one in matters.values() if one], self.over, at)
        for one in self.told:
            kind = self.kinds[one.kind]
            outcome = written.get(one.entry)
            if outcome is None:
                raise Invalid(f"entry {one.entry} writes nothing that could be told of")
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
                institution = one.institution or actor.sender
                await tell_staff(connection, institution, one.roles, at, kind, about=about)
            else:
                patient = outcome.stored.facts.patient
                if patient is None:
                    raise Conflict("the record is of no patient: there is no person to be told")
                await tell_persons(connection, [patient], at, kind, about=about)


def _refuse_unknown(roles: Collection[str]) -> None:
    unknown = sorted(set(roles) - set(get_args(Role)))
    if unknown:
        raise Invalid(f"nobody acts as {', '.join(unknown)}: there is no such role")


def _matter(outcome: Outcome | None) -> str | None:
    return None if outcome is None else f"{outcome.stored.type}/{outcome.stored.id}"
