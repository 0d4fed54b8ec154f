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
from quanmin.trust.log.claims import Witnessed
from quanmin.trust.log.entry import Place
from quanmin.trust.log.keeping import check_in, drop_months
from quanmin.trust.log.lanes import append, read_lane
from quanmin.trust.log.limits import AccessLogLimits
from quanmin.trust.log.notary import Notary
from quanmin.trust.log.redacting import digest_of, note_redactions, redact
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


TABLES = {
    "suite": ("lane", "update trust.lane set suite = 'gm' where lane = {lane}"),
    "no suite": ("lane", "update trust.lane set suite = 'none' where lane = {lane}"),
    "kind": ("lane", "update trust.lane set is_for_writes = not is_for_writes where lane = {lane}"),
    "kinds": ("lane", "update trust.lane set is_for_writes = not is_for_writes"),
    "ended": ("lane", "update trust.lane set has_ended = true where lane = {lane}"),
    "another lane": ("lane", "insert into trust.lane values (20250101, true, 'international')"),
    "empty lane": (
        "lane",
        """with gone as (delete from trust.head where lane = {lane} + 1)
        delete from trust.lane where lane = {lane} + 1""",
    ),
    "older frontier": ("lane", "update trust.head set frontier = '' where size = 7"),
    "older head": ("lane", "delete from trust.head where size = 7"),
    "all checkpoints": ("checkpoint", "update trust.checkpoint set content = '\\x00'"),
    "first checkpoint": ("checkpoint", "delete from trust.checkpoint where number = 1"),
    "a checkpoint": ("checkpoint", "delete from trust.checkpoint where number = 2"),
    "its number": ("checkpoint", "update trust.checkpoint set number = 9 where number = 2"),
    "more noted": ("checkpoint", "update trust.checked set size = 1000000"),
    "less noted": ("checkpoint", "update trust.checked set size = 1"),
    "none noted": ("checkpoint", "delete from trust.checked"),
    "another noted": ("checkpoint", "insert into trust.checked values ({lane} + 1, 7)"),
    "no subtrees": ("subtree", "delete from trust.subtree"),
    "subtree": ("subtree", "insert into trust.subtree values ({lane} + 1, 9, 0, '\\x00')"),
    "stray subtree": ("subtree", "insert into trust.subtree values (20250101, 8, 0, '\\x00')"),
    "part alone": ("changed", "update trust.access set part_n = 1 where n = 1"),
    "nothing": ("changed", "update trust.access set records = '{{}}' where records is null"),
    "far away": ("removed", "update trust.access set n = 9000000000000000000 where n = 1"),
    "all entries": ("removed", "delete from trust.access"),
    "a month": ("removed", "drop table trust.access_202609"),
    "a month aside": (
        "removed",
        "alter table trust.access detach partition trust.access_202609",
    ),
    "dropped": ("removed", "insert into trust.dropped values (202609, {lane}, 1)"),
    "redaction": ("redacted", "insert into trust.redaction values ({lane}, 1, 1, {lane}, 2, '')"),
    "restore": ("restore", "insert into trust.restored values (1, '\\x00')"),
    "everything": (
        "checkpoint",
        """truncate trust.access, trust.head, trust.lane, trust.subtree, trust.checkpoint,
        trust.checked""",
    ),
}


async def test_whatever_is_done_to_any_table_is_named(
    pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path
) -> None:
    house = House(pool, tmp_path, "international")
    for number in range(3):
        await house.log.note([entry(number), entry(10 + number, records=(), patients=())])
        await house.check_in()
    (place,) = await house.fill(1, 20)
    await house.log.note([entry(number) for number in range(30, 330)])
    assert await house.found() == set()
    heads = Witnessed(house.witness.heads())
    outside = [*house.witness.checkpoints()]
    # Without the witness, heads that checkpoints have made dispensable may go, and so may all.
    needs_witness = {"older head", "everything"}
    for name, (wrong, statement) in TABLES.items():
        for has_witness in (True, False):
            async with house.pool.acquire() as connection:
                undone = connection.transaction()
                await undone.start()
                await connection.execute(statement.format(lane=place.lane))
                verifier = _Verifier(connection, house.notary, lambda _: None)
                given = (heads, outside) if has_witness else (Witnessed(), [])
                found = (await verifier.run(*given)).findings
                await undone.rollback()
            if has_witness or name not in needs_witness:
                assert wrong in {one.wrong for one in found}, (name, has_witness, found)
    assert await house.found() == set()


async def test_a_tree_put_back_between_two_checkpoints_is_found_after_the_second(
    house: House,
) -> None:
    await house.fill(3)
    await house.check_in()
    place = (await house.fill(2, 3))[0]
    async with house.pool.acquire() as connection:
        await _put_lane_back(connection)
        row = await connection.fetchrow(
            "select * from trust.head join trust.lane using (lane) where lane = $1", place.lane
        )
        others = [entry(number) for number in range(10, 16)]
        _, head = await append(connection, house.notary, read_lane(row), others, house.tick())
        house.witness.note(head)
    await house.check_in()
    assert ("head", str(place)) in await house.found()


async def test_each_hour_a_checkpoint_tells_of_all_lanes_whatever_is_noted_of_them(
    house: House,
) -> None:
    place = (await house.fill(3))[0]
    await house.check_in()
    await house.fill(2, 3)
    await house.by_hand("update trust.checked set size = 5 where lane = $1", place.lane)
    house.now += DAY // 24
    async with house.pool.acquire() as connection, connection.transaction():
        await house.log.note_in(connection, [[entry(9)]])  # in another lane
    await house.check_in()
    told = [*house.witness.checkpoints()][-1].lanes
    assert (place.lane, 5) in {(lane, size) for lane, size, _ in told}


async def test_heads_that_come_while_a_checkpoint_is_made_stay_until_the_next(
    house: House,
) -> None:
    await house.fill(2)
    async with house.pool.acquire() as other:
        holding = other.transaction()
        await holding.start()
        await other.execute("lock table trust.checked in exclusive mode")
        checking = asyncio.create_task(house.check_in())
        waits = "select true from pg_locks where not granted"
        while not await other.fetchval(waits):  # noqa: ASYNC110 - a lock of the database
            await asyncio.sleep(0.01)
        await house.fill(3, 2)
        await holding.rollback()
    await checking
    assert await house.found() == set()
    assert await house.pool.fetchval("select count(*) from trust.head where size > 0") == 4


async def test_what_the_witness_missed_comes_to_it_and_what_it_lost_is_found(house: House) -> None:
    for number in range(4):
        await house.fill(1, number)
        await house.check_in()
    (path,) = house.witness.folder.glob("checkpoints-*")
    lines = [line for line in path.read_bytes().split(b"\n") if line]
    path.write_bytes(b"\n".join([*lines[:2], b""]))  # as after a crash
    house.witness = Witness(house.witness.folder)
    assert await house.found() == set()
    await house.fill(1, 9)
    await house.check_in()
    assert [one.number for one in Witness(house.witness.folder).checkpoints()] == [1, 2, 3, 4, 5]
    path.write_bytes(b"\n".join([lines[0], *lines[2:], b""]))
    assert await house.found() == {("witness", "")}


async def test_a_dropped_month_takes_no_entries_and_no_erasure_loses_its_proof(
    house: House,
) -> None:
    """An erasure that redacted entries of two months still shows it when the first is gone."""
    await house.fill(3)
    house.now += 40 * DAY
    place = (await house.fill(3, 50))[0]
    await _erase(house, 7)
    for days in (180, 60):
        house.now += days * DAY
        async with house.pool.acquire() as connection:
            assert await drop_months(connection, house.notary, AccessLogLimits(), house.now)
        assert await house.found() == set()
    assert not await house.pool.fetchval("select count(*) from trust.redaction")
    month = place.lane // 100
    await house.by_hand("select trust.make_access_month($1, 100)", month * 100)
    await house.by_hand(
        "insert into trust.access (lane, n, at, mark, hits, salt, request, actor, role, purpose,"
        " action, outcome) values ($1, 1, 1, 1, 1, '', '', 'forged', 'operator', 'TREAT', 'read',"
        " 'ok')",
        place.lane,
    )
    assert ("inserted", f"{place.lane}-1") in await house.found()


async def _erase(house: House, patient: int) -> None:
    async with house.pool.acquire() as connection, connection.transaction():
        made = await redact(connection, [patient], [])
        digest = digest_of(house.notary.hash, made)
        told = entry(0, at=house.now, action="erase", records=(), patients=(), digest=digest)
        head = await house.log.note_in(connection, [[told]])
        await note_redactions(connection, made, Place(head.lane, head.size - 1))
    house.log.witness_all([head])


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
                head = await logs[0].note_in(connection, [[entry(next(numbers)) for _ in range(3)]])
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
            verified = await _Verifier(connection, house.notary, lambda _: None).run(
                Witnessed(heads), outside
            )
            await undone.rollback()
        if any(not one.endswith(" 0") for one in done):
            assert verified.findings, f"seed {seed}: {acts}"
    assert await house.found() == set()
