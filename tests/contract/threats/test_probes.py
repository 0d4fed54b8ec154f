"""Hidden records change neither how a question is carried out nor what it opens (probes.toml): the
statements that are sent, their plans, and the rows they read are compared with and without them.
"""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg
import msgspec
import pytest
from contract.proof.examination import IS_WHOLE
from hunting import ICD, SECRET, SECRETS, Place, opened
from persons import NUMBER
from stores import IDENTITY_NUMBERS, bundle

from quanmin.records import reading
from quanmin.records.context import Context

PROBES: list[dict[str, Any]] = tomllib.loads(
    Path(__file__).with_name("probes.toml").read_text("utf-8")
)["probe"]
ROLE = "institution"
MORE = 30
_READS = re.compile(r"[\s(]*(select|with)\b")


class Carried(msgspec.Struct, frozen=True):
    """How a question was carried out: the plan of each statement, what it read and left out, how
    many rows came to the program, how many bodies were opened, and how often grants were read.
    """

    plans: tuple[str, ...]
    rows: tuple[tuple[int, int], ...]
    given: tuple[int, ...]
    opened: tuple[int, ...]
    grants: int


def shape(plan: dict[str, Any]) -> Any:
    """What a plan does, without its numbers."""
    said = {key: plan[key] for key in ("Node Type", "Relation Name", "Index Name") if key in plan}
    return [said, [shape(part) for part in plan.get("Plans", ())]]


def touched(plan: dict[str, Any]) -> tuple[int, int]:
    """Rows that the nodes of a plan gave, and rows that their filters removed."""
    given = int(plan["Actual Rows"] * plan["Actual Loops"])
    removed = sum(int(plan[key]) for key in plan if key.startswith("Rows Removed"))
    for part in plan.get("Plans", ()):
        more_given, more_removed = touched(part)
        given, removed = given + more_given, removed + more_removed
    return given, removed


class Watching:
    """Notes what is asked of records, and explains it afterwards in the state that was seen."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, pool: asyncpg.Pool[Any]) -> None:
        self.pool = pool
        self.sent: list[tuple[str, list[object]]] = []
        self.given: list[int] = []
        self.opened: list[int] = []
        self.grants = 0
        execute = asyncpg.Connection._execute  # type: ignore[attr-defined]  # all reads go there
        opening, granting = Context.open, reading.grants_of

        async def noting_statements(
            connection: asyncpg.Connection[Any], text: str, arguments: Any, *more: Any, **named: Any
        ) -> Any:
            found = await execute(connection, text, arguments, *more, **named)
            if _READS.match(text) and "records." in text:
                self.sent.append((text, list(arguments)))
                self.given.append(len(found))
            return found

        async def noting_open(context: Context, connection: Any, found: Any, **more: Any) -> Any:
            self.opened.append(len(found))
            return await opening(context, connection, found, **more)

        async def noting_grants(connection: Any, patient: int, *permitting: Any) -> Any:
            self.grants += 1
            return await granting(connection, patient, *permitting)

        monkeypatch.setattr(reading, "grants_of", noting_grants)
        monkeypatch.setattr(asyncpg.Connection, "_execute", noting_statements)
        monkeypatch.setattr(Context, "open", noting_open)

    async def carried(self, place: Place, asks: str) -> Carried:
        self.sent, self.given, self.opened, self.grants = [], [], [], 0
        answer = await place.clients[ROLE].get(f"/{asks}")
        assert answer.status_code in {200, 404}, answer.text
        plans, numbers = [], []
        async with self.pool.acquire() as connection:
            for text, arguments in self.sent:
                told = await connection.fetchval(
                    f"explain (analyze, timing off, format json) {text}", *arguments
                )
                plan = json.loads(told)[0]["Plan"]
                plans.append(json.dumps(shape(plan)))
                numbers.append(touched(plan))
        given, bodies = tuple(self.given), tuple(self.opened)
        return Carried(tuple(plans), tuple(numbers), given, bodies, self.grants)


async def plant_more(place: Place) -> None:
    """As many again of the same kind, so that what is met of them shows."""
    one = {**place.secret(), "id": None}
    one.pop("id")
    entries = [
        {"resource": one, "request": {"method": "POST", "url": "Condition"}} for _ in range(MORE)
    ]
    answer = await place.clients["hospital-b"].post("", content=bundle("transaction", *entries))
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("kind", SECRETS if IS_WHOLE else [*SECRETS][::2])
async def test_hidden_records_change_no_plan_and_open_no_row(
    kind: str,
    pool: asyncpg.Pool[asyncpg.Record],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watching = Watching(monkeypatch, pool)
    async with opened(pool, tmp_path, SECRETS[kind]) as place:
        names = {
            "here": place.here,
            "there": place.there,
            "secret": SECRET,
            "code": quote(f"{ICD}|{place.kind.code}"),
            "number": quote(f"{IDENTITY_NUMBERS}|{NUMBER}"),
        }
        asked = {one["name"]: one["asks"].format(**names) for one in PROBES}

        async def all_carried() -> dict[str, Carried]:
            return {name: await watching.carried(place, asks) for name, asks in asked.items()}

        await all_carried()  # what a process learns once is learned
        before = await all_carried()
        await place.plant()
        await plant_more(place)
        after = await all_carried()
    faults = []
    for probe in PROBES:
        name = probe["name"]
        one, other = before[name], after[name]
        if one.plans != other.plans:
            faults.append(f"{name}: other plans")
        if one.grants != other.grants:
            faults.append(f"{name}: grants read {one.grants} {other.grants} times")
        if one.opened != other.opened:
            faults.append(f"{name}: bodies opened {one.opened} {other.opened}")
        if one.rows != other.rows:
            faults.append(f"{name}: rows {one.rows} {other.rows}")
    assert not faults, "\n".join(faults)
    assert all(one.plans for one in before.values())
