"""Severe mental disorders over the real guard: registered, visited, reported; and nobody who is not
charged with them sees a difference.
"""

from __future__ import annotations

import asyncio
import html
import re
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from clinic import MAN, Browser, Clinic, with_check_digit
from disorders import KEEPER, OWN, day, fill, register, said, settle, visit
from persons import query
from reporting import CODES, pages_of, records
from starlette.applications import Starlette
from stores import START

from quanmin.base.problems import NotFound
from quanmin.fhir.json import decode, encode
from quanmin.trust import Actor
from quanmin.trust.registers.proxies import Proxies

TYPES = ("CarePlan", "RiskAssessment", "QuestionnaireResponse", "Task")


@pytest.fixture
async def county(clinic: Clinic) -> Clinic:
    return await settle(clinic)


@pytest.fixture
def pages(county: Clinic) -> Starlette:
    return pages_of(county)


async def test_somebody_is_registered_visited_and_ended(county: Clinic, pages: Starlette) -> None:
    keeper, patient = await county.enter("mh-he", pages), county.ids["hospital-a Patient"]
    page = f"/mental-health/of/{patient}"
    found = await fill(keeper, "/mental-health/find", term=with_check_digit(MAN))
    assert found.headers["location"] == page
    for more, words in (
        ({"consent": f"{OWN}/mental-consent|refused"}, "Neither the person nor the guardian"),
        ({"diagnosed": "2999-01-01"}, "lies in the future"),
        ({"diagnosed": "2026-05"}, "Day of the diagnosis"),
        ({"guardian": ""}, "guardian"),
        ({"township": ""}, "Township"),
    ):
        refused = await register(county, keeper, **more)
        assert (refused.status_code, words in said(refused)) == (422, True), said(refused)
    unregistered = await visit(county, keeper, "0")
    assert (unregistered.status_code, "register first" in said(unregistered)) == (422, True)
    assert (await register(county, keeper)).status_code == 303
    again = await register(county, keeper)
    assert (again.status_code, "registered already" in said(again)) == (422, True)
    for more, words in (
        ({"on": "2999-01-01"}, "lies in the future"),
        ({"on": "2020-01-01"}, "before the registration"),
        ({"symptoms": f"{OWN}/mental-symptoms|marked"}, "where they are referred to"),
        ({"insight": ""}, "Insight"),
        ({"on": "yesterday"}, "Day of the visit"),
        ({"suicide": "many"}, "Attempted suicide"),
        ({"suicide": "-1"}, "Attempted suicide"),
    ):
        refused = await visit(county, keeper, "0", **more)
        assert (refused.status_code, words in said(refused)) == (422, True), said(refused)
    assert (await visit(county, keeper, "1")).headers["location"] == page
    told = await keeper.get(page)
    assert "basically stable" in said(told)
    (sheet,) = re.findall(r"/mental-health/of/[^/]+/sheets/[^\"]+", told.text)
    assert "The grade of danger is not 0" in said(await keeper.get(sheet))
    listed = said(await keeper.get("/mental-health?grade=1"))
    assert "Schizophrenia" in listed
    assert "Nobody is registered." in said(await keeper.get("/mental-health?grade=2"))
    assert "* stands for fewer than 5" in said(await keeper.get("/mental-health/counts"))
    sheet = (await keeper.get("/mental-health/counts.csv")).text
    assert re.search(r"青镇,\*,", sheet), sheet
    rows = said(await keeper.get("/mental-health/rows?township=青镇&grade=1"))
    assert "张伟" in rows
    planned = said(await keeper.get("/mental-health/due?status=planned"))
    assert "Follow-up visit" in planned
    # The day after the clock by which cases go is long over by that of the machine.
    tomorrow = f"{date.fromisoformat(day(county)) + timedelta(days=1)}"
    early = await fill(keeper, f"{page}/end", end=f"{OWN}/mental-end|moved", day=tomorrow)
    assert (early.status_code, "lies in the future" in said(early)) == (422, True), said(early)
    ended = await fill(keeper, f"{page}/end", end=f"{OWN}/mental-end|moved", day=day(county))
    assert ended.status_code == 303, said(ended)
    assert "Nobody is registered." in said(await keeper.get("/mental-health"))
    await taken_back(county, keeper, page)
    ended = await fill(keeper, f"{page}/end", end=f"{OWN}/mental-end|moved", day=day(county))
    assert ended.status_code == 303, said(ended)
    assert (await register(county, keeper)).status_code == 303


async def taken_back(county: Clinic, keeper: Browser, page: str) -> None:
    assert "The end was a mistake" in said(await keeper.get(page))
    asked = said(await keeper.get(f"{page}/end"))
    assert "Take back the end of the follow-up" in asked
    assert (await keeper.send(f"{page}/end")).status_code == 422, "without a reason"
    back = await keeper.send(f"{page}/end", words="a brother had moved")
    assert back.status_code == 303, said(back)
    assert "Schizophrenia" in said(await keeper.get("/mental-health?grade=1"))
    assert "Follow-up visit" in said(await keeper.get("/mental-health/due?status=planned"))
    guarded = county.guard.records(KEEPER, purpose="PUBHLTH", request_id="r")
    (plan,) = (await guarded.search(query(county.guard, "CarePlan"))).matches
    kept = decode(plan.body or b"{}")
    assert kept["note"][0]["text"] == f"{day(county)}: a brother had moved"
    found = await guarded.search(query(county.guard, "QuestionnaireResponse"))
    answers = [decode(one.body or b"{}") for one in found.matches]
    ends = [one["status"] for one in answers if "/mental-end" in one["questionnaire"]]
    assert ends == ["entered-in-error"]


async def test_the_rows_behind_those_of_no_township_are_theirs(
    county: Clinic, pages: Starlette
) -> None:
    keeper = await county.enter("mh-he", pages)
    for patient in ("hospital-a Patient", "hospital-a crowd"):
        assert (await register(county, keeper, patient=county.ids[patient])).status_code == 303
    guarded = county.guard.records(KEEPER, purpose="PUBHLTH", request_id="r")
    for plan in (await guarded.search(query(county.guard, "CarePlan"))).matches:
        told = decode(plan.body or b"{}")
        if told["subject"]["reference"] == f"Patient/{county.ids['hospital-a crowd']}":
            del told["extension"]
            await guarded.update("CarePlan", plan.id, encode(told))
    shown = await keeper.get("/mental-health/counts")
    links = re.findall(r'href="(/mental-health/rows[^"]+grade=none)"', shown.text)
    listed = [(await keeper.get(html.unescape(one))).text for one in links]
    people = [re.findall(r"/mental-health/of/([^/\"]+)\"", one) for one in listed]
    ids = {county.ids[one] for one in ("hospital-a Patient", "hospital-a crowd")}
    assert [len(one) for one in people] == [1, 1]
    assert {one[0] for one in people} == ids


async def test_of_two_who_register_at_once_there_is_one(county: Clinic, pages: Starlette) -> None:
    both = [await county.enter("mh-he", pages) for _ in range(2)]
    answers = await asyncio.gather(*(register(county, one) for one in both))
    assert {one.status_code for one in answers} <= {303, 409, 412, 422}
    guarded = county.guard.records(KEEPER, purpose="PUBHLTH", request_id="r")
    assert len((await guarded.search(query(county.guard, "CarePlan"))).matches) == 1


async def test_an_emergency_goes_to_the_county_and_ends_with_a_visit(
    county: Clinic, pages: Starlette
) -> None:
    keeper, centre = await county.enter("mh-he", pages), await county.enter("mh-cao", pages)
    await register(county, keeper)
    sent = await visit(county, keeper, "4", referred="青市第四人民医院", suicide="1")
    case = sent.headers["location"]
    assert case.startswith("/mental-health/emergencies/"), said(sent)
    once = await visit(county, keeper, "4", referred="同上")
    assert once.headers["location"].startswith("/mental-health/of/")
    task = decode(
        (await records(county, KEEPER, "mental_health").read("Task", case.rpartition("/")[2])).body
        or b"{}"
    )
    codes = {one["code"] for one in task["meta"]["security"]}
    assert {"PSY", "mental", "mental_health", CODES["cdc-here"]} <= codes
    assert "张伟" in said(await centre.get("/mental-health/emergencies"))
    await centre.get(case)
    nothing = await centre.send(case, step="inform", words="")
    assert nothing.status_code == 422
    await centre.get(case)
    assert (await centre.send(case, step="inform", words="派出所，20:10")).status_code == 303
    await keeper.get(case)
    assert (await keeper.send(case, step="handle", words="送市四医院")).status_code == 303
    assert "No visit since it was handled" in said(await keeper.get(case))
    assert (await keeper.send(case, step="close")).status_code == 422, "by the visit that found it"
    again = await visit(county, keeper, "3", referred="市四医院")
    other = again.headers["location"]
    assert other.startswith("/mental-health/emergencies/"), "the one that was handled tells nobody"
    assert other != case
    assert "Still unstable" in said(await keeper.get(case))
    await visit(county, keeper, "1")
    shown = await keeper.get(case)
    assert "later than" not in said(shown)
    assert (await keeper.send(case, step="close")).status_code == 303
    await is_closed_when_nobody_follows(county, keeper, other)


async def is_closed_when_nobody_follows(county: Clinic, keeper: Browser, case: str) -> None:
    """Who has died is not visited: what is open of them is closed with words."""
    await keeper.get(case)
    early = await keeper.send(case, step="close_unseen", words="死亡")
    assert (early.status_code, "see them, then close it" in said(early)) == (422, True)
    page = f"/mental-health/of/{county.ids['hospital-a Patient']}"
    ended = await fill(keeper, f"{page}/end", end=f"{OWN}/mental-end|died", day=day(county))
    assert ended.status_code == 303, said(ended)
    await keeper.get(case)
    assert (await keeper.send(case, step="close_unseen")).status_code == 422, "without words"
    assert (await keeper.send(case, step="close_unseen", words="死亡")).status_code == 303
    assert "Closed" in said(await keeper.get(case))


async def test_of_two_late_visits_at_once_one_begins_the_emergency(
    county: Clinic, pages: Starlette
) -> None:
    one = await county.enter("mh-he", pages)
    since = f"{date.fromisoformat(day(county)) - timedelta(days=9)}"
    late = f"{date.fromisoformat(day(county)) - timedelta(days=3)}"
    await register(county, one, diagnosed=since)
    guarded = county.guard.records(KEEPER, purpose="PUBHLTH", request_id="r")
    (plan,) = (await guarded.search(query(county.guard, "CarePlan"))).matches
    begun = {**decode(plan.body or b"{}"), "period": {"start": since}}
    await guarded.update("CarePlan", plan.id, encode(begun))
    assert (await visit(county, one, "0")).status_code == 303
    both = [one, await county.enter("mh-he", pages)]
    answers = await asyncio.gather(
        *(visit(county, each, "4", on=late, referred="青市第四人民医院") for each in both)
    )
    assert {answer.status_code for answer in answers} == {303}, [*map(said, answers)]
    assert len((await guarded.search(query(county.guard, "Task"))).matches) == 1
    assert len((await guarded.search(query(county.guard, "RiskAssessment"))).matches) == 3
    told = "select count(*) from trust.notice where matter like 'Task/%' and withdrawn_at is null"
    assert await county.pool.fetchval(told) > 0


async def seen(clinic: Clinic, pages: Starlette, code: str) -> list[Any]:
    """All that somebody sees of the man and of lists, on pages and through the guard."""
    browser, patient = await clinic.enter(code, pages), clinic.ids["hospital-a Patient"]
    paths = (
        *("/", f"/person/{patient}", f"/person/{patient}/timeline", "/infectious", "/notices"),
        *("/mental-health", "/mental-health/due", "/mental-health/counts"),
        *(f"/mental-health/of/{patient}", "/mental-health/emergencies", "/vaccination"),
    )
    found: list[Any] = []
    for path in paths:
        page = await browser.get(path)
        found.append((path, page.status_code, re.sub(r"[\w-]{20,}", "", said(page))))
    actors = await clinic.sign_in.actors.of_account(code)
    found += await read_by(clinic, actors[0])
    await browser.client.aclose()
    return found


async def read_by(clinic: Clinic, actor: Actor) -> list[Any]:
    """All that somebody gets of the man through the guard, for whatever purpose."""
    patient, found = clinic.ids["hospital-a Patient"], list[Any]()
    for purpose in ("TREAT", "PUBHLTH", "ETREAT", "HOPERAT"):
        guarded = clinic.guard.records(actor, purpose=purpose, request_id="r")
        for type_ in TYPES:
            asked = query(clinic.guard, type_, _total="accurate", _count="50")
            hits = await guarded.search(asked)
            found.append((purpose, type_, [one.id for one in hits.matches], hits.total))
        try:
            timeline = await guarded.timeline(patient, types=TYPES, count=50)
            found.append((purpose, [one.id for one in timeline.entries]))
        except NotFound:
            found.append((purpose, "not found"))
    return found


OTHERS = ("dr-li", "pre-sun", "mh-yu", "cdc-wu", "cdc-qi", "dr-bai")


async def test_who_is_not_charged_with_it_sees_no_difference(
    county: Clinic, pages: Starlette
) -> None:
    """A doctor and a preventer of the same institution, those charged with it elsewhere, and the
    county's staff for other matters.
    """
    before = {code: await seen(county, pages, code) for code in OTHERS}
    system = Actor("hospital-a", "institution", "the system of the hospital", "hospital-a")
    read = await read_by(county, system)
    keeper = await county.enter("mh-he", pages)
    await register(county, keeper)
    sent = await visit(county, keeper, "4", referred="青市第四人民医院")
    assert sent.headers["location"].startswith("/mental-health/emergencies/")
    for code in OTHERS:
        assert await seen(county, pages, code) == before[code], code
    assert await read_by(county, system) == read
    guarded = county.guard.records(KEEPER, purpose="PUBHLTH", request_id="r")
    assert (await guarded.search(query(county.guard, "CarePlan"))).matches


async def test_the_person_sees_the_own_follow_up(county: Clinic, pages: Starlette) -> None:
    keeper, resident = await county.enter("mh-he", pages), await county.enter("resident", pages)
    await register(county, keeper)
    await visit(county, keeper, "0")
    found = await resident.get("/mental-health/find")
    page = await resident.get(found.headers["location"])
    assert "Schizophrenia" in said(page)
    assert "Record a visit" not in said(page)
    (sheet,) = re.findall(r"/mental-health/of/[^/]+/sheets/[^\"]+", page.text)
    assert (await resident.get(sheet)).status_code == 200
    assert (await resident.get("/mental-health")).status_code == 403


async def test_a_guardian_sees_what_the_person_does_while_they_act_for_them(
    county: Clinic, pages: Starlette
) -> None:
    keeper, patient = await county.enter("mh-he", pages), county.ids["hospital-a Patient"]
    await register(county, keeper)
    sent = await visit(county, keeper, "4", referred="青市第四人民医院")
    persons = [
        await county.pool.fetchval(
            "select person from people.link where patient = $1",
            county.guard.store.context.rid_of("Patient", county.ids[name]),
        )
        for name in ("hospital-a crowd", "hospital-a Patient")
    ]
    await county.add(Actor("wife", "resident", "欧阳明月", "", str(persons[0])))
    wife, page = await county.enter("wife", pages), f"/mental-health/of/{patient}"
    assert (await wife.get(page)).status_code == 404, "to be related is no ground"
    day_micro = 86_400_000_000
    proxies = Proxies(county.pool, ZoneInfo("Asia/Shanghai"))
    proxy = await proxies.enter(
        *persons,
        kind="guardian_of_adult",
        evidence="guardianship-decision",
        born=None,
        at=START - day_micro,
        until=START + 3000 * day_micro,
        by="test",
    )
    assert (await wife.get(page)).status_code == 404, "not before they say for whom they act"
    await wife.get("/acting-for")
    assert (await wife.send("/acting-for", whom=str(proxy.proxy))).status_code == 303
    own = (await wife.get("/mental-health/find")).headers["location"]
    told = await wife.get(own)
    assert {one in said(told) for one in ("Schizophrenia", "unstable")} == {True}
    assert "Record a visit" not in said(told)
    (sheet,) = re.findall(r"/mental-health/of/[^/]+/sheets/[^\"]+", told.text)
    assert "青市第四人民医院" in said(await wife.get(sheet))
    case = str(sent.headers["location"])
    staff = ("/mental-health", "/mental-health/due", "/mental-health/counts", case)
    forms = (f"{page}/{one}" for one in ("register", "visit", "end"))
    assert {(await wife.get(one)).status_code for one in (*staff, *forms)} == {403}
    assert "/mental-health" not in (await wife.get("/")).text, "no page that refuses is offered"
    noted = await county.pool.fetchval(
        "select count(*) from trust.access where role = 'guardian' and outcome = 'ok'"
        " and note = $1 and purpose = 'FAMRQT'",
        f"proxy:{proxy.proxy}",
    )
    assert noted, "the log says for whom, and that the family asked"
    await proxies.end(proxy.proxy, at=county.guard.now())
    assert (await wife.get(page)).status_code == 404
    assert (await wife.get(sheet)).status_code == 404
