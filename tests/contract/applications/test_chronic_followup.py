"""The follow-up of chronic diseases over a real store: found, enrolled, visited, referred and
returned, counted, closed.
"""

from __future__ import annotations

import asyncio
import csv

import pytest
from books import Books
from chronic import (
    DOCTOR,
    HERE,
    NURSE,
    STRANGER,
    WORKER,
    ago,
    enrolled,
    measured,
    registered,
    settle,
    step,
    today_of,
    visited,
)
from clinic import Browser, Clinic
from httpx import Response
from persons import query
from vaccinating import identity, said

from quanmin.demo.numbering import credit_code
from quanmin.fhir.json import decode, encode
from quanmin.trust import Actor
from quanmin.web.application import discover
from quanmin.workflow.chronic import diagnosis_of
from quanmin.workflow.states import Case, read_case

BORN = "1970-03-01"


@pytest.fixture
async def centre(clinic: Clinic) -> Clinic:
    return await settle(clinic)


async def test_a_hypertensive_is_found_followed_fails_twice_is_referred_and_returns(
    centre: Clinic,
) -> None:
    worker = await centre.enter(WORKER.code)
    patient = await registered(worker, "王秀英", BORN)
    case = await found_and_enrolled(centre, worker, patient)
    await fails_twice(centre, worker, case)
    await goes_to_hospital(centre, case)
    await returns(centre, worker, case, patient)
    await counted(centre, worker)
    await closed(centre, worker, case, patient)
    await worker.client.aclose()


async def found_and_enrolled(centre: Clinic, worker: Browser, patient: str) -> str:
    page = f"/chronic/of/{patient}"
    found = await worker.send("/chronic", term=identity(BORN))
    assert found.headers["location"] == page
    assert (await worker.send("/chronic", term="nobody")).status_code == 422
    for days in (33, 32):
        sent = await measured(worker, patient, ago(centre, days), systolic="150", diastolic="95")
        assert sent.status_code == 303, said(sent)
    refused = await enrolled(worker, patient, ago(centre, 30))
    assert (refused.status_code, "high on enough separate days" in said(refused)) == (422, True)
    await measured(worker, patient, ago(centre, 31), systolic="162", diastolic="95")
    nurse = await centre.enter(NURSE.code)
    refused = await enrolled(nurse, patient, ago(centre, 30))
    assert (refused.status_code, "a doctor makes the diagnosis" in said(refused)) == (422, True)
    await nurse.client.aclose()
    begun = await enrolled(worker, patient, ago(centre, 30))
    assert begun.status_code == 303, said(begun)
    case = begun.headers["location"]
    again = await enrolled(worker, patient, ago(centre, 30))
    assert "Is followed up already" in said(again)
    told = said(await worker.get(page))
    assert f"Visit for hypertension · first {ago(centre, 30)}" in told
    assert "Days with high pressure: 3." in told
    assert f"{ago(centre, 31)} 162/95 2" in told
    shown = (await worker.get(case)).text
    assert f'href="{case}/visit"' in shown
    assert f'href="{case}/closing"' in shown
    return str(case)


async def fails_twice(centre: Clinic, worker: Browser, case: str) -> None:
    early = await visited(worker, case, ago(centre, 31), "150/95")
    assert (early.status_code, "before the enrolment" in said(early)) == (422, True)
    assert (await visited(worker, case, ago(centre, -1), "150/95")).status_code == 422
    mistyped = await visited(worker, case, "0026" + ago(centre, 1)[4:], "150/95")
    assert mistyped.status_code == 422, "of a century before the birth"
    assert 'href="#day">Day of the visit: The day is before the birth' in mistyped.text
    first = await visited(worker, case, ago(centre, 16), "150/95")
    assert first.status_code == 303, said(first)
    told = said(await worker.get(case))
    assert "High risk" in told
    assert "Adjust the medicines, see again within 2 weeks" in told
    assert "recorded already" in said(await visited(worker, case, ago(centre, 16), "150/95"))
    listed = said(await worker.get("/chronic/due?disease=hypertension"))
    assert f"王秀英 {BORN}" in listed
    assert "after one that did not satisfy" in listed
    assert "Visits that are due: Hypertension" in said(await worker.get("/"))

    second = await visited(worker, case, ago(centre, 1), "150/95")
    assert second.status_code == 303, said(second)
    told = said(await worker.get(case))
    assert "Refer, and see how it went within 2 weeks" in told
    assert "Referred to 青县人民医院" in told
    assert "It went to another institution" in told
    assert (await step(worker, case, "see", "seen")).status_code == 422


async def goes_to_hospital(centre: Clinic, case: str) -> None:
    doctor, stranger = await centre.enter(DOCTOR.code), await centre.enter(STRANGER.code)
    assert (await stranger.get(case)).status_code == 404
    assert (await doctor.get("/chronic")).headers["location"] == "/chronic/patients"
    assert "王秀英" in said(await doctor.get("/chronic/patients?state=referred"))
    told = said(await doctor.get(case))
    assert "Upper pressure (mmHg) 150" in told
    assert (await doctor.get(f"{case}/visit")).status_code == 403
    assert (await step(doctor, case, "see")).status_code == 422
    assert (await step(doctor, case, "see", "amlodipine 10 mg")).status_code == 303
    assert (await step(doctor, case, "return", "go on with 10 mg")).status_code == 303
    for browser in (doctor, stranger):
        await browser.client.aclose()


async def returns(centre: Clinic, worker: Browser, case: str, patient: str) -> None:
    told = said(await worker.get(case))
    assert "Returned" in told
    assert "go on with 10 mg" in told
    third = await visited(worker, case, ago(centre, 0), "139/89")
    assert third.status_code == 303, said(third)
    told = said(await worker.get(case))
    assert "Followed up" in told
    assert "Go on, see again in 3 months" in told
    assert "after a good result" in said(await worker.get(f"/chronic/of/{patient}"))


async def counted(centre: Clinic, worker: Browser) -> None:
    rates = said(await worker.get("/chronic/rates"))
    assert "Hypertension 1 0 1 0.0 % 100.0 %" in rates
    year = today_of(centre).year
    for wrong in ("2008", f"{year + 1}", "9" * 5000, "²", "now"):
        assert (await worker.get(f"/chronic/rates?year={wrong}")).status_code == 400
    rows = f"/chronic/rates/rows?disease=hypertension&year={year}&group="
    assert "王秀英" in said(await worker.get(f"{rows}controlled"))
    assert "王秀英" not in said(await worker.get(f"{rows}standard"))
    assert "王秀英" in (await worker.get(f"{rows.replace('rows?', 'rows.csv?')}managed")).text


async def closed(centre: Clinic, worker: Browser, case: str, patient: str) -> None:
    assert (await worker.get(f"{case}/closing")).status_code == 200
    fields = {"step": "move", "words": "to another county"}
    late = await worker.send(f"{case}/closing", closed=ago(centre, -1), **fields)
    assert (late.status_code, "in the future" in said(late)) == (422, True)
    done = await worker.send(f"{case}/closing", closed=ago(centre, 1), **fields)
    assert done.status_code == 303, said(done)
    assert "Moved away" in said(await worker.get(case))
    assert "Visit for hypertension" not in said(await worker.get(f"/chronic/of/{patient}"))
    assert (await worker.send(case, step="reopen")).status_code == 422, "without a reason"
    back = await worker.send(case, step="reopen", words="somebody else of this name moved")
    assert back.status_code == 303, said(back)
    shown = said(await worker.get(case))
    assert "Followed up" in shown
    assert "somebody else of this name moved" in shown
    assert "Visit for hypertension" in said(await worker.get(f"/chronic/of/{patient}"))
    year = today_of(centre).year
    rows = f"/chronic/rates/rows?disease=hypertension&year={year}&group=managed"
    assert "王秀英" in said(await worker.get(rows))
    await worker.get(f"{case}/closing")
    await worker.send(f"{case}/closing", closed=ago(centre, 0), **fields)
    assert (await enrolled(worker, patient, ago(centre, 0))).status_code == 303
    assert "Hypertension 1 0 1 " in said(await worker.get("/chronic/rates")), "persons are counted"
    assert await visits_counted(centre, worker) == 3


async def test_a_visit_entered_in_error_is_taken_back_with_all_that_followed_from_it(
    centre: Clinic,
) -> None:
    worker, doctor = await centre.enter(WORKER.code), await centre.enter(DOCTOR.code)
    patient, case = await referred(centre, worker)
    assert "referred to you" in said(await doctor.get("/notices"))
    error, wrong, right = f"{case}/error", ago(centre, 1), "of somebody else of this name"
    assert f'href="{error}"' in (await worker.get(case)).text
    assert f'href="{error}"' not in (await doctor.get(case)).text
    assert (await doctor.get(error)).status_code == 403
    for day, words, told in (
        (wrong, "", "Fill this in"),
        ("", right, "Fill this in"),
        ("yesterday", right, "Choose one of the list"),
    ):
        refused = await taken_back(worker, error, day, words)
        assert (refused.status_code, told in said(refused)) == (422, True)
    await visited(worker, case, ago(centre, 0), "120/80")
    before = (await case_at(centre, case)).due
    assert (await taken_back(worker, error, ago(centre, 0), right)).status_code == 303
    still = await case_at(centre, case)
    assert (still.state, still.due) == ("referred", before), "no time limit begins anew"

    done = await taken_back(worker, error, wrong, right)
    assert done.status_code == 303, said(done)
    told = said(await worker.get(case))
    assert "Followed up" in told
    assert f"{wrong}: {right}" in told
    assert f"Entered in error: {wrong}, {ago(centre, 0)}" in told
    assert "Adjust the medicines, see again within 2 weeks" in told
    assert "after one that did not satisfy" in said(await worker.get(f"/chronic/of/{patient}"))
    assert "referred to you" not in said(await doctor.get("/notices"))
    assert await visits_counted(centre, worker) == 1
    again = await taken_back(worker, error, wrong, right)
    assert (again.status_code, "Choose one of the list" in said(again)) == (422, True)
    guarded = centre.guard.records(WORKER, purpose="CAREMGT", request_id="r")
    types = ("Observation", "QuestionnaireResponse")
    found = await guarded.timeline(patient, types=types, count=50)
    bodies = [(one.body or b"{}").decode() for one in found.entries]
    states = [decode(one.encode())["status"] for one in bodies if wrong in one]
    assert len(states) > 2
    assert set(states) == {"entered-in-error"}, "the answers and all that was taken from them"
    anew = await visited(worker, case, wrong, "139/89")
    assert anew.status_code == 303, said(anew)
    assert "Go on, see again in 3 months" in said(await worker.get(case))
    assert await visits_counted(centre, worker) == 2
    for browser in (worker, doctor):
        await browser.client.aclose()


async def referred(centre: Clinic, worker: Browser) -> tuple[str, str]:
    """Somebody whose second visit in a row was not satisfactory, and the page of the case."""
    patient = await registered(worker, "王秀英", BORN)
    condition = diagnosis_of("hypertension", f"Patient/{patient}", today_of(centre))
    records = centre.guard.records(WORKER, purpose="TREAT", request_id="r")
    await records.create("Condition", encode(condition))
    case = str((await enrolled(worker, patient, ago(centre, 30))).headers["location"])
    for days in (16, 1):
        assert (await visited(worker, case, ago(centre, days), "150/95")).status_code == 303
    return patient, case


async def test_who_referred_answers_when_no_hospital_is_left(centre: Clinic) -> None:
    worker, doctor = await centre.enter(WORKER.code), await centre.enter(DOCTOR.code)
    _, case = await referred(centre, worker)
    for code in ("see", "return"):
        assert (await step(doctor, case, code, "amlodipine 10 mg")).status_code == 303
    assert "Referred to 青县人民医院" not in said(await worker.get(case))
    books = Books(centre.guard, centre.pool)
    asked = query(centre.guard, "Organization", identifier=credit_code(HERE, 22))
    (hospital,) = (await books.keeper.search(asked)).matches
    await books.change(hospital.id, {**decode(hospital.body or b"{}"), "active": False})
    assert (await step(worker, case, "refer", "dizzy again")).status_code == 303
    answered = await step(worker, case, "see", "at the hospital of the city")
    assert answered.status_code == 303, said(answered)
    for browser in (worker, doctor):
        await browser.client.aclose()


async def taken_back(browser: Browser, error: str, day: str, words: str) -> Response:
    await browser.get(error)
    return await browser.send(error, day=day, words=words)


async def visits_counted(centre: Clinic, worker: Browser) -> int:
    """The visits of the year of the one case, by the rows behind the rates."""
    year = today_of(centre).year
    rows = await worker.get(f"/chronic/rates/rows.csv?disease=hypertension&year={year}")
    (row,) = csv.DictReader(rows.text.lstrip("\ufeff").splitlines())
    return int(row["Visits of the year"])


async def case_at(centre: Clinic, case: str) -> Case:
    guarded = centre.guard.records(WORKER, purpose="CAREMGT", request_id="r")
    stored = await guarded.read("Task", case.rpartition("/")[2])
    found = {one.application.name: one.application.workflow for one in discover()}
    workflow = found["chronic_followup"]
    assert workflow is not None
    return read_case(workflow, decode(stored.body or b"{}"), guarded.context.zone)


async def test_of_two_who_write_at_once_nothing_is_lost_or_doubled(centre: Clinic) -> None:
    one, other = await centre.enter(WORKER.code), await centre.enter(WORKER.code)
    patient = await registered(one, "王一", BORN)
    for days in (6, 5, 4):
        await measured(one, patient, ago(centre, days), systolic="140", diastolic="80")
    answers = await asyncio.gather(*(enrolled(b, patient, ago(centre, 3)) for b in (one, other)))
    codes = sorted(answer.status_code for answer in answers)
    assert codes[0] == 303
    assert codes[1] in {412, 422}
    case = next(one.headers["location"] for one in answers if one.status_code == 303)
    answers = await asyncio.gather(
        *(visited(b, case, ago(centre, n), "120/80") for n, b in enumerate((one, other)))
    )
    stored = [n for n, answer in enumerate(answers) if answer.status_code == 303]
    assert stored
    assert {answer.status_code for answer in answers} <= {303, 412}
    told = said(await one.get(case))
    assert [f"{ago(centre, n)} Controlled yes" in told for n in (0, 1)] == [
        n in stored for n in (0, 1)
    ]
    for browser in (one, other):
        await browser.client.aclose()


async def test_a_resident_reads_their_own_and_a_crisis_of_diabetes_is_referred(
    centre: Clinic,
) -> None:
    worker = await centre.enter(WORKER.code)
    patient = await registered(worker, "赵敏", BORN)
    none = await enrolled(worker, patient, ago(centre, 0), "diabetes")
    assert (none.status_code, "No diagnosis" in said(none)) == (422, True)
    condition = diagnosis_of("diabetes", f"Patient/{patient}", today_of(centre))
    records = centre.guard.records(WORKER, purpose="TREAT", request_id="r")
    await records.create("Condition", encode(condition))
    begun = await enrolled(worker, patient, ago(centre, 0), "diabetes")
    assert begun.status_code == 303, said(begun)
    case = begun.headers["location"]
    assert (await visited(worker, case, ago(centre, 0), "120/80")).status_code == 422
    crisis = await visited(worker, case, ago(centre, 0), "120/80", glucose="3.9")
    assert crisis.status_code == 303, said(crisis)
    assert "Crisis" in said(await worker.get(case))
    person = await centre.pool.fetchval(
        "select person from people.link where patient = $1",
        centre.guard.store.context.rid_of("Patient", patient),
    )
    await centre.add(Actor("own", "resident", "赵敏", "", str(person)))
    own = await centre.enter("own")
    home = await own.get("/chronic")
    assert home.headers["location"] == f"/chronic/of/{patient}"
    told = await own.get(home.headers["location"])
    assert "Crisis" in said(told)
    assert case not in told.text
    assert (await own.get(case)).status_code == 403
    for browser in (worker, own):
        await browser.client.aclose()
