"""What each kind of actor sees and may change, through every method of the guarded door."""

from __future__ import annotations

import json
from pathlib import Path

import asyncpg
import pytest
from stores import bundle, observation, open_context, open_guard, patient, post

from quanmin.base.problems import (
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    PreconditionFailed,
    Problem,
)
from quanmin.fhir.grammar import QueryLimits, parse_query
from quanmin.fhir.query import Query
from quanmin.trust import Actor, Guard, GuardedRecords, Part

NUMBER = "580101199003078512"


@pytest.fixture
def guard(pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path) -> Guard:
    return open_guard(pool, open_context(tmp_path))


def records(guard: Guard, role: str, sender: str = "", person: str | None = None) -> GuardedRecords:
    code = f"{role}-{sender}"
    actor = Actor(code, role, "Somebody", sender, person)  # type: ignore[arg-type]  # a role
    return guard.records(actor, purpose="TREAT", request_id="r-1")


def query(guard: Guard, type_: str | None, **terms: str) -> Query:
    pairs = [(name.replace("__", ":"), value) for name, value in terms.items()]
    return parse_query(
        type_, pairs, strict=True, zone=guard.store.context.zone, limits=QueryLimits()
    )


async def test_an_institution_sees_its_own_records_only(guard: Guard) -> None:
    ours, theirs = records(guard, "institution", "a"), records(guard, "institution", "b")
    mine = (await ours.create("Observation", observation())).stored
    await theirs.create("Observation", observation())
    assert (await ours.read("Observation", mine.id)).id == mine.id
    with pytest.raises(NotFound):
        await theirs.read("Observation", mine.id)
    with pytest.raises(NotFound):
        await theirs.version("Observation", mine.id, 1)
    with pytest.raises(NotFound):
        await theirs.history("Observation", mine.id, count=10)
    hits = await ours.search(query(guard, "Observation", _total="accurate"))
    assert ([hit.id for hit in hits.matches], hits.total) == ([mine.id], 1)
    batch = await ours.history("Observation", None, count=10)
    assert [version.id for version in batch.versions] == [mine.id]
    operator = records(guard, "operator", "center")
    everything = await operator.search(query(guard, "Observation", _total="accurate"))
    assert everything.total == 2


async def test_a_search_may_ask_for_ones_own_only(guard: Guard) -> None:
    operator, other = records(guard, "operator", "center"), records(guard, "institution", "b")
    mine = (await operator.create("Observation", observation())).stored
    await other.create("Observation", observation())
    asked = query(guard, "Observation", _total="accurate")
    assert (await operator.search(asked)).total == 2
    own = await operator.search(asked, is_own=True)
    assert ([hit.id for hit in own.matches], own.total) == ([mine.id], 1)


async def test_an_institution_changes_its_own_records_only(guard: Guard) -> None:
    ours, theirs = records(guard, "institution", "a"), records(guard, "institution", "b")
    mine = (await ours.create("Observation", observation())).stored
    with pytest.raises(Invalid, match="no such record"):
        await theirs.update("Observation", mine.id, observation(id=mine.id, value="9"))
    assert await theirs.delete("Observation", mine.id) is None
    assert (await ours.read("Observation", mine.id)).version == 1


async def test_conditional_criteria_tell_nothing_about_others(guard: Guard) -> None:
    ours, theirs = records(guard, "institution", "a"), records(guard, "institution", "b")
    body = patient(NUMBER)
    criteria = query(guard, "Patient", identifier=f"urn:oid:2.16.156.10011.1.3|{NUMBER}")
    first = await ours.create("Patient", body, if_none_exist=criteria)
    again = await ours.create("Patient", body, if_none_exist=criteria)
    other = await theirs.create("Patient", body, if_none_exist=criteria)
    assert (first.created, again.unchanged, other.created) == (True, True, True)
    assert again.stored.id == first.stored.id != other.stored.id
    third = records(guard, "institution", "c")
    assert await third.delete_where(criteria) is None
    reference = f"Patient?identifier=urn:oid:2.16.156.10011.1.3|{NUMBER}"
    with pytest.raises(PreconditionFailed, match="none of your records"):
        await third.create("Observation", observation(reference))
    made = await third.update_where(criteria, body)
    assert made.created
    assert made.stored.id not in {first.stored.id, other.stored.id}
    assert (await ours.read("Patient", first.stored.id)).version == 1


async def test_a_resident_reads_what_is_about_them_and_writes_nothing(
    guard: Guard, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    clinic, hospital = records(guard, "institution", "a"), records(guard, "institution", "b")
    here = (await clinic.create("Patient", patient(NUMBER))).stored
    there = (await hospital.create("Patient", patient(NUMBER))).stored
    mine = (await hospital.create("Observation", observation(f"Patient/{there.id}"))).stored
    stranger = (await clinic.create("Patient", patient(name="司马清风"))).stored
    person = await pool.fetchval("select person from people.link limit 1")
    resident = records(guard, "resident", person=str(person))
    assert (await resident.read("Observation", mine.id)).id == mine.id
    with pytest.raises(NotFound):
        await resident.read("Patient", stranger.id)
    with pytest.raises(NotFound):
        await resident.version("Patient", stranger.id, 1)
    with pytest.raises(NotFound):
        await resident.history("Patient", stranger.id, count=5)
    with pytest.raises(NotFound):
        await resident.timeline(stranger.id, count=5)
    hits = await resident.search(query(guard, "Patient"))
    assert {hit.id for hit in hits.matches} == {here.id, there.id}
    timeline = await resident.timeline(here.id, count=10)
    assert {patient.id for patient in timeline.patients} == {here.id, there.id}
    assert mine.id in {entry.id for entry in timeline.entries}
    before = await pool.fetchval("select count(*) from trust.access")
    several = await resident.timelines(
        here.id, [Part(types=("Observation",), count=5), Part(types=("Condition",), count=5)]
    )
    assert [[one.id for one in part.entries] for part in several] == [[mine.id], []]
    assert await pool.fetchval("select count(*) from trust.access") == before + 1
    for written in (
        resident.create("Observation", observation()),
        resident.update("Observation", mine.id, observation(id=mine.id)),
        resident.update_where(query(guard, "Observation", status="final"), observation()),
        resident.delete("Observation", mine.id),
        resident.delete_where(query(guard, "Observation", status="final")),
        resident.bundle(bundle("transaction", post(observation()))),
    ):
        with pytest.raises(Forbidden):
            await written
    _, [answer] = await resident.bundle(bundle("batch", post(observation())))
    assert answer.status == 403
    assert (await resident.history("Observation", mine.id, count=5)).versions == (mine,)


async def test_every_interaction_is_in_the_access_log_before_it_is_answered(
    guard: Guard, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    ours = records(guard, "institution", "a")
    made = (await ours.create("Patient", patient(NUMBER))).stored
    await ours.read("Patient", made.id)
    await ours.search(query(guard, "Patient"))
    with pytest.raises(NotFound):
        await ours.read("Patient", "nobody")
    with pytest.raises(Problem):
        await ours.create("Patient", b'{"resourceType":"Patient","gender":"blue"}')
    rows = await pool.fetch("select * from trust.access order by at, action")
    told = {(row["action"], row["outcome"], row["hits"]) for row in rows}
    assert told == {
        ("create", "ok", 1),
        ("read", "ok", 1),
        ("search", "ok", 1),
        ("read", "not-found", 0),
        ("create", "invalid", 0),
    }
    read = next(row for row in rows if row["action"] == "read" and row["hits"])
    assert (read["actor"], read["purpose"], read["request"]) == ("institution-a", "TREAT", "r-1")
    assert (read["records"], read["patients"]) == ([made.rid], [made.rid])
    assert all(NUMBER not in str(dict(row)) for row in rows)


async def test_a_transaction_resolves_its_references_in_any_order(guard: Guard) -> None:
    ours = records(guard, "institution", "a")
    await ours.create(
        "Organization",
        b'{"resourceType":"Organization","name":"A","identifier":[{"system":"urn:x","value":"7"}]}',
    )
    subject = "urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f0a"
    about = json.loads(observation(subject))
    about["performer"] = [{"reference": "Organization?identifier=urn:x|7"}]
    kind, answers = await ours.bundle(
        bundle("transaction", post(json.dumps(about).encode()), post(patient(), subject))
    )
    assert (kind, [answer.status for answer in answers]) == ("transaction", [201, 201])
    stored = [answer.stored for answer in answers]
    assert stored[0] is not None
    assert stored[1] is not None
    body = json.loads(stored[0].body or b"")
    assert body["subject"]["reference"] == f"Patient/{stored[1].id}"
    assert body["performer"][0]["reference"].startswith("Organization/")
    assert stored[0].facts.patient == stored[1].rid
    hits = await ours.search(query(guard, "Observation", subject=f"Patient/{stored[1].id}"))
    assert [hit.id for hit in hits.matches] == [stored[0].id]


async def test_a_failed_transaction_leaves_nothing_behind(guard: Guard) -> None:
    ours = records(guard, "institution", "a")
    unknown = json.loads(observation("Patient?identifier=urn:x|unknown"))
    with pytest.raises(PreconditionFailed):
        await ours.bundle(
            bundle("transaction", post(patient()), post(json.dumps(unknown).encode()))
        )
    assert (await ours.search(query(guard, "Patient"))).matches == ()


async def test_a_batch_does_what_it_can(guard: Guard) -> None:
    ours = records(guard, "institution", "a")
    kind, answers = await ours.bundle(
        bundle(
            "batch",
            post(patient()),
            {"request": {"method": "GET", "url": "Patient/nobody"}},
            {"request": {"method": "PATCH", "url": "Patient/nobody"}},
            {"request": {"method": "GET", "url": "Patient?_count=5"}},
        )
    )
    assert kind == "batch"
    assert [answer.status for answer in answers] == [201, 404, 422, 200]
    assert answers[3].hits is not None
    assert len(answers[3].hits.matches) == 1


async def test_criteria_that_name_nothing_are_refused(guard: Guard) -> None:
    ours = records(guard, "institution", "a")
    await ours.create("Patient", patient())
    with pytest.raises(Problem, match="no search parameter"):
        await ours.delete_where(query(guard, "Patient", _count="5"))


async def test_a_bundle_reads_histories_as_far_as_it_asks(guard: Guard) -> None:
    ours = records(guard, "institution", "a")
    made = (await ours.create("Observation", observation(value="1"))).stored
    for value in ("2", "3"):
        await ours.update("Observation", made.id, observation(id=made.id, value=value))
    asked = [
        {"request": {"method": "GET", "url": f"Observation/{made.id}/_history{terms}"}}
        for terms in ("", "?_count=1", "?_since=2999-01-01T00:00:00Z", "?_at=2999", "?_list=7")
    ]
    _, answers = await ours.bundle(bundle("batch", *asked))
    assert [answer.status for answer in answers] == [200, 200, 200, 200, 400]
    assert [
        [version.version for version in answer.history.versions]
        for answer in answers
        if answer.history is not None
    ] == [[3, 2, 1], [3], [], [3]]


async def test_registrations_counts_only_what_the_asker_may_see(guard: Guard) -> None:
    clinic, hospital = records(guard, "institution", "a"), records(guard, "institution", "b")
    here = (await clinic.create("Patient", patient(NUMBER))).stored
    await hospital.create("Patient", patient(NUMBER))
    assert await clinic.registrations([here]) == {here.id: 1}
    operator = records(guard, "operator", "center")
    assert await operator.registrations([here]) == {here.id: 2}


async def test_a_refused_timeline_is_in_the_access_log(
    guard: Guard, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    ours, theirs = records(guard, "institution", "a"), records(guard, "institution", "b")
    made = (await ours.create("Patient", patient())).stored
    with pytest.raises(NotFound):
        await theirs.timeline(made.id, count=5)
    rows = await pool.fetch("select outcome from trust.access where action = 'timeline'")
    assert [row["outcome"] for row in rows] == ["not-found"]


async def test_an_operator_erases_a_person_everywhere_and_it_is_written_down(
    guard: Guard, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    clinic, hospital = records(guard, "institution", "a"), records(guard, "institution", "b")
    here = (await clinic.create("Patient", patient(NUMBER))).stored
    there = (await hospital.create("Patient", patient(NUMBER))).stored
    result = (await hospital.create("Observation", observation(f"Patient/{there.id}"))).stored
    stranger = (await clinic.create("Patient", patient(name="司马清风"))).stored
    operator = records(guard, "operator", "center")
    assert await operator.erase(here.id) == 3
    for stored in (here, there, result):
        with pytest.raises(Gone, match="erased"):
            await operator.read(stored.type, stored.id)
    hits = await operator.search(query(guard, "Patient", _total="accurate"))
    assert ([hit.id for hit in hits.matches], hits.total) == ([stranger.id], 1)
    row = await pool.fetchrow("select * from trust.access where action = 'erase'")
    assert row is not None
    assert (row["actor"], row["outcome"], row["hits"]) == ("operator-center", "ok", 3)
    assert set(row["records"]) == {here.rid, there.rid, result.rid}
    assert set(row["patients"]) == {here.rid, there.rid}
    for table in ("number", "link"):
        assert await pool.fetchval(f"select count(*) from people.{table}") == 0
    again = (await clinic.create("Patient", patient(NUMBER))).stored
    assert (await clinic.timeline(again.id, count=5)).patients == (again,)


async def test_only_an_operator_erases_and_every_refusal_is_written_down(
    guard: Guard, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    ours = records(guard, "institution", "a")
    mine = (await ours.create("Patient", patient(NUMBER))).stored
    person = await pool.fetchval("select person from people.link")
    for asker in (ours, records(guard, "resident", person=str(person))):
        for id_ in (mine.id, "nobody"):
            with pytest.raises(Forbidden):
                await asker.erase(id_)
    with pytest.raises(NotFound):
        await records(guard, "operator", "center").erase("nobody")
    assert (await ours.read("Patient", mine.id)).version == 1
    rows = await pool.fetch("select outcome from trust.access where action = 'erase'")
    assert sorted(row["outcome"] for row in rows) == ["forbidden"] * 4 + ["not-found"]


async def test_an_erasure_that_cannot_be_written_down_does_not_take_place(
    guard: Guard, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    ours = records(guard, "institution", "a")
    mine = (await ours.create("Patient", patient(NUMBER))).stored
    await pool.execute("alter table trust.access add check (action <> 'erase')")
    with pytest.raises(asyncpg.CheckViolationError):
        await records(guard, "operator", "center").erase(mine.id)
    assert (await ours.read("Patient", mine.id)).version == 1
    updated = await ours.update("Patient", mine.id, patient(NUMBER, id=mine.id, gender="male"))
    assert updated.stored.version == 2
