"""The record store of one node: units of work, snapshots, and the order in which they are told."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

import asyncpg
import msgspec

from quanmin.base.database import Connection, Reader
from quanmin.base.problems import (
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    Issue,
    Outdated,
    Problem,
    Sentence,
    StorageFull,
)
from quanmin.fhir.json import Rewriting, unresolved_references
from quanmin.records.codec import ERASED, PATIENT, DataKey, Holder, KeyChanged
from quanmin.records.context import Context
from quanmin.records.draft import (
    Draft,
    body_faults,
    change_of,
    draft_deletion,
    draft_version,
    stored_of,
)
from quanmin.records.erasing import erase_patients
from quanmin.records.glance import Glances
from quanmin.records.ledger import Ledger
from quanmin.records.model import Outcome, Stored
from quanmin.records.numbers import Numbers
from quanmin.records.operation import Change, Operation, Projection, Sender
from quanmin.records.profiles.refusing import Unwritten, unfit
from quanmin.records.reading import glance
from quanmin.records.rows import Clock, Shared, take_clocks, write_drafts
from quanmin.records.targets import Target, Targets, gone_issues, unresolved_issues
from quanmin.records.visibility import Visibility
from quanmin.records.walls import Wall, WalledPool, Walls, behind

# CPU-bound work gives way after this many records, so that a large bundle does not hold up every
# other request.
_YIELD_EVERY = 16
_LARGE_BYTES = 64 << 10
_ENTER_SENDER = """
    insert into records.sender (code) select $1::text
    where not exists (select from records.sender where code = $1) on conflict do nothing
"""

_Done = TypeVar("_Done")
BeforeCommit = Callable[[Connection, "list[Outcome | None]"], Awaitable[None]]


class Store:
    """What is written goes through `write`, what is read through `reading` or `glancing`."""

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        context: Context,
        now: Callable[[], int],
        projections: Sequence[Projection] = (),
        may_write: Callable[[], bool] = lambda: True,
        *,
        ledger: Ledger | None = None,
        walls: Walls | None = None,
        steady: asyncpg.Pool[asyncpg.Record] | None = None,
    ) -> None:
        """`now` gives microseconds since 1970-01-01T00:00Z; `may_write` says whether there is room
        on the disk; it is asked before every write. Without a `ledger` a restored backup undoes
        erasures. Without `walls` the pool must be the owner's, to whom there are none. `steady` is
        a pool that plans once, for `looking_up`.
        """
        self._walls = walls
        self._steady = steady or pool
        self.context = context
        self._pool = pool
        self._now = now
        self._ledger = ledger
        self._projections = (*projections, *([ledger] if ledger else []))
        self._may_write = may_write
        self._glances = Glances(pool)
        self._numbers = Numbers()
        self._shared = Shared(label_sets=context.label_sets)
        self._senders: dict[str, int] = {}

    @property
    def ledger(self) -> Ledger | None:
        """What a restore must not undo, if it is kept."""
        return self._ledger

    @asynccontextmanager
    async def reading(self, wall: Wall | None = None) -> AsyncIterator[Connection]:
        """A read-only snapshot of one side of a wall: everything read from it is of one moment."""
        async with (
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            if wall is not None:
                await wall.raise_in(connection)
            yield connection

    async def glance(
        self, visibility: Visibility, type_: str, id_: str, wall: Wall | None = None
    ) -> Stored:
        """The current version of one record. Raises NotFound, Gone. See `read`."""
        return await glance(
            self._pool, self._glances, self.context, visibility, type_=type_, id_=id_, wall=wall
        )

    @asynccontextmanager
    async def glancing(self, wall: Wall | None = None) -> AsyncIterator[Connection]:
        """A connection for one statement, which is a moment of its own; cheaper than a snapshot.

        Where there are walls it sees no record without one, and with one it is a transaction.
        """
        async with self._pool.acquire() as connection:
            if wall is None:
                yield connection
                return
            async with connection.transaction():
                await wall.raise_in(connection)
                yield connection

    def looking_up(self, wall: Wall | None = None) -> Reader:
        """What looks rows up by their keys at one round trip; of records those behind the wall."""
        return self._steady if wall is None else WalledPool(self._steady, wall)

    async def wall(self, claim: str, edition: int | None) -> Wall | None:
        """The wall of a claim in an edition of the register of tenants; None where there is none:
        on a node without tenants, or for the owner of the tables.
        """
        if self._walls is None or edition is None:
            return None
        return await self._walls.of(self._pool, claim, edition)

    @property
    def whole_node(self) -> Wall | None:
        """The wall around all of the node, for what belongs to no tenant: what is derived from
        records, and what is said of nobody.
        """
        return None if self._walls is None else self._walls.all

    async def refresh(self) -> bool:
        """Read again by what records are indexed; whether another version holds now."""
        return await self.context.refresh(self._pool)

    async def sender(self, code: str) -> int:
        """The number of an institution; the first time it is seen it gets one."""
        number = self._senders.get(code)
        if number is None:
            async with self._pool.acquire() as connection:
                # Who answers requests may add to the table and change nothing of it.
                await connection.execute(_ENTER_SENDER, code)
                number = await connection.fetchval(
                    "select sender from records.sender where code = $1", code
                )
            self._senders[code] = number
        return int(number)

    async def write(
        self,
        sender: Sender,
        operations: Sequence[Operation],
        before_commit: BeforeCommit | None = None,
    ) -> list[Outcome | None]:
        """Do all operations in one transaction, or none; durable when this returns.

        One outcome for each operation, None for a deletion that found nothing. Raises the Problem
        that stopped it: Invalid carries every fault of every body, located in the bundle when there
        are several operations. A collision with another writer is tried again from the beginning,
        at most `write_attempts_max` times.
        """
        if not self._may_write():
            raise StorageFull(
                "the node's disk is nearly full: nothing is written until there is room;"
                " reading goes on",
                retry_after_seconds=300,
            )
        outcomes = await self._repeated(lambda: self._attempt(sender, operations, before_commit))
        ledger = self._ledger
        if ledger is not None and any(operation.type in ledger.types for operation in operations):
            await ledger.carry()
        return outcomes

    async def rehearse(
        self, sender: Sender, operations: Sequence[Operation]
    ) -> list[Outcome | None]:
        """Do what `write` does, and take it all back: what it would answer, or the same Problem.

        So a rehearsal can never disagree with the write, but for an id that others have taken: it
        would tell of it for nothing, where the write costs a record. The outcome is then None. Keys
        of new records are used up by it.
        """
        try:
            await self._repeated(lambda: self._attempt(sender, operations, None, is_rehearsal=True))
        except _Rehearsed as rehearsed:
            return rehearsed.outcomes
        raise AssertionError("a rehearsal ends by being taken back")

    async def erase(
        self,
        choose: Callable[[Connection], Awaitable[Collection[int]]],
        before_commit: Callable[[Connection, list[Change]], Awaitable[None]],
        *,
        wall: Wall | None = None,
        is_repeated: bool = False,
    ) -> None:
        """Erase the source Patients (record keys) that `choose` gives, in one transaction with what
        `before_commit` does; durable, and in the ledger, when this returns. See `erase_patients`.

        An erasure that `is_repeated` after a restore is in the ledger already.
        """
        ledger = None if is_repeated else self._ledger
        patients = await self._repeated(lambda: self._erase(choose, before_commit, ledger, wall))
        self.context.codec.forget(self.context.holder(patient, 0) for patient in patients)
        if ledger is not None:
            await ledger.carry()

    async def _erase(
        self,
        choose: Callable[[Connection], Awaitable[Collection[int]]],
        before_commit: Callable[[Connection, list[Change]], Awaitable[None]],
        ledger: Ledger | None,
        wall: Wall | None,
    ) -> Collection[int]:
        async with self._pool.acquire() as connection, connection.transaction():
            if wall is not None:
                await wall.raise_in(connection)
            patients = await choose(connection)
            now = self._now()
            changes = await erase_patients(connection, self.context, patients, now - now % 1000)
            for is_early in (True, False):
                await self._project(connection, changes, wall, is_early=is_early)
            if ledger is not None and patients:
                await ledger.note_erased(connection, sorted(patients), now)
            await before_commit(connection, changes)
        return patients

    async def _project(
        self,
        connection: Connection,
        changes: Sequence[Change],
        wall: Wall | None,
        *,
        is_early: bool,
    ) -> None:
        """What is derived is of the whole node: who is one person, and whom a consent is given."""
        hearing = [
            (projection, heard)
            for projection in self._projections
            if projection.is_early is is_early
            and (heard := [change for change in changes if change.type in projection.types])
        ]
        if not hearing:
            return
        if wall is not None and self.whole_node is not None:
            await self.whole_node.raise_in(connection)
        for projection, heard in hearing:
            await projection.apply(connection, heard)
        if wall is not None:
            await wall.raise_in(connection)

    async def _repeated(self, attempt: Callable[[], Awaitable[_Done]]) -> _Done:
        for number in range(self.context.limits.write_attempts_max):
            catalogue = self.context.catalogue.version
            try:
                return await attempt()
            except (
                asyncpg.DeadlockDetectedError,
                asyncpg.SerializationError,
                asyncpg.UniqueViolationError,
                KeyChanged,
            ):
                await asyncio.sleep(0.02 * 2**number)
            except Outdated:
                await self.refresh()
                if self.context.catalogue.version == catalogue:
                    raise  # it is the question that is old, and whoever read it reads it again
            except (asyncpg.DiskFullError, asyncpg.OutOfMemoryError) as error:
                raise StorageFull(
                    "the database has no room to write: nothing was stored; reading goes on",
                    retry_after_seconds=300,
                ) from error
        raise Conflict("other writers changed the same records at the same time: send it again")

    async def _attempt(
        self,
        sender: Sender,
        operations: Sequence[Operation],
        before_commit: BeforeCommit | None,
        *,
        is_rehearsal: bool = False,
    ) -> list[Outcome | None]:
        async with self._pool.acquire() as connection:
            unit = self._unit(connection, sender)
            committed = False
            try:
                async with behind(sender.wall), connection.transaction():
                    if sender.wall is not None:
                        await sender.wall.raise_in(connection)
                    outcomes = await unit.apply(operations, self._now())
                    await self._project(connection, unit.changes, sender.wall, is_early=False)
                    if before_commit is not None:
                        await before_commit(connection, outcomes)
                    if is_rehearsal:
                        raise _Rehearsed(outcomes)
                    unit.refuse_taken()
                committed = True
            finally:
                unit.settle(committed=committed)
        return outcomes

    async def amend(
        self, connection: Connection, sender: Sender, operations: Sequence[Operation]
    ) -> list[Outcome | None]:
        """Write the next versions of records that are there, in the caller's transaction. Raises as
        `write`; what must not be lost with it is in the ledger by the caller's next `carry`.
        """
        unit = self._unit(connection, sender)
        try:
            outcomes = await unit.apply(operations, self._now())
            await self._project(connection, unit.changes, sender.wall, is_early=False)
        finally:
            # Whether it commits is not known here: nothing new is remembered of it.
            unit.settle(committed=False)
        return outcomes

    def _unit(self, connection: Connection, sender: Sender) -> _Unit:
        early = partial(self._project, connection, wall=sender.wall, is_early=True)
        return _Unit(
            self.context, connection, sender, self._numbers, self._shared, project_early=early
        )


class _Rehearsed(Exception):  # noqa: N818 - not an error: how a transaction is left undone
    """All went well, and is to be taken back."""

    def __init__(self, outcomes: list[Outcome | None]) -> None:
        super().__init__()
        self.outcomes = outcomes


class _Unit:
    """One attempt at a write; its transaction is the caller's."""

    def __init__(
        self,
        context: Context,
        connection: Connection,
        sender: Sender,
        numbers: Numbers,
        shared: Shared,
        *,
        project_early: Callable[[Sequence[Change]], Awaitable[None]],
    ) -> None:
        self.changes: list[Change] = []
        self._context = context
        self._catalogue = context.catalogue.version
        self._connection = connection
        self._sender = sender
        self._numbers = numbers
        self._shared = shared
        self._project_early = project_early
        self._new = Shared()
        self._made: dict[Holder, DataKey] = {}
        self._clocks: dict[int, Clock] = {}
        self._has_taken = False
        self._faults: list[Issue] = []
        self._unwritten: list[Unwritten] = []

    async def apply(self, operations: Sequence[Operation], now: int) -> list[Outcome | None]:
        # The body shows milliseconds, and the column must not know more than the body.
        now -= now % 1000
        resolver = Targets(self._context, self._connection, self._sender, self._numbers)
        targets = await resolver.resolve(operations)
        drafts = await self._draft(targets, resolver.mapping, now)
        positions = {target.rid: target.operation.position for target in targets}
        await self._refuse_faulty(drafts.values(), positions)
        keys = await self._seal(list(drafts.values()), positions)
        self.changes = [change_of(draft) for draft in drafts.values()]
        await self._project_early(self.changes)
        await self._take_clocks(list(drafts.values()), keys)
        self._new = await write_drafts(
            self._connection,
            list(drafts.values()),
            self._shared,
            is_walled=self._sender.wall is not None,
        )
        return [self._outcome(target, drafts.get(target.rid)) for target in targets]

    def refuse_taken(self) -> None:
        """Raises Forbidden when others have an id that the sender chose.

        Asked last: whatever else is wrong with the request is told first, as it would be if the id
        were free, so that finding out costs a record in the asker's own name.
        """
        if self._has_taken:
            raise Forbidden("the id is not free: choose another, or create without one")

    def settle(self, *, committed: bool) -> None:
        erasures = {bucket: clock.erasures for bucket, clock in self._clocks.items()}
        self._context.codec.settle(self._made, erasures, committed=committed)
        if committed:
            self._shared.learn(self._new)

    async def _draft(
        self, targets: Sequence[Target], mapping: dict[str, str], now: int
    ) -> dict[int, Draft]:
        """What is to be written; faults of the bodies are kept, to be told together."""
        drafts: dict[int, Draft] = {}
        rewriting = Rewriting(mapping) if mapping else None
        for position, target in enumerate(targets):
            if not target.is_open:
                continue
            mine = rewriting
            if rewriting is not None and target.base:
                mine = rewriting.from_base(target.base)
            try:
                draft = await self._draft_one(target, mine, now)
            except Problem as problem:
                place = target.operation.position
                if place is None:
                    raise
                self._faults += [_located(issue, place) for issue in problem.issues]
                continue
            if draft is None and target.current is not None:
                target.settled = Outcome(target.current.stored, unchanged=True)
            elif draft is not None and target.is_taken:
                self._has_taken = True
                self._unwritten.append(_unwritten(target, draft.body))
            elif draft is not None:
                drafts[draft.rid] = draft
            if position % _YIELD_EVERY == 0:
                await asyncio.sleep(0)
        return drafts

    async def _draft_one(
        self, target: Target, rewriting: Rewriting | None, now: int
    ) -> Draft | None:
        operation, current = target.operation, target.current
        if operation.kind == "delete":
            return (
                None
                if current is None
                else draft_deletion(self._context, target.definition, current, now)
            )
        body = _body_of(target, rewriting, self._context.limits.patched_bytes_max)
        faults = await _faults_of(target, body)
        if faults:
            place = operation.position
            self._faults += [_located(issue, place) for issue in faults]
            self._unwritten.append(_unwritten(target, body))
            return None
        return draft_version(
            self._context,
            target.definition,
            body,
            current,
            rid=target.rid,
            id_=target.id,
            bucket=target.bucket,
            sender=self._sender.number if current is None else current.stored.facts.sender,
            now=now,
            keeps_version=operation.keeps_version,
        )

    async def _refuse_faulty(
        self, drafts: Collection[Draft], positions: Mapping[int, int | None]
    ) -> None:
        """Raises Invalid with every fault of every body, by R4 and by the profiles it claims."""
        unkept = await unfit(
            self._context,
            self._connection,
            drafts,
            unwritten=self._unwritten,
            positions=positions,
            seen=self._sender.writable,
        )
        if self._faults or unkept:
            text = Sentence(
                "a rule of FHIR R4 or of a profile that is claimed is broken: nothing was stored"
            )
            raise Invalid(text, issues=(*self._faults, *unkept))

    async def _seal(
        self, drafts: Sequence[Draft], positions: Mapping[int, int | None]
    ) -> dict[Holder, DataKey]:
        context = self._context
        holders = [context.holder(draft.patient, draft.sender) for draft in drafts]
        keys = await context.codec.data_keys(self._connection, holders)
        missing = {holder for holder in holders if holder not in keys}
        if missing:
            self._made = await context.codec.make_keys(self._connection, missing)
            keys |= self._made
        erased = [positions[d.rid] for d, h in zip(drafts, holders, strict=True) if h not in keys]
        if erased:
            raise Gone(ERASED, issues=gone_issues(erased))
        for draft, holder in zip(drafts, holders, strict=True):
            definition = draft.definition
            place = context.place(
                definition.number, draft.rid, draft.version, draft.patient, draft.updated
            )
            draft.sealed = context.codec.seal(
                keys[holder],
                definition.name,
                place,
                draft.body,
                updated_text=context.instant(draft.updated),
            )
        return keys

    async def _take_clocks(self, drafts: Sequence[Draft], keys: Mapping[Holder, DataKey]) -> None:
        """Give each draft its place in its bucket's changes. A key that was read before the clock
        was taken may be gone meanwhile: what it sealed nobody could open.
        """
        if not drafts:
            return
        counts = Counter(draft.bucket for draft in drafts)
        # A record moved to another Patient stays in its bucket.
        counts.update({holder.bucket: 0 for holder in keys if holder.kind == PATIENT})
        self._clocks = await take_clocks(self._connection, counts, self._catalogue)
        for draft in drafts:
            draft.seq = self._clocks[draft.bucket].tick()
        erasures = {bucket: clock.erasures for bucket, clock in self._clocks.items()}
        read = {holder: key for holder, key in keys.items() if holder not in self._made}
        await self._context.codec.refuse_destroyed(self._connection, read, erasures)

    def _outcome(self, target: Target, draft: Draft | None) -> Outcome | None:
        if target.settled is not None:
            return target.settled
        if draft is None:
            return None
        was_there = draft.current is not None and draft.current.stored.body is not None
        is_created = not was_there and not draft.is_deletion
        return Outcome(stored_of(draft), created=is_created, left=draft.left)


def _body_of(target: Target, rewriting: Rewriting | None, bytes_max: int) -> bytes:
    """What a target is to be, patched and its references resolved."""
    operation, current = target.operation, target.current
    body = operation.body or b""
    if operation.patch is not None and current is not None:
        body = operation.patch.apply(current.stored.body or b"", bytes_max=bytes_max)
    return rewriting.apply(body) if rewriting else body


async def _faults_of(target: Target, body: bytes) -> list[Issue]:
    """What is wrong with a body by itself. Raises Malformed."""
    name = target.definition.name
    if len(body) > _LARGE_BYTES:
        # A stored Bundle of megabytes takes its time, and requests go on meanwhile.
        faults = await asyncio.to_thread(body_faults, name, body)
    else:
        faults = body_faults(name, body)
    if target.operation.position is not None and not _had_unresolved(target):
        faults += unresolved_issues(body)
    return faults


def _unwritten(target: Target, body: bytes) -> Unwritten:
    return Unwritten(target.definition.name, target.id, body, target.operation.position)


def _had_unresolved(target: Target) -> bool:
    """Whether a record to be patched refers to something unknown before it is patched."""
    if target.operation.patch is None or target.current is None:
        return False
    return bool(unresolved_references(target.current.stored.body or b""))


def _located(issue: Issue, position: int | None) -> Issue:
    """The issue as seen from the whole bundle, where there is one."""
    if position is None:
        return issue
    where = f"Bundle.entry[{position}].resource"
    inner = issue.expression.partition(".")[2]
    return msgspec.structs.replace(issue, expression=f"{where}.{inner}" if inner else where)
