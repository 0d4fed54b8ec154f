"""A record that an asker may not see changes nothing of what they are told, on no route and by no
question.

Everything is asked twice: before the secret record is there, and when it is.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import asyncpg
import httpx
import pytest
from persons import NUMBER, consent, day, visit
from stores import IDENTITY_NUMBERS, bundle, coded, open_context, open_guard, patient

from quanmin.api import build
from quanmin.api.interactions import INTERACTIONS
from quanmin.fhir.table import load_table
from quanmin.terminology import Terms
from quanmin.trust import Actor, Actors, Guard, Role

SECRET = "secret-1"
ICD = "http://hl7.org/fhir/sid/icd-10"
CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
ZONE = ZoneInfo("Asia/Shanghai")
ROLES: tuple[Role, ...] = (
    "institution",
    "doctor",
    "nurse",
    "public_health_worker",
    "supervisor",
    "researcher",
    "resident",
    "guardian",
)
# What begins work that is answered later tells of the work alone; it is hunted where it is tested.
LATER = {"$export", "$import", "$reindex"}
CODE = f"{ICD}|B20"


class Place:
    """A node with a person at two hospitals; the secret is a diagnosis of hospital-b."""

    def __init__(self, guard: Guard, actors: Actors) -> None:
        self.guard = guard
        self.door = build(guard, actors, None, link_key=b"k" * 32, zone=ZONE)
        self.clients: dict[str, httpx.AsyncClient] = {}
        self.here = self.there = ""

    def client(self, name: str, token: str) -> None:
        self.clients[name] = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.door),
            base_url="http://node.test/fhir",
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/fhir+json"},
            timeout=60,
        )

    def secret(self) -> dict[str, Any]:
        return {
            "resourceType": "Condition",
            "id": SECRET,
            "code": coded("B20", ICD, text="hidden words"),
            "subject": {"reference": f"Patient/{self.there}"},
            "recordedDate": day(-2),
            "clinicalStatus": coded("active", CLINICAL),
        }

    async def plant(self) -> None:
        body = json.dumps(self.secret())
        answer = await self.clients["hospital-b"].put(f"/Condition/{SECRET}", content=body)
        assert answer.status_code == 201, answer.text


@pytest.fixture
async def place(pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path) -> AsyncIterator[Place]:
    guard, actors = open_guard(pool, open_context(tmp_path, terms=Terms)), Actors(pool)
    found = Place(guard, actors)
    for code in ("hospital-a", "hospital-b"):
        found.client(code, await actors.enrol(Actor(code, "institution", code, code)))
    for role in ROLES:
        person = "4711" if role in {"resident", "guardian"} else None
        sender = "" if person else "hospital-a"
        actor = Actor(f"the-{role}", role, role, sender, person)
        found.client(role, await actors.enrol(actor))
    for hospital in ("hospital-a", "hospital-b"):
        made = await found.clients[hospital].post("/Patient", content=patient(NUMBER))
        id_ = made.json()["id"]
        await found.clients[hospital].post("/Encounter", content=visit(id_))
        common = {"code": coded("I10", ICD), "subject": {"reference": f"Patient/{id_}"}}
        body = json.dumps({"resourceType": "Condition", **common})
        await found.clients[hospital].post("/Condition", content=body)
        if hospital == "hospital-a":
            found.here = id_
        else:
            found.there = id_
    signed = consent(found.there, type="permit") | {"sourceAttachment": {"title": "signed"}}
    await found.clients["hospital-b"].post("/Consent", content=json.dumps(signed))
    yield found
    for client in found.clients.values():
        await client.aclose()


Question = tuple[str, str, str | bytes | None]


def routes(place: Place) -> Iterator[Question]:
    """Every interaction that only asks, at the secret's address and at its person's."""
    named = {
        "Condition": (SECRET,),
        "Patient": (place.here, place.there),
        "Encounter": (SECRET,),
        "Observation": (SECRET,),
    }
    for one in INTERACTIONS:
        if one.access != "actor" or any(word in one.shape for word in LATER):
            continue
        if one.method != "GET":
            continue
        types = [type_ for type_ in named if not one.types or type_ in one.types]
        for type_, count in itertools.product(types, range(2)):
            id_ = named[type_][min(count, len(named[type_]) - 1)]
            path = one.shape.replace("[type]", type_, 1).replace("[id]", id_, 1)
            path = path.replace("[version]", "1").replace("[type]", "Condition")
            if "[" not in path:
                yield "GET", f"/{path}", None


def searches(place: Place) -> Iterator[Question]:
    """Every form of search whose answer the secret would change."""
    there = place.there
    terms = [
        f"code={quote(CODE)}",
        "code:text=hidden",
        "code:not=I10",
        "code:missing=false",
        f"subject=Patient/{there}",
        f"patient={there}",
        f"patient.identifier={quote(IDENTITY_NUMBERS)}|{NUMBER}",
        "subject:Patient.gender:missing=true",
        f"_id={SECRET}",
        "recorded-date=gt2020",
        "_lastUpdated=gt2020",
        "_security:missing=false",
        "_security=http://terminology.hl7.org/CodeSystem/v3-ActCode|HIV",
        f"_filter={quote('code eq B20')}",
        "_sort=-_lastUpdated&_count=1",
        "_sort=recorded-date",
        "_include=Condition:subject",
    ]
    for term, shape in itertools.product(terms, ("", "_total=accurate", "_summary=count")):
        yield "GET", f"/Condition?{term}&{shape}".rstrip("&"), None
    definition = load_table().types["Condition"]
    for name, param in definition.params.items():
        if param.kind in {"token", "reference", "date", "string"}:
            yield "GET", f"/Condition?{name}:missing=false&_summary=count", None
    for term in (
        f"_has:Condition:subject:code={quote(CODE)}",
        "_has:Condition:patient:_id=" + SECRET,
        "_revinclude=Condition:subject",
        "_revinclude=Condition:subject&_revinclude:iterate=Encounter:diagnosis",
        f"_list={SECRET}",
    ):
        for shape in ("", "_total=accurate", "_summary=count"):
            yield "GET", f"/Patient?{term}&{shape}".rstrip("&"), None
    yield "GET", "/?_type=Condition,Patient&_total=accurate&_lastUpdated=gt2020", None
    yield "POST", "/Condition/_search", f"code={quote(CODE)}&_total=accurate"
    yield "GET", f"/Patient/{there}/Condition?_total=accurate", None
    yield "GET", f"/Patient/{there}/*?_total=accurate", None


def writes(place: Place) -> Iterator[Question]:
    """Writes that a match, or the id of the secret, would answer otherwise; they leave nothing."""
    yield "DELETE", f"/Condition?code={quote(CODE)}", None
    yield "DELETE", f"/Condition/{SECRET}", None
    yield "PATCH", f"/Condition?code={quote(CODE)}", b"[]"
    yield "PATCH", f"/Condition/{SECRET}", b"[]"
    reads = [
        {"request": {"method": "GET", "url": url}}
        for url in (
            f"Condition/{SECRET}",
            f"Condition?code={CODE}",
            f"Patient?_has:Condition:subject:code={CODE}",
            f"Condition/{SECRET}/_history",
        )
    ]
    yield "POST", "", bundle("batch", *reads)
    yield "POST", "", bundle("transaction", *reads[1:3])
    about = {
        "resourceType": "Observation",
        "status": "final",
        "code": coded("x"),
        "focus": [{"reference": f"Condition?code={CODE}"}],
    }
    entry = {"resource": about, "request": {"method": "POST", "url": "Observation"}}
    yield "POST", "", bundle("transaction", entry)
    claiming = json.dumps({**place.secret(), "encounter": {"reference": f"Condition/{SECRET}"}})
    yield "POST", f"/Condition/{SECRET}/$validate", claiming


async def ask(client: httpx.AsyncClient, question: Question, purpose: str) -> tuple[Any, ...]:
    method, path, body = question
    headers = {"X-Purpose-Of-Use": purpose, "X-Request-Id": "hunt"}
    if path.endswith("_search"):
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    if method == "PATCH":
        headers["Content-Type"] = "application/json-patch+json"
    answer = await client.request(method, path, content=body, headers=headers)
    told = {name: value for name, value in answer.headers.items() if name not in CHANGING}
    return answer.status_code, told, _settled(answer.text)


CHANGING = {"date", "content-length"}


def _settled(text: str) -> str:
    """An answer without what differs from one moment to the next: sealed links and the time."""
    text = re.sub(r"_page\?c=[\w.~-]+", "_page", text)
    text = re.sub(r'"(lastUpdated|timestamp|date)":"[^"]+"', r'"\1":""', text)
    return re.sub(r'"value(Instant|DateTime)":"[^"]+"', '"valueInstant":""', text)


@pytest.mark.parametrize(
    ("purpose", "roles"),
    [("TREAT", ROLES), ("BTG", ("doctor",)), ("PUBHLTH", ("public_health_worker",))],
)
async def test_a_planted_secret_changes_no_answer_to_who_may_not_see_it(
    place: Place, purpose: str, roles: tuple[Role, ...]
) -> None:
    questions = [*routes(place), *searches(place), *writes(place)]
    assert len(questions) > 100
    before = {
        (role, number): await ask(place.clients[role], question, purpose)
        for role in roles
        for number, question in enumerate(questions)
    }
    await place.plant()
    leaks = [
        (role, questions[number][:2])
        for (role, number), told in before.items()
        if await ask(place.clients[role], questions[number], purpose) != told
    ]
    assert leaks == []


async def test_the_hunt_notices_who_does_see_it(place: Place) -> None:
    questions = [*routes(place), *searches(place)]
    client = place.clients["hospital-b"]
    before = [await ask(client, question, "TREAT") for question in questions]
    await place.plant()
    after = [await ask(client, question, "TREAT") for question in questions]
    changed = [one != other for one, other in zip(before, after, strict=True)]
    assert sum(changed) > 40
