"""Due lists of a county: how long it takes to work them out, and to list them through the guard.

    python benchmarks/due_lists.py [--persons 500000]

The invented county of `benchmarks/plans.py` is put into a scratch database: each person registered
at one of 100 institutions, every dose and visit a record (rows without bodies) that tells a fact,
and a fifth of these from another institution. Where everybody stands is worked out by what the
projection does for several persons at once. Then the lists of both plans are gone through from the
beginning to the end, 5,000 lines at a time, by the node's own account, by a vaccinator who sees
every dose, by other staff who see what their institution sent, and by a doctor whom a tenth of all
persons have permitted; every slice with its entry in the access log. Times are of the clock, of a
shared machine of two cores; in brackets the processor time of this process and of PostgreSQL.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import shutil
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from importlib import resources
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import asyncpg
import figures
import msgspec
import numpy as np
import processes
from plans import CODES, RESULTS, TODAY, county

from quanmin.base.cluster import Cluster
from quanmin.base.crypto import suite_named
from quanmin.base.keys import FileKeys
from quanmin.base.migrations import migrate, read_migrations
from quanmin.base.postgres import connect, open_pool
from quanmin.fhir.table import load_table
from quanmin.people import PersonIndex
from quanmin.records.context import Context, StoreLimits
from quanmin.records.months import ensure_months
from quanmin.records.rid import bucket_of
from quanmin.records.store import Store
from quanmin.trust import AccessLog, Actor, Guard, Notary
from quanmin.trust.deciding.grantees import Grantees
from quanmin.trust.due import Asked, DueKeeping
from quanmin.trust.due.keeping import Fact, Group, Registered
from quanmin.workflow.plans import Event, Keeper, State, declare
from quanmin.workflow.plans.mapping import Told
from quanmin.workflow.plans.population import Population, date_of

INSTITUTIONS: Final = 100
_CHUNK, _SLICE = 5000, 5000
_PATIENT, _OTHER = (load_table().types[name].number for name in ("Patient", "Immunization"))
_ZONE: Final = ZoneInfo("Asia/Shanghai")
_FACTS: Final = """
[[event]]
resource = "Immunization"
code = "vaccineCode.coding.code"
on = "occurrence.ofType(dateTime)"
"""
_RECORDS: Final = """
    insert into records.record (rid, seq, updated, patient, present, version, sender, bucket, type,
        flags)
    select rid, 0, 0, patient, 0, 1, sender, bucket, {type}::smallint, 0
    from unnest($1::bigint[], $2::bigint[], $3::int[], $4::smallint[])
        as t (rid, patient, sender, bucket)
"""
_TOLD: Final = """
    insert into plans.fact (bucket, rid, plan, type, patient, sender, version, updated, body,
        is_labelled)
    select bucket, rid, plan, {type}::smallint, patient, sender, -1, 0, '', false
    from unnest($1::bigint[], $2::bigint[], $3::int[], $4::smallint[], $5::bigint[])
        as t (rid, patient, sender, bucket, plan)
"""


def main() -> None:
    """Fill, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--persons", type=int, default=500_000)
    asyncio.run(_measure(parser.parse_args().persons))


async def _measure(persons: int) -> None:
    folder = Path(tempfile.mkdtemp(prefix="quanmin-due-"))
    folder.chmod(0o711)  # noqa: ASYNC240 - nothing else runs meanwhile
    cluster = Cluster(folder / "postgres", parameters={"shared_buffers": "512MB"})
    cluster.create()
    cluster.start()
    try:
        connection = await connect(cluster.dsn("postgres"))
        await migrate(connection, read_migrations(resources.files("quanmin.node") / "migrations"))
        await ensure_months(connection, _now())
        pool = await open_pool(cluster.dsn("postgres"), name="bench", connections_max=4)
        guard = _open_guard(pool, folder)
        await _fill(connection, guard, persons)
        started = (folder / "postgres" / "data" / "postmaster.pid").read_text()
        await _ask(guard, int(started.split()[0]))
        await pool.close()
        await connection.close()
    finally:
        cluster.stop()
        shutil.rmtree(folder)


def _now() -> int:
    at = datetime(TODAY.year, TODAY.month, TODAY.day, 9, tzinfo=_ZONE)
    return int(at.timestamp()) * 1_000_000


def _open_guard(pool: asyncpg.Pool[asyncpg.Record], folder: Path) -> Guard:
    context = Context(
        load_table(),
        FileKeys.create(folder / "keys"),
        suite_named("international"),
        prefix="q",
        zone=_ZONE,
        limits=StoreLimits(),
    )
    ticks = itertools.count(_now(), 1000)
    now = ticks.__next__
    people, due = PersonIndex(context.keying), DueKeeping(context, _plans())
    store = Store(pool, context, now, [people])
    log = AccessLog(pool, Notary(context.keys, "international", "bench"), None)
    return Guard(store, people, log, now, posts_required=False, due=due)


def _plans() -> list[Keeper]:
    files = resources.files("quanmin") / "definitions" / "plans"
    facts, activities = tomllib.loads(_FACTS), ((files / "activities.json").read_bytes(),)
    return [
        Keeper(declare(name, (files / f"{name}.json").read_bytes(), facts, activities), _ZONE)
        for name in ("immunization-2026", "hypertension-2017")
    ]


# ---- filling ----


async def _fill(connection: Any, guard: Guard, persons: int) -> None:
    people, keeping = county(persons), guard.due
    chance = np.random.default_rng(3)
    for number in range(1, INSTITUTIONS + 1):
        await guard.store.sender(f"i{number}")
    rids, records = itertools.count(persons + 1), 0
    spent = 0.0
    for first, several in _told(people):
        groups = []
        for number, told in enumerate(several, first):
            patient, sender = number + 1, 1 + number % INSTITUTIONS
            body = {"birthDate": _day(people.born[number]).isoformat(),
                    "gender": ("female", "male")[people.sex[number]]}  # fmt: skip
            facts = []
            for of_plan in keeping.plans:
                for one in told:
                    by = sender if chance.random() < 0.8 else 1 + (sender + 6) % INSTITUTIONS
                    facts.append(Fact(next(rids), of_plan, _OTHER, by, patient, one))
            groups.append(Group((Registered(patient, sender, body),), tuple(facts)))
        records += sum(len(group.facts) for group in groups)
        await _put_records(connection, groups)
        begun = time.process_time()
        await keeping.put(connection, groups, TODAY)
        spent += time.process_time() - begun
    permit = Grantees(guard.store.context.keying).named("permit", 1, "TREAT")
    await connection.execute(
        "insert into records.granted (bucket, patient, grantee, about, source)"
        " select 0, p, $1, p, p from generate_series(1, $2::bigint, 10) p",
        permit,
        persons,
    )
    await connection.execute("vacuum analyze")
    rows = await connection.fetchval("select count(*) from plans.due")
    size = await connection.fetchval(
        "select sum(pg_total_relation_size(x::regclass)) from"
        " unnest('{plans.due,plans.person,plans.fact}'::text[]) x"
    )
    print(f"{persons} persons, {records} facts, {rows} lines, {size / 2**20:.0f} MiB")
    print(f"worked out and written in columns: {spent:.0f} s of this process for all")


def _told(people: Population) -> Iterator[tuple[int, list[list[bytes]]]]:
    """What records tell of the persons, by their number, some thousands at a time."""
    found: list[list[bytes]] = [[] for _ in range(people.size)]
    events, states = people.events, people.states
    for person, code, day, detail in zip(
        events.person, events.code, events.day, events.detail, strict=True
    ):
        event = Event(_day(day), CODES[code], RESULTS[detail])
        found[person].append(msgspec.json.encode(Told(events=(event,))))
    for person, code, since in zip(states.person, states.code, states.since, strict=True):
        held = State(CODES[code], _day(since))
        found[person].append(msgspec.json.encode(Told(states=(held,))))
    for first in range(0, people.size, _CHUNK):
        yield first, found[first : first + _CHUNK]


def _day(number: Any) -> date:
    day = date_of(number)
    if day is None:
        raise ValueError("a day is missing")
    return day


async def _put_records(connection: Any, groups: Sequence[Group]) -> None:
    patients = [one for group in groups for one in group.patients]
    facts = [one for group in groups for one in group.facts]
    rids = [one.rid for one in patients]
    senders = [one.sender for one in patients]
    buckets = [bucket_of(rid) for rid in rids]
    await connection.execute(_RECORDS.format(type=_PATIENT), rids, rids, senders, buckets)
    columns = (
        [f.rid for f in facts],
        [f.patient for f in facts],
        [f.sender for f in facts],
        [bucket_of(f.patient) for f in facts],
    )
    await connection.execute(_RECORDS.format(type=_OTHER), *columns)
    await connection.execute(_TOLD.format(type=_OTHER), *columns, [f.plan for f in facts])


# ---- asking ----


async def _ask(guard: Guard, postgres: int) -> None:
    bound = figures.targets()["due_lists.all"].value
    print(f"load {processes.load()}; all of a county's list is to take {bound:g} s at most")
    own = Actor("w", "public_health_worker", "Worker", "i7")
    doctor = Actor("d", "doctor", "Doctor", "i1")
    vaccinator = msgspec.structs.replace(own, duties=frozenset({"immunization"}))
    for name, actor, institution in (
        ("all, by the node's own account", Actor("n", "operator", "Node", "node"), ""),
        ("all, by a vaccinator, who sees every dose", vaccinator, ""),
        ("of one of 100 institutions, by a vaccinator", vaccinator, "i7"),
        ("of one of 100 institutions, by its other staff", own, "i7"),
        ("of one institution, by a doctor whom a tenth of all have permitted", doctor, "i1"),
    ):
        for plan in guard.due.named:
            purpose = "PUBHLTH" if actor is vaccinator else "TREAT"
            records = guard.records(actor, purpose=purpose, request_id="r")
            asked = Asked(plan=plan, institution=institution)

            async def first(records: Any = records, asked: Asked = asked) -> int:
                found = await records.due.slice(asked, count=50, with_patients=False)
                return len(found.rows)

            async def whole(records: Any = records, asked: Asked = asked) -> int:
                rows, after = 0, ""
                while True:
                    found = await records.due.slice(
                        asked, count=_SLICE, after=after, with_patients=False
                    )
                    rows, after = rows + len(found.rows), found.next
                    if not after:
                        return rows

            async def counted(records: Any = records, asked: Asked = asked) -> int:
                return sum((await records.due.counts(asked)).values())

            print(f"{name}: {plan}")
            for what, work in (("first 50", first), ("all", whole), ("counts", counted)):
                await _timed(what, work, postgres)
    print(f"load {processes.load()}")


async def _timed(what: str, work: Callable[[], Any], postgres: int) -> None:
    before = processes.used(postgres).postgres
    wall, spent = time.perf_counter(), time.process_time()
    rows = await work()
    spent, wall = time.process_time() - spent, time.perf_counter() - wall
    there = processes.used(postgres).postgres - before
    print(f"  {what}: {rows} in {wall:.2f} s ({spent:.2f} and {there:.2f} s)")


if __name__ == "__main__":
    main()
