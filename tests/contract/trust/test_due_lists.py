"""Due lists say of everybody what their records say, whatever is written and whatever day it is."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from falling_due import ZONE, Lists, child, dose, state, visit
from persons import consent, query, to_institution

from quanmin.fhir.json import decode
from quanmin.trust import GuardedRecords
from quanmin.trust.due import STATUSES, reading
from quanmin.workflow.plans import Item, Keeper, due_items, facts_of
from quanmin.workflow.plans.lines import died

BORN = ("2025-11-30", "2026-02-28", "2024-02-29", "1980-05-31")
SENDERS = ("a", "b", "c")
VERY_SECRET = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "V",
}  # fmt: skip
Line = tuple[str, str, str, Any, Any, Any, Any, str]


@pytest.fixture
async def lists(pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path) -> Lists:
    return Lists(pool, tmp_path)


class Model:
    """What was written, and what follows from it for one who sees some senders' records."""

    def __init__(self, lists: Lists, chance: random.Random) -> None:
        self.lists, self.chance = lists, chance
        self.persons: list[int] = []
        self.patients: dict[str, tuple[int, str, dict[str, Any]]] = {}
        self.records: dict[str, tuple[str, dict[str, Any]]] = {}

    async def register(self, person: int, sender: str, **more: Any) -> str:
        body = child(BORN[person % len(BORN)], 101 + 2 * person, **more)
        id_ = await self.lists.send(sender, body)
        self.patients[id_] = (person, sender, body)
        return id_

    async def change(self, id_: str, **more: Any) -> None:
        person, sender, body = self.patients[id_]
        body = {name: value for name, value in {**body, **more}.items() if value not in ([], "")}
        await self.lists.send(sender, body, id_)
        self.patients[id_] = (person, sender, body)

    async def tell(self, id_: str, body: dict[str, Any], record: str = "") -> str:
        sender = self.patients[id_][1]
        written = await self.lists.send(sender, body, record)
        self.records[written] = (sender, body)
        return written

    async def forget(self, record: str) -> None:
        sender, body = self.records.pop(record)
        await self.lists.asking("institution", sender).delete(body["resourceType"], record)

    def someday(self) -> str:
        return (self.lists.calendar.today - timedelta(self.chance.randrange(-40, 220))).isoformat()

    def something(self, id_: str) -> dict[str, Any]:
        body = self.anything(id_)
        if self.chance.random() < 0.15:
            body["meta"] = {"security": [VERY_SECRET]}
        return body

    def anything(self, id_: str) -> dict[str, Any]:
        chance, on = self.chance, self.someday()
        match chance.randrange(4):
            case 0 | 1:
                code = chance.choice(("hepb", "bcg", "dtap", "mmr", "ipv", "not-of-the-plan"))
                status = chance.choice(("completed", "completed", "entered-in-error"))
                return dose(id_, code, on, status=status)
            case 2:
                code = chance.choice(("hypertension-visit", "blood-pressure"))
                return visit(id_, code, on, chance.choice(("", "satisfied", "unsatisfied")))
            case _:
                code = chance.choice(("acute-illness", "immunodeficiency", "hypertension"))
                end = (date.fromisoformat(on) + timedelta(chance.randrange(60))).isoformat()
                return state(id_, code, on, chance.choice((end, "")))

    async def happen(self) -> None:
        """Something is written, corrected, moved or deleted, or days pass."""
        chance, known = self.chance, sorted(self.patients)
        id_ = chance.choice(known)
        match chance.randrange(12):
            case 0 if self.records:
                await self.forget(chance.choice(sorted(self.records)))
            case 1 | 2 if self.records:
                record = chance.choice(sorted(self.records))
                sender, old = self.records[record]
                own = sorted(one for one in known if self.patients[one][1] == sender)
                if own:
                    bodies = (self.something(chance.choice(own)) for _ in range(50))
                    same = (one for one in bodies if one["resourceType"] == old["resourceType"])
                    await self.tell(own[0], next(same), record)
            case 3:
                self.lists.calendar.turn(
                    self.lists.calendar.today + timedelta(chance.choice((1, 1, 7, 30, 200)))
                )
                await self.lists.look_again()
            case 4:
                number = chance.randrange(4) + 101 if chance.random() < 0.4 else None
                person = self.patients[id_][0]
                if number is None:  # a registration by which nobody knows who it is
                    await self.change(id_, identifier=[])
                else:
                    await self.change(id_, **child(BORN[person % len(BORN)], 101 + 2 * person))
            case 5:
                await self.change(id_, active=chance.random() < 0.5)
            case 6 if chance.random() < 0.3:
                await self.change(id_, deceasedDateTime=self.someday())
            case 7:
                await self.register(chance.randrange(4), chance.choice(SENDERS))
            case _:
                await self.tell(id_, self.something(id_))

    def expected(self, senders: Iterable[str], plan: int) -> list[Line]:
        """Every line of the persons of whom these senders told, by what they told."""
        keeper = self.lists.plans[plan]
        persons: dict[Any, list[str]] = {}
        for id_, (person, sender, body) in self.patients.items():
            if sender in senders:
                key = person if body.get("identifier") else id_
                persons.setdefault(key, []).append(id_)
        found: list[Line] = []
        for ids in persons.values():
            bodies = [self.patients[one][2] for one in ids]
            told = [
                body
                for sender, body in self.records.values()
                if sender in senders and _about(body) in ids
            ]
            found += self._lines(keeper, bodies, told)
        return sorted(found, key=str)

    async def listed(self, records: GuardedRecords, plan: int, institution: str = "") -> list[Line]:
        keeper = self.lists.plans[plan]
        rows = await self.lists.listed(
            records, keeper.code, statuses=STATUSES, institution=institution
        )
        orders = [(row.line.due, row.rid) for row in rows]
        assert orders == sorted(orders)
        today = self.lists.calendar.today
        return sorted((_line(keeper.item(row.line, today)) for row in rows), key=str)

    async def permit(self) -> None:
        """Somebody opens a part of a record to an institution, or closes it."""
        chance, id_ = self.chance, self.chance.choice(sorted(self.patients))
        records = [one for one, (_, body) in self.records.items() if _about(body) == id_]
        provision: dict[str, Any] = {
            "type": chance.choice(("permit", "permit", "deny")),
            "actor": to_institution(chance.choice(SENDERS)),
        }
        if records and chance.random() < 0.4:
            one = chance.choice(records)
            address = {"reference": f"{self.records[one][1]['resourceType']}/{one}"}
            provision["data"] = [{"meaning": "instance", "reference": address}]
        elif chance.random() < 0.7:
            types = ("Patient", "Immunization", "Condition", "Observation")
            chosen = chance.sample(types, chance.choice((1, 2, 3)))
            provision["class"] = [{"code": one} for one in chosen]
        body = json.dumps(consent(id_, **provision)).encode()
        await self.lists.asking("operator").create("Consent", body)

    async def expected_of(
        self, records: GuardedRecords, plan: int, institution: str = ""
    ) -> list[Line]:
        """Every line of whoever sees these records, by what a search finds; with `institution` of
        those whom it has registered.
        """
        keeper, found = self.lists.plans[plan], []
        seen = [
            decode(one.body or b"")
            for type_ in sorted(keeper.types)
            for one in (await records.search(query(self.lists.guard, type_, _count="500"))).matches
        ]
        persons: dict[Any, list[dict[str, Any]]] = {}
        for body in seen:
            if body["resourceType"] == "Patient":
                number = str(body.get("identifier")) if body.get("identifier") else body["id"]
                persons.setdefault(number, []).append(body)
        for bodies in persons.values():
            ids = {one["id"] for one in bodies}
            open_at = {self.patients[one["id"]][1] for one in bodies if one.get("active", True)}
            if institution and institution not in open_at:
                continue
            told = [one for one in seen if one["resourceType"] != "Patient" and _about(one) in ids]
            found += self._lines(keeper, bodies, told)
        return sorted(found, key=str)

    def _lines(
        self, keeper: Keeper, bodies: list[dict[str, Any]], told: list[dict[str, Any]]
    ) -> list[Line]:
        """Where a person stands of whom there are these registrations and records."""
        today = self.lists.calendar.today
        facts = facts_of(keeper.declared.table, bodies[0], told, ZONE)
        ends = [died(one, ZONE) for one in bodies]
        is_gone = any(end is not None and end <= today for end in ends)
        if facts is None or is_gone or all(one.get("active") is False for one in bodies):
            return []
        items = due_items(keeper.declared.plan, facts.facts, today)
        return [_line(one) for one in items if one.status in STATUSES]


def _about(body: dict[str, Any]) -> str:
    subject = body.get("subject") or body["patient"]
    return str(subject["reference"]).removeprefix("Patient/")


def _line(item: Item) -> Line:
    return (item.series, item.turn, item.status, item.earliest, item.due, item.overdue, item.last,
            item.escalated_to)  # fmt: skip


# With 9 somebody opens a record and not the registration that it is of.
@pytest.mark.parametrize("seed", [0, 9])
async def test_lists_follow_whatever_happens(
    lists: Lists, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So that the lines of an institution are walked in several goes.
    monkeypatch.setattr(reading, "_BESIDE", -5)
    model = Model(lists, random.Random(seed))  # noqa: S311 - no secret
    for person in range(4):
        for sender in SENDERS[: 1 + person % 3]:
            await model.register(person, sender)
    for number in range(40):
        await model.happen()
        if number % 5 == 4:
            for plan in (0, 1):
                operator = lists.asking("operator")
                assert await model.listed(operator, plan) == model.expected(SENDERS, plan)
                for sender in SENDERS:
                    own = lists.asking("institution", sender)
                    assert await model.listed(own, plan) == model.expected(sender, plan)
    for _ in range(25):
        await model.permit()
    partly = 0
    for sender in SENDERS:
        some = lists.asking("institution", sender)
        for plan in (0, 1):
            seen = await model.listed(some, plan)
            assert seen == await model.expected_of(some, plan)
            for one in SENDERS:
                expected = await model.expected_of(some, plan, one)
                assert await model.listed(some, plan, one) == expected
            partly += seen not in (model.expected(sender, plan), model.expected(SENDERS, plan))
    assert partly or seed, "somebody sees more than one institution sent, and not all"
    before = [await model.listed(lists.asking("operator"), plan) for plan in (0, 1)]
    await lists.renew_all()
    assert [await model.listed(lists.asking("operator"), plan) for plan in (0, 1)] == before
    assert all(before)
