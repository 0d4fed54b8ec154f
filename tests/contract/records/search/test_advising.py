"""A search that cannot be served ends in time, and is told what would serve it."""

from __future__ import annotations

import asyncio
import time

import asyncpg
import msgspec
import pytest
from definitions import definition
from shelf import ZONE, put_away, query_of
from stores import observation, update

from quanmin.base.problems import TooCostly
from quanmin.fhir.defining import read_definition
from quanmin.fhir.grammar import QueryLimits, parse_query
from quanmin.fhir.table import load_table
from quanmin.records.catalogue import with_customs
from quanmin.records.search import search
from quanmin.records.search.advising import advice
from quanmin.records.store import Store
from quanmin.records.visibility import Everything

_RUNNING = """
    select count(*) from pg_stat_activity
    where state = 'active' and pid <> pg_backend_pid() and datname = current_database()
        and query like '%records.record r%'
"""


@pytest.mark.parametrize(
    ("type_", "pairs", "says"),
    [
        (
            "Observation",
            [("value-quantity", "gt5"), ("_total", "accurate")],
            [
                "value-quantity, which very many may meet",
                "a total that is counted exactly",
                "a condition on patient, code, date (a short span) or identifier",
            ],
        ),
        ("Observation", [("code:not", "718-7")], ["code asks for what is not there"]),
        ("Observation", [("date", "ne2026")], ["date asks for what is not there"]),
        ("Observation", [("status:missing", "true")], ["no index"]),
        ("Patient", [("name:contains", "ming")], ["a longer piece", "SearchParameter", "Patient"]),
        ("Patient", [("_sort", "name")], ["_lastUpdated or _id or birthdate"]),
        ("Patient", [("_has:Observation:patient:code", "x")], ["_has:Observation:patient, which"]),
        ("Observation", [("patient.name", "x")], ["patient.(...), which leads over"]),
        (
            "Observation",
            [("patient", "1"), ("code", "x")],
            ["a condition on date (a short span) or identifier"],
        ),
        (
            "Observation",
            [("code", "718-7"), ("_total", "accurate")],
            ["An index serves such a search that also has a condition on patient, date (a short"],
        ),
        (None, [("_tag", "x")], ["_type"]),
        (None, [("_type", "Patient,Observation"), ("identifier:not", "x")], ["Patient", "code"]),
    ],
)
def test_it_is_said_what_is_costly_and_what_would_serve(
    type_: str | None, pairs: list[tuple[str, str]], says: list[str]
) -> None:
    text = advice(query_of(type_, *pairs))
    assert [one for one in says if one not in text] == [], text
    assert not any(value in text.split() for _, value in pairs)


def test_what_is_costly_is_said_by_the_code_of_a_custom_parameter() -> None:
    reported = definition(
        "reported", "reference", "Observation.performer", "Observation", target=["Patient"]
    )
    read = read_definition(reported, 7, load_table(), lambda _: None)
    table = with_customs(load_table(), 1, [read], ()).table
    pairs = [("reported:missing", "true"), ("reported.name", "x")]
    query = parse_query(
        "Observation", pairs, strict=True, zone=ZONE, limits=QueryLimits(), table=table
    )
    text = advice(query)
    assert "Costly in it: reported:missing, for which there is no index; reported.(...)," in text


async def test_a_search_beyond_its_time_ends_in_the_database_and_leaves_the_connection_well(
    store: Store, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    await put_away(store, [update("Observation", "o", observation(id="o"))])
    query = query_of("Observation", ("status", "final"))
    whole = store.context.limits
    store.context.limits = msgspec.structs.replace(whole, search_seconds_max=0.5)
    async with pool.acquire() as other, other.transaction():
        await other.execute("lock table records.record_observation in access exclusive mode")
        begun = time.monotonic()
        with pytest.raises(TooCostly, match=r"longer than 0\.5 seconds: .* An index serves"):
            async with store.reading() as connection:
                await search(connection, store.context, query, Everything())
        assert time.monotonic() - begun < 10
        for _ in range(50):
            if not await other.fetchval(_RUNNING):
                break
            await asyncio.sleep(0.1)
        assert await other.fetchval(_RUNNING) == 0
    store.context.limits = whole
    async with store.reading() as same:
        assert [one.id for one in (await search(same, store.context, query, Everything())).matches]
