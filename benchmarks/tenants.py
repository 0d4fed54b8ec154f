"""What walls between tenants cost: the same questions of the same records, put by the owner of the
tables, whom no wall binds, and by the account that answers requests, before and after a node is
divided.

    python -m benchmarks.tenants [--records N] [--rounds N]

Each of two counties has N results of 500 patients. Every question goes through the guard, in turn
to each side, so that what else the machine does slows all; what is told is the processor time of
this process and of PostgreSQL together, the median of the rounds, and the median of the ratios to
the owner's in the same round.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from importlib import resources
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.processes import used
from quanmin.base.cluster import WORKER, Cluster
from quanmin.base.crypto import suite_named
from quanmin.base.keys import FileKeys
from quanmin.base.migrations import migrate, read_migrations
from quanmin.base.postgres import connect, open_pool
from quanmin.fhir.grammar import QueryLimits, parse_query
from quanmin.fhir.table import load_table
from quanmin.node.walls import admit_worker, raise_walls, seal_walls
from quanmin.people import PersonIndex
from quanmin.records.adoption import adopt_rules
from quanmin.records.context import Context, StoreLimits
from quanmin.records.months import ensure_months
from quanmin.records.store import Store
from quanmin.records.walls import Walls
from quanmin.trust import AccessLog, Actor, Guard, GuardedRecords, Notary, grant_projections
from quanmin.trust.log.lanes import ensure_lanes
from quanmin.trust.registers.entry import OPEN_END
from quanmin.trust.registers.tenants import Tenant, Tenants

PATIENTS = 500
SENDERS_A_COUNTY = 200
_KEY = b"key of the walls of a bench node"
_CALLS = 30
_ZONE = ZoneInfo("Asia/Shanghai")


class Side(msgspec.Struct, frozen=True):
    """One way to come to records: who asks, and what they know of them."""

    name: str
    records: GuardedRecords
    patients: list[str]
    results: list[str]


def main() -> None:
    """Fill, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=9)
    asked = parser.parse_args()
    table = Table("what", "owner, us", "worker, undivided", "worker, divided")
    for row in asyncio.run(measure(asked.records, asked.rounds)):
        table.add_row(*row)
    Console().print(table)


async def measure(records: int, rounds: int) -> list[tuple[str, ...]]:
    """A row for each question."""
    folder = Path(tempfile.mkdtemp(prefix="quanmin-tenants-"))
    folder.chmod(0o711)  # noqa: ASYNC240 - nothing else runs meanwhile
    cluster = Cluster(folder / "postgres", parameters={"shared_buffers": "512MB"})
    cluster.create()
    cluster.start()
    pools: list[asyncpg.Pool[Any]] = []
    try:
        sides = await _sides(cluster, folder, records, pools)
        return [await _row(name, ask, sides, rounds) for name, ask in QUESTIONS.items()]
    finally:
        for pool in pools:
            await pool.close()
        cluster.stop()
        shutil.rmtree(folder)


async def _row(name: str, ask: Ask, sides: list[Side], rounds: int) -> tuple[str, ...]:
    spent: dict[str, list[float]] = {side.name: [] for side in sides}
    for number in range(rounds + 1):
        for side in sides:
            before = used(os.getpid())
            for call in range(_CALLS):
                await ask(side, number * _CALLS + call)
            after = used(os.getpid()).since(before)
            if number:
                spent[side.name].append((after.python + after.postgres) / _CALLS * 1e6)
    owner = spent[sides[0].name]
    told = [f"{statistics.median(owner):.0f}"]
    for side in sides[1:]:
        ratios = [mine / theirs for mine, theirs in zip(spent[side.name], owner, strict=True)]
        told.append(f"{statistics.median(ratios):.2f}")
    return name, *told


async def _sides(
    cluster: Cluster, folder: Path, records: int, pools: list[asyncpg.Pool[Any]]
) -> list[Side]:
    connection = await connect(cluster.dsn("postgres"))
    await connection.execute("create database plain")
    await connection.close()
    context = _context(folder)
    connection = await connect(cluster.dsn("plain"))
    await migrate(connection, read_migrations(resources.files("quanmin.node") / "migrations"))
    now = time.time_ns() // 1000
    await ensure_months(connection, now)
    await adopt_rules(connection)
    await ensure_lanes(connection, Notary(context.keys, "international", "bench"), now)
    await seal_walls(connection, _KEY)
    await admit_worker(connection, WORKER, cluster.worker_passfile)
    await connection.close()
    filler = await open_pool(cluster.dsn("plain"), name="bench", connections_max=2)
    patients, results = await _fill(_guard(filler, context, None), records)
    await filler.execute("vacuum analyze")
    await filler.close()
    connection = await connect(cluster.dsn("postgres"))
    await connection.execute("create database divided template plain")
    await connection.close()
    await _divide(cluster)
    sides = []
    for name, dsn, walls in (
        ("owner", cluster.dsn("plain"), None),
        ("undivided", cluster.worker_dsn("plain"), Walls(_KEY)),
        ("divided", cluster.worker_dsn("divided"), Walls(_KEY)),
    ):
        pool = await open_pool(dsn, name="bench", connections_max=2)
        pools.append(pool)
        guard = _guard(pool, _context(folder), walls)
        actor = Actor("a", "institution", "A", "east-0")
        asking = guard.records(actor, purpose="TREAT", request_id="r")
        sides.append(Side(name, asking, patients, results))
    return sides


def _context(folder: Path) -> Context:
    keys = folder / "keys"
    return Context(
        load_table(),
        FileKeys(keys) if keys.exists() else FileKeys.create(keys),
        suite_named("international"),
        prefix="q",
        zone=_ZONE,
        limits=StoreLimits(),
    )


def _guard(pool: asyncpg.Pool[Any], context: Context, walls: Walls | None) -> Guard:
    people = PersonIndex(context.keying)
    clock = itertools.count(time.time_ns() // 1000, 1000)
    projections = [people, *grant_projections(people, context)]
    store = Store(pool, context, lambda: next(clock), projections, walls=walls)
    log = AccessLog(pool, Notary(context.keys, "international", "bench"), None)
    return Guard(store, people, log, lambda: next(clock))


async def _fill(guard: Guard, records: int) -> tuple[list[str], list[str]]:
    mine: tuple[list[str], list[str]] = ([], [])
    for county in ("east", "west"):
        for sender in range(SENDERS_A_COUNTY):  # those that only make the register what it is
            await guard.store.sender(f"{county}-{sender}")
        actor = Actor(county, "institution", county, f"{county}-0")
        asking = guard.records(actor, purpose="TREAT", request_id="r")
        patients = await _send(asking, [_patient(n) for n in range(PATIENTS)])
        results: list[str] = []
        for first in range(0, records, 500):
            bodies = [_result(patients[n % PATIENTS], n) for n in range(first, first + 500)]
            results += await _send(asking, bodies)
        if county == "east":
            mine = (patients, results)
    return mine


async def _send(asking: GuardedRecords, bodies: list[dict[str, Any]]) -> list[str]:
    entries = [
        {"resource": body, "request": {"method": "POST", "url": body["resourceType"]}}
        for body in bodies
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    _, outcomes = await asking.bundle(json.dumps(bundle).encode())
    return [one.stored.id for one in outcomes if one.stored is not None]


def _patient(number: int) -> dict[str, Any]:
    identifier = {"system": "urn:bench", "value": str(number)}
    return {"resourceType": "Patient", "identifier": [identifier], "birthDate": "1980-01-01"}


def _result(patient: str, number: int) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": f"c{number % 20}"}]},
        "subject": {"reference": f"Patient/{patient}"},
        "effectiveDateTime": f"2025-{1 + number % 12:02}-{1 + number % 28:02}",
        "valueQuantity": {"value": number % 1000 / 10, "unit": "mmol/L"},
    }


async def _divide(cluster: Cluster) -> None:
    owner = await open_pool(cluster.dsn("divided"), name="bench", connections_max=2)
    async with owner.acquire() as connection:
        await admit_worker(connection, WORKER, cluster.worker_passfile)
        await raise_walls(connection, WORKER, lambda _: None, grace_seconds=0)
    tenants = Tenants(owner)
    for code, division in (("east", "330106"), ("west", "330108")):
        await tenants.declare(Tenant(code, code, code, division, None, 0, OPEN_END, "b"), at=0)
        for sender in range(SENDERS_A_COUNTY):
            name = f"{code}-{sender}"
            await tenants.assign(name, code, since=0, until=OPEN_END, at=0, by="b")
    await owner.execute("vacuum analyze")
    await owner.close()


Ask = Callable[[Side, int], Awaitable[object]]


def _search(type_: str, **terms: str) -> Ask:
    async def ask(side: Side, number: int) -> object:
        told = {
            name.replace("__", "."): value.format(
                patient=side.patients[number % PATIENTS], n=number
            )
            for name, value in terms.items()
        }
        query = parse_query(type_, [*told.items()], strict=True, zone=_ZONE, limits=QueryLimits())
        return await side.records.search(query)

    return ask


async def _read(side: Side, number: int) -> object:
    return await side.records.read("Observation", side.results[number])


async def _create(side: Side, number: int) -> object:
    body = _result(side.patients[number % PATIENTS], number)
    return await side.records.create("Observation", json.dumps(body).encode())


async def _transaction(side: Side, number: int) -> object:
    return await _send(side.records, [_result(side.patients[number % PATIENTS], number)] * 20)


async def _history(side: Side, number: int) -> object:
    return await side.records.history("Observation", side.results[number], count=10)


QUESTIONS: dict[str, Ask] = {
    "read": _read,
    "history": _history,
    "patient, newest 20": _search("Observation", patient="{patient}", _sort="-date"),
    "patient and code": _search("Observation", patient="{patient}", code="c3"),
    "code, newest 20": _search("Observation", code="c7", _sort="-date"),
    "code, counted": _search("Observation", code="c7", _summary="count"),
    "code and value": _search(
        "Observation", **{"code": "c7", "value-quantity": "gt99.5|http://unitsofmeasure.org|"}
    ),
    "value": _search("Observation", **{"value-quantity": "gt99.8"}),
    "date": _search("Observation", date="2025-03-03"),
    "identifier": _search("Patient", identifier="urn:bench|17"),
    "chain": _search("Observation", patient__identifier="urn:bench|17"),
    "has": _search("Patient", **{"_has:Observation:patient:code": "c7", "_count": "20"}),
    "create": _create,
    "transaction of 20": _transaction,
}


if __name__ == "__main__":
    main()
