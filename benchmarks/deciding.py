"""What deciding costs: compiling the rules, and reading through what comes out of it.

    python benchmarks/deciding.py [--records N] [--grants N]

A scratch database is filled by SQL: a million Observations of 100,000 patients from 100
institutions, and 500,000 grants. Asked are one person's newest records, the newest 50 of a code,
and the count of all that is visible; by the node's own account, and by a doctor whom a tenth of the
persons have permitted and of whom a hundredth has refused everybody. Times are of the database.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import tempfile
import time
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import asyncpg
from rich.console import Console
from rich.table import Table

from quanmin.base.cluster import Cluster
from quanmin.base.migrations import migrate, read_migrations
from quanmin.base.postgres import connect
from quanmin.fhir.table import load_table
from quanmin.records.keying import Keying
from quanmin.records.search.reader import Statement
from quanmin.records.visibility import Both, OfPatient, Visibility, narrow_to_type
from quanmin.records.visibility_sql import visibility_sql
from quanmin.trust import Actor
from quanmin.trust.deciding import Deciding, Grants, Ground, InUse
from quanmin.trust.deciding.grantees import Grantees

KEYING = Keying(b"k" * 32)
OBSERVATION = load_table().types["Observation"].number
PATIENTS, INSTITUTIONS, CODE = 100_000, 100, 7
NOW = 1_790_000_000_000_000
DOCTOR = Actor("doctor", "doctor", "Doctor", "one")
OPERATOR = Actor("node", "operator", "Node", "node")
_ROUNDS = 7


def main() -> None:
    """Fill, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--grants", type=int, default=500_000)
    asked = parser.parse_args()
    table = Table("what", "figure")
    for name, figure in compile_figures():
        table.add_row(name, figure)
    for name, figure in asyncio.run(database_figures(asked.records, asked.grants)):
        table.add_row(name, figure)
    Console().print(table)


def compile_figures() -> list[tuple[str, str]]:
    """Microseconds of processor time to compile the rights of each kind of actor."""
    deciding, found = Deciding(KEYING), []
    for role in ("operator", "institution", "doctor", "resident"):
        actor = Actor("a", role, "A", "a")  # type: ignore[arg-type]  # a role
        numbers = frozenset(deciding.grantees(actor, "TREAT", 1, NOW))
        for name, granted in (("nothing granted", InUse()), ("all granted", InUse(numbers))):
            best = min(_compile(deciding, actor, granted) for _ in range(_ROUNDS))
            found.append((f"compile {role}, {name}", f"{best * 1e6:.0f} us"))
    return found


def _compile(deciding: Deciding, actor: Actor, granted: InUse) -> float:
    number = 500
    started = time.process_time()
    for at in range(number):
        deciding.compile(actor, "TREAT", Ground(1, at=NOW + at, granted=granted))
    return (time.process_time() - started) / number


async def database_figures(records: int, grants: int) -> list[tuple[str, str]]:
    """Milliseconds of what is asked of a scratch database."""
    folder = Path(tempfile.mkdtemp(prefix="quanmin-deciding-"))
    folder.chmod(0o711)  # noqa: ASYNC240 - nothing else runs meanwhile
    cluster = Cluster(folder / "postgres", parameters={"shared_buffers": "256MB"})
    cluster.create()
    cluster.start()
    try:
        connection = await connect(cluster.dsn("postgres"))
        await migrate(connection, read_migrations(resources.files("quanmin.node") / "migrations"))
        await _fill(connection, records, grants)
        found = await _ask(connection)
        await connection.close()
        return found
    finally:
        cluster.stop()
        shutil.rmtree(folder)


async def _fill(connection: asyncpg.Connection, records: int, grants: int) -> None:
    await connection.execute(
        "insert into records.record (rid, seq, updated, patient, low, present, version, sender,"
        " bucket, type, flags, tokens) select i, 0, i, 1 + i % $2, i, 0, 1, 2 + (i / 7) % $3, 0,"
        " $4, 0, array[(i / 11) % 50] from generate_series(1::bigint, $1) i",
        records,
        PATIENTS,
        INSTITUTIONS,
        OBSERVATION,
    )
    mine = Grantees(KEYING)
    permit, refuse = mine.named("permit", 1, "TREAT"), mine.named("refuse", "*", "*")
    spread = (
        "insert into records.granted (bucket, patient, grantee, about, source)"
        " select 0, p, $1, p, p from generate_series(1, $2::bigint, $3) p"
    )
    await connection.execute(spread, permit, PATIENTS, 10)
    await connection.execute(spread, refuse, PATIENTS, 100)
    left = grants - PATIENTS // 10 - PATIENTS // 100
    await connection.execute(
        "insert into records.granted (bucket, patient, grantee, about, source)"
        " select 0, 1 + i * 7919 % $2, 1000 + i % 1000, 1 + i * 7919 % $2, i"
        " from generate_series(1, $1::bigint) i on conflict do nothing",
        left,
        PATIENTS,
    )
    await connection.execute("vacuum analyze")


async def _ask(connection: asyncpg.Connection) -> list[tuple[str, str]]:
    deciding = Deciding(KEYING)
    numbers = deciding.grantees(DOCTOR, "TREAT", 1, NOW)
    granted = await Grants(lambda _: connection).to(numbers, None)
    doctor = deciding.compile(DOCTOR, "TREAT", Ground(1, at=NOW, granted=granted)).whole
    everything = deciding.compile(OPERATOR, "TREAT", Ground(0, at=NOW)).whole
    one = Both((OfPatient(frozenset({11})), doctor))
    found = [("which grants there are", await _probing(connection, numbers))]
    newest = " order by r.low desc nulls last limit 50"
    for name, seen, before, after in (
        ("one person under consent", one, "select r.rid", newest),
        ("newest 50 of a code, everything", everything, _OF_CODE, newest),
        ("newest 50 of a code, doctor", doctor, _OF_CODE, newest),
        ("count of a code, everything", everything, _COUNT_OF_CODE, ""),
        ("count of a code, doctor", doctor, _COUNT_OF_CODE, ""),
        ("count of all, everything", everything, "select count(*)", ""),
        ("count of all, doctor", doctor, "select count(*)", ""),
    ):
        text, arguments = _statement(seen, before, after)
        found.append((name, await _times(connection, text, arguments)))
    return found


_OF_CODE = "select r.rid /* code */"
_COUNT_OF_CODE = "select count(*) /* code */"


def _statement(seen: Visibility, before: str, after: str) -> tuple[str, Sequence[Any]]:
    statement = Statement()
    condition = visibility_sql(narrow_to_type(seen, "Observation"), statement.bind, "r")
    of_code = f" and r.tokens && array[{CODE}]::bigint[]" if "code" in before else ""
    text = (
        f"{before} from records.record r where r.type = {OBSERVATION}::smallint"
        f" and r.flags & 1 <> 1{of_code} and {condition}{after}"
    )
    return text, statement.arguments


async def _probing(connection: asyncpg.Connection, numbers: Sequence[int]) -> str:
    times = []
    for _ in range(100):
        started = time.perf_counter()
        await Grants(lambda _: connection).to(numbers, None)
        times.append((time.perf_counter() - started) * 1000)
    return _told(times)


def _told(times: list[float]) -> str:
    times.sort()
    return f"p50 {times[len(times) // 2]:.2f} ms, p99 {times[int(len(times) * 0.99)]:.2f} ms"


async def _times(connection: asyncpg.Connection, text: str, arguments: Sequence[Any]) -> str:
    times = []
    for _ in range(100 if "limit" in text else _ROUNDS):
        started = time.perf_counter()
        await connection.fetch(text, *arguments)
        times.append((time.perf_counter() - started) * 1000)
    return _told(times)


if __name__ == "__main__":
    main()
