"""Exports as background jobs: each step writes some records and commits how far it has come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import tzinfo
from pathlib import Path
from typing import Final

import msgspec

from quanmin.api.export.asking import Asked
from quanmin.api.export.limits import ExportLimits
from quanmin.api.export.progress import Position, Progress
from quanmin.base.database import Connection
from quanmin.base.growing import Part, Shelf, Vault
from quanmin.base.jobs import Continue, Done, Job, Kind
from quanmin.fhir.grammar import QueryLimits
from quanmin.trust import Actors, Errand, Guard, carry_on

KIND: Final = "export"

_SETTLING_SECONDS: Final = 0.05
# So that a record that was answered before the export began is of an earlier millisecond.
_BEGINNING_SECONDS: Final = 0.003


class Finished(msgspec.Struct, frozen=True):
    """What an export has come to: its `transactionTime` in microseconds, and its files."""

    moment: int
    parts: tuple[Part, ...]


class Exports(msgspec.Struct, frozen=True, kw_only=True):
    """Where a node keeps its exports, and how far one goes. `has_room` says whether the disk has
    room for more.
    """

    folder: Path
    limits: ExportLimits = ExportLimits()
    has_room: Callable[[], bool] = lambda: True

    @property
    def shelf(self) -> Shelf:
        """Where its files are, and for how long."""
        return Shelf(self.folder, self.limits.kept_hours, self.has_room)

    def vault(self, number: int, asked: Asked) -> Vault:
        """The files of the export with this number."""
        return self.shelf.vault(number, asked.key(), asked.suite)


def export_kind(
    guard: Guard, actors: Actors, exports: Exports, *, zone: tzinfo, query_limits: QueryLimits
) -> Kind:
    """The kind of job that exports."""

    async def step(connection: Connection, job: Job) -> Continue | Done:
        records, mandate = await carry_on(guard, actors, job)
        asked = msgspec.convert(mandate.asked, Asked)
        vault = exports.vault(job.number, asked)
        progress = Progress(
            records, asked, vault, exports.limits, zone=zone, query_limits=query_limits
        )
        if job.position is None:
            await asyncio.to_thread(vault.make)
            await asyncio.sleep(_BEGINNING_SECONDS)
            at = await progress.begin(connection)
        else:
            at = await _go_on(
                connection,
                progress,
                msgspec.convert(job.position, Position),
                vault,
                exports,
                spend=records.spend,
            )
        if at.phase == "told":
            finished = Finished(at.moment, at.parts)
            return Done(msgspec.to_builtins(finished), f"{len(at.parts)} files")
        return Continue(msgspec.to_builtins(at), at.count, message=at.message)

    async def cancelled(_: Connection, job: Job) -> None:
        await exports.shelf.remove(job.number)

    return Kind(KIND, step, cancelled)


async def _go_on(
    connection: Connection,
    progress: Progress,
    at: Position,
    vault: Vault,
    exports: Exports,
    *,
    spend: Callable[..., Awaitable[None]],
) -> Position:
    """The position after one step: a settling, or portions until it has taken long enough."""
    if at.phase == "settling":
        settled = await progress.settle(connection, at)
        if settled.phase == "settling":
            await asyncio.sleep(_SETTLING_SECONDS)
        return settled

    end = time.monotonic() + exports.limits.step_seconds
    with exports.shelf.writing(), vault.alone():
        # Whoever lost the connection lost the job with it, and must not touch its files any more.
        await connection.fetchval("select 1")
        while at.phase != "told" and time.monotonic() < end:
            before, at = at, await progress.advance(connection, at)
            # What is refused here is cut off again, and repeated when there is quota.
            await spend(exported_bytes=at.plain_bytes - before.plain_bytes)
    return at


def finished(errand: Errand) -> Finished:
    """What came of an export that is done."""
    return msgspec.convert(errand.job.result, Finished)
