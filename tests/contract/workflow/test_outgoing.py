"""Report cards that go to a system outside, over a real store and a real address: each once, with
what it answered, and what was refused again when it is mended.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from clinic import Clinic
from reporting import ZONE, entered, now_of, pages_of, settle, step, task_of
from stores import START

from quanmin.base.posting import Unsent
from quanmin.base.problems import Overloaded, StorageFull, Unusable
from quanmin.trust import GuardedRecords
from quanmin.trust.outgoing import Outgoing
from quanmin.web.application import discover
from quanmin.web.national import National, answered_applications
from quanmin.workflow.outgoing import (
    FilePort,
    HttpPort,
    OutgoingSettings,
    Sending,
    leaving_of,
    open_port,
)

SECRET = b"shared"
Answers = list[tuple[int, dict[str, str]]]
Taken = list[tuple[dict[str, str], bytes]]


@asynccontextmanager
async def national(
    answers: Answers, taken: Taken, portions: Mapping[str, Any] | None = None
) -> AsyncIterator[str]:
    """An address that takes cards: it gives the answers in turn, then numbers; and what it has done
    with them since, by the place after which it is asked.
    """
    portions = portions or {}

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        pairs = (line.partition(": ") for line in lines if line)
        headers = {name.lower(): value for name, _, value in pairs}
        said: Any
        if first.startswith("GET "):
            place = first.split("?after=")[1].partition(" ")[0]
            now = headers["x-quanmin-time"].encode()
            made = hmac.new(SECRET, now + b"." + place.encode(), hashlib.sha256).hexdigest()
            assert headers["x-quanmin-signature"] == made
            status, said = (200, portions[place]) if place in portions else (404, {})
        else:
            taken.append((headers, await reader.readexactly(int(headers["content-length"]))))
            status, said = answers.pop(0) if answers else (200, {"number": f"N-{len(taken)}"})
        body = json.dumps(said).encode()
        head = f"HTTP/1.1 {status} said\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/cards"


@pytest.fixture
async def county(pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path) -> Clinic:
    """The clinic whose store keeps what leaves it."""
    workflows = (one.application.workflow for one in discover())
    leaving = leaving_of(one for one in workflows if one is not None)
    clinic = Clinic(pool, tmp_path, beside=[Outgoing(ZONE, leaving, lambda: START)])
    await clinic.fill()
    return await settle(clinic)


def sending(county: Clinic, port: Any, **settings: Any) -> Sending:
    return Sending(county.pool, county.guard, port, OutgoingSettings(**settings))


async def rows(county: Clinic) -> list[tuple[str, str]]:
    found = await county.pool.fetch("select state, status from trust.outgoing order by message")
    return [(row["state"], row["status"]) for row in found]


async def test_a_card_is_told_once_with_what_was_answered(county: Clinic) -> None:
    pages = pages_of(county)
    taken: Taken = []
    answers: Answers = [(503, {}), (422, {"reason": "the division is unknown"})]
    where = await entered(county, await county.enter("dr-li", pages))
    assert await rows(county) == []
    checker = await county.enter("pre-sun", pages)
    await step(checker, where, "check")
    assert await rows(county) == [("reported", "waiting")]
    async with national(answers, taken) as url:
        port = sending(county, HttpPort(url, SECRET, 5.0, 1 << 20), backoff_seconds=1e-6)
        # Two processes at once: neither tells what the other tells.
        await asyncio.gather(port.work(), port.work())
        await port.work()
        assert await rows(county) == [("reported", "refused")]
        assert len(taken) == 2
        assert taken[0][0]["idempotency-key"] == taken[1][0]["idempotency-key"]
        headers, body = taken[0]
        signed = hmac.new(SECRET, headers["x-quanmin-time"].encode() + b"." + body, hashlib.sha256)
        assert headers["x-quanmin-signature"] == signed.hexdigest()
        told = json.loads(body)
        assert told["state"] == "reported"
        assert told["disease"][0]["code"] == "measles"
        assert told["card"]["resourceType"] == "QuestionnaireResponse"
        # Those who see the card see the answer, mend it and send it again.
        page = await checker.get("/direct-reporting?status=refused")
        assert "the division is unknown" in page.text
        (link,) = re.findall(r'href="/direct-reporting/(\d+)"', page.text)
        beside = await county.enter("cdc-qi", pages)
        assert "measles" not in (await beside.get("/direct-reporting")).text.lower()
        assert (await beside.get(f"/direct-reporting/{link}")).status_code == 404
        for wrong in ("x", f"{(1 << 63) - 2}", f"{(1 << 63) - 1}", "9" * 5000):
            assert (await checker.get(f"/direct-reporting/{wrong}")).status_code == 404
        await checker.get(f"/direct-reporting/{link}")
        answer = await checker.send(f"/direct-reporting/{link}")
        assert answer.status_code == 303, answer.text
        assert await port.work() == 1
        assert await rows(county) == [("reported", "sent")]
        await checker.get("/direct-reporting")
        assert (await checker.send(f"/direct-reporting/{link}")).status_code == 409
        assert "N-3" in (await checker.get("/direct-reporting")).text
        # Confirmed: told again, of the new state; a timer or a look tells nobody.
        await step(await county.enter("cdc-wu", pages), where, "confirm")
        assert await port.work() == 1
        assert json.loads(taken[-1][1])["state"] == "confirmed"
        assert await port.work() == 0


async def test_what_ended_before_it_was_told_is_not_told(county: Clinic, tmp_path: Path) -> None:
    pages = pages_of(county)
    doctor, checker = await county.enter("dr-li", pages), await county.enter("pre-sun", pages)
    gone = await entered(county, doctor)
    await step(checker, gone, "return_inside", words="A mistake")
    await step(doctor, gone, "withdraw", words="A mistake")
    kept = await entered(county, doctor, disease="rubella")
    await step(checker, kept, "check")
    await step(await county.enter("cdc-wu", pages), kept, "confirm")
    port = sending(county, FilePort(tmp_path / "reports"))
    await port.work()
    # Of a case that has gone on, the newest message tells all.
    assert await rows(county) == [
        ("withdrawn", "needless"), ("reported", "needless"), ("confirmed", "sent"),
    ]  # fmt: skip
    (file,) = (tmp_path / "reports").iterdir()
    assert json.loads(file.read_text())["state"] == "confirmed"


async def test_an_address_that_is_silent_is_tried_again_until_it_counts_as_refused(
    county: Clinic,
) -> None:
    pages = pages_of(county)
    where = await entered(county, await county.enter("dr-li", pages))
    await step(await county.enter("pre-sun", pages), where, "check")
    port = sending(
        county,
        HttpPort("http://127.0.0.1:1/", SECRET, 1.0, 1 << 20),
        attempts_max=3,
        backoff_seconds=1e-6,
    )
    assert await port.work() == 3
    assert await rows(county) == [("reported", "refused")]


async def test_what_the_node_cannot_do_just_now_is_neither_dropped_nor_refused(
    county: Clinic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = pages_of(county)
    where = await entered(county, await county.enter("dr-li", pages))
    await step(await county.enter("pre-sun", pages), where, "check")
    port, files = sending(county, FilePort(tmp_path / "reports")), FilePort(tmp_path / "reports")
    answers = tmp_path / "reports" / "answers"
    answers.mkdir(parents=True)
    said = {"reference": "f-1", "case": where.rpartition("/")[2], "kind": "confirmed"}
    (answers / "1.json").write_text(json.dumps(said))
    with monkeypatch.context() as away:

        async def silent(*_: Any) -> Any:
            raise Overloaded("the keys are away")

        away.setattr(GuardedRecords, "read", silent)
        assert await port.work() == 1
        with pytest.raises(Overloaded):
            await hearing(county, files).work()
    with monkeypatch.context() as full:
        full.setattr(county.guard.store, "_may_write", lambda: False)
        with pytest.raises(StorageFull):
            await hearing(county, files).work()
    assert await rows(county) == [("reported", "waiting")]
    assert await county.pool.fetchval("select count(*) from trust.outgoing_answer") == 0
    await county.pool.execute("update trust.outgoing set due = 0")
    await port.work()
    assert await rows(county) == [("reported", "sent")]
    assert await hearing(county, files).work() == 1
    assert (await task_of(county, where))["businessStatus"]["coding"][0]["code"] == "confirmed"


def test_a_port_that_is_set_by_halves_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="secret_file"):
        open_port(OutgoingSettings(url="https://reports.test/cards"), tmp_path)


def hearing(county: Clinic, port: Any) -> National:
    (found,) = answered_applications(discover())
    return National(county.guard, port, found)


async def test_what_was_decided_in_the_national_system_is_carried_out_here(county: Clinic) -> None:
    pages = pages_of(county)
    doctor, checker = await county.enter("dr-li", pages), await county.enter("pre-sun", pages)
    first, second = await entered(county, doctor), await entered(county, doctor, disease="mumps")
    for where in (first, second):
        await step(checker, where, "check")
    case, other = (one.rpartition("/")[2] for one in (first, second))
    rubella = {"disease": "rubella", "class": "suspected"}

    def told(name: str, case: str, kind: str, **more: Any) -> dict[str, Any]:
        return {"reference": name, "case": case, "kind": kind, **more}

    portions = {
        "": {"next": "2", "answers": [
            told("a-1", case, "revised", changes=rubella, reason="laboratory"),
            told("a-2", other, "returned", reason="the address is missing"),
            {"reference": "no kind and no case"},
        ]},
        "2": {"next": "3", "answers": [
            told("a-1", case, "revised", changes=rubella),
            told("a-3", case, "revised", changes=rubella),
            told("a-4", case, "revised", changes={"name": "somebody else"}),
            told("a-5", case, "revised", changes={"disease": "viral-hepatitis"}),
            told("a-6", other, "returned", reason="again"),
            told("a-7", "0" * 14, "confirmed"),
            told("a-8", case, "burnt"),
            told("a-9", case, "confirmed"),
        ]},
    }  # fmt: skip
    async with national([], [], portions) as url:
        port = HttpPort(url, SECRET, 5.0, 1 << 20)
        with pytest.raises(Unsent, match=r"outgoing\.answer_bytes_max"):
            await HttpPort(url, SECRET, 5.0, 10).answers("")
        # Two processes at once: one reads.
        assert sum(await asyncio.gather(*(hearing(county, port).work() for _ in "ab"))) == 9
        assert await hearing(county, port).work() == 0
    shown = (await doctor.get(first)).text
    assert all(words in shown for words in ("Rubella", "laboratory", "Confirmed"))
    assert "the address is missing" in (await doctor.get(second)).text
    # It has as long again: the diagnosis was an hour before the card.
    ends = (await task_of(county, second))["restriction"]["period"]["end"]
    assert datetime.fromisoformat(ends) - now_of(county) > timedelta(hours=23, minutes=30)
    assert "was returned and is to be corrected" in (await doctor.get("/notices")).text
    assert (await task_of(county, first))["businessStatus"]["coding"][0]["code"] == "confirmed"
    found = await county.pool.fetch(
        "select reference, status, why from trust.outgoing_answer order by answer"
    )
    assert [tuple(one) for one in found] == [
        ("a-1", "taken", ""), ("a-2", "taken", ""), ("a-3", "needless", "same"),
        ("a-4", "refused", "not-as-it-should-be"), ("a-5", "refused", "not-as-it-should-be"),
        ("a-6", "needless", "state"), ("a-7", "refused", "unknown-case"),
        ("a-8", "refused", "unknown-kind"), ("a-9", "taken", ""),
    ]  # fmt: skip
    listed = (await checker.get("/direct-reporting/answers")).text
    assert listed.count("a card may not say this") == 2
    assert "Rubella" in listed
    beside = await county.enter("cdc-qi", pages)
    assert "Rubella" not in (await beside.get("/direct-reporting/answers")).text
    for browser in (doctor, checker, beside):
        await browser.client.aclose()


async def test_answers_may_come_as_files_and_nobody_else_takes_a_step_of_the_node(
    county: Clinic, tmp_path: Path
) -> None:
    pages = pages_of(county)
    doctor, checker = await county.enter("dr-li", pages), await county.enter("pre-sun", pages)
    where = await entered(county, doctor)
    await step(checker, where, "check")
    await checker.get(where)
    assert (await checker.send(where, step="national_confirm")).status_code == 403
    folder = tmp_path / "reports" / "answers"
    folder.mkdir(parents=True)
    said = {"reference": "f-1", "case": where.rpartition("/")[2], "kind": "void", "reason": "twice"}
    (folder / "1.json").write_text(json.dumps(said))
    port = FilePort(tmp_path / "reports")
    assert await hearing(county, port).work() == 1
    assert await hearing(county, port).work() == 0
    assert (await task_of(county, where))["businessStatus"]["coding"][0]["code"] == "withdrawn"
    silent = HttpPort("http://127.0.0.1:1/", SECRET, 1.0, 1 << 20)
    with pytest.raises(Unsent):
        await hearing(county, silent).work()
    for browser in (doctor, checker):
        await browser.client.aclose()
