"""Incidents: what of the access log they concern, whom, what was done, and by when it must be.

Only numbers come out of it: who the persons are is asked of nobody here. The scope is counted in
the background, some entries of a lane at a time, so that a log of years is no request, and no step
of a job without end.
"""

from __future__ import annotations

import tomllib
from collections.abc import AsyncIterator, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final

import msgspec

from quanmin.base.database import Connection
from quanmin.base.jobs import Continue, Done, Job, Kind, put
from quanmin.base.node_keys import SealedColumn
from quanmin.base.problems import Conflict, Forbidden, Invalid, Issue, NotFound, Sentence
from quanmin.records.context import Context
from quanmin.trust.desk import Desk
from quanmin.trust.lifecycle.containment import count_stopped, known_senders, release, stop
from quanmin.trust.notices import About, tell_persons

COUNT: Final = "count-incident"
TELL: Final = "tell-incident"
PATIENTS_A_STEP: Final = 5000
ENTRIES_A_STEP: Final = 500_000
_PURPOSE: Final = "incident"
_PLACE: Final = b"incident"
_HOUR: Final = 3_600_000_000
_SCOPE: Final = """
    from trust.access a, trust.incident i
    where i.incident = $1 and a.lane = $2 and a.at >= i.since and a.at < i.until
        and (a.actor = any(i.actors) or a.client = any(i.clients)
            or a.actor in (select c.code from trust.actor c where c.sender = any(i.senders)))
"""
_PATIENTS: Final = f"""
    insert into trust.incident_patient (incident, patient, entries)
    select $1, p.patient, count(*)
    from (select a.patients {_SCOPE} and a.n >= $3 and a.n < $4) e,
        unnest(e.patients) as p (patient)
    group by p.patient
    on conflict (incident, patient) do update
        set entries = trust.incident_patient.entries + excluded.entries
"""  # noqa: S608 - constants of this module
_KINDS: Final = f"""
    insert into trust.incident_kind (incident, type, action, entries, records)
    select $1, coalesce(a.type, ''), a.action, count(*), sum(a.hits) {_SCOPE}
        and a.n >= $3 and a.n < $4
    group by 2, 3
    on conflict (incident, type, action) do update
        set entries = trust.incident_kind.entries + excluded.entries,
            records = trust.incident_kind.records + excluded.records
"""  # noqa: S608 - constants of this module
_ENTRIES: Final = f"""
    select a.lane, a.n, a.at, a.actor, a.role, a.purpose, a.action, a.type, a.outcome, a.hits
    {_SCOPE} and a.n > $3 order by a.n limit $4
"""
_NUMBERS: Final = """
    select count(*) as patients, count(distinct coalesce(l.person, -p.patient)) as persons
    from trust.incident_patient p left join people.link l using (patient) where p.incident = $1
"""
_UNTOLD: Final = """
    select patient from trust.incident_patient where incident = $1 and not is_told
    order by patient limit $2
"""


_OPEN: Final = """
    select count(*) as number, count(*) filter (where late) as late
    from (select (reported_at is null and opened_at < $1) or (told_at is null and opened_at < $2)
            as late
        from trust.incident where closed_at is null order by opened_at limit $3) open
"""


class Word(msgspec.Struct, frozen=True):
    """A code with its words."""

    code: str
    zh: str
    en: str


class _Head(msgspec.Struct, frozen=True):
    letters_min: int
    letters_max: int
    notice_letters_max: int


class _Roles(msgspec.Struct, frozen=True):
    keeps: frozenset[str]


class IncidentRules(msgspec.Struct, frozen=True):
    """The definition, read."""

    definition: _Head
    roles: _Roles
    clocks: dict[str, int]
    part: tuple[Word, ...]
    step: tuple[Word, ...]


class Scope(msgspec.Struct, frozen=True):
    """What of the log it concerns: from when until before when (microseconds), whose entries: of
    actors, of clients, of the actors of institutions (codes).
    """

    since: int
    until: int
    actors: tuple[str, ...] = ()
    clients: tuple[str, ...] = ()
    senders: tuple[str, ...] = ()


class Taken(msgspec.Struct, frozen=True):
    """A step that was taken."""

    at: int
    by: str
    step: str
    words: str


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """One incident. `parts` are what a report says, by their codes; moments are microseconds."""

    incident: int
    opened_at: int
    opened_by: str
    title: str
    parts: dict[str, str]
    scope: Scope
    counted_at: int | None
    reported_at: int | None
    told_at: int | None
    told_accounts: int | None
    closed_at: int | None

    def due(self, clock: str) -> int:
        """When the authority must have been told, or the persons."""
        return self.opened_at + incident_rules().clocks[clock] * _HOUR

    def is_late(self, clock: str, now: int) -> bool:
        """Whether that is over and was not done."""
        done = self.reported_at if clock == "report" else self.told_at
        return done is None and self.due(clock) < now


class Numbers(msgspec.Struct, frozen=True):
    """What was found within the scope: Patients, persons, and (type, action, entries, records);
    and how many actors and clients are stopped now.
    """

    patients: int
    persons: int
    kinds: tuple[tuple[str, str, int, int], ...]
    stopped: int


class Entry(msgspec.Struct, frozen=True):
    """An entry of the log within the scope, without whose records it touched."""

    lane: int
    n: int
    at: int
    actor: str
    role: str
    purpose: str
    action: str
    type: str | None
    outcome: str
    hits: int


@cache
def incident_rules() -> IncidentRules:
    """The definition in force."""
    file = files("quanmin.definitions").joinpath("lifecycle", "incidents.toml")
    return msgspec.convert(tomllib.loads(file.read_text("utf-8")), IncidentRules)


class Incidents(Desk):
    """The incidents of a node, for those who keep them."""

    async def open_count(self, count_max: int) -> tuple[int, int]:
        """How many are not closed, and of how many a clock has run out, up to one beyond a
        number. Raises Forbidden.
        """
        await self._refuse()
        now, clocks = self._guard.now(), incident_rules().clocks
        due = [now - clocks[name] * _HOUR for name in ("report", "tell")]
        async with self._guard.store.glancing() as connection:
            row = await connection.fetchrow(_OPEN, *due, count_max + 1)
        return (0, 0) if row is None else (int(row["number"]), int(row["late"]))

    async def open(self, title: str, parts: dict[str, str], scope: Scope) -> int:
        """Open an incident and begin to count what its scope concerns; gives its number. Raises
        Invalid for a scope that names nobody or somebody who is not known, or texts that say too
        little.
        """
        await self._refuse()
        told = {"title": _sane(title, "title")} | {
            code: _sane(words, code) for code, words in parts.items()
        }
        if not (scope.actors or scope.clients or scope.senders):
            raise Invalid("name actors, clients or institutions whose accesses it concerns")
        if scope.since >= scope.until:
            raise Invalid("the scope ends after it begins")
        now = self._guard.now()
        async with self._guard.store.glancing() as connection, connection.transaction():
            senders = await known_senders(connection, scope.actors, scope.clients, scope.senders)
            number = await connection.fetchval(
                "insert into trust.incident (opened_at, opened_by, told, since, until, actors,"
                " clients, senders) values ($1, $2, $3, $4, $5, $6, $7, $8) returning incident",
                *(now, self._actor.code, self._seal(msgspec.json.encode(told).decode())),
                *(scope.since, scope.until),
                *([*scope.actors], [*scope.clients], [*senders]),
            )
            await self._count(connection, number)
            await self._note(connection, "open-incident")
        self._notes.settle()
        return int(number)

    async def all(self) -> list[Incident]:
        """Every incident, the newest first."""
        await self._refuse()
        async with self._guard.store.glancing() as connection:
            rows = await connection.fetch("select * from trust.incident order by incident desc")
        return [self._told(row) for row in rows]

    async def one(self, number: int) -> tuple[Incident, Numbers, list[Taken]]:
        """An incident with what was found and done. Raises NotFound."""
        await self._refuse()
        # Whom it concerns are persons of whatever tenant: only numbers come out.
        async with self._guard.store.glancing(self._guard.store.whole_node) as connection:
            row = await connection.fetchrow(
                "select * from trust.incident where incident = $1", number
            )
            if row is None:
                raise NotFound("there is no incident of this number")
            numbers = await connection.fetchrow(_NUMBERS, number)
            kinds = await connection.fetch(
                "select type, action, entries, records from trust.incident_kind"
                " where incident = $1 order by entries desc, type, action",
                number,
            )
            stopped = await count_stopped(connection, number)
            steps = await connection.fetch(
                "select at, by, step, words from trust.incident_step where incident = $1"
                " order by at",
                number,
            )
        taken = [
            Taken(one["at"], one["by"], one["step"], self._unsealed(one["words"])) for one in steps
        ]
        found = Numbers(
            0 if numbers is None else numbers["patients"],
            0 if numbers is None else numbers["persons"],
            tuple((k["type"], k["action"], k["entries"], k["records"]) for k in kinds),
            stopped,
        )
        return self._told(row), found, taken

    async def take(self, number: int, step: str, words: str) -> None:
        """Take a step. `stop` ends the sessions and tokens of those that the scope names, of
        institutions all, and they act no more until `release`; `count` looks again whom it
        concerns; `tell` leaves the words as a notice for every person concerned who was not told.
        Raises Conflict for one that is closed, or that cannot be taken yet; `stop` as
        `refuse_shutting_out` does.
        """
        await self._refuse()
        words, now = _sane(words, "words"), self._guard.now()
        async with self._guard.store.glancing() as connection, connection.transaction():
            row = await connection.fetchrow(
                "select * from trust.incident where incident = $1 for update", number
            )
            if row is None:
                raise NotFound("there is no incident of this number")
            if row["closed_at"] is not None and step != "release":
                raise Conflict("this incident is closed: open another")
            await self._carry_out(connection, row, step, words, now)
            await connection.execute(
                "insert into trust.incident_step (incident, at, by, step, words)"
                " values ($1, $2, $3, $4, $5)",
                *(number, now, self._actor.code, step, self._seal(words)),
            )
            await self._note(connection, "answer-incident")
        self._notes.settle()
        if step == "stop":
            self._guard.revoked.advance()

    async def entries(self, number: int) -> AsyncIterator[Sequence[Entry]]:
        """The entries of the log within the scope, some at a time."""
        await self._refuse()
        async with self._guard.store.glancing() as connection:
            lanes = [row["lane"] for row in await connection.fetch(_LANES, number, 0, None)]
        for lane in lanes:
            after = -1
            while True:
                async with self._guard.store.glancing() as connection:
                    rows = await connection.fetch(_ENTRIES, number, lane, after, 1000)
                if not rows:
                    break
                yield [Entry(**row) for row in rows]
                after = rows[-1]["n"]

    async def _carry_out(
        self, connection: Connection, row: Any, step: str, words: str, now: int
    ) -> None:
        number = row["incident"]
        match step:
            case "stop":
                named = (row["actors"], row["clients"], row["senders"])
                await stop(connection, number, named, at=now, by=self._actor.code)
            case "release":
                await release(connection, number, now)
            case "count":
                is_telling = await connection.fetchval(_IS_TELLING, TELL, str(number))
                if row["counted_at"] is None or is_telling:
                    raise Conflict("it is still being counted, or persons are being told")
                await connection.execute(
                    "update trust.incident set counted_at = null where incident = $1", number
                )
                await self._count(connection, number)
            case "measure":
                pass
            case "report":
                await connection.execute(
                    "update trust.incident set reported_at = $2 where incident = $1", number, now
                )
            case "tell":
                if row["counted_at"] is None:
                    raise Conflict("whom it concerns is still being counted: try again later")
                if len(words) > incident_rules().definition.notice_letters_max:
                    most = incident_rules().definition.notice_letters_max
                    raise Invalid(Sentence("a notice has at most %(most)s letters", most=most))
                payload = {"incident": number, "words": self._seal(words).hex()}
                owner = self._actor.code
                await put(connection, TELL, payload, owner=owner, once=str(number))
            case "close":
                if row["reported_at"] is None or row["told_at"] is None:
                    raise Conflict("the authority and the persons are told before it is closed")
                await connection.execute(
                    "update trust.incident set closed_at = $2, closed_by = $3 where incident = $1",
                    *(number, now, self._actor.code),
                )
            case _:
                known = ", ".join(one.code for one in incident_rules().step)
                raise Invalid(Sentence("the steps are %(known)s", known=known))

    async def _count(self, connection: Connection, number: int) -> None:
        await put(connection, COUNT, {"incident": number}, owner=self._actor.code, once=str(number))

    async def _note(self, connection: Connection, action: str) -> None:
        entry = self._notes.entry_of_keys(action, None, "ok", ())
        await self._notes.put_in(connection, [entry])

    async def _refuse(self) -> None:
        await self._refuse_entrusted()
        if self._actor.role not in incident_rules().roles.keeps:
            raise Forbidden("incidents are kept by security administrators")

    def _seal(self, words: str) -> bytes:
        return seal(self._guard.store.context, words)

    def _unsealed(self, content: bytes) -> str:
        return unsealed(self._guard.store.context, content)

    def _told(self, row: Any) -> Incident:
        told = msgspec.json.decode(self._unsealed(row["told"]), type=dict[str, str])
        scope = Scope(
            row["since"],
            row["until"],
            tuple(row["actors"]),
            tuple(row["clients"]),
            tuple(row["senders"]),
        )
        return Incident(
            incident=row["incident"],
            opened_at=row["opened_at"],
            opened_by=row["opened_by"],
            title=told.pop("title"),
            parts=told,
            scope=scope,
            counted_at=row["counted_at"],
            reported_at=row["reported_at"],
            told_at=row["told_at"],
            told_accounts=row["told_accounts"],
            closed_at=row["closed_at"],
        )


# Whoever was told stays told when it is counted again.
_FORGET: Final = (
    "delete from trust.incident_patient where incident = $1 and not is_told",
    "update trust.incident_patient set entries = 0 where incident = $1",
    "delete from trust.incident_kind where incident = $1",
)
# Whoever was found since the others were told is to be told too.
_COUNTED: Final = """
    update trust.incident set counted_at = $2, told_at = case when exists (
        select from trust.incident_patient where incident = $1 and not is_told)
        then null else told_at end
    where incident = $1
"""
_IS_TELLING: Final = """
    select true from jobs.job
    where kind = $1 and once = $2 and state in ('waiting', 'running')
"""
# Lanes that hold entries of the time of an incident: those of one lane are in the order of their
# moments, but for requests that were under way together.
_LANES: Final = f"""
    select l.lane from trust.lane l, trust.incident i
    where i.incident = $1 and l.lane >= $2
        and (select a.at from trust.access a where a.lane = l.lane order by a.n limit 1)
            < i.until + {24 * _HOUR}
        and (select a.at from trust.access a where a.lane = l.lane order by a.n desc limit 1)
            >= i.since - {24 * _HOUR}
    order by l.lane limit $3
"""  # noqa: S608 - a constant of this module
_MORE: Final = "select true from trust.access where lane = $1 and n >= $2 limit 1"


def count_kind(now: Any) -> Kind:
    """The kind of job that counts what an incident concerns, some entries of a lane at a time."""

    async def step(connection: Connection, job: Job) -> Continue | Done:
        number = job.payload["incident"]
        if job.position is None:
            for statement in _FORGET:
                await connection.execute(statement, number)
            return Continue([0, 0], 0)
        lane = await connection.fetchval(_LANES, number, job.position[0], 1)
        if lane is None:
            await connection.execute(_COUNTED, number, now())
            return Done()
        low = job.position[1] if lane == job.position[0] else 0
        high = low + ENTRIES_A_STEP
        for statement in (_PATIENTS, _KINDS):
            await connection.execute(statement, number, lane, low, high)
        more = await connection.fetchval(_MORE, lane, high)
        return Continue([lane, high] if more else [lane + 1, 0], job.done + ENTRIES_A_STEP)

    return Kind(COUNT, step)


def tell_kind(context: Context, now: Any) -> Kind:
    """The kind of job that leaves a notice for the persons concerned, once for each Patient."""

    async def step(connection: Connection, job: Job) -> Continue | Done:
        number = job.payload["incident"]
        rows = await connection.fetch(_UNTOLD, number, PATIENTS_A_STEP)
        patients = [row["patient"] for row in rows]
        if not patients:
            await connection.execute(
                "update trust.incident set told_at = $2,"
                " told_accounts = coalesce(told_accounts, 0) + $3 where incident = $1",
                *(number, now(), job.position or 0),
            )
            return Done({"accounts": job.position or 0})
        words = unsealed(context, bytes.fromhex(job.payload["words"]))
        # A person with Patients in two steps is told in the first.
        about = About(detail=words, once=f"incident-{number}-{job.number}")
        told = await tell_persons(connection, patients, now(), "breach", about=about)
        await connection.execute(
            "update trust.incident_patient set is_told = true"
            " where incident = $1 and patient = any($2)",
            *(number, patients),
        )
        return Continue((job.position or 0) + told, job.done + len(patients))

    return Kind(TELL, step)


def seal(context: Context, words: str) -> bytes:
    """Words as they are kept."""
    return context.seal(_PURPOSE, words.encode(), _PLACE)


def unsealed(context: Context, content: bytes) -> str:
    """What was sealed."""
    return context.unseal(_PURPOSE, content, _PLACE).decode()


SEALED: Final = (
    SealedColumn("trust.incident", "told", _PURPOSE, lambda _: _PLACE),
    SealedColumn("trust.incident_step", "words", _PURPOSE, lambda _: _PLACE),
    SealedColumn("jobs.job", "words", _PURPOSE, lambda _: _PLACE, encoding="hex", kind=TELL),
)


def _sane(words: str, name: str) -> str:
    head, words = incident_rules().definition, words.strip()
    if not head.letters_min <= len(words) <= head.letters_max:
        text = Sentence(
            "say it in %(letters_min)s to %(letters_max)s letters, without names",
            letters_min=head.letters_min,
            letters_max=head.letters_max,
        )
        raise Invalid(text, issues=(Issue("error", "value", text, name),))
    return words
