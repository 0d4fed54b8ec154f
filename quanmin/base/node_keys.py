"""The keys of a node as its parts use them: the port, and the secrets that outlive a root.

What is sealed for a purpose tells the root that its key follows from: the newest root seals, all
open, and a job seals anew what is under an older one. Secrets on which depends what is not sealed
(those of the index, of hashes, of keys that have signed) are kept in the database, wrapped by the
node's key, so that a root can go without them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from quanmin.base.database import Database
from quanmin.base.epoch import Epoch
from quanmin.base.keys import FIRST_ROOT, Keyed, KeyPort, KeysUnreadable, pack_number
from quanmin.base.problems import Overloaded
from quanmin.base.rooted import Rooted
from quanmin.base.signing_keys import Inside, signs_inside

_READ: Final = "select purpose, root, wrapped from node.secret where purpose = any($1)"
_KEEP: Final = """
    insert into node.secret (purpose, root, wrapped) values ($1, $2, $3) on conflict do nothing
"""

_OLDER: Final = """
    select purpose, root, wrapped from node.secret
    where substring(wrapped from 1 for 2) <> $1 order by purpose, root limit 500
"""
_REPLACE: Final = """
    update node.secret set wrapped = $4 where purpose = $1 and root = $2 and wrapped = $3
"""


class NodeKeys:
    """The keys of one node in one process; a port like that which it stands before."""

    def __init__(
        self,
        port: KeyPort,
        kept: Mapping[tuple[str, int], bytes] | None = None,
        epoch: Epoch | None = None,
    ) -> None:
        """`kept` are the secrets in the database by purpose and root. While `epoch` stands, roots
        are those they were; without it the port is asked each time.
        """
        self.port = port
        self.is_remote = port.is_remote
        self.signs_inside = signs_inside(port)
        self._kept = dict(kept or {})
        self._staying = dict(sorted(self._kept))
        self._at_hand: dict[tuple[str, int], bytes] = {}
        self._epoch = epoch
        self._seen: int | None = None
        self._live: tuple[int, ...] = ()

    # ---- the port -----------------------------------------------------------------------------

    def wrap(self, keys: Sequence[Keyed]) -> list[bytes]:
        """See `KeyPort`."""
        return self.port.wrap(keys)

    def unwrap(self, wrapped: Sequence[Keyed]) -> list[bytes]:
        """See `KeyPort`."""
        return self.port.unwrap(wrapped)

    def numbers(self) -> tuple[int, ...]:
        """See `KeyPort`."""
        return self.port.numbers()

    def add(self, number: int) -> None:
        """See `KeyPort`."""
        self.port.add(number)

    def remove(self, number: int) -> None:
        """See `KeyPort`."""
        self.port.remove(number)

    def roots(self) -> tuple[int, ...]:
        """See `KeyPort`."""
        epoch = None if self._epoch is None else self._epoch.number
        if not self._live or epoch is None or epoch != self._seen:
            try:
                self._live = self.port.roots()
            except (Overloaded, KeysUnreadable):
                # What is at hand serves until the port answers: older roots open as well.
                if not self._live:
                    raise
                return self._live
            self._seen = epoch
        return self._live

    def add_root(self, number: int) -> None:
        """See `KeyPort`."""
        self.port.add_root(number)

    def remove_root(self, number: int) -> None:
        """See `KeyPort`."""
        self.port.remove_root(number)

    def public_key(self, name: str) -> bytes:
        """See `Inside`."""
        return self._inside.public_key(name)

    def sign_inside(self, name: str, message: bytes) -> bytes:
        """See `Inside`."""
        return self._inside.sign_inside(name, message)

    @property
    def _inside(self) -> Inside:
        if not isinstance(self.port, Inside):
            raise KeysUnreadable("the port signs nothing by itself")
        return self.port

    # ---- secrets for purposes -----------------------------------------------------------------

    def derive(self, purpose: str, root: int | None = None) -> bytes:
        """32 bytes for this purpose from a root. Without one what stays the same whatever becomes
        of roots: the secret that is kept, or what the first root gives while none is.
        """
        if root is None:
            root = self._staying.get(purpose, FIRST_ROOT)
        kept = self._kept.get((purpose, root))
        return self.port.derive(purpose, root) if kept is None else kept

    def rooted(self, purpose: str) -> Rooted:
        """The secrets for this purpose from the roots there are; the newest seals. They stay at
        hand, for a port may be far away.
        """
        return Rooted(lambda root: self._sealing(purpose, root), self.roots)

    def _sealing(self, purpose: str, root: int) -> bytes:
        found = self._at_hand.get((purpose, root))
        if found is None:
            found = self._at_hand[purpose, root] = self.port.derive(purpose, root)
        return found

    def roots_of(self, purpose: str) -> tuple[int, ...]:
        """The roots from which something for this purpose may come, the newest last; of those that
        are gone too, where it is kept.
        """
        kept = {root for one, root in self._kept if one == purpose}
        return tuple(sorted({*kept, *self.roots()}))


def node_keys(keys: KeyPort) -> NodeKeys:
    """The keys of a node, of which none is kept in a database where only a port is given."""
    return keys if isinstance(keys, NodeKeys) else NodeKeys(keys)


class SealedColumn(msgspec.Struct, frozen=True):
    """Where something is sealed for a purpose: a column of a table, and what gives the place of a
    row by the columns of `by`. With an `encoding` it is a field of the `payload` of a job, of one
    `kind` if that is told.
    """

    table: str
    column: str
    purpose: str
    place: Callable[[Any], bytes]
    by: tuple[str, ...] = ()
    encoding: Literal["", "base64", "hex"] = ""
    kind: str = ""


# ---- kept in the database ------------------------------------------------------------------------


def _place(purpose: str, root: int) -> bytes:
    return f"secret {root} {purpose}".encode()


async def read_kept(
    database: Database, port: KeyPort, purposes: Iterable[str]
) -> dict[tuple[str, int], bytes]:
    """The secrets that are kept for these purposes, by purpose and root. Raises Tampered where the
    port has not the keys that wrapped them.
    """
    rows = await database.fetch(_READ, list(purposes))
    names = [(row["purpose"], row["root"]) for row in rows]
    wrapped = [(row["wrapped"], _place(*name)) for row, name in zip(rows, names, strict=True)]
    return dict(zip(names, port.unwrap(wrapped), strict=True)) if names else {}


async def keep(database: Database, keys: KeyPort, names: Sequence[tuple[str, int]]) -> None:
    """Keep the secrets for these purposes that follow from these roots, in the database too."""
    secrets = [(keys.derive(*name), _place(*name)) for name in names]
    for (purpose, root), wrapped in zip(names, keys.wrap(secrets) if secrets else (), strict=True):
        await database.execute(_KEEP, purpose, root, wrapped)


async def kept_for(database: Database, keys: NodeKeys, purpose: str) -> dict[int, bytes]:
    """The secrets for this purpose, by root: from the roots there are, and those that are kept."""
    kept = await read_kept(database, keys, [purpose])
    live = {root: keys.derive(purpose, root) for root in keys.roots()}
    return {**{root: secret for (_, root), secret in kept.items()}, **live}


async def wrap_kept_again(database: Database, port: KeyPort) -> int:
    """Have some of what is kept wrapped by the node's newest key; gives how many were not."""
    newest = pack_number(port.numbers()[-1])
    rows = await database.fetch(_OLDER, newest)
    places = [_place(row["purpose"], row["root"]) for row in rows]
    wrapped = [row["wrapped"] for row in rows]
    if rows:
        opened = port.unwrap(list(zip(wrapped, places, strict=True)))
        anew = port.wrap(list(zip(opened, places, strict=True)))
        for row, new in zip(rows, anew, strict=True):
            await database.execute(_REPLACE, row["purpose"], row["root"], row["wrapped"], new)
    return len(rows)
