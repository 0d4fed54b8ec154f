"""A write at an id that others have is answered, byte for byte, as one at an id nobody has.

The only exception is a write that would have made a record under an id of the client's choosing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from stores import bundle, observation

from quanmin.fhir.table import load_table
from quanmin.records.rid import assign, id_of, number_of, rid_of

NUMBER = load_table().types["Observation"].number
ABSENT = {
    "assigned": id_of(assign(1 << 40, 7, NUMBER), "q"),
    "chosen": "lab-2026.8",
}
BAD = {"resourceType": "Observation", "status": "done", "colour": "red"}
Ask = dict[str, Any]


def _put(id_: str, body: Any = None, **more: str) -> Ask:
    resource = json.loads(observation(value="7")) if body is None else body
    content = json.dumps({**resource, "id": id_})
    headers = {name.replace("_", "-"): value for name, value in more.items()}
    return {
        "method": "PUT",
        "url": f"/Observation/{id_}",
        "content": content,
        "headers": headers,
    }


def _delete(id_: str, **more: str) -> Ask:
    headers = {name.replace("_", "-"): value for name, value in more.items()}
    return {"method": "DELETE", "url": f"/Observation/{id_}", "headers": headers}


def _sent(kind: str, *entries: dict[str, Any]) -> Ask:
    return {"method": "POST", "url": "", "content": bundle(kind, *entries)}


def _delete_entry(id_: str, **more: str) -> dict[str, Any]:
    return {"request": {"method": "DELETE", "url": f"Observation/{id_}", **more}}


def _put_entry(id_: str, body: Any = None, **more: str) -> dict[str, Any]:
    resource = {**(body or json.loads(observation(value="7"))), "id": id_}
    request = {"method": "PUT", "url": f"Observation/{id_}", **more}
    return {"resource": resource, "request": request}


_LOST = {"request": {"method": "GET", "url": "Patient/nobody"}}

# What is answered alike whoever chose the id.
ALWAYS: dict[str, Callable[[str], Ask]] = {
    "delete": _delete,
    "delete, told": lambda id_: _delete(id_, prefer="return=OperationOutcome"),
    "delete of a version": lambda id_: _delete(id_, if_match='W/"1"'),
    "delete of another version": lambda id_: _delete(id_, if_match='W/"7"'),
    "delete of any version": lambda id_: _delete(id_, if_match="*"),
    "put on any version": lambda id_: _put(id_, if_match="*"),
    "batch that deletes any version": lambda id_: _sent("batch", _delete_entry(id_, ifMatch="*")),
    "put on a version": lambda id_: _put(id_, if_match='W/"1"'),
    "put of what is no Observation": lambda id_: _put(id_, BAD),
    "put of it if none is there": lambda id_: _put(id_, BAD, if_none_match="*"),
    "transaction that deletes": lambda id_: _sent("transaction", _delete_entry(id_)),
    "batch that deletes": lambda id_: _sent("batch", _delete_entry(id_)),
    "transaction that deletes a version": lambda id_: _sent(
        "transaction", _delete_entry(id_, ifMatch='W/"1"')
    ),
    "batch that deletes a version": lambda id_: _sent("batch", _delete_entry(id_, ifMatch='W/"1"')),
    "batch that puts on a version": lambda id_: _sent("batch", _put_entry(id_, ifMatch='W/"1"')),
    "transaction that puts on a version": lambda id_: _sent(
        "transaction", _put_entry(id_, ifMatch='W/"1"')
    ),
    "batch of what is no Observation": lambda id_: _sent("batch", _put_entry(id_, BAD)),
    "transaction of what is no Observation": lambda id_: _sent("transaction", _put_entry(id_, BAD)),
    "transaction with a fault elsewhere": lambda id_: _sent(
        "transaction", _put_entry(id_), _put_entry("free", BAD)
    ),
    "transaction that reads in vain": lambda id_: _sent("transaction", _put_entry(id_), _LOST),
    "conditional put that finds none": lambda id_: {
        **_put(id_, BAD),
        "url": "/Observation?identifier=urn:x%7C7",
    },
}
# What would make a record if the client had chosen the id.
ASSIGNED: dict[str, Callable[[str], Ask]] = {
    "put": _put,
    "put if none is there": lambda id_: _put(id_, if_none_match="*"),
    "batch that puts": lambda id_: _sent("batch", _put_entry(id_)),
    "batch that puts if none is there": lambda id_: _sent(
        "batch", _put_entry(id_, ifNoneMatch="*")
    ),
    "transaction that puts": lambda id_: _sent("transaction", _put_entry(id_)),
    "conditional put": lambda id_: {**_put(id_), "url": "/Observation?identifier=urn:x%7C7"},
}
SHAPES = [
    *((kind, name, ask) for kind in ABSENT for name, ask in ALWAYS.items()),
    *(("assigned", name, ask) for name, ask in ASSIGNED.items()),
]


def _told(answer: httpx.Response, id_: str) -> tuple[int, list[tuple[str, str]], bytes]:
    """An answer without the id that was asked for and the request's own number."""
    headers = [
        (name, value.replace(id_, "ID"))
        for name, value in answer.headers.items()
        if name not in {"x-request-id", "date"}
    ]
    return answer.status_code, headers, answer.content.replace(id_.encode(), b"ID")


async def _others(house: Any, kind: str) -> str:
    """The id of a record of hospital A."""
    ours = house.client("hospital-a")
    if kind == "chosen":
        id_ = "lab-2026.7"
        made = await ours.put(f"/Observation/{id_}", content=observation(id=id_))
    else:
        made = await ours.post("/Observation", content=observation())
    assert made.status_code == 201
    id_ = made.json()["id"]
    assert len(id_) == len(ABSENT[kind])
    return str(id_)


@pytest.mark.parametrize(("kind", "name", "ask"), SHAPES, ids=[f"{k}: {n}" for k, n, _ in SHAPES])
async def test_a_write_at_an_id_of_others_is_answered_as_at_one_that_nobody_has(
    house: Any, kind: str, name: str, ask: Callable[[str], Ask]
) -> None:
    hidden, absent = await _others(house, kind), ABSENT[kind]
    ours, theirs = house.client("hospital-a"), house.client("hospital-b")
    over_absent = _told(await theirs.request(**ask(absent)), absent)
    assert _told(await theirs.request(**ask(hidden)), hidden) == over_absent, name
    assert (await ours.delete(f"/Observation/{hidden}")).headers["etag"] == 'W/"2"'
    assert _told(await theirs.request(**ask(hidden)), hidden) == over_absent, name


async def test_the_same_write_of_its_owner_is_answered_otherwise(house: Any) -> None:
    """The shapes are real: whoever may know of the record is told of it."""
    alike = []
    for kind, name, ask in SHAPES:
        id_ = await _others(house, "assigned")
        ours = house.client("hospital-a")
        own = _told(await ours.request(**ask(id_)), id_)
        absent = _told(await ours.request(**ask(ABSENT["assigned"])), ABSENT["assigned"])
        if own == absent:
            alike.append(f"{kind}: {name}")
    assert alike == []


async def test_a_chosen_id_of_others_is_refused_and_nothing_more_is_told(house: Any) -> None:
    hidden = await _others(house, "chosen")
    theirs = house.client("hospital-b")
    refused = [
        _told(await theirs.request(**ask), hidden)
        for ask in (_put(hidden), _put(hidden, if_none_match="*"))
    ]
    assert refused[0] == refused[1]
    assert refused[0][0] == 403
    assert b"not free" in refused[0][2]
    whole = await theirs.request(**_sent("transaction", _put_entry(hidden), _put_entry("free")))
    assert (whole.status_code, whole.content) == (403, refused[0][2])
    assert (await theirs.get("/Observation/free")).status_code == 404
    # The record itself, deleted or not, looks the same from without.
    await house.client("hospital-a").delete(f"/Observation/{hidden}")
    assert _told(await theirs.request(**_put(hidden)), hidden) == refused[0]
    free = ABSENT["chosen"]
    assert (await theirs.request(**_put(free))).status_code == 201


async def test_an_attempt_at_a_record_of_others_is_in_the_access_log(house: Any) -> None:
    hidden = await _others(house, "assigned")
    chosen = await _others(house, "chosen")
    rids = {id_: house.guard.store.context.rid_of("Observation", id_) for id_ in (hidden, chosen)}
    theirs = house.client("hospital-b")
    for ask in (
        _delete(hidden),
        _delete(hidden, if_match='W/"1"'),
        _put(hidden),
        _put(chosen),
        _sent("batch", _delete_entry(chosen)),
        _sent("transaction", _put_entry("free"), _delete_entry(hidden), _delete_entry("nobody")),
        _delete(ABSENT["assigned"]),
        _put(ABSENT["assigned"]),
    ):
        await theirs.request(**ask)
    rows = await house.pool.fetch(
        "select action, type, outcome, hits, records from trust.access"
        " where actor = 'hospital-b' order by at, outcome"
    )
    free = house.guard.store.context.rid_of("Observation", "free")
    told = [(r["action"], r["type"], r["outcome"], r["hits"], r["records"]) for r in rows]
    assert told == [
        ("delete", "Observation", "forbidden", 1, [rids[hidden]]),
        ("delete", "Observation", "forbidden", 1, [rids[hidden]]),
        ("update", "Observation", "forbidden", 1, [rids[hidden]]),
        ("update", "Observation", "forbidden", 1, [rids[chosen]]),
        ("delete", "Observation", "forbidden", 1, [rids[chosen]]),
        ("transaction", "Observation", "ok", 1, [free]),
        ("transaction", "Observation", "forbidden", 1, [rids[hidden]]),
        ("delete", None, "ok", 0, None),
        ("update", "Observation", "invalid", 0, None),
    ]
    replaced = "select count(*) from records.history where rid = any($1)"
    assert await house.pool.fetchval(replaced, [*rids.values()]) == 0


async def test_ids_that_the_node_gives_do_not_tell_how_much_others_have_written(
    house: Any,
) -> None:
    ours, theirs = house.client("hospital-a"), house.client("hospital-b")

    async def number() -> int:
        made = await ours.post("/Observation", content=observation())
        rid = rid_of(NUMBER, made.json()["id"], "q")
        assert rid is not None
        return number_of(rid)

    first = await number()
    for _ in range(3):
        assert (await theirs.post("/Observation", content=observation())).status_code == 201
    assert await number() == first + 1
