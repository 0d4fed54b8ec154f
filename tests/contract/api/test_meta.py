"""`$meta`, `$meta-add` and `$meta-delete` by FHIR R4 resource-operation-meta and its siblings."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from stores import observation

from quanmin.api import DoorLimits
from quanmin.records import feed

TAG = {"system": "urn:tags", "code": "a"}
OTHER = {"system": "urn:tags", "code": "b", "display": "B"}
LABEL = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
PROFILE = "http://example.org/StructureDefinition/one"


def asking(**meta: Any) -> bytes:
    parameter = {"name": "meta", "valueMeta": meta}
    return json.dumps({"resourceType": "Parameters", "parameter": [parameter]}).encode()


def returned(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    body = answer.json()
    (parameter,) = body["parameter"]
    assert (body["resourceType"], parameter["name"]) == ("Parameters", "return")
    meta: dict[str, Any] = parameter["valueMeta"]
    return meta


async def make(client: httpx.AsyncClient, **more: Any) -> str:
    answer = await client.post("/Observation", content=observation(value="5.4000", **more))
    assert answer.status_code == 201, answer.text
    return f"/Observation/{answer.json()['id']}"


async def test_the_meta_of_a_record_is_as_it_stands_there(client: httpx.AsyncClient) -> None:
    url = await make(client, meta={"tag": [TAG], "profile": [PROFILE]})
    read = await client.get(url)
    for answer in (await client.get(f"{url}/$meta"), await client.post(f"{url}/$meta")):
        assert returned(answer) == read.json()["meta"]
        assert answer.headers["etag"] == 'W/"1"'


async def test_meta_add_keeps_the_version_and_every_digit_and_is_found(
    client: httpx.AsyncClient,
) -> None:
    url = await make(client, meta={"tag": [TAG]})
    before = await client.get(url)
    sent = asking(tag=[TAG, OTHER], security=[LABEL], profile=[PROFILE], versionId="9")
    answer = await client.post(f"{url}/$meta-add", content=sent)
    after = await client.get(url)
    assert returned(answer) == after.json()["meta"]
    assert after.json()["meta"] == before.json()["meta"] | {
        "tag": [TAG, OTHER],
        "security": [LABEL],
        "profile": [PROFILE],
    }
    for name in ("etag", "last-modified"):
        assert after.headers[name] == before.headers[name]
    assert '"value":5.4000' in after.text
    assert len((await client.get(f"{url}/_history")).json()["entry"]) == 1
    for query in ("_tag=urn:tags|b", f"_profile={PROFILE}", "_security=R"):
        assert len((await client.get(f"/Observation?{query}")).json()["entry"]) == 1
    again = await client.post(f"{url}/$meta-add", content=sent)
    assert returned(again) == after.json()["meta"]


async def test_meta_delete_takes_away_and_does_not_miss(client: httpx.AsyncClient) -> None:
    url = await make(client, meta={"tag": [TAG, OTHER], "security": [LABEL]})
    sent = asking(tag=[{"system": "urn:tags", "code": "b"}, TAG, {"code": "a"}])
    meta = returned(await client.post(f"{url}/$meta-delete", content=sent))
    assert (meta.get("tag"), meta["security"], meta["versionId"]) == (None, [LABEL], "1")
    assert "entry" not in (await client.get("/Observation?_tag=urn:tags|a")).json()
    assert returned(await client.post(f"{url}/$meta-delete", content=sent)) == meta
    await client.put(url, content=observation(id=url.rpartition("/")[2], value="6"))
    first = (await client.get(f"{url}/_history/1")).json()["meta"]
    assert (first.get("tag"), first["security"]) == (None, [LABEL])


async def test_the_change_feed_tells_of_the_version_again(house: Any) -> None:
    client = house.client()
    url = await make(client)
    async with house.pool.acquire() as connection, connection.transaction():
        await feed.enrol(connection, "index", from_start=True)
        (first,) = await feed.take(connection, "index", 10)
    await client.post(f"{url}/$meta-add", content=asking(tag=[TAG]))
    async with house.pool.acquire() as connection, connection.transaction():
        (again,) = await feed.take(connection, "index", 10)
    assert (again.rid, again.version) == (first.rid, first.version)
    assert again.seq > first.seq


async def test_meta_of_a_type_and_of_all_is_each_once_of_what_is_seen(house: Any) -> None:
    ours, theirs = house.client("hospital-a"), house.client("hospital-b")
    await make(ours, meta={"tag": [TAG], "profile": [PROFILE]})
    await make(ours, meta={"tag": [TAG, OTHER]})
    await make(theirs, meta={"security": [LABEL]})
    mine = {"profile": [PROFILE], "tag": [OTHER, TAG]}

    def in_order(meta: dict[str, Any]) -> dict[str, Any]:
        tags = sorted(meta.get("tag", ()), key=lambda tag: tag["code"], reverse=True)
        return meta | ({"tag": tags} if tags else {})

    for url in ("/$meta", "/Observation/$meta"):
        assert in_order(returned(await ours.get(url))) == mine
        assert returned(await theirs.post(url)) == {"security": [LABEL]}
        everything = in_order(returned(await house.client("center").get(url)))
        assert everything == {"profile": [PROFILE], "security": [LABEL], "tag": mine["tag"]}
    assert returned(await ours.get("/Patient/$meta")) == {}
    few = house.client("hospital-a", DoorLimits(meta_rows_max=1))
    assert (await few.get("/Observation/$meta")).status_code == 400


async def test_meta_is_changed_by_its_own_sender_only_and_logged(house: Any) -> None:
    ours, theirs = house.client("hospital-a"), house.client("hospital-b")
    url = await make(ours)
    sent = asking(tag=[TAG])
    hidden = await theirs.post(f"{url}/$meta-add", content=sent)
    assert hidden.status_code == 404
    old = await ours.post(f"{url}/$meta-add", content=sent, headers={"If-Match": 'W/"2"'})
    assert old.status_code == 412
    assert "tag" not in (await ours.get(url)).json()["meta"]
    await ours.post(f"{url}/$meta-add", content=sent)
    await ours.post(f"{url}/$meta-delete", content=sent)
    rows = await house.pool.fetch(
        "select action, outcome from trust.access where action like 'meta-%' order by at"
    )
    assert [tuple(row) for row in rows] == [
        ("meta-add", "forbidden"),
        ("meta-add", "conflict"),
        ("meta-add", "ok"),
        ("meta-delete", "ok"),
    ]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{}", 400),
        (b"[]", 400),
        (b'{"resourceType":"Parameters"}', 400),
        (asking(), 400),
        (asking(tag=TAG), 400),
        (asking(tag=["a"]), 400),
        (asking(profile=[1]), 400),
        (asking(tag=[{"colour": "red"}]), 400),
        (asking(tag=[{"system": 7}]), 400),
    ],
)
async def test_what_is_no_meta_is_refused_and_changes_nothing(
    client: httpx.AsyncClient, body: bytes, status: int
) -> None:
    url = await make(client)
    before = (await client.get(url)).content
    answer = await client.post(f"{url}/$meta-add", content=body)
    assert answer.status_code == status, answer.text
    assert (await client.get(url)).content == before


async def test_meta_is_not_changed_by_get_nor_in_older_versions(client: httpx.AsyncClient) -> None:
    url = await make(client)
    assert (await client.get(f"{url}/$meta-add")).status_code == 405
    older = await client.post(f"{url}/_history/1/$meta-add", content=asking(tag=[TAG]))
    assert (older.status_code, "[type]/[id]/$meta-add" in older.text) == (404, True)
