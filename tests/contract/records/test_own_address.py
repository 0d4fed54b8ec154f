"""A reference by this node's own address is one to its own record; what is stored stays as sent."""

from __future__ import annotations

import json
from pathlib import Path

import asyncpg
import pytest
from shelf import query_of
from stores import bundle, create, observation, open_context, open_guard, open_store, patient, post

from quanmin.base.problems import Gone
from quanmin.records.operation import Change, Sender
from quanmin.records.search import search
from quanmin.records.store import Store
from quanmin.records.visibility import Everything
from quanmin.trust import Actor

BASE = "https://node.example/fhir"


@pytest.fixture(params=[BASE, f"{BASE}/"])
def store(
    request: pytest.FixtureRequest, pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path
) -> Store:
    return open_store(pool, open_context(tmp_path, base_url=request.param))


async def found(store: Store, *pairs: tuple[str, str]) -> list[str]:
    query = query_of("Observation", *pairs)
    async with store.reading() as connection:
        hits = await search(connection, store.context, query, Everything())
    return sorted(hit.id for hit in (*hits.matches, *hits.included))


async def test_it_is_found_owned_and_included_like_a_relative_one(
    store: Store, sender: Sender
) -> None:
    [person] = await store.write(sender, [create("Patient", patient())])
    assert person is not None
    relative = f"Patient/{person.stored.id}"
    address = f"{BASE}/{relative}"
    bodies = [
        observation(address),
        observation(f"{address}/_history/1"),
        observation(f"https://node.example/fhir2/{relative}"),
    ]
    outcomes = await store.write(sender, [create("Observation", body) for body in bodies])
    made = [outcome.stored for outcome in outcomes if outcome is not None]
    ours = sorted(stored.id for stored in made[:2])
    for stored in made[:2]:
        assert stored.facts.patient == person.stored.rid
        assert stored.rid >> 8 & 1023 == person.stored.rid >> 8 & 1023
    assert made[2].facts.patient is None
    assert json.loads(made[0].body or b"")["subject"]["reference"] == address
    for name in ("subject", "patient"):
        for asked in (relative, address, person.stored.id):
            assert await found(store, (name, asked)) == ours, (name, asked)
    included = await found(store, ("subject", relative), ("_include", "Observation:subject"))
    assert included == sorted([*ours, person.stored.id])


async def test_it_is_followed_and_asked_for_at_the_end_of_others_and_in_composites(
    store: Store, sender: Sender
) -> None:
    [person] = await store.write(sender, [create("Patient", patient())])
    assert person is not None
    address = f"{BASE}/Patient/{person.stored.id}"
    [result] = await store.write(sender, [create("Observation", observation(address))])
    assert result is not None
    replaced = {"code": "replaces", "target": {"reference": f"{BASE}/DocumentReference/old"}}
    document = {
        "resourceType": "DocumentReference",
        "status": "current",
        "content": [{"attachment": {"title": "a"}}],
        "relatesTo": [replaced],
    }
    [newer] = await store.write(
        sender, [create("DocumentReference", json.dumps(document).encode())]
    )
    assert newer is not None
    ours = [result.stored.id]
    assert await found(store, ("patient.name", "欧阳明月")) == ours
    assert await found(store, ("patient._has:Observation:patient:subject", address)) == ours
    for old in ("DocumentReference/old", f"{BASE}/DocumentReference/old"):
        query = query_of("DocumentReference", ("relationship", f"replaces${old}"))
        async with store.reading() as connection:
            hits = await search(connection, store.context, query, Everything())
        assert [hit.id for hit in hits.matches] == [newer.stored.id]


async def test_erasing_the_person_erases_it(store: Store, sender: Sender) -> None:
    [person] = await store.write(sender, [create("Patient", patient())])
    assert person is not None
    address = f"{BASE}/Patient/{person.stored.id}"
    await store.write(sender, [create("Observation", observation(address))])

    async def choose(_: object) -> list[int]:
        return [person.stored.rid]

    async def note(_: object, changes: list[Change]) -> None:
        assert len(changes) == 2

    await store.erase(choose, note)
    with pytest.raises(Gone, match="erased"):
        await store.write(sender, [create("Observation", observation(address))])


async def test_a_condition_on_it_finds_what_its_own_transaction_makes(
    pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path
) -> None:
    guard = open_guard(pool, open_context(tmp_path, base_url=BASE))
    ours = guard.records(Actor("a", "institution", "A", "a"), purpose="TREAT", request_id="r")
    person = (await ours.create("Patient", patient())).stored
    about = json.loads(observation()) | {
        "derivedFrom": [{"reference": f"Observation?subject={BASE}/Patient/{person.id}"}]
    }
    _, answers = await ours.bundle(
        bundle(
            "transaction",
            post(observation(f"Patient/{person.id}")),
            post(json.dumps(about).encode()),
        )
    )
    first, second = (answer.stored for answer in answers)
    assert first is not None
    assert second is not None
    derived = json.loads(second.body or b"")["derivedFrom"]
    assert derived == [{"reference": f"Observation/{first.id}"}]
