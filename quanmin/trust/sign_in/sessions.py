"""Who is signed in, in the database: so every worker knows a session at once, and none knows it any
more the moment it is ended.

The cookie holds a random id, the database its hash. A session goes through stages: it begins with
what was proved first, and becomes whole when all is proved. It gets a new id at every stage, so
that an id that somebody planted in a browser before is worth nothing after (session fixation).
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from typing import Any, Final, Literal

import asyncpg
import msgspec

from quanmin.base.database import Database
from quanmin.base.epoch import Epoch
from quanmin.trust.actors import COLUMNS, IN_POST, SESSION_LASTS, Actor, acting_as, actor_of
from quanmin.trust.notices.reading import HOLDS, UNREAD_MAX
from quanmin.trust.sign_in.limits import SignInLimits

Stage = Literal["proving", "enrolling", "whole"]

_ID_BYTES: Final = 32
_COOKIE_LENGTH_MAX: Final = 128
_BROWSER_LENGTH_MAX: Final = 200
_SECOND: Final = 1_000_000
# How exactly the database knows when a session was used last: a page is not worth a write each.
_USE_SECONDS: Final = 15
_ADMINISTRATORS: Final = "_administrator"
# No page waits until a disk has it: what a crash takes of it is less than a second of an idle time
# of minutes. The setting is the transaction's, and so this statement's alone.
_USED: Final = """
    update trust.session set used_at = greatest(used_at, $2)
    where id = $1 and set_config('synchronous_commit', 'off', true) = 'off'
"""


class Session(msgspec.Struct, frozen=True):
    """A browser in which an account has signed in, and acts as `actor`.

    `methods` are those of RFC 8176: `pwd`, `otp`, `hwk` (a passkey), `user` (it knew who touched
    it), `mfa`; and, which the RFC does not know, `rcv` for a recovery code, `ext` for another
    issuer. Moments are microseconds since 1970-01-01T00:00Z; `authenticated_at` is when the account
    last proved itself, and moves on when it proves itself again.
    """

    id: int
    account: str
    actor: Actor
    authenticated_at: int
    methods: tuple[str, ...]


class Begun(msgspec.Struct, frozen=True):
    """A session in whatever stage. `actor` is None before it is whole; who acted for another when
    that ended is themselves again. `is_divided` says that the node has tenants; `unread` counts
    notices.
    """

    id: int
    stage: Stage
    account: str
    actor: Actor | None
    authenticated_at: int
    methods: tuple[str, ...]
    has_acting_ended: bool = False
    is_divided: bool = False
    unread: int = 0

    @property
    def whole(self) -> Session | None:
        """The session, when all that must be proved is."""
        if self.stage != "whole" or self.actor is None:
            return None
        return Session(self.id, self.account, self.actor, self.authenticated_at, self.methods)


class Listed(msgspec.Struct, frozen=True):
    """A session as its account sees it in a list."""

    id: int
    browser: str
    began_at: int
    used_at: int


class Sessions:
    """The sessions of one node."""

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        limits: SignInLimits,
        now: Callable[[], int],
        revoked: Epoch | None = None,
    ) -> None:
        """`now` gives microseconds since 1970-01-01T00:00Z; `revoked` is what all processes believe
        of tokens up to: with a session end those that last as long as it.
        """
        self._pool = pool
        self._limits = limits
        self._now = now
        self._revoked = revoked or Epoch()

    async def of(self, cookie: str) -> Session | None:
        """The session whose cookie this is; None unless it is whole, in time, not ended, and its
        account and actor still may act.
        """
        begun = await self.begun(cookie)
        return begun.whole if begun else None

    async def begun(self, cookie: str) -> Begun | None:
        """The session of this cookie in whatever stage it is; it counts as used now."""
        if not cookie or len(cookie) > _COOKIE_LENGTH_MAX:
            return None
        now = self._now()
        row = await self._pool.fetchrow(_FIND, _hash(cookie), now)
        if row is None or (row["stage"] == "whole" and row["code"] is None):
            return None
        if now - row["used_at"] > _USE_SECONDS * _SECOND:
            await self._pool.execute(_USED, row["id"], now)
        return _begun(row)

    async def begin(
        self,
        account: str,
        stage: Stage,
        methods: tuple[str, ...],
        *,
        actor: Actor | None = None,
        browser: str = "",
        external: bytes | None = None,
        authenticated: int | None = None,
        database: Database | None = None,
    ) -> str:
        """A new session; the cookie returned is the only copy of its id. `browser` is what it says
        of itself, `external` a hash of the session at another issuer that it came of, and
        `authenticated` when the account proved itself there (None: now). A session that is not
        whole lives for minutes only.
        """
        idle, whole_life = self._life(stage, actor)
        now = self._now()
        cookie = secrets.token_urlsafe(_ID_BYTES)
        await (database or self._pool).execute(
            "insert into trust.session (hash, account, actor, stage, methods, browser, began_at,"
            " authenticated_at, used_at, idle_microseconds, ends_at, external)"
            " values ($1, $2, $3, $4, $5, $6, $7, $11, $7, $8, $9, $10)",
            _hash(cookie),
            account,
            None if actor is None else actor.code,
            stage,
            list(methods),
            browser[:_BROWSER_LENGTH_MAX],
            now,
            idle,
            now + whole_life,
            external,
            now if authenticated is None else authenticated,
        )
        return cookie

    async def replace(
        self,
        cookie: str,
        account: str,
        stage: Stage,
        methods: tuple[str, ...],
        *,
        actor: Actor | None = None,
        browser: str = "",
    ) -> str | None:
        """A new session in place of this one, whose cookie stops working at once. None when there
        is no such session of this account (any more): of two who try it at once one succeeds.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            ended = await connection.fetchrow(
                "delete from trust.session where hash = $1 and account = $2 returning external",
                _hash(cookie),
                account,
            )
            if ended is None:
                return None
            return await self.begin(
                account,
                stage,
                methods,
                actor=actor,
                browser=browser,
                external=ended["external"],
                database=connection,
            )

    async def act_as(self, cookie: str, actor: Actor) -> str | None:
        """The session under a new id, acting as another actor of its account; the moment of its
        proof does not move, and its end comes sooner where that actor's sessions are shorter. None
        when it is not whole, has ended by that, or that is no actor of its account.
        """
        idle, life = self._life("whole", actor)
        fresh = secrets.token_urlsafe(_ID_BYTES)
        changed = await self._pool.fetchval(
            "update trust.session s set hash = $2, actor = $3, idle_microseconds = $4,"
            " proxy = null, ends_at = least(s.ends_at, s.began_at + $5)"
            " from trust.actor a where s.hash = $1 and s.stage = 'whole' and a.code = $3"
            " and a.account = s.account and a.is_active and s.began_at + $5 > $6 returning s.id",
            _hash(cookie),
            _hash(fresh),
            actor.code,
            idle,
            life,
            self._now(),
        )
        return None if changed is None else fresh

    async def act_for(self, cookie: str, proxy: int | None) -> str | None:
        """The session under a new id, acting for whom a proxy names, or (None) for oneself. None
        when it is not whole.
        """
        fresh = secrets.token_urlsafe(_ID_BYTES)
        changed = await self._pool.fetchval(
            "update trust.session set hash = $2, proxy = $3"
            " where hash = $1 and stage = 'whole' returning id",
            _hash(cookie),
            _hash(fresh),
            proxy,
        )
        return None if changed is None else fresh

    async def prove_again(self, cookie: str) -> str | None:
        """The session under a new id, proved at this moment; None when it is not there."""
        fresh = secrets.token_urlsafe(_ID_BYTES)
        changed = await self._pool.fetchval(
            "update trust.session set hash = $2, authenticated_at = $3"
            " where hash = $1 and stage = 'whole' returning id",
            _hash(cookie),
            _hash(fresh),
            self._now(),
        )
        return None if changed is None else fresh

    async def end(self, cookie: str) -> None:
        """Sign out here."""
        await self._pool.execute("delete from trust.session where hash = $1", _hash(cookie))
        self.announce()

    async def end_one(self, account: str, id_: int) -> None:
        """Sign an account out of one of its browsers."""
        await self._pool.execute(
            "delete from trust.session where account = $1 and id = $2", account, id_
        )
        self.announce()

    async def end_all(self, account: str, *, keep: int | None = None) -> None:
        """Sign an account out everywhere, or everywhere but in the session `keep`."""
        await self._pool.execute(
            "delete from trust.session where account = $1 and id is distinct from $2",
            account,
            keep,
        )
        self.announce()

    def announce(self) -> None:
        """Sessions have ended: let every process look again at the tokens that it believes."""
        self._revoked.advance()

    async def listed(self, account: str) -> tuple[Listed, ...]:
        """Where an account is signed in, the latest used first."""
        rows = await self._pool.fetch(
            "select id, browser, began_at, used_at from trust.session where account = $1"
            " and stage = 'whole' and ends_at > $2 and used_at + idle_microseconds > $2"
            " order by used_at desc, id desc",
            account,
            self._now(),
        )
        return tuple(Listed(*row) for row in rows)

    async def sweep(self) -> None:
        """Remove what has ended by itself."""
        await self._pool.execute(
            "delete from trust.session where ends_at <= $1 or used_at + idle_microseconds <= $1",
            self._now(),
        )

    def _life(self, stage: Stage, actor: Actor | None) -> tuple[int, int]:
        """How long a session may lie idle and how long it lives, in microseconds."""
        limits = self._limits
        if stage != "whole" or actor is None:
            seconds = limits.stage_minutes_max * 60
            return seconds * _SECOND, seconds * _SECOND
        if actor.role.endswith(_ADMINISTRATORS):
            idle_minutes = limits.administrator_idle_minutes_max
            hours = limits.administrator_session_hours_max
        else:
            idle_minutes, hours = limits.idle_minutes_max, limits.session_hours_max
        return idle_minutes * 60 * _SECOND, hours * 3600 * _SECOND


def cookie_name(*, is_secure: bool) -> str:
    """The name of the cookie that holds a session.

    Over TLS browsers are held to `__Host-`: no other host and no unencrypted page can set it. They
    keep no such cookie without TLS, which a node is only reached without on its own machine.
    """
    return "__Host-quanmin_session" if is_secure else "quanmin_session"


def _hash(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode()).digest()


_ACTOR_COLUMNS: Final = ", ".join(f"a.{column}" for column in COLUMNS)
_FROM: Final = (
    " from trust.session s join trust.account c on c.code = s.account"
    " left join trust.actor a on a.code = s.actor and a.account = s.account and a.is_active"
    f" and {IN_POST.format(at='$2')}"
    " left join trust.proxy p on p.proxy = s.proxy and p.person = a.person"
    " and p.since <= $2 and p.until > $2"
    f" where s.hash = $1 and {SESSION_LASTS.format(at='$2')}"
    " and c.locked_at is null and c.retired_at is null"
)
_DIVIDED: Final = "(select is_up from trust.wall) as is_divided"
_UNREAD: Final = f"""(
    select count(*) from (
        select from trust.notice
        where account = s.account and seen_at is null and {HOLDS} limit {UNREAD_MAX + 1}) u
    ) as unread"""  # noqa: S608 - constants of this program
_FIND: Final = (
    f"select s.id, s.stage, s.account, s.authenticated_at, s.methods, s.used_at, {_DIVIDED},"
    f" {_UNREAD}, {_ACTOR_COLUMNS}, s.proxy as chosen, p.proxy, p.for_person, p.until, p.scope"
    f" {_FROM}"
)


def _begun(row: Any) -> Begun:
    return Begun(
        row["id"],
        row["stage"],
        row["account"],
        None if row["code"] is None else acting_as(actor_of(row), row),
        row["authenticated_at"],
        tuple(row["methods"]),
        row["chosen"] is not None and row["proxy"] is None,
        bool(row["is_divided"]),
        row["unread"],
    )
