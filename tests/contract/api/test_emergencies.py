"""`$break-glass` over the door."""

from __future__ import annotations

from typing import Any

from stores import observation

from quanmin.trust import Actor

from .conftest import House

REASON = {
    "resourceType": "Parameters",
    "parameter": [{"name": "reason", "valueString": "unconscious after a fall"}],
}


async def test_a_doctor_opens_a_record_for_the_purpose_and_for_a_while(house: House) -> None:
    doctor = Actor("doctor", "doctor", "Doctor", "hospital-a")
    house.tokens["doctor"] = await house.actors.enrol(doctor)
    desk, client = house.client("hospital-b"), house.client("doctor")
    person: Any = (await desk.post("/Patient", json={"resourceType": "Patient"})).json()
    body = observation(f"Patient/{person['id']}")
    address = f"/Observation/{(await desk.post('/Observation', content=body)).json()['id']}"
    emergency = {"X-Purpose-Of-Use": "BTG"}
    assert (await client.get(address, headers=emergency)).status_code == 404
    opened = await client.post(f"/Patient/{person['id']}/$break-glass", json=REASON)
    assert opened.status_code == 200, opened.text
    assert opened.json()["parameter"][0]["name"] == "until"
    assert (await client.get(address, headers=emergency)).status_code == 200
    assert (await client.get(address)).status_code == 404
    without = await client.post(f"/Patient/{person['id']}/$break-glass")
    assert without.status_code == 400
    refused = await desk.post(f"/Patient/{person['id']}/$break-glass", json=REASON)
    assert refused.status_code == 403
    unknown = await client.post("/Patient/nobody/$break-glass", json=REASON)
    assert unknown.status_code == 404
