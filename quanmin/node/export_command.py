"""`quanmin export`: records out of a node into a folder of files."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from quanmin.api.export import Position
from quanmin.node.exporting import Wish, export
from quanmin.node.first_actors import OPERATOR
from quanmin.node.given import Directory, SettingsFile
from quanmin.node.reach import reached_database
from quanmin.node.settings import Settings
from quanmin.node.settings_in_force import load_settings

_INTERRUPTED: Final = 130  # as a shell says of a program that Ctrl-C ended
_console = Console()


def export_records(
    folder: Annotated[Path, typer.Argument(help="A new folder, or that of the same export.")],
    *,
    directory: Directory = None,
    settings_file: SettingsFile = None,
    type_: Annotated[
        list[str] | None, typer.Option("--type", help="Only records of this type; repeatable.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Only what was written after this date or time.")
    ] = None,
    elements: Annotated[
        list[str] | None, typer.Option(help="Only this element (name or Patient.name); repeatable.")
    ] = None,
    type_filter: Annotated[
        list[str] | None,
        typer.Option(help="Only what this search finds: Observation?code=...; repeatable."),
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="Only what is of the members of this Group, by its id.")
    ] = None,
    patient: Annotated[
        list[str] | None, typer.Option(help="Only what is of this Patient/id; repeatable.")
    ] = None,
    actor: Annotated[
        str, typer.Option(help="In whose name: what they may not see is not written.")
    ] = OPERATOR.code,
    patients: Annotated[
        bool, typer.Option("--patients", help="Only what is of any patient.")
    ] = False,
    packed: Annotated[bool, typer.Option("--gzip", help="Pack the files with gzip.")] = False,
) -> None:
    """Write records to NDJSON files, which `quanmin load` reads.

    The files are not encrypted. After an interruption the same command goes on.
    """
    given = {} if directory is None else {"node.directory": str(directory.absolute())}
    settings = load_settings(file=settings_file, given=given)
    pairs = [
        *(("_type", one) for one in type_ or ()),
        *([("_since", since)] if since else []),
        *(("_elements", one) for one in elements or ()),
        *(("_typeFilter", one) for one in type_filter or ()),
    ]
    wish = Wish(
        actor=actor,
        pairs=tuple(pairs),
        of_patients=bool(patients or group or patient),
        patients=tuple(patient or ()),
        group=group or "",
        is_gzip=packed,
    )
    try:
        at = _export(settings, folder, wish)
    except KeyboardInterrupt:
        _console.print("\nInterrupted: the same command goes on from here.")
        raise typer.Exit(_INTERRUPTED) from None
    _show(at, folder)


def _export(settings: Settings, folder: Path, wish: Wish) -> Position:
    with (
        reached_database(settings, may_make=False) as dsn,
        Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TextColumn("{task.fields[count]:,} records"),
            TimeElapsedColumn(),
            console=_console,
        ) as progress,
    ):
        bar = progress.add_task("waiting for writers", total=None, count=0)

        def hear(at: Position) -> None:
            progress.update(bar, description=at.message or "finishing", count=at.count)

        return asyncio.run(export(settings, dsn, folder, wish, hear))


def _show(at: Position, folder: Path) -> None:
    counts = Counter[str]()
    for part in at.parts:
        if part.listing == "output":
            counts[part.type] += part.count
    table = Table("type", "records", box=None, padding=(0, 2))
    for name, count in sorted(counts.items()):
        table.add_row(name, f"{count:,}")
    table.add_row("all", f"{counts.total():,}")
    _console.print(table)
    _console.print(f"{len(at.parts)} files and their manifest are in {folder}.", soft_wrap=True)
