"""What a thief, a forger or a curious neighbour would try, where no other test tries it.

docs/threats.md lists every threat with the test that answers it.
"""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest
from stores import bundle, observation, open_context, open_guard, patient

from quanmin.base.crypto import Tampered
from quanmin.base.problems import Forbidden, NotFound, Problem
from quanmin.trust import Actor, Actors, Guard, GuardedRecords
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
    assert await noted(pool) == [*refused, *refused, refused[0]]
    with pytest.raises(Problem):
        await theirs.bundle(bundle("transaction", asked[0]))
    assert (await noted(pool))[-1] == ("transaction", "invalid")


async def noted(pool: asyncpg.Pool[asyncpg.Record]) -> list[tuple[str, str]]:
    rows = await pool.fetch("select action, outcome from trust.access where actor = 'door-b'")
    return [(row["action"], row["outcome"]) for row in rows]


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
        narrowed.create("Observation", observation()),
        narrowed.create("Patient", patient()),
    ):
        with pytest.raises(Forbidden):
            await asked
