"""A workflow over the real guard: a report card is entered at a hospital, checked at the county,
returned, corrected, and confirmed; an application has its folder for that and nothing else.
"""

from __future__ import annotations

import asyncio
import re
from datetime import datetime

import pytest
from cards import (
    CENTRE,
    DOCTOR,
    ZONE,
    application,
    body_of,
    entered,
    pages_of,
    records,
    settle,
    task_of,
)
from clinic import Clinic
from starlette.applications import Starlette

from quanmin.base.problems import Conflict, Forbidden, PreconditionFailed
from quanmin.trust import Actor
from quanmin.workflow.states import Asking, read_case, take


@pytest.fixture
async def county(clinic: Clinic) -> Clinic:
    return await settle(clinic)


@pytest.fixture
def pages(county: Clinic) -> Starlette:
    return pages_of(county)


async def test_a_card_goes_its_whole_way(county: Clinic, pages: Starlette) -> None:
    doctor, where = await entered(county, pages)
    checker = await county.enter("cdc-wu", pages)
    page = await checker.get(where)
    assert page.status_code == 200
    assert "To be checked" in page.text
    assert '<textarea id="words-return"' in page.text
    assert 'value="correct"' not in page.text
    answer = await checker.send(where, step="return", words="No onset date")
    assert answer.status_code == 303, answer.text
    page = await doctor.get(where)
    assert "Returned for correction" in page.text
    assert "No onset date" in page.text
    answer = await doctor.send(where, step="correct", disease="measles")
    assert answer.status_code == 303, answer.text
    await checker.get(where)
    answer = await checker.send(where, step="confirm")
    assert answer.status_code == 303, answer.text
    stored = await task_of(county, where)
    task = body_of(stored)
    assert stored.version == 4
    assert task["status"] == "completed"
    assert [note["authorReference"]["identifier"]["value"] for note in task["note"]] == [
        "dr-li", "cdc-wu", "dr-li", "cdc-wu",
    ]  # fmt: skip
    # What a step recorded was stored with it, and the Task names it.
    named = [one["valueReference"]["reference"] for one in task["output"]]
    assert len(set(named)) == 2
    for reference in named:
        kept = await records(county, DOCTOR).read(*reference.split("/"))
        assert body_of(kept)["status"] == "completed"


async def test_every_step_is_a_version_of_the_task(county: Clinic, pages: Starlette) -> None:
    _, where = await entered(county, pages)
    checker = await county.enter("cdc-wu", pages)
    await checker.get(where)
    await checker.send(where, step="return", words="No onset date")
    ours, id_ = records(county, DOCTOR), where.rpartition("/")[2]
    batch = await ours.history("Task", id_, count=9)
    states = [body_of(one)["businessStatus"]["coding"][0]["code"] for one in batch.versions]
    assert states == ["returned", "entered"]


async def test_what_is_not_open_is_shown_with_its_reasons_and_refused(
    county: Clinic, pages: Starlette
) -> None:
    _, where = await entered(county, pages)
    other = await county.enter("cdc-xu", pages)
    page = await other.get(where)
    assert "What cannot be done now, and why" in page.text
    assert "Your post does not have the duty for this step" in page.text
    assert 'value="confirm"' not in page.text
    for step, status in (("confirm", 403), ("correct", 403), ("fly", 422)):
        await other.get(where)
        assert (await other.send(where, step=step)).status_code == status
    page = await other.get(f"{where}?lang=zh")
    assert "您的岗位没有办理此步骤的职责" in page.text
    checker = await county.enter("cdc-wu", pages)
    await checker.get(where)
    assert (await checker.send(where, step="return", words=" ")).status_code == 422
    assert (await task_of(county, where)).version == 1


async def test_who_entered_a_card_does_not_see_it_open_to_confirm(
    county: Clinic, pages: Starlette
) -> None:
    doctor, where = await entered(county, pages)
    page = await doctor.get(where)
    assert re.search(r"<dt>Confirm</dt>\s*<dd>Your role does not take this step", page.text)
    assert (await doctor.send(where, step="confirm")).status_code == 403


async def test_what_a_rule_refuses_is_not_stored(county: Clinic, pages: Starlette) -> None:
    browser = await county.enter("dr-li", pages)
    where = f"/cards/of/{county.ids['hospital-a Patient']}"
    await browser.get(where)
    answer = await browser.send(where, disease="fracture", diagnosed="2026-01-01T00:00+08:00")
    assert answer.status_code == 422
    assert "not notifiable" in answer.text
    ours = records(county, DOCTOR)
    assert (await ours.find("Task", count=9)).matches == ()
    assert (await ours.find("QuestionnaireResponse", count=9)).matches == ()


async def test_of_two_who_take_a_step_at_once_one_is_first(
    county: Clinic, pages: Starlette
) -> None:
    _, where = await entered(county, pages)
    workflow, stored = application().workflow, await task_of(county, where)
    assert workflow is not None
    flow, case = workflow, read_case(workflow, body_of(stored), ZONE)
    checker = Actor(
        "cdc-wu", "public_health_worker", "cdc-wu", CENTRE, duties=frozenset({"infection_report"})
    )

    async def step(code: str) -> str:
        moment = datetime.fromtimestamp(county.guard.now() / 1e6, ZONE)
        facts = {"cards_of_person": 1}
        asking = Asking(actor=checker, moment=moment, zone=ZONE, facts=facts)
        taken = take(flow, code, case, asking, words="one of two")
        try:
            await records(county, checker).transact(taken.entries)
        except PreconditionFailed:
            return "late"
        return code

    steps = ["confirm", "return"] * 4
    answers = await asyncio.gather(*map(step, steps))
    assert answers.count("late") == len(steps) - 1
    stored = await task_of(county, where)
    assert stored.version == 2
    (won,) = [one for one in answers if one != "late"]
    reached = {"confirm": "ended", "return": "returned"}[won]
    assert body_of(stored)["businessStatus"]["coding"][0]["code"] == reached
    # Whoever reads first and comes later is told that the state forbids it.
    late = read_case(flow, body_of(stored), ZONE)
    asking = Asking(actor=checker, moment=datetime.now(ZONE), zone=ZONE)
    with pytest.raises(Conflict):
        take(flow, won, late, asking, words="again")


async def test_the_page_tells_who_comes_second_that_somebody_was_first(
    county: Clinic, pages: Starlette
) -> None:
    _, where = await entered(county, pages)
    checker = await county.enter("cdc-wu", pages)
    await checker.get(where)
    asked = [checker.send(where, step="return", words=f"{one} of two") for one in ("one", "other")]
    statuses = sorted([answer.status_code for answer in await asyncio.gather(*asked)])
    assert statuses[0] == 303
    assert statuses[1] in {409, 412}


async def test_without_a_right_to_the_task_the_workflow_opens_nothing(
    county: Clinic, pages: Starlette
) -> None:
    _, where = await entered(county, pages)
    elsewhere = Actor("dr-wang", "doctor", "Dr Wang", "hospital-b")
    await county.add(elsewhere)
    browser = await county.enter("dr-wang", pages)
    assert (await browser.get(where)).status_code == 404
    with pytest.raises(Forbidden):
        await records(county, elsewhere).find("Observation", count=1)
