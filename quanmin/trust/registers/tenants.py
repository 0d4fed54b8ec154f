"""Tenants: agencies (a county in a city's node) whose institutions' records are apart from those of
others; their applications, and what they have agreed to show each other.

An institution is of the tenant that was decided for its sender, else of the one with the longest
division that it stands in by the register (`trust.tenancies`). What is changed here holds with the
next statement of every process.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Final

import asyncpg
import msgspec

from quanmin.base.database import Connection, Database
from quanmin.base.problems import Conflict, Invalid, NotFound, Sentence
from quanmin.trust.registers.entry import OPEN_END
from quanmin.trust.registers.tenant_rule import tenant_rule

_CODE: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_DIVISION: Final = re.compile(r"(?:[0-9]{2}){1,3}|[0-9]{9}|[0-9]{12}")
_YEAR: Final = 366 * 86_400_000_000

_COLUMNS: Final = (
    "t.code, t.name_zh, t.name_en, t.division, p.code as parent, t.since, t.until, t.decided_by"
)
_FROM: Final = "from trust.tenant t left join trust.tenant p on p.tenant = t.parent"
_ALL: Final = f"""
    select {_COLUMNS} {_FROM}
    where $1::text is null or t.code > $1 order by t.code limit $2
"""
_ONE: Final = f"select {_COLUMNS} {_FROM} where t.code = $1"
_LIKE: Final = """
    select code from trust.tenant where division = $1 and since < $3 and until > $2 limit 1
"""
_DECLARE: Final = """
    insert into trust.tenant
        (code, name_zh, name_en, division, parent, since, until, decided_at, decided_by)
    values ($1, $2, $3, $4, (select tenant from trust.tenant where code = $5), $6, $7, $8, $9)
    on conflict (code) do nothing returning code
"""
_END: Final = """
    update trust.{table} set until = greatest($2, since + 1)
    where {key} = $1 and until > $2 returning true
"""
_ASSIGN: Final = """
    insert into trust.tenant_member (sender, tenant, since, until, decided_at, decided_by)
    values ($1, (select tenant from trust.tenant where code = $2), $3, $4, $5, $6)
"""
_MEMBERS: Final = """
    select s.code, coalesce(i.name, '') as name, coalesce(i.region, '') as region,
        exists (select from trust.tenant_member m
            where m.sender = s.code and m.since <= $2 and m.until > $2) as is_decided
    from (select array(select code from records.sender
        union select sender from trust.institution_entry
        union select sender from trust.tenant_member) as codes) a
    cross join trust.tenancies(a.codes, $2) s
    join trust.tenant t on t.tenant = s.tenant and t.code = $1
    left join trust.institution i on i.sender = s.code and i.since <= $2 and i.until > $2
    where $3::text is null or s.code > $3
    order by s.code limit $4
"""
_SWITCH: Final = """
    insert into trust.tenant_application
        (tenant, application, since, is_on, decided_at, decided_by)
    select tenant, $2, $3, $4, $5, $6 from trust.tenant where code = $1
    on conflict (tenant, application, since) do update
        set is_on = excluded.is_on, decided_at = excluded.decided_at,
            decided_by = excluded.decided_by
    returning true
"""
_SWITCHES: Final = """
    select distinct on (a.application) a.application, a.is_on, a.since, a.decided_by
    from trust.tenant_application a join trust.tenant t using (tenant)
    where t.code = $1 and a.since <= $2
    order by a.application, a.since desc
"""
_AGREE: Final = """
    insert into trust.tenant_agreement
        (giver, taker, purposes, basis, since, until, decided_at, decided_by)
    values ((select tenant from trust.tenant where code = $1),
        (select tenant from trust.tenant where code = $2), $3, $4, $5, $6, $7, $8)
    returning agreement
"""
_AGREEMENTS: Final = """
    select a.agreement, g.code as giver, t.code as taker, a.purposes, a.basis, a.since, a.until,
        a.decided_by
    from trust.tenant_agreement a
    left join trust.tenant g on g.tenant = a.giver
    left join trust.tenant t on t.tenant = a.taker
    where $1::text is null or g.code = $1 or t.code = $1 or a.giver is null or a.taker is null
    order by a.agreement
"""
_ENTRUST: Final = """
    insert into trust.party_tenant (party, tenant)
    select $1, tenant from trust.tenant where code = any($2::text[]) on conflict do nothing
"""


@cache
def _purposes() -> frozenset[str]:
    text = files("quanmin.definitions").joinpath("purposes_of_use.toml").read_text("utf-8")
    return frozenset(tomllib.loads(text)["codes"])


class Tenant(msgspec.Struct, frozen=True):
    """An agency, from `since` until before `until` (microseconds). `division` is what the codes of
    its division begin with, `parent` the code of the tenant above it.
    """

    code: str
    name_zh: str
    name_en: str
    division: str
    parent: str | None
    since: int
    until: int = OPEN_END
    decided_by: str = ""

    def state(self, moment: int) -> str:
        """Whether it is `to-come`, `in-force` or `ended` at a moment."""
        if self.since > moment:
            return "to-come"
        return "in-force" if self.until > moment else "ended"


class Member(msgspec.Struct, frozen=True):
    """A sender that is of a tenant: by a decision of its own, or by its division."""

    sender: str
    name: str
    region: str
    is_decided: bool


class Switched(msgspec.Struct, frozen=True):
    """An application that was switched on or off for a tenant."""

    application: str
    is_on: bool
    since: int
    decided_by: str


class Agreement(msgspec.Struct, frozen=True):
    """What one tenant (None: every one) shows to another for some purposes of use."""

    agreement: int
    giver: str | None
    taker: str | None
    purposes: list[str]
    basis: str
    since: int
    until: int
    decided_by: str


class TenantRegister:
    """What there is of tenants, and the applications that are switched on for them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self, *, after: str | None = None, count: int) -> Sequence[Tenant]:
        """Tenants of any time, by code."""
        return [Tenant(*row) for row in await self._database.fetch(_ALL, after, count)]

    async def one(self, code: str) -> Tenant:
        """One tenant. Raises NotFound."""
        return await _known(self._database, code)

    async def members(
        self, code: str, moment: int, *, after: str | None = None, count: int
    ) -> Sequence[Member]:
        """The senders that are of a tenant at a moment, by code."""
        rows = await self._database.fetch(_MEMBERS, code, moment, after, count)
        return [Member(*row) for row in rows]

    async def switch(
        self, code: str, application: str, *, is_on: bool, since: int, at: int, by: str
    ) -> None:
        """Switch an application on or off for a tenant from a moment on. Raises NotFound, Invalid
        for one that is never switched off.
        """
        if not application:
            raise Invalid("name the application")
        if not is_on and application in tenant_rule().applications.always_on:
            raise Invalid("this application keeps the node itself and is never switched off")
        if not await self._database.fetchval(_SWITCH, code, application, since, is_on, at, by):
            raise _unknown()

    async def switched(self, code: str, moment: int) -> Sequence[Switched]:
        """What was decided of applications and holds at a moment."""
        return [Switched(*row) for row in await self._database.fetch(_SWITCHES, code, moment)]

    async def agreements(self, code: str | None = None) -> Sequence[Agreement]:
        """All agreements, or those that concern a tenant, the first made first."""
        return [Agreement(*row) for row in await self._database.fetch(_AGREEMENTS, code)]


class Tenants(TenantRegister):
    """The same as the owner of the tables changes it: nobody else can."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        super().__init__(pool)
        self._pool = pool

    async def declare(self, tenant: Tenant, *, at: int) -> Tenant:
        """A new tenant. Raises Invalid for what is none, Conflict for a code or a division that
        another has at that time, NotFound for an unknown parent.
        """
        division = _beginning(tenant.division)
        if _CODE.fullmatch(tenant.code) is None:
            raise Invalid("a tenant's code is of small letters, digits, dots and dashes")
        if not (tenant.name_zh and tenant.name_en):
            raise Invalid("a tenant has a Chinese and an English name")
        if tenant.since >= tenant.until:
            raise Invalid("a tenant ends after it begins: give a later end, or none")
        async with self._pool.acquire() as connection, connection.transaction():
            await alone(connection)
            if tenant.parent is not None:
                await _known(connection, tenant.parent)
            like = await connection.fetchval(_LIKE, division, tenant.since, tenant.until)
            if like is not None:
                raise Conflict(
                    Sentence(
                        "tenant %(like)s has this division at that time: end it first", like=like
                    )
                )
            made = await connection.fetchval(
                _DECLARE,
                *(tenant.code, tenant.name_zh, tenant.name_en, division, tenant.parent),
                *(tenant.since, tenant.until, at, tenant.decided_by),
            )
            if made is None:
                raise Conflict("a tenant has this code: choose another, or end that one")
            return await _known(connection, tenant.code)

    async def end(self, code: str, *, at: int) -> Tenant:
        """The tenant ends: its institutions are of the tenant around it, or of none. Raises
        NotFound, Conflict for one that has ended.
        """
        done = await self._pool.fetchval(_END.format(table="tenant", key="code"), code, at)
        found = await _known(self._pool, code)
        if done is None:
            raise Conflict("the tenant has ended before")
        return found

    async def assign(
        self, sender: str, tenant: str | None, *, since: int, until: int, at: int, by: str
    ) -> None:
        """Decide of which tenant a sender is (None: of none), whatever its division says. Raises
        NotFound, Invalid, Conflict when something was decided for that time.
        """
        if since >= until or not sender:
            raise Invalid("name a sender, and a time that ends after it begins")
        async with self._pool.acquire() as connection, connection.transaction():
            await alone(connection)
            if tenant is not None:
                await _known(connection, tenant)
            taken = await connection.fetchval(
                "select true from trust.tenant_member"
                " where sender = $1 and since < $3 and until > $2 limit 1",
                sender,
                since,
                until,
            )
            if taken:
                raise Conflict("a tenant was decided for this sender at that time: end that first")
            await connection.execute(_ASSIGN, sender, tenant, since, until, at, by)

    async def release(self, sender: str, *, at: int) -> None:
        """From now on the division says again of which tenant a sender is. Raises NotFound."""
        table = _END.format(table="tenant_member", key="since <= $2 and sender")
        if await self._pool.fetchval(table, sender, at) is None:
            raise NotFound("nothing was decided for this sender")

    async def agree(
        self,
        giver: str | None,
        taker: str | None,
        *,
        purposes: Sequence[str],
        basis: str,
        since: int,
        until: int,
        at: int,
        by: str,
    ) -> int:
        """Let a tenant see what another has (None: any), for purposes of use, as far as the rules
        permit; gives the number. Raises Invalid, NotFound.
        """
        unknown = sorted(set(purposes) - _purposes())
        years = tenant_rule().agreements.years_max
        if unknown or not purposes:
            raise Invalid(
                Sentence("purposes of use are: %(known)s", known=", ".join(sorted(_purposes())))
            )
        if not basis:
            raise Invalid("name the document that the agreement stands on")
        if giver == taker and giver is not None:
            raise Invalid("a tenant sees its own records without an agreement")
        if not since < until <= since + years * _YEAR:
            raise Invalid(
                Sentence(
                    "an agreement ends after it begins and within %(years)s years", years=years
                )
            )
        async with self._pool.acquire() as connection, connection.transaction():
            for code in (giver, taker):
                if code is not None:
                    await _known(connection, code)
            number: int = await connection.fetchval(
                _AGREE, giver, taker, sorted(set(purposes)), basis, since, until, at, by
            )
            return number

    async def end_agreement(self, agreement: int, *, at: int) -> None:
        """End an agreement. Raises NotFound for one that is not there or has ended."""
        table = _END.format(table="tenant_agreement", key="agreement")
        if await self._pool.fetchval(table, agreement, at) is None:
            raise NotFound("there is no such agreement, or it has ended")

    async def entrust(self, party: str, tenants: Sequence[str]) -> None:
        """Let an entrusted operator of the register of admission act within these tenants, and in
        no others. Raises NotFound.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            kind = await connection.fetchval("select kind from trust.party where party = $1", party)
            if kind is None:
                raise NotFound("there is no such party: `quanmin admission apply` enters one")
            if kind != "operator":
                raise Invalid("only a party of the kind operator runs tenants")
            for code in tenants:
                await _known(connection, code)
            await connection.execute("delete from trust.party_tenant where party = $1", party)
            await connection.execute(_ENTRUST, party, list(tenants))


def _beginning(division: str) -> str:
    """What the codes of a division and of all below it begin with: each pair of digits but 00 is a
    level (GB/T 2260), three digits each below the county (GB/T 10114).
    """
    if _DIVISION.fullmatch(division) is None:
        raise Invalid("a division is a code of GB/T 2260: 2, 4, 6, 9 or 12 digits")
    while len(division) > len("330106") and division.endswith("000"):
        division = division.removesuffix("000")
    while len(division) <= len("330106") and division.endswith("00"):
        division = division.removesuffix("00")
    if not division:
        raise Invalid("a division is a code of GB/T 2260, and 00 is none")
    return division


async def alone(connection: Connection) -> None:
    """Whoever else changes the register waits."""
    await connection.execute("select pg_advisory_xact_lock(hashtextextended('tenants', 0))")


async def _known(database: Database, code: str) -> Tenant:
    row = await database.fetchrow(_ONE, code)
    if row is None:
        raise _unknown()
    return Tenant(*row)


def _unknown() -> NotFound:
    return NotFound("there is no such tenant: `quanmin tenants list` names them")
