"""Registering a person on the page, over a real store."""

from __future__ import annotations

import json
import re

import pytest
from clinic import Browser, Clinic, with_check_digit
from stores import patient

from quanmin.trust import Actor

TAKEN = with_check_digit("580101199105050040")
WITH_LETTER = next(
    number
    for sequence in range(2, 200, 2)
    if (number := with_check_digit(f"58010119910505{sequence:03}0")).endswith("X")
)
SECOND_SYSTEM = "2.16.156.10011.1.3"
FORM = {"name": "周小满", "sex": "female", "born": "1991-05-05"}


@pytest.fixture
async def desk(clinic: Clinic) -> Browser:
    await clinic.add(Actor("desk", "doctor", "Desk", "hospital-a"))
    opened = await clinic.enter("desk")
    await opened.get("/registration?lang=en")
    return opened


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (TAKEN[:17] + ("1" if TAKEN[17] == "0" else "0"), "mistyped character"),
        (with_check_digit("580101199113050040"), "no day of birth"),
        (with_check_digit("580101199105060040"), "another day of birth"),
        (with_check_digit("580101199105050050"), "another sex"),
        ("111111111111111111", "mistyped character"),
        (TAKEN[:17], "has 18 characters"),
    ],
)
async def test_a_wrong_identity_number_is_told_beside_its_field(
    desk: Browser, number: str, said: str
) -> None:
    answer = await desk.send("/registration", identity=number, **FORM)
    assert (answer.status_code, said in answer.text) == (422, True)
    await desk.client.aclose()


@pytest.mark.parametrize(
    ("system", "number"),
    [
        ("urn:oid:2.16.156.10011.1.3", WITH_LETTER.lower()),
        (SECOND_SYSTEM, TAKEN),
        (SECOND_SYSTEM, WITH_LETTER.lower()),
    ],
)
async def test_who_is_registered_in_another_writing_is_found_everywhere_and_not_registered_again(
    clinic: Clinic, desk: Browser, system: str, number: str
) -> None:
    sender = Actor("hospital-a", "institution", "a", "hospital-a")
    records = clinic.guard.records(sender, purpose="TREAT", request_id="r")
    body = json.loads(patient("周小满"))
    body |= {"identifier": [{"system": system, "value": number}]}
    body |= {"gender": "female", "birthDate": "1991-05-05"}
    stored = (await records.create("Patient", json.dumps(body).encode())).stored
    again = await desk.send("/registration", identity=number.upper(), **FORM)
    assert again.headers["location"] == f"/registration/{stored.id}"
    counter = await clinic.enter("hospital-a")
    await counter.get("/enrolment")
    for typed in (number, number.upper()):
        found = await counter.send("/enrolment", term=typed)
        (chosen,) = re.findall(r'name="chosen" value="([^"]+)"', found.text)
        seen = {"chosen": chosen, "evidence": "identity-card", "number": typed}
        assert (await counter.send("/enrolment/document", **seen)).status_code == 200
    await desk.get("/emergency")
    reason = "unconscious after an accident on the road"
    opened = await desk.send("/emergency", number=number.upper(), reason=reason)
    assert opened.headers["location"] == f"/person/{stored.id}"
    for browser in (desk, counter):
        await browser.client.aclose()
