"""A database that is brought back from an older state is brought up to its ledger."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from databases import administer
from stores import (
    create,
    delete,
    observation,
    of,
    open_context,
    open_notary,
    patient,
    reopen_context,
    update,
)
from workers import at_work

from quanmin.base.cluster import Cluster
from quanmin.base.jobs import JobLimits, Worker, find
from quanmin.base.postgres import open_pool
from quanmin.base.problems import Gone, Unusable
from quanmin.people import PersonIndex
from quanmin.records import rotating
from quanmin.records.context import Context
from quanmin.records.ledger import Ledger, ledger_file
from quanmin.records.model import Stored
from quanmin.records.operation import Operation, Sender
from quanmin.records.rotating import put_rotating, rotate_kind
from quanmin.records.store import Store
from quanmin.records.visibility import Everything
from quanmin.trust import AccessLog
from quanmin.trust.replaying import Replayed, Replaying

NUMBER = "11010519491231002X"
NOW = 1_790_000_000_000_000


class Node:
    """A node's store over one database, with the ledger in its folder."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], folder: Path, context: Context) -> None:
        self.pool = pool
        self.file = ledger_file(folder / "ledger", context_keys(context))
        self.ledger = Ledger(pool, self.file)
        self.people = PersonIndex(context.keying)
        self.moment = NOW
        self.store = Store(pool, context, self.now, [self.people], ledger=self.ledger)

    def now(self) -> int:
        self.moment += 1_000_000
        return self.moment

    async def write(self, *operations: Operation) -> list[Stored]:
        number = await self.store.sender("clinic")
        outcomes = await self.store.write(Sender(number, Everything(), Everything()), operations)
        return [outcome.stored for outcome in outcomes if outcome is not None]

    async def erase(self, *patients: int) -> None:
        async def choose(_: object) -> list[int]:
            return list(patients)

        async def note(*_: object) -> None:
            return

        await self.store.erase(choose, note)

    async def replay(self) -> Replayed:
        self.moment += 3_600_000_000
        log = AccessLog(self.pool, open_notary(self.store.context))
        return await Replaying(self.store, self.people, self.ledger, log, self.now).replay()

    async def read(self, type_: str, id_: str) -> dict[str, Any]:
        stored = await self.store.glance(Everything(), type_, id_)
        return dict(json.loads(stored.body or b"null"))

    async def kinds(self) -> list[str]:
        rows = await self.pool.fetch("select kind from records.ledger order by at")
        return [row["kind"] for row in rows]


def context_keys(context: Context) -> Any:
    return context.codec._keys


def consent(patient_: str, *, status: str = "active", **more: Any) -> dict[str, Any]:
    return {
        "status": status,
        "scope": {"coding": [{"code": "patient-privacy"}]},
        "category": [{"coding": [{"code": "59284-0"}]}],
        "patient": {"reference": f"Patient/{patient_}"},
        "policy": [{"uri": "https://example.org/policy"}],
        **more,
    }


def body(resource: dict[str, Any]) -> bytes:
    return json.dumps({"resourceType": "Consent", **resource}).encode()


@pytest.fixture
async def node(pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path) -> Node:
    return Node(pool, tmp_path, open_context(tmp_path))


Restore = Callable[[], Any]


@pytest.fixture
async def restored(
    node: Node, postgres: Cluster, database: str, tmp_path: Path
) -> AsyncIterator[tuple[Restore, Restore]]:
    """`back_up` keeps the database as it is; `restore` opens what was kept, with the ledger of
    now.
    """
    name = database.partition("@/")[2].partition("?")[0]
    opened: list[asyncpg.Pool[asyncpg.Record]] = []

    async def back_up() -> None:
        # A database is copied while nobody is connected to it.
        await administer(postgres, f"alter database {name} allow_connections false")
        await administer(
            postgres,
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
            f" where datname = '{name}'",
        )
        await administer(postgres, f"create database {name}_old template {name}")
        for each in (name, f"{name}_old"):
            await administer(postgres, f"alter database {each} allow_connections true")
        await asyncio.sleep(0.1)

    async def restore() -> Node:
        pool = await open_pool(postgres.dsn(f"{name}_old"), name="restored", connections_max=4)
        opened.append(pool)
        return Node(pool, tmp_path, reopen_context(tmp_path, node.store.context))

    yield back_up, restore
    for pool in opened:
        await pool.close()
    await administer(postgres, f"drop database if exists {name}_old with (force)")


async def test_a_restore_brings_back_nobody_who_was_erased_since(
    node: Node, restored: tuple[Restore, Restore]
) -> None:
    back_up, restore = restored
    person, other = await node.write(
        create("Patient", patient(NUMBER)), create("Patient", patient(name="司马清风"))
    )
    [result] = await node.write(create("Observation", observation(f"Patient/{person.id}")))
    await back_up()
    await node.erase(person.rid)
    old = await restore()
    assert (await old.read("Patient", person.id))["id"] == person.id
    assert await old.replay() == Replayed(erasures=1)
    for stored in (person, result):
        with pytest.raises(Gone, match="erased"):
            await old.read(stored.type, stored.id)
    assert (await old.read("Patient", other.id))["id"] == other.id
    for table in ("number", "link"):
        assert await old.pool.fetchval(f"select count(*) from people.{table}") == 0
    row = await old.pool.fetchrow("select * from trust.access")
    assert row is not None
    assert (row["actor"], row["action"], row["hits"]) == ("node", "erase", 2)
    assert await old.replay() == Replayed()
    assert await old.kinds() == ["erasure"]


async def test_the_id_of_one_erased_after_the_backup_is_given_to_nobody_else(
    node: Node, restored: tuple[Restore, Restore]
) -> None:
    back_up, restore = restored
    await back_up()
    [person] = await node.write(create("Patient", patient(NUMBER)))
    await node.erase(person.rid)
    old = await restore()
    assert await old.replay() == Replayed(erasures=1)
    for _ in range(3):
        [made] = await old.write(create("Patient", patient(name="司马清风")))
        assert made.rid >> 18 > person.rid >> 18


async def test_a_restore_undoes_no_withdrawal_refusal_or_deletion_of_a_consent(
    node: Node, restored: tuple[Restore, Restore]
) -> None:
    back_up, restore = restored
    [person] = await node.write(create("Patient", patient(NUMBER)))
    given, chosen, dropped, kept = await node.write(
        create("Consent", body(consent(person.id))),
        of("Consent", "of-their-choosing", **consent(person.id)),
        create("Consent", body(consent(person.id))),
        create("Consent", body(consent(person.id))),
    )
    await back_up()
    for one in (given, chosen):
        withdrawn = {"id": one.id, **consent(person.id, status="inactive")}
        await node.write(update("Consent", one.id, body(withdrawn)))
    await node.write(delete("Consent", dropped.id))
    deny: dict[str, Any] = {"provision": {"provision": [{"type": "deny"}]}}
    [refused] = await node.write(create("Consent", body(consent(person.id, **deny))))
    [later] = await node.write(create("Consent", body(consent(person.id))))
    old = await restore()
    assert await old.replay() == Replayed(consents=4)
    for one in (given, chosen):
        assert (await old.read("Consent", one.id))["status"] == "inactive"
    with pytest.raises(Gone):
        await old.read("Consent", dropped.id)
    again = await old.read("Consent", refused.id)
    assert again["provision"] == deny["provision"]
    assert (await old.read("Consent", kept.id))["status"] == "active"
    # What only permits is not needed for anybody's protection; it is lost with what came after.
    assert await old.pool.fetchval("select 1 from records.record where rid = $1", later.rid) is None
    assert await old.replay() == Replayed()
    sender = await old.pool.fetchval(
        "select s.code from records.record r join records.sender s using (sender) where r.rid = $1",
        refused.rid,
    )
    assert sender == "clinic"


async def test_of_several_versions_the_last_one_holds(
    node: Node, restored: tuple[Restore, Restore]
) -> None:
    back_up, restore = restored
    [person] = await node.write(create("Patient", patient(NUMBER)))
    [given] = await node.write(create("Consent", body(consent(person.id))))
    await back_up()
    for status in ("inactive", "active"):
        again = {"id": given.id, **consent(person.id, status=status)}
        await node.write(update("Consent", given.id, body(again)))
    old = await restore()
    assert await old.replay() == Replayed(consents=1, idle=1)
    assert (await old.read("Consent", given.id))["status"] == "active"


async def test_consents_of_the_erased_stay_away(
    node: Node, restored: tuple[Restore, Restore]
) -> None:
    back_up, restore = restored
    [person] = await node.write(create("Patient", patient(NUMBER)))
    await back_up()
    await node.write(create("Consent", body(consent(person.id, status="inactive"))))
    await node.erase(person.rid)
    old = await restore()
    assert await old.replay() == Replayed(erasures=1, idle=1)
    assert (
        await old.pool.fetchval("select count(*) from records.record where body is not null") == 0
    )


async def test_a_consent_that_was_moved_before_an_erasure_is_brought_back(
    node: Node, restored: tuple[Restore, Restore]
) -> None:
    back_up, restore = restored
    people = [await node.write(create("Patient", patient(NUMBER))) for _ in range(2)]
    gone, left = (one for (one,) in people)
    [given] = await node.write(create("Consent", body(consent(gone.id, status="rejected"))))
    await back_up()
    moved = {"id": given.id, **consent(left.id, status="rejected")}
    await node.write(update("Consent", given.id, body(moved)))
    await node.erase(gone.rid)
    old = await restore()
    assert await old.replay() == Replayed(erasures=1, consents=1)
    brought = await old.read("Consent", given.id)
    assert brought["patient"]["reference"] == f"Patient/{left.id}"


async def test_a_consent_from_after_its_persons_data_key_was_replaced_is_brought_back(
    node: Node, restored: tuple[Restore, Restore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotating, "_LINGER_SECONDS", 0.01)
    back_up, restore = restored
    [person] = await node.write(create("Patient", patient(NUMBER)))
    [given] = await node.write(create("Consent", body(consent(person.id))))
    [other] = await node.write(create("Consent", body(consent(person.id))))
    await back_up()
    before = {"id": other.id, **consent(person.id, status="inactive")}
    await node.write(update("Consent", other.id, body(before)))
    for _ in range(2):
        await rotate(node, person.rid)
    withdrawn = {"id": given.id, **consent(person.id, status="inactive")}
    await node.write(update("Consent", given.id, body(withdrawn)))
    # What the ledger keeps is sealed again as well, with the way to its key: so it can be written
    # to a new file.
    heads = await node.pool.fetch("select get_byte(body, 0) >> 4 as head from records.ledger")
    assert [row["head"] for row in heads] == [2, 2]
    node.file.path.unlink()
    await node.replay()
    old = await restore()
    assert await old.replay() == Replayed(consents=2)
    for one in (given, other):
        assert (await old.read("Consent", one.id))["status"] == "inactive"


async def rotate(node: Node, patient_: int) -> None:
    async with node.pool.acquire() as connection:
        job = await put_rotating(connection, "node", [patient_])
    limits = JobLimits(poll_seconds=0.05)
    async with at_work(Worker(node.pool, [rotate_kind(node.store.context)], limits)):
        for _ in range(200):
            if (await find(node.pool, job)).state == "done":
                return
            await asyncio.sleep(0.02)
    raise AssertionError((await find(node.pool, job)).reasons)


async def test_what_the_file_has_lost_is_written_to_it_again(node: Node) -> None:
    first, second = await node.write(
        create("Patient", patient(NUMBER)), create("Patient", patient(name="司马清风"))
    )
    await node.erase(first.rid)
    early = node.file.content()
    await node.erase(second.rid)
    assert len(node.file.read()) == 2
    node.file.path.write_bytes(early)
    assert await node.replay() == Replayed()
    assert len(node.file.read()) == 2
    node.file.path.unlink()
    assert await node.replay() == Replayed()
    assert len(node.file.read()) == 2


async def test_a_ledger_that_was_changed_lets_nobody_be_served(
    node: Node, restored: tuple[Restore, Restore]
) -> None:
    back_up, restore = restored
    [person] = await node.write(create("Patient", patient(NUMBER)))
    await back_up()
    await node.erase(person.rid)
    content = bytearray(node.file.content())
    content[10] ^= 1
    node.file.path.write_bytes(content)
    with pytest.raises(Unusable, match="entry 1"):
        await (await restore()).replay()


async def test_the_file_tells_nobody_of_whom_it_is(node: Node) -> None:
    [person] = await node.write(create("Patient", patient(NUMBER)))
    await node.write(create("Consent", body(consent(person.id, status="inactive"))))
    await node.erase(person.rid)
    content = node.file.content()
    assert NUMBER.encode() not in content
    assert person.rid.to_bytes(8, "big") not in content
    assert [row["place"] for row in await node.pool.fetch("select place from records.ledger")]


async def test_a_ledger_that_cannot_be_written_is_caught_up_with(node: Node) -> None:
    [person] = await node.write(create("Patient", patient(NUMBER)))
    node.file.path.mkdir()
    await node.erase(person.rid)
    assert await node.pool.fetchval("select count(*) from records.ledger where place is null") == 1
    node.file.path.rmdir()
    await node.ledger.carry()
    assert len(node.file.read()) == 1
