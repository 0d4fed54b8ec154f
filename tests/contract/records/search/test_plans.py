"""The plans of ordinary searches over skewed records: no scan of a whole table, few pages touched.

A hundred thousand rows are made by SQL, with the keys a real index would give them: a code on half
of all, one on a hundredth, one on ten; a patient with a tenth, none of which has the second code;
senders of which one sent half.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
from databases import administer
from shelf import query_of
from stores import open_context

from quanmin.base.cluster import Cluster
from quanmin.base.database import Connection
from quanmin.base.postgres import connect
from quanmin.records import related as related_records
from quanmin.records.context import Context
from quanmin.records.index import IndexEntry, kind_of
from quanmin.records.model import Stored
from quanmin.records.related import Related
from quanmin.records.rows import remove_side
from quanmin.records.search import search, timeline
from quanmin.records.search.reader import Reader, Statement
from quanmin.records.visibility import (
    Both,
    Either,
    Everything,
    Except,
    Facts,
    Granted,
    Labelled,
    OfPatient,
    OfSender,
    OfType,
    Visibility,
)
from quanmin.records.words import index_words

ROWS = 100_000
_numbers = itertools.count(1)

_RECORDS = """
    insert into records.record (rid, seq, updated, patient, low, high, present, version, sender,
        bucket, type, flags, body, tokens, refs)
    select -n, n, n * 600000000, ($1::bigint[])[n % 1000 + 1], n * 600000000, n * 600000000 + 1, 1,
        1,
        case when n % 10000 = 7 then 999 when n % 2 = 0 then 1 else n % 50 + 2 end,
        0, $2, 0, repeat('x', 200)::bytea,
        array[case when n % 50 = 0 then $3::bigint else $4 end, n],
        array[($5::bigint[])[n % 1000 + 1]]
    from generate_series(1, $6::bigint) n
"""

# Rows with the code on half of all have measured 0 to 999, those of other codes 1000 to 1999.
_RANGED = """
    insert into records.ranged (key, low, rid, type, bucket)
    select case when n % 2 = 0 then $1::bigint else $2 end, n % 1000 + n % 2 * 1000, -n, $3, 0
    from generate_series(1, $4::bigint) n where n % 10000 <> 0
"""

_KEYED = """
    insert into records.keyed (key, low, rid, patient, system, value, type, bucket, wall)
    select case when n % 10000 = 0 then $3::bigint when n % 100 = 1 then $2 when n % 2 = 0 then $1
        else n end, n * 600000000, -n, ($6::bigint[])[n % 1000 + 1], 0,
        case when n % 10000 <> 0 then n % 1000 + n % 2 * 1000 end, $4, 0,
        2 * case when n % 10000 = 7 then 999 when n % 2 = 0 then 1 else n % 50 + 2 end
    from generate_series(1, $5::bigint) n
"""


class _SeenError(Exception):
    """The rows have been read: there is nothing in them to open."""


@pytest.fixture(scope="module")
def filled(
    postgres: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    """The name of a database with the rows, which others are made after, and where its keys are."""
    folder = tmp_path_factory.mktemp("plans")
    asyncio.run(administer(postgres, "create database skewed template migrated"))
    asyncio.run(_fill_database(postgres.dsn("skewed"), open_context(folder)))
    yield "skewed", folder
    asyncio.run(administer(postgres, "drop database skewed with (force)"))


@pytest.fixture
def database(postgres: Cluster, filled: tuple[str, Path]) -> Iterator[str]:
    """The DSN of a database of one test's own with the rows."""
    name = f"skewed_{next(_numbers)}"
    statement = f"create database {name} template {filled[0]} strategy file_copy"
    asyncio.run(administer(postgres, statement))
    yield postgres.dsn(name)
    asyncio.run(administer(postgres, f"drop database {name} with (force)"))


@pytest.fixture
async def shelves(
    pool: asyncpg.Pool[asyncpg.Record], filled: tuple[str, Path]
) -> AsyncIterator[tuple[Connection, Context]]:
    async with pool.acquire() as connection:
        yield connection, open_context(filled[1])


async def _fill_database(dsn: str, context: Context) -> None:
    connection = await connect(dsn)
    try:
        await _fill(connection, context)
    finally:
        await connection.close()


async def _fill(connection: Any, context: Context) -> None:
    keying, number = context.keying, context.definition("Observation").number
    patients = [context.rid_of("Patient", f"p{n}") for n in range(1000)]
    # Every tenth row is the first patient's.
    spread = [patients[0] if n % 10 == 0 else rid for n, rid in enumerate(patients)]
    await connection.execute(
        _RECORDS,
        spread,
        number,
        keying.code("Observation", "status", "amended"),
        keying.code("Observation", "status", "final"),
        [keying.reference("Observation", "subject", rid or 0) for rid in spread],
        ROWS,
    )
    codes = [keying.code("Observation", "code", code) for code in ("common", "middling", "rare")]
    await connection.execute(_KEYED, *codes, number, ROWS, spread)
    kinds = [(kind_of(codes[0]),), (kind_of(codes[0] + 1),)]
    units = [
        (
            number,
            "value-quantity",
            "",
            "kg",
            of,
            keying.ranged("Observation", "value", "", "kg", of),
        )
        for of in kinds
    ]
    await connection.executemany("insert into records.unit values ($1, $2, $3, $4, $5, $6)", units)
    await connection.execute(_RANGED, *(unit[-1] for unit in units), number, ROWS)
    await connection.execute("analyze records.record, records.keyed, records.ranged")


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The plans of the statements that a search runs, as they ran."""
    seen: list[dict[str, Any]] = []
    run = Reader.rows

    async def rows(reader: Reader, text: str, statement: Statement) -> list[Any]:
        if not text.startswith("explain"):
            explained = await run(
                reader, f"explain (analyze, buffers, format json) {text}", statement
            )
            seen.append(msgspec.json.decode(explained[0][0])[0]["Plan"])
        return await run(reader, text, statement)

    async def open_none(_reader: Reader, rows: list[Any]) -> list[Any]:
        if rows:
            raise _SeenError
        return []

    monkeypatch.setattr(Reader, "rows", rows)
    monkeypatch.setattr(Reader, "open", open_none)
    return seen


def _nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for child in plan.get("Plans", []) for node in _nodes(child))]


def _pages(plans: list[dict[str, Any]]) -> int:
    return sum(int(p["Shared Hit Blocks"]) + int(p["Shared Read Blocks"]) for p in plans)


def _scanned(plans: list[dict[str, Any]]) -> list[str]:
    """Relations read without an index; an empty partition or a small table is nobody's burden."""
    nodes = [node for plan in plans for node in _nodes(plan) if node["Node Type"] == "Seq Scan"]
    return [node["Relation Name"] for node in nodes if _pages([node]) > 10]


# As many pages as it takes when nothing has been vacuumed yet; a scan of the table is five
# thousand.
SHAPES: list[tuple[list[tuple[str, str]], int]] = [
    ([], 60),
    ([("code", "rare")], 120),
    ([("code", "middling")], 1_200),
    ([("code", "common")], 300),
    ([("code", "rare"), ("_sort", "-date")], 120),
    ([("code", "middling"), ("_sort", "-date")], 1_200),
    ([("code", "common"), ("_sort", "-date")], 400),
    ([("code", "common"), ("_sort", "date")], 400),
    ([("code", "common,middling"), ("_sort", "-date")], 1_300),
    ([("code", "common"), ("status", "final"), ("_sort", "-date")], 500),
    ([("status", "final")], 120),
    ([("status", "amended")], 2_500),
    ([("patient", "p7")], 250),
    ([("patient", "p7"), ("code", "common"), ("_sort", "-date")], 700),
    ([("patient", "p0"), ("_sort", "-date")], 120),
    ([("date", "1970-01-01T20:00+08:00"), ("_sort", "-date")], 200),
    ([("date", "ge1971-11-25T11:40:00+08:00")], 200),
    ([("date", "ge1970-03-05"), ("date", "le1970-03-05")], 300),
    ([("date", "ge1971-02-05"), ("_sort", "date")], 300),
    ([("code", "common"), ("value-quantity", "gt990||kg")], 3_000),
    ([("code", "common"), ("value-quantity", "gt900||kg")], 7_000),
    ([("code", "common"), ("value-quantity", "gt500||kg")], 10_000),
    ([("code", "common"), ("value-quantity", "gt1000||kg")], 700),
    ([("patient", "p0"), ("code", "common"), ("_sort", "-date")], 1_500),
    ([("patient", "p0"), ("code", "middling"), ("_sort", "-date")], 3_500),
    ([("patient", "p0"), ("code", "middling")], 3_500),
    ([("code", "common"), ("date", "ge1970-03-05"), ("date", "le1970-03-05")], 450),
    ([("code", "middling"), ("date", "ge1970-03-05"), ("date", "le1970-04-05")], 1_200),
    ([("code", "common"), ("status", "amended")], 3_500),
    ([("code", "none")], 60),
    ([("_id", "nobody")], 60),
    ([("code:not", "common")], 500),
]


async def _asked(
    shelves: tuple[Connection, Context],
    plans: list[dict[str, Any]],
    pairs: list[tuple[str, str]],
    visibility: Visibility,
    type_: str = "Observation",
) -> str:
    """What a search read: tables scanned from end to end, and pages."""
    connection, context = shelves
    plans.clear()
    with suppress(_SeenError):
        await search(connection, context, query_of(type_, *pairs), visibility)
    return f"{_scanned(plans)} {_pages(plans)} pages"


async def test_ordinary_searches_scan_no_table_and_touch_few_pages(
    shelves: tuple[Connection, Context], plans: list[dict[str, Any]]
) -> None:
    wrong = []
    for pairs, pages_max in SHAPES:
        said = await _asked(shelves, plans, pairs, Everything())
        if _scanned(plans) or _pages(plans) > pages_max:
            wrong.append(f"{pairs}: {said}, at most {pages_max}")
    assert wrong == []


def _several(form: str, number: int) -> str:
    return ",".join(form.format(n) for n in range(number))


# Lists of thousands: a question of an index for each value, or a look into a hash for each row.
LISTED: list[tuple[list[tuple[str, str]], int]] = [
    ([("subject", _several("Patient/p{}", 1000))], 10_500),
    ([("patient", _several("p{}", 1000)), ("_sort", "-date")], 10_500),
    ([("patient", _several("p{}", 100))], 6_000),
    ([("patient", _several("p{}", 1000)), ("code", "rare")], 10_500),
    ([("performer", _several("Patient/p{}", 1000))], 4_000),
    ([("performer", _several("Patient/p{}", 1000)), ("code", "common")], 4_500),
    ([("_id", _several("nobody{}", 5000))], 100),
    ([("identifier", _several("urn:ids|{}", 5000))], 100),
    ([("code", f"rare,{_several('none{}', 5000)}")], 20_000),
    ([("status", f"amended,{_several('none{}', 2000)}")], 30_000),
    ([("status", f"final,{_several('none{}', 2000)}")], 10_000),
    ([("status:not", f"final,{_several('none{}', 2000)}")], 10_000),
]


async def test_lists_of_thousands_of_values_scan_no_table(
    shelves: tuple[Connection, Context], plans: list[dict[str, Any]]
) -> None:
    wrong = []
    for pairs, pages_max in LISTED:
        said = await _asked(shelves, plans, pairs, Everything())
        if _scanned(plans) or _pages(plans) > pages_max:
            wrong.append(f"{str(pairs)[:80]}: {said}, at most {pages_max}")
    assert wrong == []


_PATIENTS = """
    insert into records.record (rid, seq, updated, present, version, sender, bucket, type, flags,
        body, tokens)
    select p.rid, p.n, p.n, 1, 1, 1, 0, $2, 0, 'x'::bytea,
        array[case when p.n between 2 and 11 then $3::bigint else p.n end, $4::bigint]
    from unnest($1::bigint[]) with ordinality p (rid, n)
"""

# What leads to ten patients, and to a thousand; what is met by each costs a look into the index.
LINKED: list[tuple[list[tuple[str, str]], int]] = [
    ([("patient._tag", "some")], 1_500),
    ([("patient._tag", "some"), ("_sort", "-date")], 1_500),
    ([("patient._tag", "all")], 9_000),
    ([("patient._tag", "all"), ("_sort", "-date")], 9_000),
    ([("performer:Patient._tag", "some")], 300),
    ([("performer:Patient._tag", "all"), ("_sort", "-date")], 4_500),
    ([("patient._tag", "all"), ("code", "rare")], 9_000),
    ([("patient._tag", "all"), ("patient", "p7"), ("_sort", "-date")], 400),
    ([("patient._has:Observation:patient:code", "rare")], 4_000),
]


async def _add_patients(connection: Connection, context: Context) -> None:
    keying = context.keying
    await connection.execute(
        _PATIENTS,
        [context.rid_of("Patient", f"p{n}") for n in range(1000)],
        context.definition("Patient").number,
        keying.code("Patient", "_tag", "some"),
        keying.code("Patient", "_tag", "all"),
    )
    await connection.execute("analyze records.record")


# Whoever has a code: of one that half of all records have the index on codes tells the patients,
# of a few thousand the records themselves. Otherwise fifty thousand of these would be read.
REFERRING: list[tuple[str, int]] = [("common", 4_000), ("middling", 3_500), ("rare", 500)]


async def test_who_has_a_code_is_told_by_the_index_on_codes(
    shelves: tuple[Connection, Context], plans: list[dict[str, Any]]
) -> None:
    await _add_patients(*shelves)
    wrong = []
    for code, pages_max in REFERRING:
        pairs = [("_has:Observation:patient:code", code)]
        said = await _asked(shelves, plans, pairs, Everything(), "Patient")
        scanned = [name for name in _scanned(plans) if name != "record_patient"]
        if scanned or _pages(plans) > pages_max:
            wrong.append(f"{pairs}: {said}, at most {pages_max}")
    assert wrong == []


async def test_what_is_asked_of_others_scans_no_table(
    shelves: tuple[Connection, Context], plans: list[dict[str, Any]]
) -> None:
    await _add_patients(*shelves)
    wrong = []
    for pairs, pages_max in LINKED:
        said = await _asked(shelves, plans, pairs, Everything())
        scanned = [name for name in _scanned(plans) if name != "record_patient"]
        if scanned or _pages(plans) > pages_max:
            wrong.append(f"{pairs}: {said}, at most {pages_max}")
    assert wrong == []


# A text that every fiftieth record says and one that most say, and filters: alternatives that few
# records meet, that many meet, and what is decided as it comes.
FILTERS: list[tuple[list[tuple[str, str]], int]] = [
    ([("code:text", "seldom")], 2_500),
    ([("code:text", "mostly")], 200),
    ([("code:text", "seldom"), ("patient", "p7")], 250),
    ([("code:text", "seldom"), ("_sort", "-date")], 2_500),
    ([("code:text", "mostly"), ("_sort", "-date")], 200),
    ([("code:text", "never")], 60),
    ([("_filter", "code eq rare or status eq amended")], 9_000),
    ([("_filter", "code eq rare or value-quantity gt 1990|ucum|g")], 400),
    ([("_filter", "(code eq common and value-quantity gt 1000||kg) or code eq rare")], 1_500),
    ([("_filter", "(code eq common and value-quantity gt 990||kg) or code eq rare")], 9_000),
    ([("_filter", "subject re Patient/p7 or code eq rare"), ("_sort", "-date")], 900),
    ([("_filter", "status eq final or code eq rare")], 400),
    ([("_filter", "status eq final or code eq rare"), ("_sort", "-date")], 500),
    ([("_filter", "not (code eq common)")], 700),
    ([("_filter", "not (value-quantity gt 500||kg)")], 9_000),
    ([("_filter", "code eq none or _id eq nobody")], 300),
]


async def test_texts_and_filters_scan_no_table(
    shelves: tuple[Connection, Context], plans: list[dict[str, Any]]
) -> None:
    connection, context = shelves
    keying = context.keying
    for text, status in (("seldom", "amended"), ("mostly", "final")):
        await connection.execute(
            "insert into records.wording values ($1, $2)",
            keying.code("Observation", "status", status),
            index_words(keying, "Observation", "code", [text]),
        )
    wrong = []
    for pairs, pages_max in FILTERS:
        said = await _asked(shelves, plans, pairs, Everything())
        if _scanned(plans) or _pages(plans) > pages_max:
            wrong.append(f"{pairs}: {said}, at most {pages_max}")
    assert wrong == []


async def test_a_visibility_does_not_turn_a_search_into_a_scan(
    shelves: tuple[Connection, Context], plans: list[dict[str, Any]]
) -> None:
    mine = shelves[1].rid_of("Patient", "p7")
    assert mine is not None
    wrong = []
    shapes = [
        [],
        [("code", "common")],
        [("code", "common"), ("_sort", "-date")],
        [("code", "common"), ("_sort", "date")],
        [("status", "final")],
        [("_sort", "-date")],
    ]
    few, half = OfSender(frozenset({999})), OfSender(frozenset({1}))
    directory = OfType(frozenset({"Organization", "Practitioner"}))
    alone: list[Visibility] = [OfPatient(frozenset({mine})), half, few]
    for visibility in (*alone, *(Either((part, directory)) for part in alone)):
        for pairs in shapes:
            said = await _asked(shelves, plans, pairs, visibility)
            if _scanned(plans) or _pages(plans) > 900:
                wrong.append(f"{visibility} {pairs}: {said}")
    assert wrong == []


async def test_a_timeline_reads_only_the_patients_records(
    shelves: tuple[Connection, Context], plans: list[dict[str, Any]]
) -> None:
    connection, context = shelves
    for id_ in ("p0", "p7"):
        rid = context.rid_of("Patient", id_)
        assert rid is not None
        plans.clear()
        with suppress(_SeenError):
            await timeline(connection, context, [rid], (), Everything(), 20, None)
        assert _scanned(plans) == []
        assert _pages(plans) <= 400


class _Explained:
    """A connection that also tells how its statements run."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.plans: list[dict[str, Any]] = []

    async def fetch(self, text: str, *arguments: Any) -> list[Any]:
        taken_back = self._connection.transaction()
        await taken_back.start()
        explained = await self._connection.fetch(
            f"explain (analyze, buffers, format json) {text}", *arguments
        )
        await taken_back.rollback()
        self.plans.append(msgspec.json.decode(explained[0][0])[0]["Plan"])
        rows: list[Any] = await self._connection.fetch(text, *arguments)
        return rows


async def test_a_record_is_taken_out_of_the_index_without_reading_the_others_of_its_code(
    shelves: tuple[Connection, Context],
) -> None:
    connection, context = shelves
    explained = _Explained(connection)
    common = context.keying.code("Observation", "code", "common")
    (unit,) = await connection.fetch("select key from records.ranged where rid = $1", -50_002)
    entry = IndexEntry(
        low=50_002 * 600_000_000, keyed={(common, 0)}, ranged={(unit["key"], Decimal(2), None)}
    )
    await connection.execute("analyze records.keyed, records.ranged")
    await remove_side(explained, [(-50_002, entry)])  # type: ignore[arg-type]  # see above
    assert _pages(explained.plans) <= 40
    for table in ("keyed", "ranged"):
        assert not await connection.fetch(f"select from records.{table} where rid = $1", -50_002)


async def test_rows_written_under_another_moment_are_taken_out_of_the_index_too(
    shelves: tuple[Connection, Context],
) -> None:
    connection, context = shelves
    common = context.keying.code("Observation", "code", "common")
    before = await connection.fetchval("select count(*) from records.keyed")
    await remove_side(
        connection,
        [
            (-50_004, IndexEntry(low=5, keyed={(common, 0)})),
            (-50_006, IndexEntry(keyed={(common, 0)})),
        ],
    )
    assert not await connection.fetch("select from records.keyed where rid in (-50004, -50006)")
    assert await connection.fetchval("select count(*) from records.keyed") == before - 2


_GRANTED = """
    insert into records.granted (bucket, patient, grantee, about, source)
    select 0, p.patient, g.grantee, p.patient, p.patient
    from (select distinct patient from records.record where patient is not null) p,
        unnest(array[7, 8]) g (grantee)
    where p.patient % 50 <> 0 and (g.grantee = 7 or p.patient % 50 = 1)
"""


async def test_what_is_seen_of_a_code_by_grants_is_counted_in_its_index(
    shelves: tuple[Connection, Context], plans: list[dict[str, Any]]
) -> None:
    """All but a fiftieth have granted it, a fiftieth has refused; some sent it themselves."""
    connection, context = shelves
    await connection.execute(_GRANTED)
    await connection.execute(
        "update records.record set labels = '{5}', apart = -1 where rid = -50002"
    )
    await connection.execute("vacuum analyze records.record, records.keyed, records.granted")
    refused = Granted(frozenset({8}), 1)
    permitted = Both(
        (Granted(frozenset({7}), 1), Except(refused), Except(Labelled(frozenset({5}))))
    )
    seen = Either((OfSender(frozenset({999})), permitted))
    expected = await connection.fetchval(
        "select count(*) from records.record r join records.keyed s using (rid) where s.key = $1"
        " and (r.sender = 999 or r.patient % 50 not in (0, 1) and r.labels is null)",
        context.keying.code("Observation", "code", "common"),
    )
    query = query_of("Observation", ("code", "common"), ("_summary", "count"))
    plans.clear()
    hits = await search(connection, context, query, seen)
    assert hits.total == expected
    assert 40_000 < expected < 50_000
    assert set(_scanned(plans)) <= {"granted"}
    assert _pages(plans) < 15_000


# All that one patient has, taken in after everything else: by record key it stands at the end.
_TOGETHER = """
    update records.record set patient = $1, refs = array[$2::bigint]
    where rid >= -5000 and type = $3
"""


@pytest.mark.parametrize("visibility", [Everything(), OfSender(frozenset({1}))])
async def test_all_that_belongs_to_a_patient_of_many_records_is_walked_part_by_part(
    shelves: tuple[Connection, Context],
    plans: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    visibility: Visibility,
) -> None:
    connection, context = shelves
    rid, number = context.rid_of("Patient", "many"), context.definition("Observation").number
    assert rid is not None
    key = context.keying.reference("Observation", "subject", rid)
    await connection.execute(_TOGETHER, rid, key, number)
    await connection.execute("vacuum analyze records.record")

    async def show(_: Reader, rows: list[Any]) -> list[Stored]:
        return [_shown(context, row) for row in rows]

    monkeypatch.setattr(Reader, "open", show)
    monkeypatch.setattr(related_records, "_links", lambda *_: set())
    holder = _shown(context, {"rid": rid, "type": context.definition("Patient").number})
    pages, seen, cursor = [], set[int](), None
    for _ in range(12):
        plans.clear()
        asked = Related(count=100, cursor=cursor)
        hits = await related_records.related(connection, context, visibility, holder, asked)
        # Which types there are is asked of each table's first row, here behind emptied pages.
        walks = [plan for plan in plans if plan["Node Type"] == "Limit"]
        assert _scanned(walks) == []
        pages.append(_pages(walks))
        seen |= {one.rid for one in hits.matches}
        cursor = hits.next
    assert len(seen) == 1200
    assert pages[0] <= 400, pages
    assert max(pages[1:]) <= 60, pages


def _shown(context: Context, row: Any) -> Stored:
    type_ = context.named(row["type"]).name
    facts = Facts(1, None, type_, frozenset(), None)
    return Stored(type_, "many", row["rid"], 1, 1, "PUT", None, facts)
