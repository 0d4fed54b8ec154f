"""What is written down when a database is put back to an earlier moment, so that whoever verifies
the log tells it from a removal: who did it, when and to which moment, signed.

The lanes that were put back end, and others begin beside them: so no entry gets a number that
another had. The checkpoints that the witness has are brought back, so that their chain goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from quanmin.base.database import Connection
from quanmin.base.merkle import Tree
from quanmin.trust.log.entry import Access
from quanmin.trust.log.lanes import append, ensure_lanes, take
from quanmin.trust.log.notary import Head, Notary, Restored
from quanmin.trust.log.witness import Witness, when

RESTORE: Final = "restore"

_LAST: Final = "select content from trust.restored order by number desc limit 1"
_HEADS: Final = """
    select distinct on (lane) lane, size, root from trust.head order by lane, size desc
"""
_LOST: Final = """
    insert into trust.lane (lane, is_for_writes, suite, has_ended)
    select n, false, $2, true from unnest($1::int[]) as n on conflict do nothing returning lane
"""
_EMPTY: Final = """
    insert into trust.head (lane, size, at, root, frontier, signature)
    values ($1, 0, $2, $3, '', $4) on conflict do nothing
"""
# Blocks of a thousand ids: at ten thousand new records a second those of three weeks.
_BLOCKS_PASSED: Final = 1 << 24
_NUMBERS_PASSED: Final = 1_000_000
_COUNTERS: Final = """
    select format('%I.%I', schemaname, sequencename) as name from pg_sequences
    where schemaname not like 'pg\\_%' order by 1
"""


class Restoring(msgspec.Struct, frozen=True):
    """Who put the database back, when (microseconds), and to which moment; None: to the end of what
    was kept.
    """

    at: int
    by: str
    to: int | None = None


async def note_restored(
    connection: Connection, notary: Notary, witness: Witness, restoring: Restoring, now: int
) -> Restored | None:
    """Write it down, once, in one transaction, before anything else is written; None when that was
    done before. No number that was given after that moment is given again.
    """
    async with connection.transaction():
        content = await connection.fetchval(_LAST)
        last = None if content is None else msgspec.msgpack.decode(content, type=Restored)
        if last is not None and last.at == restoring.at:
            return None
        outside = [*witness.restored()]
        number = max([0 if last is None else last.number, *(one.number for one in outside)]) + 1
        await _bring_checkpoints_back(connection, witness)
        await _end_lanes(connection, notary, witness, now)
        lanes = tuple(tuple(row) for row in await connection.fetch(_HEADS))
        restored = notary.sign_restored(
            Restored(number, restoring.at, restoring.by, restoring.to, lanes)
        )
        for one in (*outside, restored):
            await connection.execute(
                "insert into trust.restored values ($1, $2) on conflict do nothing",
                one.number,
                msgspec.msgpack.encode(one),
            )
        await ensure_lanes(connection, notary, now)
        await _pass_numbers(connection)
        lane = await take(connection, notary, now)
        _, head = await append(connection, notary, lane, [_entry(restored, now)], now)
    witness.keep_restored(restored)
    witness.note(head)
    return restored


async def count_restored(database: Any) -> int:
    """How often this database has been put back."""
    return int(await database.fetchval("select coalesce(max(number), 0) from trust.restored"))


async def _bring_checkpoints_back(connection: Connection, witness: Witness) -> None:
    for one in witness.checkpoints():
        await connection.execute(
            "insert into trust.checkpoint (number, content) values ($1, $2) on conflict do nothing",
            one.number,
            msgspec.msgpack.encode(one),
        )


async def _end_lanes(connection: Connection, notary: Notary, witness: Witness, now: int) -> None:
    await connection.execute("update trust.lane set has_ended = true")
    # Of lanes that were begun after that moment nothing is left but their numbers.
    told = {head.lane for head in witness.heads()}
    told |= {lane for one in witness.checkpoints() for lane, _, _ in one.lanes}
    root = Tree(notary.hash).root()
    for row in await connection.fetch(_LOST, sorted(told), notary.suite.name):
        head = notary.sign_head(Head(row["lane"], 0, root, now))
        await connection.execute(_EMPTY, head.lane, now, root, head.signature)


async def _pass_numbers(connection: Connection) -> None:
    for row in await connection.fetch(_COUNTERS):
        name = row["name"]
        passed = _BLOCKS_PASSED if name == "records.number" else _NUMBERS_PASSED
        await connection.execute(f"select setval('{name}', last_value + {passed}) from {name}")


def _entry(restored: Restored, now: int) -> Access:
    return Access(
        at=now,
        request="",
        actor="node",
        role="system",
        purpose="HSYSADMIN",
        action=RESTORE,
        type=None,
        outcome="ok",
        hits=0,
        note=told(restored),
    )


def told(restored: Restored) -> str:
    """A restore in a few words, for the log and for whoever verifies it."""
    until = "the end of the archive" if restored.to is None else f"{_text(restored.to)}"
    return f"put back to {until} on {_text(restored.at)} by {restored.by}"


def _text(moment: int) -> str:
    return f"{when(moment):%Y-%m-%dT%H:%M:%SZ}"


def explained(statements: Sequence[Restored], lane: int, size: int, at: int) -> bool:
    """Whether a size that was signed of a lane, at a moment, is larger than what a restore after
    that moment put the lane back to.
    """
    return any(
        at < one.at and size > next((s for number, s, _ in one.lanes if number == lane), size)
        for one in statements
    )
