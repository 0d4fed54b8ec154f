"""What the store promises of writes: versions, conditions, all or nothing."""

from __future__ import annotations

import asyncio
import json

import asyncpg
import msgspec
import pytest
from stores import create, delete, observation, patient, update

from quanmin.base.problems import (
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    PreconditionFailed,
    StorageFull,
)
from quanmin.records.model import Outcome, Stored
from quanmin.records.operation import Operation, Sender
from quanmin.records.reading import HistoryQuery, history, read, read_version
from quanmin.records.rid import bucket_of
from quanmin.records.store import Store
from quanmin.records.visibility import Everything, OfSender


async def write(store: Store, sender: Sender, *operations: Operation) -> list[Outcome]:
    outcomes = await store.write(sender, operations)
    return [outcome for outcome in outcomes if outcome is not None]


async def fetch(store: Store, type_: str, id_: str) -> Stored:
    async with store.reading() as connection:
        return await read(connection, store.context, Everything(), type_, id_)


async def test_a_created_record_is_read_as_it_was_sent(store: Store, sender: Sender) -> None:
    [made] = await write(store, sender, create("Observation", observation(value="5.4000")))
    found = await fetch(store, "Observation", made.stored.id)
    assert found.body is not None
    assert b'"value":5.4000' in found.body
    assert json.loads(found.body)["id"] == made.stored.id
    assert json.loads(found.body)["meta"]["versionId"] == "1"
    assert (found.version, found.method, made.created) == (1, "POST", True)


async def test_an_update_makes_a_version_and_keeps_the_old_one(
    store: Store, sender: Sender
) -> None:
    [made] = await write(store, sender, create("Observation", observation(value="1")))
    id_ = made.stored.id
    body = observation(value="2", id=id_)
    [changed] = await write(store, sender, update("Observation", id_, body))
    assert changed.stored.version == 2
    async with store.reading() as connection:
        old = await read_version(
            connection, store.context, Everything(), "Observation", id_, version=1
        )
        versions = await history(
            connection, store.context, Everything(), HistoryQuery(type="Observation", id=id_)
        )
    assert old.body is not None
    assert b'"value":1,' in old.body
    assert [version.version for version in versions.versions] == [2, 1]


async def test_an_update_that_changes_nothing_makes_no_version(
    store: Store, sender: Sender
) -> None:
    [made] = await write(store, sender, update("Observation", "mine", observation(id="mine")))
    [again] = await write(store, sender, update("Observation", "mine", observation(id="mine")))
    assert made.created
    assert again.unchanged
    assert again.stored.version == 1


async def test_a_deleted_record_is_gone_and_an_update_brings_it_back(
    store: Store, sender: Sender
) -> None:
    await write(store, sender, update("Observation", "x", observation(id="x")))
    [gone] = await write(store, sender, delete("Observation", "x"))
    assert (gone.stored.version, gone.stored.body, gone.stored.id) == (2, None, "x")
    with pytest.raises(Gone):
        await fetch(store, "Observation", "x")
    [back] = await write(store, sender, update("Observation", "x", observation(id="x")))
    assert (back.stored.version, back.created) == (3, True)
    assert (await fetch(store, "Observation", "x")).version == 3


async def test_deleting_what_is_not_there_does_nothing(store: Store, sender: Sender) -> None:
    assert await store.write(sender, [delete("Observation", "never")]) == [None]


@pytest.mark.parametrize("version", [1, 3])
async def test_if_match_refuses_another_version(store: Store, sender: Sender, version: int) -> None:
    await write(store, sender, update("Observation", "x", observation(id="x", value="1")))
    await write(store, sender, update("Observation", "x", observation(id="x", value="2")))
    operation = update("Observation", "x", observation(id="x", value="3"), if_match=version)
    with pytest.raises(PreconditionFailed):
        await store.write(sender, [operation])
    assert (await fetch(store, "Observation", "x")).version == 2


async def test_a_client_cannot_take_an_id_of_the_nodes_own_form(
    store: Store, sender: Sender
) -> None:
    [made] = await write(store, sender, create("Observation", observation()))
    with pytest.raises(Invalid, match="another type"):
        await store.write(sender, [update("Patient", made.stored.id, patient(id=made.stored.id))])


async def test_another_institution_cannot_change_the_record(store: Store, sender: Sender) -> None:
    await write(store, sender, update("Observation", "x", observation(id="x")))
    number = await store.sender("hospital-b")
    own = OfSender(frozenset({number}))
    other, reader = Sender(number, own, own), Sender(number, Everything(), own)
    changed = update("Observation", "x", observation(id="x", value="9"))
    with pytest.raises(Forbidden, match="not free"):
        await store.write(other, [changed])
    assert await store.write(other, [delete("Observation", "x")]) == [None]
    with pytest.raises(Forbidden, match="not yours"):
        await store.write(reader, [changed])
    with pytest.raises(Forbidden, match="not yours"):
        await store.write(reader, [delete("Observation", "x")])
    assert (await fetch(store, "Observation", "x")).version == 1


async def test_invalid_content_is_refused_with_every_fault_and_nothing_is_kept(
    store: Store, sender: Sender
) -> None:
    bad = b'{"resourceType":"Observation","status":"done","colour":"red"}'
    with pytest.raises(Invalid) as refusal:
        await store.write(sender, [create("Observation", bad)])
    places = {issue.expression for issue in refusal.value.issues}
    assert places == {"Observation", "Observation.status", "Observation.code"}
    async with store.reading() as connection:
        assert await connection.fetchval("select count(*) from records.record") == 0


async def test_all_of_several_operations_or_none(store: Store, sender: Sender) -> None:
    good = msgspec.structs.replace(create("Observation", observation()), position=0)
    bad = msgspec.structs.replace(
        create("Observation", b'{"resourceType":"Observation"}'), position=1
    )
    with pytest.raises(Invalid) as refusal:
        await store.write(sender, [good, bad])
    assert all(
        issue.expression.startswith("Bundle.entry[1].resource") for issue in refusal.value.issues
    )
    async with store.reading() as connection:
        assert await connection.fetchval("select count(*) from records.record") == 0


async def test_a_full_disk_refuses_writes_and_reads_go_on(
    store: Store, sender: Sender, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    [made] = await write(store, sender, create("Observation", observation()))
    full = Store(pool, store.context, lambda: 0, may_write=lambda: False)
    with pytest.raises(StorageFull):
        await full.write(sender, [create("Observation", observation())])
    assert (await fetch(full, "Observation", made.stored.id)).version == 1


async def test_the_body_in_the_database_is_unreadable(
    store: Store, sender: Sender, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    await write(store, sender, create("Patient", patient(name="欧阳明月")))
    sealed = await pool.fetchval("select body from records.record")
    assert "欧阳".encode() not in sealed
    assert b"Patient" not in sealed


async def test_32_writers_leave_a_history_without_gaps(store: Store, sender: Sender) -> None:
    await write(store, sender, update("Observation", "x", observation(id="x", value="0")))

    async def change(value: int) -> None:
        await store.write(
            sender, [update("Observation", "x", observation(id="x", value=str(value)))]
        )

    await asyncio.gather(*(change(value) for value in range(1, 33)))
    async with store.reading() as connection:
        batch = await history(
            connection,
            store.context,
            Everything(),
            HistoryQuery(type="Observation", id="x", count=100),
        )
    assert [version.version for version in batch.versions] == list(range(33, 0, -1))


async def test_of_racing_updates_with_one_version_only_one_wins(
    store: Store, sender: Sender
) -> None:
    await write(store, sender, update("Observation", "x", observation(id="x", value="0")))

    async def change(value: int) -> bool:
        body = observation(id="x", value=str(value))
        try:
            await store.write(sender, [update("Observation", "x", body, if_match=1)])
        except PreconditionFailed:
            return False
        return True

    won = await asyncio.gather(*(change(value) for value in range(1, 17)))
    assert sum(won) == 1


async def test_a_record_nobody_wrote_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound):
        await fetch(store, "Observation", "nothing")
    with pytest.raises(NotFound):
        await fetch(store, "Nonsense", "nothing")


class _Slow:
    """A projection that takes as long as it is made to."""

    types = frozenset({"CodeSystem"})
    is_early = True

    def __init__(self) -> None:
        self.begun, self.may_end = asyncio.Event(), asyncio.Event()

    async def apply(self, _connection: object, _changes: object) -> None:
        self.begun.set()
        await self.may_end.wait()


async def test_nobody_waits_for_a_projection_that_is_early(
    pool: asyncpg.Pool[asyncpg.Record], store: Store, sender: Sender
) -> None:
    context, slow = store.context, _Slow()
    # Whose first record makes their key, for which others of theirs wait.
    await write(
        store, sender, create("Organization", b'{"resourceType":"Organization","name":"A"}')
    )
    slowly = Store(pool, context, lambda: 1_700_000_000_000_000, [slow])
    large = {"resourceType": "CodeSystem", "status": "active", "content": "complete", "id": "large"}
    bucket = bucket_of(context.rid_of("CodeSystem", "large") or 0)
    beside = next(
        id_
        for id_ in (f"beside-{number}" for number in range(100_000))
        if bucket_of(context.rid_of("Organization", id_) or 0) == bucket
    )
    body = json.dumps(large).encode()
    writing = asyncio.create_task(write(slowly, sender, update("CodeSystem", "large", body)))
    async with asyncio.timeout(10):
        await asyncio.wait(
            [writing, asyncio.create_task(slow.begun.wait())], return_when=asyncio.FIRST_COMPLETED
        )
    other = json.dumps({"resourceType": "Organization", "id": beside, "name": "Ward"}).encode()
    try:
        async with asyncio.timeout(5):
            [made] = await write(store, sender, update("Organization", beside, other))
    finally:
        slow.may_end.set()
        [late] = await writing
    assert late.created
    assert made.created
