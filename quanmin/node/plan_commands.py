"""`quanmin plans`: the plans by which due lists are kept, for the operator of a node."""

from __future__ import annotations

import typer
from rich.console import Console
from rich.table import Table

from quanmin.node.given import Directory, SettingsFile
from quanmin.node.register_commands import By, Desk, at_desk
from quanmin.trust.due import Progress, progress_of, renew_all

plans = typer.Typer(
    name="plans",
    help="See how far due lists are, and have them made anew.",
    no_args_is_help=True,
)
_console = Console()


@plans.command("status")
def show_status(directory: Directory = None, settings_file: SettingsFile = None) -> None:
    """List the plans of all applications: whether everybody stands in their lists."""

    async def work(desk: Desk) -> list[tuple[str, Progress]]:
        guard = desk.node.guard
        today = guard.due.today(guard.now())
        async with desk.node.pool.acquire() as connection:
            return [
                (code, await progress_of(connection, guard.due, plan, today))
                for code, plan in sorted(guard.due.named.items())
            ]

    table = Table("plan", "lists", "job", "to be looked at again", box=None)
    for code, progress in at_desk(directory, settings_file, work):
        said = "ready" if progress.is_ready else f"{progress.share:.0%}"
        job = "" if progress.job is None or progress.is_ready else str(progress.job)
        table.add_row(code, said, job, f"{progress.behind:,}")
    _console.print(table)


@plans.command("renew")
def renew(by: By, directory: Directory = None, settings_file: SettingsFile = None) -> None:
    """Make all due lists anew in the background, from the records; they are read meanwhile."""

    async def work(desk: Desk) -> int:
        async with desk.node.pool.acquire() as connection, connection.transaction():
            return await renew_all(connection, desk.node.guard.due, by)

    _console.print(f"Job {at_desk(directory, settings_file, work)} makes the due lists anew.")
