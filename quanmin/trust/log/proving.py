"""Proofs that an entry stands in the log, which anybody can check with the node's public key and
nothing else.
"""

from __future__ import annotations

from typing import Final

import msgspec

from quanmin.base.crypto import Tampered
from quanmin.base.database import Connection
from quanmin.base.merkle import (
    Tree,
    consistency_ranges,
    includes,
    inclusion_ranges,
    is_consistent,
    leaf_hash,
    node_hash,
    proof,
)
from quanmin.base.problems import Invalid, NotFound, Sentence
from quanmin.base.signing import PublicKey, Signature
from quanmin.trust.log.entry import SALT_BYTES, Place, personal_bytes
from quanmin.trust.log.lanes import TILE_LEVEL
from quanmin.trust.log.notary import Head, commit, hash_of
from quanmin.trust.log.rows import ENTRY, Kept, read_entry

FORM: Final = "quanmin access log proof 1"
_LANE: Final = """
    select h.lane, h.size, h.root, h.at, h.signature, l.suite
    from trust.head h join trust.lane l using (lane) where lane = $1 order by size desc limit 1
"""
_SUBTREE: Final = """
    select root from trust.subtree where lane = $1 and level = $2 and place = $3
"""
_LEAVES: Final = f"""
    select {ENTRY} from trust.access a where a.lane = $1 and a.n >= $2 and a.n < $3 order by a.n
"""


class Personal(msgspec.Struct, frozen=True):
    """What an entry names, and the salt of its commitment, both in hexadecimal."""

    salt: str
    named: str


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """That an entry stands in a lane, under a signed head. Hashes are in hexadecimal.

    `entry` are the bytes that the leaf holds as they are (JSON), `commitment` stands there for
    what is personal. `personal` opens the commitment; it is left out unless it was asked for.
    """

    form: str
    node: str
    suite: str
    lane: int
    number: int
    entry: str
    commitment: str
    path: tuple[str, ...]
    size: int
    root: str
    at: int
    signature: str
    personal: Personal | None = None


class Consistency(msgspec.Struct, frozen=True, kw_only=True):
    """That a lane has only grown since it had `first` entries under `first_root`."""

    form: str
    node: str
    suite: str
    lane: int
    first: int
    first_root: str
    path: tuple[str, ...]
    size: int
    root: str
    at: int
    signature: str


async def find_entry(connection: Connection, place: Place) -> Kept:
    """The entry at this place. Raises NotFound."""
    row = await connection.fetchrow(
        f"select {ENTRY} from trust.access a where a.lane = $1 and a.n = $2",
        place.lane,
        place.number,
    )
    if row is None:
        raise NotFound("the access log has no entry of this name")
    return read_entry(row)


async def prove(connection: Connection, node: str, place: Place, *, is_open: bool) -> Proof:
    """The proof that this entry stands in the log. Raises NotFound.

    `is_open` puts in what is personal. A log that was tampered with gives a proof that proves
    nothing, which `check` finds.
    """
    kept = await find_entry(connection, place)
    head, suite = await _head(connection, place.lane)
    if place.number >= head.size:
        raise Invalid("the lane is behind this entry: `quanmin log verify` says more")
    hash_ = hash_of(suite)
    personal = None
    if is_open and not kept.is_redacted:
        named = personal_bytes(kept.access.records, kept.access.patients)
        personal = Personal(kept.salt[:SALT_BYTES].hex(), named.hex())
    roots = _Subtrees(connection, place.lane, suite)
    return Proof(
        form=FORM,
        node=node,
        suite=suite,
        lane=place.lane,
        number=place.number,
        entry=kept.access.open_bytes().decode(),
        commitment=kept.commitment(hash_).hex(),
        path=await roots.proof(inclusion_ranges(place.number, head.size)),
        size=head.size,
        root=head.root.hex(),
        at=head.at,
        signature=head.signature.hex(),
        personal=personal,
    )


async def prove_growth(
    connection: Connection, node: str, lane: int, first: int, first_root: bytes
) -> Consistency:
    """The proof that a lane begins with what it was. Raises NotFound, Invalid."""
    head, suite = await _head(connection, lane)
    if not 0 < first <= head.size:
        raise Invalid(
            Sentence("the lane has %(size)s entries: name a size from 1 to that", size=head.size)
        )
    roots = _Subtrees(connection, lane, suite)
    return Consistency(
        form=FORM,
        node=node,
        suite=suite,
        lane=lane,
        first=first,
        first_root=first_root.hex(),
        path=await roots.proof(consistency_ranges(first, head.size)),
        size=head.size,
        root=head.root.hex(),
        at=head.at,
        signature=head.signature.hex(),
    )


def check(one: Proof, key: PublicKey) -> list[str]:
    """Why a proof does not show what it says; empty when it does."""
    hash_ = hash_of(one.suite)
    commitment = bytes.fromhex(one.commitment)
    reasons = _check_head(one, key)
    if one.personal is not None and commitment != commit(
        hash_, bytes.fromhex(one.personal.salt), bytes.fromhex(one.personal.named)
    ):
        reasons.append("what the entry is said to name is not what it commits to")
    leaf = leaf_hash(hash_, one.entry.encode() + commitment)
    if not includes(
        hash_,
        leaf,
        index=one.number,
        size=one.size,
        path=_bytes(one.path),
        root=bytes.fromhex(one.root),
    ):
        reasons.append("the entry does not stand in the tree under this root")
    return reasons


def check_growth(one: Consistency, key: PublicKey) -> list[str]:
    """The same of a proof of growth."""
    is_shown = is_consistent(
        hash_of(one.suite),
        first=one.first,
        second=one.size,
        path=_bytes(one.path),
        first_root=bytes.fromhex(one.first_root),
        second_root=bytes.fromhex(one.root),
    )
    reasons = [] if is_shown else ["the tree under this root does not begin with the earlier one"]
    return _check_head(one, key) + reasons


def _check_head(one: Proof | Consistency, key: PublicKey) -> list[str]:
    if one.form != FORM:
        return ["this is no proof of an access log, or of a later form"]
    head = Head(one.lane, one.size, bytes.fromhex(one.root), one.at)
    try:
        key.verify(head.message(one.node), Signature.unpack(bytes.fromhex(one.signature)))
    except Tampered:
        return ["the head is not signed by this key"]
    return []


def _bytes(path: tuple[str, ...]) -> list[bytes]:
    return [bytes.fromhex(one) for one in path]


async def _head(connection: Connection, lane: int) -> tuple[Head, str]:
    row = await connection.fetchrow(_LANE, lane)
    if row is None:
        raise NotFound("the access log has no such lane")
    head = Head(row["lane"], row["size"], row["root"], row["at"], row["signature"])
    return head, row["suite"]


class _Subtrees:
    """Roots of parts of a lane, out of kept subtrees and, below these, entries."""

    def __init__(self, connection: Connection, lane: int, suite: str) -> None:
        self._connection = connection
        self._lane = lane
        self._hash = hash_of(suite)

    async def proof(self, ranges: list[tuple[int, int]]) -> tuple[str, ...]:
        roots = {one: await self._root(*one) for one in ranges}
        return tuple(root.hex() for root in proof(ranges, lambda *one: roots[one]))

    async def _root(self, low: int, high: int) -> bytes:
        count = high - low
        if count & (count - 1) == 0 and count >> TILE_LEVEL:
            level = count.bit_length() - 1
            kept = await self._connection.fetchval(_SUBTREE, self._lane, level, low >> level)
            if kept is not None:
                return bytes(kept)
        if count <= 1 << TILE_LEVEL:
            rows = await self._connection.fetch(_LEAVES, self._lane, low, high)
            leaves = [read_entry(row).leaf(self._hash) for row in rows]
            return self._folded(leaves)
        middle = low + (1 << (count - 1).bit_length() - 1)
        return node_hash(self._hash, await self._root(low, middle), await self._root(middle, high))

    def _folded(self, leaves: list[bytes]) -> bytes:
        tree = Tree(self._hash)
        for leaf in leaves:
            tree.append(leaf)
        return tree.root()
