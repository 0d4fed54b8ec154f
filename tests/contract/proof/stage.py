"""The real store behind the real guard, filled once, asked many times, for tests that compare."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import msgspec
from databases import administer
from stores import open_context, open_guard

from quanmin.base.cluster import Cluster
from quanmin.base.postgres import open_pool
from quanmin.fhir.grammar import QueryLimits, parse_query
from quanmin.fhir.query import Query
from quanmin.records.context import Context
from quanmin.trust import Actor, Guard, GuardedRecords, Stored

BUNDLE_ENTRIES = 250
OPERATOR = Actor(code="prover", role="operator", name="prover", sender="prover")

_numbers = itertools.count(1)


class Stage:
    """A guard on a database of its own, and a loop to use it from plain tests."""

    def __init__(
        self, runner: asyncio.Runner, pool: asyncpg.Pool[asyncpg.Record], context: Context
    ) -> None:
        self.runner = runner
        self.pool = pool
        self.context = context
        self.guard: Guard = open_guard(pool, context)

    def records(self, actor: Actor = OPERATOR) -> GuardedRecords:
        """The door's inner side."""
        return self.guard.records(actor, purpose="TREAT", request_id="proof")

    def put(self, bodies: Iterable[tuple[str, str, bytes]], actor: Actor = OPERATOR) -> None:
        """Store resources (type, id, body) under their own ids, Patients before the others."""
        ordered = sorted(bodies, key=lambda item: item[0] != "Patient")
        self.runner.run(self._put(ordered, actor))

    async def _put(self, bodies: list[tuple[str, str, bytes]], actor: Actor) -> None:
        for start in range(0, len(bodies), BUNDLE_ENTRIES):
            several = bodies[start : start + BUNDLE_ENTRIES]
            entries = b",".join(_put_entry(*body) for body in several)
            bundle = b'{"resourceType":"Bundle","type":"transaction","entry":[%s]}' % entries
            await self.records(actor).bundle(bundle)
        await self.pool.execute("analyze")

    def try_to_put(self, bodies: list[tuple[str, str, bytes]]) -> list[int]:
        """Store what can be stored, each for itself; the status of each."""
        entries = b",".join(_put_entry(*body) for body in bodies)
        batch = b'{"resourceType":"Bundle","type":"batch","entry":[%s]}' % entries
        _, outcomes = self.runner.run(self.records().bundle(batch))
        return [outcome.status for outcome in outcomes]

    def body(self, type_: str, id_: str) -> bytes:
        """The resource as the node gives it out."""
        found = self.runner.run(self.records().read(type_, id_))
        return found.body or b""

    def find(
        self,
        type_: str | None,
        pairs: Iterable[tuple[str, str]],
        count: int = 1000,
        actor: Actor = OPERATOR,
    ) -> list[Stored]:
        """All hits of a search, slice after slice, in order."""
        query = parse_query(
            type_,
            list(pairs),
            strict=True,
            zone=self.context.zone,
            limits=QueryLimits(),
            table=self.context.table,
        )
        return self.runner.run(self._find(query, count, actor))

    async def _find(self, query: Query, count: int, actor: Actor) -> list[Stored]:
        found: list[Stored] = []
        cursor = None
        while True:
            hits = await self.records(actor).search(
                msgspec.structs.replace(query, count=count, cursor=cursor)
            )
            found += hits.matches
            cursor = hits.next
            if cursor is None:
                return found


def _put_entry(type_: str, id_: str, body: bytes) -> bytes:
    request = f'"request":{{"method":"PUT","url":"{type_}/{id_}"}}'
    return b'{"resource":%s,%s}' % (body, request.encode())


@contextmanager
def open_stage(postgres: Cluster) -> Iterator[Stage]:
    """A stage on a new database of the session's server, dropped afterwards."""
    name = f"stage_{next(_numbers)}"
    with asyncio.Runner() as runner, tempfile.TemporaryDirectory() as folder:
        runner.run(
            administer(postgres, f"create database {name} template migrated strategy file_copy")
        )
        pool = runner.run(open_pool(postgres.dsn(name), name="proof", connections_max=10))
        try:
            yield Stage(runner, pool, open_context(Path(folder)))
        finally:
            runner.run(pool.close())
            runner.run(administer(postgres, f"drop database {name} with (force)"))
