"""The access log as AuditEvents at the door: R4 auditevent.html, and IHE BALP for its shape."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from stores import bundle, observation, patient, post

from quanmin.fhir.validation import validate
from quanmin.trust import Actor

BALP = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit"


async def events(client: httpx.AsyncClient, **asked: Any) -> list[dict[str, Any]]:
    """What a search of the log gives on its first page."""
    answer = await client.get("/AuditEvent", params=asked)
    assert answer.status_code == 200, answer.text
    return [each["resource"] for each in answer.json().get("entry", [])]


async def ids(client: httpx.AsyncClient, **asked: Any) -> set[str]:
    return {event["id"] for event in await events(client, **asked)}


async def made(client: httpx.AsyncClient, body: bytes) -> str:
    type_ = json.loads(body)["resourceType"]
    answer = await client.post(f"/{type_}", content=body, headers={"x-request-id": "making"})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def event_of(client: httpx.AsyncClient, request: str) -> dict[str, Any]:
    """The one event of a request."""
    found = [
        event
        for event in await events(client, _count="200")
        if any(
            entity["what"].get("identifier", {}).get("value") == request
            for entity in event.get("entity", ())
            if "what" in entity
        )
    ]
    assert len(found) == 1, f"{len(found)} events of {request}"
    return found[0]


@pytest.fixture
async def clinic(house: Any) -> dict[str, str]:
    """A Patient of hospital A with a result, as ids."""
    hospital = house.client("hospital-a")
    person = await made(hospital, patient("580101199003078512"))
    result = await made(hospital, observation(f"Patient/{person}"))
    return {"patient": person, "result": result}


async def test_a_read_leaves_one_event_in_the_shape_of_balp(
    house: Any, client: httpx.AsyncClient, clinic: dict[str, str]
) -> None:
    hospital = house.client("hospital-a")
    address = f"/Observation/{clinic['result']}"
    headers = {"x-request-id": "reading-1", "x-purpose-of-use": "ETREAT"}
    assert (await hospital.get(address, headers=headers)).status_code == 200
    event = await event_of(client, "reading-1")
    assert event["meta"]["profile"] == [f"{BALP}.PatientRead"]
    assert (event["action"], event["outcome"]) == ("R", "0")
    assert event["type"]["code"] == "rest"
    assert [one["code"] for one in event["subtype"]] == ["read"]
    assert event["purposeOfEvent"][0]["coding"][0]["code"] == "ETREAT"
    user, reader, server = event["agent"]
    assert (user["altId"], user["requestor"]) == ("hospital-a", True)
    assert user["role"][0]["text"] == "institution"
    assert user["type"]["coding"][0]["code"] == "IRCP"
    assert [one["type"]["coding"][0]["code"] for one in (reader, server)] == ["110152", "110153"]
    named = [(e["role"]["code"], e["what"]["reference"]) for e in event["entity"] if "role" in e]
    assert named == [
        ("1", f"Patient/{clinic['patient']}"),
        ("4", f"Observation/{clinic['result']}"),
    ]


# By the text of IHE BALP 1.1: of each profile the client and the server, and what the user may be.
SLICES = {
    "Read": ("110152", "110153", {"IRCP"}),
    "Query": ("110153", "110152", {"IRCP"}),
    "Create": ("110153", "110152", {"AUT", "INF", "CST"}),
    "Update": ("110153", "110152", {"AUT", "INF", "CST"}),
    "Delete": ("110150", "custodian", {"AUT", "INF", "CST"}),
}
BARE = ("role", "altId", "name", "location", "policy", "media", "purposeOfUse")


def unkept(event: Any) -> list[str]:
    """What an event breaks of the profile of BALP that it claims."""
    for claimed in event["meta"].get("profile", ()):
        kind = claimed.rpartition(".")[2]
        action = kind.removeprefix("Patient")
        client, server, users = SLICES[action]
        agents: dict[str, list[Any]] = {}
        for agent in event["agent"]:
            agents.setdefault(agent["type"]["coding"][0]["code"], []).append(agent)
        entities: dict[str, list[Any]] = {}
        for entity in event["entity"]:
            entities.setdefault(entity["type"]["code"], []).append(entity)
        (system,) = entities.get("2", [{}])
        user = next(agent for code, (agent, *_) in agents.items() if code in users)
        programs = [agent for code in (client, server) for agent in agents.get(code, ())]
        said = {
            "client and server": len(programs) == 2,
            "who": all("who" in agent and "network" in agent for agent in programs),
            "user": user["requestor"] and not {"network", "media"} & user.keys(),
            "outcome": event["outcome"] == "0",
            "action": event["action"] == {"Query": "E"}.get(action, action[0]),
            "transaction": len(entities.get("XrequestId", ())) <= 1,
        }
        if kind != action:
            (person,) = entities.get("1", [{}])
            said["patient"] = person["role"]["code"] == "1"
            said["patient is one"] = person["what"]["reference"].startswith("Patient/")
        if action == "Query":
            said["query"] = system["role"]["code"] == "24" and "what" not in system
            said["query is there"] = "_query" in system and "detail" not in system
        else:
            said["data"] = system["role"]["code"] in {"3", "4", "20"} and "what" in system
        if action == "Delete":
            said["user is bare"] = not {"altId", "policy", "location"} & user.keys()
            said["programs are bare"] = not any({*BARE} & agent.keys() for agent in programs)
        return [f"{kind}: {what}" for what, holds in said.items() if not holds]
    return []


async def test_every_event_is_a_valid_auditevent_of_r4(
    house: Any, client: httpx.AsyncClient, clinic: dict[str, str]
) -> None:
    hospital = house.client("hospital-a")
    address = f"/Observation/{clinic['result']}"
    await hospital.get(f"{address}/_history/1")
    await hospital.get(f"{address}/_history")
    await hospital.get("/Observation?code=2339-0")
    await hospital.get("/Observation/none")
    of = f"Patient/{clinic['patient']}"
    await hospital.put(address, content=observation(of, id=clinic["result"], value="9"))
    await hospital.delete(address)
    await hospital.post("", content=bundle("batch", post(observation()), post(patient())))
    await hospital.post("", content=bundle("transaction", post(observation())))
    await client.get(f"/Patient/{clinic['patient']}/$everything")
    found = await events(client, _count="100")
    for event in found:
        issues = validate("AuditEvent", json.dumps(event).encode(), is_ruled=True)
        assert not [one for one in issues if one.severity in {"error", "fatal"}], event["subtype"]
    said = {code["code"] for event in found for code in event["subtype"]}
    assert said >= {
        *("create", "read", "vread", "history", "search", "update", "delete"),
        *("batch", "transaction", "operation"),
    }
    assert [broken for event in found for broken in unkept(event)] == []
    profiles = {one for event in found for one in event["meta"].get("profile", ())}
    assert profiles >= {f"{BALP}.Patient{one}" for one in ("Create", "Read", "Update", "Delete")}


@pytest.mark.parametrize("kind", ["batch", "transaction"])
async def test_a_bundle_of_many_entries_is_one_event_that_lists_all_it_touched(
    house: Any, client: httpx.AsyncClient, clinic: dict[str, str], kind: str
) -> None:
    entries = [
        post(observation(value="1")),
        post(patient(name="司马清风")),
        {"request": {"method": "GET", "url": f"Observation/{clinic['result']}"}},
        {"request": {"method": "GET", "url": f"Patient/{clinic['patient']}"}},
    ]
    if kind == "batch":
        entries.append({"request": {"method": "GET", "url": "Patient/none"}})
    answer = await house.client("hospital-a").post(
        "", content=bundle(kind, *entries), headers={"x-request-id": "many"}
    )
    assert answer.status_code == 200
    event = await event_of(client, "many")
    touched = {
        entity["what"]["reference"]
        for entity in event["entity"]
        if entity.get("role", {}).get("code") == "4"
    }
    written = {
        "/".join(each["response"]["location"].split("/")[:2]) for each in answer.json()["entry"][:2]
    }
    assert touched == written | {
        f"Observation/{clinic['result']}",
        f"Patient/{clinic['patient']}",
    }
    assert event["subtype"][0]["code"] == kind
    assert event["outcome"] == ("4" if kind == "batch" else "0")
    assert "profile" not in event["meta"]


async def test_a_refused_request_leaves_an_event(house: Any, client: httpx.AsyncClient) -> None:
    hospital = house.client("hospital-b")
    await hospital.get("/Patient/none", headers={"x-request-id": "refused"})
    event = await event_of(client, "refused")
    assert (event["outcome"], event["outcomeDesc"]) == ("4", "read, not-found")


async def test_a_query_is_in_the_event_but_not_what_it_asked(
    house: Any, client: httpx.AsyncClient, clinic: dict[str, str]
) -> None:
    await house.client("hospital-a").get(
        "/Patient?identifier=580101199003078512", headers={"x-request-id": "query"}
    )
    event = await event_of(client, "query")
    assert event["meta"]["profile"] == [f"{BALP}.PatientQuery"]
    (query,) = [one for one in event["entity"] if one.get("role", {}).get("code") == "24"]
    assert query["description"] == "Patient"
    assert query["_query"]["extension"][0]["valueCode"] == "masked"
    assert "580101199003078512" not in json.dumps(event)
    assert clinic["patient"] in json.dumps(event)


async def test_a_count_and_an_empty_answer_name_whom_they_tell_of(
    house: Any, client: httpx.AsyncClient, clinic: dict[str, str]
) -> None:
    """That a person has one such record, or none, is told by the number alone."""
    hospital = house.client("hospital-a")
    person, result = f"Patient/{clinic['patient']}", f"Observation/{clinic['result']}"
    asked = {
        f"/Observation?patient={person}&_summary=count": {person, result},
        "/Observation?code=2339-0&_summary=count": {person, result},
        "/Patient?identifier=580101199003078512&_summary=count": {person},
        f"/Condition?subject={person}": {person},
        f"/Condition?_filter=subject re {person}": {person},
        "/Condition?subject:Patient.identifier=580101199003078512": {person},
        f"/{person}/Condition": {person},
        f"/{person}/$counts": {person},
        f"/Condition?subject={person}x": set(),
    }
    for number, (address, named) in enumerate(asked.items()):
        found = await hospital.get(address, headers={"x-request-id": f"asked-{number}"})
        assert found.status_code == 200, address
        event = await event_of(client, f"asked-{number}")
        assert named_in(event) == named, address
        assert unkept(event) == []
    url = f"Condition?patient={clinic['patient']}&_summary=count"
    batch = bundle("batch", {"request": {"method": "GET", "url": url}})
    await hospital.post("", content=batch, headers={"x-request-id": "asked-all"})
    assert named_in(await event_of(client, "asked-all")) == {person}


async def test_who_loses_a_record_to_another_person_is_named(
    house: Any, client: httpx.AsyncClient, clinic: dict[str, str]
) -> None:
    hospital = house.client("hospital-a")
    other = await made(hospital, patient("580101199003078520"))
    moved = observation(f"Patient/{other}", id=clinic["result"])
    headers = {"x-request-id": "moved"}
    address = f"/Observation/{clinic['result']}"
    assert (await hospital.put(address, content=moved, headers=headers)).status_code == 200
    persons = {f"Patient/{clinic['patient']}", f"Patient/{other}"}
    assert named_in(await event_of(client, "moved")) == {*persons, address[1:]}


def named_in(event: Any) -> set[str]:
    return {
        entity["what"]["reference"]
        for entity in event.get("entity", ())
        if "reference" in entity.get("what", {})
    }


# ---- searching -----------------------------------------------------------------------------------


async def test_events_are_found_by_the_parameters_of_r4(
    house: Any, client: httpx.AsyncClient, clinic: dict[str, str]
) -> None:
    hospital = house.client("hospital-a")
    await hospital.get(f"/Patient/{clinic['patient']}")
    await house.client("hospital-b").get(f"/Patient/{clinic['patient']}")  # refused
    everything = await events(client, _count="100")
    by: dict[str, Callable[[Any], bool]] = {
        "action": lambda e: e["action"] == "R",
        "outcome": lambda e: e["outcome"] == "4",
        "altid": lambda e: e["agent"][0]["altId"] == "hospital-b",
        "agent-role": lambda e: e["agent"][0]["role"][0]["text"] == "institution",
        "subtype": lambda e: "create" in {one["code"] for one in e["subtype"]},
        "patient": lambda e: f"Patient/{clinic['patient']}" in json.dumps(e["entity"]),
        "entity": lambda e: f"Observation/{clinic['result']}" in json.dumps(e["entity"]),
        "type": lambda e: e["type"]["code"] == "rest",
        "type:not": lambda e: e["type"]["code"] != "rest",
        "patient:missing": lambda e: '"1", "display": "Person"' not in json.dumps(e["entity"]),
    }
    asked = {
        "action": "http://hl7.org/fhir/audit-event-action|R",
        "outcome": "4",
        "altid": "hospital-b",
        "agent-role": "institution",
        "subtype": "http://hl7.org/fhir/restful-interaction|create",
        "patient": f"Patient/{clinic['patient']}",
        "entity": f"Observation/{clinic['result']}",
        "type": "rest",
        "type:not": "rest",
        "patient:missing": "true",
    }
    for name, is_meant in by.items():
        known = {event["id"] for event in everything}
        found = await ids(client, _count="100", **{name: asked[name]})
        assert found & known == {e["id"] for e in everything if is_meant(e)}, name
    assert await ids(client, site="anywhere") == set()
    one = everything[0]["id"]
    assert await ids(client, _id=one) == {one}


async def test_events_are_found_by_date(house: Any, client: httpx.AsyncClient) -> None:
    await made(house.client("hospital-a"), observation())
    (event,) = await events(client)
    day, moment = event["recorded"][:10], event["recorded"]
    for asked in (day, f"ge{day}", f"le{day}", f"ge{moment}", moment[:16] + moment[-6:]):
        assert event["id"] in await ids(client, date=asked), asked
    for asked in (f"gt{day}", f"lt{day}", f"ne{day}", "2020-01-01", f"sa{day}", f"eb{day}"):
        assert event["id"] not in await ids(client, date=asked), asked


async def test_events_come_newest_first_page_by_page_and_none_twice(
    house: Any, client: httpx.AsyncClient
) -> None:
    hospital = house.client("hospital-a")
    for number in range(7):
        await hospital.get(f"/Patient/none{number}")
    seen: list[dict[str, Any]] = []
    address = "/AuditEvent?_count=3&altid=hospital-a&_sort=-date"
    pages = 0
    while address:
        page = (await client.get(address)).json()
        seen += [each["resource"] for each in page.get("entry", ())]
        links = {link["relation"]: link["url"] for link in page["link"]}
        address = links.get("next", "").removeprefix("http://node.test/fhir")
        pages += 1
        assert pages < 9
    assert len({event["id"] for event in seen}) == len(seen) == 7
    recorded = [event["recorded"] for event in seen]
    assert recorded == sorted(recorded, reverse=True)


async def test_events_are_counted(house: Any, client: httpx.AsyncClient) -> None:
    hospital = house.client("hospital-a")
    for number in range(5):
        await hospital.get(f"/Patient/none{number}")
    batch = [{"request": {"method": "GET", "url": f"Patient/none{n}"}} for n in range(3)]
    await hospital.post("", content=bundle("batch", *batch, post(observation())))
    asked = {"altid": "hospital-a"}
    answer = await client.get("/AuditEvent", params={**asked, "_summary": "count"})
    assert answer.json()["total"] == 6, "a batch is one event"
    answer = await client.get("/AuditEvent", params={**asked, "_total": "accurate", "_count": "2"})
    assert (answer.json()["total"], len(answer.json()["entry"])) == (6, 2)


async def test_the_events_of_a_patient_are_in_the_compartment(
    client: httpx.AsyncClient, clinic: dict[str, str]
) -> None:
    answer = await client.get(f"/Patient/{clinic['patient']}/AuditEvent?_count=50")
    found = {each["resource"]["id"] for each in answer.json()["entry"]}
    assert found == await ids(client, patient=clinic["patient"]) - await _of_searches(client)


async def _of_searches(client: httpx.AsyncClient) -> set[str]:
    return await ids(client, subtype="search-type")


@pytest.mark.parametrize(
    "asked", ["_sort=date", "_include=AuditEvent:patient", "patient.name=x", "agent:Patient=a"]
)
async def test_what_the_log_cannot_answer_is_refused_or_finds_nothing(
    client: httpx.AsyncClient, asked: str
) -> None:
    answer = await client.get(f"/AuditEvent?{asked}")
    if answer.status_code == 200:
        assert "entry" not in answer.json()
    else:
        assert answer.status_code == 400
        assert answer.json()["issue"][0]["diagnostics"] or answer.json()["issue"][0]["details"]


async def test_an_event_is_read_by_its_id_like_any_resource(
    house: Any, client: httpx.AsyncClient
) -> None:
    await made(house.client("hospital-a"), observation())
    (event,) = await events(client)
    address = f"/AuditEvent/{event['id']}"
    assert (await client.get(address)).json() == event
    assert (await client.get(f"{address}/_history/1")).json() == event
    assert (await client.get(f"{address}/_history/2")).status_code == 404
    history = (await client.get(f"{address}/_history")).json()
    assert [each["resource"]["id"] for each in history["entry"]] == [event["id"]]
    batch = bundle(
        "batch",
        {"request": {"method": "GET", "url": address[1:]}},
        {"request": {"method": "GET", "url": f"AuditEvent?_id={event['id']}"}},
    )
    answer = (await client.post("", content=batch)).json()
    assert answer["entry"][0]["resource"] == event
    assert answer["entry"][1]["resource"]["entry"][0]["resource"] == event
    for id_ in ("log-20261101-999", "log-99999999-0", "log-1-1"):
        assert (await client.get(f"/AuditEvent/{id_}")).status_code == 404


# ---- who may -------------------------------------------------------------------------------------


async def test_institutions_read_nothing_of_the_log(
    house: Any, client: httpx.AsyncClient, clinic: dict[str, str]
) -> None:
    (event, *_) = await events(client)
    hospital = house.client("hospital-a")
    absent = await hospital.get("/AuditEvent/log-20261101-999999", headers={"x-request-id": "r"})
    hidden = await hospital.get(f"/AuditEvent/{event['id']}", headers={"x-request-id": "r"})
    assert (hidden.status_code, hidden.content) == (absent.status_code, absent.content)
    assert hidden.status_code == 404
    assert await events(hospital, patient=clinic["patient"]) == []
    answer = await hospital.get("/AuditEvent?_summary=count")
    assert answer.json()["total"] == 0


async def test_a_resident_reads_who_looked_at_what_is_about_them_and_of_nobody_else(
    house: Any, client: httpx.AsyncClient, clinic: dict[str, str]
) -> None:
    hospital = house.client("hospital-a")
    other = await made(hospital, patient(name="司马清风"))
    await hospital.get(f"/Patient/{clinic['patient']}", headers={"x-request-id": "mine"})
    await hospital.get(f"/Patient/{other}", headers={"x-request-id": "theirs"})
    await hospital.get("/Patient", headers={"x-request-id": "both"})
    person = await house.pool.fetchval("select person from people.link limit 1")
    house.tokens["resident"] = await house.actors.enrol(
        Actor("resident", "resident", "张伟", "", str(person))
    )
    resident = house.client("resident")
    found = await events(resident, _count="100")
    told = json.dumps(found)
    assert clinic["patient"] in told
    assert '"mine"' in told
    assert '"both"' in told
    assert '"theirs"' not in told
    assert other not in told, "whom else a search showed is not for them"
    theirs = [
        event["id"]
        for event in await events(client, _count="100")
        if '"theirs"' in json.dumps(event)
    ]
    assert (await resident.get(f"/AuditEvent/{theirs[0]}")).status_code == 404
    count = await resident.get("/AuditEvent?_summary=count")
    assert count.json()["total"] == len(await events(resident, _count="100"))


async def test_reading_the_log_is_in_the_log(
    client: httpx.AsyncClient, clinic: dict[str, str]
) -> None:
    await client.get(f"/AuditEvent?patient={clinic['patient']}", headers={"x-request-id": "look"})
    event = await event_of(client, "look")
    assert event["agent"][0]["altId"] == "center"
    assert f"Patient/{clinic['patient']}" in json.dumps(event["entity"])
    await client.get(f"/AuditEvent/{event['id']}", headers={"x-request-id": "look-2"})
    assert (await event_of(client, "look-2"))["action"] == "R"


async def test_nobody_writes_events_of_the_log(house: Any, client: httpx.AsyncClient) -> None:
    await made(house.client("hospital-a"), observation())
    (event,) = await events(client)
    address = f"/AuditEvent/{event['id']}"
    content = json.dumps({**event, "outcome": "8"})
    free = "log-20261150-77"
    for answer in (
        await client.put(address, content=content),
        await client.delete(address),
        await client.put(f"/AuditEvent/{free}", content=content.replace(event["id"], free)),
    ):
        assert answer.status_code == 403, answer.text
        assert "written by the node alone" in answer.text
    assert (await client.get(address)).json() == event


async def test_events_of_other_systems_are_records_and_come_after_the_nodes_own(
    house: Any, client: httpx.AsyncClient
) -> None:
    hospital = house.client("hospital-a")
    theirs = json.dumps(
        {
            "resourceType": "AuditEvent",
            "type": {"code": "rest"},
            "recorded": "2026-03-01T08:00:00+08:00",
            "agent": [{"requestor": True, "who": {"display": "Dr. X"}}],
            "source": {"observer": {"display": "their system"}},
        }
    ).encode()
    made_ids = [await made(hospital, theirs) for _ in range(3)]
    seen: list[str] = []
    address = "/AuditEvent?_count=2"
    while address:
        page = (await client.get(address)).json()
        seen += [each["resource"]["id"] for each in page.get("entry", ())]
        links = {link["relation"]: link["url"] for link in page["link"]}
        address = links.get("next", "").removeprefix("http://node.test/fhir")
        assert len(seen) < 60
    assert set(seen[-3:]) == set(made_ids)
    assert all(one.startswith("log-") for one in seen[:-3])
    assert {event["id"] for event in await events(hospital)} == set(made_ids)
