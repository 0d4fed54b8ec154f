"""Profiles that are stored come into force, and records that claim them are held to them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from profiling import coded, element, observation, patient, storable
from stores import bundle, open_guard, post, reopen_context

from quanmin.base.problems import Invalid
from quanmin.trust import Actor

URL = "https://example.org/StructureDefinition/named"
MARK = "https://example.org/StructureDefinition/mark"


def named(*more: Any, url: str = URL, **rest: Any) -> dict[str, Any]:
    return storable(element("Patient.name", min=1), *more, url=url, **rest)


def claiming(*urls: str, **more: Any) -> dict[str, Any]:
    return patient(meta={"profile": list(urls or (URL,))}, **more)


async def store(client: httpx.AsyncClient, resource: dict[str, Any]) -> str:
    answer = await client.post(f"/{resource['resourceType']}", json=resource)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def places(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 422, answer.text
    return [issue["expression"][0] for issue in answer.json()["issue"]]


async def test_a_profile_is_in_force_once_its_write_is_answered(client: httpx.AsyncClient) -> None:
    await store(client, claiming(active=True))
    await store(client, named())
    assert places(await client.post("/Patient", json=claiming(active=True))) == ["Patient.name"]
    await store(client, claiming(name=[{"text": "a"}]))
    await store(client, patient(active=True))


async def test_a_profile_is_in_force_on_every_worker(
    house: Any, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    """The other worker has compiled profiles of its own, and hears of a change by asking."""
    context = reopen_context(tmp_path, house.guard.store.context)
    other = open_guard(house.pool, context)
    actor = Actor("center", "operator", "County centre", "center")
    records = other.records(actor, purpose="TREAT", request_id="r")

    async def refused(body: dict[str, Any]) -> list[str]:
        try:
            await records.create("Patient", json.dumps(body).encode())
        except Invalid as refusal:
            return [issue.expression for issue in refusal.issues]
        return []

    assert context.profiles is not house.guard.store.context.profiles
    id_ = await store(client, named())
    assert await refused(claiming(active=True)) == ["Patient.name"]
    changed = {**named(element("Patient.gender", min=1)), "id": id_}
    assert (await client.put(f"/StructureDefinition/{id_}", json=changed)).is_success
    assert await refused(claiming(name=[{"text": "a"}])) == ["Patient.gender"]
    await client.delete(f"/StructureDefinition/{id_}")
    assert await refused(claiming(active=True)) == []


async def test_updates_and_patches_and_meta_are_held_to_profiles_too(
    client: httpx.AsyncClient,
) -> None:
    await store(client, named())
    id_ = await store(client, claiming(name=[{"text": "a"}]))
    assert places(await client.put(f"/Patient/{id_}", json=claiming(id=id_, active=True))) == [
        "Patient.name"
    ]
    patch = [{"op": "remove", "path": "/name"}]
    headers = {"Content-Type": "application/json-patch+json"}
    answer = await client.patch(f"/Patient/{id_}", content=json.dumps(patch), headers=headers)
    assert places(answer) == ["Patient.name"]
    other = await store(client, patient(active=True))
    meta = {"name": "meta", "valueMeta": {"profile": [URL]}}
    asked = {"resourceType": "Parameters", "parameter": [meta]}
    assert places(await client.post(f"/Patient/{other}/$meta-add", json=asked)) == ["Patient.name"]
    assert (await client.get(f"/Patient/{id_}")).json()["meta"]["versionId"] == "1"


async def test_a_transaction_tells_every_fault_where_it_stands(client: httpx.AsyncClient) -> None:
    await store(client, named())
    entries = [
        post(json.dumps(each).encode())
        for each in (claiming(active=True), patient(active=True), claiming(gender="male"))
    ]
    answer = await client.post("", content=bundle("transaction", *entries))
    assert places(answer) == ["Bundle.entry[0].resource.name", "Bundle.entry[2].resource.name"]
    assert (await client.get("/Patient?_summary=count")).json()["total"] == 0
    answer = await client.post("", content=bundle("batch", *entries))
    statuses = [entry["response"]["status"][:3] for entry in answer.json()["entry"]]
    assert statuses == ["422", "201", "422"]


async def test_records_within_a_record_are_held_to_what_they_claim(
    client: httpx.AsyncClient,
) -> None:
    await store(client, named())
    inner = claiming(id="p", active=True)
    held = observation(contained=[inner], subject={"reference": "#p"})
    assert places(await client.post("/Observation", json=held)) == ["Observation.contained[0].name"]
    entries = [{"fullUrl": "urn:uuid:1", "resource": claiming(active=True)}]
    collection = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    assert places(await client.post("/Bundle", json=collection)) == [
        "Bundle.entry[0].resource.name"
    ]


async def test_a_claim_written_in_escapes_is_a_claim(client: httpx.AsyncClient) -> None:
    await store(client, named())
    raw = json.dumps(claiming(active=True)).replace('"profile"', '"pro\\u0066ile"')
    assert places(await client.post("/Patient", content=raw)) == ["Patient.name"]


async def test_an_address_belongs_to_the_sender_that_used_it_first(house: Any) -> None:
    first, second = house.client("hospital-a"), house.client("hospital-b")
    mine = await store(first, named())
    await store(second, storable(element("Patient.photo", min=1), url=URL, version="9"))
    for client in (first, second):
        assert places(await client.post("/Patient", json=claiming(active=True))) == ["Patient.name"]
        await store(client, claiming(name=[{"text": "a"}]))
    await first.delete(f"/StructureDefinition/{mine}")
    assert places(await first.post("/Patient", json=claiming(active=True))) == ["Patient.photo"]


async def test_a_version_may_be_named_and_the_newest_counts_without_one(
    client: httpx.AsyncClient,
) -> None:
    await store(client, named(version="1.10"))
    await store(client, storable(element("Patient.gender", min=1), url=URL, version="1.9"))
    empty = patient(active=True)
    for claim, place in ((URL, "name"), (f"{URL}|1.9", "gender"), (f"{URL}|1.10", "name")):
        answer = await client.post("/Patient", json={**empty, "meta": {"profile": [claim]}})
        assert places(answer) == [f"Patient.{place}"]
    await store(client, {**empty, "meta": {"profile": [f"{URL}|7"]}})


async def test_profiles_are_built_on_profiles_in_any_order(client: httpx.AsyncClient) -> None:
    derived = storable(
        element("Patient.gender", min=1),
        url="urn:derived",
        part="differential",
        baseDefinition=URL,
    )
    await store(client, derived)
    await store(client, claiming("urn:derived", active=True))  # its base is not known: it is not
    await store(client, named())
    assert places(await client.post("/Patient", json=claiming("urn:derived", active=True))) == [
        "Patient.name",
        "Patient.gender",
    ]


async def test_bases_in_a_circle_end(client: httpx.AsyncClient) -> None:
    for url, base in (("urn:a", "urn:b"), ("urn:b", "urn:a")):
        derived = storable(
            element("Patient.gender", min=1), url=url, part="differential", baseDefinition=base
        )
        await store(client, derived)
    answer = await client.post("/Patient/$validate", json=claiming("urn:a", active=True))
    assert "circle" in answer.text
    await store(client, claiming("urn:a", active=True))


async def test_a_definition_that_cannot_be_used_is_refused_with_its_place(
    client: httpx.AsyncClient,
) -> None:
    wrong = storable(element("Patient.nose", min=1), url=URL)
    answer = await client.post("/StructureDefinition", json=wrong)
    assert places(answer) == ["StructureDefinition.snapshot.element[1].path"]


@pytest.mark.parametrize(
    "more",
    [
        {"kind": "logical", "type": "https://example.org/model"},
        {"derivation": "specialization"},
    ],
)
async def test_a_definition_that_is_no_profile_is_a_record_like_any_other(
    client: httpx.AsyncClient, more: dict[str, Any]
) -> None:
    await store(client, {**named(), **more})
    await store(client, claiming(active=True))
    answer = await client.post(f"/Patient/$validate?profile={URL}", json=patient(active=True))
    assert answer.json()["issue"][0]["code"] == "not-supported"


async def test_a_profile_may_ask_for_codes_of_a_value_set_that_is_stored(
    client: httpx.AsyncClient,
) -> None:
    system = {
        "resourceType": "CodeSystem",
        "url": "urn:s",
        "status": "active",
        "content": "complete",
        "concept": [{"code": "in"}, {"code": "out"}],
    }
    include = [{"system": "urn:s", "concept": [{"code": "in"}]}]
    value_set = {
        "resourceType": "ValueSet",
        "url": "urn:set",
        "status": "active",
        "compose": {"include": include},
    }
    binding = {"strength": "required", "valueSet": "urn:set"}
    url = "urn:bound"
    meta = {"profile": [url]}
    await store(client, storable(element("Observation.code", binding=binding), url=url))
    await store(client, observation(code=coded("out"), meta=meta))  # nobody knows the set yet
    await store(client, system)
    set_id = await store(client, value_set)
    await store(client, observation(code=coded("in"), meta=meta))
    answer = await client.post("/Observation", json=observation(code=coded("out"), meta=meta))
    assert places(answer) == ["Observation.code"]
    include[0]["concept"] = [{"code": "out"}]
    changed = {**value_set, "id": set_id}
    assert (await client.put(f"/ValueSet/{set_id}", json=changed)).is_success
    await store(client, observation(code=coded("out"), meta=meta))
    answer = await client.post("/Observation", json=observation(code=coded("in"), meta=meta))
    assert places(answer) == ["Observation.code"]
    only_code = storable(element("Patient.language", binding=binding), url="urn:language")
    await store(client, only_code)
    answer = await client.post("/Patient", json=claiming("urn:language", language="zh"))
    assert places(answer) == ["Patient.language"]


async def test_a_profile_may_ask_something_of_what_is_referred_to(house: Any) -> None:
    client = house.client("hospital-a")
    await store(client, named())
    kind = {"code": "Reference", "targetProfile": [URL]}
    url = "urn:of-named"
    await store(client, storable(element("Observation.subject", type=[kind]), url=url))

    def of(reference: str) -> dict[str, Any]:
        return observation(subject={"reference": reference}, meta={"profile": [url]})

    with_name = await store(client, patient(name=[{"text": "a"}]))
    without = await store(client, patient(active=True))
    await store(client, of(f"Patient/{with_name}"))
    answer = await client.post("/Observation", json=of(f"Patient/{without}"))
    assert places(answer) == ["Observation.subject"]
    # Within a transaction what it writes itself counts.
    entries = [
        post(json.dumps(patient(active=True)).encode(), "urn:uuid:1"),
        post(json.dumps(of("urn:uuid:1")).encode()),
    ]
    answer = await client.post("", content=bundle("transaction", *entries))
    assert places(answer) == ["Bundle.entry[1].resource.subject"]
    # Of another's record nothing is told.
    foreign = await store(house.client("hospital-b"), patient(active=True))
    await store(client, of(f"Patient/{foreign}"))


async def test_profiles_may_be_switched_off_and_still_be_asked_for(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = house.client()
    limits = house.guard.store.context.profiles.limits
    await store(client, named())
    assert limits.profiles == "claimed"
    off = type(limits)(profiles="off")
    monkeypatch.setattr(house.guard.store.context.profiles, "limits", off)
    await store(client, claiming(active=True))
    answer = await client.post("/Patient/$validate", json=claiming(active=True))
    assert answer.json()["issue"][0]["expression"] == ["Patient.name"]


async def test_profiles_change_while_others_write(house: Any) -> None:
    """Whatever was in force at some moment of a write decides it, and nothing fails."""
    client = house.client()
    id_ = await store(client, named())
    versions = [named(), named(element("Patient.gender", min=1))]

    async def change() -> None:
        for number in range(6):
            body = {**versions[number % 2], "id": id_}
            assert (await client.put(f"/StructureDefinition/{id_}", json=body)).is_success

    async def write() -> set[int]:
        bodies = [claiming(name=[{"text": "a"}]), claiming(name=[{"text": "a"}], gender="male")]
        answers = [await client.post("/Patient", json=bodies[n % 2]) for n in range(12)]
        assert all(answer.status_code == 201 for answer in answers[1::2])
        return {answer.status_code for answer in answers}

    _, *statuses = await asyncio.gather(change(), write(), write())
    assert set().union(*statuses) <= {201, 422}


async def test_a_profile_that_many_claim_is_compiled_once(house: Any) -> None:
    client = house.client()
    await store(client, named())
    await store(client, claiming(name=[{"text": "a"}]))
    profiles = house.guard.store.context.profiles
    (before,) = profiles._editions.values()
    first = before.profiles[URL]
    await store(client, claiming(name=[{"text": "b"}]))
    (after,) = profiles._editions.values()
    assert after.profiles[URL] is first
    # Another profile changes the edition, and not this one.
    await store(client, storable(element("Patient.photo", min=1), url="urn:other"))
    await store(client, claiming(name=[{"text": "c"}]))
    assert max(profiles._editions) > min(profiles._editions)
    assert profiles._editions[max(profiles._editions)].profiles[URL] is first


async def test_one_answer_tells_the_faults_by_r4_and_by_the_profile(
    client: httpx.AsyncClient,
) -> None:
    await store(client, named())
    broken = claiming(active=True, gender="none", telecom=[{"value": "1"}])
    expected = ["Patient.gender", "Patient.telecom[0]", "Patient.name"]
    assert places(await client.post("/Patient", json=broken)) == expected
    entries = [post(json.dumps(each).encode()) for each in (claiming(active=True), broken)]
    answer = await client.post("", content=bundle("transaction", *entries))
    first, second = (f"Bundle.entry[{number}].resource" for number in range(2))
    assert sorted(places(answer)) == [
        f"{first}.name",
        f"{second}.gender",
        f"{second}.name",
        f"{second}.telecom[0]",
    ]


async def test_one_answer_tells_a_broken_rule_and_a_reference_to_no_entry(
    client: httpx.AsyncClient,
) -> None:
    reference = {"reference": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"}
    broken = observation(subject=reference, effectiveDateTime="never")
    answer = await client.post("", content=bundle("transaction", post(json.dumps(broken).encode())))
    assert sorted(places(answer)) == [
        "Bundle.entry[0].resource.effective.ofType(dateTime)",
        "Bundle.entry[0].resource.subject.reference",
    ]


async def test_a_profile_that_cannot_be_used_is_told_with_its_entry_and_beside_other_faults(
    client: httpx.AsyncClient,
) -> None:
    unusable = storable(element("Patient.nickname", min=1))
    entries = [post(json.dumps(each).encode()) for each in (unusable, patient(active="yes"))]
    answer = await client.post("", content=bundle("transaction", *entries))
    assert places(answer) == [
        "Bundle.entry[0].resource.snapshot.element[1].path",
        "Bundle.entry[1].resource.active",
    ]


async def test_an_id_that_is_taken_is_told_after_the_faults_by_a_profile(house: Any) -> None:
    """Else finding out that another sender has it would cost nothing."""
    first, second = house.client("hospital-a"), house.client("hospital-b")
    await store(first, named())
    kept = claiming(name=[{"text": "a"}], id="mine")
    assert (await first.put("/Patient/mine", json=kept)).status_code == 201
    broken = claiming(id="mine", active=True)
    assert places(await second.put("/Patient/mine", json=broken)) == ["Patient.name"]
    assert (await second.put("/Patient/mine", json=kept)).status_code == 403


async def test_the_statement_names_the_profiles_in_force(client: httpx.AsyncClient) -> None:
    async def listed() -> dict[str, list[str]]:
        kinds = (await client.get("/metadata")).json()["rest"][0]["resource"]
        told = {each["type"]: each.get("supportedProfile", []) for each in kinds}
        return {type_: urls for type_, urls in told.items() if urls}

    assert await listed() == {}
    first = await store(client, named())
    derived = {"part": "differential", "url": "urn:derived", "baseDefinition": URL}
    await store(client, storable(element("Patient.gender", min=1), **derived))
    assert await listed() == {"Patient": [URL, "urn:derived"]}
    await client.delete(f"/StructureDefinition/{first}")  # what stands on it cannot be used
    assert await listed() == {}


async def test_codes_may_be_asked_to_be_below_others(client: httpx.AsyncClient) -> None:
    """R4 fhirpath.html: subsumes() and subsumedBy(), by the node's code systems."""
    below = {"code": "poodle"}
    system = {
        "resourceType": "CodeSystem",
        "url": "urn:animals",
        "status": "active",
        "content": "complete",
        "hierarchyMeaning": "is-a",
        "concept": [{"code": "dog", "concept": [below]}, {"code": "cat"}],
    }
    rule = {
        "key": "dog-1",
        "severity": "error",
        "human": "about dogs",
        "expression": "code.coding.first().subsumedBy(%dog) and %dog.subsumes(code.coding.first())",
    }
    dog = "extension.where(url = 'urn:dog').value"
    rule["expression"] = rule["expression"].replace("%dog", f"%resource.{dog}")
    await store(client, storable(element("Observation", constraint=[rule]), url=URL))
    kind = {"url": "urn:dog", "valueCoding": {"system": "urn:animals", "code": "dog"}}

    def about(code: str) -> dict[str, Any]:
        claims = {"profile": [URL]}
        return observation(meta=claims, extension=[kind], code=coded(code, system="urn:animals"))

    await store(client, about("cat"))  # nobody knows yet
    await store(client, system)
    await store(client, about("poodle"))
    await store(client, about("dog"))
    assert places(await client.post("/Observation", json=about("cat"))) == ["Observation"]
