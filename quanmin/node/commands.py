"""The `quanmin` command: a node's whole life from the command line.

Whatever goes wrong by input or circumstance is told in one sentence, with exit code 2; `doctor`
ends with 1 when it found something wrong.
"""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column, Table

import quanmin
from quanmin.base.logs import SEVERITIES, write_logs
from quanmin.base.problems import Problem, Unusable
from quanmin.node.backup import back_up, back_up_keys, describe_server, list_bases, restore_keys
from quanmin.node.command_groups import GROUPS
from quanmin.node.decide_command import decide
from quanmin.node.doctor import Verdict, examine
from quanmin.node.erasing_command import erase_person
from quanmin.node.export_command import export_records
from quanmin.node.first_actors import OPERATOR, renew_token
from quanmin.node.given import Directory, SettingsFile, ask_secret
from quanmin.node.own_keys import open_keys
from quanmin.node.places import Places, State
from quanmin.node.reach import reached_database, running_cluster
from quanmin.node.restoration import as_text, backup_folder, restore
from quanmin.node.retention import keep_newest
from quanmin.node.settings import Settings
from quanmin.node.settings_in_force import load_settings
from quanmin.node.starting import start_in_background, stop
from quanmin.node.supervisor import Supervisor
from quanmin.node.tenant_commands import tenants

if TYPE_CHECKING:
    from quanmin.node.loading import Refusal

WRONG_INPUT: Final = 2
_INTERRUPTED: Final = 130  # as a shell says of a program that Ctrl-C ended

_ABOUT: Final = "An open population health information platform."
app = typer.Typer(
    name="quanmin", help=_ABOUT, no_args_is_help=True, add_completion=False,
    pretty_exceptions_enable=False,
)  # fmt: skip
node = typer.Typer(help="Start, stop and look at the node.", no_args_is_help=True)
app.add_typer(node, name="node")
for _group in (*GROUPS, tenants):
    app.add_typer(_group)
for _name, _run in (("export", export_records), ("erase", erase_person), ("decide", decide)):
    app.command(_name)(_run)

_console = Console()


def main() -> None:
    """Run the command line; the process ends with its exit code."""
    try:
        app()
    except Problem as problem:
        _say_wrong(problem.text)
        sys.exit(WRONG_INPUT)
    except OSError as error:
        _say_wrong(_circumstance(error))
        sys.exit(WRONG_INPUT)
    except UnicodeEncodeError:
        _say_wrong("What was typed is not UTF-8: set the terminal to UTF-8 and type it again.")
        sys.exit(WRONG_INPUT)


def _circumstance(error: OSError) -> str:
    """What the system refused, as a sentence with the place and, where it is known, the way out."""
    place = f"{error.filename}: " if error.filename else ""
    ways_out = {
        errno.EACCES: "run this as the owner of the node, or choose another place",
        errno.EPERM: "run this as the owner of the node, or choose another place",
        errno.ENOSPC: "free some room on this disk, or choose another place",
        errno.EROFS: "this disk can only be read: choose another place",
    }
    way_out = ways_out.get(error.errno or 0, "look at that place, or choose another")
    return f"{place}{error.strerror or type(error).__name__}: {way_out}."


def _say_wrong(text: str) -> None:
    text = text.encode("utf-8", "backslashreplace").decode()  # names of files may be in any bytes
    Console(stderr=True).print(f"quanmin: {text}", markup=False, highlight=False, soft_wrap=True)


def _settings(
    directory: Path | None, file: Path | None, **given: str | int | Path | None
) -> Settings:
    """The settings in force; `given` are those of the command line, `section__name`."""
    named = {
        name.replace("__", "."): str(value) for name, value in given.items() if value is not None
    }
    if directory is not None:
        named["node.directory"] = str(directory.absolute())
    return load_settings(file=file, given=named)


@contextmanager
def _waiting(text: str) -> Iterator[None]:
    """Something moves while it takes long."""
    with _console.status(text):
        yield


@app.callback(invoke_without_command=True)
def _root(
    *,
    version: Annotated[bool, typer.Option("--version", help="Say which version this is.")] = False,
) -> None:
    if version:
        _console.print(f"quanmin {quanmin.__version__}")
        raise typer.Exit


# ---- node ----------------------------------------------------------------------------------------


@node.command("start")
def start_node(
    directory: Directory = None,
    settings_file: SettingsFile = None,
    port: Annotated[int | None, typer.Option(help="The port, on this machine only.")] = None,
    workers: Annotated[int | None, typer.Option(help="How many processes answer requests.")] = None,
    dsn: Annotated[
        str | None, typer.Option(help="An external PostgreSQL instead of the embedded one.")
    ] = None,
    *,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Stay here and log here; Ctrl-C stops the node.")
    ] = False,
) -> None:
    """Start the node, its PostgreSQL included, and say where it is."""
    settings = _settings(
        directory, settings_file, node__port=port, node__workers=workers, postgres__dsn=dsn
    )
    places = Places(settings.node.directory)
    if foreground:
        write_logs(SEVERITIES[settings.log.severity])
        Supervisor(settings, lambda state: _announce(places, state)).run()
        return
    if places.running() is not None:
        raise Unusable(
            f"A node already runs in {places.directory}: `quanmin node status` shows it."
        )
    _console.print("Starting PostgreSQL and the workers ...")
    state = start_in_background(settings)
    _announce(places, state)


def _announce(places: Places, state: State) -> None:
    _console.print(f"The node is running: [bold]{state.address}/[/bold]")
    _console.print(f"FHIR R4 is at {state.address}/fhir, the log at {places.log}.")
    _console.print(
        "Nobody has an account that `quanmin account add` has not made; `quanmin account list` "
        "shows all."
    )


def _show_tokens(places: Places) -> None:
    table = Table("system", "role", "token", box=None, padding=(0, 2))
    for each in places.tokens():
        table.add_row(each.code, each.role, each.token)
    _console.print(table, soft_wrap=True)


def _show_accounts(places: Places) -> None:
    _console.print(
        "`quanmin account code ACCOUNT` prints the one-time code that is asked for after the "
        "password:"
    )
    # Names and passwords are copied, so they stand in one piece on narrow screens too.
    names = ("account", "role", "password")
    table = Table(*(Column(name, no_wrap=True) for name in names), box=None, padding=(0, 2))
    for each in places.accounts():
        table.add_row(each.code, each.role, each.password)
    _console.print(table, soft_wrap=True)


@node.command("stop")
def stop_node(directory: Directory = None, settings_file: SettingsFile = None) -> None:
    """Let the node finish what it has begun, and stop it and its PostgreSQL."""
    places = Places(_settings(directory, settings_file).node.directory)
    with _waiting("stopping ..."):
        was_running = stop(places)
    _console.print(
        "The node has stopped." if was_running else f"No node runs in {places.directory}."
    )


@node.command("status")
def show_status(
    directory: Directory = None,
    settings_file: SettingsFile = None,
    *,
    tokens: Annotated[
        bool,
        typer.Option("--tokens", help="Show the tokens of systems, and accounts of a demo."),
    ] = False,
) -> None:
    """Say whether the node runs, since when and where; exit code 3 when it does not."""
    places = Places(_settings(directory, settings_file).node.directory)
    state = places.running()
    if state is None:
        _console.print(f"No node runs in {places.directory}.")
    else:
        since = datetime.fromtimestamp(state.started_at // 1_000_000, UTC).astimezone()
        table = Table(show_header=False, box=None, padding=(0, 2))
        table.add_row("address", f"{state.address}/")
        table.add_row("since", f"{since:%Y-%m-%d %H:%M:%S %Z}")
        table.add_row("process", str(state.process))
        table.add_row("state", "ready" if state.is_ready else "starting")
        table.add_row("workers", ", ".join(map(str, state.workers)))
        table.add_row("for jobs", ", ".join(map(str, state.job_workers)))
        table.add_row("database", f"process {state.postgres}" if state.postgres else "external")
        table.add_row("folder", str(places.directory))
        table.add_row("data", "fictional" if places.holds_fictional_data else "as loaded")
        _console.print(table)
    if tokens:
        _show_tokens(places)
        if places.accounts():
            _show_accounts(places)
    if state is None:
        raise typer.Exit(3)


@node.command("token")
def renew(
    code: Annotated[str, typer.Argument(help="The system, as `node status --tokens` shows it.")],
    directory: Directory = None,
    settings_file: SettingsFile = None,
) -> None:
    """Give a system a new token; the old one stops working."""
    settings = _settings(directory, settings_file)
    with reached_database(settings, may_make=False) as dsn:
        token = asyncio.run(renew_token(dsn, Places(settings.node.directory), code))
    _console.print(token, soft_wrap=True)


# ---- data ----------------------------------------------------------------------------------------


@app.command("load")
def load_files(
    paths: Annotated[list[Path], typer.Argument(help="Files, folders and archives.")],
    directory: Directory = None,
    settings_file: SettingsFile = None,
    refused: Annotated[
        Path | None, typer.Option(help="Where to list what was refused, as NDJSON.")
    ] = None,
) -> None:
    """Load FHIR records: bundles, NDJSON, folders, .zip and .tar archives of them.

    Exit code 1 when something was refused; the file named at the end says what and why.
    """
    # Loaded only here, like the demonstration: a second that no other command should wait.
    from quanmin.node.loading import (  # noqa: PLC0415 - see above
        KINDS,
        files_below,
        may_hold_records,
    )

    settings = _settings(directory, settings_file)
    files = list(files_below(paths))
    if not any(map(may_hold_records, files)):
        raise Unusable(f"There is nothing to load in {', '.join(map(str, paths))}: {KINDS}.")
    counts: Counter[str] = Counter()
    refusals = _Refusals(refused or _refusals_file(settings))
    try:
        skipped = _load(settings, files, counts, refusals)
    except KeyboardInterrupt:
        _console.print(
            f"\nInterrupted: {counts.total():,} records are in. Load the same files again to go "
            "on: records with an id are not doubled, those without one are written once more."
        )
        raise typer.Exit(_INTERRUPTED) from None
    finally:
        refusals.close()
    _show_counts(counts)
    if skipped:
        _console.print(f"Files of other kinds left alone: {skipped}.")
    if refusals.count:
        _console.print(f"{refusals.count} refused: {refusals.path} says what and why.")
        raise typer.Exit(1)


def _load(settings: Settings, files: list[Path], counts: Counter[str], refusals: _Refusals) -> int:
    """Load the files before the eyes of whoever asked; gives how many were of other kinds."""
    from quanmin.node.loading import (  # noqa: PLC0415 - as above
        Reader,
        Written,
        load,
        writers,
    )

    total = sum(path.stat().st_size for path in files)
    with (
        reached_database(settings) as dsn,
        writers(settings, dsn, OPERATOR) as pool,
        _progress() as progress,
    ):
        bar = progress.add_task("loading", total=total, count=0)

        def hear(written: Written) -> None:
            counts.update(written.counts)
            for refusal in written.refusals:
                refusals.add(refusal)
            progress.update(bar, count=counts.total())

        reader = Reader(settings.load, refusals.add)
        pieces = reader.pieces(files, lambda done: progress.update(bar, completed=done))
        load(pool, settings.load, pieces, hear)
    return reader.skipped


class _Refusals:
    """A file of refusals, made with the first of them."""

    def __init__(self, path: Path) -> None:
        """Raises Unusable at once where no such file could be made, not after an hour's loading."""
        if path.is_dir() or not os.access(path.parent, os.W_OK):
            raise Unusable(f"{path} cannot be written: name another file with --refused.")
        self.path = path
        self.count = 0
        self._file: int | None = None

    def add(self, refusal: Refusal) -> None:
        if self._file is None:
            self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.write(self._file, msgspec.json.encode(refusal) + b"\n")
        self.count += 1

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)


def _refusals_file(settings: Settings) -> Path:
    Places(settings.node.directory).prepare()
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    return settings.node.directory / f"refused-{moment}.ndjson"


def _progress() -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[count]} records"),
        TimeElapsedColumn(),
        console=_console,
    )


def _show_counts(counts: Counter[str]) -> None:
    table = Table("type", "records", box=None, padding=(0, 2))
    for name, count in sorted(counts.items()):
        table.add_row(name, f"{count:,}")
    table.add_row("all", f"{counts.total():,}")
    _console.print(table)


def _refuse_file(path: Path, option: str) -> None:
    """Unusable where a new file cannot be made: said at once, not after a long run."""
    if path.exists():
        raise Unusable(f"{path} exists already: name a new file with {option}.")
    if not os.access(path.absolute().parent, os.W_OK):
        raise Unusable(f"{path} cannot be written: name another file with {option}.")


@app.command("demo")
def demo(
    people: Annotated[int, typer.Option(help="How many people the invented province has.")] = 2000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same province.")] = 1,
    directory: Directory = None,
    settings_file: SettingsFile = None,
    port: Annotated[int | None, typer.Option(help="The port, on this machine only.")] = None,
    *,
    truth: Annotated[
        Path | None,
        typer.Option(help="Also write who is who, duplicates included, to this new CSV file."),
    ] = None,
) -> None:
    """Fill the node with an invented province, starting it when it does not run.

    A second run goes on where the first one stopped.
    """
    if truth is not None:
        _refuse_file(truth, "--truth")
    from quanmin.node.demonstration import demonstrate  # noqa: PLC0415 - a second for no other

    settings = _settings(directory, settings_file, node__port=port)
    places = Places(settings.node.directory)
    if places.running() is None:
        places.prepare()
        places.mark_fictional()
        _console.print("Starting PostgreSQL and the workers ...")
        start_in_background(settings)
    try:
        demonstrate(settings, people=people, seed=seed, console=_console, truth=truth)
    except KeyboardInterrupt:
        _console.print(
            "\nInterrupted: what was sent is in, and the node still runs. The same command goes "
            "on from here; `quanmin node stop` stops the node."
        )
        raise typer.Exit(_INTERRUPTED) from None
    _console.print("\n[bold]Demonstration accounts[/bold], for this node of invented people only.")
    _show_accounts(places)
    _console.print("`quanmin node status --tokens` shows them again, and the tokens for programs.")


# ---- safety --------------------------------------------------------------------------------------


@app.command("backup")
def back_up_node(
    directory: Directory = None,
    settings_file: SettingsFile = None,
    keys: Annotated[
        Path | None,
        typer.Option(help="Copy the keys instead, under a passphrase, to this new file."),
    ] = None,
    keep: Annotated[
        int | None,
        typer.Option(
            help="Afterwards keep only this many of the newest (setting backup.bases_kept)."
        ),
    ] = None,
    *,
    list_: Annotated[bool, typer.Option("--list", help="List the backups there are.")] = False,
) -> None:
    """Back up the running node's database, encrypted, to the folder of `backup.directory`.

    The keys are not in it: without them the backup cannot be read. Copy them with --keys to a place
    of their own.
    """
    settings = _settings(directory, settings_file, backup__bases_kept=keep)
    places = Places(settings.node.directory)
    if keys is not None:
        count = back_up_keys(places, keys, _ask_passphrase(is_new=True))
        _console.print(f"{count} keys are in {keys}. Without the passphrase nobody can read them.")
        return
    if list_:
        _list_bases(settings)
        return
    cluster = running_cluster(settings)
    server = asyncio.run(describe_server(cluster))
    with _progress() as progress:
        bar = progress.add_task("backing up", total=None, count="")
        base = back_up(
            settings,
            open_keys(places, settings.keys, is_new=False),
            cluster,
            server,
            lambda done: progress.update(bar, completed=done),
        )
    _console.print(
        f"Backup {base.name}: {base.plain_bytes / 1e6:,.1f} MB in {base.sealed_bytes / 1e6:,.1f} "
        f"MB, usable from {as_text(base.finished_at)} on."
    )
    if settings.backup.directory is not None and settings.backup.bases_kept:
        removed = keep_newest(settings.backup.directory, settings.backup.bases_kept)
        for old in removed.bases:
            _console.print(f"Removed the backup {old.name}.")
        if removed.pieces:
            _console.print(f"Removed {removed.pieces} pieces of the log that none left needs.")


def _list_bases(settings: Settings) -> None:
    if settings.backup.directory is None:
        raise Unusable("No backup folder is set: name one with `backup.directory`.")
    bases = list_bases(settings.backup.directory)
    if not bases:
        _console.print(f"There is no backup in {settings.backup.directory} yet.", soft_wrap=True)
        return
    table = Table("backup", "usable from", "MB", "PostgreSQL", box=None, padding=(0, 2))
    for base in bases:
        megabytes = f"{base.sealed_bytes / 1e6:,.1f}"
        table.add_row(base.name, as_text(base.finished_at), megabytes, base.postgres)
    _console.print(table)


@app.command("restore")
def restore_node(
    directory: Directory = None,
    settings_file: SettingsFile = None,
    source: Annotated[
        Path | None, typer.Option("--from", help="The backup folder (setting backup.directory).")
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(help="The moment to go back to, ISO 8601 with a zone; none: the end."),
    ] = None,
    keys: Annotated[
        Path | None, typer.Option(help="Bring the keys back from this copy, first of all.")
    ] = None,
) -> None:
    """Bring the stopped node's database back from its backup, to any moment since.

    What was there before is moved aside. With --keys only the keys are brought back.
    """
    given = source.absolute() if source else None
    settings = _settings(directory, settings_file, backup__directory=given)
    places = Places(settings.node.directory)
    if keys is not None:
        count = restore_keys(places, keys, _ask_passphrase(is_new=False), settings.keys)
        _console.print(f"{count} keys are back in {places.keys}.")
        return
    moment = _moment(to) if to is not None else None
    backup_folder(settings)  # what was typed is looked at before the state of the node
    places.prepare()
    lock = places.lock()
    if lock is None:
        raise Unusable("The node runs: stop it first with `quanmin node stop`.")
    with lock, _console.status("restoring ...") as status:
        base = restore(
            settings, open_keys(places, settings.keys, is_new=False), moment, status.update
        )
    until = "the end of the archive" if moment is None else as_text(moment)
    _console.print(f"Restored from backup {base.name} up to {until}.")
    _console.print("Start the node, look at it, and make a new backup: `quanmin backup`.")


def _moment(text: str) -> int:
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise Unusable(
            f"{text!r} is no moment: write it like 2026-11-22T14:30:00+08:00."
        ) from error
    if when.tzinfo is None:
        raise Unusable(f"{text!r} has no zone: write it like 2026-11-22T14:30:00+08:00.")
    seconds = int(when.replace(microsecond=0).timestamp())
    return seconds * 1_000_000 + when.microsecond


def _ask_passphrase(*, is_new: bool) -> str:
    """From QUANMIN_PASSPHRASE, for scripts, or asked for and never shown."""
    given = os.environ.get("QUANMIN_PASSPHRASE")
    if given is not None:
        return given
    return ask_secret("Passphrase", "type it, or set QUANMIN_PASSPHRASE", is_new=is_new)


@app.command("doctor")
def doctor(directory: Directory = None, settings_file: SettingsFile = None) -> None:
    """Look the node over, running or not, and say how to mend what is wrong."""
    settings = _settings(directory, settings_file)
    colours: dict[Verdict, str] = {"well": "green", "warning": "yellow", "wrong": "red"}
    is_wrong = False
    for finding in examine(settings, settings_file):
        is_wrong = is_wrong or finding.verdict == "wrong"
        colour = colours[finding.verdict]
        _console.print(f"[{colour}]{finding.verdict:8}[/] {finding.subject:12}", end="")
        _console.print(finding.text, markup=False, highlight=False, soft_wrap=True)
        if finding.mend:
            _console.print(
                f"{'':22}-> {finding.mend}", markup=False, highlight=False, soft_wrap=True
            )
    if is_wrong:
        raise typer.Exit(1)


if __name__ == "__main__":
    main()
