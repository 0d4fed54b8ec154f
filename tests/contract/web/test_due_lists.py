"""A due list as a page of an application: its rows, filters, sheet, and what it says of itself."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from clinic import Browser, Clinic
from falling_due import ZONE, child, dose, keepers

from quanmin.base.problems import Forbidden
from quanmin.trust import Actor
from quanmin.web import Access, Application, Asked, DeclaredRecords, Due, Text, Visit
from quanmin.web.application import Installed
from quanmin.web.due_lists import due_table
from quanmin.web.forms import Cell
from quanmin.web.tables import Table, table

STAFF = Access(frozenset({"institution"}))
PLANS = keepers()


@table("/due", access=STAFF, name="due")
async def due(visit: Visit, records: DeclaredRecords) -> Table:
    institution = visit.actor.sender if visit.actor else ""
    return await due_table(
        visit,
        records,
        "immunization",
        "Who is due",
        lambda one: f"/child/{one.patient.id}",
        institution=institution,
        more=[("Where", _where)],
    )


def _where(one: Due) -> Cell:
    return Cell(one.institution)


def trial() -> Application:
    return Application(
        name="trial",
        title=Text(zh="试用", en="Trial"),
        summary=Text(zh="应做", en="Due"),
        levels=frozenset({"county"}),
        roles=frozenset({"institution"}),
        reads=frozenset({"Patient", "Immunization", "Condition"}),
        home="/due",
        pages=due,
        plans=(PLANS[0].declared,),
    )


@pytest.fixture
async def clinic(pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path) -> Clinic:
    opened = Clinic(pool, tmp_path, plans=PLANS)
    await opened.fill()
    return opened


@pytest.fixture
async def browser(clinic: Clinic, tmp_path: Path) -> AsyncIterator[Browser]:
    folder = tmp_path / "trial"
    (folder / "templates").mkdir(parents=True)
    pages = clinic.pages(installed=(Installed(trial(), folder),))
    opened = await clinic.enter("hospital-a", pages)
    yield opened
    await opened.client.aclose()


async def send(clinic: Clinic, body: dict[str, object]) -> str:
    actor = Actor("hospital-a", "institution", "a", "hospital-a")
    records = clinic.guard.records(actor, purpose="TREAT", request_id="r")
    made = await records.create(str(body["resourceType"]), json.dumps(body).encode())
    return made.stored.id


async def test_a_list_has_who_is_due_with_filters_and_a_sheet(
    clinic: Clinic, browser: Browser
) -> None:
    today = clinic.guard.due.today(clinic.guard.now())
    born = (today - timedelta(100)).isoformat()
    id_ = await send(clinic, child(born))
    await send(clinic, dose(id_, "hepb", born))
    html = (await browser.get("/due?lang=en&series=hepb")).text
    assert f'href="/child/{id_}"' in html
    assert "hospital-a" in html
    assert "This list is being made: 0% is done." in html, "no job has gone through the node"
    chinese = (await browser.get("/due?lang=zh&series=hepb")).text
    assert "应做" in chinese
    assert "天" in chinese, "how late it is"
    sheet = (await browser.get("/due.csv?series=hepb&lang=en")).text
    assert len(sheet.strip().splitlines()) == 2
    assert id_ not in (await browser.get("/due?series=hepb&status=planned")).text
    assert id_ in (await browser.get(f"/due?since={born}")).text
    assert id_ not in (await browser.get(f"/due?since={today + timedelta(1)}")).text
    assert "Nobody is due." in (await browser.get("/due?lang=en&until=2001-01-01")).text


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ("status=late", 400),
        ("since=yesterday", 400),
        ("after=x", 400),
        ("series=none", 400),
    ],
)
async def test_what_the_address_asks_that_there_is_not_is_told(
    browser: Browser, asked: str, status: int
) -> None:
    answer = await browser.get(f"/due?lang=en&{asked}")
    assert answer.status_code == status, answer.text


async def test_an_application_asks_for_its_own_plans_only(clinic: Clinic) -> None:
    actor = Actor("hospital-a", "institution", "a", "hospital-a")
    guarded = clinic.guard.records(actor, purpose="TREAT", request_id="r")
    records = DeclaredRecords(guarded, trial(), ZONE)
    assert (await records.due(Asked(plan="immunization"), count=5)).rows == ()
    assert await records.due_counts(Asked(plan="immunization")) == {}
    found = await records.schedule(clinic.ids["hospital-a man"], "immunization")
    assert {one.status for one in found.items} <= {"lapsed", "not-applicable", "complete"}
    for ask in (records.due_counts(Asked(plan="chronic")), records.schedule("x", "chronic")):
        with pytest.raises(Forbidden, match="does not declare the plan"):
            await ask
