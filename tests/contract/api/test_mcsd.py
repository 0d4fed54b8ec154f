"""The registers as a Directory of IHE mCSD (Mobile Care Services Discovery 3.8): found by others
(ITI-90), their updates asked for (ITI-91), fed (ITI-130). The tests are named after the sections of
volume 2 of the supplement.
"""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from books import Books, organization, practice, practitioner, qualification

from .conftest import House

SYSTEM = "urn:directory"
SHARED = ("_id={id}", "_lastUpdated=gt2020-01-01")
SEARCHES: dict[str, tuple[str, ...]] = {
    "Organization": (
        "active=true",
        "identifier=urn:directory|o1",
        "name=青县",
        "name:contains=人民",
        "name:exact=青县人民医院",
        "partof={whole}",
        "type=A",
        "_include=Organization:endpoint&name=青县",
        "_revinclude=Location:organization&name=青县",
        "_revinclude=OrganizationAffiliation:participating-organization&name=青县",
    ),
    "Location": (
        "name=东院",
        "name:contains=院",
        "name:exact=东院区",
        "organization={organization}",
        "partof={campus}",
        "status=active",
        "type=HOSP",
        "_include=Location:organization&name=东院",
    ),
    "HealthcareService": (
        "active=true",
        "identifier=urn:directory|h1",
        "location={location}",
        "name=接种",
        "name:contains=种",
        "name:exact=接种门诊",
        "organization={organization}",
        "service-type=57",
        "_include=HealthcareService:organization&name=接种",
    ),
    "Practitioner": (
        "active=true",
        "name=李明",
        "name:contains=明",
        "name:exact=李明",
        "given=明",
        "given:contains=明",
        "family=李",
        "family:exact=李",
    ),
    "PractitionerRole": (
        "active=true",
        "location={location}",
        "organization={organization}",
        "practitioner={practitioner}",
        "role=doctor",
        "service={service}",
        "specialty=394539006",
        "_include=PractitionerRole:practitioner&active=true",
    ),
    "OrganizationAffiliation": (
        "active=true",
        "date=ge2026-01-01",
        "identifier=urn:directory|f1",
        "participating-organization={organization}",
        "primary-organization={whole}",
        "role=member",
        "_include=OrganizationAffiliation:endpoint&active=true",
    ),
    "Endpoint": (
        "identifier=urn:directory|e1",
        "organization={organization}",
        "status=active",
        "connection-type=hl7-fhir-rest",
    ),
}


def coded(code: str) -> list[dict[str, Any]]:
    return [{"coding": [{"system": "urn:codes", "code": code}]}]


def numbered(value: str) -> list[dict[str, str]]:
    return [{"system": SYSTEM, "value": value}]


def to(id_: str, type_: str = "Organization") -> dict[str, str]:
    return {"reference": f"{type_}/{id_}"}


async def fill(books: Books) -> dict[str, str]:
    """One entry of each type of the profile; gives their references by a short name."""
    ids: dict[str, str] = {}
    whole = {"resourceType": "Organization", "name": "县卫生健康局", "active": True}
    ids["whole"] = await books.enter(whole)
    body = organization(name="青县人民医院", active=True, partOf=to(ids["whole"]))
    body["identifier"] += numbered("o1")
    ids["organization"] = await books.enter(body)
    of = {"managingOrganization": to(ids["organization"])}
    endpoint = {
        "resourceType": "Endpoint",
        "identifier": numbered("e1"),
        "status": "active",
        "connectionType": {"system": "urn:codes", "code": "hl7-fhir-rest"},
        "payloadType": coded("any"),
        "address": "https://hospital.example/fhir",
        "header": ["X-Key: secret"],
        **of,
    }
    ids["endpoint"] = await books.enter(endpoint)
    reach = [to(ids["endpoint"], "Endpoint")]
    await books.change(ids["organization"], {**body, "endpoint": reach})
    site = {"resourceType": "Location", "status": "active", "mode": "instance", **of}
    ids["campus"] = await books.enter({**site, "name": "本部", "status": "suspended"})
    east = {"name": "东院区", "type": coded("HOSP"), "partOf": to(ids["campus"], "Location")}
    ids["location"] = await books.enter({**site, **east})
    ids["service"] = await books.enter(
        {
            "resourceType": "HealthcareService",
            "identifier": numbered("h1"),
            "active": True,
            "name": "接种门诊",
            "providedBy": to(ids["organization"]),
            "location": [to(ids["location"], "Location")],
            "type": coded("57"),
        }
    )
    await _fill_staff(books, ids, reach)
    return ids


async def _fill_staff(books: Books, ids: dict[str, str], reach: list[dict[str, str]]) -> None:
    person = practitioner(
        qualification("physician", "clinical"),
        active=True,
        name=[{"text": "李明", "family": "李", "given": ["明"]}],
    )
    ids["practitioner"] = await books.enter(person)
    ids["role"] = await books.enter(
        practice(
            ids["practitioner"],
            ids["organization"],
            active=True,
            location=[to(ids["location"], "Location")],
            healthcareService=[to(ids["service"], "HealthcareService")],
            code=coded("doctor"),
            specialty=coded("394539006"),
        )
    )
    ids["affiliation"] = await books.enter(
        {
            "resourceType": "OrganizationAffiliation",
            "identifier": numbered("f1"),
            "active": True,
            "period": {"start": "2026-01-01"},
            "organization": to(ids["whole"]),
            "participatingOrganization": to(ids["organization"]),
            "code": coded("member"),
            "endpoint": reach,
        }
    )


NAMES = {
    "Organization": "organization",
    "Location": "location",
    "HealthcareService": "service",
    "Practitioner": "practitioner",
    "PractitionerRole": "role",
    "OrganizationAffiliation": "affiliation",
    "Endpoint": "endpoint",
}


def found(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [
        entry["resource"]["id"]
        for entry in answer.json().get("entry", [])
        if entry["search"]["mode"] == "match"
    ]


@pytest.fixture
async def filled(house: House) -> dict[str, str]:
    return await fill(Books(house.guard, house.pool))


async def test_2_3_90_4_1_2_every_search_of_the_profile_is_answered_to_any_institution(
    house: House, filled: dict[str, str]
) -> None:
    client, missing = house.client("hospital-b"), []
    for type_, asked in SEARCHES.items():
        own = filled[NAMES[type_]]
        for one in (*SHARED, *asked):
            query = one.format(id=own, **filled)
            answer = await client.get(f"/{type_}", params=httpx.QueryParams(query))
            if own not in found(answer):
                missing.append(f"{type_}?{one}")
            if "include" in one:
                others = [entry["search"]["mode"] for entry in answer.json()["entry"]]
                assert "include" in others, f"{type_}?{one}"
    assert missing == []


async def test_2_3_90_4_2_2_what_is_nobodys_business_is_not_shown(
    house: House, filled: dict[str, str]
) -> None:
    answer = await house.client("hospital-b").get(f"/Endpoint/{filled['endpoint']}")
    assert answer.status_code == 200
    assert (answer.json()["address"], "header" in answer.json()) == (
        "https://hospital.example/fhir",
        False,
    )


async def test_2_3_91_4_1_2_updates_since_a_moment_are_given_for_each_type(
    house: House, filled: dict[str, str]
) -> None:
    books, client = Books(house.guard, house.pool), house.client("hospital-b")
    before: dict[str, int] = {}
    latest = ""
    for type_ in SEARCHES:
        answer = (await client.get(f"/{type_}/_history?_count=100")).json()
        updated = [entry["resource"]["meta"]["lastUpdated"] for entry in answer["entry"]]
        before[type_], latest = len(updated), max(latest, *updated)
    assert before["Organization"] == 3
    await asyncio.sleep(0)
    role = practice(filled["practitioner"], filled["organization"], active=False)
    await books.change(filled["role"], role)
    for type_ in SEARCHES:
        since = httpx.QueryParams({"_since": latest})
        answer = await client.get(f"/{type_}/_history", params=since)
        assert answer.status_code == 200, answer.text
        told = [entry["resource"] for entry in answer.json().get("entry", [])]
        fresh = [one for one in told if one["meta"]["lastUpdated"] > latest]
        assert len(fresh) == int(type_ == "PractitionerRole"), type_
    ended = await client.get(f"/PractitionerRole/{filled['role']}/_history")
    assert [one["resource"]["active"] for one in ended.json()["entry"]] == [False, True]
    first = await client.get(f"/Endpoint/{filled['endpoint']}/_history/1")
    assert (first.status_code, "header" in first.text) == (200, False)


async def test_2_3_91_4_2_2_a_deleted_entry_is_told_as_deleted(
    house: House, filled: dict[str, str]
) -> None:
    books = Books(house.guard, house.pool)
    await books.keeper.delete("HealthcareService", filled["service"])
    answer = await house.client("hospital-b").get("/HealthcareService/_history")
    methods = [entry["request"]["method"] for entry in answer.json()["entry"]]
    assert methods == ["DELETE", "POST"]


async def test_2_3_130_4_1_2_the_registers_are_fed_by_those_who_keep_them_alone(
    house: House, filled: dict[str, str]
) -> None:
    place = f"/Location/{filled['location']}"
    body = {"resourceType": "Location", "id": filled["location"], "name": "南院区"}
    for code, status in (("hospital-b", 403), ("center", 200)):
        answer = await house.client(code).put(place, json=body)
        assert answer.status_code == status, answer.text
    made = await house.client("center").post("/Endpoint", json={"resourceType": "Endpoint"})
    assert made.status_code == 422  # R4: status, connectionType, payloadType, address
