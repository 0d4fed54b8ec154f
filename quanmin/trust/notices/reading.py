"""The notices of an account, as its owner reads them, and how they want to be told of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final, Literal

import asyncpg
import msgspec

from quanmin.base.database import Database
from quanmin.base.problems import Invalid, Issue, Sentence
from quanmin.fhir.json import decode
from quanmin.records.context import Context
from quanmin.trust.notices.kinds import Class, NoticeKind
from quanmin.trust.notices.sealing import seal, unseal
from quanmin.trust.notices.telling import About, tell_account

Channel = Literal["sms", "mini-program", "mail"]
CHANNELS: Final[tuple[Channel, ...]] = ("sms", "mini-program", "mail")
UNREAD_MAX: Final = 99
"""How far unread notices are counted."""

HOLDS: Final = "withdrawn_at is null and (until is null or until > $2)"
"""Whether a notice is still listed at a moment."""
_LISTED: Final = f"""
    select id, at, kind, class, is_for_another, detail, words, seen_at from trust.notice
    where account = $1 and {HOLDS} and ($3::text is null or class = $3)
        and (not $4 or seen_at is null) and (at, id) < ($5, $6)
    order by at desc, id desc limit $7
"""  # noqa: S608 - constants of this module
_EVER: Final = (1 << 63) - 1
_ADDRESS_LENGTH_MAX: Final = 254
_UNCHOSEN: Final = (
    "delete from trust.contact where account = $1 and channel <> all($2)",
    "delete from trust.pending_notice where account = $1 and channel <> all($2)",
)
_ADDRESSES: Final = {
    "mail": re.compile(r"[A-Za-z0-9._%+\-]{1,64}@[A-Za-z0-9\-]{1,63}(\.[A-Za-z0-9\-]{1,63}){1,8}"),
    "sms": re.compile(r"\+?[0-9]{5,20}"),
    "mini-program": re.compile(r"[A-Za-z0-9_\-]{6,64}"),
}


def is_address(channel: Channel, text: str) -> bool:
    """Whether something could be sent to this by a channel."""
    return len(text) <= _ADDRESS_LENGTH_MAX and _ADDRESSES[channel].fullmatch(text) is not None


class Notice(msgspec.Struct, frozen=True):
    """One thing to be told. `detail` is what a browser says of itself, or words that stand for all;
    `words` are sealed.
    """

    id: int
    at: int
    kind: str
    class_: Class
    is_for_another: bool
    detail: str
    words: bytes | None
    seen_at: int | None

    def told(self, kind: NoticeKind | None, language: str, context: Context) -> str:
        """Its words in a language; its kind alone where that is declared no more."""
        if kind is None:
            return self.kind
        values = decode(unseal(context, "words", self.words)) if self.words else {}
        return kind.told(language, values, is_for_another=self.is_for_another)


class Contact(msgspec.Struct, frozen=True):
    """A way that the owner of an account has chosen."""

    channel: Channel
    address: str
    language: str


class Notices:
    """The notices of a node's accounts."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], now: Callable[[], int]) -> None:
        self._pool = pool
        self._now = now

    async def leave(
        self, account: str, kind: str, detail: str = "", *, database: Database | None = None
    ) -> None:
        """Tell the account when it looks next; nothing when there is no such account."""
        await tell_account(
            database or self._pool, account, self._now(), kind, about=About(detail=detail)
        )

    async def listed(
        self,
        account: str,
        *,
        class_: Class | None = None,
        is_unread: bool = False,
        before: tuple[int, int] = (_EVER, _EVER),
        count: int,
    ) -> tuple[Notice, ...]:
        """The newest first, before a moment and number; not what is over."""
        rows = await self._pool.fetch(
            _LISTED, account, self._now(), class_, is_unread, *before, count
        )
        return tuple(Notice(*row) for row in rows)

    async def mark_seen(self, account: str, shown: Sequence[int]) -> None:
        """The owner has read those of their notices that have these numbers."""
        await self._pool.execute(
            "update trust.notice set seen_at = $2"
            " where account = $1 and seen_at is null and id = any($3)",
            account,
            self._now(),
            shown,
        )

    async def contacts(self, account: str, context: Context) -> Sequence[Contact]:
        """The ways that the owner has chosen."""
        rows = await self._pool.fetch(
            "select channel, address, language from trust.contact where account = $1", account
        )
        return [
            Contact(
                row["channel"], unseal(context, "address", row["address"]).decode(), row["language"]
            )
            for row in rows
        ]

    async def quiet_time(self, account: str) -> tuple[int, int] | None:
        """From which minute of the day to which the owner wants no message; None: as the node."""
        row = await self._pool.fetchrow(
            "select begins, ends from trust.quiet_time where account = $1", account
        )
        return None if row is None else (row["begins"], row["ends"])

    async def choose(
        self,
        account: str,
        contacts: Sequence[Contact],
        quiet: tuple[int, int] | None,
        context: Context,
    ) -> None:
        """These ways and these hours from now on, and no others: what waits for another is dropped.
        Raises Invalid, with the channel as where, for an address that none can be.
        """
        for one in contacts:
            if not is_address(one.channel, one.address):
                text = Sentence("nothing can be sent to this address")
                raise Invalid(text, issues=(Issue("error", "invalid", text, one.channel),))
        async with self._pool.acquire() as connection, connection.transaction():
            channels = [one.channel for one in contacts]
            for gone in _UNCHOSEN:
                await connection.execute(gone, account, channels)
            for one in contacts:
                await connection.execute(
                    "insert into trust.contact (account, channel, address, language, chosen_at)"
                    " values ($1, $2, $3, $4, $5) on conflict (account, channel) do update"
                    " set address = excluded.address, language = excluded.language,"
                    " chosen_at = excluded.chosen_at",
                    account,
                    one.channel,
                    seal(context, "address", one.address.encode()),
                    one.language,
                    self._now(),
                )
            await connection.execute("delete from trust.quiet_time where account = $1", account)
            if quiet is not None:
                await connection.execute(
                    "insert into trust.quiet_time values ($1, $2, $3)", account, *quiet
                )
