"""Makes base backups of the embedded database, and copies of the keys that open them.

A base backup is one sealed file, made while the node runs; together with the archive of the log it
brings the database back to any moment after it. The keys are never in it: whoever finds the backup
folder has found nothing.

    backup.directory/ base/<moment>.sealed       the data folder base/<moment>.node.sealed  the
    password file and the tokens, so that a lost disk loses nothing but itself base/<moment>.json
    what is in it, in clear: versions, moments, sizes; no personal data wal/<piece>.sealed
    the log (see archive.py)
"""

from __future__ import annotations

import hashlib
import io
import secrets
import subprocess
import tarfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

import quanmin
from quanmin.base.clock import Clock
from quanmin.base.cluster import OWNER, Cluster
from quanmin.base.crypto import International, Tampered, suite_named
from quanmin.base.disk import make_on_disk, replace_on_disk
from quanmin.base.keys import KeyPort, KeysUnreadable, bring_back
from quanmin.base.node_keys import node_keys
from quanmin.base.passphrases import CHARACTERS_MIN, stretch
from quanmin.base.postgres import connect
from quanmin.base.problems import Unusable
from quanmin.node.archive import BACKUP, SUFFIX
from quanmin.node.given import read_given
from quanmin.node.key_settings import KeySettings
from quanmin.node.own_keys import passphrase_of
from quanmin.node.places import Places
from quanmin.node.sealed_file import sealed_file
from quanmin.node.settings import Settings

_PIECE_BYTES: Final = 1 << 20
_MOMENT_SECONDS: Final = 0.05
_KEYS_MAGIC: Final = b"QMKEYS1"
_SALT_BYTES: Final = 16


class Base(msgspec.Struct, frozen=True):
    """One base backup, usable from `finished_at` on; moments in microseconds since 1970, UTC.

    It needs the log from `first_piece` on; empty where an older version did not note it.
    """

    name: str
    started_at: int
    finished_at: int
    program: str
    postgres: str
    system: str
    plain_bytes: int
    sealed_bytes: int
    sha256: str
    first_piece: str = ""


class Server(msgspec.Struct, frozen=True):
    """The server that is backed up: its version, the identity of its data, where its log is."""

    version: str
    system: str
    piece: str


def base_folder(directory: Path) -> Path:
    """Where the base backups are."""
    return directory / "base"


def log_folder(directory: Path) -> Path:
    """Where the pieces of the log are."""
    return directory / "wal"


async def describe_server(cluster: Cluster) -> Server:
    """The server as it is now; a backup begun later needs no piece of the log before `piece`."""
    connection = await connect(cluster.dsn(), name="quanmin backup")
    try:
        version = await connection.fetchval("show server_version")
        system = await connection.fetchval(
            "select system_identifier::text from pg_control_system()"
        )
        piece = await connection.fetchval("select pg_walfile_name(pg_current_wal_lsn())")
        return Server(str(version), str(system), str(piece))
    finally:
        await connection.close()


def back_up(
    settings: Settings,
    keys: KeyPort,
    cluster: Cluster,
    server: Server,
    progress: Callable[[int], None],
) -> Base:
    """Make a base backup of the running server: on disk and whole on return, or not there.

    `progress` hears of bytes read so far. Raises Unusable when no backup folder is set or the
    server refuses.
    """
    directory = settings.backup.directory
    if directory is None:
        raise Unusable(
            "No backup folder is set: name one with `backup.directory` (QUANMIN_BACKUP_DIRECTORY) "
            "and start the node again."
        )
    folder = base_folder(directory)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    clock = Clock()
    started_at = clock.now()
    # The next of one second has a name of its own: written over, the one before would be half gone.
    while (folder / f"{_name_at(started_at)}{SUFFIX}").exists():
        time.sleep(_MOMENT_SECONDS)
        started_at = clock.now()
    name = _name_at(started_at)
    secret, suite = node_keys(keys).rooted(BACKUP), suite_named(settings.node.cipher_suite)
    level = settings.backup.compression_level
    path = folder / f"{name}{SUFFIX}"
    with sealed_file(path, secret, suite, level=level) as target:
        plain_bytes = _stream_base(cluster, target.write, progress)
    with sealed_file(folder / f"{name}.node{SUFFIX}", secret, suite, level=level) as target:
        target.write(_pack_node(settings, cluster))
    base = Base(
        name=name,
        started_at=started_at,
        finished_at=clock.now(),
        program=quanmin.__version__,
        postgres=server.version,
        system=server.system,
        plain_bytes=plain_bytes,
        sealed_bytes=path.stat().st_size,
        sha256=_digest(path),
        first_piece=server.piece,
    )
    # Last: without this file there is no backup of that name.
    replace_on_disk(folder / f"{name}.json", msgspec.json.format(msgspec.json.encode(base)))
    return base


def _name_at(moment: int) -> str:
    return datetime.fromtimestamp(moment // 1_000_000, UTC).strftime("%Y%m%dT%H%M%SZ")


def _stream_base(
    cluster: Cluster, write: Callable[[bytes], int], progress: Callable[[int], None]
) -> int:
    """Pass pg_basebackup's tar on, with the log it needs and a manifest of checksums inside."""
    command: list[str | Path] = [
        cluster.program("pg_basebackup"),
        "--pgdata=-",
        "--format=tar",
        "--wal-method=fetch",
        "--checkpoint=fast",
        "--no-password",
        f"--host={cluster.socket_folder}",
        f"--username={OWNER}",
    ]
    environment = {
        "PGPASSFILE": str(cluster.passfile),
        "LC_ALL": "C.UTF-8",
        "PATH": "/usr/bin:/bin",
    }
    done = 0
    with subprocess.Popen(  # noqa: S603 - a program of ours, no shell, no words of others
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as process:
        if process.stdout is None or process.stderr is None:
            raise RuntimeError
        while piece := process.stdout.read(_PIECE_BYTES):
            write(piece)
            done += len(piece)
            progress(done)
        said = process.stderr.read().decode("utf-8", "replace").strip()
    if process.returncode != 0:
        raise Unusable(f"PostgreSQL refused the backup: {said}")
    return done


def _pack_node(settings: Settings, cluster: Cluster) -> bytes:
    directory = settings.node.directory
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, path in (
            ("passfile", cluster.passfile),
            ("tokens.json", directory / "tokens.json"),
            ("settings.toml", directory / "settings.toml"),
            ("fictional", directory / "fictional"),
        ):
            if path.is_file():
                archive.add(path, name)
    return packed.getvalue()


def list_bases(directory: Path) -> list[Base]:
    """The backups there are, oldest first."""
    folder = base_folder(directory)
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            found.append(msgspec.json.decode(path.read_bytes(), type=Base))
        except msgspec.DecodeError as error:
            raise Unusable(
                f"{path} is damaged: remove it with its backup, or restore it."
            ) from error
    return sorted(found, key=lambda base: base.finished_at)


def verify_digest(directory: Path, base: Base) -> None:
    """Hold the sealed file against its checksum. Raises Unusable when it differs or is missing."""
    path = base_folder(directory) / f"{base.name}{SUFFIX}"
    if not path.is_file() or _digest(path) != base.sha256:
        raise Unusable(f"The backup {base.name} is damaged or missing: choose an earlier one.")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# ---- keys ------------------------------------------------------------------------------------


def back_up_keys(places: Places, target: Path, passphrase: str) -> int:
    """Write the keys, sealed under a passphrase, to a new file; gives how many there are.

    Raises Unusable for a short passphrase, a file that exists, and a node without keys.
    """
    if len(passphrase) < CHARACTERS_MIN:
        raise Unusable(
            f"The passphrase is too short: {CHARACTERS_MIN} characters or more, "
            "several words that belong to no saying."
        )
    keys = {path.name: path.read_text("ascii") for path in sorted(places.keys.glob("*.key"))}
    if not keys:
        raise Unusable(
            f"There are no keys in {places.keys}: name the right node with --directory. Keys of a "
            "module or a Vault (`keys.port`) are backed up by its own means."
        )
    salt = secrets.token_bytes(_SALT_BYTES)
    sealed = International().seal(stretch(passphrase, salt), msgspec.json.encode(keys), _KEYS_MAGIC)
    try:
        make_on_disk(target, _KEYS_MAGIC + salt + sealed)
    except FileExistsError as error:
        raise Unusable(f"{target} exists already: name a new file.") from error
    except OSError as error:
        raise Unusable(f"{target} cannot be written: {error.strerror}.") from error
    return len(keys)


def restore_keys(
    places: Places, source: Path, passphrase: str, settings: KeySettings | None = None
) -> int:
    """Bring the keys back into a node that has none, or that lacks some of them; gives how many.

    Raises Unusable for a wrong passphrase, a damaged file, and a copy that has no key which is
    missing, or other keys than the node: those are never overwritten. The settings say what opens
    the key files themselves.
    """
    content = read_given(source)
    head = len(_KEYS_MAGIC)
    if not content.startswith(_KEYS_MAGIC):
        raise Unusable(f"{source} is no copy of keys made by `quanmin backup --keys`.")
    salt, sealed = content[head : head + _SALT_BYTES], content[head + _SALT_BYTES :]
    try:
        plain = International().open(stretch(passphrase, salt), sealed, _KEYS_MAGIC)
    except Tampered as error:
        raise Unusable("The passphrase is wrong, or the file is damaged.") from error
    places.prepare()
    places.keys.mkdir(mode=0o700, exist_ok=True)
    keys = msgspec.json.decode(plain, type=dict[str, str])
    lines = {Path(name).name: line for name, line in keys.items()}
    try:
        sealed_under = None if settings is None else passphrase_of(settings)
        count = bring_back(places.keys, lines, sealed_under)
    except KeysUnreadable as error:
        raise Unusable(f"The keys are not brought back: {error}.") from error
    if not count:
        raise Unusable(f"All keys of {source} are in {places.keys} already.")
    return count
