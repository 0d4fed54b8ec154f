"""Admission of apps, devices, non-government parties and entrusted operators: application, review,
agreement, and an end.

Whoever asks as a member of a party is stopped while the party is not admitted: with the next
request after the end of its contract or its withdrawal.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal, get_args

import msgspec

from quanmin.base.database import Connection, Database, Pool
from quanmin.base.problems import Conflict, Forbidden, Invalid, NotFound, Sentence
from quanmin.trust.lifecycle.transfers import country_of, declare, transfer_rules
from quanmin.trust.registers.definitions import Word
from quanmin.trust.sign_in.keepers import refuse_shutting_out

MemberKind = Literal["client", "actor", "sender"]
_YEAR: Final = 366 * 86_400_000_000
_COLUMNS: Final = (
    "a.admission, a.party, p.kind, p.name, a.state, a.purpose, a.agreement, a.since, a.until,"
    " a.opinion, a.reason, array(select m.kind || ':' || m.member from trust.party_member m"
    " where m.party = a.party order by 1) as members"
)
_FROM: Final = "from trust.admission a join trust.party p using (party)"
_ONE: Final = f"select {_COLUMNS} {_FROM} where a.admission = $1"
_LIST: Final = f"""
    select {_COLUMNS} {_FROM}
    where ($1::text is null or a.state = $1) and a.admission > $2
    order by a.admission limit $3
"""
_APPLY: Final = """
    insert into trust.admission (party, state, purpose, applied_at, applied_by)
    values ($1, 'applied', $2, $3, $4) on conflict do nothing returning admission
"""
_REVIEW: Final = """
    update trust.admission
    set state = $2, reviewed_at = $3, reviewed_by = $4, opinion = $5
    where admission = $1 and state = 'applied' returning admission
"""
_ADMIT: Final = """
    update trust.admission
    set state = 'admitted', agreement = $2, since = $3, until = $4, decided_at = $5,
        decided_by = $6
    where admission = $1 and state = 'reviewed' returning admission
"""
_WITHDRAW: Final = """
    update trust.admission
    set state = 'withdrawn', withdrawn_at = $2, withdrawn_by = $3, reason = $4
    where admission = $1 and state in ('applied', 'reviewed', 'admitted') returning admission
"""


# Whoever decides, by all of their accounts: the same document is of the same person.
_INTEREST: Final = """
    with one as (
        select x.code, x.sender, x.account, x.holder from trust.actor a
        join trust.actor x on x.code = a.code or x.account = a.account or x.holder = a.holder
        where a.code = $2
        union select $2, '', null, null
    )
    select bool_or(d.applied_by = o.code) as has_applied,
        bool_or(exists (
            select from trust.party_member m where m.party = d.party
                and (m.kind, m.member) in (('actor', o.code), ('sender', o.sender)))) as is_member
    from trust.admission d, one o where d.admission = $1
"""
_APPLICANT: Final = Sentence("whoever entered an application neither reviews nor admits it")
_MEMBER: Final = Sentence("nobody reviews or admits the party they are of themselves")


class PartyKind(Word, frozen=True):
    """A kind of party, and for how long one is admitted at most."""

    years_max: int


class Admission(msgspec.Struct, frozen=True):
    """An application of a party and what became of it; `since` and `until` of one admitted.
    `members` are as whom it asks, as `kind:code`.
    """

    admission: int
    party: str
    kind: str
    name: str
    state: str
    purpose: str
    agreement: str | None
    since: int | None
    until: int | None
    opinion: str | None
    reason: str | None
    members: list[str]


class Application(msgspec.Struct, frozen=True, kw_only=True):
    """What a party applies with: who it is, what for, and as whom it would ask; `country` (ISO
    3166-1) where what it is handed would go, "" for nowhere outside this one.
    """

    party: str
    kind: str
    name: str
    purpose: str
    members: tuple[tuple[MemberKind, str], ...]
    country: str = ""


@cache
def party_kinds() -> dict[str, PartyKind]:
    """The kinds of party there are, by their code."""
    file = files("quanmin.definitions").joinpath("registers", "parties.toml")
    kinds = tomllib.loads(file.read_text("utf-8"))["kind"]
    return {kind["code"]: msgspec.convert(kind, PartyKind) for kind in kinds}


class Admissions:
    """The admissions of one node."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def apply(self, application: Application, *, at: int, by: str) -> Admission:
        """A new application. Its members are stopped until it is admitted; outside the country they
        are handed nothing without an approved transfer then either.

        Raises Invalid for what is no application, Conflict when one is under way or a member is
        another party's; and as `refuse_shutting_out` does.
        """
        if application.kind not in party_kinds():
            raise Invalid(
                Sentence("the kinds of party are %(known)s", known=", ".join(party_kinds()))
            )
        if not (application.party and application.name and application.purpose):
            raise Invalid("an application has a party's code, a name and a purpose")
        if not application.members:
            raise Invalid("say as whom the party would ask: a client, an actor or a sender")
        for kind, member in application.members:
            if kind not in get_args(MemberKind) or not member:
                known = ", ".join(get_args(MemberKind))
                raise Invalid(Sentence("a member is a kind (%(known)s) and a code", known=known))
        async with self._pool.acquire() as connection, connection.transaction():
            await _refuse_shutting_out(connection, application, at, by)
            await self._enter_party(connection, application)
            await _declare_abroad(connection, application, at, by)
            number = await connection.fetchval(
                _APPLY, application.party, application.purpose, at, by
            )
            if number is None:
                raise Conflict("an application of this party is under way: decide that one first")
            return await _one(connection, number)

    async def _enter_party(self, connection: Connection, application: Application) -> None:
        kind = await connection.fetchval(
            "insert into trust.party (party, kind, name) values ($1, $2, $3)"
            " on conflict (party) do update set name = excluded.name returning kind",
            application.party,
            application.kind,
            application.name,
        )
        if kind != application.kind:
            raise Conflict(
                Sentence(
                    "this party is entered as %(kind)s: choose another code for another kind",
                    kind=kind,
                )
            )
        for kind_, member in application.members:
            party = await connection.fetchval(
                "insert into trust.party_member (kind, member, party) values ($1, $2, $3)"
                " on conflict (kind, member) do update set party = trust.party_member.party"
                " returning party",
                kind_,
                member,
                application.party,
            )
            if party != application.party:
                raise Conflict(Sentence("this %(kind)s belongs to another party", kind=kind_))

    async def review(
        self, admission: int, *, is_recommended: bool, opinion: str, at: int, by: str
    ) -> Admission:
        """What the review found. Raises Forbidden for whoever applied or is of the party, Invalid
        without an opinion, NotFound, Conflict.
        """
        if not opinion:
            raise Invalid("a review has an opinion: say what was looked at and found")
        async with self._pool.acquire() as connection, connection.transaction():
            await _refuse_interested(connection, admission, by)
            state = "reviewed" if is_recommended else "refused"
            return await _changed(connection, _REVIEW, admission, state, at, by, opinion)

    async def admit(
        self, admission: int, *, agreement: str, since: int, until: int, at: int, by: str
    ) -> Admission:
        """From `since` until before `until` the party is admitted, on this agreement. It must have
        been reviewed. Raises Invalid, Forbidden, NotFound, Conflict.
        """
        if not agreement:
            raise Invalid("name the agreement that was signed")
        async with self._pool.acquire() as connection, connection.transaction():
            found = await _one(connection, admission)
            years = party_kinds()[found.kind].years_max
            if not since < until <= since + years * _YEAR:
                raise Invalid(
                    Sentence(
                        "an admission of this kind ends after it begins and within %(years)s years",
                        years=years,
                    )
                )
            await _refuse_interested(connection, admission, by)
            return await _changed(connection, _ADMIT, admission, agreement, since, until, at, by)

    async def withdraw(self, admission: int, *, reason: str, at: int, by: str) -> Admission:
        """Nobody of the party is let in with the next request. Raises Invalid without a reason,
        NotFound, Conflict for one that has ended already.
        """
        if not reason:
            raise Invalid("a withdrawal has a reason")
        async with self._pool.acquire() as connection, connection.transaction():
            return await _changed(connection, _WITHDRAW, admission, at, by, reason)

    async def one(self, admission: int) -> Admission:
        """One of them. Raises NotFound."""
        async with self._pool.acquire() as connection:
            return await _one(connection, admission)

    async def all(
        self, *, state: str | None = None, after: int = 0, count: int
    ) -> Sequence[Admission]:
        """Admissions in a state (None: any), in the order of application."""
        return [Admission(*row) for row in await self._pool.fetch(_LIST, state, after, count)]


async def is_admitted(database: Database, kind: MemberKind, member: str, at: int) -> bool:
    """Whether who asks as this is admitted at a moment; who belongs to no party needs no
    admission.
    """
    return bool(await database.fetchval("select trust.is_admitted($1, $2, $3)", kind, member, at))


async def _refuse_shutting_out(
    connection: Connection, application: Application, at: int, by: str
) -> None:
    # Who is of the party already is not stopped by its next application.
    known = {
        (row["kind"], row["member"])
        for row in await connection.fetch(
            "select kind, member from trust.party_member where party = $1", application.party
        )
    }
    actors, senders = (
        [
            member
            for kind, member in application.members
            if kind == one and (one, member) not in known
        ]
        for one in ("actor", "sender")
    )
    await refuse_shutting_out(connection, actors, senders, at=at, by=by)


async def _declare_abroad(
    connection: Connection, application: Application, at: int, by: str
) -> None:
    country = application.country
    if country in {"", transfer_rules().definition.home}:
        return
    for kind, member in application.members:
        known = await country_of(connection, kind, member)
        if known is None:
            await declare(connection, kind, member, country, at=at, by=by)
        elif known != country:
            raise Conflict(
                Sentence(
                    "this %(kind)s is declared to be in %(known)s: name another country",
                    kind=kind,
                    known=known,
                )
            )


async def _one(connection: Connection, admission: int) -> Admission:
    row = await connection.fetchrow(_ONE, admission)
    if row is None:
        raise NotFound("there is no such admission")
    return Admission(*row)


async def _changed(
    connection: Connection, statement: str, admission: int, *arguments: Any
) -> Admission:
    """What an admission is after a step. Raises Conflict when it was not its turn."""
    if await connection.fetchval(statement, admission, *arguments) is None:
        found = await _one(connection, admission)
        raise Conflict(
            Sentence(
                "the admission is %(state)s: first apply, then review, admit, and withdraw",
                state=found.state,
            )
        )
    return await _one(connection, admission)


async def _refuse_interested(connection: Connection, admission: int, by: str) -> None:
    row = await connection.fetchrow(_INTEREST, admission, by)
    if row is not None and row["has_applied"]:
        raise Forbidden(_APPLICANT)
    if row is not None and row["is_member"]:
        raise Forbidden(_MEMBER)
