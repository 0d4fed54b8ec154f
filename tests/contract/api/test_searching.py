"""Searches over HTTP: what they find, how they go on, what they may not reveal."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest
from stores import observation, patient

from quanmin.api import DoorLimits

from .conftest import House

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


async def fill(client: httpx.AsyncClient, count: int = 5) -> str:
    """A Patient with this many results; the Patient's id."""
    made = await client.post("/Patient", content=patient())
    id_: str = made.json()["id"]
    for number in range(count):
        body = observation(f"Patient/{id_}", value=f"{number}.50")
        assert (await client.post("/Observation", content=body)).status_code == 201
    return id_


def links(bundle: dict[str, Any]) -> dict[str, str]:
    return {link["relation"]: link["url"] for link in bundle["link"]}


def matches(bundle: dict[str, Any]) -> list[dict[str, Any]]:
    entries = bundle.get("entry", [])
    return [entry["resource"] for entry in entries if entry["search"]["mode"] == "match"]


async def test_a_search_finds_and_goes_on_until_all_is_seen(client: httpx.AsyncClient) -> None:
    id_ = await fill(client)
    url = f"/Observation?patient={id_}&_count=2"
    seen: list[str] = []
    while url:
        answer = await client.get(url)
        assert answer.status_code == 200, answer.text
        seen += [hit["id"] for hit in matches(answer.json())]
        url = links(answer.json()).get("next", "")
    assert len(seen) == len(set(seen)) == 5


async def test_a_bundle_says_where_its_records_are_and_how_it_was_asked(
    client: httpx.AsyncClient,
) -> None:
    id_ = await fill(client, 1)
    found = (await client.get(f"/Observation?patient={id_}&_total=accurate&_pretty=false")).json()
    assert (found["type"], found["total"]) == ("searchset", 1)
    hit = found["entry"][0]
    assert hit["fullUrl"] == f"http://node.test/fhir/Observation/{hit['resource']['id']}"
    assert links(found)["self"] == (
        f"http://node.test/fhir/Observation?patient={id_}&_total=accurate"
    )


async def test_a_posted_search_leaves_no_term_in_any_address(client: httpx.AsyncClient) -> None:
    for _ in range(3):
        await client.post("/Patient", content=patient(name="欧阳明月"))
    content = f"name={quote('欧阳')}&_count=1"
    first = await client.post("/Patient/_search", content=content, headers=FORM)
    assert first.status_code == 200
    bundle, seen = first.json(), []
    while True:
        seen += [hit["id"] for hit in matches(bundle)]
        for url in links(bundle).values():
            assert "name" not in url
            assert quote("欧阳") not in url
        if "next" not in links(bundle):
            break
        bundle = (await client.get(links(bundle)["next"])).json()
    assert len(set(seen)) == 3
    again = (await client.get(links(first.json())["self"])).json()
    assert [hit["id"] for hit in matches(again)] == seen[:1]


async def test_parameters_of_the_address_and_of_the_form_count_together(
    client: httpx.AsyncClient,
) -> None:
    id_ = await fill(client, 2)
    answer = await client.post(
        "/Observation/_search?status=final", content=f"patient={id_}&_count=1", headers=FORM
    )
    assert len(matches(answer.json())) == 1
    bare = await client.post("/Observation/_search?status=cancelled", headers=FORM)
    assert matches(bare.json()) == []


async def test_a_link_works_for_nobody_else(house: House) -> None:
    ours, theirs = house.client("hospital-a"), house.client("hospital-b")
    await fill(ours, 2)
    following = links((await ours.get("/Observation?_count=1")).json())["next"]
    assert (await ours.get(following)).status_code == 200
    assert (await theirs.get(following)).status_code == 403
    assert (await ours.get(following[:-5])).status_code == 400
    assert (await ours.get("/_page")).status_code == 400


async def _listed(client: httpx.AsyncClient, ids: list[str], **more: str) -> httpx.Response:
    absent = [f"{number:064}" for number in range(5000)]
    content = urlencode({"_id": ",".join([*absent, *ids]), "_count": "1", **more})
    return await client.post("/Observation/_search", content=content, headers=FORM)


async def _ids(client: httpx.AsyncClient) -> list[str]:
    found = (await client.get("/Observation?_count=50")).json()
    return [hit["id"] for hit in matches(found)]


async def test_a_list_of_thousands_goes_on_page_after_page(house: House) -> None:
    client = house.client()
    await fill(client, 4)
    ids = sorted(await _ids(client))[1:]
    answer = await _listed(client, ids, _sort="_id")
    seen: list[str] = []
    while True:
        assert answer.status_code == 200, answer.text
        seen += [hit["id"] for hit in matches(answer.json())]
        following = links(answer.json()).get("next", "")
        if not following:
            break
        assert len(following) < 1000
        answer = await client.get(following)
    assert seen == ids
    kept = await house.pool.fetch("select actor, sealed from trust.question")
    assert [row["actor"] for row in kept] == ["center"]
    assert ids[0].encode() not in kept[0]["sealed"]


async def test_a_kept_question_is_its_actors_and_ends(house: House) -> None:
    client = house.client(limits=DoorLimits(questions_max=1))
    await fill(client, 3)
    ids = await _ids(client)
    first = links((await _listed(client, ids)).json())["next"]
    assert (await client.get(first)).status_code == 200
    assert (await house.client("hospital-a").get(first)).status_code == 403
    second = links((await _listed(client, ids, _sort="_id")).json())["next"]
    gone = await client.get(first)
    assert gone.status_code == 400
    assert "not kept any more" in gone.json()["issue"][0]["diagnostics"]
    assert (await client.get(second)).status_code == 200


async def test_what_has_expired_is_removed_when_another_comes(house: House) -> None:
    client = house.client()
    await fill(client, 3)
    await house.pool.execute("insert into trust.question values ('x', 'someone', 1, 'y')")
    await _listed(client, await _ids(client))
    assert await house.pool.fetchval("select count(*) from trust.question") == 1


async def test_includes_come_once_and_say_why_they_are_there(client: httpx.AsyncClient) -> None:
    id_ = await fill(client, 2)
    url = f"/Observation?patient={id_}&_include=Observation:patient"
    entries = (await client.get(url)).json()["entry"]
    included = [e["resource"] for e in entries if e["search"]["mode"] == "include"]
    assert [record["id"] for record in included] == [id_]
    back = (await client.get(f"/Patient?_id={id_}&_revinclude=Observation:patient")).json()
    assert [entry["search"]["mode"] for entry in back["entry"]] == ["match", "include", "include"]


async def test_a_compartment_holds_what_is_about_its_patient(client: httpx.AsyncClient) -> None:
    id_ = await fill(client, 2)
    await fill(client, 1)
    found = (await client.get(f"/Patient/{id_}/Observation")).json()
    assert len(matches(found)) == 2
    everything = (await client.get(f"/Patient/{id_}/*")).json()
    assert len(matches(everything)) >= 2
    posted = await client.post(f"/Patient/{id_}/Observation/_search", headers=FORM)
    assert len(matches(posted.json())) == 2


async def test_other_compartments_hold_what_refers_to_their_record(
    client: httpx.AsyncClient,
) -> None:
    visit = {"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"}}
    made = await client.post("/Encounter", content=json.dumps(visit).encode())
    id_ = made.json()["id"]
    about = observation(encounter={"reference": f"Encounter/{id_}"})
    for body in (about, observation()):
        assert (await client.post("/Observation", content=body)).status_code == 201
    assert len(matches((await client.get(f"/Encounter/{id_}/Observation")).json())) == 1
    refused = await client.get("/Organization/1/Observation")
    assert refused.status_code == 400
    assert "Encounter" in refused.json()["issue"][0]["diagnostics"]


async def test_a_search_over_all_types_takes_common_parameters(client: httpx.AsyncClient) -> None:
    id_ = await fill(client, 1)
    assert [hit["id"] for hit in matches((await client.get(f"/?_id={id_}")).json())] == [id_]
    posted = await client.post("/_search", content=f"_id={id_}", headers=FORM)
    assert [hit["id"] for hit in matches(posted.json())] == [id_]


async def test_search_3_1_1_4_12_reference_the_address_that_an_answer_gave_means_its_record(
    client: httpx.AsyncClient,
) -> None:
    id_ = await fill(client, 2)
    [entry] = (await client.get("/Patient")).json()["entry"]
    address = entry["fullUrl"]
    assert address == f"http://node.test/fhir/Patient/{id_}"
    sent = await client.post("/Observation", content=observation(address))  # stands there as sent
    by_address = sent.json()["id"]
    for asked in (
        f"subject={address}",
        f"patient=Patient/nobody,{address}",
        f"_filter={quote(f'subject re {address}')}",
    ):
        found = matches((await client.get(f"/Observation?{asked}")).json())
        assert len(found) == 3, asked
        assert by_address in {each["id"] for each in found}
    found = matches(
        (await client.get(f"/Patient?_has:Observation:subject:patient={address}")).json()
    )
    assert [each["id"] for each in found] == [id_]
    elsewhere = address.replace("node.test", "other.test")
    assert not matches((await client.get(f"/Observation?subject={elsewhere}")).json())


@pytest.mark.parametrize("query", ["status:=final", "subject:=1", "subject:Patient.name:=x"])
async def test_a_colon_without_a_modifier_is_refused(client: httpx.AsyncClient, query: str) -> None:
    reply = await client.get(f"/Observation?{query}")
    assert (reply.status_code, "names no modifier" in reply.text) == (400, True)


async def test_several_types_are_searched_at_once_page_after_page(
    client: httpx.AsyncClient,
) -> None:
    id_ = await fill(client, 3)
    problem = {"resourceType": "Condition", "subject": {"reference": f"Patient/{id_}"}}
    assert (await client.post("/Condition", content=json.dumps(problem))).status_code == 201
    for address in (
        f"/?_type=Observation,Condition&patient={id_}",
        f"/Patient/{id_}/*?_type=Condition,Observation",
    ):
        url, seen = f"{address}&_count=3&_total=accurate&_sort=code,_id", list[str]()
        while url:
            found = (await client.get(url)).json()
            assert found["total"] == 4
            seen += [hit["resourceType"] for hit in matches(found)]
            assert "_type=" in links(found)["self"] or "_page" in links(found)["self"]
            url = links(found).get("next", "")
        assert seen == ["Observation"] * 3 + ["Condition"]
    content = f"_type=Observation,Condition&patient={id_}"
    posted = await client.post("/_search", content=content, headers=FORM)
    assert len(matches(posted.json())) == 4
    refused = await client.get("/Observation?_type=Observation")
    assert refused.status_code == 400
    assert "already names the type" in refused.json()["issue"][0]["diagnostics"]


@pytest.mark.parametrize("query", ["_summary=count", "_count=0"])
async def test_a_count_shows_no_record(client: httpx.AsyncClient, query: str) -> None:
    id_ = await fill(client, 3)
    found = (await client.get(f"/Observation?patient={id_}&{query}")).json()
    assert found["total"] == 3
    assert "entry" not in found
    [told] = (await client.get(f"/Observation?patient={id_}&colour=red&{query}")).json()["entry"]
    assert told["search"]["mode"] == "outcome"
    assert "colour" in told["resource"]["issue"][0]["diagnostics"]
    assert "next" not in links(found)


async def test_a_part_of_each_record_is_tagged_as_a_part(client: httpx.AsyncClient) -> None:
    id_ = await fill(client, 1)
    found = await client.get(f"/Observation?patient={id_}&_elements=value")
    (hit,) = matches(found.json())
    assert "effectiveDateTime" not in hit
    assert hit["meta"]["tag"][0]["code"] == "SUBSETTED"
    assert '"value":0.50' in found.text
    read = (await client.get(f"/Observation/{hit['id']}?_summary=text")).json()
    assert "valueQuantity" not in read
    assert read["meta"]["tag"][0]["code"] == "SUBSETTED"


async def test_an_unknown_parameter_is_told_or_refused(client: httpx.AsyncClient) -> None:
    lenient = (await client.get("/Patient?colour=red")).json()
    told = [e["resource"] for e in lenient["entry"] if e["search"]["mode"] == "outcome"]
    assert "colour" in told[0]["issue"][0]["diagnostics"]
    assert "colour" not in links(lenient)["self"]
    strict = await client.get("/Patient?colour=red", headers={"Prefer": "handling=strict"})
    assert strict.status_code == 400
    assert "colour" in strict.text


async def test_a_search_stays_strict_on_its_next_page(client: httpx.AsyncClient) -> None:
    await fill(client, 2)
    headers = {"Prefer": "handling=strict"}
    first = (await client.get("/Observation?_count=1", headers=headers)).json()
    assert (await client.get(links(first)["next"])).status_code == 200


async def test_an_institution_counts_only_its_own(house: House) -> None:
    await fill(house.client("hospital-a"), 3)
    await fill(house.client("hospital-b"), 1)
    found = await house.client("hospital-b").get("/Observation?_total=accurate")
    assert found.json()["total"] == 1


async def test_pretty_is_for_people_and_changes_no_digit(client: httpx.AsyncClient) -> None:
    id_ = await fill(client, 1)
    plain = await client.get(f"/Observation?patient={id_}")
    laid_out = await client.get(f"/Observation?patient={id_}&_pretty=true")
    assert "\n" in laid_out.text
    assert '"value": 0.50' in laid_out.text
    assert json.loads(laid_out.text)["entry"] == json.loads(plain.text)["entry"]
