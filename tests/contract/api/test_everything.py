"""`$everything` over HTTP, by the sentences of FHIR R4 operation-patient-everything and
operation-encounter-everything.
"""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from stores import IDENTITY_NUMBERS, observation, patient

from quanmin.records import gaps
from quanmin.trust import Actor

NUMBER = "580101199003078512"


async def put(client: httpx.AsyncClient, type_: str, id_: str, **body: Any) -> None:
    resource = {"resourceType": type_, "id": id_, **body}
    answer = await client.put(f"/{type_}/{id_}", content=json.dumps(resource).encode())
    assert answer.status_code in {200, 201}, answer.text


async def fill(client: httpx.AsyncClient, mark: str = "") -> None:
    """A man with two visits and results by one doctor, and a woman with a result by the same."""
    await put(client, "Organization", f"hospital{mark}", name="Hospital")
    await put(client, "Practitioner", f"doctor{mark}", name=[{"text": "Doctor"}])
    identifier = [{"system": IDENTITY_NUMBERS, "value": NUMBER}]
    for one in ("man", "woman"):
        body = json.loads(patient(birthDate="1990-03-07"))
        if one == "man":
            body |= {
                "identifier": identifier,
                "managingOrganization": {"reference": f"Organization/hospital{mark}"},
            }
        await put(client, "Patient", f"{one}{mark}", **{**body, "id": f"{one}{mark}"})
    for day in ("01", "02"):
        await put(
            client,
            "Encounter",
            f"visit-{day}{mark}",
            status="finished",
            subject={"reference": f"Patient/man{mark}"},
            period={"start": f"2026-03-{day}", "end": f"2026-03-{day}"},
            serviceProvider={"reference": f"Organization/hospital{mark}"},
            **{"class": {"code": "AMB"}},
        )
    for place in range(5):
        await _result(client, f"man{mark}", place, mark, day=f"2026-03-0{place + 1}")
    await _result(client, f"woman{mark}", 9, mark, day="2026-03-01")
    system = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"
    allergy = {
        "patient": {"reference": f"Patient/man{mark}"},
        "clinicalStatus": {"coding": [{"system": system, "code": "active"}]},
    }
    await put(client, "AllergyIntolerance", f"allergy{mark}", **allergy)


async def _result(
    client: httpx.AsyncClient, whose: str, place: int, mark: str, *, day: str
) -> None:
    body = json.loads(
        observation(
            f"Patient/{whose}",
            effectiveDateTime=day,
            performer=[{"reference": f"Practitioner/doctor{mark}"}],
            encounter={"reference": f"Encounter/visit-01{mark}"} if place == 0 else None,
        )
    )
    body = {name: value for name, value in body.items() if value is not None}
    await put(client, "Observation", f"result-{place}{mark}", **body)


@pytest.fixture
async def filled(house: Any) -> Any:
    await fill(house.client("hospital-a"))
    await fill(house.client("hospital-b"), "-b")
    return house


async def walk(client: httpx.AsyncClient, url: str, **params: str) -> list[list[tuple[str, str]]]:
    """The entries of each part as (mode, address below the base)."""
    parts = []
    answer = await client.get(url, params=params or None)
    while True:
        assert answer.status_code == 200, answer.text
        bundle = answer.json()
        assert bundle["type"] == "searchset"
        parts.append(
            [
                (entry["search"]["mode"], entry["fullUrl"].removeprefix("http://node.test/fhir/"))
                for entry in bundle.get("entry", ())
            ]
        )
        following = [link["url"] for link in bundle["link"] if link["relation"] == "next"]
        if not following:
            return parts
        answer = await client.get(following[0])


def addresses(parts: list[list[tuple[str, str]]], mode: str = "") -> list[str]:
    return [address for part in parts for found, address in part if mode in {"", found}]


OF_MAN = {
    "Patient/man",
    "Encounter/visit-01",
    "Encounter/visit-02",
    "AllergyIntolerance/allergy",
    *(f"Observation/result-{place}" for place in range(5)),
}
SUPPORTING = {"Organization/hospital", "Practitioner/doctor"}


async def test_everything_is_the_compartment_and_what_it_refers_to_the_patient_first(
    filled: Any,
) -> None:
    client = filled.client("hospital-a")
    parts = await walk(client, "/Patient/man/$everything", _count="100")
    assert len(parts) == 1
    assert parts[0][0] == ("match", "Patient/man")
    assert set(addresses(parts, "match")) == OF_MAN
    assert set(addresses(parts, "include")) == SUPPORTING
    found = await walk(client, "/Patient/man/*", _count="100")
    assert set(addresses(found)) == OF_MAN


@pytest.fixture(params=["small", "large", "mixed"])
def size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compartment is walked past its gaps where it is large, fetched where it is small."""
    if request.param != "small":
        monkeypatch.setattr(gaps, "_LARGE_MIN", 0 if request.param == "large" else 1)
        monkeypatch.setattr(gaps, "_GAP_MIN", 0)


@pytest.mark.parametrize("count", ["1", "2", "3", "7"])
@pytest.mark.usefixtures("size")
async def test_in_parts_each_record_is_given_once_whatever_their_size(
    filled: Any, count: str
) -> None:
    parts = await walk(filled.client("hospital-a"), "/Patient/man/$everything", _count=count)
    assert all(sum(mode == "match" for mode, _ in part) <= int(count) for part in parts)
    given = addresses(parts)
    assert len(given) == len(set(given))
    assert set(given) == OF_MAN | SUPPORTING
    assert given[0] == "Patient/man"


@pytest.mark.usefixtures("size")
async def test_what_is_written_meanwhile_neither_hides_nor_repeats_a_record(filled: Any) -> None:
    client = filled.client("hospital-a")
    answer = (await client.get("/Patient/man/$everything", params={"_count": "3"})).json()
    given = []
    while True:
        given += [entry["fullUrl"].rpartition("fhir/")[2] for entry in answer.get("entry", ())]
        for place in range(5):
            await _result(client, "man", place, "", day=f"2026-04-0{len(given) % 9 + 1}")
        following = [link["url"] for link in answer["link"] if link["relation"] == "next"]
        if not following:
            break
        answer = (await client.get(following[0])).json()
    assert sorted(given) == sorted(OF_MAN | SUPPORTING)


async def test_start_and_end_are_of_the_care_and_leave_what_has_no_date(filled: Any) -> None:
    client = filled.client("hospital-a")
    parts = await walk(
        client, "/Patient/man/$everything", start="2026-03-02", end="2026-03-03", _count="50"
    )
    assert set(addresses(parts, "match")) == {
        "Patient/man",
        "Encounter/visit-02",
        "AllergyIntolerance/allergy",
        "Observation/result-1",
        "Observation/result-2",
    }
    answer = await client.get("/Patient/man/$everything?start=2026-03-02&end=2026-03-01")
    assert answer.status_code == 400


async def test_type_and_since_narrow_what_is_given(filled: Any) -> None:
    client = filled.client("hospital-a")
    url = "/Patient/man/$everything"
    parts = await walk(client, url, _type="Encounter,Practitioner")
    assert set(addresses(parts)) == {"Encounter/visit-01", "Encounter/visit-02"}
    parts = await walk(client, url, _type="Observation,Practitioner", _count="2")
    assert set(addresses(parts, "include")) == {"Practitioner/doctor"}
    moment = (await client.get("/Observation/result-3")).json()["meta"]["lastUpdated"]
    parts = await walk(client, url, _since=moment)
    assert set(addresses(parts)) == {
        "Observation/result-3",
        "Observation/result-4",
        "AllergyIntolerance/allergy",
    }


async def test_the_same_by_post_with_parameters_and_links_without_terms(filled: Any) -> None:
    client = filled.client("hospital-a")
    sent = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "start", "valueDate": "2026-03-02"},
            {"name": "_type", "valueCode": "Observation"},
            {"name": "_count", "valueInteger": 1},
        ],
    }
    answer = await client.post("/Patient/man/$everything", content=json.dumps(sent).encode())
    assert answer.status_code == 200, answer.text
    links = {link["relation"]: link["url"] for link in answer.json()["link"]}
    assert "2026-03-02" not in answer.text.partition('"entry"')[0]
    left = await walk(client, links["next"])
    assert len(addresses(left, "match")) == 3
    other = await filled.client("hospital-b").get(links["next"])
    assert other.status_code == 403


async def test_an_institution_is_given_its_own_records_and_the_directory(filled: Any) -> None:
    theirs = filled.client("hospital-b")
    hidden = await theirs.get("/Patient/man/$everything")
    absent = await theirs.get("/Patient/nobody/$everything")
    assert (hidden.status_code, hidden.json()) == (404, absent.json())
    await _result(theirs, "man", 7, "-b", day="2026-03-01")
    parts = await walk(filled.client("hospital-a"), "/Patient/man/$everything", _count="50")
    assert "Observation/result-7-b" not in addresses(parts)
    parts = await walk(filled.client("center"), "/Patient/man/$everything", _count="50")
    assert "Observation/result-7-b" in addresses(parts)


async def test_a_resident_is_given_what_is_about_them_and_nobody_else(filled: Any) -> None:
    # Both hospitals registered the man under one identity number: one person.
    person = str(await filled.pool.fetchval("select person from people.link limit 1"))
    resident = Actor("resident", "resident", "A man", "", person)
    filled.tokens["resident"] = await filled.actors.enrol(resident)
    client = filled.client("resident")
    parts = await walk(client, "/Patient/man/$everything", _count="4")
    assert set(addresses(parts)) == OF_MAN | SUPPORTING
    assert (await client.get("/Patient/woman/$everything")).status_code == 404
    other = await walk(client, "/Patient/man-b/$everything", _count="4")
    assert all("woman" not in address for address in addresses(other))


async def test_every_part_stands_in_the_access_log_with_its_records(filled: Any) -> None:
    await walk(filled.client("hospital-a"), "/Patient/man/$everything", _count="6")
    rows = await filled.pool.fetch(
        "select type, outcome, hits, cardinality(records) as records from trust.access"
        " where action = 'everything' order by at"
    )
    assert [(row["type"], row["outcome"], row["hits"] == row["records"]) for row in rows] == [
        ("Patient", "ok", True),
        ("Patient", "ok", True),
    ]
    assert sum(row["hits"] for row in rows) == len(OF_MAN | SUPPORTING)


async def test_an_encounter_is_given_with_its_results_and_its_patient(filled: Any) -> None:
    client = filled.client("hospital-a")
    parts = await walk(client, "/Encounter/visit-01/$everything")
    assert addresses(parts, "match") == ["Encounter/visit-01", "Observation/result-0"]
    assert set(addresses(parts, "include")) == SUPPORTING | {"Patient/man"}
    assert (await client.get("/Encounter/visit-01/$everything?start=2026")).status_code == 400


@pytest.mark.parametrize(
    ("url", "status", "word"),
    [
        ("/Patient/$everything", 404, "[type]"),
        ("/Group/1/$everything", 404, "Patient/[id]/$everything"),
        ("/Patient/man/$nothing", 404, "no such operation"),
        ("/Patient/man/$everything?_type=Patiant", 404, "resource type"),
        ("/Patient/man/$everything?colour=red", 400, "colour"),
        ("/Patient/man/$everything?start=red", 400, "start"),
        ("/Patient/man/$everything?_count=red", 400, "_count"),
    ],
)
async def test_what_is_not_served_is_refused_by_name(
    filled: Any, url: str, status: int, word: str
) -> None:
    answer = await filled.client("hospital-a").get(url)
    assert answer.status_code == status
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert word.replace("[type]", "Patient/[id]/$everything") in answer.text


async def test_the_statement_names_the_operation_where_it_is_served(house: Any) -> None:
    statement = (await house.client().get("/metadata")).json()
    served = {
        (resource["type"], one["name"], one["definition"])
        for resource in statement["rest"][0]["resource"]
        for one in resource.get("operation", ())
        if one["name"] == "everything"
    }
    base = "http://hl7.org/fhir/OperationDefinition"
    assert served == {
        ("Patient", "everything", f"{base}/Patient-everything"),
        ("Encounter", "everything", f"{base}/Encounter-everything"),
    }
