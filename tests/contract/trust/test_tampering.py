"""Whoever changes the access log by hand in the database is found, and what they did is named."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from stores import START, open_context, open_notary

from quanmin.base.database import Connection
from quanmin.trust.log import Access, AccessLog, Witness
from quanmin.trust.log.entry import Place
from quanmin.trust.log.keeping import check_in
from quanmin.trust.log.notary import Notary
from quanmin.trust.log.verifying import Verified, _Verifier, verify

DAY = 86_400 * 1_000_000


def entry(number: int, **more: Any) -> Access:
    usual = {
        "at": START + number,
        "request": f"r-{number}",
        "actor": "doctor",
        "role": "institution",
        "purpose": "TREAT",
        "action": "read",
        "type": "Observation",
        "outcome": "ok",
        "hits": 1,
        "records": (number * 2 + 1,),
        "patients": (7,),
    }
    return Access(**{**usual, **more})


class House:
    """A log with a witness, and what by hand is done to it."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], folder: Path, suite: str) -> None:
        self.pool = pool
        self.notary: Notary = open_notary(open_context(folder), suite)
        self.witness = Witness(folder / "witness")
        self.now = START
        self.log = AccessLog(pool, self.notary, self.witness, self.tick)

    def tick(self) -> int:
        self.now += 1
        return self.now

    async def fill(self, number: int, begin: int = 0) -> list[Place]:
        """Entries of as many requests, one after the other."""
        return [await self.log.note([entry(begin + each)]) for each in range(number)]

    async def check_in(self) -> None:
        async with self.pool.acquire() as connection:
            await check_in(connection, self.notary, self.witness, self.tick())

    async def verify(self, *, without_witness: bool = False) -> Verified:
        witness = None if without_witness else Witness(self.witness.folder)
        async with self.pool.acquire() as connection:
            return await verify(connection, self.notary, witness)

    async def found(self, **how: bool) -> set[tuple[str, str]]:
        return {(one.wrong, one.entry) for one in (await self.verify(**how)).findings}

    async def by_hand(self, statement: str, *arguments: Any) -> None:
        await self.pool.execute(statement, *arguments)


@pytest.fixture(params=["international", "gm"])
def house(
    pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path, request: pytest.FixtureRequest
) -> House:
    return House(pool, tmp_path, request.param)


async def test_a_log_that_nobody_touched_is_whole(house: House) -> None:
    await house.fill(5)
    await house.check_in()
    await house.fill(5, 5)
    verified = await house.verify()
    assert (verified.findings, verified.entries, verified.checkpoints) == ((), 10, 1)
    assert verified.heads >= 10
    assert await house.found(without_witness=True) == set()


COLUMNS = {
    "at": "at + 1",
    "request": "'other'",
    "actor": "'other'",
    "role": "'operator'",
    "purpose": "'BTG'",
    "action": "'vread'",
    "type": "'Patient'",
    "outcome": "'not-found'",
    "hits": "hits + 1",
    "records": "records || 4::bigint",
    "patients": "'{8}'",
    "rules": "'permit-all'",
    "client": "'app'",
    "note": "'adopted'",
    "digest": "'\\x00'",
    "part_n": "0",
    "part_lane": "lane",
    "salt": "sha256(salt)",
    "mark": "mark + 1",
}


@pytest.mark.parametrize("column", COLUMNS)
async def test_a_change_in_any_column_is_found_and_named(
    pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path, column: str
) -> None:
    house = House(pool, tmp_path, "international")
    place = (await house.fill(4))[1]
    if column.startswith("part"):  # one alone says nothing
        await house.by_hand(
            "update trust.access set part_n = 0, part_lane = lane where n = $1", place.number
        )
    else:
        await house.by_hand(
            f"update trust.access set {column} = {COLUMNS[column]} where n = $1", place.number
        )
    for without_witness in (False, True):
        assert ("changed", str(place)) in await house.found(without_witness=without_witness)


async def test_no_column_is_left_out(pool: asyncpg.Pool[asyncpg.Record]) -> None:
    rows = await pool.fetch(
        "select attname from pg_attribute where attrelid = 'trust.access'::regclass and attnum > 0"
    )
    assert {row["attname"] for row in rows} == {*COLUMNS, "lane", "n"}


async def test_a_removed_entry_is_found_and_named(house: House) -> None:
    places = await house.fill(6)
    await house.by_hand("delete from trust.access where n in (2, 3)")
    assert await house.found() == {("removed", f"{places[2]} to {places[3]}")}


async def test_an_entry_removed_and_the_others_moved_up_is_found(house: House) -> None:
    places = await house.fill(6)
    await house.by_hand("delete from trust.access where n = 2")
    for number in (3, 4, 5):
        await house.by_hand("update trust.access set n = n - 1 where n = $1", number)
    found = await house.found()
    assert ("removed", str(places[2])) in found
    assert ("moved", str(places[2])) in found  # what was written as the fourth stands there
    assert not {one for one in found if one[0] in {"changed", "inserted"}}


async def test_an_inserted_entry_is_found_and_named(house: House) -> None:
    place = (await house.fill(3))[2]
    await house.by_hand(_COPY.format(n="3"))
    assert await house.found() == {("inserted", f"{place.lane}-3")}


async def test_an_entry_inserted_between_others_is_found_and_named(house: House) -> None:
    places = await house.fill(4)
    for number in (3, 2):
        await house.by_hand("update trust.access set n = n + 1 where n = $1", number)
    await house.by_hand(_COPY.format(n="2"))
    found = await house.found()
    assert ("inserted", str(places[2])) in found
    assert not {one for one in found if one[0] in {"changed", "removed"}}


async def test_entries_in_another_order_are_found_and_named(house: House) -> None:
    places = await house.fill(5)
    await house.by_hand("update trust.access set n = 99 where n = 1")
    await house.by_hand("update trust.access set n = 1 where n = 3")
    await house.by_hand("update trust.access set n = 3 where n = 99")
    assert await house.found() == {("moved", str(places[1])), ("moved", str(places[3]))}


async def test_an_entry_moved_to_another_lane_is_found(house: House) -> None:
    place = (await house.fill(3))[1]
    other = place.lane + 1
    await house.by_hand("update trust.access set lane = $1, n = 0 where n = 1", other)
    assert await house.found() == {("removed", str(place)), ("inserted", f"{other}-0")}


async def test_the_newest_entries_gone_and_the_lane_put_back_is_found(house: House) -> None:
    await house.fill(3)
    async with house.pool.acquire() as connection:
        places = await house.fill(2, 3)
        await _put_lane_back(connection)
    found = await house.found()
    assert found == {
        ("lane", f"lane {places[0].lane}"),
        ("removed", f"{places[0]} to {places[1]}"),
    }


async def test_what_follows_on_a_lane_that_was_put_back_does_not_hide_it(house: House) -> None:
    await house.fill(3)
    async with house.pool.acquire() as connection:
        place = (await house.fill(2, 3))[0]
        await _put_lane_back(connection)
    house.log = AccessLog(house.pool, house.notary, house.witness, house.tick)
    await house.by_hand("delete from trust.lane where lane <> $1", place.lane)  # so that it is this
    await house.fill(6, 10)
    assert "head" in {wrong for wrong, entry in await house.found() if f"{place.lane}-" in entry}


async def test_a_whole_lane_removed_is_found(house: House) -> None:
    place = (await house.fill(3))[0]
    await house.by_hand("delete from trust.lane where lane = $1", place.lane)
    assert ("lane", f"lane {place.lane}") in await house.found()
    assert ("lane", f"lane {place.lane}") in await house.found(without_witness=True)
    await house.by_hand("delete from trust.access")
    assert {("lane", f"lane {place.lane}"), ("removed", f"{place.lane}-0 to {place.lane}-2")} == (
        await house.found()
    )


@pytest.mark.parametrize(
    "change", ["size = size + 1", "root = sha256(root)", "signature = sha256('')", "at = at + 1"]
)
async def test_a_changed_head_is_found(house: House, change: str) -> None:
    place = (await house.fill(3))[0]
    await house.by_hand(f"update trust.head set {change} where lane = $1 and size = 3", place.lane)
    found = await house.found()
    assert ("lane", f"lane {place.lane}") in found


async def test_a_changed_frontier_is_found(house: House) -> None:
    place = (await house.fill(3))[0]
    await house.by_hand("update trust.head set frontier = '' where lane = $1", place.lane)
    assert await house.found() == {("lane", f"lane {place.lane}")}


async def test_a_changed_subtree_is_found(house: House) -> None:
    place = await house.log.note([entry(number) for number in range(600)])
    assert await house.found() == set()
    await house.by_hand(
        "update trust.subtree set root = sha256(root) where level = 8 and place = 1"
    )
    assert await house.found() == {("subtree", f"{place.lane}-256 to {place.lane}-511")}


async def test_checkpoints_removed_or_changed_are_found(house: House) -> None:
    for number in range(3):
        await house.fill(1, number)
        await house.check_in()
    await house.by_hand("delete from trust.checkpoint where number = 3")
    assert {wrong for wrong, _ in await house.found()} == {"checkpoint"}
    await house.by_hand(
        "insert into trust.checkpoint select 3, content from trust.checkpoint limit 1"
    )
    assert {wrong for wrong, _ in await house.found()} == {"checkpoint"}


async def test_when_the_witness_lost_its_newest_lines_nothing_is_said_to_be_wrong(
    house: House,
) -> None:
    """A node that is killed between the commit and the line has done nothing wrong."""
    await house.fill(3)
    for path in house.witness.folder.glob("heads-*"):
        path.write_bytes(path.read_bytes()[:-60])
    await house.fill(1, 3)
    assert await house.found() == set()
    for path in house.witness.folder.glob("heads-*"):
        path.unlink()
    assert await house.found() == set()


async def test_a_forged_line_of_the_witness_is_found(house: House) -> None:
    await house.fill(3)
    (path,) = house.witness.folder.glob("heads-*")
    path.write_bytes(path.read_bytes().replace(b",3,", b",4,"))
    assert {wrong for wrong, _ in await house.found()} == {"head"}


async def test_writers_at_once_and_verifying_meanwhile_find_nothing_wrong(house: House) -> None:
    logs = [AccessLog(house.pool, house.notary, house.witness) for _ in range(3)]
    numbers = itertools.count()

    async def read() -> None:
        for _ in range(15):
            await random.choice(logs).note([entry(next(numbers))])  # noqa: S311 - no secret

    async def write() -> None:
        for _ in range(8):
            async with house.pool.acquire() as connection:
                committing = connection.transaction()
                await committing.start()
                head = await logs[0].note_in(connection, [entry(next(numbers)) for _ in range(3)])
                if random.random() < 0.3:  # noqa: S311 - no secret
                    await committing.rollback()
                else:
                    await committing.commit()
                    logs[0].witness_all([head])

    async def look() -> None:
        for _ in range(5):
            assert (await house.verify()).findings == ()
            await house.check_in()

    await asyncio.gather(*(read() for _ in range(6)), *(write() for _ in range(3)), look())
    verified = await house.verify()
    assert verified.findings == ()
    assert verified.entries >= 6 * 15


_COPY = (
    "insert into trust.access (lane, n, at, mark, hits, salt, request, actor, role, purpose,"
    " action, type, outcome, records, patients) select lane, {n}, at, mark + 1, hits, salt,"
    " request, 'forged', role, purpose, action, type, outcome, records, patients"
    " from trust.access where n = 0"
)


async def _put_lane_back(connection: Connection | Any) -> None:
    """To its third entry, whose head was signed then."""
    await connection.execute("delete from trust.head where size > 3")
    await connection.execute("delete from trust.access where n >= 3")


# ---- by chance -----------------------------------------------------------------------------------

_BY_CHANCE: dict[str, Callable[[random.Random, int], str]] = {
    "changed": lambda dice, n: f"update trust.access set {_changed_column(dice)} where n = {n}",
    "removed": lambda _, n: f"delete from trust.access where n = {n}",
    "inserted": lambda dice, _: _COPY.format(n=str(dice.randrange(40, 90))),
    "moved": lambda dice, n: (
        f"update trust.access set n = {dice.choice([-1, 1]) * 100} + n where n = {n}"
    ),
    "lane": lambda dice, _: (
        "update trust.head set "
        + dice.choice(["size = size - 1", "root = sha256(root)", "frontier = frontier || root"])
        + " where size > 0"
    ),
    "witnessed": lambda _, __: "delete from trust.checkpoint",
}


def _changed_column(dice: random.Random) -> str:
    column = dice.choice([name for name in COLUMNS if not name.startswith("part")])
    return f"{column} = {COLUMNS[column]}"


async def test_random_tampering_is_found_every_time(
    pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path
) -> None:
    """One to three acts of chance, each time in a transaction that is taken back afterwards."""
    house = House(pool, tmp_path, "international")
    await house.fill(25)
    await house.check_in()
    await house.fill(15, 25)
    assert await house.found() == set()
    heads, outside = [*house.witness.heads()], [*house.witness.checkpoints()]
    for seed in range(150):
        dice = random.Random(seed)  # noqa: S311 - the same each time
        acts = dice.choices([*_BY_CHANCE], k=dice.randrange(1, 4))
        async with house.pool.acquire() as connection:
            undone = connection.transaction()
            await undone.start()
            done = [
                await connection.execute(_BY_CHANCE[act](dice, dice.randrange(40))) for act in acts
            ]
            verified = await _Verifier(connection, house.notary, lambda _: None).run(heads, outside)
            await undone.rollback()
        if any(not one.endswith(" 0") for one in done):
            assert verified.findings, f"seed {seed}: {acts}"
    assert await house.found() == set()
