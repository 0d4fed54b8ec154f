"""A database that was put back says so in its log, signed: no removal passes for a restore."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
from stores import START, create, delete, of, open_context, open_notary, open_store, patient

from quanmin.records.operation import Sender
from quanmin.records.reading import HistoryQuery, history
from quanmin.records.visibility import Everything
from quanmin.trust.log import Access, AccessLog, Witness
from quanmin.trust.log.keeping import check_in
from quanmin.trust.log.notary import Restored
from quanmin.trust.log.restoring import Restoring, count_restored, note_restored
from quanmin.trust.log.verifying import Verified, verify

DAY = 86_400 * 1_000_000
KEPT = ("lane", "head", "access", "subtree", "checkpoint", "checked", "restored")


def entry(number: int) -> Access:
    return Access(
        at=START + number,
        request=f"r-{number}",
        actor="doctor",
        role="institution",
        purpose="TREAT",
        action="read",
        type="Observation",
        outcome="ok",
        hits=1,
        records=(number * 2 + 1,),
        patients=(7,),
    )


class House:
    """A log with a witness outside, and a backup of its tables."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], folder: Path) -> None:
        self.pool = pool
        self.notary = open_notary(open_context(folder))
        self.witness = Witness(folder / "witness")
        self.now = START
        self.written = 0

    def tick(self) -> int:
        self.now += 1_000
        return self.now

    async def fill(self, number: int) -> None:
        # A process of its own each time: after a restore all begin anew.
        log = AccessLog(self.pool, self.notary, self.witness, self.tick)
        for _ in range(number):
            self.written += 1
            await log.note([entry(self.written)])

    async def check_in(self) -> None:
        async with self.pool.acquire() as connection:
            await check_in(connection, self.notary, self.witness, self.tick())

    async def back_up(self) -> None:
        for table in KEPT:
            await self.pool.execute(f"create table kept_{table} as table trust.{table}")

    async def put_back(self) -> None:
        for table in KEPT:
            await self.pool.execute(f"delete from trust.{table}")
            await self.pool.execute(f"insert into trust.{table} table kept_{table}")

    async def restore(self) -> Restored | None:
        await self.put_back()
        return await self.say(Restoring(self.tick(), "operator", START))

    async def say(self, restoring: Restoring) -> Restored | None:
        async with self.pool.acquire() as connection:
            return await note_restored(
                connection, self.notary, self.witness, restoring, self.tick()
            )

    async def verify(self) -> Verified:
        async with self.pool.acquire() as connection:
            return await verify(connection, self.notary, Witness(self.witness.folder))

    async def wrong(self) -> set[str]:
        return {one.wrong for one in (await self.verify()).findings}


@pytest.fixture
async def house(pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path) -> House:
    """A log of which five entries were backed up and five were not."""
    made = House(pool, tmp_path)
    await made.fill(5)
    await made.check_in()
    await made.back_up()
    await made.fill(3)
    await made.check_in()
    await made.fill(2)
    return made


async def test_a_restore_is_told_and_is_no_finding(house: House) -> None:
    restored = await house.restore()
    assert restored is not None
    assert (restored.number, restored.by, restored.to) == (1, "operator", START)
    for _ in range(2):
        verified = await house.verify()
        assert verified.findings == ()
        put_back, lost = verified.remarks
        assert put_back.startswith("the database was put back to 2026-09-21T")
        assert put_back.endswith("by operator")
        assert lost == "5 entries that were written before are lost by it"
        await house.fill(4)
        await house.check_in()
    note = await house.pool.fetchval("select note from trust.access where action = 'restore'")
    assert "by operator" in note


async def test_it_is_said_once_and_several_restores_are_told_apart(house: House) -> None:
    await house.put_back()
    restoring = Restoring(house.tick(), "operator", None)
    assert await house.say(restoring) is not None
    assert await house.say(restoring) is None
    await house.fill(2)
    await house.check_in()
    # Back to the very same backup, which knows nothing of the first restore.
    again = await house.restore()
    assert again is not None
    assert again.number == 2
    await house.fill(2)
    verified = await house.verify()
    assert verified.findings == ()
    assert verified.remarks[0].startswith("the database was put back to the end of the archive")
    assert len(verified.remarks) == 3
    for _ in range(2):
        await house.restore()
    assert await house.wrong() == set()
    assert await count_restored(house.pool) == 4


async def test_no_entry_has_a_number_that_another_had(house: House) -> None:
    before = {(row["lane"], row["n"]) for row in await house.pool.fetch("table trust.access")}
    await house.restore()
    kept = {(row["lane"], row["n"]) for row in await house.pool.fetch("table trust.access")}
    await house.fill(6)
    after = {(row["lane"], row["n"]) for row in await house.pool.fetch("table trust.access")}
    assert not (after - kept) & before


async def test_a_removal_is_no_restore(house: House) -> None:
    await house.put_back()
    assert {"lane", "removed", "checkpoint"} <= await house.wrong()


async def test_a_forged_restore_is_found_and_explains_nothing(house: House) -> None:
    await house.put_back()
    rows = await house.pool.fetch("select lane, size, root from trust.head")
    lanes = tuple((row["lane"], row["size"], row["root"]) for row in rows)
    forged = Restored(1, house.tick(), "operator", None, lanes, b"\x01" * 70)
    await house.pool.execute(
        "insert into trust.restored values (1, $1)", msgspec.msgpack.encode(forged)
    )
    assert {"restore", "lane", "removed"} <= await house.wrong()


async def test_a_restore_explains_only_what_was_before_it(house: House) -> None:
    await house.restore()
    await house.fill(3)
    await house.check_in()
    # Somebody puts the log back to what it was right after the restore, whose statement stays.
    await house.pool.execute(
        "delete from trust.head where size > 0 and lane ="
        " (select lane from trust.access where request = 'r-11')"
    )
    await house.pool.execute("delete from trust.access where request like 'r-1_'")
    assert {"lane", "removed"} <= await house.wrong()


async def test_entries_from_before_the_backup_cannot_go_with_it(house: House) -> None:
    await house.restore()
    await house.pool.execute("delete from trust.access where request = 'r-5'")
    assert await house.wrong() == {"removed"}


@pytest.mark.parametrize(
    "statement",
    [
        "delete from trust.restored",
        "update trust.restored set content = overlay(content placing '\\x00' from 20)",
        "update trust.restored set content = '\\xc1'",
    ],
)
async def test_a_restore_that_was_taken_away_or_changed_is_found(
    house: House, statement: str
) -> None:
    await house.restore()
    await house.pool.execute(statement)
    assert "restore" in await house.wrong()


async def test_no_id_and_no_version_from_before_a_restore_is_given_again(
    pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path
) -> None:
    house = House(pool, tmp_path)
    await house.fill(1)
    context = open_context(tmp_path)
    store = open_store(pool, context)
    sender = Sender(await store.sender("clinic"), Everything(), Everything())

    async def write(*operations: Any) -> list[Any]:
        found = await store.write(sender, operations)
        return [one.stored for one in found if one is not None]

    made, chosen = await write(create("Patient", patient()), of("Patient", "chosen", active=True))
    block = await pool.fetchval("select last_value from records.number")
    accounts = await pool.fetchval("select last_value from trust.glass_glass_seq")
    await house.say(Restoring(house.tick(), "operator", None))
    context.restores = await count_restored(pool)
    store = open_store(pool, context)
    [another] = await write(create("Patient", patient()))
    assert another.rid >> 18 > (block + (1 << 20)) * 1000
    assert another.version == 1
    assert await pool.fetchval("select last_value from trust.glass_glass_seq") > accounts + 1000
    [changed] = await write(of("Patient", "chosen", active=False))
    assert (chosen.version, changed.version) == (1, 1_000_001)
    [again] = await write(of("Patient", "chosen", active=True))
    assert again.version == 1_000_002
    [first] = await write(of("Patient", "lost", active=True))
    assert first.version == 1_000_001
    await write(delete("Patient", made.id))
    versions = await pool.fetch("select version from records.record where rid = $1", made.rid)
    assert [row["version"] for row in versions] == [1_000_001]
    # What was current at a moment is found over the gap as well.
    async with store.reading() as connection:
        query = HistoryQuery(
            type="Patient", id="chosen", at=(changed.updated, changed.updated + 1000)
        )
        found = await history(connection, context, Everything(), query)
    assert [one.version for one in found.versions] == [1_000_001]
