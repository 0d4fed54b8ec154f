"""Where a node keeps its things, and what it tells other processes about itself.

directory/
  settings.toml   the operator's
  node.lock       held by the running node; says which process it is
  state.json      what `node status` shows
  tokens.json     0600: the tokens of systems
  accounts.json   0600: the accounts of a demonstration, with what they sign in by
  played.json     0600: what these accounts have done on pages
  fictional       there while the records are a demonstration's
  revoked         a number that workers share: it rises when a token is taken back
  roots           another: it rises when a root of the keys is made or destroyed
  usage           what institutions have used of their quotas, counted by all processes
  metrics/        what the workers count, for whichever of them is asked
  keys/           0700: what the records are encrypted with
  ledger          0600: erasures and consents that a restore must not undo, encrypted
  imports/        0700: files that are being imported, encrypted
  uploads/        0700: files sent with forms that are not kept yet, encrypted; for hours
  exports/        0700: the files of bulk exports, encrypted, until they are removed
  made/           0700: files that pages had made for people, encrypted, until they are removed
  notices/        0700: messages of channels that no server is set for, a file each
  reports/        0700: report cards where no address for them is set, a file each
  restored.json   0600: that the database was put back, until the access log says so
  witness/        0700: what the access log had grown to, for whom the database says otherwise
  postgres/       the embedded database
  node.log
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO, Any, Final

import msgspec

from quanmin.base.disk import replace_on_disk
from quanmin.base.problems import Unusable

HOST: Final = "127.0.0.1"
"""Where a node listens."""


class State(msgspec.Struct, frozen=True):
    """What a running node says of itself; `started_at` in microseconds since 1970 in UTC."""

    process: int
    port: int
    started_at: int
    is_ready: bool
    is_embedded: bool
    workers: tuple[int, ...] = ()
    job_workers: tuple[int, ...] = ()
    postgres: int | None = None
    scheme: str = "http"

    @property
    def address(self) -> str:
        """Where it answers."""
        return f"{self.scheme}://{HOST}:{self.port}"


class Enrolled(msgspec.Struct, frozen=True):
    """A system with the token that was shown for it."""

    code: str
    role: str
    name: str
    token: str


class Shown(msgspec.Struct, frozen=True):
    """An account of a demonstration. `secret` is what its one-time codes are made of."""

    code: str
    role: str
    password: str
    secret: str


class Played(msgspec.Struct):
    """What accounts of a demonstration have done: scenes by name, what these kept by name, and what
    pages had against them.
    """

    scenes: list[str] = []
    kept: dict[str, str] = {}
    refused: list[str] = []


class Places:
    """The files of one node."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()
        self.keys = self.directory / "keys"
        self.postgres = self.directory / "postgres"
        self.log = self.directory / "node.log"
        self.metrics = self.directory / "metrics"
        self.ledger = self.directory / "ledger"
        self.imports = self.directory / "imports"
        self.uploads = self.directory / "uploads"
        self.exports = self.directory / "exports"
        self.made = self.directory / "made"
        self.notices = self.directory / "notices"
        self.reports = self.directory / "reports"
        self.witness = self.directory / "witness"
        self.restored = self.directory / "restored.json"
        self.revoked = self.directory / "revoked"
        self.roots = self.directory / "roots"
        self.usage = self.directory / "usage"
        self._lock_path = self.directory / "node.lock"
        self._state = self.directory / "state.json"
        self._tokens = self.directory / "tokens.json"
        self._accounts = self.directory / "accounts.json"
        self._played = self.directory / "played.json"
        self._fictional = self.directory / "fictional"

    def prepare(self) -> None:
        """Make the folder; raises Unusable where that is not allowed."""
        try:
            self.directory.mkdir(mode=0o711, parents=True, exist_ok=True)
        except OSError as error:
            raise Unusable(
                f"The folder {self.directory} cannot be made ({error.strerror}): choose another "
                "with `node.directory`."
            ) from error
        if not os.access(self.directory, os.W_OK | os.X_OK):
            raise Unusable(
                f"The folder {self.directory} cannot be written to: choose another with "
                "`node.directory`, or run as its owner."
            )

    def lock(self) -> IO[str] | None:
        """Take the node's lock until the file is closed; None when a node runs here."""
        file = self._lock_path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return None
        return file

    def running(self) -> State | None:
        """What the running node says of itself; None when none runs, whatever lies about."""
        if not self._lock_path.exists():
            return None
        free = self.lock()
        if free is not None:
            free.close()
            return None
        state: State | None = _read(self._state, State)
        return state

    def keep_state(self, state: State) -> None:
        """Tell others; never read half-written."""
        replace_on_disk(self._state, msgspec.json.encode(state))

    def has_left_over(self) -> bool:
        """Whether workers of a node that was killed still finish what they have begun, with its
        port; to be asked under the lock, before a state is kept.
        """
        state: State | None = _read(self._state, State)
        return state is not None and any(map(_is_worker, state.workers))

    def forget_state(self) -> None:
        """The node has ended."""
        self._state.unlink(missing_ok=True)

    def tokens(self) -> tuple[Enrolled, ...]:
        """The systems made on this machine, with their tokens."""
        return _read(self._tokens, tuple[Enrolled, ...]) or ()

    def keep_tokens(self, enrolled: tuple[Enrolled, ...]) -> None:
        """Keep them, readable by the owner only."""
        replace_on_disk(self._tokens, msgspec.json.format(msgspec.json.encode(enrolled)))

    def accounts(self) -> tuple[Shown, ...]:
        """The accounts of the demonstration; nothing on any other node."""
        return _read(self._accounts, tuple[Shown, ...]) or ()

    def keep_accounts(self, shown: tuple[Shown, ...]) -> None:
        """Keep them, readable by the owner only."""
        replace_on_disk(self._accounts, msgspec.json.format(msgspec.json.encode(shown)))

    def played(self) -> Played:
        """What the accounts of the demonstration have done on pages."""
        return _read(self._played, Played) or Played()

    def keep_played(self, played: Played) -> None:
        """Keep it, so that a second run goes on from there."""
        replace_on_disk(self._played, msgspec.json.encode(played))

    @property
    def holds_fictional_data(self) -> bool:
        """Whether a demonstration has been loaded, so that every page must say so."""
        return self._fictional.exists()

    def mark_fictional(self) -> None:
        """From now on every page says that its people are invented."""
        self._fictional.touch()


def _is_worker(process: int) -> bool:
    # Its number may be another's by now.
    try:
        return b"quanmin.node.worker" in Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return False


def _read(path: Path, kind: Any) -> Any:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
        return None
