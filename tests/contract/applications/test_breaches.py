"""Incidents and their pages, over a real store."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from clinic import Browser, Clinic

from quanmin.base.jobs import Continue, Done, Job, Kind
from quanmin.trust import Actor
from quanmin.trust.lifecycle import incidents
from quanmin.trust.lifecycle.incidents import count_kind, incident_rules, tell_kind

TEXT = "a laptop with an open session was stolen"


async def worked_off(pool: asyncpg.Pool[asyncpg.Record], kind: Kind) -> None:
    """Work the open job of a kind off, every step tried and lost once before it is done."""
    row = await pool.fetchrow("select job, payload from jobs.job where kind = $1", kind.name)
    assert row is not None
    payload = json.loads(row["payload"])
    job = Job(row["job"], kind.name, "test", payload, None, 0, None, 0)
    outcome: Continue | Done | None = None
    while not isinstance(outcome, Done):
        async with pool.acquire() as connection:
            lost = connection.transaction()
            await lost.start()
            await kind.step(connection, job)
            await lost.rollback()
            async with connection.transaction():
                outcome = await kind.step(connection, job)
        if isinstance(outcome, Continue):
            job = Job(1, kind.name, "test", payload, outcome.position, outcome.done, None, 0)
    await pool.execute("delete from jobs.job where kind = $1", kind.name)


def form(clinic: Clinic, **more: str) -> dict[str, str]:
    now = datetime.fromtimestamp(clinic.guard.now() / 1e6, UTC)
    parts = {one.code: TEXT for one in incident_rules().part}
    return {
        "title": "stolen laptop",
        "since": (now - timedelta(days=1)).isoformat(timespec="minutes"),
        "until": (now + timedelta(days=1)).isoformat(timespec="minutes"),
        "senders": "hospital-a",
        **parts,
        **more,
    }


@pytest.fixture
async def keeper(clinic: Clinic) -> Browser:
    await clinic.add(Actor("security", "security_administrator", "Security", ""))
    return await clinic.enter("security")


async def test_an_incident_is_counted_from_the_log_told_and_closed(
    clinic: Clinic, keeper: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incidents, "ENTRIES_A_STEP", 3)
    guard, pool = clinic.guard, clinic.pool
    records = guard.records(
        Actor("hospital-a", "institution", "a", "hospital-a"), purpose="TREAT", request_id="r"
    )
    await pool.execute("update trust.actor set role = 'institution' where code = 'hospital-a'")
    for _ in range(2):
        await records.read("Observation", clinic.ids["hospital-a Observation"])
    await keeper.get("/breaches/new")
    opened = await keeper.send("/breaches/new", **form(clinic))
    assert opened.status_code == 303
    address = opened.headers["location"]
    assert "still being counted" in (await keeper.get(address)).text
    early = await keeper.send(f"{address}/take", step="tell", words=TEXT)
    assert early.status_code == 409
    await worked_off(pool, count_kind(guard.now))
    page = (await keeper.get(address)).text
    expected = await pool.fetchval(
        "select count(distinct p) from trust.access, unnest(patients) p where actor = 'hospital-a'"
    )
    assert f"{expected} registrations" in page
    assert "张伟" not in page
    assert clinic.ids["hospital-a man"] not in page
    entries = (await keeper.get(f"{address}/entries.csv")).text.splitlines()
    number = await pool.fetchval("select count(*) from trust.access where actor = 'hospital-a'")
    assert len(entries) == number + 1
    counted = await pool.fetchval("select sum(entries) from trust.incident_kind")
    assert counted == number
    await keeper.get(address)
    too_soon = await keeper.send(f"{address}/take", step="close", words=TEXT)
    assert too_soon.status_code == 409
    await keeper.send(f"{address}/take", step="report", words=TEXT)
    await keeper.send(f"{address}/take", step="tell", words="change your password, call 12320")
    await worked_off(pool, tell_kind(guard.store.context, guard.now))
    resident = await clinic.enter("resident")
    account = (await resident.get("/notices")).text
    assert "An incident may concern your records" in account
    assert "call 12320" in account
    await keeper.get(address)
    assert (await keeper.send(f"{address}/take", step="close", words=TEXT)).status_code == 303
    assert (await keeper.send(f"{address}/take", step="measure", words=TEXT)).status_code == 409
    report = (await keeper.get(f"{address}/report?lang=zh")).text
    assert "已结案" in report
    for state, is_there in (("", True), ("open", False), ("closed", True)):
        asked = f"state={state}&sort=-report&lang=en"
        assert ("stolen laptop" in (await keeper.get(f"/breaches?{asked}")).text) is is_there, state
        sheet = (await keeper.get(f"/breaches.csv?{asked}")).text
        assert ("stolen laptop" in sheet) is is_there, state
    stored = str(await pool.fetch("select * from trust.incident, trust.incident_step"))
    assert TEXT not in stored
    for browser in (keeper, resident):
        await browser.client.aclose()


async def test_who_is_stopped_acts_no_more(clinic: Clinic, keeper: Browser) -> None:
    await keeper.get("/breaches/new")
    scope = form(clinic, senders="", actors="hospital-a")
    address = (await keeper.send("/breaches/new", **scope)).headers["location"]
    thief = await clinic.enter("hospital-a")
    assert (await thief.get("/")).status_code == 200
    await keeper.get(address)
    await keeper.send(f"{address}/take", step="stop", words=TEXT)
    assert (await thief.get("/")).status_code == 303
    for browser in (keeper, thief):
        await browser.client.aclose()


async def test_an_institution_is_stopped_as_a_whole_and_let_act_again(
    clinic: Clinic, keeper: Browser
) -> None:
    await keeper.get("/breaches/new")
    address = (await keeper.send("/breaches/new", **form(clinic))).headers["location"]
    await clinic.add(Actor("former", "institution", "Former", "hospital-a"))
    await clinic.pool.execute("update trust.actor set is_active = false where code = 'former'")
    thief = await clinic.enter("hospital-a")
    before = await clinic.pool.fetch("select code from trust.actor where not is_active")
    revoked = clinic.guard.revoked.number
    await keeper.get(address)
    assert (await keeper.send(f"{address}/take", step="stop", words=TEXT)).status_code == 303
    assert clinic.guard.revoked.number > revoked
    assert (await thief.get("/")).status_code == 303
    acting = "select count(*) from trust.actor where sender = 'hospital-a' and is_active"
    assert await clinic.pool.fetchval(acting) == 0
    others = "select count(*) from trust.actor where sender <> 'hospital-a' and is_active"
    assert await clinic.pool.fetchval(others) > 0
    assert "are stopped now" in (await keeper.get(f"{address}?lang=en")).text
    assert (await keeper.send(f"{address}/take", step="release", words=TEXT)).status_code == 303
    after = await clinic.pool.fetch("select code from trust.actor where not is_active")
    assert after == before
    await keeper.get(address)
    assert (await keeper.send(f"{address}/take", step="release", words=TEXT)).status_code == 409
    again = await clinic.enter("hospital-a")
    assert (await again.get("/")).status_code == 200
    for browser in (keeper, thief, again):
        await browser.client.aclose()


async def test_nobody_stops_themselves_or_the_node(clinic: Clinic, keeper: Browser) -> None:
    await clinic.add(Actor("second", "security_administrator", "Second", "register"))
    for scope, status, said in (
        ({"actors": "security second"}, 403, "nobody shuts themselves out"),
        ({"senders": "register"}, 422, "name the accounts"),
        ({"actors": "second"}, 303, ""),
    ):
        await keeper.get("/breaches/new")
        filled = form(clinic, **({"senders": ""} | scope))
        address = (await keeper.send("/breaches/new", **filled)).headers["location"]
        await keeper.get(address)
        answer = await keeper.send(f"{address}/take", step="stop", words=TEXT)
        assert (answer.status_code, said in answer.text) == (status, True)
    assert (await keeper.get("/breaches")).status_code == 200
    await keeper.client.aclose()


async def test_what_comes_after_the_count_is_counted_again_and_told(
    clinic: Clinic, keeper: Browser
) -> None:
    guard, pool = clinic.guard, clinic.pool
    await keeper.get("/breaches/new")
    since = datetime.fromtimestamp(guard.now() / 1e6, UTC).isoformat()
    opened = await keeper.send("/breaches/new", **form(clinic, since=since))
    address = opened.headers["location"]
    await worked_off(pool, count_kind(guard.now))
    assert "0 registrations" in (await keeper.get(f"{address}?lang=en")).text
    await keeper.send(f"{address}/take", step="tell", words=TEXT)
    busy = await keeper.send(f"{address}/take", step="count", words=TEXT)
    assert busy.status_code == 409
    await worked_off(pool, tell_kind(guard.store.context, guard.now))
    records = guard.records(
        Actor("hospital-a", "institution", "a", "hospital-a"), purpose="TREAT", request_id="r"
    )
    await records.read("Observation", clinic.ids["hospital-a Observation"])
    assert "count again" in (await keeper.get(address)).text
    await keeper.send(f"{address}/take", step="count", words=TEXT)
    await worked_off(pool, count_kind(guard.now))
    assert "1 registrations" in (await keeper.get(address)).text
    assert await pool.fetchval("select told_at is null from trust.incident")
    await keeper.send(f"{address}/take", step="tell", words=TEXT)
    await worked_off(pool, tell_kind(guard.store.context, guard.now))
    assert await pool.fetchval("select told_at is not null from trust.incident")
    await keeper.client.aclose()


async def test_an_incident_needs_a_scope_and_words_and_a_keeper(
    clinic: Clinic, keeper: Browser
) -> None:
    await keeper.get("/breaches/new")
    for wrong in (
        {"senders": ""},
        {"since": "soon"},
        {"happened": "short"},
        {"until": "2001-01-01"},
        {"senders": "hospital-a hospital-z"},
        {"actors": "nobody-here"},
        {"clients": "none"},
    ):
        answer = await keeper.send("/breaches/new", **form(clinic, **wrong))
        assert answer.status_code == 422
        assert "stolen laptop" in answer.text
    for path in ("/breaches/1", "/breaches/x", "/breaches/99999999999999999999"):
        assert (await keeper.get(path)).status_code == 404
    other = await clinic.enter("centre")
    assert (await other.get("/breaches")).status_code == 403
    for browser in (keeper, other):
        await browser.client.aclose()
