"""Who treats a person sees the whole record, for as long as they treat them."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest
from persons import NUMBER, asking, day, is_seen, registered, result, visit
from stores import open_context, open_guard, patient

from quanmin.trust import Guard


@pytest.fixture
def guard(pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path) -> Guard:
    return open_guard(pool, open_context(tmp_path))


async def test_who_treats_a_person_sees_what_others_have_recorded(guard: Guard) -> None:
    here, there = await registered(guard, "a"), await registered(guard, "b")
    theirs = await result(guard, "b", there.id)
    doctor = asking(guard, "doctor", "a")
    assert not await is_seen(doctor, theirs)
    await asking(guard, "institution", "a").create("Encounter", visit(here.id))
    assert await is_seen(doctor, theirs)
    assert await is_seen(doctor, there)
    assert not await is_seen(asking(guard, "doctor", "c"), theirs)
    assert not await is_seen(asking(guard, "institution", "a"), theirs)
    assert not await is_seen(asking(guard, "doctor", "a", purpose="HRESCH"), theirs)


async def test_a_treatment_lasts_as_long_as_it_says_and_its_tail(guard: Guard) -> None:
    here, there = await registered(guard, "a"), await registered(guard, "b")
    theirs = await result(guard, "b", there.id)
    ours, doctor = asking(guard, "institution", "a"), asking(guard, "doctor", "a")
    long_ago = visit(here.id, status="finished", start=day(-90), end=day(-60))
    made = (await ours.create("Encounter", long_ago)).stored
    assert not await is_seen(doctor, theirs)
    lately = visit(here.id, status="finished", start=day(-20), end=day(-10))
    await ours.update(
        "Encounter", made.id, lately.replace(b'{"res', f'{{"id":"{made.id}","res'.encode())
    )
    assert await is_seen(doctor, theirs)
    await ours.delete("Encounter", made.id)
    assert not await is_seen(doctor, theirs)


@pytest.mark.parametrize("status", ["planned", "cancelled", "entered-in-error"])
async def test_a_visit_that_does_not_take_place_opens_nothing(guard: Guard, status: str) -> None:
    here, there = await registered(guard, "a"), await registered(guard, "b")
    theirs = await result(guard, "b", there.id)
    await asking(guard, "institution", "a").create("Encounter", visit(here.id, status=status))
    assert not await is_seen(asking(guard, "doctor", "a"), theirs)


async def test_an_end_that_is_far_off_is_not_believed(
    guard: Guard, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    here = await registered(guard, "a")
    ours = asking(guard, "institution", "a")
    await ours.create("Encounter", visit(here.id, start=day(-1), end="9999-12-31"))
    lasts = await pool.fetchval("select max(until) - max(since) from records.granted")
    assert lasts < 366 * 86_400_000_000


async def test_a_person_linked_later_is_opened_to_who_treats_them(guard: Guard) -> None:
    here = await registered(guard, "a")
    await asking(guard, "institution", "a").create("Encounter", visit(here.id))
    there = await registered(guard, "b", None)
    theirs = await result(guard, "b", there.id)
    doctor = asking(guard, "doctor", "a")
    assert not await is_seen(doctor, theirs)
    hospital = asking(guard, "institution", "b")
    await hospital.update("Patient", there.id, patient(NUMBER, id=there.id))
    assert await is_seen(doctor, theirs)
    await hospital.update("Patient", there.id, patient(id=there.id))
    assert not await is_seen(doctor, theirs)


@pytest.mark.parametrize(
    "role",
    [
        "supervisor",
        "researcher",
        "system_administrator",
        "security_administrator",
        "audit_administrator",
    ],
)
async def test_who_needs_no_personal_record_sees_none(guard: Guard, role: str) -> None:
    here = await registered(guard, "a")
    await asking(guard, "institution", "a").create("Encounter", visit(here.id))
    assert not await is_seen(asking(guard, role, "a"), here)
    assert not await is_seen(asking(guard, role, "a"), await result(guard, "a", here.id))
