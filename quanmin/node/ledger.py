"""The ledger of erasures and consents, where it stands and when it is carried out again.

The file is in the node's folder, its copy in that of the backups, beside and not within them: so an
old backup comes back without its ledger, and a lost disk does not take the ledger along.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from quanmin.base.chained_file import Broken, bring_together, copy_over
from quanmin.base.keys import KeyPort
from quanmin.base.postgres import open_pool
from quanmin.base.problems import Unusable
from quanmin.node.places import Places
from quanmin.node.settings import Settings
from quanmin.records.ledger import Ledger, ledger_file

log = logging.getLogger("quanmin.node")

LEDGER_COPY: Final = "ledger"
"""What the copy is called in the folder of backups."""


def share_ledger(places: Places, keys: KeyPort, directory: Path | None) -> None:
    """Make the ledger and its copy in the folder of backups the same: what either has.

    Raises Unusable when one of them is not as it was written.
    """
    if directory is None:
        return
    own, copy = ledger_file(places.ledger, keys), ledger_file(directory / LEDGER_COPY, keys)
    try:
        gained = bring_together(own, copy)
    except Broken as error:
        raise Unusable(
            f"The ledger of erasures and consents has two copies that differ: {error}. Look at "
            "what happened to it, move it away, and start again: the other is copied in its place."
        ) from error
    if gained:
        log.warning("the ledger was brought back from its copy", extra={"count": gained})
    if own.content():
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        copy_over(own, copy.path)


async def catch_up(settings: Settings, dsn: str, keys: KeyPort) -> None:
    """Carry out what the ledger has and this database has not, before anybody is served.

    Raises Unusable with the way out.
    """
    places = Places(settings.node.directory)
    share_ledger(places, keys, settings.backup.directory)
    pool = await open_pool(dsn, name="quanmin node", connections_max=1)
    try:
        missing = await Ledger(pool, ledger_file(places.ledger, keys)).missing()
    finally:
        await pool.close()
    if not missing:
        return
    # Loaded only where a database was restored: a second that no other start should wait.
    from quanmin.node.server import open_node  # noqa: PLC0415 - see above
    from quanmin.trust.replaying import Replaying  # noqa: PLC0415 - see above

    async with open_node(settings, dsn) as node:
        guard = node.guard
        await guard.store.refresh()
        replaying = Replaying(guard.store, guard.people, node.ledger, guard.log, guard.now)
        replayed = await replaying.replay()
    log.warning(
        "a restored database was brought up to its ledger",
        extra={"erasures": replayed.erasures, "consents": replayed.consents},
    )
