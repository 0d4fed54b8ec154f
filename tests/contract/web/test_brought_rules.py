"""The rules of access that an application brings: what they open, to whom, where, and what stays
closed whatever they say.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec
import pytest
from cards import (
    BESIDE,
    CHECKERS,
    DOCTOR,
    KIT,
    body_of,
    entered,
    pages_of,
    records,
    settle,
)
from clinic import Clinic
from ruling import brought_by, under, written
from starlette.applications import Starlette

from quanmin.base.problems import Forbidden, Invalid, NotFound, Problem
from quanmin.fhir.json import encode
from quanmin.records.rid import assign, id_of
from quanmin.trust import Actor, GuardedRecords, Stored
from quanmin.trust.decisions import Asked, Decisions, Explained
from quanmin.web import DeclaredRecords, build
from quanmin.web.application import discover

CHECKER = CHECKERS[0]
RULE = "infection_card.centre-checks"
KEEPER = Actor("keeper", "security_administrator", "Keeper", "")


@pytest.fixture
async def county(clinic: Clinic) -> Clinic:
    return await settle(clinic)


@pytest.fixture
async def card(county: Clinic) -> str:
    """The id of the Task of a card that a hospital has entered."""
    _, where = await entered(county, pages_of(county))
    return where.rpartition("/")[2]


async def put(within: DeclaredRecords, body: dict[str, Any]) -> Stored:
    return (await within.update("Task", body["id"], encode(body))).stored


def door(county: Clinic, actor: Actor = CHECKER) -> GuardedRecords:
    """The guarded records on no page of an application, as the door for programs has them."""
    return county.guard.records(actor, purpose="PUBHLTH", request_id="r")


async def _update(within: Any, body: dict[str, Any], id_: str, **more: Any) -> None:
    await within.update("Task", id_, encode({**body, "id": id_}), **more)


async def refusal(asked: Any) -> tuple[int, str]:
    with pytest.raises(Problem) as refused:
        await asked
    return refused.value.status, refused.value.text


async def test_another_sender_changes_a_case_and_it_stays_the_hospitals(
    county: Clinic, card: str
) -> None:
    before = await records(county, DOCTOR).read("Task", card)
    changed = await put(records(county, CHECKER), {**body_of(before), "priority": "urgent"})
    assert changed.facts.sender == before.facts.sender
    assert changed.version == before.version + 1
    entry = await county.pool.fetchrow(
        "select * from trust.access where action = 'update' order by at desc, n desc limit 1"
    )
    assert entry is not None
    assert (entry["actor"], entry["records"]) == (CHECKER.code, [before.rid])
    assert f"{RULE}:1" in entry["rules"]
    # It is changed and not deleted, and what is no case of the workflow is nobody else's.
    with pytest.raises(Forbidden, match="not yours to change"):
        await door(county).within("infection_card").delete("Task", card)
    other = {"resourceType": "Task", "status": "requested", "intent": "order"}
    hospital = county.guard.records(DOCTOR, purpose="TREAT", request_id="r")
    made = (await hospital.create("Task", encode(other))).stored
    assert (await records(county, DOCTOR).read("Task", made.id)).id == made.id
    with pytest.raises(NotFound):
        await records(county, CHECKER).read("Task", made.id)


async def test_they_hold_on_the_pages_of_the_application_for_its_purpose_in_the_region(
    county: Clinic, card: str
) -> None:
    """Elsewhere a case is answered as an id that nothing has."""
    assert (await records(county, CHECKER).read("Task", card)).id == card
    body = body_of(await records(county, DOCTOR).read("Task", card))
    number = county.guard.store.context.definition("Task").number
    nothing = id_of(assign(99_999, 7, number), "q")
    purposes = [records(county, CHECKER, purpose) for purpose in ("TREAT", "HRESCH")]
    every: list[Any] = [door(county), records(county, BESIDE), *purposes]
    for closed in every:
        for asked in (
            partial(closed.read, "Task"),
            partial(closed.history, "Task", count=5),
            partial(_update, closed, body),
            partial(_update, closed, body, if_match=1),
        ):
            assert await refusal(asked(card)) == await refusal(asked(nothing))
    assert (await records(county, BESIDE).find("Task", count=5)).matches == ()
    assert (await records(county, DOCTOR).read("Task", card)).version == 1


async def test_a_rule_that_forbids_overrides_and_an_address_opens(
    county: Clinic, card: str
) -> None:
    (bounds,) = brought_by("trials")
    text = bounds.text.replace(b'among = ["region"]', b'among = ["region", "addressed"]')
    county.guard = under(county.guard, brought=[msgspec.structs.replace(bounds, text=text)])
    beside = records(county, BESIDE)
    with pytest.raises(NotFound):
        await beside.read("Task", card)
    label = {"system": "https://quanmin.example/fhir/addressed-to", "code": BESIDE.sender}
    task = body_of(await records(county, CHECKER).read("Task", card))
    task["meta"]["security"].append(label)
    await put(records(county, CHECKER), task)
    task = body_of(await beside.read("Task", card))
    await put(beside, {**task, "priority": "stat"})
    forbids = written("no-cards", 'roles = ["public_health_worker"]', '"region"', effect='"forbid"')
    county.guard = under(county.guard, forbids, brought=brought_by("trials"))
    with pytest.raises(NotFound):
        await records(county, CHECKER).read("Task", card)
    with pytest.raises(Invalid, match="there is no such record"):
        await put(records(county, CHECKER), task)


async def explained(county: Clinic, card: str, application: str) -> Explained:
    desk = door(county, KEEPER).desk(Decisions)
    asked = Asked(
        record=f"Task/{card}", purpose="PUBHLTH", actor=CHECKER.code, application=application
    )
    return await desk.explain(asked)


async def test_the_decisions_page_says_which_rule_and_from_where(county: Clinic, card: str) -> None:
    within = await explained(county, card, "infection_card")
    assert within.answer.seen == "whole"
    (rule,) = within.answer.deciding
    assert (rule.id, rule.application) == (RULE, "infection_card")
    outside = await explained(county, card, "")
    assert outside.answer.seen == "no"
    (step,) = [step for step in outside.answer.steps if step.rule.id == RULE]
    assert [one.code for one in step.findings] == ["application"]
    with pytest.raises(Invalid, match="no application of this name"):
        await explained(county, card, "nothing")
    await county.add(KEEPER)
    every = discover("quanmin.applications") + discover("trials")
    pages = Starlette(routes=build(county.guard, county.sign_in, KIT, installed=every))
    keeper = await county.enter("keeper", pages)
    listed = await keeper.get("/decisions/rules")
    assert RULE in listed.text
    assert "articles on reports" in listed.text
    assert "On pages of the application: infection_card" in listed.text
    asking = {"who": "actor", "actor": CHECKER.code, "record": f"Task/{card}"}
    await keeper.get("/decisions")
    answer = await keeper.send(
        "/decisions/answer", **asking, purpose="PUBHLTH", application="infection_card"
    )
    assert "<strong>Yes: the whole record.</strong>" in answer.text
