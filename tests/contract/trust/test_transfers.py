"""Recipients outside the country: nothing is handed to them without an approved transfer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
from clinic import Clinic
from persons import asking, query, registered, result
from stores import START, observation, open_context, open_guard

from quanmin.base.problems import Conflict, Forbidden, Invalid, NotFound
from quanmin.trust import Actor, Guard
from quanmin.trust.lifecycle.activities import ProcessingRegister
from quanmin.trust.lifecycle.activity_rules import activity_rules
from quanmin.trust.lifecycle.transfers import Approval, Transfers
from quanmin.trust.registers import Admissions, Application
from quanmin.trust.registers.admissions import MemberKind

_DAY = 86_400_000_000
APPROVAL = Approval(
    ground="assessment",
    reference="2026-17",
    activity="abroad",
    records_max=1000,
    since=START,
    until=START + 30 * _DAY,
)


@pytest.fixture
def guard(pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path) -> Guard:
    return open_guard(pool, open_context(tmp_path))


@pytest.fixture
async def transfers(pool: asyncpg.Pool[asyncpg.Record], guard: Guard) -> Transfers:
    """With hospital `a` declared to be in another country, and an entry that says so."""
    keeper = Actor("keeper", "security_administrator", "Keeper", "register")
    desk = guard.records(keeper, purpose="HOPERAT", request_id="r").desk(ProcessingRegister)
    whole = activity_rules().activity[0]
    entry = msgspec.structs.replace(whole, owner="the commission", country="SG")
    await desk.write("abroad", entry, seen=0)
    found = Transfers(pool)
    await found.declare("sender", "a", "SG", at=START, by="keeper")
    return found


async def test_who_is_outside_the_country_is_handed_nothing_by_default(
    guard: Guard, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    patient = await registered(guard, "a")
    stored = await result(guard, "a", patient.id)
    ours = asking(guard, "institution", "a")
    assert (await ours.read("Observation", stored.id)).id == stored.id
    await Transfers(pool).declare("sender", "a", "SG", at=START, by="keeper")
    for attempt in (
        ours.read("Observation", stored.id),
        ours.search(query(guard, "Observation")),
        ours.history("Observation", stored.id, count=10),
        ours.counts([query(guard, "Observation")]),
        ours.timeline(patient.id, count=10),
        ours.exporting.patients([patient.id]),
        ours.create("Patient", b"{}"),
    ):
        with pytest.raises(Forbidden, match="outside the country"):
            await attempt
    theirs = asking(guard, "institution", "b")
    assert (await theirs.search(query(guard, "Observation"))).matches == ()


async def test_a_transfer_that_was_approved_lets_its_types_through_while_it_is_in_force(
    guard: Guard, pool: asyncpg.Pool[asyncpg.Record], transfers: Transfers
) -> None:
    await transfers.approve("sender", "a", APPROVAL, at=START, by="keeper")
    patient = await registered(guard, "a")
    await result(guard, "a", patient.id)
    await pool.execute("update trust.transfer set types = '{Observation}'")
    ours = asking(guard, "institution", "a")
    with pytest.raises(NotFound):
        await ours.read("Patient", patient.id)
    assert len((await ours.search(query(guard, "Observation"))).matches) == 1
    await pool.execute("update trust.transfer set until = $1", guard.now())
    with pytest.raises(Forbidden, match="outside the country"):
        await ours.search(query(guard, "Observation"))
    await pool.execute("update trust.transfer set until = $1", guard.now() + _DAY)
    assert len((await ours.search(query(guard, "Observation"))).matches) == 1
    (one,) = await transfers.all()
    assert one.is_in_force(guard.now())
    await transfers.withdraw(one.transfer or 0, reason="it has ended", at=START, by="keeper")
    with pytest.raises(Forbidden, match="outside the country"):
        await ours.search(query(guard, "Observation"))


async def test_the_last_security_administrator_is_not_shut_out(clinic: Clinic) -> None:
    keeper = Actor("keeper", "security_administrator", "Keeper", "register")
    await clinic.add(keeper)
    transfers, admissions = Transfers(clinic.pool), Admissions(clinic.pool)
    members: tuple[tuple[MemberKind, str], ...] = (("actor", "keeper"),)
    asked = Application(
        party="firm", kind="operator", name="Firm", purpose="runs it", members=members
    )
    with pytest.raises(Conflict, match="no security administrator would be left"):
        await transfers.declare("actor", "keeper", "SG", at=START, by="console")
    with pytest.raises(Conflict, match="no security administrator would be left"):
        await admissions.apply(asked, at=START, by="console")
    await clinic.add(msgspec.structs.replace(keeper, code="second"))
    await transfers.declare("actor", "second", "SG", at=START, by="keeper")
    with pytest.raises(Conflict, match="no security administrator would be left"):
        await transfers.declare("actor", "keeper", "SG", at=START, by="console")


async def test_genetic_information_leaves_under_no_transfer(
    guard: Guard, pool: asyncpg.Pool[asyncpg.Record], transfers: Transfers
) -> None:
    await transfers.approve("sender", "a", APPROVAL, at=START, by="keeper")
    patient = await registered(guard, "a")
    usual = await result(guard, "a", patient.id)
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "GDIS"}
    body = json.loads(observation(f"Patient/{patient.id}")) | {"meta": {"security": [label]}}
    home = Actor("home", "operator", "Home", "a2")
    records = guard.records(home, purpose="HOPERAT", request_id="r")
    genes = (await records.create("Observation", json.dumps(body).encode())).stored
    await pool.execute(
        "update records.record set sender = (select sender from records.sender where code = 'a')"
        " where rid = $1",
        genes.rid,
    )
    ours = asking(guard, "institution", "a")
    assert (await ours.read("Observation", usual.id)).id == usual.id
    with pytest.raises(NotFound):
        await ours.read("Observation", genes.id)
    found = await ours.search(query(guard, "Observation"))
    assert [one.id for one in found.matches] == [usual.id]


async def test_a_party_that_applies_from_abroad_is_handed_nothing_when_it_is_admitted(
    guard: Guard, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    admissions = Admissions(pool)
    asked = Application(
        party="abroad",
        kind="organisation",
        name="Abroad Ltd",
        purpose="research",
        members=(("sender", "a"),),
        country="SG",
    )
    patient = await registered(guard, "a")
    made = await admissions.apply(asked, at=START, by="desk")
    review: dict[str, Any] = {
        "is_recommended": True,
        "opinion": "well kept",
        "at": START,
        "by": "other",
    }
    await admissions.review(made.admission, **review)
    until = START + 300 * _DAY
    agreed: dict[str, Any] = {
        "agreement": "17",
        "since": START,
        "until": until,
        "at": START,
        "by": "other",
    }
    await admissions.admit(made.admission, **agreed)
    with pytest.raises(Forbidden, match="outside the country"):
        await asking(guard, "institution", "a").read("Patient", patient.id)
    await admissions.withdraw(made.admission, reason="again", at=START, by="other")
    for country, refused in (("XX1", Invalid), ("US", Conflict), ("SG", None)):
        again = msgspec.structs.replace(asked, country=country)
        if country == "XX1":
            again = msgspec.structs.replace(again, members=(("sender", "b"),))
        if refused is None:
            await admissions.apply(again, at=START, by="desk")
        else:
            with pytest.raises(refused):
                await admissions.apply(again, at=START, by="desk")


async def test_no_more_records_go_out_than_were_approved(
    guard: Guard, pool: asyncpg.Pool[asyncpg.Record], transfers: Transfers
) -> None:
    few = msgspec.structs.replace(APPROVAL, records_max=3)
    await transfers.approve("sender", "a", few, at=START, by="keeper")
    patient = await registered(guard, "a")
    ours = asking(guard, "institution", "a")
    for _ in range(3):
        await ours.read("Patient", patient.id)
    assert await pool.fetchval("select handed from trust.transfer") == 3
    with pytest.raises(Forbidden, match="outside the country"):
        await ours.read("Patient", patient.id)
    theirs = asking(guard, "institution", "b")
    with pytest.raises(NotFound):
        await theirs.read("Patient", patient.id)
    assert await pool.fetchval("select handed from trust.transfer") == 3


async def test_an_approval_says_all_that_the_law_asks(guard: Guard, transfers: Transfers) -> None:
    del guard
    wrong = {
        "ground": "goodwill",
        "reference": " ",
        "activity": "care",
        "types": ("Nothing",),
        "records_max": 0,
        "until": START,
        "since": START - 4 * 366 * _DAY,
    }
    for name, value in wrong.items():
        approval = msgspec.structs.replace(APPROVAL, **{name: value})
        with pytest.raises(Invalid):
            await transfers.approve("sender", "a", approval, at=START, by="keeper")
    with pytest.raises(NotFound):
        await transfers.approve("sender", "b", APPROVAL, at=START, by="keeper")
    with pytest.raises(Conflict):
        await transfers.declare("sender", "a", "US", at=START, by="keeper")
    for kind, country in (("sender", "CN"), ("sender", "Us"), ("person", "US")):
        with pytest.raises(Invalid):
            await transfers.declare(kind, "x", country, at=START, by="keeper")
    with pytest.raises(Forbidden):
        await transfers.refuse_unapproved("client", "app", "US", START)
    await transfers.refuse_unapproved("client", "app", "CN", START)
    with pytest.raises(Forbidden):
        await transfers.refuse_unapproved("sender", "a", "CN", START)
