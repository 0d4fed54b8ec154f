"""Keeps PostgreSQL's log, encrypted, in the backup folder, and brings it back.

PostgreSQL runs as an account that may see neither our keys nor the backup folder. So its
`archive_command` is a few lines of shell that ask us through a folder and wait for the answer: it
succeeds when we have the piece on disk, and never before. A restore asks for pieces in the same
way.
"""

from __future__ import annotations

import logging
import os
import re
import shlex
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from quanmin.base.account import Account
from quanmin.base.cluster import Cluster
from quanmin.base.crypto import Suite, suite_named
from quanmin.base.keys import KeyPort
from quanmin.base.node_keys import node_keys
from quanmin.base.problems import Problem, Unusable
from quanmin.base.rooted import Rooted
from quanmin.node.places import Places
from quanmin.node.sealed_file import SealedReader, sealed_file
from quanmin.node.settings import BackupSettings

log = logging.getLogger("quanmin.node")

SUFFIX: Final = ".sealed"
BACKUP: Final = "backup"
"""What the secret is derived for that files of the backup folder are sealed under."""
_POLL_SECONDS: Final = 0.05
# Segments, timeline histories and backup labels, as PostgreSQL names them; nothing else is read or
# written.
_PIECE: Final = re.compile(r"[0-9A-F]{24}(?:\.[0-9A-F]{8}\.backup|\.partial)?|[0-9A-F]{8}\.history")

_ASK: Final = """#!/bin/sh
# Asks the node to {verb} a piece of the log and waits for its answer; written by the node at each
# start.
set -eu
question="$1/$2.{question}"
yes="$1/$2.yes"
no="$1/$2.no"
rm -f "$yes" "$no"
: > "$question"
tries=0
while [ "$tries" -lt 600 ]; do
    if [ -e "$yes" ]; then {answer}; rm -f "$yes"; exit 0; fi
    if [ -e "$no" ]; then rm -f "$no"; exit 1; fi
    tries=$((tries + 1))
    sleep 0.05
done
rm -f "$question"
exit 1
"""


def handover_folder(places: Places) -> Path:
    """Where PostgreSQL asks and the node answers."""
    return places.postgres / "handover"


def archive_parameters(settings: BackupSettings, places: Places) -> dict[str, str]:
    """The embedded server's configuration for the archive: off without a backup folder."""
    if settings.directory is None:
        return {"archive_mode": "off"}
    return {
        "archive_mode": "on",
        "archive_command": _command(places, "keep.sh") + " %f",
        "archive_timeout": f"{settings.archive_seconds_max}s",
    }


def restore_parameters(places: Places) -> dict[str, str]:
    """The embedded server's configuration while it replays the archive."""
    return {"restore_command": _command(places, "fetch.sh") + " %f %p"}


def _command(places: Places, script: str) -> str:
    # A percent sign in a path would be read as a placeholder.
    words = (places.postgres / script, handover_folder(places))
    return "/bin/sh " + " ".join(shlex.quote(str(word)).replace("%", "%%") for word in words)


class Archive:
    """The log's pieces in the backup folder, `wal/<name>.sealed`."""

    def __init__(self, folder: Path, secret: bytes | Rooted, suite: Suite, level: int) -> None:
        self.folder = folder / "wal"
        self._secret = secret
        self._suite = suite
        self._level = level

    def prepare(self) -> None:
        """Make the folder. Raises Unusable where that is not allowed."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise Unusable(
                f"The backup folder {self.folder} cannot be made ({error.strerror}): choose "
                "another with `backup.directory`."
            ) from error

    def keep(self, name: str, content: bytes) -> None:
        """Keep a piece, on disk when this returns; raises Unusable if another has its name."""
        path = self.folder / f"{name}{SUFFIX}"
        if path.exists():
            # Asked again after a crash between our answer and PostgreSQL's note of it.
            if self.fetch(name) == content:
                return
            raise Unusable(
                f"The backup folder holds another piece {name} of the log: it belongs to another "
                "node or was restored over. Choose an empty `backup.directory`."
            )
        with sealed_file(path, self._secret, self._suite, level=self._level) as target:
            target.write(content)

    def fetch(self, name: str) -> bytes | None:
        """A piece, None when it was never kept. Raises Unusable when it is damaged."""
        path = self.folder / f"{name}{SUFFIX}"
        if not path.exists():
            return None
        with SealedReader(path, self._secret) as source:
            return source.read()

    def names(self) -> list[str]:
        """The pieces there are, in order."""
        return sorted(path.name.removesuffix(SUFFIX) for path in self.folder.glob(f"*{SUFFIX}"))


def open_archive(settings: BackupSettings, keys: KeyPort, suite_name: str) -> Archive:
    """The archive that the settings name. Raises Unusable when they name none."""
    if settings.directory is None:
        raise Unusable(
            "No backup folder is set: name one with `backup.directory` (QUANMIN_BACKUP_DIRECTORY)."
        )
    return Archive(
        settings.directory,
        node_keys(keys).rooted(BACKUP),
        suite_named(suite_name),
        settings.compression_level,
    )


class Archivist:
    """Answers PostgreSQL's questions from a thread of its own, from `start` to `stop`."""

    def __init__(self, archive: Archive, places: Places, cluster: Cluster) -> None:
        self._archive = archive
        self._places = places
        self._cluster = cluster
        self._folder = handover_folder(places)
        self._is_ending = threading.Event()
        self._thread = threading.Thread(target=self._answer_all, name="archivist", daemon=True)

    def prepare(self) -> None:
        """Write the scripts and make the folders; before the server starts."""
        self._archive.prepare()
        account = self._cluster.account
        self._places.postgres.mkdir(mode=0o711, parents=True, exist_ok=True)
        _own(self._folder, account)
        for left in self._folder.iterdir():
            left.unlink()
        keep = _ASK.format(verb="keep", question="keep", answer=":")
        fetch = _ASK.format(verb="fetch", question="fetch", answer='cp "$yes" "$3"')
        for name, text in (("keep.sh", keep), ("fetch.sh", fetch)):
            script = self._places.postgres / name
            script.write_text(text)
            script.chmod(0o644)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more; returns when the last answer is given."""
        self._is_ending.set()
        if self._thread.is_alive():
            self._thread.join()

    def _answer_all(self) -> None:
        questions: tuple[tuple[str, Callable[[str], bytes | None]], ...] = (
            (".keep", self._keep),
            (".fetch", self._fetch),
        )
        while not self._is_ending.is_set():
            for suffix, answer in questions:
                for question in sorted(self._folder.glob(f"*{suffix}")):
                    self._answer(question, answer)
            self._is_ending.wait(_POLL_SECONDS)

    def _answer(self, question: Path, answer: Callable[[str], bytes | None]) -> None:
        name = question.stem
        if not _PIECE.fullmatch(name):
            question.unlink(missing_ok=True)
            return
        try:
            content = answer(name)
        except (OSError, Problem):
            # PostgreSQL keeps the piece and asks again; `doctor` and the log say that the archive
            # stands still.
            log.exception("a piece of the database's log could not be archived or fetched")
            content = None
        question.unlink(missing_ok=True)
        self._say(f"{name}.no" if content is None else f"{name}.yes", content or b"")

    def _keep(self, name: str) -> bytes:
        descriptor = os.open(self._cluster.data / "pg_wal" / name, os.O_RDONLY | os.O_NOFOLLOW)
        with os.fdopen(descriptor, "rb") as source:
            self._archive.keep(name, source.read())
        log.info("a piece of the database's log archived", extra={"segment": name})
        return b""

    def _fetch(self, name: str) -> bytes | None:
        return self._archive.fetch(name)

    def _say(self, name: str, content: bytes) -> None:
        """Put an answer where PostgreSQL finds it, whole at once."""
        part = self._folder / f"{name}.part"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, flags, 0o600), "wb") as target:
            target.write(content)
        account = self._cluster.account
        os.chown(part, account.uid, account.gid, follow_symlinks=False)
        part.rename(self._folder / name)


def _own(folder: Path, account: Account) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    os.chown(folder, account.uid, account.gid)
    folder.chmod(0o700)
