"""Tokens: what an application holds. They are opaque and looked up, so that revoking one acts at
once; the database has their hashes only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import asyncpg
import msgspec

from quanmin.base.database import Connection
from quanmin.base.epoch import Epoch
from quanmin.base.problems import GrantRefused
from quanmin.trust.actors import SESSION_LASTS
from quanmin.trust.scopes import Scopes, parse_scopes
from quanmin.trust.sign_in.assertions import Proven
from quanmin.trust.sign_in.factors import PROVES_TWO
from quanmin.trust.sign_in.oauth_limits import OAuthLimits
from quanmin.trust.sign_in.secrets import digest_of, new_family, new_secret

_ACCESS: Final = 1
_REFRESH: Final = 2
_SECOND: Final = 1_000_000
_REMOVED_MAX: Final = 1000
_REMOVED_EVERY: Final = 500

_PUT: Final = (
    "insert into trust.token (hash, kind, family, client, actor, scopes, patient, patient_id,"
    " encounter_id, session, issued, expires, proxy)"
    " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"
)
# The assertion and the token it is exchanged for, in one commit: neither is there without the
# other, whichever worker is asked. The assertion's row decides between two that ask at once.
_PUT_ONCE: Final = """
    with proven as (
        insert into trust.assertion (client, jti, expires) values ($4, $9, $10)
        on conflict do nothing returning client
    )
    insert into trust.token (hash, kind, family, client, actor, scopes, issued, expires)
    select $1, $2, $3, $4, $5, $6, $7, $8 from proven returning kind
"""


# Whatever nobody can use any more; others may be removing the same.
_FORGET: Final = tuple(
    f"delete from trust.{table} where ({key})"  # noqa: S608 - names that stand here alone
    f" in (select {key} from trust.{table}"
    " where expires < $1 limit $2 for update skip locked)"
    for table, key in (
        ("assertion", "client, jti"),
        ("token", "hash"),
        ("code", "hash"),
        ("launch", "hash"),
    )
)


_RENEWED: Final = f"""
    select t.*, a.is_active and k.locked_at is null and k.retired_at is null
        and (t.session is null or {SESSION_LASTS.format(at="$4")})
        and (t.proxy is null or p.since <= $4 and p.until > $4)
        and (k.code is null or {PROVES_TWO}) as may
    from trust.token t join trust.actor a on a.code = t.actor
    left join trust.account k on k.code = a.account
    left join trust.session s on s.id = t.session
    left join trust.proxy p on p.proxy = t.proxy
    where t.hash = $1 and t.kind = $2 and t.client = $3 for update of t
"""  # noqa: S608 - all are constants
_TOLD: Final = f"""
    select t.* from trust.token t join trust.actor a on a.code = t.actor and a.is_active
    join trust.client c on c.code = t.client and c.is_active
    left join trust.account k on k.code = a.account
    left join trust.session s on s.id = t.session
    left join trust.proxy p on p.proxy = t.proxy
    where k.locked_at is null and k.retired_at is null
        and (t.session is null or {SESSION_LASTS.format(at="$2")})
        and (t.proxy is null or p.since <= $2 and p.until > $2)
        and t.hash = $1 and t.expires > $2 and t.used is null
"""  # noqa: S608 - all are constants


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What an application is given: for whom it asks, how far, and what it was launched with (of
    the Patient the record key, and the ids that it is told). `session` is the sign-in that a grant
    ends with, None for one that goes on; `proxy` the entry of the register by which the actor acts
    for another, with which it ends as well.
    """

    client: str
    actor: str
    scopes: Scopes
    family: int
    patient: int | None = None
    patient_id: str | None = None
    encounter_id: str | None = None
    session: int | None = None
    proxy: int | None = None


class Issued(msgspec.Struct, frozen=True):
    """Tokens, the only copy; `seconds` is how long the access token works."""

    access: str
    seconds: int
    grant: Grant
    refresh: str | None = None


class Told(msgspec.Struct, frozen=True):
    """What introspection tells of a token that works (RFC 7662); moments in seconds."""

    grant: Grant
    is_access: bool
    issued: int
    expires: int


class Tokens:
    """The tokens of one node."""

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        now: Callable[[], int],
        limits: OAuthLimits,
        revoked: Epoch,
    ) -> None:
        """`now` gives microseconds since 1970-01-01T00:00Z."""
        self._pool = pool
        self._now = now
        self._limits = limits
        self._revoked = revoked
        self._given = 0

    async def give_to_system(self, proven: Proven, *, actor: str, scopes: Scopes) -> Issued:
        """An access token for a backend service, for its assertion. Raises GrantRefused when that
        was used before, whichever worker it was shown to.
        """
        access, now = new_secret(), self._now()
        grant = Grant(client=proven.client, actor=actor, scopes=scopes, family=new_family())
        seconds = self._limits.system_seconds_max
        done = await self._pool.fetchval(
            _PUT_ONCE,
            digest_of(access),
            _ACCESS,
            grant.family,
            grant.client,
            grant.actor,
            str(scopes),
            now,
            now + seconds * _SECOND,
            proven.jti,
            proven.until,
        )
        if done is None:
            raise _used_assertion()
        await self._forget_ended(now)
        return Issued(access, seconds, grant)

    async def spend(self, proven: Proven) -> None:
        """Remember an assertion that is used for anything else. Raises GrantRefused as above."""
        done = await self._pool.fetchval(
            "insert into trust.assertion (client, jti, expires) values ($1, $2, $3)"
            " on conflict do nothing returning true",
            proven.client,
            proven.jti,
            proven.until,
        )
        if done is None:
            raise _used_assertion()

    async def give(self, connection: Connection, grant: Grant) -> Issued:
        """Tokens for an application of a person, in the caller's transaction."""
        access, now = new_secret(), self._now()
        seconds = self._limits.access_seconds_max
        await self._put(connection, _ACCESS, access, grant, now + seconds * _SECOND)
        refresh = None
        lifetime = self._refresh_seconds(grant.scopes)
        if lifetime:
            refresh = new_secret()
            await self._put(connection, _REFRESH, refresh, grant, now + lifetime * _SECOND)
        return Issued(access, seconds, grant, refresh)

    async def renew(self, refresh: str, client: str, asked: str | None) -> Issued:
        """New tokens for a refresh token, which works once: shown again, it ends all that came of
        its grant, since then two hold it (RFC 9700 section 4.14.2). `asked` may be less than was
        granted, and binds the access token alone. Raises GrantRefused.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(
                _RENEWED,
                digest_of(refresh),
                _REFRESH,
                client,
                now := self._now(),
            )
            if row is None or row["expires"] <= now or not row["may"]:
                raise _unknown_refresh()
            if row["used"] is None:
                grant = grant_of(row)
                narrowed = _narrowed(grant, asked)
                await connection.execute(
                    "update trust.token set used = $2 where hash = $1", row["hash"], now
                )
                return await self._give_anew(connection, grant, narrowed)
            await connection.execute("delete from trust.token where family = $1", row["family"])
        # Beyond the transaction, which has to stand although the request is refused.
        self._revoked.advance()
        raise _unknown_refresh()

    async def _give_anew(self, connection: Connection, grant: Grant, narrowed: Grant) -> Issued:
        issued = await self.give(connection, narrowed)
        if issued.refresh is not None and narrowed is not grant:
            await connection.execute(
                "update trust.token set scopes = $2 where hash = $1",
                digest_of(issued.refresh),
                str(grant.scopes),
            )
        return issued

    async def revoke(self, token: str, client: str) -> None:
        """End a token of this client: an access token alone, with a refresh token all that came of
        its grant (RFC 7009). It works nowhere any more when this returns; one of others, or none,
        is left as it is.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(
                "select kind, family from trust.token where hash = $1 and client = $2",
                digest_of(token),
                client,
            )
            if row is None:
                return
            if row["kind"] == _REFRESH:
                await connection.execute("delete from trust.token where family = $1", row["family"])
            else:
                await connection.execute(
                    "delete from trust.token where hash = $1", digest_of(token)
                )
        self._revoked.advance()

    async def end_family(self, connection: Connection, family: int) -> None:
        """End all that came of a grant, in the caller's transaction; `announce` comes after it."""
        await connection.execute("delete from trust.token where family = $1", family)

    def announce(self) -> None:
        """Let every worker look again at what it believes."""
        self._revoked.advance()

    async def tell(self, token: str) -> Told | None:
        """What a token that works is (RFC 7662); None for any other."""
        row = await self._pool.fetchrow(
            _TOLD,
            digest_of(token),
            self._now(),
        )
        if row is None:
            return None
        return Told(
            grant_of(row),
            row["kind"] == _ACCESS,
            row["issued"] // _SECOND,
            row["expires"] // _SECOND,
        )

    async def _put(
        self, connection: Connection, kind: int, secret: str, grant: Grant, expires: int
    ) -> None:
        await connection.execute(
            _PUT,
            digest_of(secret),
            kind,
            grant.family,
            grant.client,
            grant.actor,
            str(grant.scopes),
            grant.patient,
            grant.patient_id,
            grant.encounter_id,
            grant.session,
            self._now(),
            expires,
            grant.proxy,
        )

    def _refresh_seconds(self, scopes: Scopes) -> int:
        if "offline_access" in scopes.plain:
            return self._limits.refresh_days_max * 86_400
        if "online_access" in scopes.plain:
            return self._limits.online_hours_max * 3600
        return 0

    async def _forget_ended(self, now: int) -> None:
        """Remove what has ended, now and then."""
        self._given += 1
        if self._given % _REMOVED_EVERY:
            return
        for statement in _FORGET:
            await self._pool.execute(statement, now, _REMOVED_MAX)


def grant_of(row: asyncpg.Record) -> Grant:
    """The grant that a row of a token or a code holds."""
    return Grant(
        client=row["client"],
        actor=row["actor"],
        scopes=parse_scopes(row["scopes"]),
        family=row["family"],
        patient=row["patient"],
        patient_id=row["patient_id"],
        encounter_id=row["encounter_id"],
        session=row["session"],
        proxy=row["proxy"],
    )


def _narrowed(grant: Grant, asked: str | None) -> Grant:
    if asked is None:
        return grant
    wanted = parse_scopes(asked)
    if not grant.scopes.cover(wanted):
        raise GrantRefused(
            "invalid_scope", "a renewal may ask for what was granted, or less (RFC 6749 section 6)"
        )
    kept = wanted.plain | (grant.scopes.plain & {"offline_access", "online_access"})
    return msgspec.structs.replace(grant, scopes=Scopes(wanted.reaches, kept))


def _used_assertion() -> GrantRefused:
    return GrantRefused(
        "invalid_client", "this assertion was used before: make a new one, with a jti of its own"
    )


def _unknown_refresh() -> GrantRefused:
    return GrantRefused(
        "invalid_grant", "this refresh token is not valid (any more): ask the person again"
    )
