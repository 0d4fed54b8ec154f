"""Custom search parameters for tests: definitions, and the jobs that index what is there."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import asyncpg
import msgspec

from quanmin.base.jobs import Job, JobLimits, Worker
from quanmin.fhir.grammar import QueryLimits, parse_query
from quanmin.records.context import Context
from quanmin.records.reindexing import Asked, ReindexLimits, reindex_kind
from quanmin.records.search import search
from quanmin.records.store import Store
from quanmin.records.visibility import Everything

NATION = "http://example.org/fhir/nation"
LIMITS = JobLimits(
    lease_seconds=1.0, turn_seconds=0.2, poll_seconds=0.05, backoff_seconds=0.05, attempts_max=100
)
OPEN = "select true from jobs.job where state in ('waiting', 'running') limit 1"
QUICKLY = ReindexLimits(batch_records=3, share=1.0)


def definition(code: str, type_: str, expression: str, *bases: str, **more: Any) -> dict[str, Any]:
    """An active SearchParameter."""
    return {
        "resourceType": "SearchParameter",
        "url": f"http://example.org/fhir/SearchParameter/{code}",
        "name": code.replace("-", "_"),
        "status": "active",
        "description": f"Finds by {code}.",
        "code": code,
        "base": list(bases) or ["Patient"],
        "type": type_,
        "expression": expression,
        **more,
    }


def nation(code: str = "nation", **more: Any) -> dict[str, Any]:
    """A code in an extension of a Patient."""
    expression = f"Patient.extension('{NATION}').value"
    return definition(code, "token", expression, **more)


def of_nation(value: str, **more: Any) -> dict[str, Any]:
    """A Patient with a value for it."""
    coding = {"system": "urn:oid:nations", "code": value}
    return {
        "resourceType": "Patient",
        "extension": [{"url": NATION, "valueCodeableConcept": {"coding": [coding]}}],
        **more,
    }


def packed(body: dict[str, Any]) -> bytes:
    """The bytes of a body."""
    return json.dumps(body, ensure_ascii=False).encode()


async def nothing_asked(_: Job) -> object:
    """The jobs of tests are the node's own: they take up what is not ready."""
    return {}


async def index_all(
    pool: asyncpg.Pool[asyncpg.Record],
    context: Context,
    limits: ReindexLimits = QUICKLY,
    asked: Asked = nothing_asked,
) -> None:
    """Work jobs off until there are none."""
    worker = Worker(pool, [reindex_kind(context, asked, limits)], LIMITS)
    running = asyncio.create_task(worker.run())
    try:
        async with asyncio.timeout(300):
            while await pool.fetchval(OPEN):  # noqa: ASYNC110 - only the database tells
                await asyncio.sleep(0.02)
    finally:
        worker.stop()
        await running


async def found(store: Store, *pairs: tuple[str, str], type_: str = "Patient") -> list[str]:
    """The ids of everything that a search finds, over all its pages."""
    await store.refresh()
    context = store.context
    asked = [*pairs, ("_count", "200")]
    query = parse_query(
        type_,
        asked,
        strict=True,
        zone=context.zone,
        limits=QueryLimits(),
        table=context.table,
    )
    ids: list[str] = []
    async with store.reading() as connection:
        while True:
            hits = await search(connection, context, query, Everything())
            ids += [hit.id for hit in hits.matches]
            if hits.next is None:
                return ids
            query = msgspec.structs.replace(query, cursor=hits.next)
