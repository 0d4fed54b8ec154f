"""The two plans of the program with tables of facts of a test, and people of whom they hold."""

from __future__ import annotations

import itertools
import json
import tomllib
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import msgspec
from planning import shipped_text
from stores import open_context, open_guard

from quanmin.base.jobs import Done, Job
from quanmin.demo.numbering import identity_number
from quanmin.trust import Actor, Guard, GuardedRecords
from quanmin.trust.due import Asked, DueKeeping, DueRow, again_kind, renew_kind
from quanmin.workflow.plans import Explained, Keeper, declare

ZONE = ZoneInfo("Asia/Shanghai")
VACCINES = "urn:vaccines"
_HEAD = '[definition]\nsource = "t"\nowner = "t"\nversion = "1"\neffective = 2026-01-01\n'
IMMUNIZATION = """
[[event]]
resource = "Immunization"
where = "status = 'completed'"
code = "vaccineCode.coding.where(system = 'urn:vaccines').code"
on = "occurrence.ofType(dateTime)"
codes = { "hepb" = "hepb", "bcg" = "bcg", "dtap" = "dtap", "mmr" = "mmr", "ipv" = "ipv" }

[[state]]
resource = "Condition"
code = "code.coding.where(system = 'urn:states').code"
since = "onset.ofType(dateTime)"
until = "abatement.ofType(dateTime)"
codes = { "acute-illness" = "acute-illness", "immunodeficiency" = "immunodeficiency" }

[[area]]
resource = "Patient"
code = "address.district"
"""
HYPERTENSION = """
[[event]]
resource = "Observation"
where = "status = 'final'"
code = "code.coding.where(system = 'urn:visits').code"
on = "effective.ofType(dateTime)"
detail = "value.ofType(string)"
codes = { "hypertension-visit" = "hypertension-visit", "blood-pressure" = "blood-pressure" }

[[state]]
resource = "Condition"
code = "code.coding.where(system = 'urn:states').code"
since = "onset.ofType(dateTime)"
until = "abatement.ofType(dateTime)"
codes = { "hypertension" = "hypertension" }
"""


def keepers(**more: Any) -> tuple[Keeper, ...]:
    """The plans, as a node keeps lists by them, with what is told of them."""
    tables = {"immunization-2026": IMMUNIZATION, "hypertension-2017": HYPERTENSION}
    codes = {"immunization-2026": "immunization", "hypertension-2017": "chronic"}
    return tuple(
        Keeper(
            declare(
                codes[name],
                shipped_text(f"{name}.json"),
                tomllib.loads(_HEAD + table),
                (shipped_text("activities.json"),),
                **more,
            ),
            ZONE,
        )
        for name, table in tables.items()
    )


class Calendar:
    """A clock of which tests turn the days; it goes on by a millisecond each time."""

    def __init__(self, today: date) -> None:
        self._ticks = itertools.count(1)
        self.turn(today)

    def turn(self, today: date) -> None:
        at = datetime(today.year, today.month, today.day, 9, tzinfo=ZONE)
        self.today, self._base = today, int(at.timestamp()) * 1_000_000

    def now(self) -> int:
        return self._base + next(self._ticks) * 1000


class Lists:
    """A node with due lists, and what tests do with it."""

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        folder: Path,
        today: date = date(2026, 6, 1),
        **more: Any,
    ) -> None:
        self.pool = pool
        self.calendar = Calendar(today)
        self.plans = keepers(**more)
        self.guard: Guard = open_guard(
            pool, open_context(folder), plans=self.plans, now=self.calendar.now
        )

    @property
    def keeping(self) -> DueKeeping:
        return self.guard.due

    def asking(self, role: str, sender: str = "a", purpose: str = "TREAT") -> GuardedRecords:
        code = f"{role}-{sender}"
        actor = Actor(code, role, "Somebody", sender)  # type: ignore[arg-type]  # a role
        return self.guard.records(actor, purpose=purpose, request_id="r-1")

    async def send(self, sender: str, body: dict[str, Any], id_: str = "") -> str:
        """Write a record of an institution, over the one of this id if it is given."""
        records, raw = self.asking("institution", sender), json.dumps(body).encode()
        if id_:
            raw = json.dumps({**body, "id": id_}).encode()
            return (await records.update(body["resourceType"], id_, raw)).stored.id
        return (await records.create(body["resourceType"], raw)).stored.id

    async def listed(self, records: GuardedRecords, plan: str, **more: Any) -> list[DueRow]:
        """All rows of a list, gone through by places."""
        asked = Asked(plan=plan, **more)
        rows: list[DueRow] = []
        after = ""
        while True:
            found = await records.due.slice(asked, count=7, after=after)
            rows += found.rows
            after = found.next
            if not after:
                return rows

    async def expected(self, records: GuardedRecords, patient: str, plan: str) -> Explained:
        """Where a person stands by all records that somebody sees, worked out at this moment."""
        found = (await records.due.schedule(patient, plan)).explained
        assert isinstance(found, Explained)
        return found

    async def work(self, kind: Any, payload: Any = None) -> Any:
        """What a job of a kind does, step by step."""
        position: Any = None
        done = 0
        while True:
            async with self.pool.acquire() as connection, connection.transaction():
                job = Job(1, kind.name, "node", payload, position, done, None, 1)
                outcome = await kind.step(connection, job)
            if isinstance(outcome, Done):
                return outcome.result
            position, done = (
                msgspec.json.decode(msgspec.json.encode(outcome.position)),
                outcome.done,
            )

    async def look_again(self) -> Any:
        return await self.work(again_kind(self.keeping, self.calendar.now))

    async def renew_all(self) -> Any:
        keys = sorted(self.keeping.plans)
        async with self.pool.acquire() as connection:
            await connection.execute(
                "insert into plans.plan (plan) select unnest($1::bigint[]) on conflict do nothing",
                keys,
            )
        return await self.work(renew_kind(self.keeping, self.calendar.now), {"plans": keys})


def child(born: str, number: int | None = None, **more: Any) -> dict[str, Any]:
    """A Patient; with a number of its own, one of whom an identity number says who it is."""
    body: dict[str, Any] = {
        "resourceType": "Patient", "name": [{"text": "测试儿童"}], "birthDate": born,
        "gender": "female", **more,
    }  # fmt: skip
    if number is not None:
        value = identity_number("580101", date.fromisoformat(born), number, male=False)
        body["identifier"] = [{"system": "urn:oid:2.16.156.10011.1.3", "value": value}]
    return body


def dose(patient: str, code: str, on: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Immunization", "status": "completed",
        "vaccineCode": {"coding": [{"system": VACCINES, "code": code}]},
        "patient": {"reference": f"Patient/{patient}"}, "occurrenceDateTime": on, **more,
    }  # fmt: skip


def visit(patient: str, code: str, on: str, result: str = "", **more: Any) -> dict[str, Any]:
    body = {
        "resourceType": "Observation", "status": "final",
        "code": {"coding": [{"system": "urn:visits", "code": code}]},
        "subject": {"reference": f"Patient/{patient}"}, "effectiveDateTime": on, **more,
    }  # fmt: skip
    return {**body, "valueString": result} if result else body


def state(patient: str, code: str, since: str = "", until: str = "") -> dict[str, Any]:
    body: dict[str, Any] = {
        "resourceType": "Condition",
        "code": {"coding": [{"system": "urn:states", "code": code}]},
        "subject": {"reference": f"Patient/{patient}"},
    }
    if since:
        body["onsetDateTime"] = since
    if until:
        body["abatementDateTime"] = until
        system = "http://terminology.hl7.org/CodeSystem/condition-clinical"
        body["clinicalStatus"] = {"coding": [{"system": system, "code": "resolved"}]}
    return body
