"""`quanmin keys`: the node's own keys, changed while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from quanmin.base.database import Connection
from quanmin.base.jobs import Listed, list_jobs
from quanmin.base.keys import KeyPort
from quanmin.base.postgres import connect
from quanmin.base.problems import Unusable
from quanmin.node.job_commands import Directory, SettingsFile
from quanmin.node.own_keys import move_keys, open_keys
from quanmin.node.places import Places
from quanmin.node.reach import reached_database
from quanmin.node.settings import Settings
from quanmin.node.settings_in_force import load_settings
from quanmin.records.rewrapping import REWRAP, count_wrapped, put_rewrapping, refuse_used

_Told = TypeVar("_Told")
_OWNER = "node"

keys = typer.Typer(name="keys", help="See and change the node's own keys.", no_args_is_help=True)
_console = Console()


@keys.command("status")
def status(directory: Directory = None, settings_file: SettingsFile = None) -> None:
    """List the node's keys, how many data keys each wraps, and how far a rotation is."""

    async def question(connection: Connection, port: KeyPort) -> None:
        counts = await count_wrapped(connection)
        table = Table("key", "data keys", "", box=None, padding=(0, 2))
        numbers = port.numbers()
        for number in numbers:
            text = "wraps" if number == numbers[-1] else "unwraps"
            table.add_row(str(number), f"{counts.pop(number, 0):,}", text)
        for number, count in sorted(counts.items()):
            table.add_row(str(number), f"{count:,}", "MISSING: bring it back")
        _console.print(table)
        for job in await list_jobs(connection, kind=REWRAP, count=1):
            _console.print(f"Wrapping anew: {_told(job)}.")

    _ask(directory, settings_file, question)


@keys.command("rotate")
def rotate(directory: Directory = None, settings_file: SettingsFile = None) -> None:
    """Make a new key, by which a job wraps every data key anew while the node runs.

    Copy the keys again afterwards: `quanmin backup --keys FILE`.
    """

    async def question(connection: Connection, port: KeyPort) -> None:
        number = port.numbers()[-1] + 1
        port.add(number)
        job = await put_rewrapping(connection, _OWNER)
        _console.print(f"Key {number} wraps from now on; job {job} wraps the data keys anew.")
        _console.print(
            "Copy the keys again: `quanmin backup --keys FILE`. `quanmin keys status` says how far "
            "it is."
        )

    _ask(directory, settings_file, question)


@keys.command("retire")
def retire(
    number: Annotated[int, typer.Argument(help="The key, as `keys status` shows it.")],
    *,
    directory: Directory = None,
    settings_file: SettingsFile = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask again.")] = False,
) -> None:
    """Destroy a key that wraps nothing any more. Backups made before the rotation ended need it."""
    if not yes:
        typer.confirm(
            "Backups made before the rotation ended open only with a copy of this key. Go on?",
            abort=True,
        )

    async def question(connection: Connection, port: KeyPort) -> None:
        numbers = port.numbers()
        if number not in numbers:
            raise Unusable(
                f"There is no key {number}: `quanmin keys status` shows those there are."
            )
        if number == numbers[-1]:
            raise Unusable(f"Key {number} is the one that wraps: rotate first.")
        async with connection.transaction():
            await refuse_used(connection, number)
            port.remove(number)
        _console.print(f"Key {number} is destroyed.")

    _ask(directory, settings_file, question)


@keys.command("move")
def move(directory: Directory = None, settings_file: SettingsFile = None) -> None:
    """Bring the stopped node's keys from its folder to where the setting `keys.port` says."""
    settings = _settings(directory, settings_file)
    places = Places(settings.node.directory)
    places.prepare()
    lock = places.lock()
    if lock is None:
        raise Unusable("The node runs: stop it first with `quanmin node stop`.")
    with lock:
        number = move_keys(places, settings.keys)

    async def question(connection: Connection, _port: KeyPort) -> None:
        job = await put_rewrapping(connection, _OWNER)
        _console.print(f"Key {number} wraps from now on; job {job} wraps the data keys anew.")
        _console.print("Start the node; `quanmin keys status` says how far it is.")

    _ask(directory, settings_file, question)


def _told(job: Listed) -> str:
    share = f"{job.done:,}" if job.total is None else f"{job.done:,} of {job.total:,}"
    return f"job {job.number}, {job.state}, {share} data keys"


def _ask(
    directory: Path | None,
    settings_file: Path | None,
    question: Callable[[Connection, KeyPort], Awaitable[_Told]],
) -> _Told:
    settings = _settings(directory, settings_file)
    with reached_database(settings, may_make=False) as dsn:
        return asyncio.run(_answer(settings, dsn, question))


def _settings(directory: Path | None, settings_file: Path | None) -> Settings:
    given = {} if directory is None else {"node.directory": str(directory.absolute())}
    return load_settings(file=settings_file, given=given)


async def _answer(
    settings: Settings,
    dsn: str,
    question: Callable[[Connection, KeyPort], Awaitable[_Told]],
) -> _Told:
    connection = await connect(dsn, name="quanmin keys")
    try:
        places = Places(settings.node.directory)
        return await question(connection, open_keys(places, settings.keys, is_new=False))
    finally:
        await connection.close()
