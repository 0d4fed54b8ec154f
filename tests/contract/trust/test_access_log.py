"""The access log as a whole: one AuditEvent's worth of entries for a request, erasure, adoption,
the end of what was kept long enough, and proofs.
"""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import msgspec
import pytest
from stores import (
    START,
    bundle,
    observation,
    open_context,
    open_guard,
    open_notary,
    patient,
    post,
)

from quanmin.base.merkle import sha256
from quanmin.base.migrations import migrate, read_migrations
from quanmin.base.postgres import connect
from quanmin.base.problems import Invalid, NotFound
from quanmin.fhir.grammar import QueryLimits, parse_query
from quanmin.records.rid import id_of
from quanmin.trust import Actor, Guard, GuardedRecords, Together, Witness
from quanmin.trust.log import Access, AccessLog, Notary
from quanmin.trust.log.claims import Witnessed
from quanmin.trust.log.entry import Place
from quanmin.trust.log.keeping import adopt, adopt_all, check_in, drop_months, keep_ahead
from quanmin.trust.log.lanes import month_of
from quanmin.trust.log.limits import AccessLogLimits, days_by_rule
from quanmin.trust.log.proving import check, check_growth, prove, prove_growth
from quanmin.trust.log.verifying import Verified, _Verifier, verify

DAY = 86_400 * 1_000_000
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"


class House:
    """A guard whose log is witnessed."""

    def __init__(self, pool: Pool, folder: Path) -> None:
        self.pool = pool
        context = open_context(folder)
        self.guard: Guard = open_guard(pool, context, folder / "witness")
        self.notary: Notary = open_notary(context)
        self.witness = Witness(folder / "witness")

    def records(self, role: str = "institution", sender: str = "a") -> GuardedRecords:
        code = f"{role}-{sender}"
        actor = Actor(code, role, "Somebody", sender)  # type: ignore[arg-type]  # a role
        return self.guard.records(actor, purpose="TREAT", request_id="r-1")

    async def verify(self) -> Verified:
        async with self.pool.acquire() as connection:
            return await verify(connection, self.notary, self.witness)

    async def entries(self, *actions: str) -> list[asyncpg.Record]:
        return await self.pool.fetch(
            "select * from trust.access where action = any($1::text[]) order by at", actions
        )


@pytest.fixture
def house(pool: Pool, tmp_path: Path) -> House:
    return House(pool, tmp_path)


# ---- one event for a request ---------------------------------------------------------------------


async def test_a_transaction_leaves_one_entry_with_all_that_it_wrote_and_read(
    house: House,
) -> None:
    records = house.records()
    read = (await records.create("Observation", observation())).stored
    entries = [
        post(observation(value="1")),
        post(patient()),
        {"request": {"method": "GET", "url": f"Observation/{read.id}"}},
    ]
    _, answers = await house.records().bundle(bundle("transaction", *entries))
    keys = {answer.stored.rid for answer in answers if answer.stored is not None}
    (entry,) = await house.entries("transaction", "read")
    assert (set(entry["records"]), entry["hits"]) == (keys, 3)
    assert len(entry["patients"]) == 1


async def test_a_batch_leaves_entries_that_are_parts_of_the_first(house: House) -> None:
    records = house.records()
    made = [
        (await records.create("Observation", observation(value=str(n)))).stored for n in range(3)
    ]
    reads = [{"request": {"method": "GET", "url": f"Observation/{one.id}"}} for one in made]
    missing = {"request": {"method": "GET", "url": "Observation/none"}}
    asking = house.records()
    await asking.bundle(bundle("batch", *reads, post(observation(value="9")), missing, missing))
    rows = await house.pool.fetch("select * from trust.access where note = 'batch' order by at, n")
    assert {(row["action"], row["outcome"], row["hits"]) for row in rows} == {
        ("create", "ok", 1),
        ("read", "ok", 3),
        ("read", "not-found", 0),
    }
    heads = [row for row in rows if row["part_lane"] is None]
    assert len(heads) == 1
    assert {(row["part_lane"], row["part_n"]) for row in rows if row["part_lane"]} == {
        (heads[0]["lane"], heads[0]["n"])
    }


async def test_what_a_page_reads_is_committed_with_what_it_writes(house: House) -> None:
    records = house.records()
    one = (await records.create("Patient", patient())).stored
    before = await house.pool.fetchval("select count(*) from trust.head")
    async with Together() as together:
        records.wait_with(together)
        await records.read("Patient", one.id)
        await records.stating("PUBHLTH").read("Patient", one.id)
        await records.read("Patient", one.id)
        assert await house.entries("read") == [], "nothing is answered yet"
        await records.create("Patient", patient())
        assert [row["purpose"] for row in await house.entries("read")] == ["TREAT", "TREAT"]
    batches = await house.pool.fetchval("select count(*) from trust.head")
    assert (batches - before, len(await house.entries("read"))) == (2, 3)
    await records.read("Patient", one.id)
    assert len(await house.entries("read")) == 4, "what is read later does not wait"
    assert (await house.verify()).findings == ()


async def test_what_a_page_read_is_noted_though_it_writes_nothing_or_is_refused(
    house: House,
) -> None:
    records = house.records()
    one = (await records.create("Patient", patient())).stored
    async with Together() as together:
        records.wait_with(together)
        await records.read("Patient", one.id)
        with pytest.raises(Invalid):
            await records.create("Patient", b'{"resourceType": "Patient", "nothing": 1}')
        assert await house.entries("read") == []
    told = [(row["action"], row["outcome"]) for row in await house.entries("read", "create")]
    assert told == [("create", "ok"), ("read", "ok"), ("create", "invalid")]


async def test_an_entry_names_every_record_however_many(house: House) -> None:
    keys = [(number, number % 3) for number in range(1, 25_001)]
    notes = house.records()._notes
    await notes.put(notes.entry_of_keys("search", "Observation", "ok", keys))
    rows = await house.entries("search")
    assert sorted(rid for row in rows for rid in row["records"]) == [rid for rid, _ in keys]
    assert sum(row["hits"] for row in rows) == 25_000
    assert [row["part_lane"] is None for row in rows].count(True) == 1


async def test_what_was_rolled_back_leaves_no_entry_and_no_hole(house: House) -> None:
    records = house.records()
    await records.create("Observation", observation())
    with pytest.raises(Invalid):
        await records.create("Observation", b'{"resourceType":"Observation"}')
    await records.create("Observation", observation())
    assert [row["outcome"] for row in await house.entries("create")] == ["ok", "invalid", "ok"]
    assert (await house.verify()).findings == ()


async def test_the_log_is_read_by_those_whom_the_definition_names(house: House) -> None:
    await house.records().create("Observation", observation())
    asked = parse_query(
        "AuditEvent", [], strict=True, zone=house.guard.store.context.zone, limits=QueryLimits()
    )
    for role in ("operator", "audit_administrator"):
        assert (await house.records(role).search(asked)).matches, role
    for role in ("institution", "doctor", "supervisor", "system_administrator", "guardian"):
        assert (await house.records(role).search(asked)).matches == (), role


# ---- erasure -------------------------------------------------------------------------------------


async def _seen_and_erased(house: House) -> tuple[int, int, int]:
    """Two Patients and a result of the first, read together, then the first is erased."""
    clinic, centre = house.records(), house.records("operator", "centre")
    first = (await clinic.create("Patient", patient("580101199003078512"))).stored
    second = (await clinic.create("Patient", patient(name="司马清风"))).stored
    result = (await clinic.create("Observation", observation(f"Patient/{first.id}"))).stored
    await clinic.read("Patient", first.id)
    await clinic.read("Observation", result.id)
    await clinic.bundle(
        bundle(
            "batch",
            *(
                {"request": {"method": "GET", "url": f"Patient/{one.id}"}}
                for one in (first, second)
            ),
        )
    )
    assert (await house.verify()).findings == ()
    await centre.erase(first.id)
    return first.rid, second.rid, result.rid


async def test_an_erased_person_is_named_by_no_entry_and_the_log_stays_whole(house: House) -> None:
    first, second, result = await _seen_and_erased(house)
    rows = await house.pool.fetch("select * from trust.access where action <> 'erase'")
    named = {rid for row in rows for rid in (*(row["records"] or ()), *(row["patients"] or ()))}
    assert not named & {first, result}
    assert second in named, "who was listed beside them is still named"
    assert (await house.verify()).findings == ()
    await house.records("operator", "centre").erase(id_of(second, "q"))
    assert (await house.verify()).findings == ()


async def test_names_taken_out_by_hand_are_found(house: House) -> None:
    records = house.records()
    made = (await records.create("Patient", patient())).stored
    await records.read("Patient", made.id)
    (read,) = await house.entries("read")
    await house.pool.execute(
        "update trust.access set records = null, patients = null, salt = sha256(salt) || salt"
        " where lane = $1 and n = $2",
        read["lane"],
        read["n"],
    )
    place = f"{read['lane']}-{read['n']}"
    assert ("changed", place) in {(one.wrong, one.entry) for one in (await house.verify()).findings}


async def test_a_forged_redaction_without_an_erasure_is_found(house: House) -> None:
    """By somebody who copies all that an erasure does but has no entry in the log for it."""
    first, _, _ = await _seen_and_erased(house)
    row = await house.pool.fetchrow("select * from trust.redaction limit 1")
    assert row is not None
    place = f"{row['lane']}-{row['n']}"
    await house.pool.execute("delete from trust.redaction where lane = $1 and n = $2", *row[:2])
    found = {(one.wrong, one.entry) for one in (await house.verify()).findings}
    assert ("redacted", place) in found
    assert "erasure" in {wrong for wrong, _ in found}
    assert first


async def test_a_change_to_what_a_redacted_entry_still_says_is_found(house: House) -> None:
    await _seen_and_erased(house)
    (row,) = await house.pool.fetch(
        "select lane, n from trust.access where length(salt) = 48 and patients is not null"
    )
    place = f"{row['lane']}-{row['n']}"
    for change in ("patients = '{99}'", "actor = 'other'", "records = null"):
        async with house.pool.acquire() as connection:
            undone = connection.transaction()
            await undone.start()
            await connection.execute(
                f"update trust.access set {change} where lane = $1 and n = $2", *row
            )
            verified = await _verify_inside(connection, house)
            await undone.rollback()
        assert ("changed", place) in {(one.wrong, one.entry) for one in verified.findings}, change


async def _verify_inside(connection: Any, house: House) -> Verified:
    return await _Verifier(connection, house.notary, lambda _: None).run(
        Witnessed(house.witness.heads()), [*house.witness.checkpoints()]
    )


# ---- keeping -------------------------------------------------------------------------------------


async def test_entries_from_before_there_were_trees_are_adopted_and_covered(house: House) -> None:
    await house.pool.execute(_BEFORE)
    await house.pool.execute(
        "insert into trust.access_before select 100 + n, 'old', 'doctor', 'institution', 'TREAT',"
        " 'read', 'Patient', 'ok', 1, array[n], array[n] from generate_series(1, 4500) as n"
    )
    assert "wait to be adopted" in (await house.verify()).remarks[0]
    async with house.pool.acquire() as connection:
        while await adopt(connection, house.notary, START):
            pass
        assert await connection.fetchval("select to_regclass('trust.access_before')") is None
    verified = await house.verify()
    assert (verified.findings, verified.remarks, verified.entries) == ((), (), 4500)
    row = await house.pool.fetchrow("select * from trust.access where at = 103")
    assert row is not None
    assert (row["note"], row["records"], row["request"]) == ("adopted", [3], "old")


async def test_a_filled_store_is_updated_and_its_entries_are_adopted(
    empty_database: str, tmp_path: Path
) -> None:
    """Every step up to the trees, entries as the version before wrote them, and then the rest."""
    steps = read_migrations(resources.files("quanmin.node") / "migrations")
    trees = next(each.number for each in steps if each.name == "access_log")
    connection = await connect(empty_database)
    notary = open_notary(open_context(tmp_path))
    try:
        await migrate(connection, steps[: trees - 1])
        await connection.execute(
            "insert into trust.access values (7, 'r', 'd', 'institution', 'TREAT', 'read',"
            " 'Patient', 'ok', 1, '{5}', '{5}'), (8, 'r', 'd', 'institution', 'TREAT', 'search',"
            " null, 'invalid', 0, null, null)"
        )
        await migrate(connection, steps)
        await keep_ahead(connection, notary, START)
        assert await adopt(connection, notary, START) == 2
        assert await adopt(connection, notary, START) == 0
        assert await connection.fetchval("select to_regclass('trust.access_before')") is None
        rows = await connection.fetch("select at, records, note from trust.access order by at")
        assert [tuple(row) for row in rows] == [(7, [5], "adopted"), (8, None, "adopted")]
        verified = await verify(connection, notary, None)
        assert (verified.findings, verified.entries) == ((), 2)
    finally:
        await connection.close()


_BEFORE = """
    create table trust.access_before (
        at bigint not null, request text not null, actor text not null, role text not null,
        purpose text not null, action text not null, type text, outcome text not null,
        hits int not null, records bigint[], patients bigint[]
    )
"""


async def test_nothing_is_adopted_twice_in_the_life_of_a_node(house: House) -> None:
    """Whoever makes that table again wants entries of their own to get into the trees."""
    async with house.pool.acquire() as connection:
        assert await adopt_all(connection, house.notary, house.witness, lambda: START) == 0
        await connection.execute(_BEFORE)
        await connection.execute(
            "insert into trust.access_before select 1, 'r', 'forged', 'institution', 'TREAT',"
            " 'read', 'Patient', 'ok', 1, '{1}', '{1}'"
        )
        assert await adopt_all(connection, house.notary, house.witness, lambda: START) == 0
        assert await connection.fetchval("select count(*) from trust.access") == 0
    assert [one.wrong for one in (await house.verify()).findings] == ["inserted"]


def _log(house: House, now: int) -> AccessLog:
    return AccessLog(house.pool, house.notary, house.witness, lambda: now)


def _entry(number: int) -> Access:
    return Access(
        at=number,
        request="r",
        actor="doctor",
        role="institution",
        purpose="TREAT",
        action="read",
        type="Patient",
        outcome="ok",
        hits=1,
        records=(number,),
        patients=(number,),
    )


async def test_entries_are_kept_180_days_by_rule_and_no_setting_shortens_it(house: House) -> None:
    assert days_by_rule() == 180
    for days in (1, 179):
        with pytest.raises(ValueError, match="180 or more"):
            AccessLogLimits(days_kept=days)
    assert AccessLogLimits(days_kept=1000).days == 1000
    assert AccessLogLimits().days == 180
    await _log(house, START).note([_entry(1)])
    async with house.pool.acquire() as connection:
        for days, dropped in ((179, []), (211, [month_of(START) // 100])):
            now = START + days * DAY
            found = await drop_months(connection, house.notary, AccessLogLimits(), now)
            assert found == dropped, days


async def test_a_month_that_was_kept_long_enough_goes_and_the_log_stays_whole(
    house: House,
) -> None:
    await _log(house, START).note([_entry(number) for number in range(600)])
    async with house.pool.acquire() as connection:
        await check_in(connection, house.notary, house.witness, START)
        for later in (220, 450):  # the second drops the month that tells of the first drop too
            now = START + later * DAY
            await keep_ahead(connection, house.notary, now)
            await _log(house, now).note([_entry(later)])
            assert await drop_months(connection, house.notary, AccessLogLimits(), now)
            verified = await house.verify()
            assert verified.findings == ()
    assert await house.pool.fetchval("select count(*) from trust.access where action = 'read'") == 1
    await house.pool.execute("update trust.subtree set root = sha256(root) where level = 8")
    assert {one.wrong for one in (await house.verify()).findings} == {"lane"}


async def test_a_month_dropped_by_hand_is_found(house: House) -> None:
    place = await _log(house, START).note([_entry(1)])
    month = place.lane // 100
    await house.pool.execute(f"drop table trust.access_{month}")
    assert {one.wrong for one in (await house.verify()).findings} == {"removed"}
    await house.pool.execute("insert into trust.dropped values ($1, $2, 0)", month, place.lane)
    assert {one.wrong for one in (await house.verify()).findings} == {"removed"}


async def test_a_month_dropped_before_its_time_is_found_though_the_node_did_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _log(house, START).note([_entry(1)])
    monkeypatch.setattr(AccessLogLimits, "days", 1)
    async with house.pool.acquire() as connection:
        now = START + 40 * DAY
        assert await drop_months(connection, house.notary, AccessLogLimits(), now)
    assert {one.wrong for one in (await house.verify()).findings} == {"removed"}


async def test_a_new_month_begins_new_lanes_of_its_own(house: House) -> None:
    ticks = [START, START + 31 * DAY]
    log = AccessLog(house.pool, house.notary, house.witness, lambda: ticks[0])
    first = await log.note([_entry(1)])
    ticks.pop(0)
    second = await log.note([_entry(2)])
    assert [first.lane // 100, second.lane // 100] == [202609, 202610]
    assert (await house.verify()).findings == ()


async def test_a_log_that_changes_its_suite_goes_on_in_new_lanes(
    house: House, tmp_path: Path
) -> None:
    first = await _log(house, START).note([_entry(1)])
    other = open_notary(open_context(tmp_path), "gm")
    second = await AccessLog(house.pool, other, house.witness, lambda: START).note([_entry(2)])
    assert second.lane > first.lane
    assert (await house.verify()).findings == ()


# ---- proofs --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [0, 1, 255, 256, 511, 599])
async def test_an_entry_is_proven_without_the_node(house: House, number: int) -> None:
    first = await _log(house, START).note([_entry(each) for each in range(600)])
    place = Place(first.lane, number)
    async with house.pool.acquire() as connection:
        one = await prove(connection, "test", place, is_open=True)
    one = msgspec.json.decode(msgspec.json.encode(one), type=type(one))
    public = house.notary.public
    assert check(one, public) == []
    assert json.loads(one.entry)[1] == number
    assert one.personal is not None
    assert json.loads(bytes.fromhex(one.personal.named)) == [[number], [number]]
    changed = one.entry.replace("doctor", "nobody")
    assert check(msgspec.structs.replace(one, entry=changed), public) != []
    assert check(msgspec.structs.replace(one, number=number ^ 1), public) != []
    assert check(msgspec.structs.replace(one, size=601), public) != []
    assert check(msgspec.structs.replace(one, at=one.at + 1), public) != []
    named = msgspec.structs.replace(one.personal, named=b"[[5],[5]]".hex())
    assert check(msgspec.structs.replace(one, personal=named), public) != []


async def test_a_proof_of_another_node_is_none_here(house: House, tmp_path: Path) -> None:
    place = await _log(house, START).note([_entry(1)])
    async with house.pool.acquire() as connection:
        one = await prove(connection, "test", place, is_open=False)
    assert one.personal is None
    assert check(one, house.notary.public) == []
    stranger = open_notary(open_context(tmp_path / "other")).public
    assert check(one, stranger) == ["the head is not signed by this key"]


async def test_a_lane_is_proven_to_have_only_grown(house: House) -> None:
    log = _log(house, START)
    place = await log.note([_entry(each) for each in range(300)])
    before = await house.pool.fetchrow(
        "select * from trust.head where lane = $1 order by size desc limit 1", place.lane
    )
    assert before is not None
    await log.note([_entry(each) for each in range(300, 700)])
    async with house.pool.acquire() as connection:
        one = await prove_growth(connection, "test", place.lane, 300, before["root"])
        other = await prove_growth(connection, "test", place.lane, 300, sha256(b""))
        with pytest.raises(Invalid):
            await prove_growth(connection, "test", place.lane, 701, before["root"])
        with pytest.raises(NotFound):
            await prove_growth(connection, "test", 5, 1, before["root"])
    assert check_growth(one, house.notary.public) == []
    assert check_growth(other, house.notary.public) != []


async def test_an_entry_that_was_changed_cannot_be_proven(house: House) -> None:
    place = await _log(house, START).note([_entry(each) for each in range(5)])
    await house.pool.execute("update trust.access set actor = 'other' where n = 3")
    async with house.pool.acquire() as connection:
        one = await prove(connection, "test", Place(place.lane, 3), is_open=False)
        with pytest.raises(NotFound):
            await prove(connection, "test", Place(place.lane, 9), is_open=False)
    assert check(one, house.notary.public) != []
