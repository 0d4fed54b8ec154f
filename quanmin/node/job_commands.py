"""`quanmin jobs`: the background jobs of a node, for its operator."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from quanmin.base.database import Connection
from quanmin.base.jobs import Listed, cancel, find, list_jobs, retry
from quanmin.base.postgres import connect
from quanmin.node.given import Directory, SettingsFile
from quanmin.node.reach import reached_database
from quanmin.node.restoration import as_text
from quanmin.node.settings_in_force import load_settings

_Told = TypeVar("_Told")

Number = Annotated[int, typer.Argument(help="The job's number, as `jobs list` shows it.")]

jobs = typer.Typer(
    name="jobs", help="Look at background jobs, end them, try them again.", no_args_is_help=True
)
_console = Console()


def ask_database(
    directory: Path | None,
    settings_file: Path | None,
    question: Callable[[Connection], Awaitable[_Told]],
) -> _Told:
    """The answer to a question to the node's database, which is started for it when none runs."""
    given = {} if directory is None else {"node.directory": str(directory.absolute())}
    settings = load_settings(file=settings_file, given=given)

    async def ask(dsn: str) -> _Told:
        connection = await connect(dsn, name="quanmin jobs")
        try:
            return await question(connection)
        finally:
            await connection.close()

    with reached_database(settings, may_make=False) as dsn:
        return asyncio.run(ask(dsn))


@jobs.command("list")
def list_(
    directory: Directory = None,
    settings_file: SettingsFile = None,
    kind: Annotated[str | None, typer.Option(help="Only jobs of this kind.")] = None,
    state: Annotated[
        Literal["waiting", "running", "done", "dead", "cancelled"] | None,
        typer.Option(help="Only jobs in this state."),
    ] = None,
    count: Annotated[int, typer.Option(help="How many, newest first.", min=1, max=10_000)] = 50,
) -> None:
    """List the newest jobs: what they are, how far they have come, and whose they are."""

    async def question(connection: Connection) -> list[Listed]:
        return await list_jobs(connection, kind=kind, state=state, count=count)

    table = Table("job", "kind", "state", "progress", "owner", "put in", "message", box=None)
    for job in ask_database(directory, settings_file, question):
        table.add_row(
            str(job.number),
            job.kind,
            _state(job),
            _progress(job),
            job.owner,
            as_text(job.created_at),
            job.message,
        )
    _console.print(table)


@jobs.command("show")
def show(number: Number, directory: Directory = None, settings_file: SettingsFile = None) -> None:
    """Show one job with every reason why an attempt failed."""

    async def question(connection: Connection) -> Listed:
        return await find(connection, number)

    job = ask_database(directory, settings_file, question)
    table = Table(show_header=False, box=None, padding=(0, 2))
    table.add_row("job", f"{job.number} ({job.kind})")
    table.add_row("state", _state(job))
    table.add_row("progress", _progress(job))
    table.add_row("message", job.message)
    table.add_row("owner", job.owner)
    table.add_row("about", msgspec.json.encode(job.payload).decode())
    if job.result is not None:
        table.add_row("result", msgspec.json.encode(job.result).decode())
    for name, moment in (
        ("put in", job.created_at),
        ("not before", job.due if job.state == "waiting" else None),
        ("begun", job.started_at),
        ("ended", job.ended_at),
    ):
        if moment is not None:
            table.add_row(name, as_text(moment))
    if job.worker is not None:
        table.add_row("worker", job.worker)
    table.add_row("failures", str(job.attempts))
    for reason in job.reasons:
        table.add_row(as_text(reason.at), reason.text)
    _console.print(table)


@jobs.command("cancel")
def cancel_(
    number: Number, directory: Directory = None, settings_file: SettingsFile = None
) -> None:
    """End a job: at once when it has not begun, before its next step when it has."""

    async def question(connection: Connection) -> Listed:
        return await cancel(connection, number)

    job = ask_database(directory, settings_file, question)
    ends = "is cancelled" if job.state == "cancelled" else "ends before its next step"
    _console.print(f"Job {job.number} ({job.kind}) {ends}.")


@jobs.command("retry")
def retry_(number: Number, directory: Directory = None, settings_file: SettingsFile = None) -> None:
    """Let a dead or cancelled job go on where it stopped."""

    async def question(connection: Connection) -> Listed:
        return await retry(connection, number)

    job = ask_database(directory, settings_file, question)
    _console.print(f"Job {job.number} ({job.kind}) waits for a worker.")


def _state(job: Listed) -> str:
    is_ending = job.is_cancel_asked and job.ended_at is None
    return f"{job.state}, cancelling" if is_ending else job.state


def _progress(job: Listed) -> str:
    if job.total is None:
        return f"{job.done:,}" if job.done else ""
    return f"{job.done:,} of {job.total:,}"
