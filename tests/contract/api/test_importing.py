"""`$import`: many records from files, each line once, and every refusal told."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import import_process
import outlet
import pytest

from quanmin.api import DoorLimits
from quanmin.base.jobs import find
from quanmin.trust.imports import ImportLimits

from .hall import (
    NDJSON,
    WAITING,
    Hall,
    begun,
    diagnostics,
    ndjson,
    observation,
    outcomes,
    parameters,
    patient,
)

# ---- round trip ----------------------------------------------------------------------------------


async def test_lines_that_are_sent_become_records_of_their_sender(hall: Hall) -> None:
    client = hall.client("hospital-a")
    lines = ndjson(observation(1, of=2), patient(1), "", patient(2), observation(2, of=1))
    address = await begun(client, lines)
    assert len(hall.spooled()) == 1
    async with hall.working():
        told = await hall.done(client, address)
    assert told["output"] == [
        {"type": "Observation", "count": 2},
        {"type": "Patient", "count": 2},
    ]
    assert (told["error"], told["requiresAccessToken"]) == ([], True)
    assert told["request"] == "http://node.test/fhir/$import"
    # References to what came later mean it.
    found = await client.get("/Patient/p2/Observation")
    assert [each["resource"]["id"] for each in found.json()["entry"]] == ["o1"]
    assert (await hall.house.client("hospital-b").get("/Patient/p1")).status_code == 404
    assert hall.spooled() == []
    rows = await hall.house.pool.fetch("select distinct actor, action, outcome from trust.access")
    assert ("hospital-a", "import", "begun") in {tuple(row) for row in rows}


async def test_what_is_sent_waits_encrypted_and_is_acknowledged_when_it_is_whole(
    hall: Hall,
) -> None:
    await begun(hall.client("hospital-a"), ndjson(patient(1, name=[{"text": "欧阳明月"}])))
    (name,) = hall.spooled()
    content = (hall.folder / "imports" / name).read_bytes()
    assert "欧阳".encode() not in content
    assert b"Patient" not in content
    payload = await hall.house.pool.fetchval("select payload::text from jobs.job")
    assert name not in payload


async def test_gzip_and_lines_of_windows_and_without_an_end_are_read(hall: Hall) -> None:
    client = hall.client()
    lines = ndjson(patient(1), patient(2)).replace(b"\n", b"\r\n").rstrip()
    lines = b"\xef\xbb\xbf" + lines
    packed = gzip.compress(lines[:100]) + gzip.compress(lines[100:])
    address = await begun(client, packed, **{"Content-Encoding": "gzip"})
    async with hall.working():
        told = await hall.done(client, address)
    assert told["output"] == [{"type": "Patient", "count": 2}]


async def test_resources_with_a_type_of_their_own_are_read(hall: Hall) -> None:
    kind = [{"text": "township centre"}]
    organization = {"resourceType": "Organization", "id": "c1", "name": "C", "type": kind}
    client = hall.client()
    async with hall.working():
        told = await hall.done(client, await begun(client, ndjson(organization)))
    assert told["output"] == [{"type": "Organization", "count": 1}]


async def test_what_is_imported_again_stays_as_it_is(hall: Hall) -> None:
    client = hall.client()
    async with hall.working():
        for body in (patient(1), patient(1), patient(1, gender="male")):
            told = await hall.done(client, await begun(client, ndjson(body, body)))
            assert told["output"] == [{"type": "Patient", "count": 2}]
    assert (await client.get("/Patient/p1")).json()["meta"]["versionId"] == "2"


async def test_what_was_exported_comes_back_and_changes_nothing(hall: Hall, tmp_path: Path) -> None:
    house, exports = hall.house, outlet.exports_in(tmp_path)
    limits = DoorLimits(polls_per_second=10_000, polls_burst=10_000)
    arrivals = import_process.open_arrivals(hall.folder, ImportLimits())
    client = house.client("hospital-a", limits, exports=exports, arrivals=arrivals)
    lines = ndjson(*(each for n in range(20) for each in (patient(n), observation(n, of=n))))
    async with hall.working(), outlet.working(house.pool, house.guard, house.actors, exports):
        await hall.done(client, await begun(client, lines))
        taken = await outlet.take(client, "/$export")
        await client.delete("/Observation/o3")
        exported = b"".join(b"%b\n" % line for file in taken.lines.values() for line in file)
        told = await hall.done(client, await begun(client, exported))
    assert told["output"] == [
        {"type": "Observation", "count": 20},
        {"type": "Patient", "count": 20},
    ]
    assert told["error"] == []
    for path, version in (("Observation/o2", "1"), ("Patient/p2", "1"), ("Observation/o3", "3")):
        assert (await client.get(f"/{path}")).json()["meta"]["versionId"] == version


# ---- refused lines -------------------------------------------------------------------------------


async def test_refused_lines_are_told_with_their_number_and_reason(hall: Hall) -> None:
    client = hall.client("hospital-a")
    await hall.house.client("hospital-b").put("/Patient/p9", content=json.dumps(patient(9)))
    lines = ndjson(
        patient(1),
        "no json",
        patient(2, gender="other-worldly"),
        patient(3),
        patient(9),
        {"resourceType": "Unheardof"},
        json.dumps(patient(4))[:-1],
        patient(5, birthDate="yesterday"),
        patient(6),
    )
    address = await begun(client, lines)
    async with hall.working():
        told = await hall.done(client, address)
    assert told["output"] == [{"type": "Patient", "count": 3}]
    (error,) = told["error"]
    assert (error["type"], error["count"]) == ("OperationOutcome", 6)
    found = outcomes(await client.get(error["url"]))
    issues = [each["issue"][0] for each in found]
    assert [each["diagnostics"].partition(":")[0] for each in issues] == [
        f"line {number}" for number in (2, 3, 5, 6, 7, 8)
    ]
    assert issues[1]["expression"] == ["Patient.gender"]
    assert issues[5]["expression"] == ["Patient.birthDate"]
    assert "not free" in issues[2]["diagnostics"]
    for number in (1, 3, 6):
        assert (await client.get(f"/Patient/p{number}")).status_code == 200
    for number in (2, 4, 5):
        assert (await client.get(f"/Patient/p{number}")).status_code == 404
    sealed = b"".join(
        row["sealed"] for row in await hall.house.pool.fetch("select sealed from imports.refusal")
    )
    assert b"Outcome" not in sealed


async def test_one_bad_line_in_many_costs_no_other(hall: Hall) -> None:
    client = hall.client()
    lines = [patient(n, gender="wrong" if n % 97 == 0 else "male") for n in range(1, 1001)]
    async with hall.working():
        told = await hall.done(client, await begun(client, ndjson(*lines)))
    assert told["output"] == [{"type": "Patient", "count": 990}]
    assert told["error"][0]["count"] == 10
    assert await hall.count("Patient") == 990


async def test_a_line_that_is_too_long_is_refused_and_the_next_is_read(hall: Hall) -> None:
    client = hall.client(line_bytes_max=2000)
    long = patient(1, name=[{"text": "x" * 5000}])
    address = await begun(client, ndjson(long, patient(2), long))
    async with hall.working(line_bytes_max=2000):
        told = await hall.done(client, address)
    assert told["output"] == [{"type": "Patient", "count": 1}]
    found = outcomes(await client.get(told["error"][0]["url"]))
    texts = [each["issue"][0]["diagnostics"] for each in found]
    assert [text.partition(":")[0] for text in texts] == ["line 1", "line 3"]
    assert "imports.line_bytes_max" in texts[0]


async def test_reasons_are_kept_of_so_many_lines_and_the_rest_is_counted(hall: Hall) -> None:
    limits: dict[str, Any] = {"refusals_max": 3, "batch_entries": 2}
    client = hall.client(**limits)
    address = await begun(client, ndjson(*["no"] * 8, patient(1)))
    async with hall.working(**limits):
        told = await hall.done(client, address)
    kept, more = told["error"]
    assert (kept["count"], more) == (3, {"type": "OperationOutcome", "count": 5})
    assert len(outcomes(await client.get(kept["url"]))) == 3


def with_part(name: str, part: str, **value: Any) -> dict[str, Any]:
    """Parameters in which a part has a value of another kind than it should."""
    asked = parameters({"url": "x"})
    parts = [{"name": "url", "valueUrl": "x"}, {"name": part, **value}]
    if part == "url":
        del parts[0]
    asked["parameter"].insert(0, {"name": name, "part": parts})
    return asked


# ---- what is refused at once ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (parameters(), "input"),
        (parameters({"url": "x"}, inputFormat="text/csv"), "inputFormat"),
        (parameters({"url": "x"}, storageDetail="aws-s3"), "storageDetail"),
        (parameters({"url": "x"}, mode="InitialLoad"), "mode"),
        (parameters({"type": "Patient"}), "url"),
        (parameters({"type": "Unheardof", "url": "x"}), "Unheardof"),
        (with_part("input", "type", valueCoding={"code": "Patient"}), "resource type"),
        (with_part("storageDetail", "type", valueCoding={"code": "file"}), "storageDetail"),
        (with_part("input", "url", valueInteger=1), "url"),
        ({"resourceType": "Parameters"}, "inputFormat"),
        ({"resourceType": "Patient"}, "Parameters"),
    ],
)
async def test_parameters_that_say_too_little_or_too_much_are_refused(
    hall: Hall, body: dict[str, Any], names: str
) -> None:
    answer = await hall.client().post("/$import", content=json.dumps(body), headers=WAITING)
    assert answer.status_code == 400
    assert names in answer.text
    assert await hall.house.pool.fetchval("select count(*) from jobs.job") == 0


async def test_what_cannot_be_taken_in_is_refused_and_leaves_nothing(hall: Hall) -> None:
    client, lines = hall.client(file_bytes_max=5000), ndjson(*(patient(n) for n in range(200)))

    async def refused(body: bytes, headers: dict[str, str], **more: Any) -> int:
        asking = hall.client(**more) if more else client
        answer = await asking.post("/$import", content=body, headers=headers)
        assert diagnostics(answer)
        return int(answer.status_code)

    assert await refused(lines, NDJSON) == 413
    assert await refused(gzip.compress(lines), NDJSON | {"Content-Encoding": "gzip"}) == 413
    assert await refused(lines[:999], NDJSON | {"Content-Encoding": "gzip"}) == 400
    assert await refused(gzip.compress(lines)[:-9], NDJSON | {"Content-Encoding": "gzip"}) in {
        400,
        413,
    }
    assert await refused(lines[:999], NDJSON | {"Content-Encoding": "br"}) == 415
    assert await refused(b"", NDJSON) == 400
    assert await refused(lines[:999], {"Content-Type": "application/fhir+ndjson"}) == 400
    assert await refused(lines[:999], NDJSON | {"Content-Type": "text/csv"}) == 415
    assert await refused(lines[:999], NDJSON, has_room=False) == 507
    assert hall.spooled() == []
    assert (await client.get("/$import")).status_code == 405
    assert (await hall.house.client().post("/$import", headers=NDJSON)).status_code == 400


async def test_a_node_takes_so_many_files_at_once(hall: Hall) -> None:
    client = hall.client(uploads_max=1)
    go_on = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield ndjson(patient(1))
        await go_on.wait()

    first = asyncio.create_task(client.post("/$import", content=slowly(), headers=NDJSON))
    while not hall.spooled():  # noqa: ASYNC110 - a file
        await asyncio.sleep(0.01)
    second = await client.post("/$import", content=ndjson(patient(2)), headers=NDJSON)
    assert (second.status_code, int(second.headers["retry-after"])) == (503, 60)
    go_on.set()
    assert (await first).status_code == 202


# ---- while it goes on ----------------------------------------------------------------------------


async def test_only_who_began_an_import_is_told_of_it(hall: Hall) -> None:
    client = hall.client("hospital-a")
    address = await begun(client, ndjson("no", patient(1)))
    async with hall.working():
        told = await hall.done(client, address)
    file = told["error"][0]["url"]
    other = hall.client("hospital-b")
    for path in (address, file):
        assert (await other.get(path)).status_code == 404
        assert (await client.get(path)).status_code == 200
    assert (await other.delete(address)).status_code == 404
    for path in ("refused-0-0-9", "refused-1-0-1", "x"):
        assert (await client.get(f"{address}/{path}")).status_code == 404


async def test_an_import_says_how_far_it_is_and_ends_when_it_is_ended(hall: Hall) -> None:
    limits: dict[str, Any] = {"batch_entries": 10}
    client = hall.client(**limits)
    address = await begun(client, ndjson(*(patient(n) for n in range(5000))))
    number = int(address.rpartition("/")[2])
    assert (await client.get(address)).headers["x-progress"] == "waiting"
    async with hall.working(**limits):
        async with asyncio.timeout(60):
            while "done" not in (await client.get(address)).headers["x-progress"]:
                await asyncio.sleep(0.5)
                assert await hall.goes_on(number)
        assert "of 5,000 done" in (await client.get(address)).headers["x-progress"]
        assert (await client.delete(address)).status_code == 202
        async with asyncio.timeout(60):
            while await hall.goes_on(number):  # noqa: ASYNC110 - a row
                await asyncio.sleep(0.05)
        assert (await find(hall.house.pool, number)).state == "cancelled"
    assert (await client.get(address)).status_code == 404
    assert 0 < await hall.count("Patient") < 5000
    assert hall.spooled() == []
    assert await hall.house.pool.fetchval("select count(*) from imports.input") == 0


async def test_an_import_that_is_thrown_away_leaves_nothing_but_its_records(hall: Hall) -> None:
    client = hall.client()
    waiting = await begun(client, ndjson(patient(1)))
    assert (await client.delete(waiting)).status_code == 202
    assert hall.spooled() == []
    address = await begun(client, ndjson(patient(2), "no"))
    async with hall.working():
        await hall.done(client, address)
    assert (await client.delete(address)).status_code == 202
    assert await hall.count("Patient") == 1
    for table in ("input", "refusal"):
        assert await hall.house.pool.fetchval(f"select count(*) from imports.{table}") == 0


async def test_a_token_that_is_withdrawn_stops_the_import(hall: Hall) -> None:
    client = hall.client("hospital-a")
    address = await begun(client, ndjson(patient(1)))
    await hall.house.actors.retire("hospital-a")
    async with hall.working():
        answer = await hall.over(hall.client(), address)
    assert (answer.status_code, "not known" in diagnostics(answer)) == (403, True)
    assert await hall.count("Patient") == 0


async def test_imports_of_several_senders_go_on_at_once(hall: Hall) -> None:
    clients = {code: hall.client(code) for code in ("hospital-a", "hospital-b", "center")}
    bodies = {
        code: ndjson(*(patient(n + 1000 * place) for n in range(300)))
        for place, code in enumerate(clients)
    }
    async with hall.working(batch_entries=20):
        addresses = await asyncio.gather(
            *(begun(clients[code], bodies[code]) for code in clients for _ in range(2))
        )
        owners = [code for code in clients for _ in range(2)]
        for code, address in zip(owners, addresses, strict=True):
            told = await hall.done(clients[code], address)
            assert told["output"] == [{"type": "Patient", "count": 300}]
    assert await hall.count("Patient") == 900


IS_WHOLE = os.environ.get("QUANMIN_TESTS") == "full"

# ---- killed --------------------------------------------------------------------------------------


async def test_each_line_is_written_once_whatever_is_killed(
    hall: Hall, database: str, tmp_path: Path
) -> None:
    """Lines without an id become new records: one that is written twice would be two."""
    total, at_a_time = (1000 if IS_WHOLE else 500), 100
    lines = [
        {"resourceType": "Basic", "code": {"text": str(n)}} if n % 50 else "no"
        for n in range(total)
    ]
    client = hall.client(batch_entries=10)
    address = await begun(client, ndjson(*lines))
    number = int(address.rpartition("/")[2])
    settings = json.dumps({"batch_entries": 10})
    kills = 0
    async with asyncio.timeout(300):
        while await hall.goes_on(number):
            process = start(database, str(tmp_path), settings)
            try:
                enough = await _lines_done(hall, number) + at_a_time
                while await _lines_done(hall, number) < enough:
                    if not await hall.goes_on(number):
                        break
                    await asyncio.sleep(0.02)
            finally:
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
                kills += 1
    told = await hall.done(client, address)
    assert kills > 3
    assert told["output"] == [{"type": "Basic", "count": total - total // 50}]
    assert sum(each["count"] for each in told["error"]) == total // 50
    refused = [
        outcome["issue"][0]["diagnostics"].partition(":")[0]
        for each in told["error"]
        for outcome in outcomes(await client.get(each["url"]))
    ]
    assert refused == [f"line {n + 1}" for n in range(0, total, 50)]
    assert await hall.count("Basic") == total - total // 50
    assert hall.spooled() == []


def start(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, import_process.__file__, *arguments])


async def _lines_done(hall: Hall, number: int) -> int:
    query = "select line from imports.input where job = $1"
    return int(await hall.house.pool.fetchval(query, number) or 0)
