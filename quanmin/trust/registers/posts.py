"""Posts: at which institution an actor works, from when to when, with which duties."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from quanmin.base.database import Connection, Pool
from quanmin.base.problems import Conflict, Invalid, Issue, NotFound, Problem, Sentence
from quanmin.trust.registers.definitions import duties_known
from quanmin.trust.registers.entry import OPEN_END

_COLUMNS: Final = (
    "p.post, p.actor, a.role, a.name, p.organization, e.code as institution, p.duties,"
    " p.practitioner, p.since, p.until"
)
_FROM: Final = (
    "from trust.post p join trust.actor a on a.code = p.actor"
    " join trust.institution_entry e using (organization)"
)
_THEIRS: Final = (
    "($2::text is null or p.actor = $2) and ($3::text is null or e.code = $3 or e.sender = $3)"
)
_HELD: Final = f"select {_COLUMNS} {_FROM} where p.since <= $1 and p.until > $1 and {_THEIRS}"
# By what posts are sorted, for each of which there is an index.
_ORDERS: Final = {"": "post", "account": "actor", "from": "since", "until": "until"}
_HISTORY: Final = f"select {_COLUMNS} {_FROM} where p.actor = $1 order by p.since"
_ONE: Final = f"select {_COLUMNS} {_FROM} where p.post = $1"
_ACTOR: Final = """
    select a.is_active, a.account, e.organization, e.code as institution
    from trust.actor a left join trust.institution_entry e using (sender)
    where a.code = $1 for update of a
"""
_OVERLAPS: Final = """
    select post, organization, duties, practitioner, since, until
    from trust.post where actor = $1 and since < $3 and until > $2 order by since
"""
_PRACTITIONER: Final = """
    select practitioner from trust.practitioner_entry where practitioner = $1 for update
"""
_ANOTHERS: Final = """
    select true from trust.post p join trust.actor a on a.code = p.actor
    where p.practitioner = $1 and p.since < $3 and p.until > $2
        and p.actor <> $4 and (a.account is null or a.account is distinct from $5)
    limit 1
"""
_INSERT: Final = """
    insert into trust.post
        (actor, organization, duties, practitioner, since, until, decided_at, decided_by)
    values ($1, $2, $3, $4, $5, $6, $7, $8) returning post
"""


class Post(msgspec.Struct, frozen=True):
    """An actor's time at an institution (its credit code), until before `until`."""

    post: int
    actor: str
    role: str
    name: str
    organization: int
    institution: str
    duties: list[str]
    practitioner: int | None
    since: int
    until: int


class Wished(msgspec.Struct, frozen=True):
    """A post to be given: to which actor, as which Practitioner of the register. With `institution`
    (a credit code) it is refused to an actor of another.
    """

    actor: str
    duties: tuple[str, ...]
    practitioner: int | None
    since: int
    until: int
    institution: str | None = None


def _in_order(order: str, *, is_after: bool) -> str:
    """How a statement of posts goes on: after the post $5, so many as $4 says. A post that is not
    the asker's to see is no place: where it stands would tell of it.
    """
    column = _ORDERS[order.removeprefix("-")]
    way, sign = ("desc", "<") if order.startswith("-") else ("asc", ">")
    key = f"p.{column}, p.post"
    after = f"and ({key}) {sign} (select {key} {_FROM} where p.post = $5 and {_THEIRS})"
    return f"{after if is_after else ''} order by p.{column} {way}, p.post {way} limit $4"


async def appoint(connection: Connection, wished: Wished, *, at: int, by: str) -> Post:
    """`Posts.appoint` within the caller's transaction. One that is there already, the same in all,
    is given as it is. Each Problem's issue names the column of a file of posts that is at fault.
    """
    if wished.since >= wished.until:
        raise _fault(
            Invalid, "until", Sentence("a post ends after it begins: give a later end, or none")
        )
    if not duties_known().issuperset(wished.duties):
        known = ", ".join(sorted(duties_known()))
        raise _fault(
            Invalid, "duties", Sentence("there is no such duty; there are %(known)s", known=known)
        )
    # Whoever else appoints the actor waits here, so that no two posts overlap.
    row = await connection.fetchrow(_ACTOR, wished.actor)
    if row is None or not row["is_active"]:
        raise _fault(NotFound, "actor", Sentence("there is no such actor: make the account first"))
    if row["organization"] is None:
        text = Sentence("the actor's institution is not in the register: enter it first")
        raise _fault(Invalid, "institution", text)
    if wished.institution not in {None, row["institution"]}:
        text = Sentence(
            "the actor writes for another institution: give the account an actor there first"
        )
        raise _fault(Invalid, "institution", text)
    if wished.practitioner is not None:
        await _refuse_anothers(connection, wished, row["account"])
    values = (sorted(wished.duties), wished.practitioner, wished.since, wished.until)
    overlapping = await connection.fetch(_OVERLAPS, wished.actor, wished.since, wished.until)
    if [tuple(one)[1:] for one in overlapping] == [(row["organization"], *values)]:
        return Post(*(await connection.fetch(_ONE, overlapping[0]["post"]))[0])
    if overlapping:
        text = Sentence("the actor has a post in this time already: end that one first")
        raise _fault(Conflict, "from", text)
    post = await connection.fetchval(_INSERT, wished.actor, row["organization"], *values, at, by)
    return Post(*(await connection.fetch(_ONE, post))[0])


async def _refuse_anothers(connection: Connection, wished: Wished, account: str | None) -> None:
    """A practitioner is one person, whose licences nobody else acts with. Whoever else gives a post
    as this practitioner waits here.
    """
    if await connection.fetchval(_PRACTITIONER, wished.practitioner) is None:
        text = Sentence("this is no Practitioner of the register: enter them first")
        raise _fault(Invalid, "staff", text)
    held = (wished.practitioner, wished.since, wished.until, wished.actor, account)
    if await connection.fetchval(_ANOTHERS, *held):
        text = Sentence(
            "somebody else has a post as this practitioner in this time: end that one first"
        )
        raise _fault(Conflict, "staff", text)


def _fault(kind: type[Problem], column: str, text: str) -> Problem:
    return kind(text, issues=(Issue("error", kind.code, text, column),))


class Posts:
    """The posts of one node."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def appoint(
        self,
        actor: str,
        *,
        duties: Sequence[str] = (),
        practitioner: int | None = None,
        since: int,
        until: int = OPEN_END,
        at: int,
        by: str,
    ) -> Post:
        """A post of an actor at the institution the actor writes for; gives it.

        Raises NotFound for an unknown actor, Conflict when the posts of one actor would overlap,
        Invalid for a period that ends before it begins, an unknown duty or an institution that is
        not in the register.
        """
        wanted = Wished(actor, tuple(duties), practitioner, since, until)
        async with self._pool.acquire() as connection, connection.transaction():
            return await appoint(connection, wanted, at=at, by=by)

    async def end(self, post: int, *, at: int) -> Post:
        """End a post at a moment; from then on nobody acts in it. One that has not begun ends as it
        begins. Raises NotFound, Conflict for one that has ended before.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            ended = await connection.fetchval(
                "update trust.post set until = greatest($2, since + 1)"
                " where post = $1 and until > $2 returning post",
                post,
                at,
            )
            found = await connection.fetchrow(_ONE, post)
            if found is None:
                raise NotFound("there is no such post")
            if ended is None:
                raise Conflict("the post has ended before")
            return Post(*found)

    async def as_of(
        self,
        moment: int,
        *,
        actor: str | None = None,
        institution: str | None = None,
        after: int | None = None,
        order: str = "",
        count: int,
    ) -> Sequence[Post]:
        """The posts held at a moment, of an actor or at an institution (credit or sender code),
        after the post `after`, in the order they were entered or in one of `account`, `from` and
        `until`, with `-` before it the other way round.
        """
        statement = f"{_HELD} {_in_order(order, is_after=after is not None)}"
        rows = await self._pool.fetch(
            statement, moment, actor, institution, count, *filter(None, [after])
        )
        return [Post(*row) for row in rows]

    async def one(self, post: int) -> Post | None:
        """One post; None when there is none with this number."""
        row = await self._pool.fetchrow(_ONE, post)
        return None if row is None else Post(*row)

    async def history(self, actor: str) -> Sequence[Post]:
        """All posts of an actor, oldest first."""
        return [Post(*row) for row in await self._pool.fetch(_HISTORY, actor)]
