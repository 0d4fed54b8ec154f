"""Report cards over the real guard: entered at a hospital from a visit, checked there, reviewed at
the county's centre, returned, revised, merged, handed over; and a card of port quarantine.
"""

from __future__ import annotations

import asyncio
import json
import re
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from clinic import MAN, Clinic, with_check_digit
from reporting import (
    BESIDE,
    CODES,
    DISEASE,
    DOCTOR,
    SUBTYPE,
    answers,
    entered,
    now_of,
    pages_of,
    records,
    settle,
    shown,
    state_of,
    step,
    task_of,
)
from starlette.applications import Starlette
from workers import at_work

from quanmin.base.jobs import JobLimits, Worker
from quanmin.fhir.json import decode
from quanmin.node.naming import NAME_PERSONS, name_persons_kind
from quanmin.trust import Actor
from quanmin.web import DeclaredRecords
from quanmin.web.application import discover
from quanmin.web.clocks import Clocks


@pytest.fixture
async def county(clinic: Clinic) -> Clinic:
    return await settle(clinic)


@pytest.fixture
def pages(county: Clinic) -> Starlette:
    return pages_of(county)


async def test_a_card_goes_its_whole_way(county: Clinic, pages: Starlette) -> None:
    doctor = await county.enter("dr-li", pages)
    page = await doctor.get(f"/infectious/of/{county.ids['hospital-a Patient']}")
    assert page.status_code == 200, page.text
    filled = shown(page.text)
    assert filled["person/name"] == "张伟"
    assert filled["person/birth"] == "1980-05-03"
    where = await entered(county, doctor)
    task = await task_of(county, where)
    assert state_of(task) == "entered"
    # The clock began with the diagnosis, an hour before the card.
    end = datetime.fromisoformat(task["restriction"]["period"]["end"])
    begun = end - timedelta(hours=23, minutes=30)
    # The hour was written down in whole minutes, and some seconds have gone by since.
    assert timedelta() <= now_of(county) - begun - timedelta(hours=1) < timedelta(minutes=2)
    assert "not receive" not in page.text
    checker, centre = await county.enter("pre-sun", pages), await county.enter("cdc-wu", pages)
    for browser, language, words in (
        (checker, "en", "Report cards: "),
        (checker, "zh", "报告卡："),
    ):
        assert words in (await browser.get(f"/?lang={language}")).text
    assert "Report cards" not in (await centre.get("/")).text, "the hospital checks it first"
    await step(checker, where, "check")
    task = await task_of(county, where)
    assert state_of(task) == "reported"
    receipt = task["identifier"][0]["value"]
    assert receipt.startswith("580101-")
    assert "Report cards" in (await centre.get("/")).text
    page = await centre.get("/infectious?state=reported")
    assert receipt in page.text
    assert "Measles" in page.text
    again = await centre.get(f"{where}?large=1")
    assert f'<form method="post" action="{where}?large=1"' in again.text
    page = await centre.get(where)
    assert "in time" in page.text
    await step(centre, where, "confirm")
    assert state_of(await task_of(county, where)) == "confirmed"
    # The resident sees where the card stands.
    resident = await county.enter("resident", pages)
    page = await resident.get("/infectious")
    assert receipt in page.text
    assert "Confirmed" in page.text


async def test_an_outbreak_and_what_has_no_known_cause_are_due_within_two_hours(
    county: Clinic, pages: Starlette
) -> None:
    doctor, checker = await county.enter("dr-li", pages), await county.enter("pre-sun", pages)
    asked = {"rubella": {"case__outbreak": "true"}, "unexplained-disease": {}, "mumps": {}}
    hours = {}
    for disease, more in asked.items():
        where = await entered(county, doctor, disease=disease, **more)
        reported = await task_of(county, where)
        await step(checker, where, "check")
        reviewed, ends = await task_of(county, where), []
        for task in (reported, reviewed):
            # The first timer goes off half an hour before the end.
            end = datetime.fromisoformat(task["restriction"]["period"]["end"])
            end += timedelta(minutes=30)
            ends.append(round((end - now_of(county)) / timedelta(hours=1)))
        hours[disease] = (reported["priority"], *ends)
    assert hours == {
        "rubella": ("stat", 1, 2),
        "unexplained-disease": ("stat", 1, 2),
        "mumps": ("routine", 23, 24),
    }


async def test_what_is_wrong_is_told_and_what_was_filled_in_stays(
    county: Clinic, pages: Starlette
) -> None:
    doctor = await county.enter("dr-li", pages)
    where = f"/infectious/of/{county.ids['hospital-a Patient']}"
    await doctor.get(where)
    moment = now_of(county)
    filled = {"person/name": "张伟", "person/birth": "1980-05-03",
              "person/sex": "http://hl7.org/fhir/administrative-gender|male"}  # fmt: skip
    for more, said in (
        ({"case__onset": f"{moment + timedelta(days=1):%Y-%m-%d}"}, "onset lies after"),
        ({"case__diagnosed": f"{moment + timedelta(hours=1):%Y-%m-%dT%H:%M}"}, "in the future"),
        ({"case__death": "2020-01-01"}, "death lies before"),
        ({"disease": "malaria"}, "Name the subtype"),
        ({"disease": "malaria", "case__subtype": f"{SUBTYPE}|hepatitis-a"}, "Name the subtype"),
        ({"person__area": "12"}, "not in the form"),
        ({"person__birth": "2020-05-03"}, "name of a parent"),
    ):
        answer = await doctor.send(where, **{**filled, **answers(moment, **more)})
        assert answer.status_code == 422, more
        assert said in answer.text, more
        assert shown(answer.text)["person/address"] == "青县一路 1 号"
    assert (await records(county, DOCTOR).find("Task", count=9)).matches == ()


async def test_a_disease_is_typed_and_chosen_of_what_is_found(
    county: Clinic, pages: Starlette
) -> None:
    doctor = await county.enter("dr-li", pages)
    where = f"/infectious/of/{county.ids['hospital-a Patient']}"
    page = await doctor.get(where)
    assert "Mpox" not in page.text  # no list of them all
    fields = {**shown(page.text), **answers(now_of(county))}
    del fields["case/disease"]
    looked = {**fields, "case/disease~find": "mz", "do": "find case/disease"}
    page = await doctor.send(where, **looked)
    assert f'value="{DISEASE}|measles"' in page.text
    box = page.text[: page.text.index('"case/disease~find"')].rpartition("data-codes=")[2]
    source = re.match('"([^"]+)"', box)
    assert source
    found = await doctor.send("/codes", of=source[1], words="mazhen")
    assert [one["words"] for one in found.json()["listed"]] == ["Measles"]
    answer = await doctor.send(where, **{**fields, "case/disease~find": "no such disease"})
    assert answer.status_code == 422
    answer = await doctor.send(where, **{**fields, "case/disease~find": "麻疹"})
    assert answer.status_code == 303, answer.text
    assert "Measles" in (await doctor.get(answer.headers["location"])).text


async def test_nobody_at_another_institution_sees_a_card(county: Clinic, pages: Starlette) -> None:
    where = await entered(county, await county.enter("dr-li", pages))
    for code in ("cdc-qi", "cdc-gao", "port-he"):
        other = await county.enter(code, pages)
        assert (await other.get(where)).status_code == 404, code
        assert where not in (await other.get("/infectious")).text


async def test_a_case_under_the_measures_of_class_a_is_confirmed_above(
    county: Clinic, pages: Starlette
) -> None:
    where = await entered(county, await county.enter("dr-li", pages), disease="cholera")
    task = await task_of(county, where)
    assert task["priority"] == "stat"
    await step(await county.enter("pre-sun", pages), where, "check")
    centre = await county.enter("cdc-wu", pages)
    page = await centre.get(where)
    assert "confirmed by the CDC above" in page.text
    await step(centre, where, "confirm", status=422)
    await step(centre, where, "pass_up")
    task = await task_of(county, where)
    assert task["owner"]["identifier"]["value"] == CODES["cdc-city"]
    await step(centre, where, "confirm", status=422)
    city = await county.enter("cdc-gao", pages)
    await step(city, where, "confirm")
    assert state_of(await task_of(county, where)) == "confirmed"


async def test_a_returned_card_is_corrected_and_keeps_its_history(
    county: Clinic, pages: Starlette
) -> None:
    doctor = await county.enter("dr-li", pages)
    where = await entered(county, doctor)
    checker = await county.enter("pre-sun", pages)
    await step(checker, where, "return_inside", status=422, words=" ")
    await step(checker, where, "return_inside", words="No address")
    page = await doctor.get(f"{where}/correct")
    assert page.status_code == 200, page.text
    fields = {**shown(page.text), "person/address": "青县二路 2 号", "do": "send"}
    answer = await doctor.send(f"{where}/correct", **fields)
    assert answer.status_code == 303, answer.text
    task = await task_of(county, where)
    assert state_of(task) == "entered"
    card = task["focus"]["reference"].partition("/")[2]
    batch = await records(county, DOCTOR)._records.history(
        "QuestionnaireResponse", card, count=9, cursor=None
    )
    assert [decode(one.body or b"{}")["status"] for one in batch.versions] == [
        "amended", "completed",
    ]  # fmt: skip


async def test_a_diagnosis_that_changes_after_the_review_is_revised(
    county: Clinic, pages: Starlette
) -> None:
    doctor = await county.enter("dr-li", pages)
    where = await entered(county, doctor)
    checker, centre = await county.enter("pre-sun", pages), await county.enter("cdc-wu", pages)
    await step(checker, where, "check")
    await step(centre, where, "confirm")
    receipt = (await task_of(county, where))["identifier"]
    page = await doctor.get(f"{where}/revise")
    fields = {**shown(page.text), **answers(now_of(county), disease="rubella")}
    answer = await doctor.send(f"{where}/revise", **fields)
    assert answer.status_code == 303, answer.text
    page = await doctor.get(where)
    assert "Rubella" in page.text
    assert "麻疹" in page.text  # the disease before the revision
    await step(checker, where, "check")
    task = await task_of(county, where)
    assert task["identifier"] == receipt
    await step(centre, where, "confirm")
    # A death afterwards, with its day.
    page = await doctor.get(f"{where}/report_death")
    fields = {**shown(page.text), "do": "send"}
    answer = await doctor.send(f"{where}/report_death", **fields)
    assert answer.status_code == 422
    assert "day of death" in answer.text
    day = f"{now_of(county):%Y-%m-%d}"
    answer = await doctor.send(f"{where}/report_death", **{**fields, "case/death": day})
    assert answer.status_code == 303, answer.text
    assert state_of(await task_of(county, where)) == "entered"


async def test_a_form_that_is_sent_twice_begins_one_case(county: Clinic, pages: Starlette) -> None:
    doctor = await county.enter("dr-li", pages)
    where = f"/infectious/of/{county.ids['hospital-a Patient']}"
    fields = {**shown((await doctor.get(where)).text), **answers(now_of(county))}
    fields["token"] = doctor.token
    first, again = [one.headers["location"] for one in await doctor.send_twice(where, **fields)]
    assert first == again
    # What was changed on the page that one went back to is another card.
    other = await doctor.send(where, **{**fields, "case/disease": f"{DISEASE}|rubella"})
    assert other.headers["location"] != first
    for type_ in ("Task", "QuestionnaireResponse"):
        assert len((await records(county, DOCTOR).find(type_, count=9)).matches) == 2, type_


async def test_before_a_card_is_sent_it_is_the_hospitals_and_then_the_centres_to_end(
    county: Clinic, pages: Starlette
) -> None:
    doctor = await county.enter("dr-li", pages)
    checker, centre = await county.enter("pre-sun", pages), await county.enter("cdc-wu", pages)
    where, mistake = await entered(county, doctor), await entered(county, doctor, disease="mumps")
    inner = {"check": "", "return_inside": "No address", "withdraw": "A mistake"}
    for code, words in inner.items():
        told = await step(centre, where, code, 422, words=words)
        assert "entered by another institution" in told, code
    await step(doctor, mistake, "exclude", 409, words="A mistake")
    await step(doctor, mistake, "withdraw", words="A mistake")
    assert state_of(await task_of(county, mistake)) == "withdrawn"
    await step(checker, where, "check")
    # Confirmed and come back for a revision, it is known to the centre and not one doctor's to end.
    await step(centre, where, "confirm")
    page = await doctor.get(f"{where}/revise")
    fields = {**shown(page.text), "person/address": "青县二路 2 号", "do": "send"}
    assert (await doctor.send(f"{where}/revise", **fields)).status_code == 303
    assert "declares it void" in await step(doctor, where, "withdraw", 422, words="A mistake")
    await step(checker, where, "return_inside", words="Which address?")
    correct = await centre.send(f"{where}/correct", **fields)
    assert correct.status_code == 422
    assert "entered by another institution" in correct.text
    await step(doctor, where, "exclude", words="It is no case at all")
    await step(centre, where, "void", words="Excluded")
    assert state_of(await task_of(county, where)) == "withdrawn"


async def test_a_second_card_of_the_same_case_is_kept_with_a_reason_or_merged(
    county: Clinic, pages: Starlette
) -> None:
    doctor = await county.enter("dr-li", pages)
    checker, centre = await county.enter("pre-sun", pages), await county.enter("cdc-wu", pages)
    first = await entered(county, doctor)
    second = await entered(county, doctor)
    other = await entered(county, doctor, disease="rubella")
    page = await checker.get(second)
    assert "Cards of the same person and disease" in page.text
    assert first in page.text
    assert other not in page.text
    await step(checker, second, "check", status=422)
    await step(checker, second, "check", words="Two visits, both are to be seen by the centre")
    await step(checker, first, "check", words="The first")
    await step(centre, second, "confirm", status=422)
    await step(centre, second, "merge", status=422, into="none", words="The same case")
    await step(centre, second, "merge", into=first.rpartition("/")[2], words="The same case")
    task = await task_of(county, second)
    assert state_of(task) == "merged"
    assert task["partOf"] == [{"reference": f"Task/{first.rpartition('/')[2]}"}]
    # The one that is left is no duplicate of what was merged.
    await step(centre, first, "confirm")


async def test_of_two_cards_merged_into_each_other_at_once_one_is_left(
    county: Clinic, pages: Starlette, monkeypatch: pytest.MonkeyPatch
) -> None:
    doctor, checker = await county.enter("dr-li", pages), await county.enter("pre-sun", pages)
    centre = await county.enter("cdc-wu", pages)
    first, second, third = [await entered(county, doctor) for _ in range(3)]
    await step(checker, first, "check", words="The first")
    # What the hospital may still withdraw is nothing to merge into.
    told = await step(centre, first, "merge", 422, into=third.rpartition("/")[2], words="The same")
    assert "choose the card" in told
    assert f'value="{third.rpartition("/")[2]}"' not in (await centre.get(first)).text
    await step(checker, second, "check", words="The second")
    merges, both_have_read = ((first, second), (second, first)), asyncio.Barrier(2)
    real = DeclaredRecords.transact

    async def transact(*entries: Any, **more: Any) -> Any:
        await both_have_read.wait()
        return await real(*entries, **more)

    monkeypatch.setattr(DeclaredRecords, "transact", transact)
    answers = await asyncio.gather(
        *(
            centre.send(one, step="merge", into=into.rpartition("/")[2], words="The same")
            for one, into in merges
        )
    )
    assert sorted(answer.status_code for answer in answers) == [303, 412]
    states = sorted([state_of(await task_of(county, one)) for one in (first, second)])
    assert states == ["merged", "reported"]


async def test_a_card_that_is_returned_has_as_long_again(county: Clinic, pages: Starlette) -> None:
    doctor, checker = await county.enter("dr-li", pages), await county.enter("pre-sun", pages)
    centre = await county.enter("cdc-wu", pages)
    where = await entered(county, doctor)
    await step(checker, where, "check")
    later = county.guard.now() + 30 * 3_600_000_000
    county.guard.now = lambda: later  # past the 24 hours of the diagnosis
    centre = await county.enter("cdc-wu", pages)
    await step(centre, where, "return", words="No address")
    period = (await task_of(county, where))["restriction"]["period"]
    assert datetime.fromisoformat(period["end"]) - now_of(county) == timedelta(hours=24)
    assert await Clocks(county.guard, discover()).fire() == 0


async def test_the_person_of_a_case_has_a_pseudonym_that_needs_the_key_of_the_node(
    county: Clinic, pages: Starlette
) -> None:
    doctor = await county.enter("dr-li", pages)
    first, second = [await entered(county, doctor) for _ in range(2)]
    task, other = await task_of(county, first), await task_of(county, second)
    digest = sha256(with_check_digit(MAN).encode()).hexdigest()
    assert task["groupIdentifier"] == other["groupIdentifier"]
    assert task["groupIdentifier"]["value"] != digest
    # What was entered when the digest stood there is given one by a job.
    stale = {**task, "groupIdentifier": {**task["groupIdentifier"], "value": digest}}
    node = county.guard.records(Actor("node", "operator", "n", "node"), purpose="PUBHLTH",
                                request_id="r").within("infectious_report")  # fmt: skip
    await node.update("Task", task["id"], json.dumps(stale).encode())
    assert (await task_of(county, first))["groupIdentifier"]["value"] == digest
    put = "insert into jobs.job (kind, owner, payload, once) values ($1, 'node', '{}', $1)"
    await county.pool.execute(put, NAME_PERSONS)
    worker = Worker(county.pool, [name_persons_kind(county.guard)], JobLimits(places=1))
    asked = "select state from jobs.job"
    async with at_work(worker):
        for _ in range(300):
            if await county.pool.fetchval(asked) not in {"waiting", "running"}:
                break
            await asyncio.sleep(0.02)
    assert await county.pool.fetchval(asked) == "done"
    assert (await task_of(county, first))["groupIdentifier"] == other["groupIdentifier"]
    assert (await task_of(county, second)) == other


async def test_duplicates_are_found_across_institutions_by_the_centre(
    county: Clinic, pages: Starlette
) -> None:
    first = await entered(county, await county.enter("dr-li", pages))
    second = await entered(county, await county.enter("dr-bai", pages), "hospital-b")
    ours, theirs = await county.enter("pre-sun", pages), await county.enter("pre-lin", pages)
    # A hospital is shown no card of another one, and sends its own.
    assert second not in (await ours.get(first)).text
    await step(ours, first, "check")
    await step(theirs, second, "check")
    centre = await county.enter("cdc-wu", pages)
    page = await centre.get(second)
    assert first in page.text
    assert "青县人民医院" in page.text
    assert "白市中心医院" in page.text
    await step(centre, second, "confirm", status=422)
    await step(centre, second, "merge", into=first.rpartition("/")[2], words="The same case")
    await step(centre, first, "confirm")
    task = await task_of(county, first)
    assert "580101198005030" not in json.dumps(task)  # the number stands on the card alone


async def test_a_card_is_handed_over_to_where_the_person_lives(
    county: Clinic, pages: Starlette
) -> None:
    where = await entered(county, await county.enter("dr-li", pages), person__area=BESIDE)
    await step(await county.enter("pre-sun", pages), where, "check")
    here, there = await county.enter("cdc-wu", pages), await county.enter("cdc-qi", pages)
    assert (await there.get(where)).status_code == 404
    await step(here, where, "hand_over")
    task = await task_of(county, where)
    assert state_of(task) == "handed_over"
    page = await there.get("/infectious?state=handed_over")
    assert where in page.text
    await step(here, where, "take_over", status=422)
    await step(there, where, "send_back", words="Lives elsewhere by now")
    task = await task_of(county, where)
    assert (state_of(task), task["owner"]["identifier"]["value"]) == ("reported", CODES["cdc-here"])
    await step(here, where, "hand_over")
    await step(there, where, "take_over")
    await step(there, where, "confirm")
    task = await task_of(county, where)
    assert task["owner"]["identifier"]["value"] == CODES["cdc-beside"]


async def test_a_card_of_a_port_goes_to_where_the_person_stays(
    county: Clinic, pages: Starlette
) -> None:
    port = await county.enter("port-he", pages)
    page = await port.get("/infectious/port")
    assert page.status_code == 200, page.text
    gender = "http://hl7.org/fhir/administrative-gender|female"
    fields = {
        **shown(page.text),
        **answers(now_of(county), disease="dengue", person__area=BESIDE),
        "person/name": "王芳",
        "person/sex": gender,
        "person/birth": "1990-01-01",
        "person/document": "E12345678",
        "abroad/imported": "true",
        "abroad/country": "A country",
        "abroad/port": "青市机场",
        "abroad/arrived": f"{now_of(county):%Y-%m-%d}",
    }
    answer = await port.send("/infectious/port", **fields)
    assert answer.status_code == 422  # without the flight
    fields["abroad/flight"] = "XX 123"
    tomorrow = f"{now_of(county) + timedelta(days=1):%Y-%m-%d}"
    for more, said in (({"case/disease": f"{DISEASE}|malaria"}, "Name the subtype"),
                       ({"case/onset": tomorrow}, "onset lies after"),
                       ({"case/death": "2020-01-01"}, "death lies before")):  # fmt: skip
        answer = await port.send("/infectious/port", **{**fields, **more})
        assert answer.status_code == 422, more
        assert said in answer.text
    answer = await port.send("/infectious/port", **fields)
    assert answer.status_code == 303, answer.text
    where = answer.headers["location"]
    there = await county.enter("cdc-qi", pages)
    page = await there.get(where)
    assert "XX 123" in page.text
    await step(there, where, "take_over")
    await step(there, where, "confirm")
    page = await port.get(where)
    assert "Confirmed" in page.text


async def test_an_hiv_card_is_seen_by_those_alone_who_process_it(
    county: Clinic, pages: Starlette
) -> None:
    doctor = await county.enter("dr-li", pages)
    where = await entered(
        county, doctor, disease="aids", case__subtype=f"{SUBTYPE}|hiv", person__area=BESIDE
    )
    labels = {one["code"] for one in (await task_of(county, where))["meta"]["security"]}
    assert "HIV" in labels
    await step(await county.enter("pre-sun", pages), where, "check")
    here, there = await county.enter("cdc-wu", pages), await county.enter("cdc-qi", pages)
    await step(here, where, "hand_over")
    await step(there, where, "take_over")
    await step(there, where, "confirm")
    other = Actor("cdc-mu", "public_health_worker", "木", "cdc-here")
    await county.add(other)  # at the centre, without the duty
    assert "AIDS" not in (await (await county.enter("cdc-mu", pages)).get("/infectious")).text
