"""The leak hunt in full: every role, every question, every way in which a record is hidden, files
of exports too, and a person who has been erased.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hunting import GROUPS, ROLES, SECRETS, ZONE, Place, ask, hunt, opened
from outlet import ASYNC, exports_in, working
from persons import visit
from stores import patient

from quanmin.api import DoorLimits, build
from quanmin.trust import Actor, Actors

APART = next(iter(SECRETS))
PURPOSES = ("BTG", "PUBHLTH", "HRESCH")
ERASED = "the-one-who-was-erased"


@pytest.mark.parametrize(
    ("kind", "purpose"),
    [*((kind, "TREAT") for kind in SECRETS), *((APART, purpose) for purpose in PURPOSES)],
)
async def test_no_question_of_any_role_tells_of_a_hidden_record(
    pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path, kind: str, purpose: str
) -> None:
    async with opened(pool, tmp_path, SECRETS[kind]) as place:
        questions = [question for group in GROUPS for question in group(place)]
        # The audit administrator sees who wrote and read what: that hospital-b wrote is theirs.
        log = [role for role in ROLES if role != "audit_administrator"]
        told = await hunt(place, questions, log, purpose)
        assert told == []


async def test_an_audit_administrator_is_told_of_the_log_alone(
    pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path
) -> None:
    async with opened(pool, tmp_path, SECRETS["refused by the person"]) as place:
        questions = [question for group in GROUPS for question in group(place)]
        told = await hunt(place, questions, ["audit_administrator"], "TREAT")
        assert all("AuditEvent" in path or path.startswith("/_history") for _, _, path in told)


@pytest.mark.parametrize("kind", SECRETS)
async def test_no_file_of_an_export_tells_of_a_hidden_record(
    pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path, kind: str
) -> None:
    async with opened(pool, tmp_path, SECRETS[kind]) as place:
        actors, exports = Actors(pool), exports_in(tmp_path)
        limits = DoorLimits(polls_burst=1e9)
        place.door = build(
            place.guard, actors, limits, link_key=b"k" * 32, zone=ZONE, exports=exports
        )
        for name, client in list(place.clients.items()):
            place.client(name, client.headers["authorization"].removeprefix("Bearer "))
            await client.aclose()
        roles = ("institution", "doctor", "public_health_worker")
        async with working(pool, place.guard, actors, exports):
            before = [await _taken(place, role) for role in roles]
            await place.plant()
            assert [await _taken(place, role) for role in roles] == before
        assert any(lines for _, lines in before), "nobody could export anything"


async def _taken(place: Place, role: str) -> tuple[int, list[Any]]:
    """What an export gives: its status, and what stands in its files."""
    client = place.clients[role]
    begun = await client.get("/$export", headers=ASYNC)
    if begun.status_code != 202:
        return begun.status_code, []
    address = begun.headers["content-location"]
    answer = await client.get(address)
    while answer.status_code == 202:
        await asyncio.sleep(0.05)
        answer = await client.get(address)
    lines = []
    for output in answer.json()["output"]:
        lines += [json.loads(line) for line in (await client.get(output["url"])).text.splitlines()]
    return answer.status_code, sorted(lines, key=lambda line: (line["resourceType"], line["id"]))


async def test_nobody_tells_an_erased_person_from_one_who_never_was(
    pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path
) -> None:
    """But for whoever holds the address of a record of theirs: it is gone, for all who ask."""
    async with opened(pool, tmp_path, SECRETS["refused by the person"]) as place:
        questions = [q for group in GROUPS for q in group(place) if ERASED not in q[1]]
        asked = [(role, q) for role in ROLES[:-1] for q in questions]
        before = [await ask(place.clients[role], q, "TREAT") for role, q in asked]
        other = place.clients["hospital-b"]
        made = await other.put(
            f"/Patient/{ERASED}",
            content=json.dumps({**json.loads(patient("580101197211120021")), "id": ERASED}),
        )
        assert made.status_code == 201, made.text
        assert (await other.post("/Encounter", content=visit(ERASED))).status_code == 201
        operator = Actor("centre", "operator", "Centre", "centre")
        records = place.guard.records(operator, purpose="TREAT", request_id="erase")
        assert await records.erase(ERASED) == 2
        told = [
            (role, q[:2])
            for (role, q), answer in zip(asked, before, strict=True)
            if await ask(place.clients[role], q, "TREAT") != answer
        ]
        assert told == []
