"""What one institution may use, whatever accounts, programs and processes it asks through."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from outlet import ASYNC, exports_in, working
from stores import bundle
from whole import Whole

from quanmin.base.usage import Usage
from quanmin.trust import Actors, Allowances
from quanmin.trust.allowances import QuotaLimits

BODY = {"resourceType": "Basic", "code": {"text": "counted"}}
BYTES = len(json.dumps(BODY).encode())


class SetClock:
    moment = 1_790_000_000_000_000

    def __call__(self) -> int:
        return self.moment


class Counting:
    """Two workers of a node that count together, with quotas of this test's own."""

    def __init__(self, whole: Whole, path: Path, **limits: Any) -> None:
        self.whole = whole
        self.clock = SetClock()
        pool = whole.clinic.pool
        self.workers = [
            Allowances(pool, Usage(path), QuotaLimits(look_seconds=0, **limits), now=self.clock)
            for _ in range(2)
        ]
        self.turn = 0

    async def ask(self, code: str, method: str, path: str, body: Any = None) -> httpx.Response:
        """By one worker, then by the other."""
        self.turn += 1
        self.whole.clinic.guard.allowances = self.workers[self.turn % 2]
        asking = self.whole.asking(code)
        content = body if isinstance(body, bytes) else json.dumps(body) if body else b""
        answer: httpx.Response = await asking.request(method, f"/fhir/{path}", content=content)
        return answer

    async def write(self, code: str = "program-a") -> httpx.Response:
        return await self.ask(code, "POST", "Basic", BODY)


@pytest.fixture
def counting(whole: Whole, tmp_path: Path) -> Any:
    def opened(**limits: Any) -> Counting:
        return Counting(whole, tmp_path / "usage", **limits)

    yield opened
    whole.clinic.guard.allowances = None


def told(answer: httpx.Response) -> str:
    assert answer.status_code == 429, answer.text
    assert int(answer.headers["retry-after"]) >= 1
    return str(answer.json()["issue"][0]["diagnostics"])


async def test_writes_a_day_are_counted_over_all_workers_and_begin_anew(counting: Any) -> None:
    place = counting(writes=3)
    assert [(await place.write()).status_code for _ in range(4)] == [201, 201, 201, 429]
    refused = await place.write()
    assert "3 writes a day (quota writes)" in told(refused)
    assert int(refused.headers["retry-after"]) <= 86_400
    assert (await place.write("program-b")).status_code == 201
    assert (await place.write("loading")).status_code == 201
    assert (await place.ask("program-a", "GET", "Basic?_count=1")).status_code == 200
    place.clock.moment += 86_400_000_000
    assert (await place.write()).status_code == 201


async def test_every_way_of_writing_is_counted_and_what_fails_is_not(counting: Any) -> None:
    place = counting(writes=5)
    entry = {"resource": BODY, "request": {"method": "POST", "url": "Basic"}}
    assert (await place.ask("program-a", "POST", "Basic", {"resourceType": "Basic"})).is_error
    for kind in ("transaction", "batch"):
        answer = await place.ask("program-a", "POST", "", bundle(kind, entry, entry))
        assert answer.status_code == 200, answer.text
    whole_bundle = await place.ask("program-a", "POST", "", bundle("transaction", entry, entry))
    assert "writes a day" in told(whole_bundle)
    made = await place.write()
    assert made.status_code == 201
    id_ = made.json()["id"]
    assert (await place.ask("program-a", "DELETE", f"Basic/{id_}")).status_code == 429
    assert (await place.ask("program-a", "PUT", f"Basic/{id_}", {**BODY, "id": id_})).is_error


async def test_bytes_written_and_stored_are_counted_as_they_were_sent(counting: Any) -> None:
    place = counting(written_bytes=2 * BYTES, stored_bytes=3 * BYTES)
    assert [(await place.write()).status_code for _ in range(2)] == [201, 201]
    assert "bytes written a day" in told(await place.write())
    place.clock.moment += 86_400_000_000
    assert (await place.write()).status_code == 201
    assert "bytes stored" in told(await place.write())
    assert (await place.workers[0].count_stored("hospital-a")) > 0


async def test_requests_in_a_second_are_counted_for_programs_and_pages_together(
    counting: Any,
) -> None:
    place = counting(requests=3)
    answers = [await place.ask("program-a", "GET", "Basic?_count=1") for _ in range(2)]
    browser = await place.whole.entered("hospital-a")
    statuses = [(await browser.get("/account")).status_code for _ in range(2)]
    assert [answer.status_code for answer in answers] + statuses == [200, 200, 200, 429]
    assert "requests a second" in told(await place.ask("program-a", "GET", "Basic"))
    place.clock.moment += 1_000_000
    assert (await browser.get("/account")).status_code == 200


async def test_an_institution_has_an_allowance_of_its_own_where_a_row_says_so(
    counting: Any,
) -> None:
    place = counting(writes=1)
    await place.workers[0].allow("hospital-a", "writes", 2)
    assert [(await place.write()).status_code for _ in range(3)] == [201, 201, 429]
    assert [(await place.write("program-b")).status_code for _ in range(2)] == [201, 429]
    await place.workers[1].allow("hospital-a", "writes", 0)
    assert (await place.write()).status_code == 201
    await place.workers[1].allow("hospital-a", "writes", None)
    assert (await place.write()).status_code == 429


async def test_an_institution_is_told_how_it_stands_and_nobody_how_others_do(
    counting: Any,
) -> None:
    place = counting(writes=10)
    await place.write()
    answer = await place.ask("program-a", "GET", "$quotas")
    quotas = [
        {part["name"]: next(v for k, v in part.items() if k != "name") for part in one["part"]}
        for one in answer.json()["parameter"]
    ]
    (writes,) = [one for one in quotas if one["code"] == "writes"]
    assert (writes["institution"], writes["used"], writes["most"]) == ("hospital-a", 1, 10)
    assert "until" in writes
    other = await place.ask("program-a", "GET", "$quotas?institution=hospital-b")
    none = await place.ask("program-a", "GET", "$quotas?institution=there-is-none")
    assert (other.status_code, other.json()) == (none.status_code, none.json())
    assert other.status_code == 403
    seen = await place.ask("loading", "GET", "$quotas?institution=hospital-a")
    assert seen.status_code == 200
    assert await place.workers[0].institutions() == ("hospital-a", "hospital-b")


async def test_what_is_exported_is_counted_and_an_export_waits_when_it_is_too_much(
    whole: Whole, counting: Any, tmp_path: Path
) -> None:
    place = counting(exported_bytes=200)
    guard, pool = whole.clinic.guard, whole.clinic.pool
    guard.allowances = place.workers[0]
    exports = exports_in(tmp_path)
    asking = whole.asking("program-a")
    begun = await asking.get("/fhir/$export?_type=Patient", headers=ASYNC)
    assert begun.status_code == 202, begun.text
    async with working(pool, guard, Actors(pool), exports):
        reasons: list[Any] = []
        while not reasons:
            reasons = json.loads(
                await pool.fetchval(
                    "select reasons::text from jobs.job where kind = 'export'"
                    " order by job desc limit 1"
                )
            )
    assert "bytes exported a day" in reasons[0]["text"]


async def test_whoever_has_taken_out_all_they_may_begins_no_export(counting: Any) -> None:
    place = counting(exported_bytes=1)
    place.whole.clinic.guard.allowances = place.workers[0]
    asking = place.whole.asking("program-b")
    begun = await asking.get("/fhir/$export?_type=Basic", headers=ASYNC)
    assert begun.status_code == 202, begun.text
    refused = await asking.get("/fhir/$export?_type=Basic", headers=ASYNC)
    assert "bytes exported a day" in told(refused)
