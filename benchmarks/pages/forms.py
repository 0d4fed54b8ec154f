"""Forms sent through the door: the visit of somebody with hypertension, and a report card."""

from __future__ import annotations

import html
import random
import re
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import httpx
from generator import HOST
from node_under_test import NodeUnderTest

from pages import county
from pages.visitors import COUNTY_DOCTOR, Crowd, Visitor
from quanmin.workflow import chronic

STATUS = 303
"""What answers a form that was taken: the browser is sent on, and all of it is durable."""
_OWN = "https://quanmin.example/fhir/CodeSystem"
_AREA = "580101"
_PAGE = 200
_CASES_MAX = 3_000


def visits(node: NodeUnderTest, crowd: Crowd, number: int) -> tuple[bytes, ...]:
    """So many visits of today, each to another case that had none today."""
    doctor, today = crowd.staff["demo-doctor"], datetime.now(node.settings.zone).date()
    dice = random.Random(0)
    found = []
    for case in _cases(node, today.isoformat())[:number]:
        fields = {
            "day": today.isoformat(),
            "way": f"{_OWN}/follow-up-way|outpatient",
            "systolic": str(dice.randrange(112, 150)),
            "diastolic": str(dice.randrange(66, 94)),
            "weight": "64.5",
            "height": "166",
            "pulse": "72",
            "adherence": f"{_OWN}/medicine-adherence|regular",
            "reaction": "false",
            "complication": "false",
        }
        found.append(_sent(doctor, f"/chronic/case/{case}/visit", fields))
    return tuple(found)


def cards(node: NodeUnderTest, crowd: Crowd, number: int) -> tuple[bytes, ...]:
    """So many report cards of measles of different people, with what the page fills in."""
    doctor = crowd.staff[COUNTY_DOCTOR.code]
    diagnosed = datetime.now(node.settings.zone) - timedelta(hours=1)
    found = []
    for place in range(number):
        patient = crowd.of_county[place % len(crowd.of_county)]
        fields = {
            **shown(doctor.read(f"/infectious/of/{patient}")),
            "person/guardian": "王建国",
            "person/belongs": f"{_OWN}/infection-belonging|1",
            "person/area": _AREA,
            "person/address": "青县一路 1 号",
            "person/occupation": f"{_OWN}/infection-occupation|09",
            "person/phone": "15400001234",
            "case/class": f"{_OWN}/infection-case-class|confirmed",
            "case/disease": f"{_OWN}/notifiable-disease|measles",
            "case/onset": f"{diagnosed - timedelta(days=2):%Y-%m-%d}",
            "case/diagnosed": f"{diagnosed:%Y-%m-%dT%H:%M}",
        }
        found.append(_sent(doctor, f"/infectious/of/{patient}", fields))
    return tuple(found)


def shown(page: str) -> dict[str, str]:
    """What stands in the fields of a form."""
    found = {}
    for tag in re.findall(r"<input[^>]*>", page):
        name = re.search(r'name="([^"]+)"', tag)
        value = re.search(r'value="([^"]*)"', tag)
        is_box = 'type="radio"' in tag or 'type="checkbox"' in tag
        if name and value and (not is_box or " checked" in tag):
            found[name[1]] = html.unescape(value[1])
    chosen = r'<select[^>]*name="([^"]+)"[^>]*>(.*?)</select>'
    for name, inner in re.findall(chosen, page, re.DOTALL):
        one = re.search(r'value="([^"]*)"[^>]*selected', inner)
        found[name] = html.unescape(one[1]) if one else ""
    return {name: value for name, value in found.items() if name not in {"token", "do"}}


def _sent(visitor: Visitor, path: str, fields: dict[str, str]) -> bytes:
    body = {**fields, "do": "send", "token": visitor.token}
    return visitor.post(path, urlencode(body).encode())


def _cases(node: NodeUnderTest, today: str) -> list[str]:
    """Cases of the county at the hospital that are followed up and had no visit today."""
    asked = {
        "code": chronic.CODE,
        "business-status": f"{chronic.STATE_SYSTEM}|managed",
        "_count": str(_PAGE),
    }
    address: str | None = f"http://{HOST}:{node.port}/fhir/Task?{urlencode(asked)}"
    headers = {"authorization": f"Bearer {node.token('demo-hospital-1')}"}
    found: list[str] = []
    with httpx.Client(headers=headers, timeout=120) as client:
        while address is not None and len(found) < _CASES_MAX:
            answer: dict[str, Any] = client.get(address).raise_for_status().json()
            for entry in answer.get("entry", ()):
                task = entry["resource"]
                # The demonstration's own cases are each at another point of their way.
                if not task["focus"]["reference"].startswith(county.EPISODES):
                    continue
                if all(one.on.isoformat() != today for one in chronic.visits_of(task)):
                    found.append(str(task["id"]))
            links = answer.get("link", ())
            address = next((one["url"] for one in links if one["relation"] == "next"), None)
    random.Random(today).shuffle(found)
    return found
