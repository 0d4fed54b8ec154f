"""A planted secret, those who may not see it, and every question that could tell of it.

Each question is asked before the secret is there and when it is; both answers must be the same to
the byte, but for the time and what is sealed.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import asyncpg
import httpx
import msgspec
from entrance import Entrance
from persons import NUMBER, consent, day, visit
from stores import IDENTITY_NUMBERS, bundle, coded, open_context, open_guard, patient

from quanmin.api import DoorLimits, build
from quanmin.api.interactions import INTERACTIONS, Interaction
from quanmin.api.routing import Routes
from quanmin.base.clock import Clock
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
    "system_administrator",
    "security_administrator",
    "audit_administrator",
)
HIDDEN_CODE = "B20"
CODE = f"{ICD}|{HIDDEN_CODE}"

Question = tuple[str, str, str | bytes | None]
Answer = tuple[int, dict[str, str], str]


class Secret(msgspec.Struct, frozen=True, kw_only=True):
    """What is hidden, and by what. `consents` stand about the person at hospital-b before it is
    planted; `is_treated` says that hospital-a treats the person.
    """

    code: str = HIDDEN_CODE
    consents: tuple[dict[str, Any], ...] = ({"type": "permit"},)
    is_treated: bool = True
    security: str = ""


SECRETS: dict[str, Secret] = {
    "of a kind that is kept apart": Secret(),
    "of a level beyond every role": Secret(code="I21", security="V"),
    "refused by the person": Secret(code="I21", consents=({"type": "deny"},)),
    "of a consent that was withdrawn": Secret(
        code="I21", consents=({"type": "permit", "status": "inactive"},)
    ),
    "of an institution with which nobody has to do": Secret(
        code="I21", consents=(), is_treated=False
    ),
}


class Place:
    """A node with a person at two hospitals; the secret is a diagnosis of hospital-b."""

    def __init__(self, guard: Guard, actors: Actors, secret: Secret) -> None:
        self.guard = guard
        self.kind = secret
        limits = DoorLimits(stranger_burst_requests=1e9, client_burst_requests=1e9)
        self.door = build(guard, actors, limits, link_key=b"k" * 32, zone=ZONE)
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
        labels = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
        label = {"system": labels, "code": self.kind.security}
        return {
            "resourceType": "Condition",
            "id": SECRET,
            **({"meta": {"security": [label]}} if self.kind.security else {}),
            "code": coded(self.kind.code, ICD, text="hidden words"),
            "subject": {"reference": f"Patient/{self.there}"},
            "recordedDate": day(-2),
            "clinicalStatus": coded("active", CLINICAL),
        }

    async def plant(self) -> None:
        body = json.dumps(self.secret())
        answer = await self.clients["hospital-b"].put(f"/Condition/{SECRET}", content=body)
        assert answer.status_code == 201, answer.text

    async def fill(self) -> None:
        for hospital in ("hospital-a", "hospital-b"):
            made = await self.clients[hospital].post("/Patient", content=patient(NUMBER))
            id_ = made.json()["id"]
            if hospital == "hospital-a":
                self.here = id_
            else:
                self.there = id_
            if self.kind.is_treated:
                await self.clients[hospital].post("/Encounter", content=visit(id_))
            common = {"code": coded("I10", ICD), "subject": {"reference": f"Patient/{id_}"}}
            body = json.dumps({"resourceType": "Condition", **common})
            await self.clients[hospital].post("/Condition", content=body)
        for provision in self.kind.consents:
            signed = consent(self.there, **provision) | {"sourceAttachment": {"title": "signed"}}
            answer = await self.clients["hospital-b"].post("/Consent", content=json.dumps(signed))
            assert answer.status_code == 201, answer.text


async def _appoint(pool: asyncpg.Pool[asyncpg.Record], actor: Actor) -> str:
    """A token of an administrator. They are people who sign in; by a token all routes are open."""
    await Entrance(pool, Clock().now).add(actor, document=f"passport:{actor.code}")
    token = f"token-of-{actor.code}"
    digest = hashlib.sha256(token.encode()).digest()
    await pool.execute("update trust.actor set token_hash = $2 where code = $1", actor.code, digest)
    return token


@asynccontextmanager
async def opened(
    pool: asyncpg.Pool[asyncpg.Record], folder: Path, secret: Secret
) -> AsyncIterator[Place]:
    """A place before its secret is planted."""
    guard, actors = open_guard(pool, open_context(folder, terms=Terms)), Actors(pool)
    found = Place(guard, actors, secret)
    for code in ("hospital-a", "hospital-b"):
        found.client(code, await actors.enrol(Actor(code, "institution", code, code)))
    for role in ROLES:
        person = "4711" if role in {"resident", "guardian"} else None
        sender = "" if person else "hospital-a"
        actor = Actor(f"the-{role}", role, role, sender, person)
        if role.endswith("administrator"):
            found.client(role, await _appoint(pool, actor))
        else:
            found.client(role, await actors.enrol(actor))
    await found.fill()
    try:
        yield found
    finally:
        for client in found.clients.values():
            await client.aclose()


# ---- questions -----------------------------------------------------------------------------------


def routes(place: Place) -> Iterator[Question]:
    """Every interaction that is asked by GET, at the secret's address and at its person's."""
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
    there, code = place.there, place.kind.code
    coding = quote(f"{ICD}|{code}")
    terms = [
        f"code={coding}",
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
        f"_filter={quote(f'code eq {code}')}",
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
        f"_has:Condition:subject:code={coding}",
        "_has:Condition:patient:_id=" + SECRET,
        "_revinclude=Condition:subject",
        "_revinclude=Condition:subject&_revinclude:iterate=Encounter:diagnosis",
        f"_list={SECRET}",
    ):
        for shape in ("", "_total=accurate", "_summary=count"):
            yield "GET", f"/Patient?{term}&{shape}".rstrip("&"), None
    yield "GET", "/?_type=Condition,Patient&_total=accurate&_lastUpdated=gt2020", None
    yield "POST", "/Condition/_search", f"code={coding}&_total=accurate"
    yield "GET", f"/Patient/{there}/Condition?_total=accurate", None
    yield "GET", f"/Patient/{there}/*?_total=accurate", None


def more_searches(place: Place) -> Iterator[Question]:
    """The rarer forms: shapes of answers, orders, chains of chains, other ways to the same."""
    there, code = place.there, place.kind.code
    coding = quote(f"{ICD}|{code}")
    for shape in ("_total=estimate", "_count=0", "_count=1000", "_elements=code", "_summary=true"):
        yield "GET", f"/Condition?code={coding}&{shape}", None
    for shape in ("_summary=text", "_summary=data", "_contained=both", "_format=json&_pretty=true"):
        yield "GET", f"/Condition?subject=Patient/{there}&{shape}", None
    for order in load_table().types["Condition"].params:
        yield "GET", f"/Condition?_sort={order},-_id&_count=1", None
        yield "GET", f"/Condition?_sort=-{order}&_count=2&_total=accurate", None
    for term in (
        f"code:in={quote('http://hl7.org/fhir/ValueSet/condition-code')}",
        f"code:below={coding}",
        f"code:above={coding}",
        f"code:not-in={quote('http://node.test/none')}",
        f"code={code},I10",
        "subject:identifier=" + quote(f"{IDENTITY_NUMBERS}|{NUMBER}"),
        "subject.name=x&code:missing=false",
        f"subject._has:Condition:subject:code={coding}",
        f"patient:Patient._id={there}&clinical-status=active",
        f"encounter:missing=true&code={coding}",
        "_text=hidden",
        "_content=hidden",
        "_tag:missing=true",
        "_profile:missing=true&_total=accurate",
        "_source:missing=true",
        f"_filter={quote(f'subject re Patient/{there} and (code eq {code} or code eq I10)')}",
        f"_filter={quote('not (code eq I10)')}",
        f"_lastUpdated=ge2020&_lastUpdated=lt2090&code:not={code}",
        "onset-date:missing=true",
        "code-text=hidden",
    ):
        yield "GET", f"/Condition?{term}", None
        yield "GET", f"/Condition?{term}&_summary=count", None
    for term in (
        f"_has:Condition:subject:code:text=hidden&_id={there}",
        f"_has:Condition:subject:_has:Encounter:diagnosis:_id={SECRET}",
        f"_filter={quote('_has:Condition:subject:code eq ' + code)}",
        f"_id={there}&_revinclude=*",
        f"_id={there}&_include=*&_revinclude=Condition:*",
        f"_has:Encounter:subject:diagnosis=Condition/{SECRET}",
    ):
        yield "GET", f"/Patient?{term}", None
    for type_ in ("Encounter", "Observation", "Provenance", "List", "ServiceRequest", "Procedure"):
        yield "GET", f"/{type_}?_has:Condition:encounter:code={coding}", None
    yield "GET", f"/Encounter?diagnosis=Condition/{SECRET}&_include=Encounter:diagnosis", None
    yield "GET", f"/Encounter?diagnosis.code={coding}", None
    yield "GET", f"/Provenance?target=Condition/{SECRET}&_include=Provenance:target", None
    yield "GET", f"/Provenance?target:Condition.code={coding}", None
    yield "GET", f"/AuditEvent?entity=Condition/{SECRET}", None
    yield "GET", f"/AuditEvent?patient=Patient/{there}", None
    yield "GET", "/AuditEvent?_summary=count&agent-name=hospital-b", None
    yield "GET", "/_history?_since=2020-01-01&_count=1000&_type=Condition", None
    yield "GET", "/Condition/_history?_at=2026&_count=2", None
    yield "GET", f"/Condition/{SECRET}/_history?_count=1", None
    yield "HEAD", f"/Condition/{SECRET}", None
    yield "HEAD", f"/Condition?code={coding}", None
    yield "POST", f"/Patient/{there}/Condition/_search", f"code={coding}"
    yield "POST", "/_search", f"_type=Condition&_id={SECRET}"


def operations(place: Place) -> Iterator[Question]:
    """Operations with their parameters, where the secret or its person could be meant."""
    there, code = place.there, place.kind.code
    for part in ("", "?_count=1", "?_type=Condition", "?_since=2020-01-01", "?start=2020&end=2090"):
        yield "GET", f"/Patient/{there}/$everything{part}", None
        yield "GET", f"/Patient/{place.here}/$everything{part}", None
    yield "GET", f"/Patient/{there}/$counts?_type=Condition&by=code", None
    yield "GET", f"/Condition/$counts?code={code}", None
    yield "GET", f"/Observation/$lastn?subject=Patient/{there}&max=2", None
    yield "GET", f"/DocumentReference/$docref?patient={there}", None
    yield "GET", "/$meta", None
    yield "GET", "/Condition/$meta", None
    yield "POST", "/$meta", "{}"
    labels = [{"system": "http://node.test", "code": "mine"}]
    change = [{"name": "meta", "valueMeta": {"tag": labels}}]
    meta = json.dumps({"resourceType": "Parameters", "parameter": change})
    yield "POST", f"/Condition/{SECRET}/$meta-add", meta
    yield "POST", f"/Condition/{SECRET}/$meta-delete", meta
    yield "POST", f"/Condition/{SECRET}/$sign", json.dumps({"resourceType": "Parameters"})
    yield "GET", f"/Provenance/{SECRET}/$verify-signature", None
    yield "POST", f"/Condition/{SECRET}/$reindex", json.dumps({"resourceType": "Parameters"})
    for mode in ("create", "update", "delete"):
        parts = [
            {"name": "mode", "valueCode": mode},
            {"name": "resource", "resource": place.secret()},
        ]
        said = json.dumps({"resourceType": "Parameters", "parameter": parts})
        yield "POST", f"/Condition/{SECRET}/$validate", said
        yield "POST", "/Condition/$validate", said
    for path in (
        f"/CodeSystem/$validate-code?url={quote(ICD)}&code={code}",
        f"/CodeSystem/$lookup?system={quote(ICD)}&code={code}",
        f"/CodeSystem/$subsumes?system={quote(ICD)}&codeA={code}&codeB=I10",
        f"/ValueSet/$expand?url={quote('http://node.test/none')}",
        f"/ValueSet/{SECRET}/$expand",
        f"/ValueSet/{SECRET}/$validate-code?code={code}&system={quote(ICD)}",
        f"/CodeSystem/{SECRET}/$validate-code?code={code}",
        f"/CodeSystem/{SECRET}/$subsumes?codeA={code}&codeB=I10",
        f"/ConceptMap/{SECRET}/$translate?system={quote(ICD)}&code={code}",
        f"/SearchParameter/{SECRET}/$status",
        f"/ValueSet/$validate-code?url={quote('http://node.test/none')}&code={code}",
        f"/ConceptMap/$translate?system={quote(ICD)}&code={code}",
        "/SearchParameter/$status",
    ):
        yield "GET", path, None


def writes(place: Place) -> Iterator[Question]:
    """Writes that a match, or the id of the secret, would answer otherwise; they leave nothing."""
    code = place.kind.code
    coding = f"{ICD}|{code}"
    yield "DELETE", f"/Condition?code={quote(coding)}", None
    yield "DELETE", f"/Condition/{SECRET}", None
    yield "PATCH", f"/Condition?code={quote(coding)}", b"[]"
    yield "PATCH", f"/Condition/{SECRET}", b"[]"
    reads = [
        {"request": {"method": "GET", "url": url}}
        for url in (
            f"Condition/{SECRET}",
            f"Condition?code={coding}",
            f"Patient?_has:Condition:subject:code={coding}",
            f"Condition/{SECRET}/_history",
        )
    ]
    yield "POST", "", bundle("batch", *reads)
    yield "POST", "", bundle("transaction", *reads[1:3])
    about = {
        "resourceType": "Observation",
        "status": "final",
        "code": coded("x"),
        "focus": [{"reference": f"Condition?code={coding}"}],
    }
    entry = {"resource": about, "request": {"method": "POST", "url": "Observation"}}
    yield "POST", "", bundle("transaction", entry)
    claiming = json.dumps({**place.secret(), "encounter": {"reference": f"Condition/{SECRET}"}})
    yield "POST", f"/Condition/{SECRET}/$validate", claiming


def failing_writes(place: Place) -> Iterator[Question]:
    """Conditional writes in transactions that fail at their end, so that nothing of them stays."""
    coding = f"{ICD}|{place.kind.code}"
    own = {
        "resourceType": "Condition",
        "code": coded(place.kind.code, ICD),
        "subject": {"reference": f"Patient/{place.here}"},
    }
    # It is read only after the others have been carried out, and cannot be.
    last = {"request": {"method": "GET", "url": "Condition/there-is-none-of-this-id"}}
    for request in (
        {"method": "POST", "url": "Condition", "ifNoneExist": f"code={coding}"},
        {"method": "PUT", "url": f"Condition?code={coding}"},
        {"method": "POST", "url": "Condition", "ifNoneExist": f"_id={SECRET}"},
    ):
        yield "POST", "", bundle("transaction", {"resource": own, "request": request}, last)
    for request in (
        {"method": "DELETE", "url": f"Condition?code={coding}"},
        {"method": "DELETE", "url": f"Condition/{SECRET}"},
        {"method": "GET", "url": f"Condition/{SECRET}/_history/1"},
    ):
        yield "POST", "", bundle("transaction", {"request": request}, last)
        yield "POST", "", bundle("batch", {"request": request}, last)
    yield (
        "POST",
        "",
        bundle(
            "batch",
            {"request": {"method": "GET", "url": f"Condition/{SECRET}", "ifNoneMatch": 'W/"1"'}},
            {"request": {"method": "HEAD", "url": f"Condition/{SECRET}"}},
            {"request": {"method": "GET", "url": f"Patient/{place.there}/$everything"}},
        ),
    )


# Which questions stand for an interaction, beside those made from its shape; or why none does.
ELSEWHERE: dict[str, str] = {
    "POST [type]": "a create has no address yet; with If-None-Exist: failing_writes",
    "PUT [type]/[id]": "leaves a record: tests/contract/api/test_hidden.py",
    "PUT [type]": "leaves a record; in a transaction that fails: failing_writes",
    "GET metadata": "open to everybody, and tells of the node alone",
    "GET _page": "a sealed link is of who got it: tests/unit/api/test_paging.py",
    "GET _job/[id]": "tests/contract/threats/test_attacks.py asks for jobs of others",
    "DELETE _job/[id]": "the same",
    "GET _job/[id]/[kind]": "the same",
    "POST $import": "takes in and reads nothing: tests/contract/api/test_importing.py",
    "POST $reindex": "for operators: tests/contract/api/test_search_parameters.py",
    "POST [type]/$reindex": "the same",
    "POST [type]/[id]/$break-glass": "tells those who may that a Patient is there, and is logged",
    "GET $export": "its files are compared in tests/full/trust/test_leak_hunt_whole.py",
    "POST $export": "the same",
    "GET [type]/$export": "the same",
    "POST [type]/$export": "the same",
    "GET [type]/[id]/$export": "the same",
    "POST [type]/[id]/$export": "the same",
}
LATER = {"$export", "$import", "$reindex"}

Group = Callable[[Place], Iterable[Question]]
GROUPS: tuple[Group, ...] = (
    routes,
    searches,
    more_searches,
    operations,
    writes,
    failing_writes,
)


def unasked(place: Place) -> list[str]:
    """The interactions that no question stands for and nobody has said why."""
    table = Routes(INTERACTIONS, load_table().types.keys())
    asked: set[tuple[str, str]] = set()
    for group in GROUPS:
        for method, path, _ in group(place):
            parts = [part for part in path.partition("?")[0].split("/") if part]
            found: Interaction = table.find(parts)[method]
            asked.add((method if method != "HEAD" else found.method, found.shape))
    declared = {(one.method, one.shape) for one in INTERACTIONS}
    # By POST an operation asks what it asks by GET.
    alike = {("POST", shape) for method, shape in asked if method == "GET" and "$" in shape}
    names = {f"{method} {shape}" for method, shape in declared - asked - alike}
    return sorted(names - ELSEWHERE.keys())


# ---- asking --------------------------------------------------------------------------------------


async def ask(client: httpx.AsyncClient, question: Question, purpose: str) -> Answer:
    """What is told: status, headers and body, without what differs from moment to moment."""
    method, path, body = question
    headers = {"X-Purpose-Of-Use": purpose, "X-Request-Id": "hunt", "Accept-Encoding": "identity"}
    if path.endswith("_search"):
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    if method == "PATCH":
        headers["Content-Type"] = "application/json-patch+json"
    answer = await client.request(method, path, content=body, headers=headers)
    told = {name: value for name, value in answer.headers.items() if name != "date"}
    if "_page?c=" in answer.text:  # the length of what is sealed; what it shows is compared
        told.pop("content-length", None)
    return answer.status_code, told, _settled(answer.text)


def _settled(text: str) -> str:
    """An answer without what differs from one moment to the next: sealed links and the time."""
    text = re.sub(r"_page\?c=[\w.~-]+", "_page", text)
    text = re.sub(r'"(lastUpdated|timestamp|date)":"[^"]+"', r'"\1":""', text)
    return re.sub(r'"value(Instant|DateTime)":"[^"]+"', '"valueInstant":""', text)


async def hunt(
    place: Place, questions: list[Question], roles: Iterable[str], purpose: str
) -> list[tuple[str, str, str]]:
    """Plants the secret; gives who was told of it by what."""
    asked = [(role, question) for role in roles for question in questions]
    before = [await ask(place.clients[role], question, purpose) for role, question in asked]
    await place.plant()
    return [
        (role, question[0], question[1])
        for (role, question), told in zip(asked, before, strict=True)
        if await ask(place.clients[role], question, purpose) != told
    ]
