"""The desk of petitions: residents ask, institutions answer, whoever stands above decides appeals.

Every step is one transaction with its entry in the access log; who may take which step in which
state stands in the definition.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from quanmin.base.database import Connection
from quanmin.base.problems import (
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    Issue,
    NotFound,
    Problem,
    Sentence,
)
from quanmin.fhir.json import decode
from quanmin.records.context import DELETED, ROW
from quanmin.records.model import Outcome, Stored
from quanmin.records.operation import Change, Operation, Sender
from quanmin.records.reading import read
from quanmin.records.visibility import Everything
from quanmin.trust.consent_giving import refuse_ungiven
from quanmin.trust.deciding import senders_of_region
from quanmin.trust.desk import Desk
from quanmin.trust.lifecycle.denials import FILED, denial, ended, holds
from quanmin.trust.lifecycle.erasing import erase_patients_of
from quanmin.trust.lifecycle.petition_erasing import erasable, patients_here
from quanmin.trust.lifecycle.petition_filing import (
    Filing,
    Finding,
    Registration,
    has_taken_part,
    refuse_others,
    refuse_wordless,
)
from quanmin.trust.lifecycle.petition_lists import (
    Counted,
    Scope,
    Waiting,
    Wanted,
    counted,
    listed,
    open_count,
)
from quanmin.trust.lifecycle.petition_record import (
    STATEMENT,
    TASK,
    Petition,
    Taken,
    read_task,
    words_of,
    write_statement,
    write_task,
)
from quanmin.trust.lifecycle.petition_rules import Side, Step, petition_rules
from quanmin.trust.lifecycle.retention_rules import Keeping, keepings
from quanmin.trust.lifecycle.wishes import Wishes
from quanmin.trust.notices import tell_persons, tell_staff

_DAY: Final = 86_400_000_000
_ALL: Final = Everything()
_STATED: Final = f"""
    select {ROW} from records.record r
    join trust.statement t on t.communication = r.rid
    where t.about = $1 and t.type = $2 and r.type = $3 and r.flags & {DELETED} = 0
    order by r.updated
"""  # noqa: S608 - constants of this program


__all__ = ["Counted", "Filing", "Opened", "Petitions", "Registration", "Waiting", "Wanted"]


_NAMED: Final = """
    select name from trust.institution where sender = $1 and since <= $2 and until > $2
"""


class Statement(msgspec.Struct, frozen=True):
    """What a person says of a record; when, in microseconds."""

    id: str
    at: int
    words: str


class Opened(msgspec.Struct, frozen=True):
    """A petition as one actor has it before them: on which side they stand, what they may do now,
    what the register calls the institution that answers (else its code), for one that asks for
    erasure what the law keeps until when, and whether other institutions are refused by it.
    """

    petition: Petition
    side: Side
    steps: tuple[Step, ...]
    named: str
    kept: tuple[Keeping, ...] = ()
    is_denied: bool = False


class Petitions(Desk):
    """What one actor asks or answers in one request."""

    @property
    def _finding(self) -> Finding:
        return Finding(self._guard, self._notes, self._actor, self._purpose)

    @property
    def _proxy(self) -> str:
        """The name of who acts for another; "" for who asks for themselves, or answers."""
        return self._actor.name if self._actor.acting is not None else ""

    async def _refuse_onlooker(self) -> None:
        if self._actor.acting is not None and not await self._finding.asked_for():
            raise Forbidden(
                "you act for this person to see their record, and not to decide: what is asked in"
                " their name takes a proxy that covers consents"
            )

    async def registrations(self) -> list[Registration]:
        """Where the asker is registered. Raises Forbidden for who does not ask for themselves, or
        may not decide for the person they act for.
        """
        refuse_others(self._actor.role)
        await self._refuse_onlooker()
        return await self._finding.registrations()

    async def file(self, filing: Filing) -> str:
        """File a petition; gives its id. An objection or restriction is carried out at once: from
        the commit on other institutions are refused. Raises Invalid or NotFound for what cannot be
        asked, Forbidden for who may not ask.
        """
        refuse_others(self._actor.role)
        await self._guard.standings.of(self._actor)
        kind = petition_rules().kind_of(filing.kind)
        if kind is None:
            codes = ", ".join(one.code for one in petition_rules().kind)
            raise Invalid(Sentence("choose what is asked for: %(codes)s", codes=codes))
        await self._refuse_onlooker()
        refuse_wordless(filing, kind)
        target = await self._finding.target(filing, kind)
        now, step = self._guard.now(), petition_rules().step_of("file")
        petition = Petition(
            kind=kind.code,
            state="received",
            patient_id=target.patient_id,
            answerer=target.answerer,
            about=target.about,
            seen=target.seen,
            filed=now,
            due=None if step is None else _due(step, now),
            wrong=filing.wrong.strip(),
            should=filing.should.strip(),
            evidence=filing.evidence.strip(),
            taken=(Taken("file", now, "asker", "", self._proxy),),
        )
        operations = []
        if kind.brings == "denial":
            petition = msgspec.structs.replace(petition, denial=FILED)
            instant = self._guard.store.context.instant(now)
            operations.append(denial(target.patient_id, filing, kind, instant))
        operations.insert(0, Operation(kind="create", type=TASK, body=self._task(petition)))
        outcomes = await self._write("file-petition", operations, await self._own_number())
        filed = outcomes[0]
        assert filed is not None  # noqa: S101 - a creation has an outcome
        return filed.stored.id

    async def listed(
        self,
        *,
        wanted: Wanted | None = None,
        after: tuple[int, int] | None = None,
        count: int,
    ) -> Sequence[Waiting]:
        """The petitions that concern the actor, what is due first before all. Whoever only watches
        sees them all, without whose they are.
        """
        scope, is_watching = await self._scope()
        async with self._guard.store.glancing(self._guard.store.whole_node) as connection:
            found = await listed(
                connection,
                scope,
                self._guard.now(),
                wanted=wanted or Wanted(),
                after=after,
                count=count,
            )
        if is_watching:
            return [msgspec.structs.replace(one, patient=None) for one in found]
        keys = [(one.task, one.patient) for one in found]
        await self._notes.put(self._notes.entry_of_keys("search", TASK, "ok", keys))
        return found

    async def counted(self) -> Sequence[Counted]:
        """How many there are by institution, kind and state, and how many are late."""
        scope, _ = await self._scope()
        async with self._guard.store.glancing(self._guard.store.whole_node) as connection:
            return await counted(connection, scope, self._guard.now())

    async def open_count(self, count_max: int) -> tuple[int, int]:
        """How many of those of `listed` have no answer yet and how many are late, up to one beyond
        a number.
        """
        scope, _ = await self._scope()
        async with self._guard.store.glancing(self._guard.store.whole_node) as connection:
            return await open_count(connection, scope, self._guard.now(), count_max=count_max)

    async def open(self, id_: str) -> Opened:
        """One petition. Raises NotFound alike for what is not there and not for the actor."""
        try:
            stored, petition, side = await self._open(id_)
        except Problem as problem:
            await self._notes.note("read", TASK, problem.code)
            raise
        kept: tuple[Keeping, ...] = ()
        if _brings(petition) == "erasure":
            kept = await self._kept(petition)
        await self._notes.note("read", TASK, "ok", (stored,))
        is_bound = await self._obstacle(petition) is None
        steps = tuple(
            one
            for one in petition_rules().step
            if _fits(one, petition, side) and not (is_bound and _is_against_appeal(one, petition))
        )
        if side == "asker" and not await self._finding.asked_for():
            steps = ()
        async with self._guard.store.glancing() as connection:
            named = await connection.fetchval(_NAMED, petition.answerer, self._guard.now())
        is_denied = await holds(self._guard, petition)
        return Opened(petition, side, steps, str(named or petition.answerer), kept, is_denied)

    async def take(
        self, id_: str, code: str, words: str = "", *, institution: str = ""
    ) -> Petition | Wishes:
        """Take a step; gives the petition as it is then, or, when it was erased with its person,
        what became of what they had permitted and refused.

        Raises Forbidden for a step of another side, for whoever asked themselves or would judge an
        answer of their own; Conflict for one that the state does not allow, that the law forbids,
        or that something else must come before; Invalid for missing words.
        """
        step = petition_rules().step_of(code)
        stored, petition, side = await self._open(id_)
        try:
            if step is None or not _is_on(step, petition, side):
                raise Forbidden("this step is not yours to take")
            self._refuse_untimely(step, petition)
            if side == "asker":
                await self._refuse_onlooker()
            await self._refuse_partial(step, petition)
            await self._refuse_unbinding(step, petition)
            words = _sane(words, is_needed=step.needs)
            if code == "grant" and _brings(petition) == "erasure":
                return await self._erase(petition)
            after = await self._after(petition, step, words, institution)
        except Problem as problem:
            await self._notes.note("answer-petition", TASK, problem.code, (stored,))
            raise
        operations = [
            Operation(
                kind="update",
                type=TASK,
                id=after.id,
                body=self._task(after),
                if_match=stored.version,
            )
        ]
        number = await self._own_number()
        if code == "state":
            number = await self._guard.store.sender(petition.answerer)
            instant = self._guard.store.context.instant(after.taken[-1].at)
            body = write_statement(petition, words, instant)
            operations.append(Operation(kind="create", type=STATEMENT, body=body))
        if code == "withdraw":
            operations += await ended(self._guard, petition)
        await self._write("answer-petition", operations, number)
        return after

    async def statements(self, type_: str, id_: str) -> list[Statement]:
        """What the person says of a record that was not corrected; for whoever may read the record,
        and nothing of one that has been deleted. Raises NotFound.
        """
        guard = self._guard
        _, rights = await guard.rights(self._actor, self._purpose, "r", type_)
        try:
            stored = await guard.store.glance(rights.readable, type_, id_, rights.wall)
        except Gone:
            return []
        context = guard.store.context
        async with guard.store.glancing(guard.store.whole_node) as connection:
            rows = await connection.fetch(
                _STATED,
                stored.rid,
                context.definition(type_).number,
                context.definition(STATEMENT).number,
            )
            found = await context.open(connection, rows) if rows else []
        if found:
            await self._notes.note("read", STATEMENT, "ok", found)
        return [
            Statement(one.id, one.updated, words_of(decode(one.body or b"{}"))) for one in found
        ]

    async def _scope(self) -> tuple[Scope, bool]:
        roles, actor = petition_rules().roles, self._actor
        standing = await self._guard.standings.of(actor)
        if actor.role in roles.asker:
            return Scope(patients=await self._finding.patients()), False
        await self._refuse_entrusted()
        if actor.role in roles.answerer:
            return Scope(answerer=await self._own_number()), False
        if actor.role in roles.overseer:
            async with self._guard.store.glancing(self._guard.store.whole_node) as connection:
                region = await senders_of_region(connection, standing.region, self._guard.now())
            return Scope(region=tuple(sorted(region))), False
        if actor.role in roles.watcher:
            return Scope(), True
        raise Forbidden("petitions are between residents and those who answer them")

    async def _open(self, id_: str) -> tuple[Stored, Petition, Side]:
        """A petition and the side on which the actor stands. Raises NotFound."""
        context = self._guard.store.context
        side = petition_rules().roles.side(self._actor.role)
        scope, is_watching = await self._scope()
        if side is None or is_watching:
            raise Forbidden("what a petition says is between the person and those who answer it")
        async with self._guard.store.reading(self._guard.store.whole_node) as connection:
            try:
                stored = await read(connection, context, _ALL, TASK, id_)
            except Gone as gone:
                raise NotFound(_NONE) from gone
            row = await connection.fetchrow(
                "select patient, answerer, state, due from trust.petition where task = $1",
                stored.rid,
            )
            petition = read_task(stored, context.zone)
            if row is None or petition is None:
                raise NotFound(_NONE)
            is_placed = await _is_placed(connection, row["answerer"])
        concerns = {
            "asker": row["patient"] in (scope.patients or ()),
            "answerer": scope.answerer is not None and row["answerer"] == scope.answerer,
            "overseer": (row["answerer"] in (scope.region or ()) or not is_placed)
            and self._is_above(petition),
        }
        if not concerns[side]:
            raise NotFound(_NONE)
        return stored, petition, side

    def _is_above(self, petition: Petition) -> bool:
        """Whether a petition concerns who stands above: nobody else answers, it was appealed or
        forwarded, or its answer is late.
        """
        state, now = petition_rules().state_of(petition.state), self._guard.now()
        steps = {one.step for one in petition.taken}
        is_late = state.is_open and petition.due is not None and petition.due < now
        return not petition.answerer or bool(steps & {"appeal", "forward"}) or is_late

    def _refuse_untimely(self, step: Step, petition: Petition) -> None:
        if petition.state not in step.from_:
            state = petition_rules().state_of(petition.state)
            raise Conflict(
                Sentence("the petition is in the state “%(state)s”: look at it again", state=state)
            )
        if step.code == "appeal" and petition.due is not None and petition.due < self._guard.now():
            raise Conflict("the time for an appeal is over: file a new petition")
        if step.code == "state" and (not petition.about or _about_entry(petition)):
            raise Conflict("a statement is attached to a record, and this petition is about none")

    async def _refuse_partial(self, step: Step, petition: Petition) -> None:
        roles = petition_rules().roles
        parties: frozenset[str] = frozenset()
        if step.by != "asker":
            parties = roles.asker
        if step.by == "overseer":
            parties |= roles.answerer if petition.answerer else roles.answerer | roles.overseer
        async with self._guard.store.glancing(self._guard.store.whole_node) as connection:
            if parties and await has_taken_part(connection, petition, parties, self._actor.code):
                raise Forbidden(
                    "nobody answers their own petition, or judges an answer that they gave: it is"
                    " for somebody else of your side"
                )

    async def _refuse_unbinding(self, step: Step, petition: Petition) -> None:
        """An appeal is upheld of what can be done, and then it is done."""
        if step.code == "overturn":
            obstacle = await self._obstacle(petition)
            if obstacle is not None:
                raise obstacle
        if _is_against_appeal(step, petition) and await self._obstacle(petition) is None:
            raise Conflict("the appeal was upheld: do what is asked for, and grant it")

    async def _after(
        self, petition: Petition, step: Step, words: str, institution: str
    ) -> Petition:
        """The petition after a step."""
        now = self._guard.now()
        result, answerer = petition.result, petition.answerer
        if step.code == "grant" and _brings(petition) == "version":
            result = await self._changed(petition)
        if step.code == "forward" and institution:
            answerer = await self._known_institution(institution)
        if step.code == "forward" and not answerer:
            raise Invalid("say to which institution it goes: by its code in the register")
        by = "asker" if step.by == "asker" else self._actor.sender or self._actor.role
        return msgspec.structs.replace(
            petition,
            state=step.to or petition.state,
            due=petition.due if step.to is None else _due(step, now),
            answerer=answerer,
            result=result,
            taken=(*petition.taken, Taken(step.code, now, by, words, self._proxy)),
        )

    async def _changed(self, petition: Petition) -> str:
        """The version by which the institution has corrected its record. Raises Conflict before."""
        type_, _, id_ = petition.about.partition("/")
        try:
            stored = await self._guard.store.glance(_ALL, type_, id_, self._guard.store.whole_node)
        except Gone:
            return petition.about
        if stored.version <= petition.seen:
            raise Conflict(
                "the record is as it was: correct it first, and the new version is linked here"
            )
        return f"{petition.about}/_history/{stored.version}"

    async def _known_institution(self, code: str) -> str:
        async with self._guard.store.glancing(self._guard.store.whole_node) as connection:
            found = await connection.fetchval(
                "select coalesce(max(e.sender), max(s.code)) from records.sender s"
                " left join trust.institution_entry e on e.sender = s.code or e.code = $1"
                " where s.code = $1 or e.code = $1",
                code,
            )
        if found is None or str(found).startswith("actor:"):
            raise Invalid("no institution has this code: look it up in the register")
        return str(found)

    async def _kept(self, petition: Petition) -> tuple[Keeping, ...]:
        """What the law keeps of the records that an erasure would take."""
        async with self._guard.store.glancing(self._guard.store.whole_node) as connection:
            context = self._guard.store.context
            patients = await patients_here(connection, context, petition)
            found = await keepings(connection, context, patients)
        return tuple(one for one in found if one.until > self._guard.now())

    async def _obstacle(self, petition: Petition) -> Conflict | None:
        """What keeps the institution from doing what is asked, if it is an erasure."""
        if _brings(petition) != "erasure":
            return None
        async with self._guard.store.glancing(self._guard.store.whole_node) as connection:
            try:
                await erasable(connection, self._guard.store.context, petition, self._guard.now())
            except Conflict as obstacle:
                return obstacle
        return None

    async def _erase(self, petition: Petition) -> Wishes:
        """Erase what the institution holds of the person. Raises Conflict as `erasable` does."""
        guard = self._guard

        async def choose(connection: Connection) -> list[int]:
            return await erasable(connection, guard.store.context, petition, guard.now())

        async def also(connection: Connection, _changes: Sequence[Change]) -> None:
            await connection.execute(
                "update trust.petition set state = 'granted', is_open = false, moved = $2"
                " where task = $1",
                petition.rid,
                guard.now(),
            )

        return await erase_patients_of(guard, self._notes, choose, also)

    def _task(self, petition: Petition) -> bytes:
        return write_task(petition, self._guard.store.context.instant)

    async def _own_number(self) -> int:
        actor = self._actor
        return await self._guard.store.sender(actor.sender or f"actor:{actor.code}")

    async def _write(
        self, action: str, operations: Sequence[Operation], number: int
    ) -> list[Outcome | None]:
        guard, notes = self._guard, self._notes

        async def note(connection: Connection, outcomes: Sequence[Outcome | None]) -> None:
            written = [one.stored for one in outcomes if one is not None]
            if self._actor.role in petition_rules().roles.asker:
                await refuse_ungiven(guard, connection, self._actor, written)
            await self._tell(connection, written[0])
            await notes.put_in(connection, [notes.entry(action, TASK, "ok", written)])

        outcomes = await guard.store.write(
            # A petition lies between a resident and an institution, whatever tenant that is of.
            Sender(number, _ALL, _ALL, wall=guard.store.whole_node),
            operations,
            note,
        )
        notes.settle()
        return outcomes

    async def _tell(self, connection: Connection, task: Stored) -> None:
        """Tell the other side that there is something new; not what."""
        rules, now = petition_rules(), self._guard.now()
        petition = read_task(task, self._guard.store.context.zone)
        if self._actor.role not in rules.roles.asker:
            await tell_persons(connection, [task.facts.patient or 0], now, "petition-moved")
        elif petition is not None and petition.answerer:
            roles = rules.roles.answerer
            await tell_staff(connection, petition.answerer, roles, now, "petition-filed")


_NONE: Final = Sentence("there is no such petition, or none that you may know of")


def _due(step: Step, now: int) -> int | None:
    return None if step.clock is None else now + petition_rules().clocks[step.clock] * _DAY


def _brings(petition: Petition) -> str:
    kind = petition_rules().kind_of(petition.kind)
    return "nothing" if kind is None else kind.brings


def _about_entry(petition: Petition) -> bool:
    kind = petition_rules().kind_of(petition.kind)
    return kind is not None and kind.about == "entry"


def _is_on(step: Step, petition: Petition, side: Side) -> bool:
    """Whether a step is this side's: where no institution answers, who stands above does."""
    stands_in = side == "overseer" and step.by == "answerer" and not petition.answerer
    return step.by == side or stands_in


def _fits(step: Step, petition: Petition, side: Side) -> bool:
    if step.code == "state" and (not petition.about or _about_entry(petition)):
        return False
    return _is_on(step, petition, side) and petition.state in step.from_


def _is_against_appeal(step: Step, petition: Petition) -> bool:
    return step.code == "refuse" and petition.state == "overturned"


def _sane(words: str, *, is_needed: bool) -> str:
    head, words = petition_rules().definition, words.strip()
    if (is_needed or words) and not head.letters_min <= len(words) <= head.letters_max:
        text = Sentence(
            "say why, in %(letters_min)s to %(letters_max)s letters",
            letters_min=head.letters_min,
            letters_max=head.letters_max,
        )
        raise Invalid(text, issues=(Issue("error", "value", text, "words"),))
    return words


async def _is_placed(connection: Connection, sender: int | None) -> bool:
    """Whether the register says of which region an institution is."""
    return bool(
        await connection.fetchval(
            "select true from records.sender s join trust.institution_entry e on e.sender = s.code"
            " where s.sender = $1",
            sender,
        )
    )
