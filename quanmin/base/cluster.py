"""Runs a PostgreSQL of our own: its files, its configuration and its process.

One folder, one server, one parent: the server is our child, listens on a Unix socket only, asks
everyone for a password that lies in a file of ours, ends when we end, and is never started twice on
the same data.

    home/               ours, passable
      postgresql.conf   written anew at each start: nothing a broken-in server could change
      pg_hba.conf
      passfile          0600, ours: the password of the owner
      worker.passfile   the same of who answers requests
      start.log         what the server said before its own log was open
      socket/  data/    the account's, 0700
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Final, TypedDict

from quanmin.base.account import Account, choose_account, program_folder
from quanmin.base.disk import make_on_disk, replace_on_disk, sync_folder
from quanmin.base.postgres import MAJOR
from quanmin.base.problems import Unusable

OWNER: Final = "quanmin"
WORKER: Final = "quanmin_worker"
"""Who owns no table: the account that answers requests with."""
_SOCKET_PATH_LENGTH_MAX: Final = 107  # sun_path on Linux
_SOCKET_NAME: Final = ".s.PGSQL.5432"
_PR_SET_PDEATHSIG: Final = 1
_ORPHAN_SECONDS_MAX: Final = 60.0
_POLL_SECONDS: Final = 0.02

_libc = ctypes.CDLL(None, use_errno=True)

# A finding, not a preference: each line is here because its default loses data, leaks data or
# misplans.
PARAMETERS: Final[Mapping[str, str]] = {
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_permissions": "0700",
    "password_encryption": "scram-sha-256",
    "allow_alter_system": "off",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "wal_level": "replica",
    "max_wal_senders": "4",
    "jit": "off",
    "plan_cache_mode": "force_custom_plan",
    "default_statistics_target": "200",
    "random_page_cost": "1.1",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    # The server's log must not repeat what people are called: no statements, no parameters, no
    # DETAIL with row values.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_parameter_max_length_on_error": "0",
    "log_statement": "none",
    "logging_collector": "on",
    "log_directory": "log",
    "log_filename": "postgresql-%a.log",
    "log_truncate_on_rotation": "on",
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
    "log_line_prefix": "%m [%p] %a ",
    "checkpoint_timeout": "15min",
    "autovacuum_vacuum_scale_factor": "0.05",
    "autovacuum_analyze_scale_factor": "0.02",
    "autovacuum_vacuum_insert_scale_factor": "0.05",
    "autovacuum_vacuum_cost_limit": "2000",
    # A worker that was killed leaves no one to end its transaction; the row locks it holds would
    # stop the others.
    "idle_in_transaction_session_timeout": "5min",
    "tcp_keepalives_idle": "60",
}

_ACCESS: Final = """# type  database     user     method
local   all          {owner}  scram-sha-256
local   replication  {owner}  scram-sha-256
local   all          {worker}  scram-sha-256
"""


class _Identity(TypedDict):
    user: int | None
    group: int | None
    extra_groups: list[int] | None
    umask: int


class Cluster:
    """An embedded PostgreSQL in `home`; `parameters` go before PARAMETERS.

    Building one touches nothing. `copies` is where root keeps programs that the unprivileged
    account can read.
    """

    def __init__(
        self,
        home: Path,
        *,
        account: str = OWNER,
        copies: Path = Path("/var/lib/quanmin/postgresql"),
        parameters: Mapping[str, str] | None = None,
    ) -> None:
        self.home = home.resolve()
        self.data = self.home / "data"
        self._account_name = account
        self._copies = copies
        self._parameters = dict(parameters or {})
        self._account: Account | None = None
        self._programs = Path()
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None

    # ---- names -----------------------------------------------------------------------------------

    @property
    def socket_folder(self) -> Path:
        """Where the socket is: in `home`, or in the temporary folder when that path is too long."""
        folder = self.home / "socket"
        if len(os.fsencode(folder / _SOCKET_NAME)) <= _SOCKET_PATH_LENGTH_MAX:
            return folder
        digest = hashlib.blake2b(os.fsencode(self.home), digest_size=8).hexdigest()
        return Path(tempfile.gettempdir()) / f"quanmin-{digest}"

    @property
    def passfile(self) -> Path:
        """The file with the password, in libpq's format."""
        return self.home / "passfile"

    def dsn(self, database: str = OWNER) -> str:
        """How to connect; holds no secret, only the name of the file that does."""
        return (
            f"postgresql://{OWNER}@/{database}?host={self.socket_folder}&passfile={self.passfile}"
        )

    @property
    def worker_passfile(self) -> Path:
        """The file with the password of WORKER."""
        return self.home / "worker.passfile"

    def worker_dsn(self, database: str = OWNER) -> str:
        """How to connect as who owns no table."""
        return (
            f"postgresql://{WORKER}@/{database}"
            f"?host={self.socket_folder}&passfile={self.worker_passfile}"
        )

    @property
    def process_id(self) -> int | None:
        """The server's process, None when it is not ours to speak of."""
        return self._process.pid if self._process is not None else None

    @property
    def account(self) -> Account:
        """The account the server runs under."""
        if self._account is None:
            self._account = choose_account(self._account_name)
        return self._account

    def program(self, name: str) -> Path:
        """The path of one of PostgreSQL's programs (`pg_basebackup`, `psql` ...)."""
        if self._programs == Path():
            self._programs = program_folder(self.account, self._copies)
        return self._programs / name

    # ---- life ------------------------------------------------------------------------------------

    def exists(self) -> bool:
        """Whether a data folder has been made here."""
        return (self.data / "PG_VERSION").is_file()

    def create(self) -> None:
        """Make the data folder, UTF-8 and with checksums; one left half-made is removed first.

        Raises Unusable when the account cannot enter `home`, with how to mend it.
        """
        self.prepare()
        half_made = self.home / "data.part"
        if half_made.exists():
            shutil.rmtree(half_made)
        self._own(half_made)
        password = secrets.token_urlsafe(32)
        handover = self.home / "initdb.password"
        handover.unlink(missing_ok=True)
        try:
            make_on_disk(handover, password.encode())
            os.chown(handover, self.account.uid, self.account.gid)
            self._initialise(half_made, handover)
        finally:
            handover.unlink(missing_ok=True)
        replace_on_disk(self.passfile, f"*:*:*:{OWNER}:{password}\n".encode())
        half_made.rename(self.data)
        sync_folder(self.home)

    def _initialise(self, folder: Path, password_file: Path) -> None:
        done = self.run(
            "initdb",
            f"--pgdata={folder}",
            f"--username={OWNER}",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--data-checksums",
            "--no-instructions",
            *(["--no-sync"] if self._parameters.get("fsync") == "off" else []),
        )
        if done.returncode != 0:
            raise Unusable(f"PostgreSQL's data folder could not be made: {_tail(done.stderr)}")

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one of PostgreSQL's programs to its end, as the account; the caller judges it."""
        return subprocess.run(  # noqa: S603 - no shell, no words of others
            [self.program(program), *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env=_environment(),
            **self._as_account(),
        )

    def hand_over(self, folder: Path) -> None:
        """Make a folder of ours, with all that is in it, the account's alone."""
        for path in (folder, *folder.rglob("*")):
            os.chown(path, self.account.uid, self.account.gid, follow_symlinks=False)
            path.chmod(0o700 if path.is_dir() else 0o600)

    def start(self, *, wait_seconds_max: float = 60.0) -> None:
        """Start the server and return when it takes connections, crash recovery included.

        What a killed server or a killed parent left behind (its lock file, its orphans) is cleared
        away first. Raises Unusable when another program runs on this data, when the data is of
        another major version, and when the server does not come up in time.
        """
        self.prepare()
        self._take_lock()
        try:
            self._require_version()
            self._clear_remains()
            self._write_configuration()
            self._launch(wait_seconds_max)
        except BaseException:
            self._release_lock()
            raise

    def _launch(self, wait_seconds_max: float) -> None:
        with (self.home / "start.log").open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - no shell
                [
                    self.program("postgres"),
                    "-D",
                    self.data,
                    "-c",
                    f"config_file={self.home / 'postgresql.conf'}",
                    "-c",
                    f"hba_file={self.home / 'pg_hba.conf'}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=_environment(),
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - one system call, no lock
                **self._as_account(),
            )
        end = time.monotonic() + wait_seconds_max
        while not self._is_ready():
            if self._process.poll() is not None:
                raise Unusable(f"PostgreSQL ended while starting: {self._last_words()}")
            if time.monotonic() > end:
                self.stop()
                raise Unusable(
                    f"PostgreSQL was not ready after {wait_seconds_max:.0f} s: "
                    f"{self._last_words()} "
                    "After a crash it may need longer: raise `postgres.start_seconds_max`."
                )
            time.sleep(_POLL_SECONDS)

    def is_alive(self) -> bool:
        """Whether our server runs; False after a crash or a kill, when `start` brings it back."""
        return self._process is not None and self._process.poll() is None

    def stop(self, *, wait_seconds_max: float = 60.0) -> None:
        """Close connections, write a checkpoint and end; returns when gone, at once if not running.

        A server that does not end in time is ended at once: its next start recovers, nothing
        acknowledged is lost.
        """
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(wait_seconds_max)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGQUIT)
                process.wait()
        self._process = None
        self._release_lock()

    def reload(self) -> None:
        """Write the configuration anew and have the server read it, all but what needs a start."""
        self._write_configuration()
        if self._process is not None:
            self._process.send_signal(signal.SIGHUP)

    # ---- files -----------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Make `home` and the socket's folder. Raises Unusable where the account cannot come."""
        self.home.mkdir(mode=0o711, parents=True, exist_ok=True)
        if not self.account.is_ours:
            self.home.chmod(0o711)
        if not self.account.may_enter(self.home):
            raise Unusable(
                f"PostgreSQL runs as {self.account.name!r}, who may not enter {self.home}: choose "
                f"another folder "
                "with `node.directory`, or allow all users to pass through the folders above it "
                "(`chmod o+x`)."
            )
        self._own(self.socket_folder)

    def _own(self, folder: Path) -> None:
        """Make `folder` the account's alone; a folder that is a stranger's is refused."""
        folder.mkdir(mode=0o700, exist_ok=True)
        seen = folder.lstat()
        if folder.is_symlink() or seen.st_uid not in {os.geteuid(), self.account.uid}:
            raise Unusable(
                f"{folder} belongs to someone else: remove it, or choose another `node.directory`."
            )
        os.chown(folder, self.account.uid, self.account.gid)
        folder.chmod(0o700)

    def _require_version(self) -> None:
        if not self.exists():
            raise Unusable(f"{self.data} is no PostgreSQL data folder: create it first.")
        version = (self.data / "PG_VERSION").read_text().strip()
        if version != str(MAJOR):
            raise Unusable(
                f"{self.data} was written by PostgreSQL {version}, and this program brings "
                f"PostgreSQL {MAJOR}: "
                "restore a backup with the version that wrote it and upgrade with pg_upgrade."
            )

    def _write_configuration(self) -> None:
        values = {
            **PARAMETERS,
            "unix_socket_directories": str(self.socket_folder),
            **self._parameters,
        }
        lines = [
            f"{name} = '{value.replace(chr(39), chr(39) * 2)}'\n"
            for name, value in sorted(values.items())
        ]
        _write_atomically(self.home / "postgresql.conf", "".join(lines))
        _write_atomically(self.home / "pg_hba.conf", _ACCESS.format(owner=OWNER, worker=WORKER))

    def _take_lock(self) -> None:
        if self._lock is not None:
            return
        lock = (self.home / "lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise Unusable(
                f"Another program already runs the database in {self.home}: stop it first "
                f"(`quanmin node stop`)."
            ) from error
        self._lock = lock

    def _release_lock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    # ---- process ---------------------------------------------------------------------------------

    def _as_account(self) -> _Identity:
        if self.account.is_ours:
            return {"user": None, "group": None, "extra_groups": None, "umask": 0o077}
        return {
            "user": self.account.uid,
            "group": self.account.gid,
            "extra_groups": [],
            "umask": 0o077,
        }

    def _is_ready(self) -> bool:
        """Whether the server has written `ready` beside its own number: what pg_ctl waits for."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        is_ours = self._process is not None and lines[:1] == [str(self._process.pid)]
        return is_ours and len(lines) > 7 and lines[7].strip() == "ready"

    def _clear_remains(self) -> None:
        """End what a killed server or parent left running on this data, then remove its lock files.

        We hold the lock of `home`, so whatever still runs here has lost its parent. An orphan is
        first asked to end cleanly; its backends end by themselves when their server is gone.
        """
        end = time.monotonic() + _ORPHAN_SECONDS_MAX
        quick = end - _ORPHAN_SECONDS_MAX / 2
        asked: set[int] = set()
        while orphans := self._orphans():
            if time.monotonic() > end:
                raise Unusable(
                    f"PostgreSQL processes {sorted(orphans)} still run on {self.data}: end them "
                    f"first."
                )
            for orphan in orphans - asked:
                _signal(orphan, signal.SIGINT if self._is_server(orphan) else signal.SIGQUIT)
            asked |= orphans
            if time.monotonic() > quick:
                for orphan in orphans:
                    _signal(orphan, signal.SIGQUIT)
            time.sleep(_POLL_SECONDS)
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        for name in (_SOCKET_NAME, f"{_SOCKET_NAME}.lock"):
            (self.socket_folder / name).unlink(missing_ok=True)

    def _is_server(self, process: int) -> bool:
        try:
            return (self.data / "postmaster.pid").read_text().split("\n", 1)[0] == str(process)
        except OSError:
            return False

    def _orphans(self) -> set[int]:
        """Processes that work in our data folder: PostgreSQL's all do, whatever their parent."""
        found = set()
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    where = (entry / "cwd").readlink()
                    is_postgres = (entry / "exe").readlink().name.startswith("postgres")
                except OSError:  # gone meanwhile, or another user's
                    continue
                if is_postgres and where == self.data:
                    found.add(int(entry.name))
        return found

    def _last_words(self) -> str:
        logs = [
            self.home / "start.log",
            *sorted((self.data / "log").glob("*.log"), key=_changed_at)[-1:],
        ]
        return _tail("\n".join(log.read_text(errors="replace") for log in logs if log.exists()))


def _changed_at(path: Path) -> float:
    return path.stat().st_mtime


def _die_with_parent() -> None:
    # Set after the change of user, which would clear it. SIGINT: a fast, clean shutdown.
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


def _environment() -> dict[str, str]:
    """No PG* variable, locale or loader path of ours may change what the server does."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def _signal(process: int, number: signal.Signals) -> None:
    try:
        os.kill(process, number)
    except ProcessLookupError:
        return


def _tail(text: str, lines: int = 6) -> str:
    return " / ".join(line.strip() for line in text.strip().splitlines()[-lines:])


def _write_atomically(path: Path, text: str) -> None:
    part = path.with_suffix(".part")
    part.write_text(text)
    part.chmod(0o644)
    part.rename(path)
