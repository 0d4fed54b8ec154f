"""Requests that are answered later, by FHIR R4 async.html and the Bulk Data export's status
requests: begun, asked about, ended, and told of truthfully whatever is killed.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx
import job_process
import msgspec
import pytest
from workers import at_work

from quanmin.api import DoorLimits
from quanmin.api.call import Call
from quanmin.api.interactions import INTERACTIONS
from quanmin.api.later import Answer, Later, begin
from quanmin.api.routing import Routes
from quanmin.base.database import Connection
from quanmin.base.jobs import Continue, Done, Job, JobLimits, Kind, Worker, find
from quanmin.base.problems import Forbidden, NotFound
from quanmin.trust import Actor, Errand, Mandate, carry_on

from .conftest import ACTORS, House

CENTER, HOSPITAL_A, _ = ACTORS
LIMITS = JobLimits(lease_seconds=1.0, turn_seconds=0.2, poll_seconds=0.05, backoff_seconds=0.05)
SECRET = "http://node.test/fhir/$count?name=the-name-of-a-person"


async def answered(call: Call, errand: Errand) -> Answer:
    body = {"asked": errand.mandate.asked, "result": errand.job.result, "by": call.actor}
    return Answer(json.dumps(body).encode(), expires=1_790_000_000_000_000)


class Discarding:
    """Remembers which jobs were thrown away."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.later = Later(kind="count", answer=answered, discard=self)

    async def __call__(self, _: Call, errand: Errand) -> None:
        self.numbers.append(errand.job.number)


COUNT = Later(kind="count", answer=answered)


def working(house: House, step: Any, **limits: Any) -> AbstractAsyncContextManager[Worker]:
    """A worker of jobs of the kind `count` in this process."""
    changed = msgspec.structs.replace(LIMITS, **limits)
    return at_work(Worker(house.pool, [Kind("count", step)], changed))


async def begun(house: House, actor: Actor = CENTER, asked: Any = 3, *, kind: str = "count") -> str:
    """A job that this actor's request began; the path of its status address."""
    records = house.guard.records(actor, purpose="PUBHLTH", request_id="r1")
    number = await records.errands.begin(kind, Mandate(SECRET, asked), open_max=10)
    return f"/_job/{number}"


async def until(
    client: httpx.AsyncClient, path: str, holds: Callable[[httpx.Response], bool]
) -> httpx.Response:
    async with asyncio.timeout(30):
        while True:
            answer = await client.get(path)
            if holds(answer):
                return answer
            await asyncio.sleep(0.05)


def client_of(house: House, code: str = "center", later: Later = COUNT) -> httpx.AsyncClient:
    limits = DoorLimits(polls_per_second=1000, polls_burst=1000)
    return house.client(code, limits, later=(later,))


def outcome_of(answer: httpx.Response) -> str:
    body = answer.json()
    assert body["resourceType"] == "OperationOutcome", body
    return str(body["issue"][0]["diagnostics"])


async def test_async_a_job_in_progress_answers_202_with_its_progress_and_when_to_ask(
    house: House,
) -> None:
    path, may_end = await begun(house), asyncio.Event()

    async def step(_: Connection, job: Job) -> Continue | Done:
        if job.position is None:
            return Continue("on", 1200, 5000, "Observation")
        await may_end.wait()
        return Done(result=7)

    client = client_of(house)
    waiting = await client.get(path)
    assert (waiting.status_code, waiting.headers["x-progress"]) == (202, "waiting")
    assert (int(waiting.headers["retry-after"]), waiting.content) == (1, b"")
    async with working(house, step):
        running = await until(client, path, lambda answer: "Obs" in answer.headers["x-progress"])
        assert running.headers["x-progress"] == "running, 1,200 of 5,000 done, Observation"
        may_end.set()
        done = await until(client, path, lambda answer: answer.status_code == 200)
    assert done.json() == {"asked": 3, "result": 7, "by": "center"}
    assert done.headers["content-type"].startswith("application/json")
    assert done.headers["expires"] == "Mon, 21 Sep 2026 14:13:20 GMT"


async def test_async_a_job_that_fails_answers_with_an_error_and_what_went_wrong(
    house: House,
) -> None:
    path = await begun(house)

    async def step(_: Connection, __: Job) -> Done:
        raise Forbidden("the consent to this was withdrawn")

    client = client_of(house)
    async with working(house, step):
        answer = await until(client, path, lambda answer: answer.status_code != 202)
    assert (answer.status_code, outcome_of(answer)) == (403, "the consent to this was withdrawn")


async def test_async_a_failure_is_never_read_as_a_missing_job_nor_a_defect_as_a_refusal(
    house: House,
) -> None:
    missing, broken = await begun(house, asked="missing"), await begun(house, asked="broken")

    async def step(__: Connection, job: Job) -> Done:
        _, mandate = await carry_on(house.guard, house.actors, job)
        if mandate.asked == "missing":
            raise NotFound("there is no Group with this id")
        raise ValueError("the-name-of-a-person")

    client = client_of(house)
    async with working(house, step, attempts_max=1):
        answers = [
            await until(client, path, lambda answer: answer.status_code != 202)
            for path in (missing, broken)
        ]
    assert [answer.status_code for answer in answers] == [422, 500]
    assert "the-name-of-a-person" not in answers[1].text


@pytest.mark.parametrize("state", ["waiting", "done"])
async def test_async_delete_answers_202_and_afterwards_the_job_is_not_found(
    house: House, state: str
) -> None:
    path, discarding = await begun(house), Discarding()

    async def step(_: Connection, __: Job) -> Done:
        return Done()

    client = client_of(house, later=discarding.later)
    if state == "done":
        async with working(house, step):
            await until(client, path, lambda answer: answer.status_code == 200)
    ended = await client.delete(path)
    assert ended.status_code == 202
    assert outcome_of(ended)
    assert discarding.numbers == [int(path.rpartition("/")[2])]
    for answer in (await client.get(path), await client.delete(path)):
        assert (answer.status_code, bool(outcome_of(answer))) == (404, True)
    assert len(discarding.numbers) == 1


async def test_async_delete_stops_a_running_job_before_its_next_step(house: House) -> None:
    path, steps = await begun(house), 0

    async def step(_: Connection, __: Job) -> Continue:
        nonlocal steps
        steps += 1
        return Continue(steps, steps)

    client = client_of(house)
    async with working(house, step):
        await until(client, path, lambda answer: answer.headers["x-progress"] != "waiting")
        assert (await client.delete(path)).status_code == 202
        async with asyncio.timeout(30):
            number = int(path.rpartition("/")[2])
            while (await find(house.pool, number)).state != "cancelled":  # noqa: ASYNC110 - a row
                await asyncio.sleep(0.02)
    assert (await client.get(path)).status_code == 404


async def test_async_only_who_began_a_job_and_operators_may_look(house: House) -> None:
    path = await begun(house, HOSPITAL_A)
    other = client_of(house, "hospital-b")
    for refused in (await other.get(path), await other.delete(path)):
        nowhere = await other.get("/_job/999999")
        assert (refused.status_code, refused.json()) == (404, nowhere.json())
    for code in ("hospital-a", "center"):
        assert (await client_of(house, code).get(path)).status_code == 202


async def test_a_job_that_no_request_began_is_nobodys_to_ask_about(house: House) -> None:
    number = await house.pool.fetchval(
        "insert into jobs.job (kind, owner, payload) values ('count', 'center', '3') returning job"
    )
    client = client_of(house)
    for number_text in (number, 0, "x", "1" * 40):
        assert (await client.get(f"/_job/{number_text}")).status_code == 404


async def test_bulk_data_a_client_that_asks_too_often_gets_429(house: House) -> None:
    path = await begun(house)
    client = house.client(limits=DoorLimits(polls_per_second=0.5, polls_burst=2), later=(COUNT,))
    answers = [await client.get(path) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [202, 202, 429]
    assert int(answers[2].headers["retry-after"]) >= 1
    assert "2" in answers[0].headers["retry-after"]
    assert "job" in outcome_of(answers[2])


async def test_what_was_asked_is_sealed_and_opens_for_the_step(house: House) -> None:
    path = await begun(house, HOSPITAL_A, {"name": "the-name-of-a-person"})
    kept = await house.pool.fetchval("select payload::text from jobs.job")
    assert "person" not in kept
    seen: list[Any] = []

    async def step(_: Connection, job: Job) -> Done:
        records, mandate = await carry_on(house.guard, house.actors, job)
        seen.append((records.actor, records.purpose, records.request_id, mandate))
        return Done()

    async with working(house, step):
        client = client_of(house)
        await until(client, path, lambda answer: answer.status_code == 200)
    mandate = Mandate(SECRET, {"name": "the-name-of-a-person"})
    assert seen == [(HOSPITAL_A, "PUBHLTH", "r1", mandate)]


async def test_a_withdrawn_token_stops_the_job_at_its_next_step(house: House) -> None:
    path = await begun(house, HOSPITAL_A)
    await house.actors.retire("hospital-a")

    async def step(_: Connection, job: Job) -> Done:
        await carry_on(house.guard, house.actors, job)
        return Done()

    client = client_of(house)
    async with working(house, step):
        answer = await until(client, path, lambda answer: answer.status_code != 202)
    assert (answer.status_code, "not known" in outcome_of(answer)) == (403, True)


async def test_beginning_and_ending_are_in_the_access_log(house: House) -> None:
    path = await begun(house)
    await client_of(house).delete(path)
    rows = await house.pool.fetch("select actor, purpose, action, outcome from trust.access")
    assert [tuple(row) for row in rows] == [
        ("center", "PUBHLTH", "count", "begun"),
        ("center", "TREAT", "count", "ended"),
    ]


# ---- beginning -------------------------------------------------------------------------------


def kicking_off(monkeypatch: pytest.MonkeyPatch, perform: Callable[[Call], Awaitable[Any]]) -> None:
    """Let `$meta` of all records begin a job, since every real operation has terms of its own."""
    changed = [
        one
        if one.shape != "$meta"
        else type(one)(
            **{name: getattr(one, name) for name in one.__struct_fields__} | {"perform": perform}
        )
        for one in INTERACTIONS
    ]
    monkeypatch.setattr(
        "quanmin.api.opening.Routes", lambda _, types: Routes(changed, types), raising=True
    )


async def perform(call: Call) -> Any:
    return await begin(call, "count", dict(call.pairs))


async def test_async_the_beginning_answers_202_and_says_where_to_ask(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    kicking_off(monkeypatch, perform)
    client = client_of(house)
    answer = await client.get("/$meta?a=1", headers={"Prefer": "respond-async"})
    assert answer.status_code == 202
    assert outcome_of(answer)
    where = answer.headers["content-location"]
    assert where.startswith("http://node.test/fhir/_job/")
    assert (await client.get(where)).status_code == 202
    job = await find(house.pool, int(where.rpartition("/")[2]))
    records = house.guard.records(CENTER, purpose="TREAT", request_id="")
    errand = await records.errands.find(job.number)
    assert errand.mandate == Mandate("http://node.test/fhir/$meta?a=1", {"a": "1"})


async def test_async_without_prefer_respond_async_nothing_begins(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    kicking_off(monkeypatch, perform)
    answer = await client_of(house).get("/$meta")
    assert (answer.status_code, "Prefer: respond-async" in outcome_of(answer)) == (400, True)
    assert await house.pool.fetchval("select count(*) from jobs.job") == 0


async def test_a_client_has_so_many_jobs_of_a_kind_at_once_and_no_more(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    kicking_off(monkeypatch, perform)
    client = house.client(limits=DoorLimits(jobs_open_max=3), later=(COUNT,))
    asking = {"Prefer": "respond-async"}
    answers = await asyncio.gather(*(client.get("/$meta", headers=asking) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [202] * 3 + [429] * 3
    accepted = next(answer for answer in answers if answer.status_code == 202)
    await client.delete(accepted.headers["content-location"])
    assert (await client.get("/$meta", headers=asking)).status_code == 202


# ---- killed ----------------------------------------------------------------------------------


async def test_what_is_told_of_a_job_is_true_after_kill_9(house: House, database: str) -> None:
    await house.pool.execute(job_process.TABLES)
    path = await begun(house, kind="endless")
    client = client_of(house, later=Later(kind="endless", answer=answered))
    process = start(database)
    try:
        running = await until(client, path, _is_counting)
        assert running.headers["x-progress"].startswith("running")
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    counted = await house.pool.fetchval("select count(*) from effect")
    dead = await until(client, path, lambda answer: "running" not in answer.headers["x-progress"])
    assert dead.headers["x-progress"] == f"interrupted, {counted} of 1,000,000 done"
    process = start(database)
    try:
        again = await until(
            client, path, lambda answer: answer.headers["x-progress"].startswith("running")
        )
        assert again.status_code == 202
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()


def _is_counting(answer: httpx.Response) -> bool:
    return " done" in answer.headers["x-progress"]


def start(dsn: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, str(Path(job_process.__file__)), dsn])
