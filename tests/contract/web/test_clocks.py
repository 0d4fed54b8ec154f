"""Timers of cases fire at their minute, each once whoever looks, and tell whom they tell."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest
from books import Books
from cards import (
    CENTRE,
    CHECKERS,
    DOCTOR,
    ZONE,
    body_of,
    entered,
    pages_of,
    records,
    settle,
    task_of,
)
from clinic import Clinic
from ruling import brought_by, under
from starlette.applications import Starlette
from stores import open_guard

from quanmin.trust import Actor
from quanmin.web.application import discover
from quanmin.web.clocks import Clocks
from quanmin.workflow.states import read_case

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def county(clinic: Clinic) -> Clinic:
    return await settle(clinic)


@pytest.fixture
def pages(county: Clinic) -> Starlette:
    return pages_of(county)


async def told(county: Clinic) -> list[tuple[str, str, bool]]:
    """Every notice of the workflow: to whom, its kind, and whether it still matters."""
    rows = await county.pool.fetch(
        "select account, kind, withdrawn_at is null as matters from trust.notice"
        " where kind like 'infection_card.%' order by id"
    )
    return [(row["account"], row["kind"].partition(".")[2], row["matters"]) for row in rows]


def clocks_at(county: Clinic, moment: datetime) -> Clocks:
    """What a job process has, at a moment."""
    guard = open_guard(county.pool, county.guard.store.context)
    guard = under(guard, brought=brought_by("trials"))
    guard.now = lambda: round(moment.timestamp() * 1_000_000)
    return Clocks(guard, discover("trials"))


async def state_of(county: Clinic, where: str) -> str:
    task = body_of(await task_of(county, where))
    return str(task["businessStatus"]["coding"][0]["code"])


async def test_a_timer_fires_at_its_minute_and_once_whoever_looks(
    county: Clinic, pages: Starlette
) -> None:
    _, first = await entered(county, pages)
    _, second = await entered(county, pages)
    cases = [
        read_case(records(county, DOCTOR).workflow, body_of(await task_of(county, one)), ZONE)
        for one in (first, second)
    ]
    since = cases[1].since
    assert await clocks_at(county, since + timedelta(hours=2) - MINUTE).fire() == 0
    assert await told(county) == []
    # Two processes find both at the same moment.
    at = since + timedelta(hours=2)
    fired = await asyncio.gather(*(clocks_at(county, at).fire() for _ in range(3)))
    assert sum(fired) == 2
    assert await told(county) == [("cdc-wu", "waiting", True)] * 2
    assert await clocks_at(county, at + MINUTE).fire() == 0
    day = since + timedelta(hours=24)
    assert await clocks_at(county, day - MINUTE).fire() == 0
    assert await clocks_at(county, day).fire() == 2
    assert [await state_of(county, one) for one in (first, second)] == ["escalated"] * 2
    # What waited to be checked is over; the county's head is told, and there is none.
    assert await told(county) == [("cdc-wu", "waiting", False)] * 2
    assert await clocks_at(county, since + timedelta(days=400)).fire() == 0
    assert await county.pool.fetchval("select count(*) from trust.task_clock") == 0


async def test_who_looks_late_finds_all_that_has_run_out_in_its_order(
    county: Clinic, pages: Starlette
) -> None:
    head = Actor("cdc-yu", "public_health_worker", "cdc-yu", CENTRE)
    await county.add(head)
    await Books(county.guard, county.pool).appoint(head.code, duties=frozenset({"head"}))
    _, where = await entered(county, pages)
    since = read_case(
        records(county, DOCTOR).workflow, body_of(await task_of(county, where)), ZONE
    ).since
    assert await clocks_at(county, since + timedelta(days=30)).fire() == 2
    assert await told(county) == [("cdc-wu", "waiting", False), ("cdc-yu", "overdue", True)]
    page = await (await county.enter("cdc-yu", pages)).get("/notices?lang=en")
    assert "A report card was not checked for a day" in page.text


async def test_steps_tell_whom_the_workflow_names_and_end_what_is_done(
    county: Clinic, pages: Starlette
) -> None:
    doctor, where = await entered(county, pages)
    checker = await county.enter(CHECKERS[0].code, pages)
    await checker.get(where)
    await checker.send(where, step="return", words="No onset date")
    assert await told(county) == [("dr-li", "to_correct", True)]
    await doctor.get(where)
    answer = await doctor.send(where, step="correct", disease="measles")
    assert answer.status_code == 303, answer.text
    assert await told(county) == [("dr-li", "to_correct", False)]
    await checker.get(where)
    await checker.send(where, step="confirm")
    assert (await told(county))[1:] == [("resident", "confirmed", True)]
    page = await (await county.enter("resident", pages)).get("/notices?lang=zh")
    assert "您的检验结果已由疾控机构确认" in page.text


async def test_a_case_of_which_no_timer_can_fire_does_not_hold_up_the_others(
    county: Clinic, pages: Starlette, caplog: pytest.LogCaptureFixture
) -> None:
    _, where = await entered(county, pages)
    broken = body_of(await task_of(county, where))
    since = read_case(records(county, DOCTOR).workflow, broken, ZONE).since
    del broken["id"], broken["restriction"]["period"]["start"]
    request = {"method": "POST", "url": "Task"}
    await records(county, DOCTOR).transact([{"resource": broken, "request": request}])
    assert await clocks_at(county, since + timedelta(hours=2)).fire() == 1
    (said,) = [one for one in caplog.records if one.name == "quanmin.workflows"]
    assert said.msg == "timers of cases cannot fire"
    assert (said.__dict__["application"], said.__dict__["count"]) == ("infection_card", 1)
