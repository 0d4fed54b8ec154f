"""Brings a lost database back: a base backup, then the log up to a chosen moment.

What stood there before is moved aside, never deleted. The result is checked three times: every
piece was sealed by this node, every file has the checksum of the manifest, and PostgreSQL itself
has replayed the log to the end.
"""

from __future__ import annotations

import getpass
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from quanmin.base.clock import Clock
from quanmin.base.cluster import Cluster
from quanmin.base.disk import replace_on_disk
from quanmin.base.keys import KeyPort
from quanmin.base.node_keys import node_keys
from quanmin.base.problems import Unusable
from quanmin.base.rooted import Rooted
from quanmin.node.archive import (
    BACKUP,
    SUFFIX,
    Archivist,
    archive_parameters,
    open_archive,
    restore_parameters,
)
from quanmin.node.backup import Base, base_folder, list_bases, verify_digest
from quanmin.node.database import embedded
from quanmin.node.ledger import share_ledger
from quanmin.node.places import Places
from quanmin.node.sealed_file import SealedReader
from quanmin.node.settings import Settings
from quanmin.trust.log.restoring import Restoring

_RECOVERY_SECONDS_MAX: Final = 24 * 3600.0
# What says how far to replay stands in the folder's own file, which a start without us would not
# find.
_SIGNAL: Final = "recovery.signal"


def choose_base(directory: Path, moment: int | None) -> Base:
    """The newest backup finished before `moment` (microseconds); raises Unusable without one."""
    bases = list_bases(directory)
    if not bases:
        raise Unusable(f"There is no backup in {directory}: name the right folder with --from.")
    usable = [base for base in bases if moment is None or base.finished_at <= moment]
    if not usable:
        raise Unusable(
            f"The oldest backup was finished at {as_text(bases[0].finished_at)}: a moment before "
            "it cannot be reached."
        )
    return usable[-1]


def backup_folder(settings: Settings) -> Path:
    """Where the backups are. Raises Unusable when nobody has said so."""
    if settings.backup.directory is None:
        raise Unusable("No backup folder is named: say where it is with --from.")
    return settings.backup.directory


def as_text(moment: int) -> str:
    """A moment as people and PostgreSQL read it, in UTC."""
    when = datetime.fromtimestamp(moment // 1_000_000, UTC)
    return f"{when:%Y-%m-%d %H:%M:%S}.{moment % 1_000_000:06d}+00"


def restore(
    settings: Settings,
    keys: KeyPort,
    moment: int | None,
    progress: Callable[[str], None],
) -> Base:
    """Replace the database by its state at `moment` (microseconds), or at the archive's end.

    The node must be stopped; its lock is the caller's to hold. `progress` hears what is being done.
    A database that was there then lies in `data.before-...` beside the new one. Raises Unusable
    with what stands in the way, and all is as it was before.
    """
    directory = backup_folder(settings)
    places = Places(settings.node.directory)
    base = choose_base(directory, moment)
    progress(f"checking the backup of {as_text(base.finished_at)}")
    verify_digest(directory, base)
    archive = open_archive(settings.backup, keys, settings.node.cipher_suite)
    cluster = embedded(settings, places, _parameters(settings, places, moment))
    archivist = Archivist(archive, places, cluster)
    secret = node_keys(keys).rooted(BACKUP)
    folder = base_folder(directory)
    node_files = _read_node_files(folder / f"{base.name}.node{SUFFIX}", secret)
    progress(f"unpacking {base.plain_bytes / 1e6:,.0f} MB")
    part = _unpack(folder / f"{base.name}{SUFFIX}", secret, cluster)
    # What the backup has forgotten is carried out when the node starts, from the ledger.
    share_ledger(places, keys, directory)
    with _in_place(part, cluster):
        _put_node_files(node_files, places)
        progress("replaying the log")
        archivist.prepare()
        archivist.start()
        try:
            cluster.start(wait_seconds_max=_RECOVERY_SECONDS_MAX)
        except Unusable as error:
            raise _explain(error, archive.names()) from error
        finally:
            cluster.stop()
            archivist.stop()
        # Its tables may be older than this program: the access log is told when the node starts.
        restoring = Restoring(Clock().now(), _who(), moment)
        replace_on_disk(places.restored, msgspec.json.encode(restoring))
    return base


def _who() -> str:
    """Who does it, as this machine knows them."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return os.environ.get("SUDO_USER") or user


@contextmanager
def _in_place(part: Path, cluster: Cluster) -> Iterator[None]:
    """Put a data folder in place and what was there aside; the other way round if all fails."""
    before = cluster.home / f"data.before-{Clock().now()}"
    password = cluster.passfile.read_bytes() if cluster.passfile.exists() else None
    had_data = cluster.data.exists()
    if had_data:
        cluster.data.rename(before)
    try:
        part.rename(cluster.data)
        yield
    except BaseException:
        if had_data:
            shutil.rmtree(cluster.data, ignore_errors=True)
            before.rename(cluster.data)
        if password is not None:
            replace_on_disk(cluster.passfile, password)
        raise


def _parameters(settings: Settings, places: Places, moment: int | None) -> dict[str, str]:
    target = {} if moment is None else {"recovery_target_time": as_text(moment)}
    # Without hot standby the server is ready when the last record has been replayed, not before.
    recovery = {"recovery_target_action": "promote", "hot_standby": "off"}
    archive = archive_parameters(settings.backup, places)
    return archive | restore_parameters(places) | recovery | target


def _unpack(path: Path, secret: Rooted, cluster: Cluster) -> Path:
    """The backup's data folder, unpacked beside the one in use, and verified."""
    cluster.prepare()
    part = cluster.home / "data.part"
    if part.exists():
        shutil.rmtree(part)
    part.mkdir(mode=0o700)
    with SealedReader(path, secret) as source, tarfile.open(fileobj=source, mode="r|") as archive:
        archive.extractall(part, filter="data")
    (part / _SIGNAL).touch()
    cluster.hand_over(part)
    _verify(cluster, part)
    return part


def _verify(cluster: Cluster, folder: Path) -> None:
    """Hold every file against the manifest that was made with the backup."""
    done = cluster.run("pg_verifybackup", "--quiet", f"--ignore={_SIGNAL}", str(folder))
    if done.returncode != 0:
        raise Unusable(f"The backup is damaged: {done.stderr.strip()}. Choose an earlier one.")


def _read_node_files(path: Path, secret: Rooted) -> dict[str, bytes]:
    if not path.is_file():
        raise Unusable(f"{path} is missing from the backup: choose an earlier one.")
    with SealedReader(path, secret) as source, tarfile.open(fileobj=source, mode="r|") as archive:
        opened = ((member.name, archive.extractfile(member)) for member in archive)
        return {name: content.read() for name, content in opened if content is not None}


def _put_node_files(files: dict[str, bytes], places: Places) -> None:
    """The password that the restored database knows; the rest only where it is missing."""
    for name, content in files.items():
        is_password = name == "passfile"
        target = (places.postgres if is_password else places.directory) / name
        if is_password or not target.exists():
            replace_on_disk(target, content)


def _explain(error: Unusable, pieces: list[str]) -> Unusable:
    if "before configured recovery target was reached" not in error.text:
        return error
    return Unusable(
        "The archive ends before that moment (its last piece is "
        f"{pieces[-1] if pieces else 'none'}): leave out --to to recover all there is."
    )
