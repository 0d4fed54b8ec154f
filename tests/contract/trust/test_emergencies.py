"""Break-glass: what it opens, for how long, and that the person and a reviewer are told."""

from __future__ import annotations

import json
from pathlib import Path

import asyncpg
import pytest
from persons import asking, consent, is_seen, registered, result
from stores import open_context, open_guard

from quanmin.base.problems import Conflict, Forbidden, Invalid, NotFound
from quanmin.trust import Guard
from quanmin.trust.emergencies import Emergencies

REASON = "unconscious after a fall, allergies unknown"
HIV = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "HIV"}


@pytest.fixture
def guard(pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path) -> Guard:
    return open_guard(pool, open_context(tmp_path))


async def test_it_opens_what_a_refusal_has_closed_and_only_to_who_opened_it(
    guard: Guard, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    here, there = await registered(guard, "a"), await registered(guard, "b")
    theirs = await result(guard, "b", there.id)
    person = str(await pool.fetchval("select person from people.link limit 1"))
    resident = asking(guard, "resident", person=person, purpose="PATRQT")
    await resident.create("Consent", json.dumps(consent(here.id, type="deny")).encode())
    doctor = asking(guard, "doctor", "c", purpose="BTG")
    assert not await is_seen(doctor, theirs)
    await doctor.desk(Emergencies).open(there.id, REASON)
    assert await is_seen(doctor, theirs)
    assert await is_seen(doctor, here)
    assert not await is_seen(asking(guard, "doctor", "c", purpose="TREAT"), theirs)
    assert not await is_seen(asking(guard, "nurse", "c", purpose="BTG"), theirs)


async def test_it_ends_by_itself(guard: Guard, pool: asyncpg.Pool[asyncpg.Record]) -> None:
    there = await registered(guard, "b")
    doctor = asking(guard, "doctor", "c", purpose="BTG")
    until = await doctor.desk(Emergencies).open(there.id, REASON)
    assert await is_seen(doctor, there)
    await pool.execute("update records.granted set until = $2 where until = $1", until, guard.now())
    assert not await is_seen(doctor, there)


async def test_it_opens_nothing_beyond_the_role_and_no_kind_that_is_kept_apart(
    guard: Guard,
) -> None:
    there = await registered(guard, "b")
    secret = await result(guard, "b", there.id, meta={"security": [HIV]})
    doctor = asking(guard, "doctor", "c", purpose="BTG")
    await doctor.desk(Emergencies).open(there.id, REASON)
    assert not await is_seen(doctor, secret)
    for role in ("institution", "researcher", "supervisor", "resident", "audit_administrator"):
        with pytest.raises(Forbidden):
            await asking(guard, role, "c", purpose="BTG").desk(Emergencies).open(there.id, REASON)


async def test_a_reason_must_say_something_and_the_patient_be_there(guard: Guard) -> None:
    there = await registered(guard, "b")
    doctor = asking(guard, "doctor", "c", purpose="BTG")
    with pytest.raises(Invalid, match="say why"):
        await doctor.desk(Emergencies).open(there.id, "  ok  ")
    with pytest.raises(NotFound):
        await doctor.desk(Emergencies).open("nobody", REASON)


async def test_the_person_is_told_and_somebody_else_judges(
    guard: Guard, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    here, there = await registered(guard, "a"), await registered(guard, "b")
    doctor = asking(guard, "doctor", "c", purpose="BTG")
    await doctor.desk(Emergencies).open(there.id, REASON)
    person = str(await pool.fetchval("select person from people.link limit 1"))
    resident = asking(guard, "resident", person=person, purpose="PATRQT")
    (told,) = await resident.desk(Emergencies).about_asker()
    assert (told.actor, told.reason, told.state) == ("doctor-c", REASON, "waiting")
    assert here.rid != there.rid == told.patient
    stored = bytes(await pool.fetchval("select reason from trust.glass"))
    assert REASON.encode() not in stored
    reviewer = asking(guard, "security_administrator", "")
    (waiting,) = await reviewer.desk(Emergencies).waiting(10)
    await reviewer.desk(Emergencies).judge(waiting.glass, "unjustified")
    assert await reviewer.desk(Emergencies).waiting(10) == []
    with pytest.raises(Conflict):
        await reviewer.desk(Emergencies).judge(waiting.glass, "justified")
    (told,) = await resident.desk(Emergencies).about_asker()
    assert (told.state, told.reviewer) == ("unjustified", "security_administrator-")
    (row,) = await reviewer.desk(Emergencies).statistics(0, 2**62)
    assert (row.actor, row.number, row.waiting, row.unjustified) == ("doctor-c", 1, 0, 1)
    with pytest.raises(Forbidden):
        await doctor.desk(Emergencies).waiting(10)
