"""What others write as cases of report cards, or as cards, breaks no page of who has real ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from clinic import Clinic
from reporting import CODES, entered, now_of, pages_of, settle

from quanmin.trust import Actor
from quanmin.workflow.notifiable import ADDRESSED, WORKFLOW

REPORTABLE = {"system": "urn:quanmin:reportable", "code": "infectious"}


def task(**more: Any) -> dict[str, Any]:
    """A Task that calls itself a case of a report card."""
    label = {"system": WORKFLOW, "code": "infectious_report"}
    addressed = [{"system": ADDRESSED, "code": code} for code in CODES.values()]
    return {
        "resourceType": "Task",
        "status": "received",
        "intent": "order",
        "code": {"coding": [label]},
        "meta": {"security": [label, REPORTABLE, *addressed]},
        **more,
    }


@pytest.fixture
async def clinic(pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path) -> Clinic:
    opened = Clinic(pool, tmp_path)
    await opened.fill()
    return opened


async def test_what_is_no_case_is_left_out_of_lists_and_refused_by_itself(clinic: Clinic) -> None:
    county = await settle(clinic)
    pages = pages_of(county)
    own = await entered(county, await county.enter("dr-li", pages))
    moment = now_of(county).isoformat(timespec="seconds")
    state = {"coding": [{"system": f"{WORKFLOW}/state", "code": "reported"}]}
    period = {"period": {"start": moment}}
    disease = "https://quanmin.example/fhir/CodeSystem/notifiable-disease"
    half = {
        "businessStatus": state,
        "executionPeriod": {"start": moment},
        "restriction": period,
        "authoredOn": moment,
        "reasonCode": {"coding": [{"system": disease, "code": "measles"}, {"system": disease}]},
        "input": [{"type": {"coding": [{"system": f"{WORKFLOW}/fact", "code": "onset"}]},
                   "valueDate": "2026-09"}],
    }  # fmt: skip
    sender = Actor("hospital-a", "institution", "a", "hospital-a")
    records = county.guard.records(sender, purpose="TREAT", request_id="r")
    bodies = (task(), task(businessStatus=state), task(**half))
    ids = [(await records.create("Task", json.dumps(one).encode())).stored.id for one in bodies]
    centre, checker = await county.enter("cdc-wu", pages), await county.enter("pre-sun", pages)
    for browser in (centre, checker):
        for path in (
            *("/infectious", "/infectious?state=reported", "/infectious.csv", "/epidemic"),
            *("/epidemic/cases", "/contacts", "/contacts/cases", "/direct-reporting"),
        ):
            answer = await browser.get(path)
            assert answer.status_code == 200, (path, answer.text)
        for id_ in ids:
            for path in (f"/infectious/{id_}", f"/infectious/{id_}/correct", f"/contacts/{id_}",
                         f"/contacts/{id_}/visit"):  # fmt: skip
                answer = await browser.get(path)
                assert 400 <= answer.status_code < 500, (path, answer.status_code)
    assert own in (await checker.get("/infectious")).text
