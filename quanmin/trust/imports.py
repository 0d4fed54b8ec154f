"""What becomes of imports: which lines are done, how many were written, and why others were not.

An import is an errand with inputs. An input moves on in the transaction that writes its records.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from msgspec import Meta

from quanmin.base.database import Connection, Database
from quanmin.base.node_keys import SealedColumn
from quanmin.base.problems import NotFound
from quanmin.fhir.ndjson import LineCutter, Lines

if TYPE_CHECKING:
    from quanmin.base.spool import SpoolFile
    from quanmin.records.context import Context
    from quanmin.records.store import Store

KIND: Final = "import"
_PURPOSE: Final = "imports"
_FILE_OUTCOMES: Final = 10_000
_PIECE_BYTES: Final = 1 << 20

_INPUTS: Final = "select * from imports.input where job = $1 order by input"
_MOVE_ON: Final = """
    update imports.input set piece = $5, entry = $6, line = $7, counts = $8, refused = $9
    where job = $1 and input = $2 and piece = $3 and entry = $4 and not is_done returning job
"""
_REFUSE: Final = """
    insert into imports.refusal (job, input, part, outcomes, sealed) values ($1, $2, $3, $4, $5)
"""
_PARTS: Final = """
    select input, part, outcomes from imports.refusal where job = $1 order by input, part
"""
_ENDED: Final = """
    select i.spool from imports.input i join jobs.job j using (job)
    where i.job = $1 and j.state not in ('waiting', 'running')
"""
_SEALED: Final = """
    select part, sealed from imports.refusal
    where job = $1 and input = $2 and part >= $3 and part < $4 order by part
"""


class ImportLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bulk import: where files may come from, and how large they may be."""

    folder: Annotated[
        Path | None,
        Meta(
            description="Files below it may be imported by name: an actor's own lie in a folder of "
            "its code, operators may name any; none: none is."
        ),
    ] = None
    origins: Annotated[
        str,
        Meta(
            description="Where files may be fetched from: addresses such as "
            "`https://hospital.example`, parted by spaces; empty: the node fetches nothing.",
            pattern=r"^( *(https://[A-Za-z0-9.:\-]+|http://(localhost|127\.0\.0\.1)(:\d+)?) *)*$",
        ),
    ] = ""
    batch_entries: Annotated[
        int,
        Meta(description="How many lines are written in one transaction.", ge=1, le=10_000),
    ] = 200
    file_bytes_max: Annotated[
        int, Meta(description="The largest file, after decompression.", ge=1024)
    ] = 64 << 30
    line_bytes_max: Annotated[
        int, Meta(description="A line longer than this is refused.", ge=1024)
    ] = 64 << 20
    inputs_max: Annotated[int, Meta(description="How many files one import may name.", ge=1)] = 1000
    refusals_max: Annotated[
        int,
        Meta(
            description="Of how many refused lines of a file the reasons are kept; the rest is "
            "counted.",
            ge=0,
        ),
    ] = 100_000
    fetch_seconds_max: Annotated[
        float,
        Meta(
            description="How long fetching one file may take; keep it below "
            "`jobs.step_seconds_max`.",
            gt=0,
        ),
    ] = 240.0
    upload_seconds_max: Annotated[
        float, Meta(description="How long one file may take to arrive.", gt=0)
    ] = 3600.0
    uploads_max: Annotated[
        int, Meta(description="How many files may arrive at once in one worker.", ge=1)
    ] = 8


class Source(msgspec.Struct, frozen=True, omit_defaults=True):
    """One file of an import: its address, or the spool that holds what was sent; of one type, or
    of any.
    """

    url: str = ""
    type: str = ""
    spool: str = ""
    lines: int = 0


class Wanted(msgspec.Struct, frozen=True):
    """What an import is asked to take in."""

    sources: tuple[Source, ...]


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """How far a file has come. See the table."""

    job: int
    input: int
    spool: str | None
    lines: int | None
    piece: int
    entry: int
    line: int
    counts: dict[str, int]
    refused: int
    is_done: bool


class RefusedFile(msgspec.Struct, frozen=True):
    """A file of OperationOutcomes: of which input, from which refusal to before which."""

    input: int
    first: int
    end: int
    outcomes: int

    @property
    def name(self) -> str:
        """As its address ends."""
        return f"refused-{self.input}-{self.first}-{self.end}"


class Overtaken(Exception):  # noqa: N818 - no error: the lines are another's by now
    """Another worker has gone on with the input; the transaction is rolled back."""


class Filling:
    """Fills a file of the spool with the lines of one that arrives in chunks."""

    def __init__(self, file: SpoolFile, limits: ImportLimits) -> None:
        self._file = file
        self._cutter = LineCutter(
            entries_max=limits.batch_entries,
            bytes_max=_PIECE_BYTES,
            line_bytes_max=limits.line_bytes_max,
        )

    def add(self, chunk: bytes) -> None:
        """Take a chunk. Raises StorageFull."""
        self._put(self._cutter.feed(chunk))

    def finish(self) -> int:
        """Have the file on disk; how many lines it has. Raises StorageFull."""
        self._put(self._cutter.finish())
        self._file.finish()
        return self._cutter.end

    def _put(self, pieces: Iterable[Lines]) -> None:
        for lines in pieces:
            self._file.add(msgspec.msgpack.encode(lines))


async def put_inputs(connection: Connection, job: int, sources: Sequence[Source]) -> None:
    """Write down the inputs of a new import, in the transaction that begins it."""
    await connection.executemany(
        "insert into imports.input (job, input, spool, lines) values ($1, $2, $3, $4)",
        [
            (job, number, source.spool or None, source.lines if source.spool else None)
            for number, source in enumerate(sources)
        ],
    )


async def inputs_of(database: Database, job: int) -> list[Input]:
    """The inputs of an import, in order."""
    return [
        Input(**{**row, "counts": msgspec.json.decode(row["counts"])})
        for row in await database.fetch(_INPUTS, job)
    ]


async def note_fetched(connection: Connection, one: Input, spool: str, lines: int) -> None:
    """The file is in the spool."""
    await connection.execute(
        "update imports.input set spool = $3, lines = $4 where job = $1 and input = $2",
        one.job,
        one.input,
        spool,
        lines,
    )


async def note_done(connection: Connection, one: Input) -> None:
    """The file has no more lines."""
    await connection.execute(
        "update imports.input set is_done = true where job = $1 and input = $2", one.job, one.input
    )


async def move_on(
    connection: Connection,
    context: Context,
    old: Input,
    new: Input,
    outcomes: Sequence[bytes] = (),
) -> None:
    """Put the input from `old` to `new`, with what was refused between. Raises Overtaken when it
    does not stand at `old` any more.
    """
    moved = await connection.fetchval(
        _MOVE_ON,
        old.job,
        old.input,
        old.piece,
        old.entry,
        new.piece,
        new.entry,
        new.line,
        msgspec.json.encode(new.counts).decode(),
        new.refused,
    )
    if moved is None:
        raise Overtaken
    if outcomes:
        sealed = _seal(context, old, b"".join(each + b"\n" for each in outcomes))
        await connection.execute(_REFUSE, old.job, old.input, old.refused, len(outcomes), sealed)


async def spools_in_use(database: Database) -> set[str]:
    """The names of all files that imports still need."""
    rows = await database.fetch("select spool from imports.input where spool is not null")
    return {row["spool"] for row in rows}


async def forget(database: Database, job: int) -> None:
    """Keep nothing of an import but the records that it has written."""
    await database.execute("delete from imports.input where job = $1", job)


class Imports:
    """The imports that the door tells of. Whose an import is, is asked of errands before."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def inputs(self, job: int) -> list[Input]:
        """How far each file has come."""
        async with self._store.glancing() as connection:
            return await inputs_of(connection, job)

    async def forget(self, job: int) -> list[str]:
        """Keep nothing of an import that has ended, and return the names of its files; one that is
        under way clears up itself.
        """
        async with self._store.glancing() as connection, connection.transaction():
            rows = await connection.fetch(_ENDED, job)
            if rows:
                await forget(connection, job)
        return [row["spool"] for row in rows if row["spool"] is not None]

    async def refused_files(self, job: int) -> list[RefusedFile]:
        """What was refused, in files of a size that can be read at once."""
        async with self._store.glancing() as connection:
            rows = await connection.fetch(_PARTS, job)
        files: list[RefusedFile] = []
        for row in rows:
            last = files[-1] if files else None
            end, outcomes = row["part"] + 1, row["outcomes"]
            if last and last.input == row["input"] and last.outcomes < _FILE_OUTCOMES:
                files[-1] = RefusedFile(last.input, last.first, end, last.outcomes + outcomes)
            else:
                files.append(RefusedFile(row["input"], row["part"], end, outcomes))
        return files

    async def refused_file(self, job: int, name: str) -> bytes:
        """One of these files, as NDJSON. Raises NotFound."""
        for file in await self.refused_files(job):
            if file.name == name:
                async with self._store.glancing() as connection:
                    rows = await connection.fetch(_SEALED, job, file.input, file.first, file.end)
                context = self._store.context
                return b"".join(_open(context, job, file.input, row["sealed"]) for row in rows)
        raise NotFound("the import has no such file: its status names those there are")


def _place(job: int, input_: int) -> bytes:
    return f"import {job} {input_}".encode()


def _seal(context: Context, one: Input, plain: bytes) -> bytes:
    return context.seal(_PURPOSE, plain, _place(one.job, one.input))


def _open(context: Context, job: int, input_: int, sealed: bytes) -> bytes:
    return context.unseal(_PURPOSE, sealed, _place(job, input_))


SEALED: Final = (
    SealedColumn(
        "imports.refusal",
        "sealed",
        _PURPOSE,
        lambda row: _place(row["job"], row["input"]),
        by=("job", "input"),
    ),
)
