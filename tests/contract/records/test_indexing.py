"""Indexing what is there already: who is waited for, what is not searched meanwhile, what happens
when it is stopped, and what a newer program does to an older store.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from definitions import definition, found, index_all, nation, of_nation, packed
from msgspec.structs import replace
from shelf import put_away, query_of, valued
from stores import coded, create, delete, of, reopen_context, update

from quanmin.base.jobs import cancel, list_jobs, retry
from quanmin.base.migrations import read_migrations
from quanmin.base.problems import NotSupported, Overloaded
from quanmin.fhir.grammar import QueryLimits, parse_query
from quanmin.records import adoption, catalogue, label_sets, reindexing, sensitivity
from quanmin.records.adoption import adopt_rules
from quanmin.records.catalogue import IndexRule, index_rules
from quanmin.records.operation import Operation, Sender
from quanmin.records.readiness import parameter_states
from quanmin.records.search import search
from quanmin.records.store import Store
from quanmin.records.visibility import Both, Everything, Except, Labelled, OfSender

OURS = resources.files("quanmin.node") / "migrations"
NEGATED = IndexRule("negated", 1, kinds=("token",), modifiers=("not",))


async def put(store: Store, sender: Sender, type_: str, body: bytes) -> str:
    (made,) = await store.write(sender, [create(type_, body)])
    assert made is not None
    return made.stored.id


async def test_a_writing_that_began_before_the_definition_is_waited_for(
    store: Store, sender: Sender, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    written, may_commit = asyncio.Event(), asyncio.Event()

    async def hold(*_: object) -> None:
        written.set()
        await may_commit.wait()

    before = [create("Patient", packed(of_nation("01")))]
    slow = asyncio.create_task(store.write(sender, before, hold))
    await written.wait()
    await put(store, sender, "SearchParameter", packed(nation()))
    indexing = asyncio.create_task(index_all(pool, store.context))
    await asyncio.sleep(1)
    state = await pool.fetchval("select state from indexing.parameter")
    said = await pool.fetchval("select message from jobs.job")
    may_commit.set()
    (made,) = await slow
    await indexing
    assert (state, said) == ("indexing", "waits for writings that began before")
    assert made is not None
    assert await found(store, ("nation", "01")) == [made.stored.id]


async def test_records_that_changed_while_they_were_indexed_keep_what_their_writer_gave(
    store: Store, sender: Sender, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    ids = [await put(store, sender, "Patient", packed(of_nation("01"))) for _ in range(20)]
    await put(store, sender, "SearchParameter", packed(nation()))
    indexing = asyncio.create_task(index_all(pool, store.context))
    for id_ in ids[::2]:
        changed = packed({**of_nation("02"), "id": id_})
        await store.write(sender, [update("Patient", id_, changed)])
    await store.write(sender, [delete("Patient", ids[1])])
    await indexing
    assert sorted(await found(store, ("nation", "02"))) == sorted(ids[::2])
    assert sorted(await found(store, ("nation", "01"))) == sorted(ids[3::2])


async def test_a_cancelled_indexing_says_so_and_goes_on_when_it_is_tried_again(
    store: Store, sender: Sender, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    made = await put(store, sender, "Patient", packed(of_nation("01")))
    await put(store, sender, "SearchParameter", packed(nation()))
    (job,) = await list_jobs(pool)
    await pool.execute('update jobs.job set position = \'{"types": [103], "is_whole": false}\'')
    await pool.execute("update indexing.parameter set state = 'indexing', job = $1", job.number)
    await cancel(pool, job.number)
    await index_all(pool, store.context)
    with pytest.raises(NotSupported, match=f"cancelled.*jobs retry {job.number}"):
        await found(store, ("nation", "01"))
    await retry(pool, job.number)
    await index_all(pool, store.context)
    assert await found(store, ("nation", "01")) == [made]


async def test_an_indexing_that_was_given_up_is_told_with_its_reason(
    store: Store, sender: Sender, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    await put(store, sender, "SearchParameter", packed(nation()))
    (job,) = await list_jobs(pool)
    await pool.execute("update indexing.parameter set state = 'indexing', job = $1", job.number)
    await pool.execute(
        "update jobs.job set state = 'dead', done = 3, total = 12,"
        ' reasons = \'[{"at": 1, "text": "a defect: KeyError"}]\''
    )
    (told,) = await parameter_states(pool)
    assert (told.readiness.state, told.readiness.share) == ("failed", 0.25)
    with pytest.raises(NotSupported, match="a defect: KeyError"):
        await found(store, ("nation", "01"))


async def test_a_removed_parameter_leaves_nothing_in_the_side_tables(
    store: Store, sender: Sender, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    body = packed({**of_nation("01"), "birthDate": "1980-01-01", "multipleBirthInteger": 2})
    await put(store, sender, "Patient", body)
    day = definition("day", "date", "Patient.birthDate")
    birth = definition("birth", "number", "Patient.multipleBirth.ofType(integer)")
    ids = [await put(store, sender, "SearchParameter", packed(one)) for one in (day, birth)]
    await index_all(pool, store.context)
    counts = "select (select count(*) from records.dated) || '+' || count(*) from records.ranged"
    assert await pool.fetchval(counts) == "1+1"
    await store.write(sender, [delete("SearchParameter", id_) for id_ in ids])
    await index_all(pool, store.context)
    assert await pool.fetchval(counts) == "0+0"
    assert await pool.fetchval("select count(*) from records.unit") == 0
    assert await parameter_states(pool) == []


def bring(monkeypatch: pytest.MonkeyPatch, *rules: IndexRule) -> None:
    """From now on the program indexes by these rules."""
    for module in (adoption, catalogue, reindexing):
        monkeypatch.setattr(module, "index_rules", lambda: rules)


async def adopt(pool: asyncpg.Pool[asyncpg.Record]) -> bool:
    async with pool.acquire() as connection:
        return await adopt_rules(connection)


async def test_a_store_is_indexed_anew_by_the_rules_of_a_newer_program(
    store: Store,
    sender: Sender,
    pool: asyncpg.Pool[asyncpg.Record],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = await put(store, sender, "Patient", b'{"resourceType":"Patient","gender":"male"}')
    assert not await adopt(pool)
    bring(monkeypatch, *index_rules(), NEGATED)
    assert await adopt(pool)
    with pytest.raises(Overloaded, match="Patient:gender:not"):
        await found(store, ("gender:not", "female"))
    assert await found(store, ("gender", "male")) == [made]
    await pool.execute("update records.record set tokens = null")
    await index_all(pool, store.context)
    assert await found(store, ("gender:not", "female")) == [made]
    assert await found(store, ("gender", "male")) == [made]
    assert not await adopt(pool)


async def test_a_process_that_has_just_begun_knows_what_is_not_ready(
    store: Store,
    sender: Sender,
    pool: asyncpg.Pool[asyncpg.Record],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await put(store, sender, "Patient", b'{"resourceType":"Patient","gender":"male"}')
    bring(monkeypatch, *index_rules(), NEGATED)
    assert await adopt(pool)
    other = reopen_context(tmp_path, store.context)
    pairs, limits = [("gender:not", "female")], QueryLimits()
    query = parse_query("Patient", pairs, strict=True, zone=other.zone, limits=limits)
    async with store.reading() as connection:
        with pytest.raises(Overloaded):
            await search(connection, other, query, Everything())


async def test_a_rule_in_another_version_counts_as_new_an_older_one_too(
    store: Store,
    sender: Sender,
    pool: asyncpg.Pool[asyncpg.Record],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await put(store, sender, "Patient", b'{"resourceType":"Patient","gender":"male"}')
    (base,) = (rule for rule in index_rules() if rule.name == "base")
    for version in (base.version + 1, base.version):
        bring(monkeypatch, IndexRule("base", version))
        assert await adopt(pool)
        with pytest.raises(Overloaded):
            await found(store, ("gender", "male"))
        await index_all(pool, store.context)
        assert len(await found(store, ("gender", "male"))) == 1


async def test_what_is_stored_is_labelled_anew_where_other_codes_are_kept_apart(
    store: Store,
    sender: Sender,
    pool: asyncpg.Pool[asyncpg.Record],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    patient = await put(store, sender, "Patient", packed(of_nation("01")))
    about = {"reference": f"Patient/{patient}"}
    for code in ("J06.9", "B05.9"):
        said = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": code}]}
        condition = {"resourceType": "Condition", "subject": about, "code": said}
        await put(store, sender, "Condition", json.dumps(condition).encode())
    labelled = "select cardinality(labels) from records.record where type = 28 order by rid"
    assert [row[0] for row in await pool.fetch(labelled)] == [None, 1]
    assert not await adopt(pool)
    file = sensitivity._file()
    kinds = [
        replace(one, prefixes={"icd10": ("J06",)}) if one.label.code == "infectious" else one
        for one in file.kind
    ]
    monkeypatch.setattr(sensitivity, "_file", lambda: replace(file, kind=tuple(kinds)))
    cached = (sensitivity.labels_version, sensitivity._known, catalogue.index_rules)
    try:
        for one in cached:
            one.cache_clear()
        assert await adopt(pool)
        await index_all(pool, store.context)
    finally:
        monkeypatch.undo()
        for one in cached:
            one.cache_clear()
    assert [row[0] for row in await pool.fetch(labelled)] == [1, None]


async def test_every_rule_holds_in_a_store_without_records(
    store: Store, pool: asyncpg.Pool[asyncpg.Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(monkeypatch, *index_rules(), NEGATED)
    assert not await adopt(pool)
    assert await found(store, ("gender:not", "female")) == []


async def test_an_older_store_is_given_the_values_that_writing_gives(
    store: Store, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    await put_away(store, list(valued()))
    # Where a code has no value beside it, an older store has null and a newer one less than all.
    rows = (
        "select key, low, rid, patient, system, coalesce(value, '-Infinity')::text as value"
        " from records.keyed order by 1, 2, 3, 5"
    )
    written = await pool.fetch(rows)
    values = {row["value"] for row in written}
    assert values >= {"NaN", "-Infinity", "0", "-7.5", "5.4", "27.341127"}
    (step,) = (one for one in read_migrations(OURS) if one.name == "value_beside_code")
    await pool.execute("update records.keyed set value = 1")
    await pool.execute(step.sql)
    assert await pool.fetch(rows) == written


LABELLED = [[], ["closed"], ["open"], ["open", "closed"], ["closed", "open"], ["shut"]]
SETS = "select number, labels from records.label_set"
NUMBERS = """
    select r.rid, r.apart, s.labels from records.record r
    left join records.label_set s on s.number = r.apart order by r.rid
"""


def labelled(shift: int = 0) -> Iterator[Operation]:
    for number in range(len(LABELLED)):
        codes = LABELLED[(number + shift) % len(LABELLED)]
        labels = [{"system": "urn:labels", "code": code} for code in codes]
        more: dict[str, Any] = {"meta": {"security": labels}} if labels else {}
        yield of("Observation", f"o{number}", status="final", code=coded("A"), **more)


async def test_sets_of_labels_have_numbers_that_follow_what_is_written(
    store: Store, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    for shift in (1, 0):
        await put_away(store, list(labelled(shift)))
        rows = await pool.fetch("select apart, labels from records.record")
        known = {tuple(row["labels"]): row["number"] for row in await pool.fetch(SETS)}
        assert len(known) == await pool.fetchval("select last from records.label_count") == 4
        assert [row["apart"] for row in rows] == [
            known[tuple(sorted(row["labels"]))] if row["labels"] else None for row in rows
        ]


async def test_sets_beyond_those_that_are_numbered_are_found_all_the_same(
    store: Store, pool: asyncpg.Pool[asyncpg.Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_sets, "_SETS_MAX", 2)
    await put_away(store, list(labelled()))
    rows = await pool.fetch("select apart, count(*) from records.record group by 1 order by 1")
    assert [row["apart"] for row in rows] == [-1, 1, 2, None]
    own = OfSender(frozenset({await store.sender("hospital-a")}))
    opened = Labelled(frozenset({store.context.keying.label("urn:labels", "open")}))
    for seen, number in ((Except(opened), 3), (opened, 3)):
        async with store.reading() as connection:
            query = query_of("Observation", ("code", "A"))
            hits = await search(connection, store.context, query, Both((own, seen)))
        assert len(hits.matches) == number


async def test_an_older_store_is_given_the_numbers_that_writing_gives(
    store: Store, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    await put_away(store, list(labelled()))
    written = {row["rid"]: row["labels"] for row in await pool.fetch(NUMBERS)}
    await pool.execute(
        "drop table records.label_set, records.label_count;"
        " alter table records.record drop column apart;"
        " create index record_by_patient on records.record (patient);"
        " create index record_by_sender on records.record (sender)"
    )
    (step,) = (one for one in read_migrations(OURS) if one.name == "label_sets")
    await pool.execute(step.sql)
    assert {row["rid"]: row["labels"] for row in await pool.fetch(NUMBERS)} == written
    assert await pool.fetchval("select last from records.label_count") == 4
