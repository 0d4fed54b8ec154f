"""Loads files of records: bundles, NDJSON, folders and archives of them, in any number.

What is read is never held as a whole: pieces go to a few processes of this program, each of which
writes through the guard like any other client. A transaction that is refused is refused whole;
single resources are written together and, when one of them is wrong, one by one, so that the others
get in.
"""

from __future__ import annotations

import asyncio
import gzip
import os
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AsyncExitStack, contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import IO, Final, cast

import msgspec
import uvloop

from quanmin.base.database import UNAVAILABLE
from quanmin.base.lifetime import end_with
from quanmin.base.logs import write_logs
from quanmin.base.problems import Issue, Problem, Unusable
from quanmin.fhir.ndjson import LineCutter, Lines
from quanmin.fhir.table import load_table
from quanmin.node.memory import settle
from quanmin.node.pieces import NO_RESOURCE, Piece, as_bundle, as_requests, head_of
from quanmin.node.server import Node, open_node
from quanmin.node.settings import LoadSettings, Settings, pack, unpack
from quanmin.trust import Actor, EntryOutcome

_ARCHIVES: Final = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2")
_LINES: Final = (".ndjson", ".ndjson.gz", ".jsonl", ".jsonl.gz")
_WHOLE: Final = (".json", ".json.gz")
_NAMES: Final = (".zip", *_ARCHIVES, *_LINES, *_WHOLE)
KINDS: Final = (
    "records are read from .json, .ndjson and .jsonl files, plain or .gz, from .zip and .tar "
    "archives of them, and from folders"
)
_OUTSTANDING_A_WRITER: Final = 2
_CHUNK_BYTES: Final = 1 << 20
_PIECE_BYTES: Final = 4 << 20
_REASONS_MAX: Final = 20


class Refusal(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was not written and why; `line` counts the lines or entries of the source from 1."""

    source: str
    line: int
    type: str
    reasons: tuple[str, ...]


class Written(msgspec.Struct, frozen=True):
    """What became of a piece: how many records of each type, and what was refused."""

    counts: dict[str, int]
    refusals: tuple[Refusal, ...]


class _Entry(msgspec.Struct, rename="camel"):
    resource: msgspec.Raw = msgspec.Raw(b"")


class _Bundle(msgspec.Struct, rename="camel"):
    type: str = ""
    entry: list[_Entry] = []


_bundle = msgspec.json.Decoder(_Bundle)


# ---- reading -----------------------------------------------------------------------------------


class Reader:
    """Walks over files in order and cuts them into pieces; what it cannot read is a refusal."""

    def __init__(self, limits: LoadSettings, refuse: Callable[[Refusal], None]) -> None:
        self._limits = limits
        self._refuse = refuse
        self.skipped = 0

    def pieces(self, paths: Iterable[Path], progress: Callable[[int], None]) -> Iterator[Piece]:
        """The pieces of these files; `progress` hears of the bytes read of them."""
        done = 0
        for path in paths:
            with path.open("rb") as file:
                for piece in self._cut(str(path), file):
                    progress(done + file.tell())
                    yield piece
            done += path.stat().st_size
            progress(done)

    def _cut(self, name: str, file: IO[bytes], kind: str | None = None) -> Iterator[Piece]:
        lower = (kind or name).lower()
        try:
            if lower.endswith(".zip"):
                yield from self._zip(name, file)
            elif lower.endswith(_ARCHIVES):
                yield from self._tar(name, file)
            elif lower.endswith(".gz"):
                with gzip.GzipFile(fileobj=file) as opened:
                    file = cast("IO[bytes]", opened)
                    yield from self._cut(name, file, lower[:-3])
            elif lower.endswith(_LINES):
                yield from self._ndjson(name, file)
            elif lower.endswith(_WHOLE):
                yield from self._json(name, file)
            else:
                self.skipped += 1
        except (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile) as error:
            fault = str(error) or type(error).__name__
            reason = f"the file is damaged ({fault}): copy it here again"
            self._refuse(Refusal(name, 0, "", (reason,)))

    def _zip(self, name: str, file: IO[bytes]) -> Iterator[Piece]:
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist():
                if not member.is_dir():
                    with archive.open(member) as opened:
                        yield from self._cut(f"{name}!{member.filename}", opened)

    def _tar(self, name: str, file: IO[bytes]) -> Iterator[Piece]:
        with tarfile.open(fileobj=file, mode="r|*") as archive:
            for member in archive:
                opened = archive.extractfile(member) if member.isfile() else None
                if opened is not None:
                    yield from self._cut(f"{name}!{member.name}", opened)

    def _json(self, name: str, file: IO[bytes]) -> Iterator[Piece]:
        body = file.read(self._limits.file_bytes_max + 1)
        if len(body) > self._limits.file_bytes_max:
            self._refuse(Refusal(name, 0, "", (self._too_large("file"),)))
            return
        if not body.strip():
            self._refuse(Refusal(name, 0, "", ("the file is empty: copy it here again",)))
            return
        head = head_of(body)
        if head is None:
            self._refuse(
                Refusal(name, 0, "", ("not a JSON object: check its end, and that it is UTF-8",))
            )
            return
        bundle = _bundle_of(body) if head.resource_type == "Bundle" else _Bundle()
        if bundle.type in {"transaction", "batch"}:
            yield Piece(name, "requests", (body,), (0,))
        elif bundle.type in {"collection", "searchset"}:
            entries = [bytes(entry.resource) for entry in bundle.entry]
            yield from self._gather(name, enumerate(entries, 1))
        else:
            yield Piece(name, "resources", (body,), (0,))

    def _ndjson(self, name: str, file: IO[bytes]) -> Iterator[Piece]:
        cutter = LineCutter(
            entries_max=self._limits.batch_entries,
            bytes_max=_PIECE_BYTES,
            line_bytes_max=self._limits.file_bytes_max,
        )
        while chunk := file.read(_CHUNK_BYTES):
            yield from self._pieces(name, cutter.feed(chunk))
        yield from self._pieces(name, cutter.finish())

    def _pieces(self, name: str, cut: Iterator[Lines]) -> Iterator[Piece]:
        for lines in cut:
            for number in lines.too_long:
                self._refuse(Refusal(name, number, "", (self._too_large("line"),)))
            if lines.bodies:
                yield Piece(name, "resources", lines.bodies, lines.numbers)

    def _gather(self, name: str, numbered: Iterable[tuple[int, bytes]]) -> Iterator[Piece]:
        bodies: list[bytes] = []
        lines: list[int] = []
        for number, body in numbered:
            bodies.append(body)
            lines.append(number)
            if len(bodies) == self._limits.batch_entries:
                yield Piece(name, "resources", tuple(bodies), tuple(lines))
                bodies, lines = [], []
        if bodies:
            yield Piece(name, "resources", tuple(bodies), tuple(lines))

    def _too_large(self, what: str) -> str:
        return (
            f"the {what} is larger than `load.file_bytes_max` ({self._limits.file_bytes_max} bytes)"
        )


def files_below(paths: Iterable[Path]) -> Iterator[Path]:
    """The files of `paths` and their folders, in order.

    Raises Unusable for one that is not there, and for one named by itself that holds no records.
    """
    for path in paths:
        if path.is_dir():
            yield from (each for each in sorted(path.rglob("*")) if each.is_file())
        elif not path.is_file():
            raise Unusable(f"There is no file or folder {path}.")
        elif not may_hold_records(path):
            raise Unusable(f"{path} is of another kind: {KINDS}.")
        else:
            yield path


def may_hold_records(path: Path) -> bool:
    """Whether a file has the name of one that is read."""
    return path.name.lower().endswith(_NAMES)


def _bundle_of(body: bytes) -> _Bundle:
    """Without type and entries when it has none that can be read: validation says what is wrong."""
    try:
        return _bundle.decode(body)
    except msgspec.DecodeError:
        return _Bundle()


# ---- writing -----------------------------------------------------------------------------------


class Writer:
    """Writes pieces as one actor."""

    def __init__(self, node: Node, actor: Actor) -> None:
        self._records = node.guard.records(actor, purpose="HOPERAT", request_id="load")

    async def write(self, piece: Piece) -> Written:
        """Write a piece; refusals are told, never raised. Raises only what stops everything."""
        if piece.kind == "requests":
            return await self._requests(piece)
        requests, refused = as_requests(piece.bodies, piece.lines)
        refusals = [Refusal(piece.source, line, "", (NO_RESOURCE,)) for line in refused]
        if not requests:
            return Written({}, tuple(refusals))
        try:
            _, outcomes = await self._records.bundle(as_bundle("transaction", requests))
        except Problem:
            # One is wrong: write them one by one, so that the others get in and it is named.
            _, outcomes = await self._records.bundle(as_bundle("batch", requests))
        lines = [request.line for request in requests]
        return _sum(piece.source, lines, outcomes, refusals)

    async def _requests(self, piece: Piece) -> Written:
        try:
            _, outcomes = await self._records.bundle(piece.bodies[0])
        except Problem as problem:
            reasons = tuple(map(_reason, problem.issues[:_REASONS_MAX]))
            return Written({}, (Refusal(piece.source, 0, "Bundle", reasons),))
        return _sum(piece.source, list(range(1, len(outcomes) + 1)), outcomes, [])


def _sum(
    source: str, lines: list[int], outcomes: list[EntryOutcome], refusals: list[Refusal]
) -> Written:
    counts: Counter[str] = Counter()
    for line, outcome in zip(lines, outcomes, strict=True):
        if outcome.stored is not None and outcome.status < 300:
            counts[outcome.stored.type] += 1
        elif outcome.status >= 400:
            reasons = tuple(map(_reason, outcome.issues[:_REASONS_MAX]))
            refusals.append(Refusal(source, line, "", reasons))
    return Written(dict(counts), tuple(refusals))


def _reason(issue: Issue) -> str:
    return f"{issue.expression}: {issue.text}" if issue.expression else issue.text


class _Process:
    """What one writing process keeps between pieces."""

    runner: asyncio.Runner
    stack: AsyncExitStack
    writer: Writer


def _open_process(parent: int, settings: bytes, dsn: str, actor: Actor) -> None:
    end_with(parent)
    write_logs()
    process = _Process
    process.runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    process.stack = AsyncExitStack()
    opened = open_node(unpack(settings), dsn, connections_max=3)
    node = process.runner.run(process.stack.enter_async_context(opened))
    process.writer = Writer(node, actor)
    settle()


def _is_open() -> None:
    """Nothing to do: its answer says that a process is ready."""


def _write_piece(piece: Piece) -> Written:
    return _Process.runner.run(_Process.writer.write(piece))


@contextmanager
def writers(settings: Settings, dsn: str, actor: Actor) -> Iterator[ProcessPoolExecutor]:
    """The processes that write as `actor`, for `load`.

    They are forked, since each would take a second to import and read what this process has
    already: call it where no thread has been started yet. Raises Unusable when one of them ends
    before its time.
    """
    load_table()
    with ProcessPoolExecutor(
        settings.load.writers,
        mp_context=get_context("fork"),
        initializer=_open_process,
        initargs=(os.getpid(), pack(settings), dsn, actor),
    ) as pool:
        try:
            # The first task makes all the processes, and after them the thread that hears of them.
            pool.submit(_is_open).result()
            yield pool
        except BrokenProcessPool:
            raise Unusable(
                "A writing process has ended unexpectedly. What was counted is stored; run the same"
                " command again for the rest."
            ) from None


def load(
    pool: ProcessPoolExecutor,
    limits: LoadSettings,
    pieces: Iterator[Piece],
    heard: Callable[[Written], None],
) -> None:
    """Write all pieces, some at a time; `heard` hears of each. Raises what stops everything."""
    under_way: set[Future[Written]] = set()
    for piece in pieces:
        under_way.add(pool.submit(_write_piece, piece))
        if len(under_way) >= limits.writers * _OUTSTANDING_A_WRITER:
            under_way = _collect(under_way, heard)
    while under_way:
        under_way = _collect(under_way, heard)


def _collect(
    under_way: set[Future[Written]], heard: Callable[[Written], None]
) -> set[Future[Written]]:
    done, left = wait(under_way, return_when=FIRST_COMPLETED)
    for each in done:
        try:
            heard(each.result())
        except UNAVAILABLE as error:
            raise Unusable(
                f"The database went away meanwhile ({type(error).__name__}): `quanmin doctor` says "
                "more. Load the same files again; records with an id are not doubled."
            ) from error
    return left
