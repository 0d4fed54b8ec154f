"""Leaves notices: to an account, to the persons whom Patients are, or to the staff of an
institution, always in the transaction that makes the matter they are about.

That transaction also notes what is to leave the node, for those who have chosen a way.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import msgspec

from quanmin.base.database import Connection, Database
from quanmin.base.problems import Invalid, Sentence
from quanmin.fhir.json import encode
from quanmin.records.context import Context
from quanmin.trust.notices.kinds import NoticeKind, kernel_kinds
from quanmin.trust.notices.sealing import seal

_DAY: Final = 86_400_000_000
_DETAIL_LENGTH_MAX: Final = 200
_WORD_LENGTH_MAX: Final = 200

# A notice with a key is left once for each account; what leaves is noted in the same statement.
_LEAVE: Final = """
    with told as (
        insert into trust.notice (account, patient, is_for_another, at, kind, class, detail, words,
            matter, once, until)
        select account, patient, is_for_another, $2::bigint, $3::text, $4::text, $5::text,
            $6::bytea, $7::text, $8::text, $9::bigint
        from ({whom}) whom
        on conflict (account, kind, is_for_another, once) where once is not null do nothing
        returning id, account
    ), leaving as (
        insert into trust.pending_notice (notice, account, channel, due, is_urgent)
        select t.id, t.account, c.channel, $2::bigint, $10::boolean
        from told t join trust.contact c on c.account = t.account where $11::boolean
    )
    select count(distinct account) from told
"""
# A child has no account: who acts for somebody and may read of them is told as well.
_PERSONS: Final = """
    select a.account, min(l.patient) as patient, false as is_for_another from trust.actor a
    join people.link l on l.person = a.person
    where l.patient = any($1) and a.account is not null and a.is_active and a.role = 'resident'
    group by a.account
    union all
    select a.account, min(l.patient), true from trust.proxy p
    join people.link l on l.person = p.for_person
    join trust.actor a on a.person = p.person
    where l.patient = any($1) and p.since <= $2::bigint and p.until > $2::bigint
        and 'read' = any(p.scope)
        and a.account is not null and a.is_active and a.role = 'resident'
    group by a.account
"""
_CHARGED: Final = """
    a.role = any($12) and a.account is not null and a.is_active
    and ($13::text[] is null or exists (
        select from trust.post h where h.actor = a.code and h.duties && $13
            and h.since <= $2::bigint and h.until > $2::bigint))
"""
_STAFF: Final = f"""
    select distinct a.account, null::bigint as patient, false as is_for_another from trust.actor a
    where (a.sender = any($1::text[]) or a.sender in (
        select e.sender from trust.institution_entry e where e.code = any($1::text[])
    )) and {_CHARGED}
"""  # noqa: S608 - constants of this module
# Divisions are pairs of digits (GB/T 2260), and 00 is none: what remains is what they begin with.
_AROUND: Final = f"""
    select distinct account, null::bigint as patient, false as is_for_another from (
        select a.account, rank() over (order by length(there.own) desc) as place
        from trust.institution_entry e
        join trust.institution i
            on i.organization = e.organization and i.since <= $2::bigint and i.until > $2::bigint
        join (
            select e.sender, regexp_replace(i.region, '(00)+$', '') as own
            from trust.institution_entry e join trust.institution i using (organization)
            where i.since <= $2::bigint and i.until > $2::bigint
        ) there on starts_with(i.region, there.own) and there.own <> ''
        join trust.actor a on a.sender = there.sender
        where e.sender = any($1::text[]) and there.sender <> e.sender and {_CHARGED}
    ) around where place = 1
"""  # noqa: S608 - constants of this module
_ACCOUNT: Final = """
    select code as account, null::bigint as patient, false as is_for_another
    from trust.account where code = $1
"""
_WITHDRAW: Final = """
    update trust.notice set withdrawn_at = $3
    where matter = any($1) and kind = any($2) and withdrawn_at is null
"""


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What a notice says beyond its kind: the sealed values of its placeholders, a plain `detail`,
    the matter with which it is over, the key by which each account gets it once, and until when it
    holds (microseconds; None: as its kind says).
    """

    words: bytes | None = None
    detail: str = ""
    matter: str | None = None
    once: str | None = None
    until: int | None = None


_NOTHING: Final = About()


async def tell_persons(
    connection: Connection,
    patients: Sequence[int],
    at: int,
    kind: str | NoticeKind,
    *,
    about: About = _NOTHING,
) -> int:
    """Tell the persons whom these Patients are, and who acts for them, in the caller's transaction;
    gives to how many accounts.
    """
    return await _leave(connection, _PERSONS, ([*patients], at), kind, about)


async def tell_staff(
    connection: Connection,
    sender: str | Collection[str],
    roles: Collection[str],
    at: int,
    kind: str | NoticeKind,
    *,
    duties: Collection[str] = (),
    is_around: bool = False,
    about: About = _NOTHING,
) -> int:
    """Tell those who act for an institution, or several, by code as a sender or credit code, in
    these roles, and in a post with one of these `duties` where any are named; in the caller's
    transaction. Gives to how many accounts.

    What `is_around` goes to such people of other institutions in whose division this one lies, of
    the narrowest division that has any.
    """
    codes = [sender] if isinstance(sender, str) else sorted(sender)
    who = codes, at, sorted(roles), sorted(duties) or None
    return await _leave(connection, _AROUND if is_around else _STAFF, who, kind, about)


async def tell_account(
    database: Database,
    account: str,
    at: int,
    kind: str | NoticeKind,
    *,
    about: About = _NOTHING,
) -> int:
    """Tell an account; nothing when there is no such account."""
    return await _leave(database, _ACCOUNT, (account, at), kind, about)


async def withdraw(
    connection: Connection, matters: Collection[str], kinds: Collection[str], at: int
) -> None:
    """The matters are over: what was told of them by these kinds is listed no more, and what has
    not left the node stays.
    """
    await connection.execute(_WITHDRAW, sorted(matters), sorted(kinds), at)


async def forget_notices(connection: Connection, patients: Sequence[int]) -> None:
    """Remove what was told of these Patients, who are erased."""
    await connection.execute("delete from trust.notice where patient = any($1)", [*patients])


def sealed_words(context: Context, kind: NoticeKind, values: Mapping[str, str]) -> bytes | None:
    """The values of a kind's placeholders, as they are kept. Raises Invalid unless they are those
    that the kind has.
    """
    if values.keys() != kind.places:
        names = ", ".join(sorted(kind.places)) or "none"
        raise Invalid(
            Sentence(
                "the notice %(code)s takes these words, each once: %(names)s",
                code=kind.code,
                names=names,
            )
        )
    if any(len(value) > _WORD_LENGTH_MAX for value in values.values()):
        raise Invalid(
            Sentence(
                "a word of the notice %(code)s is longer than %(word_length_max)s letters",
                code=kind.code,
                word_length_max=_WORD_LENGTH_MAX,
            )
        )
    return seal(context, "words", encode(dict(values))) if values else None


async def _leave(
    database: Database,
    whom: str,
    who: tuple[Any, ...],
    kind: str | NoticeKind,
    about: About,
) -> int:
    known = kernel_kinds()[kind] if isinstance(kind, str) else kind
    until = about.until
    if until is None and known.days:
        until = int(who[1]) + known.days * _DAY
    done = await database.fetchval(
        _LEAVE.format(whom=whom),
        *who[:2],
        known.code,
        known.class_,
        about.detail[:_DETAIL_LENGTH_MAX],
        about.words,
        about.matter,
        about.once,
        until,
        known.is_urgent,
        known.leaves,
        *who[2:],
    )
    return int(done)
