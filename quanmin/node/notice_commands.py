"""`quanmin notices`: the messages that leave a node, for its operator."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from quanmin.base.database import Connection
from quanmin.node.given import Directory, SettingsFile
from quanmin.node.job_commands import ask_database
from quanmin.node.restoration import as_text
from quanmin.workflow.notices.queue import MessageState, Queued, list_messages, resend

_ALL_MAX = 1_000_000

notices = typer.Typer(
    name="notices",
    help="Look at messages of notices, send refused ones again.",
    no_args_is_help=True,
)
_console = Console()


@notices.command("list")
def list_(
    directory: Directory = None,
    settings_file: SettingsFile = None,
    state: Annotated[MessageState, typer.Option(help="Only messages in this state.")] = "refused",
    count: Annotated[int, typer.Option(help="How many, newest first.", min=1, max=10_000)] = 50,
) -> None:
    """List the newest messages: for which account, by which channel, and why refused."""

    async def question(connection: Connection) -> Sequence[Queued]:
        return await list_messages(connection, state, count=count)

    names = ("message", "account", "channel", "notices", "state", "attempts", "made", "reason")
    table = Table(*names, box=None)
    for one in ask_database(directory, settings_file, question):
        numbers = (str(one.number), one.account, one.channel, str(one.count), one.state)
        table.add_row(*numbers, str(one.attempts), as_text(one.made_at), one.reason)
    _console.print(table)


@notices.command("resend")
def resend_(
    number: Annotated[
        int | None, typer.Argument(help="The message's number; without: all that are refused.")
    ] = None,
    directory: Directory = None,
    settings_file: SettingsFile = None,
) -> None:
    """Try a refused message anew, or all of them."""

    async def question(connection: Connection) -> int:
        now = time.time_ns() // 1000
        if number is not None:
            await resend(connection, number, now)
            return 1
        refused = await list_messages(connection, "refused", count=_ALL_MAX)
        for one in refused:
            await resend(connection, one.number, now)
        return len(refused)

    count = ask_database(directory, settings_file, question)
    _console.print(
        f"{count} {'message waits' if count == 1 else 'messages wait'} to be sent again."
    )
