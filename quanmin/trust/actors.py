"""Who may ask: the actors this node knows. People act as them after signing in, systems by tokens,
which are kept as hashes; a token is shown once, when it is made.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Any, Final, Literal

import asyncpg
import msgspec

from quanmin.base.problems import Conflict, Sentence
from quanmin.trust.scopes import Scopes, parse_scopes

Role = Literal[
    "operator",
    "institution",
    "doctor",
    "nurse",
    "public_health_worker",
    "supervisor",
    "researcher",
    "resident",
    "guardian",
    "system_administrator",
    "security_administrator",
    "audit_administrator",
]
"""What an actor may be; what each may see is said by the rules (`trust/deciding`)."""

COLUMNS: Final = ("code", "role", "name", "sender", "person")
_TOKEN_BYTES = 24
# How exactly it is known when an application was used last: a request is not worth a write each.
_USE_MICROSECONDS: Final = 15 * 60 * 1_000_000
IN_POST: Final = (
    "(not exists (select from trust.post h where h.actor = a.code) or exists ("
    "select from trust.post h where h.actor = a.code and h.since <= {at} and h.until > {at}))"
)
"""Whether an actor `a` who has posts is in one of them at a moment; true of one who has none."""
SESSION_LASTS: Final = "s.ends_at > {at} and s.used_at + s.idle_microseconds > {at}"
"""Whether a session `s` is in time at a moment."""
_SELECT = f"select {', '.join(COLUMNS)} from trust.actor"  # noqa: S608 - all are constants

# One statement for both kinds, so that what is sent does not tell by its time of which it is.
_BEARING = f"""
    select code, role, name, sender, person, null::text as client, null::text as scopes,
        null::bigint as patient, null::bigint as expires, null::bigint as proxy,
        null::bigint as for_person, null::bigint as until, null::text[] as scope,
        null::bigint as unused
    from trust.actor where token_hash = $1 and is_active
    union all
    select a.code, a.role, a.name, a.sender, a.person, t.client, t.scopes, t.patient, t.expires,
        p.proxy, p.for_person, p.until, p.scope,
        case when u.used_at is null or u.used_at < $2 - $3 then u.family end as unused
    from trust.token t
    join trust.actor a on a.code = t.actor and a.is_active
    join trust.client c on c.code = t.client and c.is_active
    left join trust.account k on k.code = a.account
    left join trust.approval u on u.family = t.family
    left join trust.proxy p
        on p.proxy = t.proxy and p.person = a.person and p.since <= $2 and p.until > $2
    where t.hash = $1 and (t.proxy is null or p.proxy is not null) and t.kind = 1 and t.expires > $2
        and k.locked_at is null and k.retired_at is null
        and (t.session is null or exists (
            select from trust.session s where s.id = t.session and {SESSION_LASTS.format(at="$2")}))
"""  # noqa: S608 - all are constants


class Acting(msgspec.Struct, frozen=True):
    """For whom a guardian or proxy acts: the number of the proxy in the register and the person, by
    the number of the identity index; until when (microseconds since 1970), and for what.
    """

    proxy: int
    person: str
    until: int
    scope: frozenset[str]


class Place(msgspec.Struct, frozen=True):
    """What the register says of an actor's institution: its credit code, level, grade, kind and
    division (GB/T 2260); "" for what it does not say.
    """

    institution: str = ""
    level: str = ""
    grade: str = ""
    kind: str = ""
    region: str = ""


class Actor(msgspec.Struct, frozen=True):
    """Someone who asks. `sender` is the code of the institution the actor writes for, "" for a
    resident.

    `person` is the person a resident is, by the number of the identity index. `duties` are what a
    post charges its holder with beyond the role. `client` is the application that asks for the
    actor, "" for none; `scopes` bound what it may do (None: by its rights alone), `patient` is the
    record key of the Patient that it was launched with. `acting` is for whom a guardian acts,
    `place` where the actor acts. `application` is the one of this node on whose pages the actor
    asks, "" for none: the rules of access that it brings hold there alone.
    """

    code: str
    role: Role
    name: str
    sender: str
    person: str | None = None
    duties: frozenset[str] = frozenset()
    client: str = ""
    scopes: Scopes | None = None
    patient: int | None = None
    acting: Acting | None = None
    place: Place = Place()
    application: str = ""


class Bearing(msgspec.Struct, frozen=True):
    """Whom a token speaks for, and until when at most (microseconds since 1970; None: no end)."""

    actor: Actor
    until: int | None = None


class Actors:
    """The actors of one node, in its database."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    async def by_token(self, token: str) -> Actor | None:
        """Who holds this token; None when nobody active does."""
        row = await self._pool.fetchrow(
            f"{_SELECT} where token_hash = $1 and is_active", _hash(token)
        )
        return None if row is None else actor_of(row)

    async def bearing(self, token: str, now: int) -> Bearing | None:
        """For whom this token speaks at a moment: an actor's own, or one that an application has.

        None when it is none, has ended, was revoked, or belongs to somebody who is not active.
        """
        row = await self._pool.fetchrow(_BEARING, _hash(token), now, _USE_MICROSECONDS)
        if row is None:
            return None
        actor = acting_as(actor_of(row), row)
        if row["client"] is None:
            return Bearing(actor)
        if row["unused"] is not None:
            await self._pool.execute(
                "update trust.approval set used_at = $2 where family = $1", row["unused"], now
            )
        actor = msgspec.structs.replace(
            actor,
            client=row["client"],
            scopes=parse_scopes(row["scopes"]),
            patient=row["patient"],
        )
        return Bearing(actor, row["expires"])

    async def by_code(
        self, code: str, *, client: str = "", acting: Acting | None = None
    ) -> Actor | None:
        """The active actor with this code; None too when the client through which they ask is not
        active any more. `acting` is for whom they act; whether they still may, the guard asks.
        """
        row = await self._pool.fetchrow(
            f"{_SELECT} where code = $1 and is_active and ($2 = ''"
            " or exists (select from trust.client where code = $2 and is_active))",
            code,
            client,
        )
        if row is None:
            return None
        actor = actor_of(row)
        if acting is None:
            return actor
        return msgspec.structs.replace(actor, role="guardian", acting=acting)

    async def of_account(self, account: str, at: int | None = None) -> tuple[Actor, ...]:
        """As whom an account may act, the first enrolled first; at a moment (microseconds), those
        without one of whose posts has begun and not ended.
        """
        rows = await self._pool.fetch(
            f"{_SELECT} a where account = $1 and is_active"
            f" and ($2::bigint is null or {IN_POST.format(at='$2')}) order by made, code",
            account,
            at,
        )
        return tuple(map(actor_of, rows))

    async def enrol(self, actor: Actor) -> str:
        """Remember a new actor; the token returned is the only copy. Raises Conflict when the code
        is taken.
        """
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        made = await self._pool.fetchval(
            "insert into trust.actor (code, role, name, sender, person, token_hash)"
            " values ($1, $2, $3, $4, $5, $6) on conflict (code) do nothing returning code",
            actor.code,
            actor.role,
            actor.name,
            actor.sender,
            None if actor.person is None else int(actor.person),
            _hash(token),
        )
        if made is None:
            raise Conflict(
                Sentence(
                    "there is an actor “%(code)s” already: give it a new token instead",
                    code=actor.code,
                )
            )
        return token

    async def renew(self, code: str) -> str | None:
        """A new token for a system; the old one stops working at once. None when there is no such
        actor, or it is a person's: people sign in.
        """
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        done = await self._pool.fetchval(
            "update trust.actor set token_hash = $2, is_active = true"
            " where code = $1 and account is null returning code",
            code,
            _hash(token),
        )
        return None if done is None else token

    async def retire(self, code: str) -> None:
        """The actor's token stops working at once."""
        await self._pool.execute("update trust.actor set is_active = false where code = $1", code)


def _hash(token: str) -> bytes:
    # A token has 192 random bits, so a plain hash cannot be searched; a slow one would cost every
    # request.
    return hashlib.sha256(token.encode()).digest()


def acting_as(actor: Actor, row: Any) -> Actor:
    """The actor as the proxy that a row tells of (proxy, for_person, until, scope); as themselves
    where it tells of none.
    """
    if row["proxy"] is None:
        return actor
    acting = Acting(row["proxy"], str(row["for_person"]), row["until"], frozenset(row["scope"]))
    return msgspec.structs.replace(actor, role="guardian", acting=acting)


def actor_of(row: Any) -> Actor:
    """The actor that a row with COLUMNS tells of."""
    person = row["person"]
    return Actor(
        row["code"],
        row["role"],
        row["name"],
        row["sender"],
        None if person is None else str(person),
    )
