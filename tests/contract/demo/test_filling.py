"""A province goes through the real door into a real database, once, whatever is interrupted."""

from __future__ import annotations

import asyncio
import collections
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import httpx
import orjson
import pytest
from stores import open_context, open_guard

from quanmin.api import build
from quanmin.base.problems import Overloaded
from quanmin.demo.post import Pace, Poster
from quanmin.demo.province import Province
from quanmin.demo.registrations import Truth
from quanmin.demo.sheet import DemoBundle
from quanmin.trust import Actor, Actors, Guard

ADDRESS = "http://127.0.0.1:1"
PROVINCE = Province(seed=5, people=12)
OPERATOR = Actor("operator", "operator", "Operator", "node")
QUICK = Pace(wait_seconds_first=0.001, wait_seconds_max=0.01, silence_seconds_max=0.05)


class Door:
    """The node in this process, and a token for each sender."""

    def __init__(self, application: Any, tokens: dict[str, str], guard: Guard) -> None:
        self.tokens = tokens
        self.guard = guard
        self.transport = httpx.ASGITransport(application)

    def poster(
        self, transport: httpx.AsyncBaseTransport | None = None, province: Province = PROVINCE
    ) -> Poster:
        return Poster(
            ADDRESS, self.tokens, province, pace=QUICK, transport=transport or self.transport
        )

    async def ask(self, path: str, sender: str = "operator") -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.tokens[sender]}"}
        async with httpx.AsyncClient(transport=self.transport, base_url=ADDRESS) as client:
            answer = await client.get(path, headers=headers)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = orjson.loads(answer.content)
        return found

    async def counts(self) -> dict[str, int]:
        """How many records of the common types the node holds."""
        counts = {}
        for type_ in sorted(set(sent_types(PROVINCE))):
            bundle = await self.ask(f"/fhir/{type_}?_summary=count")
            counts[type_] = bundle["total"]
        return counts


@pytest.fixture
async def door(pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path) -> Door:
    actors = Actors(pool)
    guard = open_guard(pool, open_context(tmp_path))
    tokens = {"operator": await actors.enrol(OPERATOR)}
    for sender in PROVINCE.senders():
        actor = Actor(sender.code, "institution", sender.name, sender.code)
        tokens[sender.code] = await actors.enrol(actor)
    zone = ZoneInfo("Asia/Shanghai")
    return Door(build(guard, actors, link_key=bytes(32), zone=zone), tokens, guard)


def bundles_of(province: Province) -> Iterator[DemoBundle]:
    yield from province.institutions()
    for bundles in province.bundles():
        yield from bundles


def sent_types(province: Province) -> collections.Counter[str]:
    """How many records of each type the province describes: one for each business identifier."""
    seen: set[tuple[str, str]] = set()
    counts: collections.Counter[str] = collections.Counter()
    for bundle in bundles_of(province):
        for entry in orjson.loads(bundle.body)["entry"]:
            resource = entry["resource"]
            key = resource["resourceType"], str(resource.get("identifier"))
            if key[1] == "None" or key not in seen:
                counts[key[0]] += 1
            seen.add(key)
    return counts


async def test_everything_sent_is_stored_once_and_a_second_run_stores_nothing(door: Door) -> None:
    first = await door.poster().post()
    assert first.found == 0
    assert await door.counts() == dict(sent_types(PROVINCE))
    second = await door.poster().post()
    assert second.bundles == 0
    assert await door.counts() == dict(sent_types(PROVINCE))


class Cut(httpx.AsyncBaseTransport):
    """A line that is cut after the node has done the work, every third time; and then for good."""

    def __init__(self, inner: httpx.AsyncBaseTransport, *, dies_after: int | None = None) -> None:
        self._inner = inner
        self._dies_after = dies_after
        self._count = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            self._count += 1
            if self._dies_after is not None and self._count > self._dies_after:
                raise httpx.ConnectError("killed")
        answer = await self._inner.handle_async_request(request)
        if request.method == "POST" and self._count % 3 == 0:
            raise httpx.ReadError("the answer was lost")
        return answer


async def test_lost_answers_and_a_kill_in_the_middle_double_nothing(door: Door) -> None:
    with pytest.raises(Overloaded):
        await door.poster(Cut(door.transport, dies_after=11)).post()
    second = await door.poster(Cut(door.transport)).post()
    assert second.found > 0
    assert await door.counts() == dict(sent_types(PROVINCE))


async def test_two_runs_at_once_make_one_province(door: Door) -> None:
    async with asyncio.TaskGroup() as group:
        runs = [group.create_task(door.poster().post()) for _ in range(2)]
    assert sum(run.result().bundles for run in runs) == len(list(bundles_of(PROVINCE)))
    assert await door.counts() == dict(sent_types(PROVINCE))


async def test_faithful_registrations_are_one_person_and_the_others_are_not_linked(
    door: Door,
) -> None:
    await door.poster().post()
    of_person: dict[str, list[Truth]] = {}
    for line in PROVINCE.truth():
        of_person.setdefault(line.person, []).append(line)
    person = max(of_person.values(), key=len)
    records = door.guard.records(OPERATOR, purpose="TREAT", request_id="test")
    line = next(line for line in person if not line.differs)
    found = await door.ask(f"/fhir/Patient?identifier={line.system}|{line.number}")
    timeline = await records.timeline(found["entry"][0]["resource"]["id"], count=1000)
    numbers = {
        (identifier["system"], identifier["value"])
        for patient in timeline.patients
        for identifier in orjson.loads(patient.body or b"")["identifier"]
    }
    linked = {line for line in person if (line.system, line.number) in numbers}
    assert {line for line in person if line.differs in {"", "changed_phone"}} <= linked
    assert not {line for line in linked if line.differs == "missing_identity"}
    assert len(linked) > 1


async def test_references_lead_to_the_institution_and_its_doctor(door: Door) -> None:
    await door.poster().post()
    page = await door.ask("/fhir/Encounter?_count=5")
    for entry in page["entry"]:
        encounter = entry["resource"]
        doctor = encounter["participant"][0]["individual"]
        practitioner = await door.ask(f"/fhir/{doctor['reference']}")
        organization = await door.ask(f"/fhir/{encounter['serviceProvider']['reference']}")
        assert practitioner["name"][0]["text"] == doctor["display"]
        assert organization["name"] == encounter["serviceProvider"]["display"]


async def test_a_hospital_sees_what_it_sent_and_no_more(door: Door) -> None:
    await door.poster().post()
    sent = [bundle for bundle in bundles_of(PROVINCE) if bundle.sender == "demo-hospital-1"]
    patients = sum(
        entry["resource"]["resourceType"] == "Patient"
        for bundle in sent
        for entry in orjson.loads(bundle.body)["entry"]
    )
    assert patients > 0
    own = await door.ask("/fhir/Patient?_summary=count", "demo-hospital-1")
    assert own["total"] == patients
    assert own["total"] < (await door.counts())["Patient"]
