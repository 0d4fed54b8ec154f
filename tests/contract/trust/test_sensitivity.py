"""What is kept apart by its codes, whether or not its sender has labelled it."""

from __future__ import annotations

import json
from pathlib import Path

import asyncpg
import pytest
from persons import asking, is_seen, registered, visit
from stores import coded, open_context, open_guard

from quanmin.records.model import Stored
from quanmin.records.rebuilding import index_rows
from quanmin.trust import Guard

ICD = "http://hl7.org/fhir/sid/icd-10"


@pytest.fixture
def guard(pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path) -> Guard:
    return open_guard(pool, open_context(tmp_path))


async def diagnosis(guard: Guard, hospital: str, patient_id: str, code: str) -> Stored:
    about = {"subject": {"reference": f"Patient/{patient_id}"}, "code": coded(code, ICD)}
    body = json.dumps({"resourceType": "Condition", **about}).encode()
    return (await asking(guard, "institution", hospital).create("Condition", body)).stored


async def test_an_unlabelled_diagnosis_is_kept_apart_and_its_bytes_stay(guard: Guard) -> None:
    here, there = await registered(guard, "a"), await registered(guard, "b")
    await asking(guard, "institution", "a").create("Encounter", visit(here.id))
    secret = await diagnosis(guard, "b", there.id, "B20")
    common = await diagnosis(guard, "b", there.id, "I10")
    doctor = asking(guard, "doctor", "a")
    assert await is_seen(doctor, common)
    assert not await is_seen(doctor, secret)
    assert await is_seen(asking(guard, "doctor", "b"), secret)
    read = await asking(guard, "institution", "b").read("Condition", secret.id)
    assert b"security" not in (read.body or b"")


async def test_records_stored_before_are_labelled_when_they_are_indexed_again(
    guard: Guard, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    here, there = await registered(guard, "a"), await registered(guard, "b")
    await asking(guard, "institution", "a").create("Encounter", visit(here.id))
    secret = await diagnosis(guard, "b", there.id, "F20.0")
    await pool.execute("update records.record set labels = null, apart = null")
    doctor, context = asking(guard, "doctor", "a"), guard.store.context
    assert await is_seen(doctor, secret)
    async with pool.acquire() as connection, connection.transaction():
        rows = await connection.fetch(
            "select r.*, r.bucket from records.record r where rid = $1", secret.rid
        )
        await index_rows(connection, context, context.catalogue, rows, is_whole=True)
    assert not await is_seen(doctor, secret)
