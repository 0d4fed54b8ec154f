"""Where the node's own keys live, behind a port: a folder of files here, a module or a vault in
modules of their own.

The node's keys wrap the data keys that encrypt bodies; whoever has the database without them has
nothing to read. Wrapping keys are numbered: the highest wraps, all unwrap, so that data keys can be
wrapped anew while the node runs. The number stands in front of what was wrapped, two bytes.
"""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path
from typing import Protocol

from quanmin.base.crypto import International, Tampered, derive
from quanmin.base.disk import make_on_disk, sync_folder

_SECRET_BYTES = 32
_NUMBER_BYTES = 2
_NAME = re.compile(r"node-([1-9][0-9]*)\.key")


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

    def numbers(self) -> tuple[int, ...]:
        """The wrapping keys there are now, the one that wraps last."""

    def add(self) -> int:
        """A new wrapping key; from now on it wraps, in every process. Gives its number."""

    def remove(self, number: int) -> None:
        """Destroy a wrapping key, which is not the last. What it wrapped nobody opens any more."""


class FileKeys:
    """Keys as files of a folder that only its owner can enter.

    `node-<n>.key` wrap data keys. `root.key` is what purposes are derived from and never changes
    while data lives.
    """

    def __init__(self, folder: Path) -> None:
        """Reads the folder. Raises KeysUnreadable when it is incomplete or open to others."""
        self._suite = International()
        if not folder.is_dir():
            raise KeysUnreadable(
                f"no key folder {folder}: make one by starting a new node, or restore the backup"
            )
        self._folder = folder
        self._wrapping: dict[int, bytes] = {}
        if not self.numbers():
            raise KeysUnreadable(
                f"no node key in {folder}: restore node-*.key from the backup of the keys"
            )
        for number in self.numbers():
            self._key(number)
        self._root = _read(folder / "root.key")

    @classmethod
    def create(cls, folder: Path) -> FileKeys:
        """Makes a folder with new keys; an existing key is never overwritten."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not list(folder.glob("node-*.key")):
            _write(folder / _name(1))
        if not (folder / "root.key").exists():
            _write(folder / "root.key")
        return cls(folder)

    def wrap(self, key: bytes, place: bytes) -> bytes:
        """See `KeyPort`."""
        # The folder is looked at each time, so that a process that has run for months wraps with
        # the key that was added a moment ago; a data key is made once for each person.
        number = self.numbers()[-1]
        return pack_number(number) + self._suite.seal(self._key(number), key, place)

    def unwrap(self, wrapped: bytes, place: bytes) -> bytes:
        """See `KeyPort`."""
        number, sealed = split_number(wrapped)
        try:
            key = self._key(number)
        except KeysUnreadable:
            raise Tampered from None
        return self._suite.open(key, sealed, place)

    def derive(self, purpose: str) -> bytes:
        """See `KeyPort`."""
        return derive(self._root, purpose)

    def numbers(self) -> tuple[int, ...]:
        """See `KeyPort`."""
        found = (_NAME.fullmatch(path.name) for path in self._folder.glob("node-*.key"))
        return tuple(sorted(int(match[1]) for match in found if match))

    def add(self) -> int:
        """See `KeyPort`."""
        number = self.numbers()[-1] + 1
        _write(self._folder / _name(number))
        return number

    def remove(self, number: int) -> None:
        """See `KeyPort`."""
        (self._folder / _name(number)).unlink()
        sync_folder(self._folder)
        self._wrapping.pop(number, None)

    def _key(self, number: int) -> bytes:
        if number not in self._wrapping:
            self._wrapping[number] = _read(self._folder / _name(number))
        return self._wrapping[number]


def pack_number(number: int) -> bytes:
    """What stands in front of what this wrapping key wrapped."""
    return number.to_bytes(_NUMBER_BYTES, "big")


def split_number(wrapped: bytes) -> tuple[int, bytes]:
    """The number of the wrapping key, and what it made."""
    return int.from_bytes(wrapped[:_NUMBER_BYTES], "big"), wrapped[_NUMBER_BYTES:]


def _name(number: int) -> str:
    return f"node-{number}.key"


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
    # Whole or not there: another process looks at the folder meanwhile.
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    make_on_disk(part, f"{secrets.token_hex(_SECRET_BYTES)}\n".encode("ascii"))
    os.link(part, path)
    part.unlink()
    sync_folder(path.parent)
