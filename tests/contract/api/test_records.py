"""Reads and writes of single records over HTTP, with every precondition and preference."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from stores import bundle, observation, patient


async def make(client: httpx.AsyncClient, body: bytes | None = None) -> httpx.Response:
    body = body or observation()
    answer = await client.post(f"/{json.loads(body)['resourceType']}", content=body)
    assert answer.status_code == 201, answer.text
    return answer


def issue(answer: httpx.Response) -> dict[str, Any]:
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome"
    found: dict[str, Any] = outcome["issue"][0]
    return found


async def test_a_created_record_is_read_as_it_was_sent(client: httpx.AsyncClient) -> None:
    made = await make(client, observation(value="5.4000"))
    id_ = made.json()["id"]
    assert made.headers["location"] == f"http://node.test/fhir/Observation/{id_}/_history/1"
    assert made.headers["etag"] == 'W/"1"'
    read = await client.get(f"/Observation/{id_}")
    assert (read.status_code, read.headers["etag"]) == (200, 'W/"1"')
    assert read.headers["content-type"] == "application/fhir+json; charset=utf-8"
    assert read.headers["cache-control"] == "no-store"
    assert read.headers["content-location"] == made.headers["location"]
    assert '"value":5.4000' in read.text
    assert read.json()["meta"]["versionId"] == "1"
    assert read.content == made.content


async def test_head_says_the_same_without_a_body(client: httpx.AsyncClient) -> None:
    id_ = (await make(client)).json()["id"]
    got, head = await client.get(f"/Observation/{id_}"), await client.head(f"/Observation/{id_}")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["etag"] == got.headers["etag"]


async def test_options_names_the_methods_of_an_address(client: httpx.AsyncClient) -> None:
    answer = await client.options("/Observation/1")
    assert answer.status_code == 204
    assert answer.headers["allow"] == "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"
    assert answer.headers["accept-patch"] == "application/json-patch+json, application/fhir+json"


async def test_an_unchanged_record_is_not_sent_again(client: httpx.AsyncClient) -> None:
    made = await make(client)
    url = f"/Observation/{made.json()['id']}"
    by_tag = await client.get(url, headers={"If-None-Match": made.headers["etag"]})
    assert (by_tag.status_code, by_tag.content) == (304, b"")
    by_date = await client.get(url, headers={"If-Modified-Since": made.headers["last-modified"]})
    assert by_date.status_code == 304
    other = await client.get(url, headers={"If-None-Match": 'W/"7"'})
    assert other.status_code == 200


async def test_an_update_makes_a_version_and_a_deletion_leaves_its_history(
    client: httpx.AsyncClient,
) -> None:
    id_ = (await make(client)).json()["id"]
    url = f"/Observation/{id_}"
    updated = await client.put(url, content=observation(id=id_, value="6.10"))
    assert (updated.status_code, updated.headers["etag"]) == (200, 'W/"2"')
    deleted = await client.delete(url)
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert (await client.get(url)).status_code == 410
    assert (await client.delete(url)).status_code == 204
    first = await client.get(f"{url}/_history/1")
    assert '"value":5.40' in first.text
    assert (await client.get(f"{url}/_history/3")).status_code == 410
    assert (await client.get(f"{url}/_history/9")).status_code == 404
    assert (await client.get(f"{url}/_history/latest")).status_code == 404


async def test_a_record_can_be_put_under_an_id_of_the_clients_choosing(
    client: httpx.AsyncClient,
) -> None:
    body = observation(id="lab-2026.7")
    made = await client.put("/Observation/lab-2026.7", content=body)
    assert made.status_code == 201
    assert made.headers["location"].endswith("/Observation/lab-2026.7/_history/1")
    absent = {"If-None-Match": "*"}
    again = await client.put("/Observation/lab-2026.7", content=body, headers=absent)
    assert again.status_code == 412


async def test_an_update_of_an_older_version_is_refused(client: httpx.AsyncClient) -> None:
    id_ = (await make(client)).json()["id"]
    url, body = f"/Observation/{id_}", observation(id=id_, value="7")
    assert (await client.put(url, content=body, headers={"If-Match": 'W/"1"'})).status_code == 200
    late = await client.put(url, content=body, headers={"If-Match": 'W/"1"'})
    assert (late.status_code, issue(late)["code"]) == (412, "conflict")
    broken = await client.put(url, content=body, headers={"If-Match": "yes"})
    assert broken.status_code == 400


async def test_rfc9110_13_1_1_if_match_with_a_star_asks_that_the_record_be_there(
    client: httpx.AsyncClient,
) -> None:
    star = {"If-Match": "*"}
    url, body = "/Observation/lab-7", observation(id="lab-7", value="7")
    where = "/Patient?identifier=urn:oid:2.16.156.10011.1.3%7C580101199003078515"
    for refused in (
        await client.put(url, content=body, headers=star),
        await client.delete(url, headers=star),
        await client.put(where, content=patient("580101199003078515"), headers=star),
        await client.delete(where, headers=star),
    ):
        assert (refused.status_code, issue(refused)["code"]) == (412, "conflict")
    assert (await client.get(url)).status_code == 404
    await client.put(url, content=body)
    changed = observation(id="lab-7", value="8")
    assert (await client.put(url, content=changed, headers=star)).headers["etag"] == 'W/"2"'
    assert (await client.delete(url, headers=star)).status_code == 204
    assert (await client.delete(url, headers=star)).status_code == 412
    assert (await client.put(url, content=changed, headers=star)).status_code == 412


async def test_a_conditional_create_makes_one(client: httpx.AsyncClient) -> None:
    body = patient("580101199003078515")
    header = {"If-None-Exist": "identifier=urn:oid:2.16.156.10011.1.3%7C580101199003078515"}
    made = await client.post("/Patient", content=body, headers=header)
    again = await client.post("/Patient", content=body, headers=header)
    assert (made.status_code, again.status_code) == (201, 200)
    assert made.json()["id"] == again.json()["id"]


async def test_a_conditional_update_and_delete_find_the_one(client: httpx.AsyncClient) -> None:
    where = "/Patient?identifier=urn:oid:2.16.156.10011.1.3%7C580101199003078515"
    body = patient("580101199003078515")
    made = await client.put(where, content=body)
    changed = await client.put(where, content=patient("580101199003078515", active=True))
    assert (made.status_code, changed.status_code) == (201, 200)
    assert changed.headers["etag"] == 'W/"2"'
    assert (await client.delete(where)).status_code == 204
    assert (await client.get(f"/Patient/{made.json()['id']}")).status_code == 410


@pytest.mark.parametrize(
    "query", ["", "?_count=5", "?_sort=_id", "?family=a&_include=Patient:link"]
)
async def test_a_conditional_write_needs_criteria_and_nothing_else(
    client: httpx.AsyncClient, query: str
) -> None:
    assert (await client.delete(f"/Patient{query}")).status_code == 400
    assert (await client.put(f"/Patient{query}", content=patient())).status_code == 400


async def test_an_unknown_criterion_never_widens_a_conditional_write(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.delete("/Patient?identifyer=7&active=true")
    assert answer.status_code == 400
    assert "identifier" in issue(answer)["diagnostics"]


async def test_prefer_chooses_what_comes_back(client: httpx.AsyncClient) -> None:
    async def post(prefer: str) -> httpx.Response:
        headers = {"Prefer": prefer}
        return await client.post("/Observation", content=observation(), headers=headers)

    minimal = await post("return=minimal")
    assert (minimal.status_code, minimal.content) == (201, b"")
    assert "location" in minimal.headers
    assert (await post("return=representation")).json()["resourceType"] == "Observation"
    assert issue(await post("return=OperationOutcome"))["severity"] == "information"


async def test_every_fault_of_a_record_comes_back_with_its_place(client: httpx.AsyncClient) -> None:
    body = {"resourceType": "Observation", "status": "done", "valueInteger": "1"}
    answer = await client.post("/Observation", json=body)
    assert answer.status_code == 422
    places = {found.get("expression", [""])[0] for found in answer.json()["issue"]}
    assert {"Observation.status", "Observation.value"} <= places or len(places) >= 2


async def test_no_refusal_repeats_a_value_of_the_record(client: httpx.AsyncClient) -> None:
    secret = "580101199003078512"
    faulty = {
        "resourceType": "Patient",
        "id": f"{secret} x",
        "gender": secret,
        "active": secret,
        "birthDate": secret,
        "name": [{"use": secret, "period": {"start": secret}}],
        "identifier": [{"use": secret, "value": [secret]}],
        "contact": [{"gender": secret, "organization": {"reference": f"Patient/{secret}"}}],
        "managingOrganization": {"reference": f"Patient/{secret}"},
        "deceasedBoolean": secret,
        "deceasedDateTime": secret,
        "photo": secret,
        "telecom": [secret],
        "text": {"status": secret, "div": secret},
    }
    entry = {"resource": faulty, "request": {"method": "POST", "url": "Patient"}}
    about = json.loads(observation(f"Patient?identifier=urn:x|{secret}"))
    unmet = {"resource": about, "request": {"method": "POST", "url": "Observation"}}
    text = json.dumps(faulty)
    for answer in (
        await client.post("/Patient", content=text),
        await client.post("/Patient", content=text[:-1]),
        await client.post("/Patient", content=text.replace('"active": "', '"active": ')),
        await client.post("/", content=bundle("transaction", entry)),
        await client.post("/", content=bundle("batch", entry, unmet)),
        await client.post("/", content=bundle("transaction", unmet)),
        await client.get("/Patient", params={"birthdate": secret}),
        await client.get("/Patient", params={"birthdate": f"x{secret}", "_sort": secret}),
        await client.put("/Patient", params={"identifier": secret}, content=text),
    ):
        assert answer.status_code in {200, 400, 412, 422}
        assert secret not in answer.text


async def test_a_record_of_another_type_is_refused(client: httpx.AsyncClient) -> None:
    assert (await client.post("/Patient", content=observation())).status_code in {400, 422}
    put = await client.put("/Observation/a", content=observation(id="b"))
    assert put.status_code in {400, 422}


async def test_the_history_of_a_record_goes_on_by_sealed_links(client: httpx.AsyncClient) -> None:
    id_ = (await make(client)).json()["id"]
    for value in ("1", "2", "3"):
        await client.put(f"/Observation/{id_}", content=observation(id=id_, value=value))
    await client.delete(f"/Observation/{id_}")
    seen, url = [], f"/Observation/{id_}/_history?_count=2"
    while url:
        page = (await client.get(url)).json()
        assert page["type"] == "history"
        seen += page["entry"]
        url = {link["relation"]: link["url"] for link in page["link"]}.get("next", "")
    assert [entry["response"]["etag"] for entry in seen] == [f'W/"{n}"' for n in (5, 4, 3, 2, 1)]
    assert [entry["request"]["method"] for entry in seen] == ["DELETE", "PUT", "PUT", "PUT", "POST"]
    assert "resource" not in seen[0]
    assert seen[1]["resource"]["valueQuantity"]["value"] == 3


async def test_a_history_begins_where_it_is_asked_to(client: httpx.AsyncClient) -> None:
    made = await make(client)
    id_, at = made.json()["id"], made.json()["meta"]["lastUpdated"]
    await client.put(f"/Observation/{id_}", content=observation(id=id_, value="1"))
    later = (await client.get("/_history", params={"_since": "2999-01-01"})).json()
    assert "entry" not in later
    since = (await client.get("/Observation/_history", params={"_since": at})).json()
    assert len(since["entry"]) == 2
    for bad in ({"_since": "yesterday"}, {"_count": "-1"}, {"_list": "7"}, {"_at": "ge2026"}):
        assert (await client.get("/_history", params=bad)).status_code == 400


@pytest.fixture
async def versions(client: httpx.AsyncClient) -> tuple[str, list[str]]:
    """A record of four versions, the last a deletion, beside one of one; and when each began."""
    id_ = (await make(client)).json()["id"]
    await make(client, patient())
    for value in ("2", "3"):
        await client.put(f"/Observation/{id_}", content=observation(id=id_, value=value))
    await client.delete(f"/Observation/{id_}")
    entries = (await client.get(f"/Observation/{id_}/_history")).json()["entry"]
    return id_, [entry["response"]["lastModified"] for entry in reversed(entries)]


def moved(instant: str, seconds: float) -> str:
    return (datetime.fromisoformat(instant) + timedelta(seconds=seconds)).isoformat()


async def tags(client: httpx.AsyncClient, url: str, **params: str) -> list[str]:
    answer = await client.get(url, params=params)
    assert answer.status_code == 200, answer.text
    return [entry["response"]["etag"][3:-1] for entry in answer.json().get("entry", [])]


async def test_r4_http_history_at_an_instant_shows_the_version_that_was_current(
    client: httpx.AsyncClient, versions: tuple[str, list[str]]
) -> None:
    id_, began = versions
    url = f"/Observation/{id_}/_history"
    assert await tags(client, url, _at=moved(began[0], -60)) == []
    for number, instant in enumerate(began, 1):
        assert await tags(client, url, _at=moved(instant, 0.5)) == [str(number)]
    assert await tags(client, url, _at="2999-01-01") == ["4"]


async def test_r4_http_history_at_a_period_shows_every_version_current_in_it(
    client: httpx.AsyncClient, versions: tuple[str, list[str]]
) -> None:
    id_, began = versions
    url = f"/Observation/{id_}/_history"
    assert await tags(client, url, _at=began[0][:10]) == ["4", "3", "2", "1"]
    # The second in which the third began: the second version was current until then.
    assert began[2][19:23] == ".000"
    assert await tags(client, url, _at=began[2][:19] + "+08:00") == ["3"]
    assert await tags(client, url, _at=moved(began[2], 0.999)[:23] + "+08:00") == ["3"]
    assert await tags(client, url, _at=began[0][:10], _since=began[2]) == ["4", "3"]


async def test_r4_http_history_at_goes_on_by_links_and_for_types_and_all(
    client: httpx.AsyncClient, versions: tuple[str, list[str]]
) -> None:
    _, began = versions
    late = moved(began[2], 0.5)
    assert await tags(client, "/_history", _at=late) == ["3", "1"]
    assert await tags(client, "/Observation/_history", _at=late) == ["3"]
    page = (await client.get("/_history", params={"_at": late, "_count": "1"})).json()
    links = {link["relation"]: link["url"] for link in page["link"]}
    [entry] = (await client.get(links["next"])).json()["entry"]
    assert entry["resource"]["resourceType"] == "Patient"
