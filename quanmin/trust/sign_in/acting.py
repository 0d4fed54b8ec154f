"""For whom a resident acts: themselves, or somebody whose guardian or proxy they are. It is looked
up anew for every request, so what has ended ends then.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from datetime import UTC
from functools import cache
from importlib.resources import files
from typing import Final
from zoneinfo import ZoneInfo

import asyncpg
import msgspec

from quanmin.base.database import Connection, Database
from quanmin.base.problems import Forbidden, NotFound
from quanmin.trust.actors import Acting, Actor
from quanmin.trust.notices import Notices
from quanmin.trust.registers.definitions import Word
from quanmin.trust.registers.proxies import Proxies, Proxy

_UTC: Final = ZoneInfo(str(UTC))
_TOLD_MAX: Final = 500
# A resident without an account is one of the node's own, made on its machine.
_SURE: Final = 9
_KNOWN: Final = """
    select coalesce(k.real_name_level, $2) as level, a.person, p.for_person, p.scope
    from trust.actor a
    left join trust.account k on k.code = a.account
    left join trust.proxy p
        on p.proxy = $3 and p.person = a.person and p.since <= $4 and p.until > $4
    where a.code = $1 and a.is_active
"""
_ENDED: Final = """
    update trust.proxy set told_at = $1
    where proxy in (
        select proxy from trust.proxy where told_at is null and until <= $1
        order by proxy limit $2 for update skip locked)
    returning person, for_person
"""
_OF_PERSON: Final = """
    select distinct account from trust.actor
    where person = $1 and account is not null and is_active
"""


class RealNameLevel(msgspec.Struct, frozen=True):
    """How surely somebody is known."""

    level: int
    zh: str
    en: str


class Evidence(Word, frozen=True):
    """A document that is shown at a counter; `system` is that of its number in a Patient."""

    system: str


class Counter(msgspec.Struct, frozen=True):
    """Who enrols residents, to which level, on what evidence."""

    duty: str
    roles: frozenset[str]
    level: int
    evidence: tuple[Evidence, ...]


class RealName(msgspec.Struct, frozen=True):
    """The definition file: the levels, the least for each thing, and what is done at a counter."""

    level: tuple[RealNameLevel, ...]
    needed: dict[str, int]
    counter: Counter


@cache
def real_name() -> RealName:
    """The levels in force."""
    text = files("quanmin.definitions").joinpath("real_name.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(text), RealName)


async def person_asked_for(database: Database, actor: Actor, now: int, what: str) -> int | None:
    """The person as whom a resident asks for one of the things of `real_name.toml`; None for one
    who is nobody of the identity index, or is not known surely enough. Raises Forbidden for one who
    acts for another, when that has ended.
    """
    if actor.role not in {"resident", "guardian"} or actor.person is None:
        return None
    proxy = None if actor.acting is None else actor.acting.proxy
    row = await database.fetchrow(_KNOWN, actor.code, _SURE, proxy, now)
    if row is None:
        return int(actor.person) if actor.role == "resident" else None
    needed = real_name().needed
    is_sure = row["level"] >= needed[what]
    if actor.role == "resident":
        return int(actor.person) if is_sure else None
    if row["for_person"] is None:
        raise Forbidden("you do not act for this person any more: choose for whom you act")
    is_sure = is_sure and row["level"] >= needed["acting"]
    return row["for_person"] if is_sure and _SCOPE_OF[what] in row["scope"] else None


_SCOPE_OF: Final = {"own_record": "read", "consent": "consent"}


class ActingFor:
    """Who acts for whom, as pages ask and change it."""

    def __init__(
        self, pool: asyncpg.Pool[asyncpg.Record], notices: Notices, now: Callable[[], int]
    ) -> None:
        """`now` gives microseconds since 1970-01-01T00:00Z."""
        self._pool = pool
        self._notices = notices
        self._now = now
        self._proxies = Proxies(pool, _UTC)

    async def wards(self, actor: Actor) -> Sequence[tuple[Actor, Proxy]]:
        """The resident as whom they may act besides themselves, now."""
        own = oneself(actor)
        if own.person is None or own.role != "resident":
            return []
        found = await self._proxies.acting(int(own.person), self._now())
        return [(as_proxy(own, proxy), proxy) for proxy in found]

    async def find(self, actor: Actor, number: int) -> Actor:
        """The resident as the proxy of this number. Raises Forbidden for one that is not theirs or
        has ended.
        """
        for one, proxy in await self.wards(actor):
            if proxy.proxy == number:
                return one
        raise Forbidden("you do not act for this person, or not any more")

    async def about(self, actor: Actor) -> Sequence[tuple[Proxy, str]]:
        """Who acts for the resident now, with the name of their account; "" without one."""
        own = oneself(actor)
        if own.person is None:
            return []
        now = self._now()
        found = [one for one in await self._proxies.about(int(own.person)) if one.until > now]
        names = {
            row["person"]: row["name"]
            for row in await self._pool.fetch(
                "select a.person, min(k.name) as name from trust.actor a"
                " join trust.account k on k.code = a.account"
                " where a.person = any($1::bigint[]) and a.is_active group by a.person",
                [one.person for one in found],
            )
        }
        return [(one, names.get(one.person, "")) for one in found]

    async def end(self, actor: Actor, number: int) -> None:
        """End a proxy of the resident, or one that acts for them; both are told. Raises NotFound
        for any other.
        """
        own = oneself(actor)
        mine = None if own.person is None else int(own.person)
        found = await self._pool.fetchval(
            "select proxy from trust.proxy where proxy = $1 and $2 in (person, for_person)",
            number,
            mine,
        )
        if found is None:
            raise NotFound("there is no such proxy, or it has ended")
        await self._proxies.end(number, at=self._now())
        await self.tell_ended()

    async def tell_ended(self) -> int:
        """Leave a notice with both persons of every proxy that has ended since; gives how many."""
        async with self._pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(_ENDED, self._now(), _TOLD_MAX)
            for row in rows:
                for person, kind in (
                    (row["person"], "acting-ended"),
                    (row["for_person"], "proxy-ended"),
                ):
                    for account in await accounts_of(connection, person):
                        await self._notices.leave(account, kind, database=connection)
        return len(rows)


async def accounts_of(connection: Connection, person: int) -> Sequence[str]:
    """The accounts with which a person may sign in."""
    return [row["account"] for row in await connection.fetch(_OF_PERSON, person)]


def oneself(actor: Actor) -> Actor:
    """A resident as themselves, for whomever they act now."""
    if actor.role != "guardian":
        return actor
    return msgspec.structs.replace(actor, role="resident", acting=None)


def as_proxy(actor: Actor, proxy: Proxy) -> Actor:
    """A resident as the proxy that they are."""
    acting = Acting(proxy.proxy, str(proxy.for_person), proxy.until, frozenset(proxy.scope))
    return msgspec.structs.replace(actor, role="guardian", acting=acting)
