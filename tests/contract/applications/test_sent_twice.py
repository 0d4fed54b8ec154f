"""What is sent twice of one page, as by a double click, is done once, in whatever application."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from books import CODE, Books, organization
from chronic import WORKER as CENTRE_WORKER
from chronic import ago, settle
from clinic import Browser, Clinic
from httpx import Response
from vaccinating import WORKER, give, identity, moment, points, received, registered, said, store

from quanmin.trust import Actor

BORN, LAST = "2025-01-01", f"{datetime.now(UTC).date() + timedelta(days=30)}"
AEFI = "https://quanmin.example/fhir/CodeSystem/aefi|fever"
MILD = "http://terminology.hl7.org/CodeSystem/adverse-event-severity|mild"
FINDING = "https://quanmin.example/fhir/CodeSystem/vaccination-finding|acute-illness"


async def counted(clinic: Clinic, table: str = "records.record") -> int:
    """How many rows there are."""
    return int(await clinic.pool.fetchval(f"select count(*) from {table}"))


def assert_alike(answers: list[Response]) -> None:
    """Both were taken, and lead to the same."""
    assert [one.status_code for one in answers] == [303, 303], said(answers[-1])
    assert len({one.headers["location"] for one in answers}) == 1


async def assert_once(
    clinic: Clinic, browser: Browser, path: str, fields: dict[str, str], **other: str
) -> None:
    """Sent twice, a form writes as much as once: as when it is sent with something else."""
    await browser.get(path)
    before = await counted(clinic)
    assert_alike(await browser.send_twice(path, **fields))
    between = await counted(clinic)
    once = await browser.send(path, **{**fields, **other})
    assert once.status_code == 303, said(once)
    assert await counted(clinic) - between == between - before > 0, path


async def test_what_a_vaccination_point_sends_twice_is_recorded_once(clinic: Clinic) -> None:
    point = await points(clinic)
    worker = await point.enter(WORKER.code)
    person = {"name": "王一", "sex": "female", "born": BORN, "identity": identity(BORN, "004")}
    await assert_once(point, worker, "/registration", person, identity=identity(BORN, "006"))
    child = await registered(worker, "王小明", BORN)
    await received(worker, await store(worker))
    assert (await give(worker, child, moment(point))).status_code == 303
    event = {"began": moment(point), "what": AEFI, "severity": MILD, "urgent": "false"}
    page = f"/adverse-events/of/{child}"
    await assert_once(point, worker, page, {**event, "words": "39 degrees"}, words="40 degrees")
    finding = {"finding": FINDING, "since": moment(point)[:10], "words": "fever"}
    page = f"/vaccination-findings/of/{child}/new"
    await assert_once(point, worker, page, finding, words="cough")
    await worker.client.aclose()


async def test_what_is_measured_is_sent_twice_and_recorded_once(clinic: Clinic) -> None:
    centre = await settle(clinic)
    worker = await centre.enter(CENTRE_WORKER.code)
    patient = await registered(worker, "王一", "1970-03-01")
    taken = {"day": ago(centre, 3), "do": "send", "systolic": "140", "diastolic": "80"}
    page = f"/chronic/of/{patient}/measurement"
    await assert_once(centre, worker, page, taken, systolic="141")
    # What was refused is mended on the page that says so, and taken; so is what was sent unmended
    # in between.
    await worker.get(page)
    token, far = worker.token, {**taken, "systolic": "9999"}
    for _ in range(2):
        assert (await worker.send(page, token=token, **far)).status_code == 422
    assert (await worker.send(page, token=token, **taken)).status_code == 303
    await worker.client.aclose()


async def test_a_resident_consents_and_petitions_once_by_two_clicks(clinic: Clinic) -> None:
    await Books(clinic.guard, clinic.pool).enter(organization())
    resident, home = await clinic.enter("resident"), "/my-record-access"
    await resident.get(f"{home}/give?institution={CODE}")
    chosen = {"institution": CODE, "purpose": "TREAT", "scope": "all", "until": LAST}
    read = await resident.send(f"{home}/give", **chosen)
    (sealed,) = re.findall(r'name="chosen" value="([^"]+)"', read.text)
    before = await counted(clinic)
    assert_alike(await resident.send_twice(f"{home}/give", chosen=sealed))
    assert await counted(clinic) == before + 1
    about = f"Observation/{clinic.ids['hospital-a Observation']}"
    await resident.get(f"/petitions/new?kind=correction&about={about}")
    asked = {"kind": "correction", "about": about, "wrong": "not mine", "should": "5.4 that day"}
    assert_alike(await resident.send_twice("/petitions/new", **asked))
    assert await counted(clinic, "trust.petition") == 1
    await resident.client.aclose()


async def test_a_record_is_opened_in_an_emergency_once_by_two_clicks(clinic: Clinic) -> None:
    await clinic.add(Actor("chen", "doctor", "陈医师", "hospital-c"))
    doctor, patient = await clinic.enter("chen"), clinic.ids["hospital-b man"]
    await doctor.get(f"/emergency?patient={patient}")
    reason = "昏迷送入急诊，无法询问过敏史"
    assert_alike(await doctor.send_twice("/emergency", patient=patient, reason=reason))
    assert await counted(clinic, "trust.glass") == 1
    await doctor.client.aclose()
