"""Every way to be refused: a 4xx or an honest 503, an OperationOutcome, and no secret in it."""

from __future__ import annotations

import asyncio
import gzip
import logging
from typing import Any

import httpx
import pytest
from stores import observation

from quanmin.api import DoorLimits
from quanmin.base.database import UNAVAILABLE
from quanmin.base.logs import JsonLines
from quanmin.base.problems import NotFound
from quanmin.trust import Actor

from .conftest import House


def check(answer: httpx.Response, status: int, code: str) -> str:
    assert answer.status_code == status, answer.text
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome"
    assert outcome["issue"][0]["code"] == code, outcome
    text: str = outcome["issue"][0]["diagnostics"]
    return text


async def test_without_a_valid_token_nobody_comes_in(house: House) -> None:
    stranger = house.client(None)
    answer = await stranger.get("/Patient/1")
    check(answer, 401, "login")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    bad = {"Authorization": "Bearer nonsense"}
    check(await stranger.post("/", content=b"{}", headers=bad), 401, "login")


async def test_a_retired_actor_is_out_within_seconds(house: House) -> None:
    client = house.client("hospital-a", DoorLimits(actor_seconds_max=0.05))
    assert (await client.get("/Patient")).status_code == 200
    await house.actors.retire("hospital-a")
    await asyncio.sleep(0.06)
    check(await client.get("/Patient"), 401, "login")


async def test_guessing_tokens_is_slowed_down(house: House) -> None:
    limits = DoorLimits(stranger_burst_requests=3, stranger_requests_per_second=0.001)
    stranger = house.client(None, limits)
    statuses = [(await stranger.get("/Patient/1")).status_code for _ in range(5)]
    assert statuses == [401, 401, 401, 429, 429]


async def test_unknown_addresses_types_methods_and_operations_say_what_there_is(
    client: httpx.AsyncClient,
) -> None:
    check(await client.get("/Patiant/1"), 404, "not-found")
    check(await client.get("/Patient/1/2/3/4"), 404, "not-found")
    check(await client.get("/Patient/$match"), 404, "not-found")
    check(await client.get("/Patient/no such"), 400, "structure")
    check(await client.get("/Patient/1"), 404, "not-found")
    answer = await client.post("/Patient/1", content=b"{}")
    check(answer, 405, "not-supported")
    assert answer.headers["allow"] == "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"3",
        b'"text"',
        b'{"resourceType":"Observation"',
        b'{"resourceType":"Observation",}',
        b"\xff\xfe{}",
        b'{"resourceType":"Observation","status":"\xc3\x28"}',
        b'{"resourceType":"Observation","status":"\x00"}',
        b"[" * 10_000,
        b"[" * 10_000 + b"]" * 10_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b'{"resourceType":"Observation","extension":' + b'[{"extension":' * 10_000,
        b"\xef\xbb\xbf{}",
    ],
)
async def test_what_is_no_record_is_refused(client: httpx.AsyncClient, body: bytes) -> None:
    for answer in (
        await client.post("/Observation", content=body),
        await client.put("/Observation/a", content=body),
        await client.put("/Observation?status=final", content=body),
        await client.post("/", content=body),
    ):
        assert answer.status_code in {400, 422}, answer.text
        assert answer.json()["resourceType"] == "OperationOutcome"


async def test_other_media_types_are_refused(client: httpx.AsyncClient) -> None:
    for kind in ("application/fhir+xml", "text/plain", "application/fhir+json; charset=gbk"):
        headers = {"Content-Type": kind}
        answer = await client.post("/Observation", content=observation(), headers=headers)
        check(answer, 415, "not-supported")
    xml = {"Accept": "application/fhir+xml"}
    text = check(await client.get("/Observation", headers=xml), 406, "not-supported")
    assert "application/fhir+json" in text
    check(await client.get("/Observation?_format=xml"), 406, "not-supported")
    refused = await client.post("/Observation", content=observation(), headers=xml)
    assert refused.status_code == 406
    assert "entry" not in (await client.get("/Observation")).json()


async def test_bodies_over_the_limit_are_refused(house: House) -> None:
    limits = DoorLimits(resource_bytes_max=1000, bundle_bytes_max=2000, form_bytes_max=100)
    client = house.client(limits=limits)
    check(await client.post("/Observation", content=b"x" * 1001), 413, "too-long")
    check(await client.post("/", content=b"x" * 2001), 413, "too-long")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    long = await client.post("/Observation/_search", content=b"x" * 101, headers=form)
    check(long, 413, "too-long")
    packed = {"Content-Encoding": "gzip"}
    bomb = gzip.compress(b" " * 10_000_000)
    check(await client.post("/Observation", content=bomb, headers=packed), 413, "too-long")
    check(await client.get(f"/Observation?_id={'x' * 20_000}"), 413, "too-long")
    assert (await client.get("/Observation?_summary=count")).json()["total"] == 0


async def test_packed_bodies_come_in_and_go_out(client: httpx.AsyncClient) -> None:
    headers = {"Content-Encoding": "gzip"}
    body = observation(note=[{"text": "长" * 2000}])
    made = await client.post("/Observation", content=gzip.compress(body), headers=headers)
    assert made.status_code == 201
    assert made.headers["content-encoding"] == "gzip"
    plain = await client.get(
        f"/Observation/{made.json()['id']}", headers={"Accept-Encoding": "identity"}
    )
    assert "content-encoding" not in plain.headers
    assert plain.json() == made.json()
    broken = await client.post("/Observation", content=b"no gzip", headers=headers)
    check(broken, 400, "structure")


@pytest.mark.parametrize(
    "raw", [b"/fhir/Patient?name=%", b"/fhir/Patient?name=%ff", b"/fhir/Patient/%00", b"/fhir/%zz"]
)
async def test_broken_encodings_in_addresses_are_refused(house: House, raw: bytes) -> None:
    client = house.client()
    url = httpx.URL("http://node.test").copy_with(raw_path=raw)
    answer = await client.get(url)
    check(answer, 400, "structure")
    assert raw not in answer.content  # what was sent is not repeated


async def test_a_client_over_its_quota_is_told_when_to_come_back(house: House) -> None:
    client = house.client(
        limits=DoorLimits(client_requests_per_second=0.01, client_burst_requests=2)
    )
    answers = [await client.get("/Patient/none") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [404, 404, 429]
    check(answers[2], 429, "throttled")
    assert 1 < int(answers[2].headers["retry-after"]) <= 100


class Unbounded:
    """A guard that counts nothing."""

    async def spend(self, _: Actor, **__: int) -> None:
        return


class Held(Unbounded):
    """A guard behind which every read waits until it is let go."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    def records(self, _: Actor, **__: str) -> Any:
        return self

    async def read(self, *_: str) -> Any:
        await self.go.wait()
        raise NotFound("no such record")


async def test_when_too_much_goes_on_nothing_more_is_begun(house: House) -> None:
    held = Held()
    house.guard = held  # type: ignore[assignment] # stands for a store that is busy
    client = house.client(limits=DoorLimits(running_max=1, waiting_max=1, waiting_seconds_max=60))
    asked = [asyncio.create_task(client.get("/Patient/none")) for _ in range(6)]
    refused: list[httpx.Response] = []
    for answered in asyncio.as_completed(asked):
        refused.append(await answered)
        if len(refused) == 4:
            break
    for answer in refused:
        check(answer, 503, "transient")
        assert answer.headers["retry-after"] == "1"
    held.go.set()
    answers = await asyncio.gather(*asked)
    assert sorted(answer.status_code for answer in answers) == [404, 404, 503, 503, 503, 503]


async def test_a_request_that_takes_too_long_is_given_up(house: House) -> None:
    client = house.client(limits=DoorLimits(request_seconds_max=0.000001))
    answer = await client.get("/Patient/none")
    check(answer, 503, "transient")
    assert "retry-after" in answer.headers


async def test_an_unknown_purpose_is_refused(client: httpx.AsyncClient) -> None:
    headers = {"X-Purpose-Of-Use": "CURIOSITY"}
    assert "TREAT" in check(await client.get("/Patient", headers=headers), 400, "structure")


async def test_the_purpose_and_the_correlation_id_reach_the_access_log(house: House) -> None:
    client = house.client("hospital-a")
    headers = {"X-Purpose-Of-Use": "PUBHLTH", "X-Request-Id": "r-2026.7"}
    answer = await client.get("/Patient", headers=headers)
    assert answer.headers["x-request-id"] == "r-2026.7"
    row = await house.pool.fetchrow(
        "select actor, purpose, action from trust.access where request = 'r-2026.7'"
    )
    assert row is not None
    assert tuple(row) == ("hospital-a", "PUBHLTH", "search")


class Unlucky(Unbounded):
    """Fails in a way nobody thought of, naming a person in the text."""

    def records(self, actor: Actor, **_: str) -> Any:
        raise RuntimeError(f"{actor.name} asked about 欧阳明月")


async def test_a_defect_is_answered_with_a_number_and_logged_without_a_person(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.guard = Unlucky()  # type: ignore[assignment] # stands for any defect below the door
    with caplog.at_level(logging.INFO, "quanmin.api"):
        answer = await house.client().get("/Patient/secret-id?name=%E6%AC%A7")
    text = check(answer, 500, "exception")
    assert answer.headers["x-request-id"] in text
    assert "欧阳" not in answer.text
    lines = [JsonLines().format(record) for record in caplog.records]
    assert any("RuntimeError" in line for line in lines)
    assert not any("欧阳" in line or "secret-id" in line or "%E6" in line for line in lines)


async def test_each_request_leaves_one_line_without_ids_or_terms(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "quanmin.api"):
        await client.get("/Patient/some-id")
    (line,) = [JsonLines().format(r) for r in caplog.records if r.name == "quanmin.api"]
    assert '"route":"[type]/[id]"' in line
    assert '"status":404' in line
    assert '"actor":"center"' in line
    assert "some-id" not in line


class Unreachable(Unbounded):
    """A store whose database is away."""

    def records(self, _: Actor, **__: str) -> Any:
        raise ConnectionRefusedError


async def test_nothing_is_answered_when_the_access_log_has_no_room(house: House) -> None:
    client = house.client(unavailable=UNAVAILABLE)
    made = await client.put("/Patient/1", json={"resourceType": "Patient", "id": "1"})
    assert made.status_code == 201
    await house.pool.execute(
        "create function full_disk() returns trigger language plpgsql as"
        " $$ begin raise exception 'no space left' using errcode = '53100'; end $$;"
        "create trigger full_disk before insert on trust.access execute function full_disk()"
    )
    for path in ("/Patient/1", "/Patient", "/Patient/none", "/Patient/1/_history"):
        answer = await client.get(path)
        check(answer, 503, "transient")
        assert "retry-after" in answer.headers


async def test_a_lost_database_is_a_503(house: House) -> None:
    house.guard = Unreachable()  # type: ignore[assignment] # stands for a database that is away
    answer = await house.client().get("/Patient/1")
    check(answer, 503, "transient")
    assert answer.headers["retry-after"] == "1"
