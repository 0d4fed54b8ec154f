"""Works imports off: fetches each file into the spool, then writes it piece by piece.

A piece is written by one transaction that also moves the input on (`quanmin/trust/imports.py`), so
each line is written once whatever is killed, and never by two processes. Whoever asked has to have
the right to write at each of these moments.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from quanmin.base.database import Connection
from quanmin.base.fetching import FetchPlaces
from quanmin.base.jobs import Continue, Done, Job, Kind
from quanmin.base.problems import Issue, Problem, TooLarge
from quanmin.base.spool import Spool
from quanmin.fhir.ndjson import Lines
from quanmin.fhir.outcome import operation_outcome
from quanmin.node.pieces import NO_RESOURCE, Request, as_bundle, as_requests
from quanmin.trust import Actors, Guard, GuardedRecords, carry_on
from quanmin.trust.imports import (
    KIND,
    Filling,
    ImportLimits,
    Input,
    Source,
    Wanted,
    forget,
    inputs_of,
    move_on,
    note_done,
    note_fetched,
    spools_in_use,
)

_ENTRY: Final = "Bundle.entry["
# A step commits by itself, and asks whether it may go on: several pieces share that.
_STEP_SECONDS: Final = 1.0
_ABANDONED_SECONDS: Final = 86_400.0
# The rest are of this moment, not of the record: another attempt may succeed.
_OF_THE_RECORD: Final = frozenset({400, 403, 404, 405, 409, 410, 412, 413, 415, 422})


class Importing:
    """Does the steps of imports."""

    def __init__(
        self,
        guard: Guard,
        actors: Actors,
        spool: Spool,
        places: FetchPlaces,
        limits: ImportLimits,
    ) -> None:
        self._guard = guard
        self._actors = actors
        self._spool = spool
        self._places = places
        self._limits = limits

    @property
    def kind(self) -> Kind:
        """Imports as a kind of job."""
        return Kind(KIND, self.step, self.cancelled)

    async def step(self, connection: Connection, job: Job) -> Continue | Done:
        """Fetch one file, or write some pieces of one."""
        records, mandate = await carry_on(self._guard, self._actors, job)
        await records.refuse_unless_writing()
        sources = msgspec.convert(mandate.asked, Wanted).sources
        if job.position is None:
            in_use = await spools_in_use(connection)
            await asyncio.to_thread(self._spool.sweep, in_use, _ABANDONED_SECONDS)
        inputs = await inputs_of(connection, job.number)
        current = next((one for one in inputs if not one.is_done), None)
        if current is None:
            self._clear(inputs)
            return Done(message=_told(inputs, len(inputs)))
        source = sources[current.input]
        if current.spool is None:
            owner = "" if records.actor.role == "operator" else records.actor.code
            await self._fetch(connection, current, source, owner)
        else:
            inputs[current.input] = await self._write(connection, records, current, source)
        done = sum(one.line for one in inputs)
        lines = [one.lines for one in inputs]
        total = None if None in lines else sum(filter(None, lines))
        return Continue(current.input, done, total, _told(inputs, current.input))

    async def cancelled(self, connection: Connection, job: Job) -> None:
        """What was written stays; the files are not needed any more."""
        self._clear(await inputs_of(connection, job.number))
        await forget(connection, job.number)

    def _clear(self, inputs: Sequence[Input]) -> None:
        for one in inputs:
            if one.spool is not None:
                self._spool.remove(one.spool)

    # ---- fetching -----------------------------------------------------------------------------

    async def _fetch(self, connection: Connection, one: Input, source: Source, owner: str) -> None:
        spool, lines = await asyncio.to_thread(self._fetched, source, owner)
        await note_fetched(connection, one, spool, lines)

    def _fetched(self, source: Source, owner: str) -> tuple[str, int]:
        limits = self._limits
        end = time.monotonic() + limits.fetch_seconds_max
        with self._spool.create() as file:
            filling = Filling(file, limits)
            chunks = self._places.chunks(source.url, owner, bytes_max=limits.file_bytes_max)
            for chunk in chunks:
                filling.add(chunk)
                if time.monotonic() > end:
                    raise TooLarge(
                        f"the file could not be fetched within {limits.fetch_seconds_max:g} s"
                        " (setting imports.fetch_seconds_max): split it"
                    )
            return file.name, filling.finish()

    # ---- writing ------------------------------------------------------------------------------

    async def _write(
        self, connection: Connection, records: GuardedRecords, one: Input, source: Source
    ) -> Input:
        """Write pieces for a while; what is written is committed with how far the input has come,
        apart from the step's own transaction.
        """
        end = time.monotonic() + _STEP_SECONDS
        while True:
            packed, follows = await asyncio.to_thread(self._spool.read, one.spool or "", one.piece)
            if packed is None:
                await note_done(connection, one)
                return one
            piece = msgspec.msgpack.decode(packed, type=Lines)
            one = await _Piece(records, self._limits, source, piece, follows).write(one)
            if time.monotonic() > end:
                return one


class _Piece:
    """A piece being written, as few transactions as its faults allow."""

    def __init__(
        self,
        records: GuardedRecords,
        limits: ImportLimits,
        source: Source,
        piece: Lines,
        follows: int,
    ) -> None:
        self._records = records
        self._limits = limits
        self._source = source
        self._piece = piece
        self._follows = follows

    async def write(self, one: Input) -> Input:
        """Write what is left of the piece and return where the input stands then."""
        return await self._part(one, one.entry, len(self._piece.bodies))

    async def _part(self, one: Input, begin: int, end: int) -> Input:
        """Write the lines from `begin` to before `end`. Raises what is no fault of theirs."""
        requests, refused = self._requests(begin, end)
        while True:
            new = self._moved(one, end, requests, refused)
            try:
                await self._commit(one, new, requests, refused)
            except Problem as problem:
                if problem.status not in _OF_THE_RECORD:
                    raise
                faults = _located(problem, requests)
                if not faults and len(requests) > 1:
                    middle = begin + (end - begin) // 2
                    one = await self._part(one, begin, middle)
                    return await self._part(one, middle, end)
                if not requests:
                    raise
                faults = faults or {0: problem.issues}
                for place, issues in faults.items():
                    refused[requests[place].line] = issues
                requests = [each for n, each in enumerate(requests) if n not in faults]
            else:
                return new

    def _requests(self, begin: int, end: int) -> tuple[list[Request], dict[int, Any]]:
        piece = self._piece
        requests, broken = as_requests(piece.bodies[begin:end], piece.numbers[begin:end])
        refused = {line: (Issue("error", "structure", NO_RESOURCE),) for line in broken}
        wanted = self._source.type
        if wanted:
            text = f"the file is said to hold {wanted} only: name it as what it is"
            issue = Issue("error", "structure", text)
            refused |= {each.line: (issue,) for each in requests if each.type != wanted}
            requests = [each for each in requests if each.type == wanted]
        if end == len(piece.bodies):
            limit = self._limits.line_bytes_max
            text = f"the line is longer than `imports.line_bytes_max` ({limit} bytes)"
            refused |= {line: (Issue("error", "too-long", text),) for line in piece.too_long}
        return requests, refused

    def _moved(
        self, one: Input, end: int, requests: Sequence[Request], refused: dict[int, Any]
    ) -> Input:
        """Where the input stands when the lines before `end` are done."""
        is_whole = end == len(self._piece.bodies)
        counts = Counter(one.counts) + Counter(each.type for each in requests)
        return msgspec.structs.replace(
            one,
            piece=self._follows if is_whole else one.piece,
            entry=0 if is_whole else end,
            line=self._piece.end if is_whole else self._piece.numbers[end - 1],
            counts=dict(counts),
            refused=one.refused + len(refused),
        )

    async def _commit(
        self, old: Input, new: Input, requests: Sequence[Request], refused: dict[int, Any]
    ) -> None:
        records = self._records
        room = max(0, self._limits.refusals_max - old.refused)
        outcomes = [self._outcome(line, refused[line]) for line in sorted(refused)[:room]]

        async def also(connection: Connection) -> None:
            await move_on(connection, records.context, old, new, outcomes)

        await records.take_in(as_bundle("transaction", requests) if requests else None, also)

    def _outcome(self, line: int, issues: Sequence[Issue]) -> bytes:
        where = f"line {line}"
        if self._source.url:
            where += f" of {self._source.url.partition('?')[0].rpartition('/')[2]}"
        return operation_outcome(
            msgspec.structs.replace(each, text=f"{where}: {each.text}") for each in issues
        )


def _located(problem: Problem, requests: Sequence[Request]) -> dict[int, tuple[Issue, ...]]:
    """The issues by the entry they are about, each seen from its resource; {} when one is about
    none.
    """
    found: dict[int, list[Issue]] = {}
    for issue in problem.issues:
        if not issue.expression.startswith(_ENTRY):
            return {}
        number, _, rest = issue.expression.removeprefix(_ENTRY).partition("]")
        where = requests[int(number)].type + rest.removeprefix(".resource")
        found.setdefault(int(number), []).append(msgspec.structs.replace(issue, expression=where))
    return {place: tuple(issues) for place, issues in found.items()}


def _told(inputs: Sequence[Input], at: int) -> str:
    refused = sum(one.refused for one in inputs)
    text = f"file {min(at + 1, len(inputs))} of {len(inputs)}"
    return f"{text}, {refused:,} lines refused" if refused else text
