"""`quanmin log`: whether the access log is whole, proofs of its entries, and the log taken out.

`verify` and `check` end with 1 when something is not as it was written.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Annotated, Final, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from quanmin.base.database import Connection
from quanmin.base.postgres import connect
from quanmin.base.problems import Unusable
from quanmin.node.given import Directory, SettingsFile, read_given
from quanmin.node.log_keys import key_file, key_of, read_keys
from quanmin.node.own_keys import open_keys, open_notary
from quanmin.node.places import Places
from quanmin.node.reach import reached_database
from quanmin.node.restoration import as_text
from quanmin.node.roots import read_node_keys
from quanmin.node.server import open_node
from quanmin.node.settings_in_force import load_settings
from quanmin.trust import Notary, Witness
from quanmin.trust.log.entry import Place
from quanmin.trust.log.exporting import take_out
from quanmin.trust.log.proving import (
    Consistency,
    Proof,
    check,
    check_growth,
    prove,
    prove_growth,
)
from quanmin.trust.log.verifying import Progress as Far
from quanmin.trust.log.verifying import Verified, verify

_WRONG: Final = 1
_Told = TypeVar("_Told")
_Question = Callable[[Connection, Notary, Witness], Awaitable[_Told]]

log = typer.Typer(
    name="log", help="Verify, prove and take out the access log.", no_args_is_help=True
)
_console = Console()

KeyFile = Annotated[Path, typer.Option("--key", help="The node's public keys (`log key`).")]
KnownKeys = Annotated[
    Path | None,
    typer.Option(
        "--known", help="A file of its keys from earlier, which those of --key must follow from."
    ),
]
Entry = Annotated[str, typer.Argument(help="The entry, as `log verify` and AuditEvent name it.")]


def _ask(directory: Path | None, settings_file: Path | None, question: _Question[_Told]) -> _Told:
    """The answer to a question about the log of this node, whether the node runs or not."""
    given = {} if directory is None else {"node.directory": str(directory.absolute())}
    settings = load_settings(file=settings_file, given=given)

    async def ask(dsn: str) -> _Told:
        places = Places(settings.node.directory)
        port = open_keys(places, settings.keys, is_new=False)
        connection = await connect(dsn, name="quanmin log")
        try:
            notary = open_notary(settings, await read_node_keys(connection, port))
            return await question(connection, notary, Witness(places.witness))
        finally:
            await connection.close()

    with reached_database(settings, may_make=False) as dsn:
        return asyncio.run(ask(dsn))


@log.command("verify")
def verify_(
    directory: Directory = None,
    settings_file: SettingsFile = None,
    shown: Annotated[
        int, typer.Option("--show", help="How many findings are shown.", min=1)
    ] = 1000,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Say it as JSON.")] = False,
) -> None:
    """Look whether any entry was changed, removed, inserted or moved, and name each that was."""

    async def question(connection: Connection, notary: Notary, witness: Witness) -> Verified:
        with _bar() as bar:
            task = bar.add_task("entries", total=None)

            def heard(far: Far) -> None:
                bar.update(task, total=far.of, completed=far.entries)

            return await verify(connection, notary, witness, heard=heard)

    found = _ask(directory, settings_file, question)
    if as_json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    else:
        _show(found, shown)
    if found.findings:
        raise typer.Exit(_WRONG)


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )


def _show(found: Verified, shown: int) -> None:
    for remark in found.remarks:
        _console.print(remark)
    counted = (
        f"{found.entries:,} entries in {found.lanes} lanes, held against {found.heads:,} signed"
        f" heads and {found.checkpoints:,} checkpoints"
    )
    if not found.findings:
        _console.print(f"The access log is whole: {counted}.")
        return
    table = Table("entry", "what", "why", box=None)
    for one in found.findings[:shown]:
        table.add_row(one.entry, one.wrong, one.text)
    _console.print(table)
    if len(found.findings) > shown:
        _console.print(f"... and {len(found.findings) - shown:,} more: see them with --show.")
    _console.print(f"The access log is NOT whole: {len(found.findings):,} findings in {counted}.")


@log.command("heads")
def heads(
    directory: Directory = None,
    settings_file: SettingsFile = None,
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Say it as JSON, with signatures.")
    ] = False,
) -> None:
    """Show what the lanes of the log have grown to."""

    async def question(
        connection: Connection, notary: Notary, _witness: Witness
    ) -> list[dict[str, str | int]]:
        rows = await connection.fetch(
            "select distinct on (lane) * from trust.head join trust.lane using (lane)"
            " where size > 0 order by lane, size desc"
        )
        return [
            {
                "node": notary.node,
                "lane": row["lane"],
                "suite": row["suite"],
                "size": row["size"],
                "root": row["root"].hex(),
                "at": row["at"],
                "signature": row["signature"].hex(),
            }
            for row in rows
        ]

    found = _ask(directory, settings_file, question)
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(found)).decode() + "\n")
        return
    table = Table("lane", "entries", "root", "signed", box=None)
    for one in found:
        when = as_text(int(one["at"]))
        table.add_row(str(one["lane"]), f"{one['size']:,}", str(one["root"]), when)
    _console.print(table)


@log.command("key")
def key(directory: Directory = None, settings_file: SettingsFile = None) -> None:
    """Write the public keys that proofs and heads are checked with, as PEM: the one that signs now,
    those before, and that each of them says so.
    """

    async def question(_connection: Connection, notary: Notary, _witness: Witness) -> str:
        return key_file(notary)

    sys.stdout.write(_ask(directory, settings_file, question))


@log.command("prove")
def prove_(
    entry: Entry,
    directory: Directory = None,
    settings_file: SettingsFile = None,
    *,
    is_open: Annotated[
        bool, typer.Option("--open", help="Say also whose records the entry names, by their keys.")
    ] = False,
) -> None:
    """Write a proof that an entry stands in the log; `log check` checks it anywhere."""
    place = _place(entry)

    async def question(connection: Connection, notary: Notary, _witness: Witness) -> Proof:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return await prove(connection, notary.node, place, is_open=is_open)

    _write(_ask(directory, settings_file, question))


@log.command("prove-growth")
def prove_growth_(
    lane: Annotated[int, typer.Argument(help="The lane.")],
    size: Annotated[int, typer.Argument(help="How many entries it had.")],
    root: Annotated[str, typer.Argument(help="Its root then, in hexadecimal.")],
    directory: Directory = None,
    settings_file: SettingsFile = None,
) -> None:
    """Write a proof that a lane has only grown since it had this size and root."""
    first_root = _hex(root)

    async def question(connection: Connection, notary: Notary, _witness: Witness) -> Consistency:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return await prove_growth(connection, notary.node, lane, size, first_root)

    _write(_ask(directory, settings_file, question))


@log.command("check")
def check_(
    proof: Annotated[Path, typer.Argument(help="A proof of `log prove` or `log prove-growth`.")],
    public: KeyFile,
    known: KnownKeys = None,
) -> None:
    """Check a proof with nothing but the node's public keys."""
    content, keys = read_given(proof), read_keys(public, known)
    try:
        one = msgspec.json.decode(content, type=dict)
        with_key = key_of(keys, bytes.fromhex(one["signature"]))
        if "entry" in one:
            reasons = check(msgspec.convert(one, Proof), with_key)
        else:
            reasons = check_growth(msgspec.convert(one, Consistency), with_key)
    except (msgspec.MsgspecError, ValueError, KeyError, TypeError) as error:
        raise Unusable(f"{proof} is no proof of an access log.") from error
    for reason in reasons:
        _console.print(f"NOT proven: {reason}.")
    if reasons:
        raise typer.Exit(_WRONG)
    when = as_text(int(one["at"]))
    if "entry" in one:
        said = f"entry {one['lane']}-{one['number']} is in the log as the proof shows it"
    else:
        said = f"lane {one['lane']} has only grown since it had {one['first']:,} entries"
    _console.print(f"Proven: {said}; signed {when}.")


@log.command("export")
def export(
    target: Annotated[Path, typer.Argument(help="The file to write; it must not be there.")],
    directory: Directory = None,
    settings_file: SettingsFile = None,
    since: Annotated[
        datetime | None, typer.Option("--from", help="Only of requests from this moment on (UTC).")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option("--to", help="Only of requests before this moment (UTC).")
    ] = None,
    *,
    after: Annotated[
        str | None,
        typer.Option("--after", help="Go on after this event: the last that an earlier file has."),
    ] = None,
    proofs: Annotated[
        bool, typer.Option("--proofs", help="Write the proof of each entry to TARGET.proofs too.")
    ] = False,
) -> None:
    """Take the log out as AuditEvents, one a line (NDJSON); that it was done is an entry too."""
    given = {} if directory is None else {"node.directory": str(directory.absolute())}
    settings = load_settings(file=settings_file, given=given)
    low, high = _moment(since, 0), _moment(until, 1 << 62)
    begin = None if after is None else _place(after)

    async def run(dsn: str) -> int:
        async with open_node(settings, dsn, connections_max=3) as node:
            with _bar() as bar, _new_file(target) as file:
                task = bar.add_task("events", total=None)
                aside = _new_file(_beside(target)) if proofs else nullcontext()
                with aside as proofs_file:
                    taking = take_out(node.guard, low, high, with_proofs=proofs, after=begin)
                    async for events, several in taking:
                        file.writelines(event + b"\n" for event in events)
                        if proofs_file is not None:
                            proofs_file.writelines(msgspec.json.encode(p) + b"\n" for p in several)
                        bar.advance(task, len(events))
                return int(bar.tasks[0].completed)

    with reached_database(settings, may_make=False) as dsn:
        number = asyncio.run(run(dsn))
    _console.print(f"{number:,} events are in {target}.")


def _beside(target: Path) -> Path:
    return target.with_name(f"{target.name}.proofs")


def _new_file(path: Path) -> IO[bytes]:
    try:
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
    except FileExistsError as error:
        raise Unusable(f"{path} exists already: name a new file.") from error


def _moment(when: datetime | None, default: int) -> int:
    return default if when is None else int(when.replace(tzinfo=UTC).timestamp() * 1_000_000)


def _write(one: Proof | Consistency) -> None:
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(one)).decode() + "\n")


def _place(entry: str) -> Place:
    lane, _, number = entry.rpartition("-")
    lane = lane.removeprefix("log-")
    if not (lane.isdecimal() and number.isdecimal()):
        raise Unusable(f"{entry!r} names no entry: it is called as 20261101-42.")
    return Place(int(lane), int(number))


def _hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise Unusable("The root is 64 hexadecimal digits.") from error
