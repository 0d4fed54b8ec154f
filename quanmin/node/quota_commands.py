"""`quanmin quota`: what institutions may use of a node, and have used."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from quanmin.base.postgres import open_pool
from quanmin.base.problems import NotFound
from quanmin.node.given import Directory, SettingsFile
from quanmin.node.places import Places
from quanmin.node.reach import reached_database
from quanmin.node.restoration import as_text
from quanmin.node.server import open_allowances
from quanmin.node.settings_in_force import load_settings
from quanmin.trust import Allowances
from quanmin.trust.allowances import Quota

_Told = TypeVar("_Told")

Institution = Annotated[str, typer.Argument(help="The institution, by the code of its accounts.")]

quotas = typer.Typer(
    name="quota", help="What institutions may use, and have used.", no_args_is_help=True
)
_console = Console()


def _ask(
    directory: Path | None, file: Path | None, task: Callable[[Allowances], Awaitable[_Told]]
) -> _Told:
    given = {} if directory is None else {"node.directory": str(directory.absolute())}
    settings = load_settings(file=file, given=given)

    async def ask(dsn: str) -> _Told:
        pool = await open_pool(dsn, name="quanmin quota", connections_max=2)
        try:
            return await task(open_allowances(settings, Places(settings.node.directory), pool))
        finally:
            await pool.close()

    with reached_database(settings, may_make=False) as dsn:
        return asyncio.run(ask(dsn))


@quotas.command("list")
def list_(
    institution: Annotated[str | None, typer.Argument(help="Only this one.")] = None,
    directory: Directory = None,
    settings_file: SettingsFile = None,
) -> None:
    """List how institutions stand; what is theirs alone is marked with *."""

    async def task(allowances: Allowances) -> None:
        table = Table("institution", "quota", "used", "of", "anew at", box=None)
        known = await allowances.institutions()
        if institution is not None and institution not in known:
            raise NotFound(f"nobody acts for {institution}: `quota list` shows all institutions")
        for code in (institution,) if institution else known:
            for one in await allowances.of(code):
                most = f"{one.most:,}" if one.most else "any"
                until = "" if one.until is None else as_text(one.until)
                mark = "*" if one.is_own else ""
                table.add_row(code, one.quota, f"{one.used:,}", f"{most}{mark}", until)
        _console.print(table)

    _ask(directory, settings_file, task)


@quotas.command("set")
def set_(
    institution: Institution,
    quota: Annotated[Quota, typer.Argument(help="What it may use.")],
    most: Annotated[int, typer.Argument(help="How much, 0 for as much as it likes.", min=0)],
    directory: Directory = None,
    settings_file: SettingsFile = None,
) -> None:
    """Give an institution an allowance of its own, within seconds in all processes."""
    _ask(directory, settings_file, lambda allowances: allowances.allow(institution, quota, most))
    _console.print(f"{institution} may use {most:,} {quota}." if most else f"{institution}: any.")


@quotas.command("clear")
def clear(
    institution: Institution,
    quota: Annotated[Quota, typer.Argument(help="What it may use.")],
    directory: Directory = None,
    settings_file: SettingsFile = None,
) -> None:
    """Let an institution have what the settings say again."""
    _ask(directory, settings_file, lambda allowances: allowances.allow(institution, quota, None))
    _console.print(f"{institution} may use what the setting quota.{quota} says.")


@quotas.command("count")
def count(
    institution: Institution, directory: Directory = None, settings_file: SettingsFile = None
) -> None:
    """Count anew what an institution has stored: after erasures, or when the count was lost."""
    stored = _ask(directory, settings_file, lambda allowances: allowances.count_stored(institution))
    _console.print(f"{institution} has stored {stored:,} bytes.")
