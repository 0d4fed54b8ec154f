"""People see what they have let applications do, and take it back."""

from __future__ import annotations

import base64
import json
import re

from clients import ADDRESS, bearing
from clinic import Clinic

from quanmin.trust import Actor

from .test_approving import SCOPES, Stage, app, state_of, went_back


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
    (way,) = re.findall(r'href="(/account/applications/\d+)"', page.text)
    other = await clinic.enter("hospital-a", stage.pages)
    await other.get("/account/applications")
    for wrong in (way, *(f"/account/applications/{one}" for one in ("1", "x", "9" * 19, "9" * 30))):
        assert (await other.get(wrong)).status_code == 404, "another's"
        assert (await other.send(wrong)).status_code == 404, "another's"
    assert (await stage.api.get("/fhir/Patient", headers=mine)).status_code == 200
    assert "Growth chart" in (await resident.get(way)).text
    done = await resident.send(way)
    assert done.status_code == 303
    assert (await resident.get(way)).status_code == 404, "taken back before"
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


async def test_more_than_a_page_of_them_is_gone_through_to_the_end(clinic: Clinic) -> None:
    stage = Stage(clinic)
    await stage.server.clients.add(app())
    resident = await clinic.enter("resident", stage.pages)
    await stage.tokens(resident)
    # Several of one moment, so that the place needs the number as well.
    await clinic.pool.execute(
        "insert into trust.approval (family, client, actor, scopes, given_at)"
        " select n, client, actor, scopes, given_at + n / 7 from trust.approval,"
        " generate_series(1, 229) as n"
    )
    await clinic.pool.execute(
        "insert into trust.token (hash, kind, family, client, actor, scopes, issued, expires)"
        " select sha256(n::text::bytea), kind, n, client, actor, scopes, issued, expires"
        " from (select * from trust.token where used is null limit 1) t,"
        " generate_series(1, 229) as n"
    )
    seen: list[str] = []
    page, link = "", "/account/applications?lang=en"
    while link:
        page = (await resident.get(link)).text
        seen += re.findall(r'href="/account/applications/(\d+)"', page)
        following = re.search(r'<a href="([^"]+)">Next<', page)
        link = following[1].replace("&amp;", "&") if following else ""
    assert len(seen) == len(set(seen)) == 230
    sheet = (await resident.get("/account/applications.csv")).text
    assert sheet.count("Growth chart") == 230
    await resident.client.aclose()


async def test_smart_standalone_launch_the_person_chooses_a_visit(clinic: Clinic) -> None:
    stage = Stage(clinic)
    await stage.server.clients.add(app(scopes=f"{SCOPES} launch/encounter"))
    resident = await clinic.enter("resident", stage.pages)
    wish = stage.wish(scope="launch/patient launch/encounter patient/Encounter.rs")
    page = await resident.get(wish)
    assert "Choose a visit" in page.text
    (chosen,) = re.findall(r'name="encounter" value="(q[^"]+)"', page.text)
    other = clinic.ids["hospital-b Encounter"]
    if chosen == other:
        other = clinic.ids["hospital-a Encounter"]
    for encounter, expected in ((chosen, chosen), ("", None), (other, 404), ("x y", 404)):
        page = await resident.get(wish)
        asking = await resident.send(
            "/oauth/authorize", state=state_of(page), encounter=str(encounter)
        )
        keep = {f"keep-{at}": "1" for at in range(asking.text.count('name="keep-'))}
        done = await resident.send(
            "/oauth/authorize", state=state_of(asking), say="approve", **keep
        )
        if expected == 404:
            assert done.status_code == 404, "a visit of another registration"
            continue
        told = (await stage.exchange(went_back(done)["code"])).json()
        assert told.get("encounter") == expected
        assert ("launch/encounter" in told["scope"].split()) == (expected is not None)
    await resident.client.aclose()


async def test_smart_fhir_user_of_staff_is_the_practitioner_of_their_post(clinic: Clinic) -> None:
    stage = Stage(clinic)
    await stage.server.clients.add(app())
    records = clinic.guard.records(
        Actor("node", "operator", "n", "node"), purpose="HSYSADMIN", request_id="r"
    )
    body = json.dumps({"resourceType": "Practitioner", "name": [{"text": "李明"}]}).encode()
    made = (await records.create("Practitioner", body)).stored
    await clinic.pool.execute("insert into trust.institution_entry values (1, 'x', '1', 'x')")
    await clinic.pool.execute(
        "insert into trust.post (actor, organization, duties, practitioner, since, until,"
        " decided_at, decided_by) values ('hospital-a', 1, '{}', $1, 1, $2, 1, 'test')",
        made.rid,
        1 << 60,
    )
    desk = await clinic.enter("hospital-a", stage.pages)
    told = await stage.tokens(desk, scope="openid fhirUser user/Practitioner.r")
    payload = told["id_token"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert claims["fhirUser"] == f"{ADDRESS}/fhir/Practitioner/{made.id}"
    assert claims["amr"] == ["pwd", "otp", "mfa"]
    await clinic.pool.execute("update trust.post set practitioner = null")
    told = await stage.tokens(desk, scope="openid fhirUser user/Practitioner.r")
    assert "fhirUser" not in told["scope"].split()
    await desk.client.aclose()
