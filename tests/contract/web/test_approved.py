"""People see what they have let applications do, and take it back."""

from __future__ import annotations

import re

from clients import bearing
from clinic import Clinic

from .test_approving import Stage, app


async def test_what_was_approved_is_listed_logged_and_taken_back_at_once(clinic: Clinic) -> None:
    stage = Stage(clinic)
    await stage.server.clients.add(app())
    resident = await clinic.enter("resident", stage.pages)
    assert "None works for you" in (await resident.get("/account/applications")).text
    told = await stage.tokens(resident)
    page = await resident.get("/account/applications")
    assert "Growth chart" in page.text
    assert "read, search all records of the chosen patient" in page.text
    assert "not yet" in page.text
    mine = bearing(told["access_token"])
    assert (await stage.api.get("/fhir/Patient", headers=mine)).status_code == 200
    assert "not yet" not in (await resident.get("/account/applications")).text
    sheet = (await resident.get("/account/applications.csv")).text
    assert "Growth chart" in sheet
    (family,) = re.findall(r'name="withdraw" value="(\d+)"', page.text)
    other = await clinic.enter("hospital-a", stage.pages)
    await other.get("/account/applications")
    for wrong in (family, "1", "x", "9" * 30, ""):
        answer = await other.send("/account/applications", withdraw=wrong)
        assert answer.status_code == 404, "another's"
    assert (await stage.api.get("/fhir/Patient", headers=mine)).status_code == 200
    await resident.get("/account/applications")
    done = await resident.send("/account/applications", withdraw=family)
    assert done.status_code == 303
    assert (await stage.api.get("/fhir/Patient", headers=mine)).status_code == 401
    assert (await stage.renew(told["refresh_token"])).status_code == 400
    assert "None works for you" in (await resident.get("/account/applications")).text
    rows = await clinic.pool.fetch(
        "select action, actor, client, patients from trust.access"
        " where action in ('approve', 'token', 'approval-withdrawn') order by at, action"
    )
    rid = clinic.guard.store.context.rid_of("Patient", told["patient"])
    assert sorted((row["action"], row["actor"], row["patients"]) for row in rows) == [
        ("approval-withdrawn", "resident", [rid]),
        ("approve", "resident", [rid]),
        ("token", "resident", [rid]),
    ]
    assert {row["client"] for row in rows if row["action"] == "token"} == {"app"}
    await resident.client.aclose()
    await other.client.aclose()
