"""What is due is found, deleted when two agree, and certified; what is not due stays."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

import asyncpg
import msgspec
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from persons import asking, registered, result
from stores import START, observation, open_context, open_guard

from quanmin.base.jobs import Continue, Done, Job, Kind
from quanmin.base.keys import FileKeys
from quanmin.base.problems import Conflict, Forbidden, Gone, Invalid, NotFound
from quanmin.base.signing import ECDSA_P256
from quanmin.records.ledger import Ledger, ledger_file
from quanmin.records.model import Stored
from quanmin.trust import Guard
from quanmin.trust.lifecycle import deletions, retention
from quanmin.trust.lifecycle.deletions import confirm, delete_found, delete_kind, propose, verify
from quanmin.trust.lifecycle.retention import find_kind, hold, release, status
from quanmin.trust.lifecycle.retention_rules import retention_rules, years_after
from quanmin.trust.replaying import Replaying

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"


@pytest.fixture(autouse=True)
def few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "PATIENTS_A_STEP", 2)
    monkeypatch.setattr(deletions, "PATIENTS_A_STEP", 1)


@pytest.fixture
def guard(pool: Pool, tmp_path: Path) -> Guard:
    return open_guard(pool, open_context(tmp_path))


async def dated(guard: Guard, hospital: str, day: str, **more: Any) -> tuple[Stored, Stored]:
    """A Patient nobody else is, and a result of that day."""
    patient = await registered(guard, hospital, None)
    stored = await result(guard, hospital, patient.id)
    body = json.loads(observation(f"Patient/{patient.id}")) | {"id": stored.id, **more}
    body["effectiveDateTime"] = day
    ours = asking(guard, "institution", hospital)
    await ours.update("Observation", stored.id, json.dumps(body).encode())
    return patient, stored


async def done(pool: Pool, kind: Kind, payload: object = None) -> Done:
    """Work a job off, every step tried and lost once before it is done."""
    job = Job(1, kind.name, "test", payload or {}, None, 0, None, 0)
    while True:
        async with pool.acquire() as connection:
            lost = connection.transaction()
            await lost.start()
            await kind.step(connection, job)
            await lost.rollback()
            async with connection.transaction():
                outcome = await kind.step(connection, job)
        if isinstance(outcome, Done):
            return outcome
        assert isinstance(outcome, Continue)
        job = Job(
            1, kind.name, "test", job.payload, outcome.position, outcome.done, outcome.total, 0
        )


async def nothing(_connection: object) -> None:
    """What runs when all was found."""


async def found(guard: Guard, pool: Pool, then: Callable[..., Awaitable[None]] = nothing) -> Done:
    return await done(pool, find_kind(guard.store.context, guard.now, then))


async def deleted(guard: Guard, pool: Pool) -> uuid.UUID:
    """Find, propose, confirm and delete."""
    await found(guard, pool)
    async with pool.acquire() as connection, connection.transaction():
        deletion = await propose(connection, at=guard.now(), by="one")
        await confirm(connection, deletion, at=guard.now(), by="other")
    await done(pool, delete_kind(guard), {"deletion": str(deletion)})
    return deletion


async def faults(guard: Guard, pool: Pool) -> list[str]:
    async with pool.acquire() as connection, connection.transaction():
        return [one.reason for one in (await verify(guard, connection))[1]]


async def is_there(guard: Guard, stored: Stored) -> bool:
    try:
        await asking(guard, "institution", "a").read(stored.type, stored.id)
    except Gone:
        return False
    return True


async def test_what_every_clock_has_run_out_for_is_due_and_nothing_else(
    guard: Guard, pool: Pool
) -> None:
    old, _ = await dated(guard, "a", "2001-05-01")
    edge, _ = await dated(guard, "a", "2012-01-01")
    mixed, _ = await dated(guard, "a", "2001-05-01")
    await result(guard, "a", mixed.id)
    inpatient, _ = await dated(guard, "a", "2001-05-01")
    stay = {
        "resourceType": "Encounter",
        "status": "finished",
        "class": {
            "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode",
            "code": "IMP",
        },
        "subject": {"reference": f"Patient/{inpatient.id}"},
        "period": {"start": "2001-04-28", "end": "2001-05-02"},
    }
    await asking(guard, "institution", "a").create("Encounter", json.dumps(stay).encode())
    going_on, _ = await dated(guard, "a", "2001-05-01")
    stay |= {"subject": {"reference": f"Patient/{going_on.id}"}, "period": {"start": "2001-04-28"}}
    stay |= {"class": {"code": "AMB"}, "status": "in-progress"}
    await asking(guard, "institution", "a").create("Encounter", json.dumps(stay).encode())
    told = await found(guard, pool)
    assert told.result == {"patients": 5, "due": 1}
    rows = await pool.fetch("select patient, clock, records from trust.retention_due")
    assert [tuple(row) for row in rows] == [(old.rid, "outpatient", 1)]
    (one,) = await status(pool)
    assert (one.clock, one.patients) == ("outpatient", 1)
    assert edge.rid not in {row["patient"] for row in rows}


async def test_two_agree_and_what_is_deleted_is_certified(guard: Guard, pool: Pool) -> None:
    old = [await dated(guard, "a", "2001-05-01") for _ in range(3)]
    kept = await dated(guard, "a", "2020-05-01")
    await found(guard, pool)
    async with pool.acquire() as connection, connection.transaction():
        deletion = await propose(connection, at=guard.now(), by="one")
        with pytest.raises(NotFound):
            await propose(connection, at=guard.now(), by="one")
        with pytest.raises(Forbidden):
            await confirm(connection, deletion, at=guard.now(), by="one")
        await confirm(connection, deletion, at=guard.now(), by="other")
        with pytest.raises(Conflict):
            await confirm(connection, deletion, at=guard.now(), by="third")
    told = await done(pool, delete_kind(guard), {"deletion": str(deletion)})
    assert told.result["records"] == 6
    for patient, stored in old:
        assert not await is_there(guard, patient)
        assert not await is_there(guard, stored)
    assert await is_there(guard, kept[1])
    content = json.loads(await pool.fetchval("select content from trust.deletion"))
    assert content["clocks"] == [["outpatient", 3, 3]]
    assert content["proposed"][0] == "one"
    assert content["confirmed"][0] == "other"
    assert await faults(guard, pool) == []
    assert await pool.fetchval("select count(*) from trust.deletion where content is null") == 0


async def test_what_is_held_or_asked_about_or_used_again_is_not_deleted(
    guard: Guard, pool: Pool
) -> None:
    held, asked, again = [await dated(guard, "a", "2001-05-01") for _ in range(3)]
    await found(guard, pool)
    async with pool.acquire() as connection, connection.transaction():
        number = await hold(connection, held[0].rid, reason="lawsuit", at=1, by="one")
        await connection.execute(
            "insert into trust.petition (task, patient, filed, moved, is_open, kind, state)"
            " values (1, $1, 1, 1, true, 'copy', 'received')",
            asked[0].rid,
        )
        deletion = await propose(connection, at=guard.now(), by="one")
        await confirm(connection, deletion, at=guard.now(), by="other")
    await result(guard, "a", again[0].id)
    told = await done(pool, delete_kind(guard), {"deletion": str(deletion)})
    assert told.result["records"] == 0
    for _, stored in (held, asked, again):
        assert await is_there(guard, stored)
    assert await faults(guard, pool) == []
    async with pool.acquire() as connection:
        await release(connection, number, at=2, by="one")
        with pytest.raises(NotFound):
            await release(connection, number, at=2, by="one")
    await deleted(guard, pool)
    assert not await is_there(guard, held[1])


async def test_a_setting_has_it_deleted_without_being_asked(guard: Guard, pool: Pool) -> None:
    async def at_once(connection: Any) -> None:
        await delete_found(connection, guard.now())

    await found(guard, pool, at_once)
    assert await pool.fetchval("select count(*) from jobs.job") == 0
    old = await dated(guard, "a", "2001-05-01")
    await found(guard, pool, at_once)
    payload = json.loads(await pool.fetchval("select payload from jobs.job"))
    await done(pool, delete_kind(guard), payload)
    assert not await is_there(guard, old[1])


async def test_a_certificate_that_does_not_hold_is_found(guard: Guard, pool: Pool) -> None:
    await dated(guard, "a", "2001-05-01")
    await deleted(guard, pool)
    changes = {
        "update trust.deletion set content = content || ' '": "the signature does not hold",
        "update trust.deletion set signature = 'x'": "the signature does not hold",
        "delete from trust.deletion_item": "what lies erased is not what was certified",
        "update records.record set flags = 0 where flags & 8 <> 0": (
            "2 records of it are still there"
        ),
        "update records.data_key set wrapped = 'x' where wrapped = ''": (
            "1 keys of it are still there"
        ),
    }
    for change, reason in changes.items():
        async with pool.acquire() as connection:
            taken_back = connection.transaction()
            await taken_back.start()
            assert (await verify(guard, connection))[1] == []
            await connection.execute(change)
            assert reason in [one.reason for one in (await verify(guard, connection))[1]]
            await taken_back.rollback()


async def test_a_certificate_is_verified_offline_and_by_others(guard: Guard, pool: Pool) -> None:
    await dated(guard, "a", "2001-05-01")
    deletion = await deleted(guard, pool)
    async with pool.acquire() as connection:
        given = await deletions.signed(connection, deletion)
        with pytest.raises(NotFound):
            await deletions.signed(connection, uuid.uuid4())
    public = guard.log.notary.public
    assert given.check(public).records == 2
    # As docs/how-to/retention.md says, by another library than ours.
    key = serialization.load_der_public_key(public.encoded)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert given.signature[1:17] == hashlib.sha256(public.encoded).digest()[:16]
    r, s = given.signature[17:49], given.signature[49:]
    der = encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))
    message = b"quanmin certificate\0" + given.content.encode()
    key.verify(der, message, ec.ECDSA(hashes.SHA256()))
    changed = msgspec.structs.replace(
        given, content=given.content.replace('"records":2', '"records":3')
    )
    other = ECDSA_P256.private_key(b"another node".ljust(32)).public
    for wrong, by in ((changed, public), (given, other)):
        assert wrong != given or by != public
        with pytest.raises(Invalid):
            wrong.check(by)


def test_of_several_clocks_the_longest_counts() -> None:
    rules = retention_rules()
    assert rules.of("Observation", is_inpatient=False).years == 15
    assert rules.of("Observation", is_inpatient=True).years == 30
    assert rules.of("Claim", is_inpatient=False).code == "settlement"
    assert rules.of("Immunization", is_inpatient=False).code == "vaccination"
    assert rules.of("Appointment", is_inpatient=False).code == "other"


def test_years_are_full_years() -> None:
    leap = 1_709_164_800_000_000  # 2024-02-29T00:00Z
    assert years_after(leap, 1, UTC) - leap == 366 * 86_400_000_000
    assert years_after(START, 9000, UTC) > START
    # 20 o'clock of the 29th in London is the 1st of March here.
    here, evening = ZoneInfo("Asia/Shanghai"), leap + 20 * 3_600_000_000
    later = datetime.fromtimestamp(years_after(evening, 15, here) / 1e6, here)
    assert later.isoformat() == "2039-03-01T04:00:00+08:00"
    first = datetime.fromtimestamp(years_after(leap, 4, here) / 1e6, here)
    assert first.isoformat() == "2028-02-29T08:00:00+08:00"


async def test_a_restore_from_before_a_deletion_deletes_again_and_has_the_certificate(
    guard: Guard, pool: Pool, tmp_path: Path
) -> None:
    ledger = Ledger(pool, ledger_file(tmp_path / "ledger", FileKeys(tmp_path / "keys")))
    guard.store._ledger = ledger
    old = await dated(guard, "a", "2001-05-01")
    deletion = await deleted(guard, pool)
    # What a backup from before lacks; that it would have the person again other tests show.
    for table in ("trust.deletion_item", "trust.deletion", "records.ledger"):
        await pool.execute(f"delete from {table}")
    replaying = Replaying(guard.store, guard.people, ledger, guard.log, guard.now)
    assert (await replaying.replay()).erasures == 1
    assert (await replaying.replay()).erasures == 0
    assert await pool.fetchval("select deletion from trust.deletion") == deletion
    assert await faults(guard, pool) == []
    assert not await is_there(guard, old[1])
    await pool.execute("delete from trust.deletion_item")
    await pool.execute("delete from trust.deletion")
    assert await faults(guard, pool) == ["1 certificates of the ledger are missing"]
