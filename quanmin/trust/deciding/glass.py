"""Break-glass: in an emergency staff open one person's record for a short time, with a reason; the
person is told, and somebody judges it afterwards.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Final, Literal

import msgspec

from quanmin.base.database import Connection
from quanmin.base.node_keys import SealedColumn
from quanmin.base.plain_text import count_letters, legible
from quanmin.base.problems import Conflict, Forbidden, Invalid, Issue, NotFound, Sentence
from quanmin.people import PersonIndex
from quanmin.records.context import Context
from quanmin.trust.deciding.grantees import Grantees
from quanmin.trust.deciding.granting import Granting, Grounded, replace_grants

State = Literal["waiting", "justified", "unjustified"]

_MINUTE: Final = 60_000_000
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
_EVER: Final = (1 << 63) - 1
_PURPOSE: Final = "glass"
_INSERT: Final = """
    insert into trust.glass (at, until, actor, sender, patient, request, reason)
    values ($1, $2, $3, $4, $5, $6, $7) returning glass
"""
_COLUMNS: Final = (
    "glass, at, until, actor, sender, patient, reason, state, reviewer, reviewed_at, opinion,"
    " closed_at"
)
_ABOUT: Final = f"""
    select {_COLUMNS} from trust.glass where patient = any($1) order by at desc
"""  # noqa: S608 - constants of this module
_BY: Final = f"""
    select {_COLUMNS} from trust.glass where actor = $1 and (at, glass) < ($3, $4)
    order by at desc, glass desc limit $2
"""  # noqa: S608 - constants of this module
_ONE: Final = f"""
    select {_COLUMNS} from trust.glass where glass = $1
"""  # noqa: S608 - constants of this module
_ASKED: Final = f"""
    select {_COLUMNS} from trust.glass
    where ($1::text = '' or state = $1) and ($2::text = '' or actor = $2)
        and ($3::int is null or sender = $3) and at >= $4 and at < $5
"""  # noqa: S608 - constants of this module
_LISTED: Final = f"{_ASKED} and (at, glass) > ($6::bigint, $7::bigint) order by at, glass limit $8"
_NEWEST: Final = (
    f"{_ASKED} and (at, glass) < ($6::bigint, $7::bigint) order by at desc, glass desc limit $8"
)
_WAITING: Final = """
    select count(*) as number, count(*) filter (where at < $2) as late
    from (select at from trust.glass where state = 'waiting' and ($1::int is null or sender = $1)
        order by at limit $3) waiting
"""
# Who the same person is: by account, by identity document, or as the same one of the staff. One
# person may have several posts, and accounts, each an actor of its own.
_ALIKE: Final = """
    select {0} union
    select b.code from trust.actor a
    join trust.actor b on a.account = b.account or a.holder = b.holder or a.person = b.person
    where a.code = {0} union
    select q.actor from trust.post p join trust.post q using (practitioner) where p.actor = {0}
"""
_JUDGE: Final = f"""
    update trust.glass g set state = $2, reviewer = $3, reviewed_at = $4, opinion = $5
    where glass = $1 and state = 'waiting' and g.actor not in ({_ALIKE.format("$3::text")})
    returning patient
"""  # noqa: S608 - constants of this module
_STATISTICS: Final = """
    select actor, sender, count(*) as number,
        count(*) filter (where state = 'waiting') as waiting,
        count(*) filter (where state = 'justified') as justified,
        count(*) filter (where state = 'unjustified') as unjustified
    from trust.glass where at >= $1 and at < $2 and ($3::int is null or sender = $3)
    group by actor, sender order by number desc, actor, sender
"""
_UNJUSTIFIED: Final = f"""
    select reviewed_at from trust.glass
    where actor in ({_ALIKE.format("$1::text")}) and state = 'unjustified' and at > $2
    order by reviewed_at desc limit $3
"""  # noqa: S608 - constants of this module
_UNDER_WAY: Final = """
    select max(until) from records.granted
    where grantee = $1 and patient = $2 and since <= $3 and until > $3
"""
_CLOSE: Final = """
    update trust.glass set until = $3, closed_at = $3
    where actor = $1 and patient = any($2) and until > $3 returning glass
"""
_SHUT: Final = """
    update records.granted set until = $3
    where grantee = $1 and patient = any($2) and until > $3
"""


class Suspension(msgspec.Struct, frozen=True):
    """After how many unjustified openings within how many days, and for how many."""

    unjustified: int
    within_days: int
    days: int


class OwnReviewers(msgspec.Struct, frozen=True):
    """With which duty, in which roles, somebody judges what was opened for their institution."""

    duty: str
    roles: frozenset[str]


class GlassRules(msgspec.Struct, frozen=True):
    """For how long, how much of a reason and of an opinion (in letters), who judges it within how
    many hours, and when somebody may open no more.
    """

    minutes: int
    reason_letters_min: int
    reason_letters_max: int
    opinion_letters_min: int
    opinion_letters_max: int
    different_letters_min: int
    reviewers: frozenset[str]
    review_hours_max: int
    own_reviewers: OwnReviewers
    suspension: Suspension


@cache
def load_glass_rules() -> GlassRules:
    """The definition in force."""
    file = resources.files("quanmin") / "definitions" / "break_glass.toml"
    whole = tomllib.loads(file.read_text("utf-8"))
    return msgspec.convert({**whole["definition"], **whole}, GlassRules)


class Opened(msgspec.Struct, frozen=True):
    """A record that was opened: when (microseconds), until when, by whom, acting for which
    institution, whose (the Patient's key), why, and what became of it. `closed_at` is when they
    closed it before its time.
    """

    glass: int
    at: int
    until: int
    actor: str
    sender: int
    patient: int
    reason: str
    state: State
    reviewer: str | None
    reviewed_at: int | None
    opinion: str | None = None
    closed_at: int | None = None

    @property
    def due_at(self) -> int:
        """By when it is to be judged."""
        return self.at + load_glass_rules().review_hours_max * _HOUR


class Wanted(msgspec.Struct, frozen=True):
    """Which openings: in a state, by an actor, for an institution (its number), from one moment to
    before another; "" and None for any.
    """

    state: str = ""
    actor: str = ""
    sender: int | None = None
    since: int = 0
    before: int = _EVER


class Openings(msgspec.Struct, frozen=True):
    """How often one actor has opened records for one institution (its number)."""

    actor: str
    sender: int
    number: int
    waiting: int
    justified: int
    unjustified: int


class Glasses:
    """The opened records of one node."""

    def __init__(self, people: PersonIndex, context: Context) -> None:
        self._people = people
        self._context = context
        self._grantees = Grantees(context.keying)

    async def open(
        self,
        connection: Connection,
        *,
        actor: str,
        sender: int,
        patient: int,
        reason: str,
        request: str,
        now: int,
    ) -> int:
        """Open the record of the person whom a Patient (record key) is, in the caller's
        transaction, for the actor and the purpose BTG; gives until when. Raises Invalid for a
        reason that says nothing, Forbidden for whom too many were unjustified.
        """
        rules = load_glass_rules()
        reason = _said(
            reason,
            rules.reason_letters_min,
            rules.reason_letters_max,
            Sentence("the person and a reviewer will read it"),
            "reason",
        )
        suspended = await self.suspended_until(connection, actor, now)
        if suspended is not None:
            raise Forbidden(
                "you may open no records in an emergency for now: too many that you opened were"
                " judged unjustified; ask a security administrator"
            )
        until = now + rules.minutes * _MINUTE
        number = await connection.fetchval(
            _INSERT,
            now,
            until,
            actor,
            sender,
            patient,
            request,
            self._seal(reason, _place(actor, now)),
        )
        source = self._context.keying.grantee("glass source", str(number))
        grant = Granting(self._grantees.glass(actor), 0, now, until)
        grounded = [Grounded(source, patient, (grant,))]
        await replace_grants(connection, self._people, (), grounded, now)
        return until

    async def suspended_until(self, connection: Connection, actor: str, now: int) -> int | None:
        """Until when an actor may open no records; None when they may."""
        rule = load_glass_rules().suspension
        if not rule.unjustified:
            return None
        since = now - rule.within_days * _DAY
        rows = await connection.fetch(_UNJUSTIFIED, actor, since, rule.unjustified)
        if len(rows) < rule.unjustified:
            return None
        until = int(rows[0]["reviewed_at"]) + rule.days * _DAY
        return until if until > now else None

    async def under_way(
        self, connection: Connection, actor: str, patient: int, now: int
    ) -> int | None:
        """Until when an actor has opened the record of the person whom a Patient is; None for not
        at all.
        """
        found = await connection.fetchval(_UNDER_WAY, self._grantees.glass(actor), patient, now)
        return None if found is None else int(found)

    async def close(self, connection: Connection, actor: str, patient: int, now: int) -> bool:
        """End what an actor has opened of the person whom a Patient is; False when it was not
        open.
        """
        person = await self._people.person_of(connection, patient)
        linked = [] if person is None else await self._people.patients_of(connection, person)
        patients = sorted({patient, *linked})
        await connection.execute(_SHUT, self._grantees.glass(actor), patients, now)
        return bool(await connection.fetch(_CLOSE, actor, patients, now))

    async def listed(
        self,
        connection: Connection,
        wanted: Wanted,
        *,
        after: tuple[int, int],
        count: int,
        is_newest_first: bool = False,
    ) -> list[Opened]:
        """Openings, the oldest first unless the newest are to be, after a moment and number."""
        of, statement = wanted, _NEWEST if is_newest_first else _LISTED
        rows = await connection.fetch(
            statement, of.state, of.actor, of.sender, of.since, of.before, *after, count
        )
        return [self._opened(row) for row in rows]

    async def waiting(
        self, connection: Connection, sender: int | None, now: int, *, count_max: int
    ) -> tuple[int, int]:
        """How many of an institution's (None: of all) nobody has judged yet, and how many of these
        should have been; it stops counting beyond `count_max`.
        """
        due = now - load_glass_rules().review_hours_max * _HOUR
        row = await connection.fetchrow(_WAITING, sender, due, count_max + 1)
        return (0, 0) if row is None else (int(row["number"]), int(row["late"]))

    async def one(self, connection: Connection, glass: int) -> Opened:
        """One opening. Raises NotFound."""
        row = await connection.fetchrow(_ONE, glass)
        if row is None:
            raise NotFound("nothing was opened under this number")
        return self._opened(row)

    async def by(
        self, connection: Connection, actor: str, count: int, after: tuple[int, int] | None
    ) -> list[Opened]:
        """What an actor has opened, the newest first, after one by its moment and number."""
        rows = await connection.fetch(_BY, actor, count, *(after or (_EVER, _EVER)))
        return [self._opened(row) for row in rows]

    async def about(self, connection: Connection, patients: Sequence[int]) -> list[Opened]:
        """What was opened of these Patients, the newest first: what their person is told."""
        rows = await connection.fetch(_ABOUT, [*patients])
        return [self._opened(row) for row in rows]

    async def judge(
        self,
        connection: Connection,
        glass: int,
        state: State,
        *,
        opinion: str,
        reviewer: str,
        now: int,
    ) -> int:
        """Say of one whether there was reason for it, and why; gives the Patient. What was without
        reason and is open still is closed. Raises NotFound, Conflict when it has been judged,
        Forbidden for one's own, Invalid for an opinion that says nothing.
        """
        rules = load_glass_rules()
        if state not in {"justified", "unjustified"}:
            raise Invalid("say whether it was justified or unjustified")
        opinion = _said(
            opinion,
            rules.opinion_letters_min,
            rules.opinion_letters_max,
            Sentence("the person and who opened it will read it"),
            "opinion",
        )
        sealed = self._seal(opinion, _place_of_opinion(glass))
        patient = await connection.fetchval(_JUDGE, glass, state, reviewer, now, sealed)
        found = await self.one(connection, glass)
        if patient is not None:
            if state == "unjustified" and found.until > now:
                await self.close(connection, found.actor, found.patient, now)
            return int(patient)
        if found.state != "waiting":
            raise Conflict(Sentence("this has been judged already: %(state)s", state=found.state))
        raise Forbidden("nobody judges what they opened themselves")

    async def statistics(
        self, connection: Connection, since: int, before: int, sender: int | None = None
    ) -> list[Openings]:
        """How often who opened records from one moment to before another, for an institution (its
        number) or all, the most first.
        """
        rows = await connection.fetch(_STATISTICS, since, before, sender)
        return [Openings(**row) for row in rows]

    def _opened(self, row: object) -> Opened:
        told = dict(row)  # type: ignore[call-overload]  # asyncpg's Record is a mapping
        told["reason"] = self._open(told["reason"], _place(told["actor"], told["at"]))
        if told["opinion"] is not None:
            told["opinion"] = self._open(told["opinion"], _place_of_opinion(told["glass"]))
        return Opened(**told)

    def _seal(self, text: str, place: bytes) -> bytes:
        return self._context.seal(_PURPOSE, text.encode(), place)

    def _open(self, sealed: bytes, place: bytes) -> str:
        return self._context.unseal(_PURPOSE, sealed, place).decode()


def _said(text: str, letters_min: int, length_max: int, readers: Sentence, name: str) -> str:
    """The text without what nobody sees. Raises Invalid for one that says nothing."""
    text = legible(text)
    letters, different = count_letters(text)
    least = load_glass_rules().different_letters_min
    if letters < letters_min or different < least or len(text) > length_max:
        why = Sentence(
            "say why, in words of at least %(letters_min)s letters, %(least)s different ones "
            "among them, and at most %(length_max)s characters: %(readers)s",
            letters_min=letters_min,
            least=least,
            length_max=length_max,
            readers=readers,
        )
        raise Invalid(why, issues=(Issue("error", "value", why, name),))
    return text


def _place(actor: str, at: int) -> bytes:
    return f"glass {actor} {at}".encode()


def _place_of_opinion(glass: int) -> bytes:
    return f"glass opinion {glass}".encode()


SEALED: Final = (
    SealedColumn(
        "trust.glass",
        "reason",
        _PURPOSE,
        lambda row: _place(row["actor"], row["at"]),
        by=("actor", "at"),
    ),
    SealedColumn(
        "trust.glass",
        "opinion",
        _PURPOSE,
        lambda row: _place_of_opinion(row["glass"]),
        by=("glass",),
    ),
)
