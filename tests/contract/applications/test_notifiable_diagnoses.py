"""Diagnoses that are to be reported, as the hospital's list of them has it: one prompts a card, and
a suspected case that comes again is to be settled.
"""

from __future__ import annotations

import html
import json
import re
from datetime import UTC, timedelta

import pytest
from clinic import Clinic, with_check_digit
from persons import registered, visit
from reporting import (
    CLASS,
    SEX,
    answers,
    entered,
    now_of,
    pages_of,
    settle,
    shown,
    state_of,
    step,
    task_of,
)
from starlette.applications import Starlette

from quanmin.applications.notifiable_diagnoses import suspected
from quanmin.fhir.json import decode
from quanmin.trust import Actor


@pytest.fixture
async def county(clinic: Clinic) -> Clinic:
    return await settle(clinic)


@pytest.fixture
def pages(county: Clinic) -> Starlette:
    return pages_of(county)


async def test_a_diagnosis_prompts_a_card(county: Clinic, pages: Starlette) -> None:
    patient = county.ids["hospital-a Patient"]
    system = "http://hl7.org/fhir/sid/icd-10"
    made = now_of(county) - timedelta(hours=1)
    coded = {"coding": [{"system": system, "code": "B05.900", "display": "麻疹"}]}
    body = {
        "resourceType": "Condition",
        "code": coded,
        "subject": {"reference": f"Patient/{patient}"},
        # Its sender writes the hours of another zone.
        "recordedDate": made.astimezone(UTC).isoformat(timespec="seconds"),
        "onsetDateTime": "2026-02-27T23:00:00Z",
    }
    guarded = county.guard.records(
        Actor("hospital-a", "institution", "a", "hospital-a"), purpose="TREAT", request_id="r"
    )
    stored = (await guarded.create("Condition", json.dumps(body).encode())).stored
    doctor = await county.enter("dr-li", pages)
    page = await doctor.get("/notifiable")
    link = f"/infectious/of/{patient}?diagnosis={stored.id}"
    assert link in page.text
    assert f"{made:%Y-%m-%d %H:%M}" in page.text
    page = await doctor.get(link)
    assert shown(page.text)["case/diagnosed"] == f"{made:%Y-%m-%dT%H:%M}"
    assert shown(page.text)["case/onset"] == "2026-02-28"
    fields = {**shown(page.text), **answers(now_of(county))}
    assert shown(page.text)["case/icd10"].endswith("|B05.900")
    assert shown(page.text)["case/disease"].endswith("|measles")
    # As a browser sends it, to where the form says.
    to = re.search(r'<form method="post" action="(/infectious/of/[^"]*)"', page.text)
    assert to is not None
    answer = await doctor.send(html.unescape(to[1]), **fields)
    assert answer.status_code == 303, answer.text
    page = await doctor.get("/notifiable")
    assert link not in page.text
    assert "Reported" in page.text
    card = answer.headers["location"]
    assert f'href="{card}"' in page.text
    await step(doctor, card, "withdraw", words="Another person's")
    assert link in (await doctor.get("/notifiable")).text
    # It prompts a card at any registration of the man, and of nobody else.
    other = await registered(county.guard, "hospital-a", with_check_digit("58010119900101002"))
    man = decode((await guarded.read("Patient", patient)).body or b"{}")
    again = json.dumps({name: man[name] for name in man if name not in {"id", "meta"}}).encode()
    same = (await guarded.create("Patient", again)).stored
    for beside, status in ((other, 404), (same, 200)):
        answer = await doctor.get(f"/infectious/of/{beside.id}?diagnosis={stored.id}")
        assert answer.status_code == status


async def test_a_suspected_case_that_comes_again_is_to_be_confirmed_or_excluded(
    county: Clinic, pages: Starlette, monkeypatch: pytest.MonkeyPatch
) -> None:
    doctor, checker = await county.enter("dr-li", pages), await county.enter("pre-sun", pages)
    here = await county.enter("cdc-wu", pages)
    suspicion = f"{CLASS}|suspected"
    where = await entered(county, doctor, case__class=suspicion)
    certain = await entered(county, doctor, disease="mumps")
    for one in (where, certain):
        await step(checker, one, "check")
        await step(here, one, "confirm")
    listed = (await doctor.get("/notifiable/suspected")).text
    assert where in listed
    assert certain not in listed
    assert "confirm or exclude" not in listed
    guarded = county.guard.records(
        Actor("hospital-a", "institution", "a", "hospital-a"), purpose="TREAT", request_id="r"
    )
    later = (now_of(county) + timedelta(minutes=5)).isoformat(timespec="seconds")
    await guarded.create("Encounter", visit(county.ids["hospital-a Patient"], start=later))
    assert "confirm or exclude" in (await doctor.get("/notifiable/suspected")).text
    # More visits of another than are asked for at once: nobody is passed over.
    monkeypatch.setattr(suspected, "_PORTION", 1)
    second = await registered(county.guard, "hospital-a", with_check_digit("58010119900101002"))
    county.ids["second Patient"] = second.id
    more = {"person__sex": f"{SEX}|male", "person__birth": "1990-01-01"}
    again = await entered(county, doctor, "second", case__class=suspicion, **more)
    await step(checker, again, "check")
    for minutes in (6, 7):
        start = (now_of(county) + timedelta(minutes=minutes)).isoformat(timespec="seconds")
        await guarded.create("Encounter", visit(second.id, start=start))
    assert (await doctor.get("/notifiable/suspected")).text.count("confirm or exclude") == 2
    await step(doctor, where, "exclude", 422)
    shown_then = await step(doctor, where, "exclude", words="The laboratory found no virus")
    assert shown_then == ""
    assert state_of(await task_of(county, where)) == "reported"
    assert "The laboratory found no virus" in (await here.get(where)).text
    await step(here, where, "void", words="Excluded")
    assert where not in (await doctor.get("/notifiable/suspected")).text
    other = await county.enter("dr-bai", pages)
    assert where not in (await other.get("/notifiable/suspected")).text
    for browser in (doctor, checker, here, other):
        await browser.client.aclose()
