"""Whoever is erased is gone in every process: nothing opens, nothing finds them, nothing is
stored.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection
from pathlib import Path

import asyncpg
import pytest
from shelf import query_of
from stores import create, delete, observation, open_store, patient, reopen_context, to, update

from quanmin.base.database import Connection
from quanmin.base.problems import Gone
from quanmin.records import feed
from quanmin.records.codec import PATIENT, SENDER, Codec, Holder
from quanmin.records.model import Outcome
from quanmin.records.operation import Change, Operation, Sender
from quanmin.records.reading import HistoryQuery, history, read_version
from quanmin.records.search import search
from quanmin.records.store import Store
from quanmin.records.visibility import Everything


@pytest.fixture
def other(pool: asyncpg.Pool[asyncpg.Record], store: Store, tmp_path: Path) -> Store:
    """The store of another worker of the same node, with keys of its own at hand."""
    return open_store(pool, reopen_context(tmp_path, store.context))


async def write(store: Store, sender: Sender, *operations: Operation) -> list[Outcome]:
    outcomes = await store.write(sender, operations)
    return [outcome for outcome in outcomes if outcome is not None]


async def erase(store: Store, *patients: int) -> list[Change]:
    told: list[Change] = []

    async def choose(_: Connection) -> Collection[int]:
        return patients

    async def keep(_: Connection, changes: list[Change]) -> None:
        told.extend(changes)

    await store.erase(choose, keep)
    return told


async def somebody(store: Store, sender: Sender) -> tuple[Outcome, Outcome]:
    """A Patient and a result of theirs, each with a version that was replaced."""
    [person] = await write(store, sender, create("Patient", patient(birthDate="1990-01-01")))
    id_ = person.stored.id
    await write(store, sender, update("Patient", id_, patient(id=id_, birthDate="1990-02-02")))
    [result] = await write(store, sender, create("Observation", observation(f"Patient/{id_}")))
    id_ = result.stored.id
    body = observation(f"Patient/{person.stored.id}", id=id_, value="9")
    await write(store, sender, update("Observation", id_, body))
    return person, result


async def find(store: Store, type_: str, *pairs: tuple[str, str]) -> tuple[list[str], int | None]:
    async with store.reading() as connection:
        hits = await search(connection, store.context, query_of(type_, *pairs), Everything())
    return [hit.id for hit in hits.matches], hits.total


async def versions(store: Store, **asked: str) -> list[tuple[str, int]]:
    async with store.reading() as connection:
        query = HistoryQuery(**asked)  # type: ignore[arg-type]  # names of its fields
        batch = await history(connection, store.context, Everything(), query)
    return [(version.id, version.version) for version in batch.versions]


async def test_nothing_of_an_erased_person_is_read_in_any_worker(
    store: Store, other: Store, sender: Sender
) -> None:
    person, result = await somebody(store, sender)
    for one in (person, result):
        assert (await other.glance(Everything(), one.stored.type, one.stored.id)).version == 2
    await erase(store, person.stored.rid)
    for worker in (store, other):
        for stored in (person.stored, result.stored):
            with pytest.raises(Gone, match="erased"):
                await worker.glance(Everything(), stored.type, stored.id)
            with pytest.raises(Gone, match="erased"):
                await versions(worker, type=stored.type, id=stored.id)
            async with worker.reading() as connection:
                with pytest.raises(Gone, match="erased"):
                    await read_version(
                        connection, worker.context, Everything(), stored.type, stored.id, version=1
                    )
        assert await versions(worker) == []


async def test_what_a_provenance_tells_of_an_erased_person_goes_with_them(
    pool: asyncpg.Pool[asyncpg.Record], store: Store, other: Store, sender: Sender
) -> None:
    person, result = await somebody(store, sender)
    [else_] = await write(store, sender, create("Observation", observation("Patient/else")))

    def about(*targets: Outcome, **more: str) -> bytes:
        named = [to(f"Observation/{each.stored.id}/_history/1") for each in targets]
        agent = [{"who": {"identifier": {"value": "doctor"}}}]
        body = {"target": named, "recorded": "2026-06-01T12:00:00Z", "agent": agent}
        return json.dumps({"resourceType": "Provenance", **body, **more}).encode()

    [signed] = await write(store, sender, create("Provenance", about(result)))
    id_ = signed.stored.id
    await write(store, sender, update("Provenance", id_, about(result, id=id_)))
    [both] = await write(store, sender, create("Provenance", about(result, else_)))
    [others] = await write(store, sender, create("Provenance", about(else_)))
    changes = await erase(store, person.stored.rid)
    assert {change.rid for change in changes} == {
        outcome.stored.rid for outcome in (person, result, signed)
    }
    for worker in (store, other):
        with pytest.raises(Gone, match="erased"):
            await worker.glance(Everything(), "Provenance", id_)
        for left in (both, others):
            assert (await worker.glance(Everything(), "Provenance", left.stored.id)).body
        target = ("target", f"Observation/{result.stored.id}")
        assert (await find(worker, "Provenance", target))[0] == [both.stored.id]
    kept = "select count(*) from records.history where rid = $1"
    assert await pool.fetchval(kept, signed.stored.rid) == 0
    assert await erase(store, person.stored.rid) == []


async def test_pages_and_counts_agree_that_an_erased_person_is_not_there(
    store: Store, other: Store, sender: Sender
) -> None:
    person, _ = await somebody(store, sender)
    [else_] = await write(store, sender, create("Observation", observation("Patient/else")))
    assert len((await find(other, "Observation"))[0]) == 2
    await erase(store, person.stored.rid)
    questions = [
        (),
        (("code", "http://loinc.org|2339-0"),),
        (("code", "2339-0"),),
        (("date", "2026-03-01"),),
        (("value-quantity", "gt1"),),
        (("_sort", "code"),),
        (("_lastUpdated", "gt2000"),),
    ]
    for worker in (store, other):
        for pairs in questions:
            accurate = await find(worker, "Observation", *pairs, ("_total", "accurate"))
            assert accurate == ([else_.stored.id], 1), pairs
            counted = await find(worker, "Observation", *pairs, ("_summary", "count"))
            assert counted == ([], 1), pairs
        assert await find(worker, "Patient", ("_total", "accurate")) == ([], 0)
        assert await find(worker, "Patient", ("name", "欧阳明月"), ("_summary", "count")) == ([], 0)


async def test_nothing_is_left_in_the_database_that_finds_or_opens_an_erased_record(
    store: Store, sender: Sender, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    person, _ = await somebody(store, sender)
    await erase(store, person.stored.rid)
    for table in ("keyed", "dated", "ranged", "history", "granted"):
        assert await pool.fetchval(f"select count(*) from records.{table}") == 0, table
    left = await pool.fetch(
        "select rid from records.record where coalesce(tokens, refs, words, labels) is not null"
        " or body is not null or low is not null or high is not null or present <> 0"
    )
    assert left == []
    wrapped = await pool.fetch("select wrapped from records.data_key where kind = 0")
    assert [row["wrapped"] for row in wrapped] == [b""]


async def test_nothing_is_stored_about_an_erased_person_by_any_worker(
    store: Store, other: Store, sender: Sender, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    person, result = await somebody(store, sender)
    subject = f"Patient/{person.stored.id}"
    # Both workers have the key at hand.
    await write(other, sender, create("Observation", observation(subject)))
    await erase(store, person.stored.rid)
    rows = await pool.fetchval("select count(*) from records.record")
    id_ = result.stored.id
    criteria = query_of("Observation", ("subject", subject))
    for worker in (store, other):
        for operation in (
            create("Observation", observation(subject)),
            create("Observation", observation(subject), criteria=criteria),
            update("Observation", id_, observation(subject, id=id_)),
            update("Observation", id_, observation(id=id_)),
            update("Patient", person.stored.id, patient(id=person.stored.id)),
            delete("Observation", id_),
        ):
            with pytest.raises(Gone, match="erased"):
                await write(worker, sender, operation)
    assert await pool.fetchval("select count(*) from records.record") == rows
    assert await pool.fetchval("select count(*) from records.history") == 0


async def test_a_transaction_is_told_which_of_its_entries_are_about_an_erased_person(
    store: Store, sender: Sender
) -> None:
    person, _ = await somebody(store, sender)
    await erase(store, person.stored.rid)
    about = observation(f"Patient/{person.stored.id}")
    with pytest.raises(Gone) as refused:
        await write(
            store,
            sender,
            create("Observation", observation(), position=0),
            create("Observation", about, position=1),
        )
    assert [issue.expression for issue in refused.value.issues] == ["Bundle.entry[1]"]


async def test_a_record_moved_to_an_erased_person_is_refused(
    store: Store, other: Store, sender: Sender
) -> None:
    """Its bucket is another, so its own clock tells nothing of the erasure."""
    person, _ = await somebody(store, sender)
    subject = f"Patient/{person.stored.id}"
    await write(other, sender, create("Observation", observation(subject)))
    [loose] = await write(other, sender, create("Observation", observation("Patient/else")))
    await erase(store, person.stored.rid)
    id_ = loose.stored.id
    with pytest.raises(Gone, match="erased"):
        await write(other, sender, update("Observation", id_, observation(subject, id=id_)))


async def test_a_key_of_the_same_bucket_goes_on_working(
    store: Store, other: Store, sender: Sender, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    person, _ = await somebody(store, sender)
    subject = f"Patient/{person.stored.id}"
    await write(other, sender, create("Observation", observation(subject)))
    await pool.execute("update records.clock set erasures = erasures + 1")
    made = await write(other, sender, create("Observation", observation(subject)))
    assert (await store.glance(Everything(), "Observation", made[0].stored.id)).version == 1


async def test_writers_and_an_erasure_at_once_leave_nothing_that_does_not_open(
    store: Store, other: Store, sender: Sender, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    person, _ = await somebody(store, sender)
    subject = f"Patient/{person.stored.id}"

    async def write_on(worker: Store) -> int:
        number = 0
        try:
            while True:
                await write(worker, sender, create("Observation", observation(subject)))
                number += 1
        except Gone:
            return number

    writers = [asyncio.create_task(write_on(worker)) for worker in (store, other) for _ in range(3)]
    await asyncio.sleep(0.2)
    await erase(store, person.stored.rid)
    assert sum(await asyncio.gather(*writers)) > 0
    assert await pool.fetchval("select count(*) from records.record where body is not null") == 0
    assert await find(other, "Observation", ("_total", "accurate")) == ([], 0)


async def test_an_erasure_is_heard_as_deletions(
    store: Store, sender: Sender, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    person, result = await somebody(store, sender)
    async with pool.acquire() as connection:
        await feed.enrol(connection, "mirror", from_start=False)
    changes = await erase(store, person.stored.rid)
    expected = {person.stored.rid: 3, result.stored.rid: 3}
    assert {change.rid: change.version for change in changes} == expected
    assert all(change.resource is None for change in changes)
    async with pool.acquire() as connection, connection.transaction():
        entries = await feed.take(connection, "mirror", 100)
    assert {entry.rid: entry.version for entry in entries} == expected
    assert all(entry.is_deletion for entry in entries)


async def test_what_was_about_somebody_else_stays(
    store: Store, other: Store, sender: Sender, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    """A result filed with the wrong person first, and one that left the erased person."""
    person, result = await somebody(store, sender)
    [friend] = await write(store, sender, create("Patient", patient(name="司马清风")))
    theirs, its = f"Patient/{friend.stored.id}", result.stored.id
    await write(store, sender, update("Observation", its, observation(theirs, id=its)))
    [mended] = await write(store, sender, create("Observation", observation(theirs)))
    id_, subject = mended.stored.id, f"Patient/{person.stored.id}"
    await write(store, sender, update("Observation", id_, observation(subject, id=id_)))
    await erase(store, person.stored.rid)
    for worker in (store, other):
        assert await find(worker, "Observation", ("_total", "accurate")) == ([its], 1)
        assert set(await versions(worker, type="Observation")) == {(its, 3), (id_, 1)}
    assert await pool.fetchval("select count(*) from records.history") == 1


async def test_erasing_again_and_without_any_record_changes_nothing_more(
    store: Store, sender: Sender
) -> None:
    person, _ = await somebody(store, sender)
    assert len(await erase(store, person.stored.rid)) == 2
    assert await erase(store, person.stored.rid) == []
    stranger = store.context.rid_of("Patient", "stranger")
    assert stranger is not None
    assert await erase(store, stranger) == []
    with pytest.raises(Gone, match="erased"):
        await write(store, sender, create("Observation", observation("Patient/stranger")))


async def test_a_deleted_record_of_an_erased_person_is_erased_too(
    store: Store, sender: Sender, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    person, result = await somebody(store, sender)
    await write(store, sender, delete("Observation", result.stored.id))
    await erase(store, person.stored.rid)
    assert await pool.fetchval("select count(*) from records.record where body is not null") == 0
    with pytest.raises(Gone, match="erased"):
        await store.glance(Everything(), "Observation", result.stored.id)


async def test_an_id_of_the_clients_choosing_is_not_free_again(
    store: Store, sender: Sender
) -> None:
    body = patient(id="chosen")
    [made] = await write(store, sender, update("Patient", "chosen", body))
    await erase(store, made.stored.rid)
    with pytest.raises(Gone, match="erased"):
        await write(store, sender, update("Patient", "chosen", body))


async def test_an_idle_worker_forgets_a_destroyed_key_in_time(
    store: Store, sender: Sender, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    person, _ = await somebody(store, sender)
    context = store.context
    seconds = 0.0
    codec = Codec(context.codec._keys, context.codec._suite, now=lambda: seconds)
    theirs, senders = context.holder(person.stored.rid, 0), Holder(1, SENDER, sender.number)
    await write(store, sender, create("Observation", observation()))
    assert set(await codec.data_keys(pool, [theirs, senders])) == {theirs, senders}
    await erase(store, person.stored.rid)
    seconds = 59.0
    assert theirs in await codec.data_keys(pool, [theirs])
    seconds = 61.0
    assert set(await codec.data_keys(pool, [senders])) == {senders}
    assert theirs not in codec._opened
    assert set(await codec.data_keys(pool, [theirs, senders])) == {senders}
    assert theirs.kind == PATIENT
