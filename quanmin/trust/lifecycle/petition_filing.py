"""Finds out what a petition is about and who answers it, through the eyes of who files it."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Final

import msgspec

from quanmin.base.problems import Forbidden, Invalid, Issue, NotFound, Problem, Sentence
from quanmin.records.context import DELETED
from quanmin.records.reading import read_patient
from quanmin.records.rid import id_of
from quanmin.records.visibility import Everything
from quanmin.trust.lifecycle.petition_rules import Kind, petition_rules
from quanmin.trust.log.audit_event import TYPE as ENTRY
from quanmin.trust.log.audit_event import entry_of_id
from quanmin.trust.log.reading import LogReading

if TYPE_CHECKING:
    from quanmin.base.database import Connection
    from quanmin.trust.actors import Actor
    from quanmin.trust.guarding import Guarding
    from quanmin.trust.lifecycle.petition_record import Petition
    from quanmin.trust.log import Notes

_REGISTERED: Final = f"""
    select r.rid, r.sender, s.code, coalesce(i.name, s.code) as name
    from records.record r
    join records.sender s using (sender)
    left join trust.institution_entry e on e.sender = s.code
    left join trust.institution i on i.organization = e.organization
        and i.since <= $2 and i.until > $2
    where r.patient = any($1) and r.rid = any($1) and r.flags & {DELETED} = 0
    order by 4, 1
"""  # noqa: S608 - constants of this program
_LOOKED: Final = """
    select coalesce(a.sender, '') as sender, e.patients from trust.access e
    left join trust.actor a on a.code = e.actor where e.lane = $1 and e.n = $2
"""


# What the log says holds for as long as a petition can be open: its clocks are shorter.
_TOOK_PART: Final = """
    with whose as not materialized (
        select a.code, coalesce(encode(c.holder, 'hex'), a.account, a.code) as who
        from trust.actor a left join trust.account c on c.code = a.account
    )
    select exists (
        select from trust.access e left join whose on whose.code = e.actor
        where e.patients && array[$1::bigint] and e.records @> array[$2::bigint]
            and e.action = any($3) and e.outcome = 'ok' and e.role = any($4)
            and coalesce(whose.who, e.actor)
                = coalesce((select m.who from whose m where m.code = $5), $5))
"""
_STEPS: Final = ("file-petition", "answer-petition")


class Filing(msgspec.Struct, frozen=True):
    """What a form says: a kind, what it is about (`Type/id`), the institution it goes to where it
    is about nothing else, texts, and to which uses (purposes) somebody objects.
    """

    kind: str
    about: str = ""
    institution: str = ""
    wrong: str = ""
    should: str = ""
    evidence: str = ""
    uses: tuple[str, ...] = ()


class Registration(msgspec.Struct, frozen=True):
    """A Patient that the asker is: its key, and the institution that registered it."""

    patient: int
    sender: int
    code: str
    name: str


class Target(msgspec.Struct, frozen=True):
    """Whose petition it becomes, who answers ("" for who stands above), and of which version of
    what it speaks.
    """

    patient: int
    patient_id: str
    answerer: str
    about: str = ""
    seen: int = 0


class Finding:
    """For one asker in one request."""

    def __init__(self, guard: Guarding, notes: Notes, actor: Actor, purpose: str) -> None:
        self._guard = guard
        self._notes = notes
        self._actor = actor
        self._purpose = purpose

    async def patients(self) -> tuple[int, ...]:
        """The Patients that the asker is, or whose record they may see for them."""
        return tuple(sorted(await self._guard.patients_of(self._actor)))

    async def asked_for(self) -> tuple[int, ...]:
        """Those of them for whom the asker may decide: who may see only asks nothing."""
        return tuple(sorted(await self._guard.patients_of(self._actor, "consent")))

    async def registrations(self) -> list[Registration]:
        """Where the asker is registered: the institutions that can be asked."""
        async with self._guard.store.glancing(self._guard.store.whole_node) as connection:
            patients = [*await self.asked_for()]
            rows = await connection.fetch(_REGISTERED, patients, self._guard.now())
        return [Registration(row["rid"], row["sender"], row["code"], row["name"]) for row in rows]

    async def target(self, filing: Filing, kind: Kind) -> Target:
        """What the petition is about. Raises NotFound or Invalid for what it cannot be about,
        alike for what is not there and what is not the asker's.
        """
        if kind.about == "entry":
            return await self._entry(filing)
        if filing.about:
            return await self._record(filing)
        if kind.about == "record":
            raise Invalid("name the record: open it and begin from there")
        found = [one for one in await self.registrations() if one.code == filing.institution]
        if not found:
            raise Invalid("choose one of the institutions where you are registered")
        one = found[0]
        return Target(one.patient, await self._id(one.patient), one.code)

    async def _record(self, filing: Filing) -> Target:
        type_, _, id_ = filing.about.partition("/")
        guard = self._guard
        _, rights = await guard.rights(self._actor, self._purpose, "r", type_)
        try:
            stored = await guard.store.glance(rights.readable, type_, id_, rights.wall)
            if stored.facts.patient not in await self.asked_for():
                raise NotFound("there is no such record, or none that you may know of")
        except Problem as problem:
            await self._notes.note("file-petition", type_, problem.code)
            raise
        async with guard.store.glancing(guard.store.whole_node) as connection:
            code = await connection.fetchval(
                "select code from records.sender where sender = $1", stored.facts.sender
            )
        if str(code).startswith("actor:"):
            raise Invalid("this record is your own: change it yourself, or withdraw it")
        patient = stored.facts.patient or 0
        about = f"{type_}/{stored.id}"
        return Target(patient, await self._id(patient), code, about, stored.version)

    async def _entry(self, filing: Filing) -> Target:
        type_, _, id_ = filing.about.partition("/")
        place = entry_of_id(id_) if type_ == ENTRY else None
        if place is None:
            raise Invalid("name the access: begin from the list of who has looked")
        await LogReading(self._guard, self._notes, self._actor).read("read", place)
        async with self._guard.store.glancing(self._guard.store.whole_node) as connection:
            row = await connection.fetchrow(_LOOKED, place.lane, place.number)
        own = set(await self.asked_for())
        mine = sorted(own.intersection(row["patients"] or ())) if row else []
        if row is None or not mine:
            raise NotFound("there is no such record, or none that you may know of")
        if row["sender"]:  # one that never sent anything has no number yet, and so no list
            await self._guard.store.sender(row["sender"])
        return Target(mine[0], await self._id(mine[0]), row["sender"], f"{ENTRY}/{id_}")

    async def _id(self, patient: int) -> str:
        return await id_of_patient(self._guard, patient)


async def id_of_patient(guard: Guarding, patient: int) -> str:
    """The id of a Patient by its key. Raises NotFound for one that is not here."""
    context = guard.store.context
    if patient > 0:
        return id_of(patient, context.prefix)
    async with guard.store.glancing(guard.store.whole_node) as connection:
        return (await read_patient(connection, context, Everything(), patient)).id


async def has_taken_part(
    connection: Connection, petition: Petition, roles: Collection[str], actor: str
) -> bool:
    """Whether who acts as this actor has filed a petition, or taken a step of it, in one of these
    roles, by whatever post or account.
    """
    bound = (petition.patient, petition.rid, [*_STEPS], [*roles], actor)
    return bool(await connection.fetchval(_TOOK_PART, *bound))


def refuse_wordless(filing: Filing, kind: Kind) -> None:
    """Raises Invalid for a text that is missing, too short or too long."""
    head = petition_rules().definition
    needed = dict.fromkeys(kind.fields, True) | {
        name: False for name in ("wrong", "should", "evidence") if name not in kind.fields
    }
    for name, is_needed in needed.items():
        length = len(getattr(filing, name).strip())
        is_short = length < head.letters_min and (is_needed or length > 0)
        if is_short or length > head.letters_max:
            text = Sentence(
                "write %(letters_min)s to %(letters_max)s letters, in plain words",
                letters_min=head.letters_min,
                letters_max=head.letters_max,
            )
            raise Invalid(text, issues=(Issue("error", "value", text, name),))


def refuse_others(role: str) -> None:
    """Raises Forbidden for whoever does not ask for themselves."""
    if role not in petition_rules().roles.asker:
        raise Forbidden("petitions are filed by residents, or by who answers for them")
