"""Roots of the node's keys: what is kept beside them and what is sealed under them, and how one
takes the place of another and goes.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from quanmin.base.chained_file import Broken
from quanmin.base.crypto import Tampered
from quanmin.base.database import Connection, Database
from quanmin.base.epoch import Epoch
from quanmin.base.keys import FIRST_ROOT, KeyPort, KeysUnreadable
from quanmin.base.node_keys import NodeKeys, keep, node_keys, read_kept
from quanmin.base.problems import Conflict, Unusable
from quanmin.base.spool import spool_roots
from quanmin.node.archive import SUFFIX
from quanmin.node.ledger import LEDGER_COPY
from quanmin.node.own_keys import FINGERPRINT, OTHER_KEYS
from quanmin.node.places import Places
from quanmin.node.resealing import SEALED, count_under, put_resealing
from quanmin.node.sealed_file import root_of_file
from quanmin.node.settings import Settings
from quanmin.node.walls import WALLS
from quanmin.records.keying import INDEX
from quanmin.records.ledger import ledger_file
from quanmin.records.succession import SUCCESSION
from quanmin.trust.lifecycle.deletions import deletion_purpose
from quanmin.trust.log.notary import MARKS, SIGNING
from quanmin.trust.sign_in import SIGN_IN
from quanmin.trust.signatures import AUTHORITY

STAYING: Final = (FINGERPRINT, INDEX, SIGN_IN, MARKS, SUCCESSION, WALLS)
"""Purposes whose secret stays what it is whatever becomes of roots: what was made by it is not
sealed and cannot be made anew from itself.
"""
BELIEVED: Final = (SIGNING, AUTHORITY)
"""Purposes of which every secret is believed that there was."""
_LOCK: Final = "select pg_advisory_xact_lock(hashtextextended('keys of the node', 0))"
_KNOWN: Final = "select number, mark, destroyed_at from node.root order by number"
_ADD: Final = "insert into node.root (number, made_at, mark) values ($1, $2, $3)"
_DESTROY: Final = "update node.root set destroyed_at = $2 where number = $1"
_MARK: Final = "mark of a root"
_SECOND: Final = 1_000_000
_HOUR_SECONDS: Final = 3600


async def read_node_keys(database: Database, port: KeyPort, epoch: Epoch | None = None) -> NodeKeys:
    """The keys of the node with what is kept of them. Raises Unusable where they are another's."""
    try:
        return NodeKeys(port, await read_kept(database, port, (*STAYING, *BELIEVED)), epoch)
    except Tampered as error:
        raise Unusable(OTHER_KEYS) from error


async def ready_roots(connection: Connection, port: KeyPort, now: int) -> NodeKeys:
    """Hold the roots that there are against those that the database knows, and keep what stays.

    Raises Unusable where a root is missing or another's.
    """
    keys = await read_node_keys(connection, port)
    live, known = port.roots(), {row["number"]: row for row in await connection.fetch(_KNOWN)}
    missing = [n for n, row in known.items() if row["destroyed_at"] is None and n not in live]
    if missing:
        named = " and ".join(f"root {number}" for number in missing)
        raise Unusable(
            f"{named} of the node's keys is not there, and this database may need it: bring it back"
            " from the copy of the keys of that time with `quanmin restore --keys FILE`; those"
            " that are there stay."
        )
    if any(number in known and _mark(keys, number) != known[number]["mark"] for number in live):
        raise Unusable(OTHER_KEYS)
    async with connection.transaction():
        await connection.execute(_LOCK)
        try:
            kept = await read_kept(connection, port, STAYING)
            there = {purpose for purpose, _ in kept}
            await keep(connection, keys, [(p, FIRST_ROOT) for p in STAYING if p not in there])
        except KeysUnreadable as error:
            raise Unusable(
                f"The first root of the node's keys is needed once more ({error}): bring it back"
                " from the copy of the keys of that time with `quanmin restore --keys FILE`."
            ) from error
        for number in live:
            if number not in known:
                await connection.execute(_ADD, number, now, _mark(keys, number))
        # A database that was restored, or a root that was made just before a crash.
        if known and live[-1] not in known:
            await put_resealing(connection, "node")
    return await read_node_keys(connection, port)


async def add_root(connection: Connection, port: KeyPort, now: int, owner: str) -> tuple[int, int]:
    """Make a new root, under which is sealed from now on what is, and put in the job that seals
    anew what there is; gives the numbers of both. Processes are told by their epoch, after the
    caller.
    """
    async with connection.transaction():
        await connection.execute(_LOCK)
        known = [row["number"] for row in await connection.fetch(_KNOWN)]
        number = max(*known, *port.roots()) + 1
        port.add_root(number)
        await connection.execute(_ADD, number, now, _mark(node_keys(port), number))
        return number, await put_resealing(connection, owner)


async def destroy_root(
    connection: Connection, keys: NodeKeys, settings: Settings, number: int, now: int, *, cuts: bool
) -> None:
    """Destroy a root that is not the newest, under which nothing is any more; what was signed by
    keys that follow from it stays believed. Raises Conflict with what is left under it; links that
    were given out under it are none of that where the caller `cuts` them.
    """
    refuse_used_outside(keys, settings, number)
    deletions = await connection.fetch("select deletion from trust.deletion")
    names = [*BELIEVED, *(deletion_purpose(row["deletion"]) for row in deletions)]
    await keep(connection, keys, [(name, number) for name in names])
    async with connection.transaction():
        await connection.execute(_LOCK)
        if not cuts:
            await _refuse_links(connection, settings, number, now)
        tables = sorted({column.table for column in SEALED})
        await connection.execute(f"lock table {', '.join(tables)} in share row exclusive mode")
        count = (await count_under(connection)).get(number, 0)
        if count:
            raise Conflict(
                f"{count:,} entries of the database are still under root {number}: `quanmin keys"
                " status` says how far the job is that seals them anew, and the log which open"
                " under no root"
            )
        await connection.execute(_DESTROY, number, now)
    # After the commit: what was decided on is done again by whoever is told that it is there still.
    keys.remove_root(number)


def refuse_used_outside(keys: KeyPort, settings: Settings, number: int) -> None:
    """Raises Conflict where a file is under this root: the ledger or its copy, what waits to be
    imported, a backup. Unusable where the folder of backups cannot be looked at.
    """
    places, folder = Places(settings.node.directory), settings.backup.directory
    ledgers = [places.ledger] if folder is None else [places.ledger, folder / LEDGER_COPY]
    try:
        older = sum(ledger_file(path, keys).count_older() for path in ledgers)
    except Broken as error:
        raise Unusable(f"The ledger cannot be read: {error}.") from error
    if older:
        raise Conflict(
            f"{older:,} entries of the ledger or its copy are still under root {number}: the job"
            " seals them anew, and the running node renews the copy"
        )
    waiting = spool_roots(places.imports).count(number)
    if waiting:
        raise Conflict(f"{waiting:,} files that wait to be imported are under root {number}")
    sent = spool_roots(places.uploads).count(number)
    if sent:
        raise Conflict(
            f"{sent:,} files sent with forms are under root {number}: they are forgotten after"
            " node.link_hours_max, when another is sent or a worker starts"
        )
    backups = [] if folder is None else _backups_under(folder, number)
    if backups:
        raise Conflict(
            f"{len(backups):,} files in {folder} open under root {number} only, {backups[0].name}"
            " among them: make a new backup and remove the old ones (`quanmin backup --keep 1`)"
        )


def _backups_under(folder: Path, number: int) -> list[Path]:
    if not folder.is_dir():
        raise Unusable(f"The backup folder {folder} is not there, so nobody knows what needs it.")
    return [path for path in sorted(folder.rglob(f"*{SUFFIX}")) if root_of_file(path) == number]


async def _refuse_links(connection: Connection, settings: Settings, number: int, now: int) -> None:
    hours = max(settings.node.link_hours_max, settings.sign_in.session_hours_max)
    seconds = max(hours * _HOUR_SECONDS, 2 * settings.door.link_seconds_max)
    since = await connection.fetchval(
        "select min(made_at) from node.root where number > $1", number
    )
    left = (since - now) // _SECOND + seconds
    if left > 0:
        raise Conflict(
            f"links and cookies that were given out under root {number} work for another"
            f" {left // 60 + 1:,} minutes: wait, or say --cut-links to end them"
        )


def _mark(keys: NodeKeys, number: int) -> bytes:
    return hashlib.sha256(keys.derive(_MARK, number)).digest()
