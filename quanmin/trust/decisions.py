"""Why somebody can or cannot see something, asked by those who answer for access; each question is
in the access log, and none shows what a record says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from quanmin.base.database import Connection
from quanmin.base.problems import Forbidden, Invalid, NotFound, Problem
from quanmin.records.context import DELETED, ERASED
from quanmin.records.reading import grants_of, with_codes
from quanmin.records.rid import id_of
from quanmin.records.visibility import Everything, Facts, Visibility
from quanmin.records.visibility_sql import allows
from quanmin.trust.actors import COLUMNS, Actor, Role, actor_of
from quanmin.trust.deciding import Ground, senders_of_region
from quanmin.trust.deciding.compiling import transferable
from quanmin.trust.deciding.explaining import Answer, Case, Explaining, Finding
from quanmin.trust.deciding.grantees import Grantees
from quanmin.trust.deciding.hindsight import grants_at, row_at
from quanmin.trust.deciding.purposes import purposes_known
from quanmin.trust.desk import Desk
from quanmin.trust.reach import Scoped
from quanmin.trust.registers.definitions import institution_rule, roles
from quanmin.trust.registers.standing import Standing
from quanmin.trust.scopes import parse_scopes
from quanmin.trust.walling import claim_of

_ACTION: Final = "explain-decision"
_ASKERS: Final = frozenset({"operator", "security_administrator"})
_ACTOR: Final = f"""
    select {", ".join(f"a.{name}" for name in COLUMNS)}, a.is_active
        and k.locked_at is null and k.retired_at is null as is_active
    from trust.actor a left join trust.account k on k.code = a.account where a.code = $1
"""  # noqa: S608 - constants of this program
_INSTITUTION: Final = """
    select e.sender as code from trust.institution_entry e
    where (e.code = $1 or e.sender = $1) and e.sender is not null
    union all
    select s.code from records.sender s where s.code = $1
    union all
    select a.sender from trust.actor a where a.sender = $1
    limit 1
"""
_SUBJECTS: Final = """
    select a.code, a.role, a.sender, coalesce(i.name, '') as institution
    from trust.actor a
    left join trust.institution_entry e on e.sender = a.sender
    left join lateral (
        select n.name from trust.institution n where n.organization = e.organization
        order by n.until desc limit 1
    ) i on true
    where a.role not in ('resident', 'guardian') and (
        starts_with(lower(a.code), lower($1)) or a.sender = $1 or e.code = $1
        or strpos(lower(i.name), lower($1)) > 0
    )
    order by a.code limit $2
"""
_THERE: Final = "select true from records.record where type = $1 and rid = $2"
_NAMED: Final = "select sender, code from records.sender where sender = any($1::int[])"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Who: an `actor` by code, or anybody in a `role` at an `institution` (sender or credit code),
    or `is_self`: the person whom the record is about. What: `record` as type and id. `client` is
    the application through which they ask, `application` the one of this node on whose pages, ""
    for none; `moment` in microseconds, None for now.
    """

    record: str
    purpose: str
    actor: str = ""
    institution: str = ""
    role: str = ""
    is_self: bool = False
    client: str = ""
    application: str = ""
    moment: int | None = None


class Subject(msgspec.Struct, frozen=True):
    """Somebody about whom can be asked."""

    code: str
    role: str
    sender: str
    institution: str


class Explained(msgspec.Struct, frozen=True):
    """The answer; `senders` and `sources` name the institutions and records in it by their keys.
    `moment` is what it is as of, `is_past` whether that was not now.
    """

    asked: Asked
    actor: Actor
    answer: Answer
    moment: int
    is_past: bool
    is_deleted: bool
    senders: dict[int, str]
    sources: dict[int, str]


class Decisions(Desk):
    """Explanations for one who answers for access."""

    async def subjects(self, text: str, count: int) -> list[Subject]:
        """Staff and systems whose code begins with a text, or whose institution has it as its code
        or in its name.
        """
        await self._refuse_others()
        async with self._guard.store.glancing(self._guard.store.whole_node) as connection:
            rows = await connection.fetch(_SUBJECTS, text.strip(), count)
        return [Subject(**row) for row in rows]

    async def explain(self, asked: Asked) -> Explained:
        """Whether and why. Raises Forbidden for who does not answer for access, Invalid for a
        question that names no role, purpose or institution there is, NotFound for an unknown actor
        or record.
        """
        try:
            await self._refuse_others()
            rid, found = await self._explain(asked)
        except Problem as problem:
            await self._notes.note(_ACTION, None, problem.code)
            raise
        type_ = asked.record.partition("/")[0]
        await self._notes.put(self._notes.entry_of_keys(_ACTION, type_, "ok", [rid]))
        return found

    async def _refuse_others(self) -> None:
        await self._refuse_entrusted()
        if self._actor.role not in _ASKERS:
            raise Forbidden("decisions are explained to security administrators")

    async def _explain(self, asked: Asked) -> tuple[tuple[int, int | None], Explained]:
        if asked.purpose not in purposes_known():
            raise Invalid("there is no such purpose of use: choose one of the list")
        guard = self._guard
        now = guard.now()
        moment = now if asked.moment is None else asked.moment
        if moment > now:
            raise Invalid("what will be decided later nobody knows: give a moment that has been")
        is_past = asked.moment is not None
        async with guard.store.reading(guard.store.whole_node) as connection:
            rid, row = await self._row(connection, asked.record, moment, is_past=is_past)
            facts = guard.store.context.facts(row)
            patients = await self._person(connection, facts)
            facts = await self._granted(connection, facts, patients, moment, is_past=is_past)
            facts = await with_codes(connection, facts, rid)
            actor, obstacles = await self._subject(connection, asked, patients)
            actor = msgspec.structs.replace(actor, application=self._application(asked))
            standing = await guard.standings.at(connection, actor, moment)
            posts_required = bool(actor.code) and guard.standings.posts_required
            obstacle = standing.obstacle(actor.role, posts_required=posts_required)
            obstacles += () if obstacle is None else (_finding(*obstacle),)
            actor = standing.acting(actor)
            ground = await self._ground(connection, actor, standing, moment)
            scoped = await self._scoped(connection, actor, patients)
            leaving = transferable(standing, guard.deciding.reaching)
            if standing.transfers and not allows(leaving, facts):
                obstacles += (Finding("obstacle", "transfer"),)
            obstacles += await self._walled(actor, asked.purpose, standing, row)
            case = Case(actor, asked.purpose, ground, facts, scoped)
            answer = self._explaining().explain(case)
            answer = msgspec.structs.replace(answer, obstacles=(*obstacles, *answer.obstacles))
            named = await self._names(connection, facts, ground)
            sources = await self._sources(connection, facts)
        is_deleted = bool(row["flags"] & DELETED)
        explained = Explained(asked, actor, answer, moment, is_past, is_deleted, named, sources)
        return (rid, facts.patient), explained

    def _application(self, asked: Asked) -> str:
        brought = {rule.application for rule in self._guard.deciding.rules}
        if asked.application not in {"", *brought}:
            raise Invalid("no application of this name brings rules: leave it out")
        return asked.application

    def _explaining(self) -> Explaining:
        keying = self._guard.store.context.keying
        return Explaining(self._guard.deciding, Grantees(keying), purposes_known())

    async def _row(
        self, connection: Connection, record: str, moment: int, *, is_past: bool
    ) -> tuple[int, Any]:
        context = self._guard.store.context
        type_, _, id_ = record.strip().partition("/")
        if type_ not in context.table.types or not id_:
            raise Invalid("name the record by its type and id, as in Observation/q123")
        rid = context.rid_of(type_, id_)
        number = context.definition(type_).number
        row = None
        if rid is not None:
            row = await row_at(connection, number, rid, moment if is_past else _ALWAYS)
        if row is None or row["flags"] & ERASED:
            raise NotFound("there is no such record, or there was none at that moment")
        return rid or 0, row

    async def _person(self, connection: Connection, facts: Facts) -> list[int]:
        """All source Patients of the person whom a record is about."""
        if facts.patient is None:
            return []
        people = self._guard.people
        person = await people.person_of(connection, facts.patient)
        linked = [] if person is None else await people.patients_of(connection, person)
        return sorted({facts.patient, *linked})

    async def _granted(
        self,
        connection: Connection,
        facts: Facts,
        patients: Sequence[int],
        moment: int,
        *,
        is_past: bool,
    ) -> Facts:
        if facts.patient is None:
            return facts
        guard = self._guard
        if is_past:
            context = guard.store.context
            grants = await grants_at(connection, context, guard.people, patients, moment)
        else:
            grants = await grants_of(connection, facts.patient)
        return msgspec.structs.replace(facts, grants=grants)

    async def _subject(
        self, connection: Connection, asked: Asked, patients: Sequence[int]
    ) -> tuple[Actor, tuple[Finding, ...]]:
        if asked.is_self:
            if not patients:
                raise Invalid("the record is about nobody: name who asks")
            person = await self._guard.people.person_of(connection, patients[0])
            return Actor("", "resident", "", "", None if person is None else str(person)), ()
        if asked.actor:
            row = await connection.fetchrow(_ACTOR, asked.actor.strip())
            if row is None:
                raise NotFound("there is no account with this code")
            actor = msgspec.structs.replace(actor_of(row), client=asked.client.strip())
            is_active = row["is_active"] is not False
            return actor, () if is_active else (Finding("obstacle", "inactive"),)
        if asked.role not in roles():
            raise Invalid("say who: the code of an account, or an institution and a role")
        row = await connection.fetchrow(_INSTITUTION, asked.institution.strip())
        if row is None:
            raise NotFound("there is no institution with this code")
        role: Role = msgspec.convert(asked.role, Role)
        return Actor("", role, "", row["code"], client=asked.client.strip()), ()

    async def _ground(
        self, connection: Connection, actor: Actor, standing: Standing, moment: int
    ) -> Ground:
        code = actor.sender or f"actor:{actor.code}"
        sender = await connection.fetchval(
            "select sender from records.sender where code = $1", code
        )
        patients: Sequence[int] = ()
        if actor.role == "resident" and actor.person is not None:
            patients = await self._guard.people.patients_of(connection, int(actor.person))
        region: frozenset[int] = frozenset()
        if standing.region:
            region = await senders_of_region(connection, standing.region, moment)
        registers = await connection.fetch(
            "select sender from records.sender where code = any($1::text[])",
            sorted(institution_rule().register.senders),
        )
        return Ground(
            sender or 0,
            frozenset(patients),
            region,
            moment,
            registers=frozenset(row["sender"] for row in registers),
            addresses=frozenset({actor.sender, actor.place.institution} - {""}),
        )

    async def _scoped(
        self, connection: Connection, actor: Actor, patients: Sequence[int]
    ) -> Visibility:
        """What the application reaches with all its scopes, launched with this very patient."""
        if not actor.client:
            return Everything()
        scopes = await connection.fetchval(
            "select scopes from trust.client where code = $1 and is_active", actor.client
        )
        if scopes is None:
            raise NotFound("there is no active application with this code")
        context = self._guard.store.context
        return Scoped(parse_scopes(scopes), context, frozenset(patients)).visibility("r")

    async def _walled(
        self, actor: Actor, purpose: str, standing: Standing, row: Any
    ) -> tuple[Finding, ...]:
        """Whether the database shows the asker's tenant this row at all."""
        store = self._guard.store
        wall = await store.wall(claim_of(actor, purpose, standing), standing.walls)
        if wall is None:
            return ()
        async with store.glancing(wall) as connection:
            is_there = await connection.fetchval(_THERE, row["type"], row["rid"])
        return () if is_there else (Finding("obstacle", "tenant"),)

    async def _names(self, connection: Connection, facts: Facts, ground: Ground) -> dict[int, str]:
        rows = await connection.fetch(_NAMED, [facts.sender, ground.sender])
        return {row["sender"]: row["code"] for row in rows}

    async def _sources(self, connection: Connection, facts: Facts) -> dict[int, str]:
        """What grants rest on, by type and id; by the type alone where the sender chose the id."""
        context = self._guard.store.context
        sources = [one.source for one in facts.grants]
        rows = await connection.fetch(
            "select rid, type from records.record where rid = any($1::bigint[])", sources
        )
        named = {}
        for row in rows:
            type_ = context.named(row["type"]).name
            id_ = id_of(row["rid"], context.prefix) if row["rid"] > 0 else ""
            named[row["rid"]] = f"{type_}/{id_}" if id_ else type_
        return named


def _finding(code: str, more: str) -> Finding:
    """What keeps an actor from acting, by the register."""
    return Finding("obstacle", code, {"state": more, "licences": more})


_ALWAYS: Final = (1 << 63) - 1
