"""Writes records to a folder of NDJSON files: as `$export` does, in the name of one actor, to be
gone on with after an interruption.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from quanmin.api.export import (
    Asked,
    Asking,
    Language,
    Part,
    Position,
    Progress,
    grown,
    gzip_head,
    gzip_tail,
    members_of,
    pack,
    pack_keys,
    patient_ids,
    write_at,
)
from quanmin.api.moments import instant
from quanmin.base.disk import replace_on_disk
from quanmin.base.problems import Invalid, Problem, Unusable
from quanmin.node.first_actors import OPERATOR
from quanmin.node.server import Node, open_node
from quanmin.node.settings import Settings
from quanmin.trust import GuardedRecords

_STATE: Final = ".export.json"
# Not .json: `quanmin load` would take it for a record.
_MANIFEST: Final = "manifest"
_PURPOSE: Final = "HOPERAT"
_KEPT_SECONDS: Final = 1.0
_SETTLING_SECONDS: Final = 0.05


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line asks for, in its own words."""

    actor: str
    pairs: tuple[tuple[str, str], ...] = ()
    of_patients: bool = False
    patients: tuple[str, ...] = ()
    group: str = ""
    is_gzip: bool = False


class _State(msgspec.Struct, frozen=True):
    """What stands in the folder while it is not done."""

    wish: Wish
    asked: Asked
    at: Position


class Folder:
    """Files as anybody reads them."""

    def __init__(self, path: Path, *, is_gzip: bool) -> None:
        self._path = path
        self._is_gzip = is_gzip

    def place_of(self, part: Part) -> Path:
        """The file of a part."""
        return self._path / (f"{part.name}.gz" if self._is_gzip else part.name)

    def append(self, part: Part, lines: bytes, count: int) -> Part:
        """See `Sink`."""
        content = pack(lines) if self._is_gzip else lines
        if self._is_gzip and not part.stored_bytes:
            content = gzip_head() + content
        write_at(self.place_of(part), part.stored_bytes, content)
        return grown(
            part,
            lines,
            count,
            packed_bytes=part.packed_bytes + len(content),
            stored_bytes=part.stored_bytes + len(content),
            pieces=part.pieces + 1,
        )

    def finish(self, part: Part) -> None:
        """The file is whole afterwards, also when it was before."""
        write_at(self.place_of(part), part.stored_bytes, gzip_tail(part) if self._is_gzip else b"")


def _prepared(path: Path, wish: Wish) -> _State | None:
    """What the folder says of an export that was interrupted; None for an empty or new one.

    Raises Unusable for a folder that holds anything else.
    """
    if path.exists() and not path.is_dir():
        raise Unusable(f"{path} is no folder: name a new one.")
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    state = path / _STATE
    if not state.exists():
        if any(path.iterdir()):
            raise Unusable(f"{path} is not empty: name a new folder.")
        return None
    try:
        kept = msgspec.json.decode(state.read_bytes(), type=_State)
    except msgspec.DecodeError:
        raise Unusable(f"{state} cannot be read: name a new folder.") from None
    if kept.wish != wish:
        raise Unusable(
            f"{path} holds an interrupted export that was asked for otherwise: give the same "
            "options to go on with it, or name a new folder."
        )
    return kept


async def export(
    settings: Settings, dsn: str, path: Path, wish: Wish, heard: Callable[[Position], None]
) -> Position:
    """Write what is wished for to the folder, or go on with it; `heard` hears how far it is.

    Raises Unusable, and the Problems of what was asked.
    """
    kept = _prepared(path, wish)
    sink = Folder(path, is_gzip=wish.is_gzip)
    async with open_node(settings, dsn, connections_max=4) as node:
        records = await _records(node, wish)
        asked = kept.asked if kept else await _read(node, records, wish)
        at = kept.at if kept else await _begin(node, _progress(node, records, asked, sink))
        while at.phase != "told":
            replace_on_disk(path / _STATE, msgspec.json.encode(_State(wish, asked, at)))
            # Looked up again: who was retired meanwhile takes nothing more out.
            progress = _progress(node, await _records(node, wish), asked, sink)
            at = await _go_on(progress, at, heard)
    for part in at.parts:
        sink.finish(part)
    replace_on_disk(path / _MANIFEST, _manifest(settings, sink, at))
    (path / _STATE).unlink(missing_ok=True)
    return at


def _progress(node: Node, records: GuardedRecords, asked: Asked, sink: Folder) -> Progress:
    settings = node.settings
    return Progress(
        records,
        asked,
        sink,
        settings.export,
        zone=settings.zone,
        query_limits=settings.search,
    )


async def _begin(node: Node, progress: Progress) -> Position:
    async with node.pool.acquire() as connection:
        await asyncio.sleep(_SETTLING_SECONDS)
        at = await progress.begin(connection)
        while at.phase == "settling":
            at = await progress.settle(connection, at)
            await asyncio.sleep(_SETTLING_SECONDS)
    return at


async def _go_on(progress: Progress, at: Position, heard: Callable[[Position], None]) -> Position:
    """The position after about a second: so much is done again after an interruption."""
    end = time.monotonic() + _KEPT_SECONDS
    while at.phase != "told" and time.monotonic() < end:
        at = await progress.advance(None, at)
        heard(at)
    return at


async def _records(node: Node, wish: Wish) -> GuardedRecords:
    # A node that was loaded and never started has enrolled nobody, and its operator runs this.
    found = await node.actors.by_code(wish.actor)
    actor = OPERATOR if found is None and wish.actor == OPERATOR.code else found
    if actor is None:
        raise Unusable(
            f"There is no actor {wish.actor!r}: `quanmin node status --tokens` shows the first."
        )
    return node.guard.records(actor, purpose=_PURPOSE, request_id="export")


async def _read(node: Node, records: GuardedRecords, wish: Wish) -> Asked:
    settings = node.settings
    await records.exporting.look_again()
    language = Language(zone=settings.zone, limits=settings.search, table=records.context.table)
    asking = Asking(
        list(wish.pairs), of_patients=wish.of_patients, is_lenient=False, language=language
    )
    asked = asking.read(records.context.suite.number, await _patients(records, wish))
    await records.exporting.check([language.query(type_, text) for type_, text in asked.filters])
    return asked


async def _patients(records: GuardedRecords, wish: Wish) -> str | None:
    """The patients wished for, packed; None for all."""
    members: list[str] | None = None
    if wish.group:
        try:
            group = await records.read("Group", wish.group.removeprefix("Group/"))
        except Problem as problem:
            raise Unusable(f"--group: {problem.text}.") from problem
        members = members_of(group.body or b"{}", records.context.base)
    ids = patient_ids(wish.patients) if wish.patients else members
    if ids is None:
        return None
    found = await records.exporting.patients(ids)
    if wish.patients and (
        len(found) < len(ids) or (members is not None and not set(ids) <= set(members))
    ):
        raise Invalid("--patient: some of these are not here, or not members of the Group")
    return pack_keys(found.values())


def _manifest(settings: Settings, sink: Folder, at: Position) -> bytes:
    listed: dict[str, list[dict[str, object]]] = {"output": [], "deleted": [], "error": []}
    for part in at.parts:
        name = sink.place_of(part).name
        listed[part.listing].append({"type": part.type, "url": name, "count": part.count})
    moment = instant(at.moment, settings.zone)
    body = {"transactionTime": moment, "requiresAccessToken": False, **listed}
    return msgspec.json.format(msgspec.json.encode(body), indent=2) + b"\n"
