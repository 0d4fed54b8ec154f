"""Where the node's own keys live, behind a port: a folder of files here, a module or a vault in
modules of their own.

The node's keys wrap the data keys that encrypt bodies; whoever has the database without them has
nothing to read. Wrapping keys are numbered: the highest wraps, all unwrap, so that data keys can be
wrapped anew while the node runs. The number stands in front of what was wrapped, two bytes. Roots,
from which secrets for purposes follow, are numbered likewise.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from quanmin.base.crypto import International, Tampered, derive
from quanmin.base.disk import make_on_disk, replace_on_disk, sync_folder
from quanmin.base.passphrases import Passphrase, is_sealed, salt_of
from quanmin.base.signing_keys import Inside, signs_inside

_SECRET_BYTES = 32
_NUMBER_BYTES = 2
FIRST_ROOT = 1
_NAME_BYTES = 16
_NAME = re.compile(r"node-([1-9][0-9]*)\.key")
_ROOT_NAME = re.compile(r"root(?:-([2-9]|[1-9][0-9]+))?\.key")


class KeysUnreadable(Exception):  # noqa: N818 - names the finding
    """The key folder is missing something or is open to others; the text says how to mend it."""


Keyed = tuple[bytes, bytes]
"""A key, wrapped or not, and the place that it is sealed for."""


class KeyPort(Protocol):
    """Wraps data keys and derives keys for named purposes; never gives out what it wraps with.

    Where it `is_remote` every call waits for another machine or device, and may raise Overloaded.
    """

    is_remote: bool

    def wrap(self, keys: Sequence[Keyed]) -> list[bytes]:
        """The keys, each sealed for its place."""

    def unwrap(self, wrapped: Sequence[Keyed]) -> list[bytes]:
        """The keys again. Raises Tampered."""

    def derive(self, purpose: str, root: int = FIRST_ROOT) -> bytes:
        """32 bytes for this purpose from a root, the same at every start of this node. Raises
        KeysUnreadable for a root that is not there.
        """

    def roots(self) -> tuple[int, ...]:
        """The roots there are now, the newest last."""

    def add_root(self, number: int) -> None:
        """A new root of a number above all others."""

    def remove_root(self, number: int) -> None:
        """Destroy a root, which is not the last. What follows from it nobody derives any more."""

    def numbers(self) -> tuple[int, ...]:
        """The wrapping keys there are now, the one that wraps last."""

    def add(self, number: int) -> None:
        """A new wrapping key of a number above all others; from now on it wraps, in every process
        of the node.
        """

    def remove(self, number: int) -> None:
        """Destroy a wrapping key, which is not the last. What it wrapped nobody opens any more."""


class FileKeys:
    """Keys as files of a folder that only its owner can enter.

    `node-<n>.key` wrap data keys; from `root.key`, then `root-2.key` and so on, purposes are
    derived. With a passphrase all are sealed under it.
    """

    is_remote = False

    def __init__(self, folder: Path, passphrase: Passphrase | None = None) -> None:
        """Reads the folder. Raises KeysUnreadable when it is incomplete, open to others, or not
        sealed under this passphrase.
        """
        self._suite = International()
        self._passphrase = passphrase
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
        self._roots: dict[int, bytes] = {}
        if not self.roots():
            raise KeysUnreadable(f"no root in {folder}: restore root*.key from the keys' backup")
        for number in self.roots():
            self._root(number)

    @classmethod
    def create(cls, folder: Path, passphrase: Passphrase | None = None) -> FileKeys:
        """Makes a folder with new keys; an existing key is never overwritten."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not list(folder.glob("node-*.key")):
            _write(folder / _name(1), passphrase)
        if not list(folder.glob("root*.key")):
            _write(folder / _root_name(FIRST_ROOT), passphrase)
        return cls(folder, passphrase)

    def wrap(self, keys: Sequence[Keyed]) -> list[bytes]:
        """See `KeyPort`."""
        # The folder is looked at each time, so that a process that has run for months wraps with
        # the key that was added a moment ago; a data key is made once for each person.
        number = self.numbers()[-1]
        mark, wrapping = pack_number(number), self._key(number)
        return [mark + self._suite.seal(wrapping, key, place) for key, place in keys]

    def unwrap(self, wrapped: Sequence[Keyed]) -> list[bytes]:
        """See `KeyPort`."""
        return [self._unwrap(each, place) for each, place in wrapped]

    def _unwrap(self, wrapped: bytes, place: bytes) -> bytes:
        number, sealed = split_number(wrapped)
        try:
            key = self._key(number)
        except KeysUnreadable:
            raise Tampered from None
        return self._suite.open(key, sealed, place)

    def derive(self, purpose: str, root: int = FIRST_ROOT) -> bytes:
        """See `KeyPort`."""
        return derive(self._root(root)[:_SECRET_BYTES], purpose)

    def roots(self) -> tuple[int, ...]:
        """See `KeyPort`."""
        found = (_ROOT_NAME.fullmatch(path.name) for path in self._folder.glob("root*.key"))
        return tuple(sorted(int(match[1] or FIRST_ROOT) for match in found if match))

    def add_root(self, number: int) -> None:
        """See `KeyPort`. The file tells the node as well, so that keys of several times are known
        to be of one node when they have no root in common.
        """
        newest = self.roots()[-1]
        name = _node_name(newest, self._root(newest))
        _write(self._folder / _root_name(number), self._passphrase, name)

    def remove_root(self, number: int) -> None:
        """See `KeyPort`."""
        (self._folder / _root_name(number)).unlink()
        sync_folder(self._folder)
        self._roots.pop(number, None)

    def numbers(self) -> tuple[int, ...]:
        """See `KeyPort`."""
        found = (_NAME.fullmatch(path.name) for path in self._folder.glob("node-*.key"))
        return tuple(sorted(int(match[1]) for match in found if match))

    def add(self, number: int) -> None:
        """See `KeyPort`."""
        _write(self._folder / _name(number), self._passphrase)

    def remove(self, number: int) -> None:
        """See `KeyPort`."""
        (self._folder / _name(number)).unlink()
        sync_folder(self._folder)
        self._wrapping.pop(number, None)

    def pseudorandom_key(self, root: int) -> bytes:
        """What another port derives the same keys from (RFC 5869, 2.2): see `expand_input`."""
        return hmac.digest(bytes(_SECRET_BYTES), self._root(root)[:_SECRET_BYTES], "sha256")

    def _root(self, number: int) -> bytes:
        if number not in self._roots:
            path = self._folder / _root_name(number)
            self._roots[number] = _read(path, self._passphrase)
        return self._roots[number]

    def _key(self, number: int) -> bytes:
        if number not in self._wrapping:
            self._wrapping[number] = _read(self._folder / _name(number), self._passphrase)
        return self._wrapping[number]


class Keyring:
    """Two ports as one, while keys move from one to the other: what is old is unwrapped where it
    is, what is new is wrapped and derived by the new one.
    """

    is_remote = True

    def __init__(self, old: KeyPort, new: KeyPort) -> None:
        self._old = old
        self._new = new
        self.signs_inside = signs_inside(new)

    def public_key(self, name: str) -> bytes:
        """See `Inside`."""
        return self._inside.public_key(name)

    def sign_inside(self, name: str, message: bytes) -> bytes:
        """See `Inside`."""
        return self._inside.sign_inside(name, message)

    @property
    def _inside(self) -> Inside:
        if not isinstance(self._new, Inside):
            raise KeysUnreadable("the new port signs nothing by itself")
        return self._new

    def wrap(self, keys: Sequence[Keyed]) -> list[bytes]:
        """See `KeyPort`."""
        return self._new.wrap(keys)

    def unwrap(self, wrapped: Sequence[Keyed]) -> list[bytes]:
        """See `KeyPort`."""
        theirs = set(self._old.numbers())
        is_old = [split_number(each)[0] in theirs for each, _ in wrapped]
        parts = {
            port: iter(
                port.unwrap([w for w, old in zip(wrapped, is_old, strict=True) if old is mark])
            )
            for port, mark in ((self._old, True), (self._new, False))
        }
        return [next(parts[self._old if old else self._new]) for old in is_old]

    def derive(self, purpose: str, root: int = FIRST_ROOT) -> bytes:
        """See `KeyPort`."""
        return self._new.derive(purpose, root)

    def roots(self) -> tuple[int, ...]:
        """See `KeyPort`."""
        return self._new.roots()

    def add_root(self, number: int) -> None:
        """See `KeyPort`."""
        self._new.add_root(number)

    def remove_root(self, number: int) -> None:
        """See `KeyPort`."""
        self._new.remove_root(number)

    def numbers(self) -> tuple[int, ...]:
        """See `KeyPort`."""
        return tuple(sorted((*self._old.numbers(), *self._new.numbers())))

    def add(self, number: int) -> None:
        """See `KeyPort`."""
        self._new.add(number)

    def remove(self, number: int) -> None:
        """See `KeyPort`."""
        (self._old if number in self._old.numbers() else self._new).remove(number)


def expand_input(purpose: str) -> bytes:
    """What is authenticated under the pseudorandom key to derive a key for a purpose: the first
    block of HKDF-Expand (RFC 5869, 2.3), so that every port derives what `crypto.derive` does.
    """
    return purpose.encode() + b"\x01"


def pack_number(number: int) -> bytes:
    """What stands in front of what this wrapping key wrapped."""
    return number.to_bytes(_NUMBER_BYTES, "big")


def split_number(wrapped: bytes) -> tuple[int, bytes]:
    """The number of the wrapping key, and what it made."""
    return int.from_bytes(wrapped[:_NUMBER_BYTES], "big"), wrapped[_NUMBER_BYTES:]


def name_root(label: str, number: int) -> str:
    """What a root is called: the first has no number, for there was only one once."""
    return label if number == FIRST_ROOT else f"{label}-{number}"


def root_numbers(label: str, names: Iterable[str]) -> tuple[int, ...]:
    """The numbers of the roots among what is called so, in order."""
    named = re.compile(re.escape(label) + r"(?:-([2-9]|[1-9][0-9]+))?")
    found = (named.fullmatch(name) for name in names)
    return tuple(sorted(int(match[1] or FIRST_ROOT) for match in found if match))


def _name(number: int) -> str:
    return f"node-{number}.key"


def _root_name(number: int) -> str:
    return f"{name_root('root', number)}.key"


def _node_name(number: int, content: bytes) -> bytes:
    """What all roots of a node have in common, by what the file of one holds: what the first tells
    of itself, and the others hold.
    """
    if number != FIRST_ROOT:
        return content[_SECRET_BYTES:]
    return hashlib.blake2b(derive(content, "fingerprint"), digest_size=_NAME_BYTES).digest()


def reseal(folder: Path, old: Passphrase | None, new: Passphrase | None) -> int:
    """Have all keys of a folder under another passphrase, or under none; gives how many were not.

    Doing it again after a crash goes on. Raises KeysUnreadable for a key that is under neither, and
    then none has been changed.
    """
    lines = {path: _line(path) for path in sorted(folder.glob("*.key"))}
    opened = {path: _open(path, line, (new, old)) for path, line in lines.items()}
    changed = 0
    for path, line in lines.items():
        try:
            is_done = _open(path, line, (new,)) == opened[path]
        except KeysUnreadable:
            is_done = False
        if not is_done:
            replace_on_disk(path, f"{_written(path, opened[path], new)}\n".encode("ascii"))
            changed += 1
    return changed


def bring_back(folder: Path, lines: Mapping[str, str], passphrase: Passphrase | None) -> int:
    """Lay the keys of a copy (what each file holds, by its name) beside those of a folder; gives
    how many were missing. None is ever overwritten, and after a crash it may be done again.

    Raises KeysUnreadable, with nothing changed, for a copy of another node's keys: with roots of
    another node than those of the folder, or another key of a number. Keys that are sealed open
    under the passphrase.
    """
    there = {path.name: _line(path) for path in folder.glob("*.key")}
    if there and not (any(map(_is_root, there)) and any(map(_is_root, lines))):
        raise KeysUnreadable(f"there are keys in {folder} already: move them away first")
    for name in sorted(there.keys() & lines.keys()):
        either = (None, passphrase)
        path = folder / name
        if lines[name] != there[name] and (
            _open(path, lines[name], either) != _open(path, there[name], either)
        ):
            raise KeysUnreadable(
                f"{path} is there already and another than the copy's: these are the keys of"
                " another node, or of another time; move those of the folder away first"
            )
    nodes = {
        _node_name_of(folder / name, line, passphrase)
        for several in (there, lines)
        for name, line in several.items()
        if _is_root(name)
    }
    if len(nodes) > 1:
        raise KeysUnreadable(
            f"the roots in {folder} are those of another node than the copy's: move those of the"
            " folder away first"
        )
    missing = sorted(lines.keys() - there.keys(), key=lambda name: (not _is_root(name), name))
    for name in missing:
        # Whole or not there, as when one is made.
        part = folder / f".{name}.part"
        part.unlink(missing_ok=True)
        make_on_disk(part, lines[name].encode("ascii"))
        part.rename(folder / name)
    sync_folder(folder)
    return len(missing)


def _is_root(name: str) -> bool:
    return _ROOT_NAME.fullmatch(name) is not None


def _node_name_of(path: Path, line: str, passphrase: Passphrase | None) -> bytes:
    [number] = root_numbers("root", [path.stem])
    return _node_name(number, _open(path, line, (None, passphrase)))


def _read(path: Path, passphrase: Passphrase | None) -> bytes:
    return _open(path, _line(path), (passphrase,))


def _line(path: Path) -> str:
    try:
        mode = path.stat().st_mode
        line = path.read_text("ascii").strip()
    except (OSError, ValueError) as error:
        raise KeysUnreadable(
            f"{path} cannot be read: restore it from the backup of the keys"
        ) from error
    if mode & 0o077:
        raise KeysUnreadable(f"{path} can be read by others: chmod 600 {path}")
    return line


def _open(path: Path, line: str, passphrases: Sequence[Passphrase | None]) -> bytes:
    """The key in a line, by whichever of these opens it; None opens one that is not sealed."""
    given = [each for each in passphrases if each is not None]
    if not is_sealed(line):
        if None not in passphrases:
            raise KeysUnreadable(f"{path} is not sealed yet: `quanmin keys seal` does it")
        return _plain(path, line)
    if not given:
        raise KeysUnreadable(f"{path} is sealed: set `keys.passphrase_file`")
    for passphrase in given:
        with suppress(Tampered):
            return _plain(path, passphrase.open(line, path.name).hex())
    raise KeysUnreadable(
        f"the passphrase in the file of `keys.passphrase_file` does not open {path}"
    )


def _plain(path: Path, line: str) -> bytes:
    try:
        secret = bytes.fromhex(line)
    except ValueError as error:
        raise KeysUnreadable(
            f"{path} cannot be read: restore it from the backup of the keys"
        ) from error
    is_named = _is_root(path.name) and path.name != _root_name(FIRST_ROOT)
    size = _SECRET_BYTES + (_NAME_BYTES if is_named else 0)
    if len(secret) != size:
        raise KeysUnreadable(f"{path} does not hold {size} bytes in hexadecimal")
    return secret


def _write(path: Path, passphrase: Passphrase | None, more: bytes = b"") -> None:
    """Make a key file of a new secret, with `more` behind it."""
    # Whole or not there: another process looks at the folder meanwhile.
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    line = _written(path, secrets.token_bytes(_SECRET_BYTES) + more, passphrase)
    make_on_disk(part, f"{line}\n".encode("ascii"))
    os.link(part, path)
    part.unlink()
    sync_folder(path.parent)


def _written(path: Path, secret: bytes, passphrase: Passphrase | None) -> str:
    if passphrase is None:
        return secret.hex()
    # One salt for a folder, so that a start waits for one derivation.
    for other in sorted(path.parent.glob("*.key")):
        line = other.read_text("ascii").strip()
        with suppress(Tampered):
            if is_sealed(line):
                passphrase.open(line, other.name)
                return passphrase.seal(secret, path.name, salt_of(line))
    return passphrase.seal(secret, path.name)
