"""Filters, lists and places over HTTP: refused with their place, and by what the asker sees."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest
from stores import bundle, observation, patient

from .conftest import House

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


async def put(client: httpx.AsyncClient, type_: str, id_: str, **more: Any) -> None:
    body = json.dumps({"resourceType": type_, "id": id_, **more})
    answer = await client.put(f"/{type_}/{id_}", content=body)
    assert answer.status_code == 201, answer.text


async def ids(client: httpx.AsyncClient, type_: str, **asked: str) -> set[str]:
    answer = await client.get(f"/{type_}", params=asked)
    assert answer.status_code == 200, answer.text
    return {entry["resource"]["id"] for entry in answer.json().get("entry", [])}


async def filled(house: House) -> tuple[httpx.AsyncClient, httpx.AsyncClient]:
    """Two hospitals, each with a Patient, a result and a List of both Patients."""
    here, there = house.client("hospital-a"), house.client("hospital-b")
    for client, own in ((here, "a"), (there, "b")):
        await put(client, "Patient", f"of-{own}", gender="female")
        result = json.loads(observation(f"Patient/of-{own}"))
        await put(client, "Observation", f"at-{own}", **result)
    entry = [{"item": {"reference": f"Patient/of-{own}"}} for own in "ab"]
    await put(there, "List", "both", status="current", mode="working", entry=entry)
    return here, there


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [
        ("gender eq female or gender eq male", {"of-a"}),
        ("not (gender eq male)", {"of-a"}),
        ("_has:Observation:subject:code eq 2339-0 or gender eq male", {"of-a"}),
        ("not (_has:Observation:subject:code eq 2339-0)", set()),
        ('gender ne male and id ne "nobody"', {"of-a"}),
    ],
)
async def test_a_filter_finds_what_the_asker_may_see(
    house: House, filter_: str, expected: set[str]
) -> None:
    here, _ = await filled(house)
    assert await ids(here, "Patient", _filter=filter_) == expected


async def test_nothing_is_found_by_a_list_that_the_asker_may_not_see(house: House) -> None:
    here, there = await filled(house)
    assert await ids(there, "Patient", _list="both") == {"of-b"}
    assert await ids(here, "Patient", _list="both") == set()
    assert await ids(here, "Observation", **{"patient._list": "both"}) == set()
    assert await ids(here, "Patient", _list="unknown") == set()


async def test_a_place_is_found_by_its_position_among_what_is_seen_whole(house: House) -> None:
    here, there = await filled(house)
    position = {"latitude": 30.66, "longitude": 104.06}
    await put(there, "Location", "ward", status="active", position=position)
    assert await ids(there, "Location", near="30.66|104.06") == {"ward"}
    assert await ids(here, "Location", near="30.66|104.06") == set()
    assert await ids(here, "Location", status="active") == {"ward"}


async def test_a_filter_goes_on_from_page_to_page_and_by_post(client: httpx.AsyncClient) -> None:
    entries = [
        {
            "resource": json.loads(patient(name=f"Wang {n}")),
            "request": {"method": "POST", "url": "Patient"},
        }
        for n in range(5)
    ]
    assert (await client.post("", content=bundle("transaction", *entries))).status_code == 200
    asked = {"_filter": 'name co "ang" or name eq "nobody"', "_count": "2"}
    for first in (
        await client.get("/Patient", params=asked),
        await client.post("/Patient/_search", data=asked, headers=FORM),
    ):
        found: list[str] = []
        answer = first
        while True:
            assert answer.status_code == 200, answer.text
            page = answer.json()
            found += [entry["resource"]["id"] for entry in page["entry"]]
            following = [link["url"] for link in page["link"] if link["relation"] == "next"]
            if not following:
                break
            answer = await client.get(following[0])
        assert len(found) == len(set(found)) == 5


@pytest.mark.parametrize(
    ("type_", "asked", "says"),
    [
        ("Patient", {"_filter": "gender eq"}, "from character 10"),
        ("Patient", {"_filter": "gender eq male and colour eq red"}, "from character 20.*colour"),
        ("Patient", {"gender:text": "male"}, "gender takes no :text.*:not"),
        ("Patient", {"name:below": "x"}, ":contains"),
        ("Observation", {"subject:text": "x"}, "takes no :text"),
        ("Observation", {"patient:below": "1"}, "takes no :below"),
        ("ValueSet", {"url:below": "urn:oid:1.2"}, "URN"),
        ("Location", {"near": "300|0"}, "latitude"),
        ("Patient", {"_list": "$current-problems"}, "functional lists"),
        ("Patient", {"_text": "x"}, "encrypted"),
        ("Patient", {"_query": "x"}, "named queries"),
    ],
)
async def test_what_r4_does_not_allow_is_refused_with_what_it_does(
    client: httpx.AsyncClient, type_: str, asked: dict[str, str], says: str
) -> None:
    answer = await client.get(f"/{type_}", params=asked)
    assert answer.status_code == 400
    (issue,) = answer.json()["issue"]
    assert re.search(says, issue["diagnostics"])


async def test_the_statement_names_the_modifiers_of_each_parameter(
    client: httpx.AsyncClient,
) -> None:
    (rest,) = (await client.get("/metadata")).json()["rest"]
    listed = {
        (resource["type"], param["name"]): param.get("documentation", "").split(", ")
        for resource in rest["resource"]
        for param in resource["searchParam"]
    }
    assert listed["Patient", "identifier"] == [":missing", ":not", ":of-type", ":text"]
    assert listed["Encounter", "location"] == [
        ":missing",
        ":[type]",
        ":above",
        ":below",
        ":identifier",
    ]
    assert listed["ValueSet", "url"] == [":missing", ":above", ":below"]
    assert listed["DocumentReference", "contenttype"] == [":missing", ":below", ":not"]
    assert listed["Location", "near"] == [":missing"]
    assert listed["Observation", "code-value-quantity"] == [""]
    assert {"_filter", "_list"} <= {param["name"] for param in rest["searchParam"]}
