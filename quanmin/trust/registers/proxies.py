"""Guardians and proxies: who acts for another person, on what evidence, until when.

A child's guardian ends on the day the child becomes as old as the law has it, without anybody
doing anything.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from datetime import date, datetime, time
from functools import cache
from importlib.resources import files
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from quanmin.base.database import Database, Pool
from quanmin.base.problems import Conflict, Invalid, NotFound, Sentence
from quanmin.trust.registers.definitions import Word
from quanmin.trust.registers.entry import OPEN_END

_ACTING: Final = """
    select proxy, person, for_person, kind, evidence, since, until, scope from trust.proxy
    where person = $1 and since <= $2 and until > $2 order by proxy
"""
_ABOUT: Final = """
    select proxy, person, for_person, kind, evidence, since, until, scope from trust.proxy
    where for_person = $1 order by since, proxy
"""
_INSERT: Final = """
    insert into trust.proxy
        (person, for_person, kind, evidence, since, until, decided_at, decided_by, scope)
    select $1, $2, $3, $4, $5, $6, $7, $8, $9
    where not exists (
        select from trust.proxy
        where person = $1 and for_person = $2 and since < $6 and until > $5)
    returning proxy, person, for_person, kind, evidence, since, until, scope
"""


class ProxyKind(Word, frozen=True):
    """A kind of acting for another; see the definition."""

    evidence: tuple[str, ...]
    scope: tuple[str, ...]
    ends_at_age: int | None = None
    years_max: int | None = None


class Proxy(msgspec.Struct, frozen=True):
    """`person` acts for `for_person` from `since` until before `until`, in all of `scope`."""

    proxy: int
    person: int
    for_person: int
    kind: str
    evidence: str
    since: int
    until: int
    scope: list[str]


@cache
def proxy_scopes() -> dict[str, Word]:
    """What one may do for another, by its code."""
    scopes = _definition()["scope"]
    return {one["code"]: msgspec.convert(one, Word) for one in scopes}


@cache
def proxy_kinds() -> dict[str, ProxyKind]:
    """The kinds there are, by their code."""
    return {kind["code"]: msgspec.convert(kind, ProxyKind) for kind in _definition()["kind"]}


@cache
def evidence_of_proxies() -> tuple[Word, ...]:
    """What may be seen before a proxy is entered."""
    return msgspec.convert(_definition()["evidence"], tuple[Word, ...])


@cache
def _definition() -> dict[str, Any]:
    file = files("quanmin.definitions").joinpath("registers", "proxies.toml")
    return tomllib.loads(file.read_text("utf-8"))


def refuse_minor(born: date | None, today: date) -> None:
    """Raises Invalid for a person who is too young to act for another; one whose birth date nobody
    knows is taken to be of age.
    """
    age: int = _definition()["acting"]["age_min"]
    if born is not None and _later(born, age) > today:
        raise Invalid(Sentence("who acts for another is %(age)s or older", age=age))


def _refuse_other_scopes(scope: Sequence[str] | None) -> None:
    if scope is not None and (not scope or set(scope) - proxy_scopes().keys()):
        raise Invalid(
            Sentence("the scope of a proxy is some of %(known)s", known=", ".join(proxy_scopes()))
        )


def _rule_of(kind: str, evidence: str) -> ProxyKind:
    rule = proxy_kinds().get(kind)
    if rule is None:
        raise Invalid(Sentence("the kinds of proxy are %(known)s", known=", ".join(proxy_kinds())))
    if evidence not in rule.evidence:
        raise Invalid(
            Sentence(
                "the evidence for this kind is one of %(known)s", known=", ".join(rule.evidence)
            )
        )
    return rule


class Proxies:
    """Who acts for whom on one node."""

    def __init__(self, pool: Pool, zone: ZoneInfo) -> None:
        """Birthdays begin at midnight in `zone`."""
        self._pool = pool
        self._zone = zone

    async def enter(
        self,
        person: int,
        for_person: int,
        *,
        kind: str,
        evidence: str,
        born: date | None,
        until: int = OPEN_END,
        scope: Sequence[str] | None = None,
        at: int,
        by: str,
    ) -> Proxy:
        """From `at` on a person acts for another, born on `born`, until the moment given or the
        latest the kind allows, in what `scope` names or else in all that the kind is for.

        Raises Invalid for a kind, evidence or scope that is none, a missing birth date or a child
        that is too old; NotFound for an unknown person; Conflict when it is entered already.
        """
        rule = _rule_of(kind, evidence)
        _refuse_other_scopes(scope)
        if person == for_person:
            raise Invalid("nobody needs a proxy for themselves")
        latest = self._latest(rule, born, at)
        if latest <= at:
            raise Invalid(
                Sentence(
                    "the child is %(ends_at_age)s or older: they decide for themselves",
                    ends_at_age=rule.ends_at_age,
                )
            )
        ends = min(until, latest)
        if ends <= at:
            raise Invalid("a proxy ends after it begins: give a later end, or none")
        async with self._pool.acquire() as connection, connection.transaction():
            # Whoever else enters a proxy of this person waits here, so that none is there twice.
            known = await connection.fetchval(
                "select true from people.person where person = $1 for update", for_person
            )
            other = await connection.fetchval(
                "select true from people.person where person = $1", person
            )
            if not (known and other):
                raise NotFound("there is no such person")
            row = await connection.fetchrow(
                _INSERT,
                person,
                for_person,
                kind,
                evidence,
                at,
                ends,
                at,
                by,
                sorted(set(rule.scope if scope is None else scope)),
            )
        if row is None:
            raise Conflict("this person acts for the other already: end that first")
        return Proxy(*row)

    async def end(self, proxy: int, *, at: int) -> None:
        """From this moment on the proxy acts no more. Raises NotFound for one that does not act."""
        ended = await self._pool.fetchval(
            "update trust.proxy set until = greatest($2, since + 1)"
            " where proxy = $1 and until > $2 returning proxy",
            proxy,
            at,
        )
        if ended is None:
            raise NotFound("there is no such proxy, or it has ended")

    async def acting(self, person: int, at: int, database: Database | None = None) -> list[Proxy]:
        """For whom a person acts at a moment."""
        return [Proxy(*row) for row in await (database or self._pool).fetch(_ACTING, person, at)]

    async def about(self, for_person: int) -> Sequence[Proxy]:
        """Everyone who acts or acted for a person, oldest first: it is theirs to know."""
        return [Proxy(*row) for row in await self._pool.fetch(_ABOUT, for_person)]

    def _latest(self, rule: ProxyKind, born: date | None, at: int) -> int:
        latest = OPEN_END
        if rule.ends_at_age is not None:
            if born is None:
                raise Invalid("the child's birth date must be known: it decides when this ends")
            latest = self._midnight(_later(born, rule.ends_at_age))
        if rule.years_max is not None:
            today = datetime.fromtimestamp(at / 1_000_000, self._zone).date()
            latest = min(latest, self._midnight(_later(today, rule.years_max)))
        return latest

    def _midnight(self, day: date) -> int:
        return int(datetime.combine(day, time(), self._zone).timestamp()) * 1_000_000


def _later(day: date, years: int) -> date:
    """The same day so many years later; the first of March for a day that is not there then."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return date(day.year + years, 3, 1)
