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
from quanmin.fhir.kinds import modifiers_of
from quanmin.fhir.table import load_table
from quanmin.terminology import Terms
from quanmin.trust import Actor, Actors, Guard, Role

SECRET, OWN = "secret-1", "own-1"
TIED = ("Condition", "Observation", "DocumentReference", "List")
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

Question = tuple[str, str, str | bytes | None] | tuple[str, str, str | bytes | None, dict[str, str]]
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
        self.here = self.there = self.visit = ""

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

    def secrets(self) -> list[dict[str, Any]]:
        """The secret, and others of the same kind beside it: of types that are asked in ways of
        their own, about the same person, and tied to a visit of hospital-a.
        """
        one = self.secret()
        said, about = one["code"], {"subject": one["subject"]}
        common = {"id": SECRET, **({"meta": one["meta"]} if "meta" in one else {})}
        tied = {"encounter": {"reference": f"Encounter/{self.visit}"}}
        chart = {"identifier": [{"system": "urn:chart", "value": "x-1", "type": coded("MR")}]}
        measured = [{"code": coded("dose"), "valueQuantity": {"value": 77.25, "unit": "mg"}}]
        attachment = {"attachment": {"contentType": "text/plain", "data": "aGlkZGVu"}}
        return [
            {**one, **tied, **chart},
            {"resourceType": "Observation", **common, "status": "final", "code": said, **about,
             **tied, "effectiveDateTime": day(-1), "valueString": "hidden words",
             "component": measured},
            {"resourceType": "DocumentReference", **common, "status": "current", "type": said,
             "description": "hidden words",
             **about, "content": [attachment], "context": {"encounter": [tied["encounter"]]}},
            {"resourceType": "List", **common, "status": "current", "mode": "working",
             "title": "hidden words", "code": said, **about, "entry": [{"item": about["subject"]}]},
        ]  # fmt: skip

    async def plant(self) -> None:
        for body in self.secrets():
            path = f"/{body['resourceType']}/{SECRET}"
            answer = await self.clients["hospital-b"].put(path, content=json.dumps(body))
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
            if hospital == "hospital-a":
                await self._tie(id_)
            common = {"code": coded("I10", ICD), "subject": {"reference": f"Patient/{id_}"}}
            body = json.dumps({"resourceType": "Condition", **common})
            await self.clients[hospital].post("/Condition", content=body)
        for provision in self.kind.consents:
            signed = consent(self.there, **provision) | {"sourceAttachment": {"title": "signed"}}
            answer = await self.clients["hospital-b"].post("/Consent", content=json.dumps(signed))
            assert answer.status_code == 201, answer.text

    async def _tie(self, here: str) -> None:
        """Records of hospital-a that name what is not there yet, or is hidden."""
        client, of = self.clients["hospital-a"], {"subject": {"reference": f"Patient/{here}"}}
        diagnosis = [{"condition": {"reference": f"Condition/{SECRET}"}}]
        seen = json.loads(visit(here, status="finished", start=day(-900), end=day(-899)))
        made = await client.post("/Encounter", content=json.dumps({**seen, "diagnosis": diagnosis}))
        self.visit = made.json()["id"]
        named = [{"reference": f"{type_}/{SECRET}"} for type_ in TIED]
        common = {"status": "current", "mode": "working", **of}
        for body in (
            {"resourceType": "List", "id": OWN, **common,
             "entry": [{"item": one} for one in named]},
            {"resourceType": "Provenance", "id": OWN, "target": named, "recorded": day(-1),
             "agent": [{"who": {"display": "hospital-a"}}]},
            {"resourceType": "Observation", "id": OWN, "status": "final", "code": coded("x"), **of,
             "focus": named, "derivedFrom": [{"reference": f"Observation/{SECRET}"}]},
        ):  # fmt: skip
            path = f"/{body['resourceType']}/{OWN}"
            answer = await client.put(path, content=json.dumps(body))
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


# "{...}" names the secret, own records and the code.
_TIES = (
    "Encounter?diagnosis.code={coding}",
    "Encounter?diagnosis:Condition._id={secret}",
    "Encounter?diagnosis:Condition.subject=Patient/{there}",
    "Encounter?diagnosis=Condition/{secret}",
    "Encounter?diagnosis:missing=false",
    "Encounter?_include=Encounter:diagnosis",
    "Encounter?_include=*",
    "Encounter?_include=Encounter:diagnosis&_include:iterate=Condition:subject",
    "Encounter?_has:Condition:encounter:code={coding}",
    "Encounter?_has:Observation:encounter:_id={secret}",
    "Encounter?_has:Observation:encounter:value-string=hidden",
    "Encounter?_has:DocumentReference:encounter:_has:List:item:_id={own}",
    "Encounter?_revinclude=Condition:encounter",
    "Encounter?_revinclude=Observation:encounter&_revinclude=DocumentReference:encounter",
    "Encounter?_revinclude=Condition:encounter&_revinclude:iterate=Provenance:target",
    "Encounter?_filter=diagnosis re Condition/{secret}",
    "Encounter?_filter=diagnosis.code eq {code}",
    "Encounter?_sort=diagnosis",
    "Condition?_list={own}",
    "Condition?_list={secret}",
    "Observation?_list={own}",
    "List?item:Condition.code={coding}",
    "List?item=Condition/{secret}&_include=List:item",
    "List?_has:Provenance:target:_id={own}",
    "Provenance?target:Condition.code={coding}",
    "Provenance?target:Observation.status=final",
    "Provenance?_include=Provenance:target",
    "Provenance?target=Observation/{secret}&_include=Provenance:target",
    "Observation?focus:Condition.code={coding}",
    "Observation?derived-from:Observation.status=final",
    "Observation?derived-from.value-string=hidden",
    "Observation?_include=Observation:derived-from&_include=Observation:focus",
    "Observation?_has:Observation:derived-from:_id={own}",
    "Observation?value-string=hidden",
    "Observation?code={coding}&_sort=-date&_count=1",
    "DocumentReference?encounter=Encounter/{visit}",
    "DocumentReference?_has:List:item:_id={own}",
    "DocumentReference?description:contains=idden",
    "List?title=hidden",
    "List?title:exact=hidden words",
    "Condition?identifier=urn:chart|x-1",
    "Condition?identifier:of-type=urn:codes|MR|x-1",
    "Observation?component-value-quantity=77.25",
    "Observation?combo-code-value-quantity=dose$gt70",
    "Observation?date=gt2020",
    "Observation?_has:List:item:title:contains=idden",
    "Patient?_has:List:subject:_id={secret}",
    "Patient?_has:Observation:subject:value-string=hidden",
    "Patient?_has:DocumentReference:patient:status=current",
)


def ties(place: Place) -> Iterator[Question]:
    """What the asker's own records name, and what names the asker's own records."""
    coding, own = quote(f"{ICD}|{place.kind.code}"), place.visit
    for path in _TIES:
        named = {"secret": SECRET, "own": OWN, "visit": own, "there": place.there}
        asked = path.format(**named, coding=coding, code=place.kind.code).replace(" ", "%20")
        yield "GET", f"/{asked}", None
        yield "GET", f"/{asked}&_summary=count", None
        yield "GET", f"/{asked}&_total=accurate&_elements=id", None
    for type_ in ("Condition", "Observation", "DocumentReference", "*"):
        yield "GET", f"/Encounter/{own}/{type_}?_total=accurate", None
    for path in (
        f"Encounter/{own}/$everything",
        f"Patient/{place.here}/$everything?_count=2",
        f"Observation/$lastn?subject=Patient/{place.here}",
        f"Observation/$lastn?patient={place.there}&code={coding}",
        f"Observation/$lastn?category:missing=true&subject=Patient/{place.there}",
        f"DocumentReference/$docref?patient={place.here}",
        f"DocumentReference/$docref?patient={place.there}&type={coding}",
        f"Provenance/{OWN}/$verify-signature",
        f"Patient/{place.here}/$counts",
        f"Observation/$counts?code={coding}",
        "$counts",
    ):
        yield "GET", f"/{path}", None


def conditions(place: Place) -> Iterator[Question]:
    """What is asked by headers, and writes that name the secret; none of them leaves anything."""
    conditional = (
        {"If-None-Match": 'W/"1"'},
        {"If-None-Match": "*"},
        {"If-Modified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"},
        {"If-Match": 'W/"7"'},
        {"Prefer": "handling=strict"},
    )
    for type_, headers in itertools.product(TIED, conditional):
        yield "GET", f"/{type_}/{SECRET}", None, headers
    for headers in conditional[:2]:
        yield "GET", f"/Condition?_id={SECRET}", None, headers
    for version in ('W/"1"', 'W/"7"', "*"):
        held = {"If-Match": version}
        for type_ in TIED:
            wrong = json.dumps({"resourceType": type_, "id": SECRET, "colour": "red"})
            yield "PUT", f"/{type_}/{SECRET}", wrong, held
            yield "DELETE", f"/{type_}/{SECRET}", None, held
            yield "PATCH", f"/{type_}/{SECRET}", b"[]", held
    last = {"request": {"method": "GET", "url": "Condition/there-is-none-of-this-id"}}
    here = {"reference": f"Patient/{place.here}"}
    naming: list[dict[str, Any]] = [
        {"resourceType": "Observation", "status": "final", "code": coded("x"), "subject": here,
         "focus": [{"reference": f"{type_}/{SECRET}"} for type_ in TIED]},
        {"resourceType": "Observation", "status": "final", "code": coded("x"), "subject": here,
         "focus": [{"reference": f"Condition?_id={SECRET}"}]},
        {"resourceType": "Observation", "status": "final", "code": coded("x"), "subject": here,
         "focus": [{"reference": f"Condition/{SECRET}/_history/1"}]},
        {"resourceType": "Provenance", "recorded": day(0), "agent": [{"who": here}],
         "target": [{"reference": f"Condition/{SECRET}/_history/1"}]},
        consent(place.here, type="deny", data=[
            {"meaning": "instance", "reference": {"reference": f"Condition/{SECRET}"}}]),
        {"resourceType": "Composition", "status": "final", "type": coded("x"), "date": day(0),
         "title": "x", "author": [here], "subject": here,
         "section": [{"title": "x", "entry": [{"reference": f"Condition/{SECRET}"}]}]},
    ]  # fmt: skip
    for body in naming:
        entry = {"resource": body, "request": {"method": "POST", "url": body["resourceType"]}}
        yield "POST", "", bundle("transaction", entry, last)
        parts = [{"name": "resource", "resource": body}]
        said = json.dumps({"resourceType": "Parameters", "parameter": parts})
        yield "POST", f"/{body['resourceType']}/$validate", said
    for request in (
        {"method": "DELETE", "url": f"Encounter/{place.visit}"},
        {"method": "DELETE", "url": f"Encounter?diagnosis.code={ICD}|{place.kind.code}"},
        {"method": "DELETE", "url": f"List?item:Condition.code={place.kind.code}"},
    ):
        yield "POST", "", bundle("transaction", {"request": request}, last)
    for type_ in TIED:
        url = f"{type_}?subject=Patient/{place.there}"
        yield "POST", "", bundle("batch", {"request": {"method": "GET", "url": url}})
        yield "GET", f"/{url}&_sort=_lastUpdated&_count=1&_total=accurate", None
        yield "GET", f"/{type_}/_history?_count=50", None
    yield "GET", f"/?_type={','.join(TIED)}&_id={SECRET}&_total=accurate", None
    yield "GET", "/metadata", None


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
    ties,
    conditions,
)


def unasked(place: Place) -> list[str]:
    """The interactions that no question stands for and nobody has said why."""
    table = Routes(INTERACTIONS, load_table().types.keys())
    asked: set[tuple[str, str]] = set()
    for group in GROUPS:
        for method, path, *_ in group(place):
            parts = [part for part in path.partition("?")[0].split("/") if part]
            found: Interaction = table.find(parts)[method]
            asked.add((method if method != "HEAD" else found.method, found.shape))
    declared = {(one.method, one.shape) for one in INTERACTIONS}
    # By POST an operation asks what it asks by GET.
    alike = {("POST", shape) for method, shape in asked if method == "GET" and "$" in shape}
    names = {f"{method} {shape}" for method, shape in declared - asked - alike}
    return sorted(names - ELSEWHERE.keys())


def unasked_modifiers(place: Place) -> list[str]:
    """The modifiers of searches that no question has."""
    known = {
        modifier
        for definition in load_table().types.values()
        for param in definition.params.values()
        for modifier in modifiers_of(param)
    }
    asked = " ".join(path for group in GROUPS for _, path, *_ in group(place))
    types = "|".join(load_table().types)
    forms = {one: rf":{one}\b" if one != "[type]" else rf":({types})\b" for one in known}
    return sorted(one for one, form in forms.items() if not re.search(form, asked))


# ---- asking --------------------------------------------------------------------------------------


async def ask(client: httpx.AsyncClient, question: Question, purpose: str) -> Answer:
    """What is told: status, headers and body, without what differs from moment to moment."""
    method, path, body, *more = question
    headers = {"X-Purpose-Of-Use": purpose, "X-Request-Id": "hunt", "Accept-Encoding": "identity"}
    headers |= more[0] if more else {}
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
