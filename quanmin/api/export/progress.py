"""An export under way: what it has come to, and its next step. Where it stands is kept by whoever
does the steps, so that it goes on from there in another process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import tzinfo
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from quanmin.api.export.asking import Asked, Language
from quanmin.api.export.limits import ExportLimits
from quanmin.api.summary import subset
from quanmin.base.database import Connection
from quanmin.base.growing import Listing, Part, Sink
from quanmin.base.problems import Issue, Outdated
from quanmin.fhir.grammar import QueryLimits
from quanmin.fhir.outcome import operation_outcome
from quanmin.fhir.table import load_table
from quanmin.trust import Extent

if TYPE_CHECKING:
    from quanmin.trust import GuardedRecords, Portion, Stored

_PATIENTS_AT_ONCE: Final = 100
_MILLISECOND: Final = 1000

# The files of what are no records of a type: what they list, and of which type their lines are.
_LISTINGS: Final[dict[str, tuple[Listing, str]]] = {
    "deleted": ("deleted", "Bundle"),
    "error": ("error", "OperationOutcome"),
}

Phase = Literal["settling", "records", "deleted", "told"]


class Position(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where an export stands: `moment` is its `transactionTime`, `settling_from` the moment of the
    database's clock before which all must have ended. Then it walks `types` by `place`, of each its
    patients by `group`, and of these the records behind the key `after`.
    """

    moment: int
    settling_from: int = 0
    phase: Phase = "settling"
    types: tuple[str, ...] = ()
    place: int = 0
    group: int = 0
    after: int | None = None
    parts: tuple[Part, ...] = ()

    @property
    def plain_bytes(self) -> int:
        """How much has been written, unpacked."""
        return sum(part.plain_bytes for part in self.parts)

    @property
    def count(self) -> int:
        """How many records have been written."""
        return sum(part.count for part in self.parts if part.listing == "output")

    @property
    def message(self) -> str:
        """What is being done, for people."""
        if self.phase == "settling":
            return "waiting for writers"
        if self.place >= len(self.types):
            return ""
        what = "" if self.phase == "records" else "deleted "
        return f"{what}{self.types[self.place]}, type {self.place + 1} of {len(self.types)}"


class Progress:
    """The steps of one export in the name of one actor."""

    def __init__(
        self,
        records: GuardedRecords,
        asked: Asked,
        sink: Sink,
        limits: ExportLimits,
        *,
        zone: tzinfo,
        query_limits: QueryLimits,
    ) -> None:
        self._records = records
        self._exporting = records.exporting
        self._asked = asked
        self._sink = sink
        self._limits = limits
        self._zone = zone
        self._query_limits = query_limits
        self._patients = asked.patient_keys()
        self._subset = subset(None, asked.elements)

    async def begin(self, connection: Connection) -> Position:
        """The position of an export that begins now."""
        moment = self._exporting.moment()
        settling = await self._exporting.settling(connection, 0)
        return Position(moment=moment, settling_from=settling.now)

    async def settle(self, connection: Connection, at: Position) -> Position:
        """The position once all is there that was written up to its moment. When that takes too
        long, the moment is put before what is still open.
        """
        settling = await self._exporting.settling(connection, at.settling_from)
        if settling.oldest is not None:
            waited = settling.now - at.settling_from
            if waited < self._limits.settle_seconds_max * 1_000_000:
                return at
            before = settling.oldest - settling.oldest % _MILLISECOND - _MILLISECOND
            at = msgspec.structs.replace(at, moment=min(at.moment, before))
        types = await self._records.types_present()
        return msgspec.structs.replace(at, phase="records", types=tuple(self._chosen(types)))

    def _chosen(self, present: Sequence[str]) -> list[str]:
        compartment = {"Patient", *load_table().compartments["Patient"]}
        return [
            name
            for name in present
            if (not self._asked.types or name in self._asked.types)
            and (not self._asked.of_patients or name in compartment)
        ]

    async def advance(self, connection: Connection | None, at: Position) -> Position:
        """The position after the next portion."""
        if at.phase == "told":
            return at
        if at.place >= len(at.types):
            return await self._next_phase(at)
        extent = self._extent(at)
        if extent is None:
            return msgspec.structs.replace(at, place=at.place + 1, group=0, after=None)
        try:
            portion = await self._portion(connection, extent, at, is_current=False)
        except Outdated:
            await self._exporting.look_again()
            portion = await self._portion(connection, extent, at, is_current=True)
        if portion.after is None:
            return msgspec.structs.replace(at, group=at.group + 1, after=None)
        at = msgspec.structs.replace(at, after=portion.after)
        if not portion.versions:
            return at
        if extent.deleted:
            lines, count = _deletions(portion.versions), 1
            return await self._written(at, "deleted", lines, count)
        lines = b"".join(map(self._line, portion.versions))
        return await self._written(at, extent.type, lines, len(portion.versions))

    async def _portion(
        self, connection: Connection | None, extent: Extent, at: Position, *, is_current: bool
    ) -> Portion:
        language = Language(
            zone=self._zone,
            limits=self._query_limits,
            table=self._records.context.table,
            is_current=is_current,
        )
        limits = self._limits
        return await self._exporting.portion(
            connection,
            extent,
            self._asked.queries(extent.type, language),
            after=at.after,
            count=limits.step_records,
            bytes_max=limits.step_bytes,
            seconds=limits.search_seconds_max,
        )

    def _extent(self, at: Position) -> Extent | None:
        """What the position is in; None behind the last of its type."""
        extent = Extent(
            type=at.types[at.place],
            until=at.moment,
            since=self._asked.since,
            of_patients=self._asked.of_patients,
            patients=self._patients,
            deleted=at.phase == "deleted",
        )
        if self._patients is None or extent.is_by_target:
            return extent if not at.group and self._patients != () else None
        begin = at.group * _PATIENTS_AT_ONCE
        some = self._patients[begin : begin + _PATIENTS_AT_ONCE]
        return msgspec.structs.replace(extent, patients=some) if some else None

    async def _next_phase(self, at: Position) -> Position:
        if at.phase == "records" and self._asked.since is not None:
            return msgspec.structs.replace(at, phase="deleted", place=0, group=0, after=None)
        if self._asked.ignored:
            lines = b"".join(
                operation_outcome((Issue("warning", "not-supported", text),)) + b"\n"
                for text in self._asked.ignored
            )
            number = len(self._asked.ignored)
            at = await self._written(at, "error", lines, number)
        return msgspec.structs.replace(at, phase="told")

    def _line(self, stored: Stored) -> bytes:
        body = stored.body or b""
        if self._subset is not None:
            body = self._subset(stored.type, body)
        if b"\n" in body or b"\r" in body:  # in JSON they stand between its parts only
            body = body.replace(b"\n", b" ").replace(b"\r", b" ")
        return body + b"\n"

    async def _written(self, at: Position, stem: str, lines: bytes, count: int) -> Position:
        """The position with these lines in the last file of this stem: a type, or `deleted` or
        `error`.
        """
        parts = [*at.parts]
        found = [place for place, one in enumerate(parts) if one.name.partition(".")[0] == stem]
        if not found or self._is_full(parts[found[-1]]):
            listing, type_ = _LISTINGS.get(stem, ("output", stem))
            name = f"{stem}.{len(found) + 1}.ndjson"
            parts.append(Part(name=name, type=type_, listing=listing))
            found.append(len(parts) - 1)
        parts[found[-1]] = await self._append(parts[found[-1]], lines, count)
        return msgspec.structs.replace(at, parts=tuple(parts))

    async def _append(self, part: Part, lines: bytes, count: int) -> Part:
        """Beside the event loop; not left before it has ended, since it would write on."""
        writing = asyncio.create_task(asyncio.to_thread(self._sink.append, part, lines, count))
        try:
            return await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.wait([writing])
            raise

    def _is_full(self, part: Part) -> bool:
        limits = self._limits
        return part.count >= limits.file_records_max or part.plain_bytes >= limits.file_bytes_max


def _deletions(versions: Sequence[Stored]) -> bytes:
    """A transaction that deletes what has been deleted (export.html, `deleted`)."""
    entries = [
        {"request": {"method": "DELETE", "url": f"{stored.type}/{stored.id}"}}
        for stored in versions
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    return msgspec.json.encode(bundle) + b"\n"
