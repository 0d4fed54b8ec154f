"""The lanes of the log: several trees at once, so that writers do not wait for each other.

A batch of entries takes a lane, and one statement writes its rows, the new head and the subtrees
that became complete; so rows and tree never disagree, whatever is killed. Lanes belong to a month.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from quanmin.base.database import Connection, Database
from quanmin.base.merkle import Tree
from quanmin.base.problems import Unusable
from quanmin.trust.log.entry import SALT_BYTES, Access, Place
from quanmin.trust.log.notary import Head, Notary, fresh_leaf, hash_of

HASH_BYTES: Final = 32
TILE_LEVEL: Final = 8
LANES_A_MONTH: Final = 100
# A process that answers reads keeps a lane, a write takes one until its commit: these are more than
# there are processes, and than there are writes that end at the same moment.
_LANES_OF_A_KIND: Final = 16
# Any number serves as long as nobody else uses it: the bytes "qlog".
_LOCK: Final = int.from_bytes(b"qlog", "big")

_TAKE: Final = "select * from trust.take_lane($1, $2, $3)"
_LOOK: Final = """
    select l.lane, l.suite, h.size, h.frontier from (
        select lane, suite from trust.lane
        where lane >= $1 and lane < $2 and suite = $3 and not is_for_writes and not has_ended
        order by random() limit 1
    ) l, lateral (
        select size, frontier from trust.head where lane = l.lane order by size desc limit 1
    ) h
"""
# That two writers go on from the same head, the key of the entries keeps from being.
_GROW: Final = """
    with grown as (
        insert into trust.head (lane, size, at, root, frontier, signature)
        values ($1::int, $2, $3, $4, $5, $6)
    )
"""
_COLUMNS: Final = (
    ("n", "bigint"),
    ("salt", "bytea"),
    ("mark", "bigint"),
    ("at", "bigint"),
    ("request", "text"),
    ("actor", "text"),
    ("role", "text"),
    ("purpose", "text"),
    ("action", "text"),
    ("type", "text"),
    ("outcome", "text"),
    ("hits", "int"),
    ("records", "text"),
    ("patients", "text"),
    ("rules", "text"),
    ("client", "text"),
    ("note", "text"),
    ("digest", "bytea"),
    ("part_lane", "int"),
    ("part_n", "bigint"),
)
_NAMES: Final = ", ".join(name for name, _ in _COLUMNS)
# Arrays of different lengths cannot be one argument, so they go as text.
_SELECTED: Final = ", ".join(
    f"t.{name}::bigint[]" if name in {"records", "patients"} else f"t.{name}"
    for name, _ in _COLUMNS
)
_FIRST_OF_ROWS: Final = 7
_MANY: Final = ", ".join(
    f"${place}::{kind}[]" for place, (_, kind) in enumerate(_COLUMNS, _FIRST_OF_ROWS)
)
_ONE: Final = ", ".join(
    f"${place}::{kind}" for place, (_, kind) in enumerate(_COLUMNS, _FIRST_OF_ROWS)
)
_INSERT: Final = f"""
    insert into trust.access (lane, {_NAMES}) select $1::int, {_SELECTED} from
"""
_INSERT_MANY: Final = f"{_INSERT} unnest({_MANY}) as t ({_NAMES})"
# At a quiet hour each entry is a batch, and arrays of one cost as much again as the row.
_INSERT_ONE: Final = f"{_INSERT} (values ({_ONE})) as t ({_NAMES})"
_TILES: Final = """
    , kept as (
        insert into trust.subtree (lane, level, place, root)
        select $1::int, t.* from unnest($27::smallint[], $28::bigint[], $29::bytea[]) as t
    )
"""


class Lane(msgspec.Struct, frozen=True):
    """A lane as somebody last saw it."""

    number: int
    suite: str
    size: int
    frontier: tuple[bytes, ...]

    @property
    def tree(self) -> Tree:
        """Its tree, to be grown."""
        return Tree(hash_of(self.suite), self.size, self.frontier)


def month_of(moment: int) -> int:
    """The first lane number of the month of a moment (microseconds), by the calendar of UTC."""
    when = datetime.fromtimestamp(moment // 1_000_000, UTC)
    return (when.year * 100 + when.month) * LANES_A_MONTH


def read_lane(row: Any) -> Lane:
    """A lane out of a row."""
    return Lane(row["lane"], row["suite"], row["size"], read_frontier(row["frontier"]))


def read_frontier(packed: bytes) -> tuple[bytes, ...]:
    """A frontier as a row has it."""
    return tuple(packed[at : at + HASH_BYTES] for at in range(0, len(packed), HASH_BYTES))


async def look(database: Database, notary: Notary, now: int) -> Lane | None:
    """Any lane for reads of this month; it may be another's too. None when there is none yet."""
    row = await database.fetchrow(_LOOK, *_of(notary, now))
    return None if row is None else read_lane(row)


async def take(connection: Connection, notary: Notary, now: int) -> Lane:
    """A lane for writes of this month, locked until the caller's transaction ends: one that nobody
    has, or, when all are taken, the next that becomes free.
    """
    row = await connection.fetchrow(_TAKE, *_of(notary, now))
    if row is None:
        await ensure_lanes(connection, notary, now)
        row = await connection.fetchrow(_TAKE, *_of(notary, now))
    return read_lane(row)


def _of(notary: Notary, now: int) -> tuple[int, int, str]:
    first = month_of(now)
    return first, first + LANES_A_MONTH, notary.suite.name


async def append(
    database: Database, notary: Notary, lane: Lane, accesses: Sequence[Access], now: int
) -> tuple[Lane, Head]:
    """Write entries at the end of a lane, all or none; gives the lane as it then is and its head.

    Raises UniqueViolationError when the lane is not any more what it was taken for.
    """
    tree = lane.tree
    hash_, mark, number = hash_of(lane.suite), notary.mark, lane.number
    salts = os.urandom(SALT_BYTES * len(accesses))
    rows, tiles = [], []
    for position, access in enumerate(accesses):
        salt = salts[position * SALT_BYTES : (position + 1) * SALT_BYTES]
        leaf = fresh_leaf(hash_, access, salt)
        place = Place(number, tree.size)
        for level, of_level, root in tree.append(leaf):
            if level >= TILE_LEVEL:
                tiles.append((level, of_level, root))
        rows.append(_row(access, place, salt, mark(hash_, place, leaf)))
    head = Head(number, tree.size, tree.root(), now)
    if notary.is_slow:
        # A module is asked beside the requests, which go on meanwhile.
        head = await asyncio.to_thread(notary.sign_head, head)
    else:
        head = notary.sign_head(head)
    arguments = [
        number,
        head.size,
        head.at,
        head.root,
        b"".join(tree.frontier),
        head.signature,
    ]
    arguments += rows[0] if len(rows) == 1 else map(list, zip(*rows, strict=True))
    insert = _INSERT_ONE if len(rows) == 1 else _INSERT_MANY
    statement = f"{_GROW}{_TILES if tiles else ''}{insert}"
    if tiles:
        arguments += map(list, zip(*tiles, strict=True))
    await database.execute(statement, *arguments)
    return Lane(number, lane.suite, tree.size, tree.frontier), head


def _row(access: Access, place: Place, salt: bytes, mark: int) -> tuple[object, ...]:
    of = access.part_of
    return (
        place.number,
        salt,
        mark,
        access.at,
        access.request,
        access.actor,
        access.role,
        access.purpose,
        access.action,
        access.type,
        access.outcome,
        access.hits,
        _array(access.records),
        _array(access.patients),
        access.rules,
        access.client,
        access.note,
        access.digest,
        None if of is None else of.lane,
        None if of is None else of.number,
    )


def _array(keys: Sequence[int]) -> str | None:
    """An array as PostgreSQL writes it."""
    return f"{{{','.join(map(str, keys))}}}" if keys else None


async def ensure_lanes(connection: Connection, notary: Notary, now: int) -> None:
    """Make the lanes of the month of `now` for this node's suite, and the table that its entries go
    to; nothing when they are there.
    """
    first = month_of(now)
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)
        await connection.execute("select trust.make_access_month($1, $2)", first, LANES_A_MONTH)
        taken = await connection.fetch(
            "select lane, suite, has_ended from trust.lane where lane >= $1 and lane < $2",
            first,
            first + LANES_A_MONTH,
        )
        if notary.suite.name not in {row["suite"] for row in taken if not row["has_ended"]}:
            begin = max((row["lane"] + 1 for row in taken), default=first)
            await _make_lanes(connection, notary, range(begin, first + LANES_A_MONTH), now)


async def _make_lanes(connection: Connection, notary: Notary, free: range, now: int) -> None:
    """Make lanes of both kinds; fewer where a month has few numbers left, since its lanes ended by
    restores or are of another suite.
    """
    of_a_kind = min(_LANES_OF_A_KIND, max(1, len(free) // 4))
    if len(free) < of_a_kind * 2:
        raise Unusable(
            "The access log has no lanes left for this month: the database was put back too often."
            " Wait for the next month, or go on with the database as it was before."
        )
    root = Tree(hash_of(notary.suite.name)).root()
    numbers = free[: of_a_kind * 2]
    heads = [notary.sign_head(Head(number, 0, root, now)) for number in numbers]
    await connection.executemany(
        "insert into trust.lane (lane, is_for_writes, suite) values ($1, $2, $3)",
        [(number, number >= free[of_a_kind], notary.suite.name) for number in numbers],
    )
    await connection.executemany(
        "insert into trust.head (lane, size, at, root, frontier, signature)"
        " values ($1, 0, $2, $3, '', $4)",
        [(one.lane, now, root, one.signature) for one in heads],
    )
