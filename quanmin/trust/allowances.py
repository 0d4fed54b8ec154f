"""What each institution may use of the node: how often it asks, how much it writes, stores and
takes out. Counted over all processes; some have allowances of their own, which are rows.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, tzinfo
from typing import Annotated, Final, Literal, get_args

import asyncpg
import msgspec
from msgspec import Meta

from quanmin.base.problems import Forbidden, Invalid, NotFound, Sentence, TooMany
from quanmin.base.usage import Usage
from quanmin.records.operation import Operation
from quanmin.trust.actors import Actor
from quanmin.trust.desk import Desk

Quota = Literal["requests", "writes", "written_bytes", "stored_bytes", "exported_bytes"]
QUOTAS: Final[tuple[Quota, ...]] = get_args(Quota)

_TOLD_OF_ALL: Final = frozenset({"operator", "system_administrator"})
_SECOND: Final = 1_000_000
_DAY_SECONDS: Final = 86_400
_ALL_TIME: Final = 0
_WORDS: Final[dict[Quota, str]] = {
    "requests": Sentence("requests a second"),
    "writes": Sentence("writes a day"),
    "written_bytes": Sentence("bytes written a day"),
    "stored_bytes": Sentence("bytes stored"),
    "exported_bytes": Sentence("bytes exported a day"),
}


_STORED: Final = """
    with mine as (select sender from records.sender where code = $1)
    select coalesce(sum(octet_length(body)), 0)::bigint from (
        select body from records.record where sender in (select sender from mine)
        union all select body from records.history where sender in (select sender from mine)) v
"""


class QuotaLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What each institution may use, all of its actors together. 0: as much as it likes."""

    requests: Annotated[
        int,
        Meta(description="How many requests in a second an institution may send. 0: any.", ge=0),
    ] = 10_000
    writes: Annotated[
        int,
        Meta(
            description="How many records an institution may write, change or delete in a day. "
            "0: any.",
            ge=0,
        ),
    ] = 20_000_000
    written_bytes: Annotated[
        int,
        Meta(description="How many bytes of records it may write in a day. 0: any.", ge=0),
    ] = 200 << 30
    stored_bytes: Annotated[
        int,
        Meta(
            description="How many bytes of records it may store in all, every version counted as "
            "it was sent. 0: any.",
            ge=0,
        ),
    ] = 0
    exported_bytes: Annotated[
        int,
        Meta(description="How many bytes it may take out by exports in a day. 0: any.", ge=0),
    ] = 500 << 30
    look_seconds: Annotated[
        float,
        Meta(description="After how long an allowance that was changed is heeded.", ge=0),
    ] = 5.0


class Allowance(msgspec.Struct, frozen=True):
    """How much of a quota an institution may use (0: any), has used, and when it begins anew
    (microseconds since 1970; None: never).
    """

    institution: str
    quota: Quota
    most: int
    used: int
    is_own: bool
    until: int | None


class Allowances:
    """The quotas of all institutions, as one process counts them."""

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        usage: Usage,
        limits: QuotaLimits,
        zone: tzinfo = UTC,
        now: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        """A day is one of `zone`; `now` gives microseconds since 1970."""
        self._pool = pool
        self._usage = usage
        self._limits = limits
        self._zone = zone
        self._now = now
        self._own: Mapping[tuple[str, str], int] = {}
        self._read_at = float("-inf")

    async def spend(self, actor: Actor, **amounts: int) -> None:
        """Count what an actor uses of its institution's quotas. Raises TooMany, and counts nothing,
        when one of them is used up.

        Residents have no institution, and the node's own account has no quota.
        """
        if not actor.sender or actor.role == "operator":
            return
        own = await self._own_allowances()
        taken: list[tuple[str, int, int]] = []
        for quota in QUOTAS:
            amount = amounts.get(quota, 0)
            most = own.get((actor.sender, quota), getattr(self._limits, quota))
            if not amount or not most:
                continue
            span, seconds = self._span(quota)
            name = _name(actor.sender, quota)
            if self._usage.take(name, span, amount, most) is None:
                for one in taken:
                    self._usage.give_back(*one)
                raise TooMany(_refusal(quota, most), retry_after_seconds=seconds)
            taken.append((name, span, amount))

    @asynccontextmanager
    async def spending(self, actor: Actor, **amounts: int) -> AsyncIterator[None]:
        """As `spend`, and given back when what it is spent on fails."""
        await self.spend(actor, **amounts)
        try:
            yield
        except BaseException:
            self._give_back(actor, **amounts)
            raise

    def _give_back(self, actor: Actor, **amounts: int) -> None:
        if not actor.sender or actor.role == "operator":
            return
        for quota in QUOTAS:
            if amounts.get(quota):
                span, _ = self._span(quota)
                self._usage.give_back(_name(actor.sender, quota), span, amounts[quota])

    async def of(self, institution: str) -> tuple[Allowance, ...]:
        """How an institution stands."""
        own = await self._own_allowances(is_now=True)
        found = []
        for quota in QUOTAS:
            span, seconds = self._span(quota)
            is_own = (institution, quota) in own
            most = own[institution, quota] if is_own else getattr(self._limits, quota)
            used = self._usage.used(_name(institution, quota), span)
            until = None if span == _ALL_TIME else self._now() + seconds * _SECOND
            found.append(Allowance(institution, quota, most, used, is_own, until))
        return tuple(found)

    async def institutions(self) -> tuple[str, ...]:
        """The institutions for which anybody acts."""
        rows = await self._pool.fetch(
            "select distinct sender from trust.actor where sender <> '' and role <> 'operator'"
            " order by sender"
        )
        return tuple(row["sender"] for row in rows)

    async def allow(self, institution: str, quota: Quota, most: int | None) -> None:
        """Give an institution an allowance of its own; None: that of the settings again."""
        if most is not None and most < 0:
            raise Invalid("an allowance is a number, 0 for as much as they like")
        if most is None:
            await self._pool.execute(
                "delete from trust.allowance where institution = $1 and quota = $2",
                institution,
                quota,
            )
            return
        await self._pool.execute(
            "insert into trust.allowance (institution, quota, most) values ($1, $2, $3)"
            " on conflict (institution, quota) do update set most = excluded.most",
            institution,
            quota,
            most,
        )

    async def count_stored(self, institution: str) -> int:
        """Count anew what an institution has stored, after erasures or where the count was lost;
        gives it. It counts what the versions take in the database, which is less than what came.
        """
        stored = int(await self._pool.fetchval(_STORED, institution))
        self._usage.put(_name(institution, "stored_bytes"), _ALL_TIME, stored)
        return stored

    async def _own_allowances(self, *, is_now: bool = False) -> Mapping[tuple[str, str], int]:
        moment = time.monotonic()
        if is_now or moment - self._read_at >= self._limits.look_seconds:
            rows = await self._pool.fetch("select institution, quota, most from trust.allowance")
            self._own = {(row["institution"], row["quota"]): row["most"] for row in rows}
            self._read_at = moment
        return self._own

    def _span(self, quota: Quota) -> tuple[int, int]:
        """What is counted together now, and in how many seconds the next begins."""
        if quota == "stored_bytes":
            return _ALL_TIME, _DAY_SECONDS
        if quota == "requests":
            return self._now() // _SECOND, 1
        here = datetime.fromtimestamp(self._now() / _SECOND, self._zone)
        passed = here.hour * 3600 + here.minute * 60 + here.second
        return here.toordinal(), max(1, _DAY_SECONDS - passed)


class Spending(Desk):
    """How institutions stand: each is told of itself, those who run the node of all."""

    async def of(self, institution: str | None) -> tuple[Allowance, ...]:
        """The quotas of the asker's institution, or of the one named. Raises Forbidden for another,
        NotFound for who belongs to none, and where nobody has quotas.
        """
        allowances, mine = self._guard.allowances, self._actor.sender
        if institution not in {None, mine}:
            await self._refuse_entrusted()
        if institution not in {None, mine} and self._actor.role not in _TOLD_OF_ALL:
            raise Forbidden("you are told of the quotas of your own institution")
        if allowances is None or not (institution or mine):
            raise NotFound("you belong to no institution, or this node counts nothing")
        return await allowances.of(institution or mine)


def amounts_of(operations: Sequence[Operation]) -> dict[str, int]:
    """What writing these takes of the quotas."""
    size = sum(len(operation.body or b"") for operation in operations)
    return {"writes": len(operations), "written_bytes": size, "stored_bytes": size}


def _name(institution: str, quota: Quota) -> str:
    return Sentence("%(quota)s %(institution)s", quota=quota, institution=institution)


def _refusal(quota: Quota, most: int) -> str:
    how = Sentence(
        "your institution may have %(most)s %(what)s (quota %(quota)s)",
        most=most,
        what=_WORDS[quota],
        quota=quota,
    )
    if quota == "stored_bytes":
        return Sentence("%(how)s: ask the node's operator for more", how=how)
    return Sentence(
        "%(how)s, all its accounts and programs together; $quotas tells how it stands", how=how
    )
