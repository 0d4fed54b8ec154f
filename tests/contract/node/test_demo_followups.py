"""The doctor of a demonstration has somebody in each state of a follow-up, once."""

from __future__ import annotations

from collections import Counter
from zoneinfo import ZoneInfo

from chronic import WORKER, settle, today_of
from clinic import Clinic

from quanmin.fhir.json import encode
from quanmin.node.demo_followups import enter_followups
from quanmin.workflow.chronic import diagnosis_of

ZONE = ZoneInfo("Asia/Shanghai")


async def test_each_course_is_gone_once(clinic: Clinic) -> None:
    await settle(clinic)
    records = clinic.guard.records(WORKER, purpose="TREAT", request_id="r")
    for number in range(9):
        name = [{"text": f"王{number}"}]
        patient = {"resourceType": "Patient", "name": name, "birthDate": f"19{50 + number}-01-01"}
        stored = (await records.create("Patient", encode(patient))).stored
        condition = diagnosis_of("hypertension", f"Patient/{stored.id}", today_of(clinic))
        condition["code"]["coding"][0]["code"] = "I10.x00x002"
        await records.create("Condition", encode(condition))
    beside = []
    for number in range(2):
        patient = {"resourceType": "Patient", "name": [{"text": f"李{number}"}]}
        patient["birthDate"] = "1960-01-01"
        beside.append((await records.create("Patient", encode(patient))).stored.id)
    assert await enter_followups(clinic.guard, WORKER, ZONE, beside) == 10
    assert await enter_followups(clinic.guard, WORKER, ZONE, beside) == 0
    worker = await clinic.enter(WORKER.code)
    sheet = (await worker.get("/chronic/patients.csv")).text
    assert "Crisis" in sheet
    assert sheet.count(",Type-2 diabetes,") == len(beside)
    states = Counter(
        state for state in ("Followed up", "Referred", "Seen at the hospital", "Returned",
                            "Lost to follow-up")
        for line in sheet.splitlines() if f",{state}," in line
    )  # fmt: skip
    assert states == {"Followed up": 5, "Referred": 2, "Seen at the hospital": 1, "Returned": 1,
                      "Lost to follow-up": 1}  # fmt: skip
    due = (await worker.get("/chronic/due.csv?series=hypertension-follow-up")).text
    assert len(due.splitlines()) > 2
    await worker.client.aclose()
