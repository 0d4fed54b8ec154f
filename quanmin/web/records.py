"""The records an application gets: the guarded ones, narrowed to the types it has declared."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from copy import copy
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from quanmin.base.problems import Forbidden, Sentence, TooCostly
from quanmin.fhir.grammar import parse_query
from quanmin.fhir.json import Json, decode, encode
from quanmin.fhir.query import Query
from quanmin.terminology import TermLimits, Terms
from quanmin.trust import (
    Batch,
    EntryOutcome,
    GuardedRecords,
    Hits,
    Mandate,
    Outcome,
    Part,
    Stored,
    Timeline,
)
from quanmin.trust.desk import Kind
from quanmin.trust.devices import Receiving
from quanmin.trust.due import Asked, Progress, Status
from quanmin.trust.notices import NoticeKind
from quanmin.trust.notices.tellings import Tell, Tellings
from quanmin.trust.registers import Institution, Wanted
from quanmin.trust.senders import Sender
from quanmin.web.application import Application
from quanmin.workflow.plans import Explained, Item, Keeper
from quanmin.workflow.states import Workflow

_PORTION: Final = 500


class Due(msgspec.Struct, frozen=True):
    """A line of a due list: the registration of the person, the code of the institution that made
    it, where they stand (without the rule that set its day and the reasons), what that is called,
    and where the list goes on after it.
    """

    patient: Stored
    institution: str
    item: Item
    title: str
    place: str


class DueList(msgspec.Struct, frozen=True):
    """Some lines of a due list, where it goes on ("": nowhere), and whether it holds everybody."""

    rows: tuple[Due, ...]
    next: str
    progress: Progress


class DeclaredRecords:
    """Reads and writes what `application` has declared and raises Forbidden for every other type.

    The guard decides what the actor may see, by the application's own rules as well; this decides
    what the application may ask for. Both must agree.
    """

    def __init__(
        self,
        records: GuardedRecords,
        application: Application,
        zone: ZoneInfo,
        kinds: Mapping[str, NoticeKind] = MappingProxyType({}),
    ) -> None:
        self._records = records.within(application.name)
        self._application = application
        self._zone = zone
        self._kinds = kinds
        self._also: Receiving | None = None

    async def read(self, type_: str, id_: str) -> Stored:
        """The current version. Raises NotFound or Gone."""
        return await self._records.read(self._readable(type_), id_)

    async def resource(self, type_: str, id_: str) -> Json:
        """The current version as it reads. Raises NotFound or Gone."""
        return decode((await self.read(type_, id_)).body or b"{}")

    async def version(self, type_: str, id_: str, version: int) -> Stored:
        """One version, current or not. Raises NotFound or Gone."""
        return await self._records.version(self._readable(type_), id_, version)

    async def history(
        self, type_: str, id_: str, *, count: int, cursor: str | None = None
    ) -> Batch:
        """The versions of one record, newest first."""
        return await self._records.history(self._readable(type_), id_, count=count, cursor=cursor)

    async def search(self, query: Query, *, labelled: str = "", is_own: bool = False) -> Hits:
        """The hits of a query over a declared type; with `labelled` of what has this security label
        (system|code), given by its sender or by the node for what it says; with `is_own` of what
        the visitor's institution has sent.

        Every type it includes must be declared as well.
        """
        self._readable(query.type)
        for include in (*query.includes, *query.revincludes):
            self._readable(include.source)
            if include.target is not None:
                self._readable(include.target)
        hits = await self._records.search(query, labelled=labelled, is_own=is_own)
        for stored in hits.included:  # an include without a target type may bring any
            self._readable(stored.type)
        return hits

    async def find(
        self,
        type_: str,
        *pairs: tuple[str, str],
        count: int,
        cursor: str | None = None,
        labelled: str = "",
        is_own: bool = False,
    ) -> Hits:
        """The hits of a search given as names and values, `count` at most, from `cursor` on; with
        `labelled` and `is_own` as in `search`.
        """
        asked = (*pairs, ("_count", str(count)))
        query = parse_query(
            type_, asked, strict=True, zone=self._zone, limits=self._records.context.query_limits
        )
        query = msgspec.structs.replace(query, cursor=cursor)
        return await self.search(query, labelled=labelled, is_own=is_own)

    async def every(
        self, type_: str, *pairs: tuple[str, str], rows_max: int, is_own: bool = False
    ) -> AsyncIterator[Stored]:
        """All hits of such a search, read in portions. Raises TooCostly when there are more than
        `rows_max`, after so many.
        """
        found, cursor, count = 0, None, min(_PORTION, rows_max)
        while True:
            hits = await self.find(type_, *pairs, count=count, cursor=cursor, is_own=is_own)
            for hit in hits.matches:
                yield hit
            found, cursor = found + len(hits.matches), hits.next
            if cursor is None:
                return
            if found >= rows_max:
                raise TooCostly(
                    Sentence("there is more to count than the %(rows_max)s that"
                             " `pages.counted_max` lets a page count", rows_max=rows_max)
                )  # fmt: skip

    async def timeline(
        self, patient_id: str, *, types: tuple[str, ...] = (), count: int, cursor: str | None = None
    ) -> Timeline:
        """One person over all institutions, newest first; no types means all that are declared."""
        wanted = self._wanted(types)
        return await self._records.timeline(patient_id, types=wanted, count=count, cursor=cursor)

    async def whole_timeline(self, patient_id: str, *types: str) -> Timeline:
        """All that is recorded of one person of these types, of which somebody has few, read in
        portions.
        """
        found: list[Stored] = []
        cursor: str | None = None
        while True:
            part = await self.timeline(patient_id, types=types, count=_PORTION, cursor=cursor)
            found += part.entries
            if part.next is None:
                return Timeline(part.patients, tuple(found), None)
            cursor = part.next

    async def results(
        self, patients: Sequence[Stored], codes: Iterable[str], *, rows_max: int
    ) -> list[Stored]:
        """The Observations of these Patients that have one of the codes. Raises as `every`."""
        subjects = ",".join(f"Patient/{one.id}" for one in patients)
        asked = (("subject", subjects), ("code", ",".join(sorted(codes))))
        return [one async for one in self.every("Observation", *asked, rows_max=rows_max)]

    async def timelines(self, patient_id: str, *parts: Part) -> list[Timeline]:
        """Several parts of it, of one moment and as one access; a part without types has all that
        are declared.
        """
        wanted = [msgspec.structs.replace(one, types=self._wanted(one.types)) for one in parts]
        return await self._records.timelines(patient_id, wanted)

    def _wanted(self, types: tuple[str, ...]) -> tuple[str, ...]:
        named = tuple(self._readable(type_) for type_ in types)
        return named or tuple(sorted(self._application.reads))

    async def registrations(self, patients: Sequence[Stored]) -> dict[str, int]:
        """For each Patient (by id) how many the person has that it belongs to."""
        self._readable("Patient")
        return await self._records.registrations(patients)

    async def senders(self, versions: Sequence[Stored]) -> dict[int, Sender]:
        """Who sent these versions, by their number in `facts`."""
        return await self._records.senders(versions)

    async def due(self, asked: Asked, *, count: int, after: str = "") -> DueList:
        """So many lines of a due list after a place, what is due first before all. Raises Forbidden
        for a plan that the application does not declare, Invalid for a status or a series that
        there is not, Malformed for what is no place.
        """
        keeper = self._keeper(asked.plan)
        found = await self._records.due.slice(asked, count=count, after=after)
        rows = tuple(
            Due(
                row.patient,
                row.institution,
                keeper.item(row.line, found.today),
                keeper.title(row.line),
                row.place,
            )
            for row in found.rows
            if row.patient is not None
        )
        return DueList(rows, found.next, found.progress)

    async def due_statuses(self, asked: Asked, *, most: int) -> list[Status]:
        """Of the first so many lines of a due list the status of each, for who needs to know how
        many there are and not whose. Raises as `due`.
        """
        self._keeper(asked.plan)
        return await self._records.due.statuses(asked, most=most)

    async def due_counts(self, asked: Asked) -> dict[tuple[str, Status], int]:
        """How many lines a due list has, by series and status. Raises as `due`."""
        self._keeper(asked.plan)
        return await self._records.due.counts(asked)

    async def due_progress(self, plan: str) -> Progress:
        """Whether the lists of a plan hold everybody. Raises as `due`."""
        self._keeper(plan)
        return await self._records.due.progress(plan)

    def series(self, plan: str) -> Sequence[tuple[str, str]]:
        """The series of a plan, with what each is called. Raises as `due`."""
        return [(one.id, one.title) for one in self._keeper(plan).declared.plan.series]

    async def schedule(self, patient_id: str, plan: str) -> Explained:
        """Where the person of a Patient stands today in every series of a plan, with all reasons,
        by the records that the visitor may see. Raises Forbidden, NotFound, Gone.
        """
        self._keeper(plan)
        found = (await self._records.due.schedule(patient_id, plan)).explained
        if not isinstance(found, Explained):
            raise TypeError(plan)
        return found

    def _keeper(self, plan: str) -> Keeper:
        if plan not in {one.code for one in self._application.plans}:
            raise Forbidden(
                Sentence(
                    "%(name)s does not declare the plan %(plan)s",
                    name=self._application.name,
                    plan=plan[:80],
                )
            )
        keeper = self._records.due.plan(plan)
        if not isinstance(keeper, Keeper):
            raise TypeError(plan)
        return keeper

    async def create(
        self, type_: str, body: bytes, *, if_none_exist: Query | None = None
    ) -> Outcome:
        """A new record, or the one that already meets `if_none_exist`."""
        return await self._records.create(self._writable(type_), body, if_none_exist=if_none_exist)

    async def create_all(self, type_: str, bodies: Sequence[bytes]) -> None:
        """Several new records of a type, in one transaction: all or none."""
        request = {"method": "POST", "url": self._writable(type_)}
        entries = [{"resource": msgspec.Raw(body), "request": request} for body in bodies]
        await self._transact(entries)

    async def transact(
        self, entries: Sequence[Json], *, tell: Sequence[Tell] = (), over: Collection[str] = ()
    ) -> list[EntryOutcome]:
        """Carry out the writes of a transaction Bundle, of declared types: all or none. Each entry
        holds a resource and a request of method POST or PUT. In the same transaction people are
        told of the records by kinds that the application declares (`definitions/notices.toml`), and
        what was told of them by the kinds that are `over` is withdrawn.
        """
        undeclared = {*(one.kind for one in tell), *over} - self._kinds.keys()
        if undeclared:
            names = ", ".join(sorted(undeclared))
            raise Forbidden(
                Sentence(
                    "%(name)s does not declare the notice %(names)s",
                    name=self._application.name,
                    names=names,
                )
            )
        for entry in entries:
            self._writable(entry["resource"]["resourceType"])
            asked = entry["request"]
            if asked["method"] not in {"POST", "PUT"} or "?" in asked["url"]:
                raise Forbidden("an application writes what it has made, by POST or PUT of its id")
            self._writable(asked["url"].partition("/")[0])
        return await self._transact(entries, Tellings(self._kinds, tell, over))

    async def _transact(
        self, entries: Sequence[Json], telling: Tellings | None = None
    ) -> list[EntryOutcome]:
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        also = self._also
        _, outcomes = await self._records.bundle(encode(bundle), telling=telling, also=also)
        return outcomes

    async def update(
        self, type_: str, id_: str, body: bytes, *, if_match: int | None = None
    ) -> Outcome:
        """A new version; with `if_match` only on top of that version."""
        return await self._records.update(self._writable(type_), id_, body, if_match=if_match)

    async def institutions(
        self, moment: int | None, wanted: Wanted, *, after: str | None = None, count: int
    ) -> Sequence[Institution]:
        """What the register of institutions says of a moment; None: now."""
        self._readable("Organization")
        return await self._records.institutions(moment, wanted, after=after, count=count)

    async def institution_history(self, code: str) -> Sequence[Institution]:
        """All states of an institution of the register, oldest first."""
        self._readable("Organization")
        return await self._records.institution_history(code)

    @asynccontextmanager
    async def terminology(self, limits: TermLimits) -> AsyncIterator[Terms]:
        """What codes mean. It is of the node and names nobody, so no application declares it."""
        async with self._records.terminology(limits) as terms:
            yield terms

    async def begin(self, kind: str, mandate: Mandate, *, open_max: int) -> int:
        """Have a job do in the visitor's name what takes longer than a page may; its number. Raises
        TooMany when so many of the kind have not ended.
        """
        return await self._records.errands.begin(kind, mandate, open_max=open_max)

    def gathering(self) -> AbstractAsyncContextManager[None]:
        """While it lasts, what is read is noted as one access."""
        return self._records.gathering()

    def also(self, done: Receiving) -> DeclaredRecords:
        """The same, in whose transactions this is done besides: both or neither."""
        other = copy(self)
        other._also = done  # noqa: SLF001 - of its own kind
        return other

    def stating(self, purpose: str) -> DeclaredRecords:
        """The same for a purpose that the application has declared."""
        if purpose not in self._application.may_state:
            raise Forbidden(
                Sentence(
                    "%(name)s does not declare the purpose %(purpose)s",
                    name=self._application.name,
                    purpose=purpose,
                )
            )
        records = self._records.stating(purpose)
        return DeclaredRecords(records, self._application, self._zone, self._kinds)

    def desk(self, kind: type[Kind]) -> Kind:
        """A desk of trust that the application has declared."""
        if kind not in self._application.desks:
            raise Forbidden(
                Sentence(
                    "%(name)s does not declare the desk %(name_2)s",
                    name=self._application.name,
                    name_2=kind.__name__,
                )
            )
        return self._records.desk(kind)

    @property
    def zone(self) -> ZoneInfo:
        """The zone of the node."""
        return self._zone

    @property
    def workflow(self) -> Workflow:
        """The workflow of the application. Raises Forbidden where it has none."""
        if self._application.workflow is None:
            raise Forbidden(Sentence("%(name)s has no workflow.toml", name=self._application.name))
        return self._application.workflow

    def pseudonym(self, use: str, text: str) -> str:
        """By what something is known in records without being named, see `Keying`."""
        return self._records.context.keying.pseudonym(use, text)

    def may_read(self, type_: str) -> bool:
        """Whether the application has declared that it reads this type.

        A link to it can be offered.
        """
        return type_ in self._application.reads

    def _readable(self, type_: str | None) -> str:
        if type_ is None or type_ not in self._application.reads:
            raise Forbidden(
                Sentence(
                    "%(name)s does not declare that it reads %(type)s",
                    name=self._application.name,
                    type=type_,
                )
            )
        return type_

    def _writable(self, type_: str) -> str:
        if type_ not in self._application.writes:
            raise Forbidden(
                Sentence(
                    "%(name)s does not declare that it writes %(type)s",
                    name=self._application.name,
                    type=type_,
                )
            )
        return type_
