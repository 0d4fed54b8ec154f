"""What an account is to be told of itself: it waits here until its owner has seen it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final, Literal

import asyncpg
import msgspec

from quanmin.base.database import Connection, Database

Kind = Literal[
    "new-browser",
    "password-changed",
    "authenticator-added",
    "authenticator-removed",
    "passkey-added",
    "passkey-removed",
    "recovery-codes-made",
    "recovery-code-used",
    "locked-by-failures",
    "petition-filed",
    "petition-moved",
    "breach",
    "acting-began",
    "proxy-began",
    "acting-ended",
    "proxy-ended",
    "enrolled",
    "record-opened",
    "consent-recorded",
    "consent-ended",
]

FOR_ANOTHER: Final = "for-another "
"""What stands before the kind of a notice about somebody for whom its reader acts."""

# A child has no account: who acts for somebody and may read of them is told as well.
_LEAVE_PERSONS: Final = f"""
    insert into trust.notice (account, at, kind, detail)
    select distinct a.account, $2::bigint, $3, $4 from trust.actor a
    join people.link l on l.person = a.person
    where l.patient = any($1) and a.account is not null and a.is_active and a.role = 'resident'
    union
    select a.account, $2::bigint, '{FOR_ANOTHER}' || $3, $4 from trust.proxy p
    join people.link l on l.person = p.for_person
    join trust.actor a on a.person = p.person
    where l.patient = any($1) and p.since <= $2 and p.until > $2 and 'read' = any(p.scope)
        and a.account is not null and a.is_active and a.role = 'resident'
"""  # noqa: S608 - constants of this module
_LEAVE_STAFF: Final = """
    insert into trust.notice (account, at, kind, detail)
    select distinct a.account, $3::bigint, $4, '' from trust.actor a
    where a.sender = $1 and a.role = any($2) and a.account is not null and a.is_active
"""
_SHOWN_MAX: Final = 20
_DETAIL_LENGTH_MAX: Final = 200


class Notice(msgspec.Struct, frozen=True):
    """One thing to be told: a `Kind`, after FOR_ANOTHER when it is about somebody for whom the
    account acts. `detail` is what a browser says of itself.
    """

    at: int
    kind: str
    detail: str
    seen_at: int | None


class Notices:
    """The notices of a node's accounts."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], now: Callable[[], int]) -> None:
        self._pool = pool
        self._now = now

    async def leave(
        self, account: str, kind: Kind, detail: str = "", *, database: Database | None = None
    ) -> None:
        """Tell the account when it looks next; nothing when there is no such account."""
        await (database or self._pool).execute(
            "insert into trust.notice (account, at, kind, detail)"
            " select code, $2, $3, $4 from trust.account where code = $1",
            account,
            self._now(),
            kind,
            detail[:_DETAIL_LENGTH_MAX],
        )

    async def latest(self, account: str) -> tuple[Notice, ...]:
        """The newest first."""
        rows = await self._pool.fetch(
            "select at, kind, detail, seen_at from trust.notice where account = $1"
            " order by at desc, id desc limit $2",
            account,
            _SHOWN_MAX,
        )
        return tuple(Notice(*row) for row in rows)

    async def mark_seen(self, account: str) -> None:
        """The owner has looked."""
        await self._pool.execute(
            "update trust.notice set seen_at = $2 where account = $1 and seen_at is null",
            account,
            self._now(),
        )


async def tell_persons(
    connection: Connection, patients: Sequence[int], at: int, kind: Kind, detail: str = ""
) -> int:
    """Tell the persons whom these Patients are, and who acts for them, in the caller's transaction;
    gives to how many accounts.
    """
    done = await connection.execute(
        _LEAVE_PERSONS, [*patients], at, kind, detail[:_DETAIL_LENGTH_MAX]
    )
    return int(done.rpartition(" ")[2])


async def tell_staff(
    connection: Connection, sender: str, roles: Collection[str], at: int, kind: Kind
) -> None:
    """Tell those who act for an institution (its code) in these roles, in the caller's
    transaction.
    """
    await connection.execute(_LEAVE_STAFF, sender, sorted(roles), at, kind)
