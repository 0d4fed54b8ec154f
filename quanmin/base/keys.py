"""Where the node's own keys live, behind a port: a folder of files today, a module or a vault by
another class.

The node's keys wrap the data keys that encrypt bodies; whoever has the database without them has
nothing to read.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Protocol

from quanmin.base.crypto import International, Tampered, derive

_SECRET_BYTES = 32


class KeysUnreadable(Exception):  # noqa: N818 - names the finding
    """The key folder is missing something or is open to others; the text says how to mend it."""


class KeyPort(Protocol):
    """Wraps data keys and derives keys for named purposes; never gives out what it wraps with."""

    def wrap(self, key: bytes, place: bytes) -> bytes:
        """The key, sealed for this place."""

    def unwrap(self, wrapped: bytes, place: bytes) -> bytes:
        """The key again. Raises Tampered."""

    def derive(self, purpose: str) -> bytes:
        """32 bytes for this purpose, the same at every start of this node."""


class FileKeys:
    """Keys as files of a folder that only its owner can enter.

    `node-<n>.key` wrap data keys: the highest number wraps, all unwrap, so that a new one can be
    added while old data keys wait to be wrapped anew. `root.key` is what purposes are derived from
    and never changes while data lives.
    """

    def __init__(self, folder: Path) -> None:
        """Reads the folder. Raises KeysUnreadable when it is incomplete or open to others."""
        self._suite = International()
        if not folder.is_dir():
            raise KeysUnreadable(
                f"no key folder {folder}: make one by starting a new node, or restore the backup"
            )
        self._wrapping = {
            int(path.stem.removeprefix("node-")): _read(path) for path in folder.glob("node-*.key")
        }
        if not self._wrapping:
            raise KeysUnreadable(
                f"no node key in {folder}: restore node-*.key from the backup of the keys"
            )
        self._newest = max(self._wrapping)
        self._root = _read(folder / "root.key")

    @classmethod
    def create(cls, folder: Path) -> FileKeys:
        """Makes a folder with new keys; an existing key is never overwritten."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not list(folder.glob("node-*.key")):
            _write(folder / "node-1.key")
        if not (folder / "root.key").exists():
            _write(folder / "root.key")
        return cls(folder)

    def wrap(self, key: bytes, place: bytes) -> bytes:
        """See `KeyPort`."""
        sealed = self._suite.seal(self._wrapping[self._newest], key, place)
        return self._newest.to_bytes(2, "big") + sealed

    def unwrap(self, wrapped: bytes, place: bytes) -> bytes:
        """See `KeyPort`."""
        key = self._wrapping.get(int.from_bytes(wrapped[:2], "big"))
        if key is None:
            raise Tampered
        return self._suite.open(key, wrapped[2:], place)

    def derive(self, purpose: str) -> bytes:
        """See `KeyPort`."""
        return derive(self._root, purpose)


def _read(path: Path) -> bytes:
    try:
        mode = path.stat().st_mode
        secret = bytes.fromhex(path.read_text("ascii").strip())
    except (OSError, ValueError) as error:
        raise KeysUnreadable(
            f"{path} cannot be read: restore it from the backup of the keys"
        ) from error
    if mode & 0o077:
        raise KeysUnreadable(f"{path} can be read by others: chmod 600 {path}")
    if len(secret) != _SECRET_BYTES:
        raise KeysUnreadable(f"{path} does not hold {_SECRET_BYTES} bytes in hexadecimal")
    return secret


def _write(path: Path) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(_SECRET_BYTES) + "\n")
        file.flush()
        os.fsync(file.fileno())
