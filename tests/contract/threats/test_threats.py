"""What a thief, a forger or a curious neighbour would try, where no other test tries it.

docs/threats.md lists every threat with the test that answers it.
"""

from __future__ import annotations

from pathlib import Path

import asyncpg
import msgspec
import pytest
from stores import bundle, observation, open_context, open_guard, patient

from quanmin.base.crypto import Tampered
from quanmin.base.problems import Forbidden, NotFound, Problem, TooCostly
from quanmin.fhir.grammar import QueryLimits, parse_query
from quanmin.fhir.query import Query
from quanmin.trust import Actor, Actors, Guard, GuardedRecords, Part
from quanmin.trust.emergencies import Emergencies
from quanmin.web import Application, DeclaredRecords, Text

ABSENT = "an-id-that-nobody-has"


@pytest.fixture
def guard(pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path) -> Guard:
    return open_guard(pool, open_context(tmp_path))


def institution(guard: Guard, sender: str) -> GuardedRecords:
    actor = Actor(f"door-{sender}", "institution", "Somebody", sender)
    return guard.records(actor, purpose="TREAT", request_id="r-1")


async def refusal(read: object) -> tuple[type[Problem], str, str]:
    """What a refused asker is told, without the id they asked with."""
    with pytest.raises(Problem) as raised:
        await read  # type: ignore[misc]  # any of the guard's awaitables
    return type(raised.value), raised.value.code, raised.value.text


async def test_bodies_exchanged_in_the_database_do_not_open(
    guard: Guard, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    records = institution(guard, "a")
    holder = (await records.create("Patient", patient())).stored
    about = f"Patient/{holder.id}"
    one = (await records.create("Observation", observation(about, value="5.4"))).stored
    other = (await records.create("Observation", observation(about, value="9.9"))).stored
    bodies = {
        row["rid"]: row["body"]
        for row in await pool.fetch(
            "select rid, body from records.record where rid = any($1)", [one.rid, other.rid]
        )
    }
    assert len(bodies) == 2
    for rid, taken in ((one.rid, other.rid), (other.rid, one.rid)):
        await pool.execute("update records.record set body = $2 where rid = $1", rid, bodies[taken])
    with pytest.raises(Tampered):
        await records.read("Observation", one.id)


async def test_one_changed_byte_of_a_body_is_noticed(
    guard: Guard, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    records = institution(guard, "a")
    made = (await records.create("Observation", observation())).stored
    await pool.execute(
        "update records.record set body = set_byte(body, 40, get_byte(body, 40) # 1)"
        " where rid = $1",
        made.rid,
    )
    with pytest.raises(Tampered):
        await records.read("Observation", made.id)


async def test_an_older_version_in_the_place_of_the_current_one_does_not_open(
    guard: Guard, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    records = institution(guard, "a")
    made = (await records.create("Observation", observation(value="1"))).stored
    await records.update("Observation", made.id, observation(id=made.id, value="2"))
    await pool.execute(
        "update records.record r set body = h.body from records.history h"
        " where r.rid = $1 and h.rid = r.rid",
        made.rid,
    )
    with pytest.raises(Tampered):
        await records.read("Observation", made.id)


async def test_nothing_that_names_a_person_stands_readable_in_any_table(
    guard: Guard, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    records = institution(guard, "a")
    secrets = ("580101199003078512", "欧阳明月", "ouyang", "15400001234", "青石板路")
    number, name, pinyin, phone, road = secrets
    body = patient(
        number,
        name,
        telecom=[{"system": "phone", "value": phone}],
        address=[{"line": [road], "text": pinyin}],
    )
    made = (await records.create("Patient", body)).stored
    await records.update("Patient", made.id, patient(number, name, id=made.id, active=True))
    await records.delete("Patient", made.id)
    tables = await pool.fetch(
        "select format('%I.%I', schemaname, tablename) as name from pg_tables"
        " where schemaname in ('records', 'people', 'trust')"
    )
    lines = [
        row["line"]
        for table in tables
        for row in await pool.fetch(f"select t::text as line from {table['name']} t")
    ]
    assert any(str(made.rid) in line for line in lines)
    forms = [form for text in secrets for form in (text, text.encode().hex())]
    assert not [line for line in lines if any(form in line for form in forms)]


def sorted_by(guard: Guard, order: str) -> Query:
    pairs = (("_sort", order), ("_count", "4"), ("_total", "accurate"))
    zone = guard.store.context.zone
    return parse_query("Observation", pairs, strict=True, zone=zone, limits=QueryLimits())


async def test_orders_and_pages_hold_nothing_of_others(guard: Guard) -> None:
    senders = [institution(guard, code) for code in "ab"]
    made: dict[int, set[str]] = {0: set(), 1: set()}
    for number in range(12):
        body = observation(effectiveDateTime=f"2026-03-{28 - number:02}")
        stored = (await senders[number % 2].create("Observation", body)).stored
        made[number % 2].add(stored.id)
    for order in ("date", "-date", "_lastUpdated", "-_lastUpdated", "status", "_id"):
        for number, records in enumerate(senders):
            cursor: str | None = None
            slices: list[list[str]] = []
            while cursor or not slices:
                asked = msgspec.structs.replace(sorted_by(guard, order), cursor=cursor)
                hits = await records.search(asked)
                assert hits.total in {6, None}
                slices.append([hit.id for hit in hits.matches])
                cursor = hits.next
            assert [len(each) for each in slices] == [4, 2], order
            assert {id_ for each in slices for id_ in each} == made[number]


async def test_a_token_stolen_from_the_database_opens_nothing(
    pool: asyncpg.Pool[asyncpg.Record],
) -> None:
    actors = Actors(pool)
    token = await actors.enrol(Actor("clinic", "institution", "Clinic", "clinic"))
    row = await pool.fetchrow("select t::text as whole, t.* from trust.actor t")
    assert row is not None
    assert token not in row["whole"]
    stolen = bytes(row["token_hash"])
    for tried in (stolen.hex(), stolen.decode("latin-1"), f"\\x{stolen.hex()}"):
        assert await actors.by_token(tried) is None
    assert await actors.by_token(token) is not None


async def test_a_hidden_record_and_an_absent_one_are_told_alike(guard: Guard) -> None:
    ours, theirs = institution(guard, "a"), institution(guard, "b")
    hidden = (await ours.create("Observation", observation())).stored.id
    read = [await refusal(theirs.read("Observation", id_)) for id_ in (hidden, ABSENT)]
    version = [await refusal(theirs.version("Observation", id_, 1)) for id_ in (hidden, ABSENT)]
    told = [await refusal(theirs.history("Observation", id_, count=5)) for id_ in (hidden, ABSENT)]
    for over_hidden, over_absent in (read, version, told):
        assert over_hidden == over_absent
        assert over_hidden[0] is NotFound


async def test_a_hidden_person_and_an_absent_one_are_told_alike(guard: Guard) -> None:
    ours, theirs = institution(guard, "a"), institution(guard, "b")
    hidden = (await ours.create("Patient", patient())).stored.id
    await ours.create("Observation", observation(f"Patient/{hidden}"))
    told = [await refusal(theirs.timeline(id_, count=5)) for id_ in (hidden, ABSENT)]
    assert told[0] == told[1]
    found = [
        {"request": {"method": "GET", "url": f"Observation?subject=Patient/{id_}"}}
        for id_ in (hidden, ABSENT)
    ]
    _, answers = await theirs.bundle(bundle("batch", *found))
    assert answers[0] == answers[1]
    assert answers[0].hits is not None
    assert answers[0].hits.matches == ()


async def test_a_deleted_record_of_others_is_told_as_absent(guard: Guard) -> None:
    ours, theirs = institution(guard, "a"), institution(guard, "b")
    deleted = (await ours.create("Observation", observation())).stored.id
    await ours.delete("Observation", deleted)
    over_deleted = await refusal(theirs.read("Observation", deleted))
    assert over_deleted == await refusal(theirs.read("Observation", ABSENT))


async def test_a_refused_reading_is_in_the_access_log(
    guard: Guard, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    ours, theirs = institution(guard, "a"), institution(guard, "b")
    hidden = (await ours.create("Patient", patient())).stored.id
    await refusal(theirs.read("Patient", hidden))
    await refusal(theirs.version("Patient", hidden, 1))
    await refusal(theirs.history("Patient", hidden, count=5))
    refused = [("read", "not-found"), ("vread", "not-found"), ("history", "not-found")]
    assert await noted(pool) == refused
    url = f"Patient/{hidden}"
    asked = [
        {"request": {"method": "GET", "url": each}}
        for each in (url, f"{url}/_history/1", f"{url}/_history", "Patient?_sort=identifyer")
    ]
    _, answers = await theirs.bundle(bundle("batch", *asked, *asked[:1]))
    assert [answer.status for answer in answers] == [404, 404, 404, 400, 404]
    assert await noted(pool) == [*refused, *refused], "one for all that was refused alike"
    with pytest.raises(Problem):
        await theirs.bundle(bundle("transaction", asked[0]))
    assert (await noted(pool))[-1] == ("transaction", "invalid")


async def noted(pool: asyncpg.Pool[asyncpg.Record]) -> list[tuple[str, str]]:
    rows = await pool.fetch(
        "select action, outcome from trust.access where actor = 'door-b' order by at"
    )
    return [(row["action"], row["outcome"]) for row in rows]


async def test_what_cannot_be_written_into_the_access_log_is_not_answered(
    guard: Guard, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    records = institution(guard, "a")
    made = (await records.create("Observation", observation())).stored
    await pool.execute("alter table trust.access rename to lost")
    everything = {"request": {"method": "GET", "url": "Observation"}}
    for asked in (
        records.read("Observation", made.id),
        records.version("Observation", made.id, 1),
        records.history("Observation", None, count=5),
        records.bundle(bundle("batch", everything)),
        records.create("Observation", observation()),
        records.delete("Observation", made.id),
    ):
        with pytest.raises(asyncpg.UndefinedTableError):
            await asked
    await pool.execute("alter table trust.lost rename to access")
    _, [answer] = await records.bundle(bundle("batch", everything))
    assert answer.hits is not None
    assert [hit.id for hit in answer.hits.matches] == [made.id]


async def test_an_application_gets_no_type_that_it_did_not_declare(guard: Guard) -> None:
    records = institution(guard, "a")
    made = (await records.create("Observation", observation())).stored
    application = Application(
        name="blood",
        title=Text(zh="血液", en="Blood"),
        summary=Text(zh="血液", en="Blood"),
        levels=frozenset({"county"}),
        roles=frozenset({"institution"}),
        reads=frozenset({"Patient"}),
        pages=(),
    )
    narrowed = DeclaredRecords(records, application, guard.store.context.zone)
    for asked in (
        narrowed.read("Observation", made.id),
        narrowed.version("Observation", made.id, 1),
        narrowed.history("Observation", made.id, count=5),
        narrowed.find("Observation", count=5),
        narrowed.timeline("somebody", types=("Observation",), count=5),
        narrowed.timelines("somebody", Part(types=("Observation",), count=5)),
        narrowed.find("Patient", ("_revinclude", "Observation:subject"), count=5),
        narrowed.create("Observation", observation()),
        narrowed.update("Observation", made.id, observation(id=made.id)),
        narrowed.create("Patient", patient()),
    ):
        with pytest.raises(Forbidden):
            await asked
    with pytest.raises(Forbidden, match="declare"):
        narrowed.desk(Emergencies)


async def test_an_application_counts_so_many_rows_and_no_more(guard: Guard) -> None:
    records = institution(guard, "a")
    own = {(await records.create("Observation", observation())).stored.id for _ in range(3)}
    await institution(guard, "b").create("Observation", observation())
    application = Application(
        name="blood",
        title=Text(zh="血液", en="Blood"),
        summary=Text(zh="血液", en="Blood"),
        levels=frozenset({"county"}),
        roles=frozenset({"institution"}),
        reads=frozenset({"Observation"}),
        pages=(),
    )
    narrowed = DeclaredRecords(records, application, guard.store.context.zone)
    found = {one.id async for one in narrowed.every("Observation", rows_max=3, is_own=True)}
    assert found == own
    with pytest.raises(TooCostly, match=r"than the 2 that `pages.counted_max` lets"):
        [one async for one in narrowed.every("Observation", rows_max=2)]


async def test_a_part_of_a_timeline_without_types_has_those_that_are_declared(guard: Guard) -> None:
    records = institution(guard, "a")
    person = (await records.create("Patient", patient())).stored
    await records.create("Observation", observation(f"Patient/{person.id}"))
    application = Application(
        name="names",
        title=Text(zh="姓名", en="Names"),
        summary=Text(zh="姓名", en="Names"),
        levels=frozenset({"county"}),
        roles=frozenset({"institution"}),
        reads=frozenset({"Patient"}),
        pages=(),
    )
    narrowed = DeclaredRecords(records, application, guard.store.context.zone)
    [seen] = await narrowed.timelines(person.id, Part(count=5))
    assert [one.type for one in seen.entries] == ["Patient"]
    [seen] = await records.timelines(person.id, [Part(count=5)])
    assert [one.type for one in seen.entries] == ["Observation"]
