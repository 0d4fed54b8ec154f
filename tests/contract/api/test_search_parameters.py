"""Search parameters beside those of R4 (searchparameter.html, searchparameter-registry.html), over
HTTP.
"""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from definitions import definition, index_all, nation, of_nation

from quanmin.base.jobs import Job
from quanmin.trust import Actor, carry_on

from .conftest import House

Json = dict[str, Any]
UCUM = "http://unitsofmeasure.org"
ISSUED = "2026-01-02T08:00:00+08:00"
STRICT = {"Prefer": "handling=strict"}


async def found(client: httpx.AsyncClient, address: str, **more: Any) -> set[str]:
    reply = await client.get(address, **more)
    assert reply.status_code == 200, reply.text
    entries = reply.json().get("entry", [])
    return {e["resource"]["id"] for e in entries if e["search"]["mode"] == "match"}


async def stored(client: httpx.AsyncClient, body: Json) -> str:
    reply = await client.post(f"/{body['resourceType']}", json=body)
    assert reply.status_code == 201, reply.text
    return str(reply.json()["id"])


async def test_a_search_by_a_new_parameter_says_that_it_is_not_ready(
    house: House, client: httpx.AsyncClient
) -> None:
    await stored(client, of_nation("01"))
    await stored(client, nation())
    for handling in ("strict", "lenient"):
        reply = await client.get("/Patient?nation=01", headers={"Prefer": f"handling={handling}"})
        assert reply.status_code == 503
        assert reply.headers["retry-after"]
        assert "nation" in reply.text
    await index_all(house.pool, house.guard.store.context)


async def test_searchparameter_finds_what_was_there_and_what_came_after(
    house: House, client: httpx.AsyncClient
) -> None:
    before = await stored(client, of_nation("01"))
    other = await stored(client, of_nation("02"))
    await stored(client, {"resourceType": "Patient"})
    await stored(client, nation())
    after = await stored(client, of_nation("01"))
    await index_all(house.pool, house.guard.store.context)
    late = await stored(client, of_nation("01"))
    assert await found(client, "/Patient?nation=01") == {before, after, late}
    assert await found(client, "/Patient?nation=urn:oid:nations|02") == {other}
    assert await found(client, "/Patient?nation=02,01&_id=" + other) == {other}
    assert len(await found(client, "/Patient?nation:missing=true")) == 1
    assert len(await found(client, "/Patient?nation:missing=false")) == 4
    assert other in await found(client, "/Patient?nation:not=01")
    assert await found(client, "/Patient?_filter=nation eq 02") == {other}


async def test_on_what_an_expression_cannot_be_evaluated_is_told(
    house: House, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    several = {"resourceType": "Patient", "name": [{"given": ["Wei", "Min"]}]}
    ids = [await stored(client, several) for _ in range(12)]
    await stored(client, definition("only-given", "string", "Patient.name.given.single()"))
    await index_all(house.pool, house.guard.store.context)
    job = await house.pool.fetchrow("select result::text, message from jobs.job")
    assert job is not None
    result = json.loads(job["result"])
    assert (result["failed"], len(result["examples"])) == (12, 10)
    assert {"type": "Patient", "record": min(ids), "parameter": "only-given"} in result["examples"]
    assert "12 times" in job["message"]
    assert "Wei" not in job["result"]
    told = await told_by_reindex(house, client, f"/Patient/{ids[3]}/$reindex")
    assert told == {"records": 1, "changed": 0, "failed": 1}
    with caplog.at_level("WARNING", "quanmin.records"):
        await stored(client, several)
    (line,) = [one for one in caplog.records if "cannot be evaluated" in one.message]
    assert (line.__dict__["parameter"], line.__dict__["type"]) == ("only-given", "Patient")


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"expression": "Patient.birthDat"}, "SearchParameter.expression"),
        ({"expression": "Patient.name.where("}, "SearchParameter.expression"),
        ({"expression": "Patient.birthDate"}, "SearchParameter.expression"),
        ({"code": "name"}, "SearchParameter.code"),
        ({"code": "a.b"}, "SearchParameter.code"),
        ({"type": "special"}, "SearchParameter.type"),
        ({"xpathUsage": "phonetic"}, "SearchParameter.xpathUsage"),
        ({"expression": "today()", "type": "date"}, "SearchParameter.expression"),
    ],
)
async def test_what_cannot_be_served_is_refused_with_its_place(
    client: httpx.AsyncClient, change: Json, place: str
) -> None:
    reply = await client.post("/SearchParameter", json={**nation(), **change})
    assert reply.status_code == 422, reply.text
    assert place in {issue["expression"][0] for issue in reply.json()["issue"]}


async def test_a_definition_that_changes_finds_by_the_new_one_only(
    house: House, client: httpx.AsyncClient
) -> None:
    one = await stored(client, of_nation("01", birthDate="1980-01-01"))
    id_ = await stored(client, definition("day", "date", "Patient.birthDate"))
    await index_all(house.pool, house.guard.store.context)
    assert await found(client, "/Patient?day=1980-01-01") == {one}
    changed = definition("day", "date", "Patient.deceased.ofType(dateTime)", id=id_)
    assert (await client.put(f"/SearchParameter/{id_}", json=changed)).status_code == 200
    assert (await client.get("/Patient?day=1980-01-01")).status_code == 503
    await index_all(house.pool, house.guard.store.context)
    assert await found(client, "/Patient?day=1980-01-01") == set()
    assert await house.pool.fetchval("select count(*) from records.dated") == 0
    assert (await client.delete(f"/SearchParameter/{id_}")).status_code == 204
    reply = await client.get("/Patient?day=1980-01-01", headers={"Prefer": "handling=strict"})
    assert reply.status_code == 400
    await index_all(house.pool, house.guard.store.context)
    assert await house.pool.fetchval("select count(*) from indexing.parameter") == 0


async def test_searchparameter_is_written_by_operators_only(house: House) -> None:
    reply = await house.client("hospital-a").post("/SearchParameter", json=nation())
    assert reply.status_code == 403
    id_ = await stored(house.client(), nation())
    address = f"/SearchParameter/{id_}"
    assert (await house.client("hospital-a").delete(address)).status_code == 403
    entry = {"resource": nation(), "request": {"method": "POST", "url": "SearchParameter"}}
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    assert (await house.client("hospital-a").post("", json=bundle)).status_code == 403


RISK = "http://example.org/fhir/risk"


async def observed(client: httpx.AsyncClient, patient: str, code: str, **more: Any) -> str:
    coding = {"coding": [{"system": "http://loinc.org", "code": code}]}
    body = {"resourceType": "Observation", "status": "final", "code": coding, **more}
    return await stored(client, {**body, "subject": {"reference": f"Patient/{patient}"}})


async def test_searchparameter_type_every_kind_finds_as_those_of_r4(
    house: House, client: httpx.AsyncClient
) -> None:
    practitioner = await stored(client, {"resourceType": "Practitioner"})
    risks = [
        {"url": RISK, "valueDecimal": 0.25},
        {"url": f"{RISK}/dose", "valueQuantity": {"value": 5, "system": UCUM, "code": "mg"}},
        {"url": f"{RISK}/by", "valueReference": {"reference": f"Practitioner/{practitioner}"}},
        {"url": f"{RISK}/at", "valueUri": "urn:place:7"},
        {"url": f"{RISK}/text", "valueString": "Höhenluft am Meer"},
        {"url": f"{RISK}/on", "valueDate": "2026-03"},
    ]
    one = await stored(client, {"resourceType": "Patient", "extension": risks})
    await stored(client, {"resourceType": "Patient"})
    for code, kind, url in (
        ("risk", "number", RISK),
        ("risk-dose", "quantity", f"{RISK}/dose"),
        ("risk-at", "uri", f"{RISK}/at"),
        ("risk-text", "string", f"{RISK}/text"),
        ("risk-on", "date", f"{RISK}/on"),
    ):
        await stored(client, definition(code, kind, f"extension('{url}').value"))
    by = definition("risk-by", "reference", f"extension('{RISK}/by').value")
    await stored(client, {**by, "target": ["Practitioner"]})
    await index_all(house.pool, house.guard.store.context)
    for asked in (
        "risk=gt0.2",
        "risk=0.25",
        "risk=lt0.3&risk=ge0.2",
        f"risk-dose=5|{UCUM}|mg",
        f"risk-dose=gt0.004|{UCUM}|g",
        "risk-at=urn:place:7",
        "risk-text=hohen",
        "risk-text:contains=luft",
        "risk-text:exact=Höhenluft am Meer",
        "risk-on=2026-03",
        "risk-on=sa2026-02-01",
        f"risk-by=Practitioner/{practitioner}",
        f"risk-by={practitioner}",
        f"risk-by:Practitioner={practitioner}",
        f"risk-by._id={practitioner}",
        "risk-text:missing=false",
    ):
        assert await found(client, f"/Patient?{asked}") == {one}, asked
    for asked in ("risk=gt0.3", f"risk-dose=6|{UCUM}|mg", "risk-on=2026-04", "risk-text=eer"):
        assert one not in await found(client, f"/Patient?{asked}"), asked
    has = "/Practitioner?_has:Patient:risk-by:risk=0.25"
    assert await found(client, has) == {practitioner}
    reply = await client.get("/Patient?risk=0.25&_include=Patient:risk-by")
    assert {e["resource"]["id"] for e in reply.json()["entry"]} == {one, practitioner}
    reply = await client.get(f"/Practitioner?_id={practitioner}&_revinclude=Patient:risk-by")
    assert {e["resource"]["id"] for e in reply.json()["entry"]} == {one, practitioner}


async def test_searchparameter_component_a_composite_finds_in_one_element(
    house: House, client: httpx.AsyncClient
) -> None:
    patient = await stored(client, {"resourceType": "Patient"})

    def component(code: str, value: float) -> Json:
        coding = {"coding": [{"system": "http://loinc.org", "code": code}]}
        return {"code": coding, "valueQuantity": {"value": value, "system": UCUM, "code": "mm[Hg]"}}

    both = [component("8480-6", 140), component("8462-4", 90)]
    high = await observed(client, patient, "85354-9", component=both)
    await observed(
        client, patient, "85354-9", component=[component("8480-6", 90), component("8462-4", 140)]
    )
    r4 = "http://hl7.org/fhir/SearchParameter"
    parts = [
        {"definition": f"{r4}/Observation-component-code", "expression": "code"},
        {"definition": f"{r4}/Observation-component-value-quantity", "expression": "value"},
    ]
    body = definition("pressure", "composite", "Observation.component", "Observation")
    await stored(client, {**body, "component": parts})
    await index_all(house.pool, house.guard.store.context)
    assert await found(client, "/Observation?pressure=8480-6$gt130") == {high}
    assert await found(client, f"/Observation?pressure=8480-6$140|{UCUM}|mm[Hg]") == {high}
    assert len(await found(client, "/Observation?pressure=8480-6$gt130,8462-4$gt130")) == 2
    assert await found(client, "/Observation?pressure=8480-6$gt150") == set()


async def test_searchparameter_sorts_and_chains_by_what_was_defined(
    house: House, client: httpx.AsyncClient
) -> None:
    ids = {n: await stored(client, of_nation(n)) for n in ("02", "03", "01")}
    seen = await observed(client, ids["03"], "1-1")
    await stored(client, nation())
    await index_all(house.pool, house.guard.store.context)
    reply = await client.get("/Patient?_sort=-nation")
    order = [e["resource"]["id"] for e in reply.json()["entry"]]
    assert order == [ids["03"], ids["02"], ids["01"]]
    assert await found(client, "/Observation?subject:Patient.nation=03") == {seen}
    assert await found(client, "/Observation?patient.nation=02") == set()
    assert await found(client, "/Patient?nation=01,02,03&_count=1") == {ids["01"]}


async def test_searchparameter_takes_what_its_definition_lists_and_no_more(
    house: House, client: httpx.AsyncClient
) -> None:
    listed: Json = {"modifier": ["missing"], "multipleOr": False, "multipleAnd": False}
    await stored(client, nation(**listed))
    day = definition("day", "date", "birthDate", comparator=["ge"])
    await stored(client, day)
    by = definition("seen-by", "reference", "generalPractitioner", chain=["name"])
    await stored(client, {**by, "target": ["Practitioner"]})
    await index_all(house.pool, house.guard.store.context)
    for asked in (
        "nation:not=01",
        "nation=01,02",
        "nation=01&nation=02",
        "day=lt2026-01-01",
        "seen-by.gender=male",
    ):
        reply = await client.get(f"/Patient?{asked}")
        assert reply.status_code == 400, asked
        assert "definition" in reply.text, asked
    for asked in ("nation:missing=true", "day=ge2026-01-01", "day=2026-01-01", "seen-by.name=li"):
        assert (await client.get(f"/Patient?{asked}")).status_code == 200, asked


async def test_a_code_belongs_to_who_defined_it_first(house: House) -> None:
    one = house.client()
    first = await stored(one, nation())
    reply = await one.post("/SearchParameter", json=nation(url="http://example.org/other"))
    assert reply.status_code == 422
    other = await another_operator(house)
    second = await stored(other, nation(url="http://example.org/other"))
    assert await states(one) == {"http://example.org/other": "unused", nation()["url"]: "pending"}
    assert (await one.delete(f"/SearchParameter/{first}")).status_code == 204
    assert await states(one) == {"http://example.org/other": "pending"}
    await index_all(house.pool, house.guard.store.context)
    reply = await one.get(f"/SearchParameter/{second}/$status")
    assert {"name": "status", "valueCode": "ready"} in reply.json()["parameter"][0]["part"]


async def another_operator(house: House) -> httpx.AsyncClient:
    actor = Actor("province", "operator", "Province", "province")
    house.tokens["province"] = await house.actors.enrol(actor)
    return house.client("province")


async def states(client: httpx.AsyncClient) -> dict[str, str]:
    """What `$status` says of each parameter, by its address."""
    reply = await client.get("/SearchParameter/$status")
    found: dict[str, str] = {}
    for parameter in reply.json()["parameter"]:
        parts = {part["name"]: part for part in parameter["part"]}
        if parameter["name"] == "searchParameter":
            found[parts["url"]["valueUri"]] = parts["status"]["valueCode"]
    return found


async def test_capabilitystatement_lists_what_can_be_searched_by(
    house: House, client: httpx.AsyncClient
) -> None:
    async def listed() -> list[Json]:
        rest = (await client.get("/metadata")).json()["rest"][0]
        (patients,) = (one for one in rest["resource"] if one["type"] == "Patient")
        return [one for one in patients["searchParam"] if one["name"] == "nation"]

    await stored(client, of_nation("01"))
    id_ = await stored(client, nation())
    assert await listed() == []
    await index_all(house.pool, house.guard.store.context)
    (told,) = await listed()
    assert ":not" in told.pop("documentation")
    assert told == {"name": "nation", "type": "token", "definition": nation()["url"]}
    await client.delete(f"/SearchParameter/{id_}")
    assert await listed() == []


async def test_searchparameter_status_a_draft_or_retired_one_means_nothing(
    client: httpx.AsyncClient,
) -> None:
    id_ = await stored(client, {**nation(), "status": "draft", "expression": "nonsense("})
    assert await states(client) == {}
    assert (await client.get(f"/SearchParameter/{id_}/$status")).status_code == 404
    assert (await client.get("/Patient?nation=1", headers=STRICT)).status_code == 400


async def test_a_change_of_words_keeps_what_is_indexed(
    house: House, client: httpx.AsyncClient
) -> None:
    one = await stored(client, of_nation("01"))
    id_ = await stored(client, nation())
    await index_all(house.pool, house.guard.store.context)
    changed = nation(id=id_, description="Said better.", multipleOr=False)
    assert (await client.put(f"/SearchParameter/{id_}", json=changed)).status_code == 200
    assert await found(client, "/Patient?nation=01") == {one}
    assert (await client.get("/Patient?nation=01,02")).status_code == 400


async def test_conditional_writes_take_custom_parameters_once_they_are_ready(
    house: House, client: httpx.AsyncClient
) -> None:
    await stored(client, nation())
    once = {"If-None-Exist": "nation=07"}
    reply = await client.post("/Patient", json=of_nation("07"), headers=once)
    assert reply.status_code == 503
    await index_all(house.pool, house.guard.store.context)
    first = await client.post("/Patient", json=of_nation("07"), headers=once)
    again = await client.post("/Patient", json=of_nation("07"), headers=once)
    assert (first.status_code, again.status_code) == (201, 200)


async def test_nobody_finds_by_a_definition_what_the_directory_leaves_out(
    house: House, client: httpx.AsyncClient
) -> None:
    phone = {"telecom": [{"system": "phone", "value": "15400001234"}], "name": [{"text": "Li"}]}
    await stored(client, {"resourceType": "Practitioner", **phone})
    path = "Practitioner.name.ofType(string) | telecom.value"
    await stored(client, definition("calls", "token", path, "Practitioner"))
    await index_all(house.pool, house.guard.store.context)
    assert len(await found(client, "/Practitioner?calls=15400001234")) == 1
    assert await found(house.client("hospital-a"), "/Practitioner?calls=15400001234") == set()
    assert len(await found(house.client("hospital-a"), "/Practitioner?name=li")) == 1


async def test_search_3_1_1_6_4_wildcard_includes_follow_custom_parameters(
    house: House, client: httpx.AsyncClient
) -> None:
    url = "http://example.org/fhir/witness"
    witness = await stored(client, {"resourceType": "Patient"})
    extension = {"url": url, "valueReference": {"reference": f"Patient/{witness}"}}
    body = {"resourceType": "Observation", "status": "final", "code": {"text": "seen"}}
    seen = await stored(client, body | {"extension": [extension]})
    path = f"Observation.extension('{url}').value.ofType(Reference)"
    await stored(
        client, definition("witness", "reference", path, "Observation", target=["Patient"])
    )

    async def included(address: str) -> set[str]:
        reply = await client.get(address)
        assert reply.status_code == 200, reply.text
        entries = reply.json()["entry"]
        return {e["resource"]["id"] for e in entries if e["search"]["mode"] == "include"}

    # What a hit refers to stands in it, and is there before anything is indexed.
    assert await included("/Observation?_include=*") == {witness}
    assert await included("/Observation?_include=Observation:*") == {witness}
    reverse = f"/Patient?_id={witness}&_revinclude=Observation:*"
    early = await client.get(reverse)
    assert (early.status_code, "Observation:witness" in early.text) == (503, True)
    await index_all(house.pool, house.guard.store.context)
    assert await included(reverse) == {seen}
    assert await included("/Observation?_include=*") == {witness}


async def test_a_custom_parameter_of_every_type_is_asked_of_every_type(
    house: House, client: httpx.AsyncClient
) -> None:
    url = "http://example.org/fhir/batch"
    extension = {"extension": [{"url": url, "valueString": "A7"}]}
    one = await stored(client, {"resourceType": "Patient", **extension})
    two = await stored(client, {"resourceType": "Practitioner", **extension})
    await stored(client, {"resourceType": "Patient"})
    path = f"extension('{url}').value.ofType(string)"
    await stored(client, definition("batch", "token", path, "Resource"))
    for kind in ("token", "string"):
        if kind == "string":
            await stored(client, definition("batch-text", kind, path, "Resource"))
        code = "batch" if kind == "token" else "batch-text"
        assert (await client.get(f"/?{code}=A7")).status_code == 503
        await index_all(house.pool, house.guard.store.context)
        assert await found(client, f"/?{code}=A7", headers=STRICT) == {one, two}
        assert await found(client, f"/?{code}=A7&_type=Patient") == {one}
        assert await found(client, f"/?{code}:missing=false&_sort={code}") == {one, two}
        # Of the directory such a parameter may find by what is not shown.
        assert await found(house.client("hospital-a"), f"/?{code}=A7") == set()
    await stored(client, nation())
    await index_all(house.pool, house.guard.store.context)
    reply = await client.get("/?nation=01", headers=STRICT)
    assert (reply.status_code, "nation" in reply.text) == (400, True)


async def test_a_definition_in_a_bundle_is_indexed_for_what_came_with_it(
    house: House, client: httpx.AsyncClient
) -> None:
    entries = [
        {"resource": one, "request": {"method": "POST", "url": one["resourceType"]}}
        for one in (of_nation("05"), nation(), of_nation("05"))
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    assert (await client.post("", json=bundle)).status_code == 200
    await index_all(house.pool, house.guard.store.context)
    assert len(await found(client, "/Patient?nation=05")) == 2
    ask = {"request": {"method": "GET", "url": "Patient?nation=05"}}
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": [ask]}
    (entry,) = (await client.post("", json=bundle)).json()["entry"]
    assert len(entry["resource"]["entry"]) == 2


async def test_reindex_mends_what_the_index_has_lost(
    house: House, client: httpx.AsyncClient
) -> None:
    one = await stored(client, {"resourceType": "Patient", "gender": "male"})
    patient = await stored(client, {"resourceType": "Patient"})
    measured = {"valueQuantity": {"value": 36.6, "unit": "kg"}}
    seen = await observed(
        client, patient, "7-7", effectiveDateTime="2026-01-01", issued=ISSUED, **measured
    )
    beside = "select patient, value from records.keyed where value is not null"
    told = await house.pool.fetch(beside)
    await house.pool.execute("update records.record set tokens = null, present = 0")
    await house.pool.execute("delete from records.keyed")
    assert await found(client, "/Patient?gender=male") == set()
    for path, changed in ((f"/Patient/{one}/$reindex", 1), ("/Patient/$reindex", 1)):
        assert await reindexed(house, client, path) == changed
    assert await found(client, "/Patient?gender=male") == {one}
    assert await found(client, "/Observation?code=7-7") == set()
    assert await reindexed(house, client, "/$reindex") == 1
    assert await found(client, "/Observation?code=7-7") == {seen}
    assert len(told) == 1
    assert await house.pool.fetch(beside) == told
    assert await reindexed(house, client, "/$reindex") == 0


async def reindexed(house: House, client: httpx.AsyncClient, path: str) -> int:
    """How many records `$reindex` says that it changed."""
    return int((await told_by_reindex(house, client, path))["changed"])


async def told_by_reindex(house: House, client: httpx.AsyncClient, path: str) -> Json:
    """The numbers of its answer."""
    begun = await client.post(path, headers={"Prefer": "respond-async"})
    assert begun.status_code == 202, begun.text
    where = begun.headers["content-location"]

    async def asked(job: Job) -> object:
        return (await carry_on(house.guard, house.actors, job))[1].asked

    await index_all(house.pool, house.guard.store.context, asked=asked)
    done = await client.get(where)
    assert done.status_code == 200, done.text
    parameters = done.json()["parameter"]
    return {one["name"]: one["valueInteger"] for one in parameters if "valueInteger" in one}


async def test_reindex_is_for_operators(house: House) -> None:
    reply = await house.client("hospital-a").post("/$reindex", headers={"Prefer": "respond-async"})
    assert reply.status_code == 403
