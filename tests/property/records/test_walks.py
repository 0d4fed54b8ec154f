"""A walk through all pages gives what one page would, whatever others write meanwhile.

Of records that nobody touches: each once, in the order of one page. Of those that are changed: what
the manual promises for the order (docs/reference/api.md, "What a walk through all pages gives").
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from contract.proof.stage import Stage, open_stage
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quanmin.base.cluster import Cluster
from quanmin.fhir.grammar import QueryLimits, parse_query
from quanmin.fhir.query import Query
from quanmin.trust import Stored

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("walks")]

# (type or none, parameters, whether a changed record comes exactly once, at least once, or neither)
ORDERS: list[tuple[str | None, list[tuple[str, str]], str]] = [
    ("Observation", [], "any"),
    ("Observation", [("_sort", "_id")], "once"),
    ("Observation", [("_sort", "-_id")], "once"),
    ("Observation", [("_sort", "_lastUpdated")], "seen"),
    ("Observation", [("_sort", "-_lastUpdated")], "any"),
    ("Observation", [("_sort", "date")], "any"),
    ("Observation", [("_sort", "-date")], "any"),
    ("Observation", [("_sort", "-date,status")], "any"),
    ("Observation", [("_sort", "status,-date,_id")], "any"),
    ("Observation", [("_sort", "-method,value-quantity")], "any"),
    ("Observation", [("_sort", "value-quantity"), ("status", "final,amended")], "any"),
    ("Observation", [("_sort", "-_lastUpdated,status")], "any"),
    ("Observation", [("patient.gender", "female"), ("_sort", "_id")], "any"),
    (None, [("_type", "Observation,Procedure"), ("_sort", "_id")], "once"),
    (None, [("_type", "Observation,Procedure"), ("_sort", "-date")], "any"),
    (None, [("_type", "Observation,Procedure"), ("_sort", "status,-date")], "any"),
]
_DATES = ("2026-01-01", "2026-01-02", "2026", None)
_tags = itertools.count(1)


@pytest.fixture(scope="module")
def stage(postgres: Cluster) -> Iterator[Stage]:
    with open_stage(postgres) as opened:
        people = [("Patient", f"p{n}", {"gender": ("female", "male")[n]}) for n in range(2)]
        opened.put((type_, id_, _json(type_, id_, body)) for type_, id_, body in people)
        yield opened


def _json(type_: str, id_: str, body: dict[str, Any]) -> bytes:
    return json.dumps({"resourceType": type_, "id": id_, **body}).encode()


Made = tuple[str, int, int, int]
"""Type, date, status and patient of a record, each one of a few."""

MADE = st.tuples(
    st.sampled_from(["Observation", "Observation", "Procedure"]),
    st.integers(0, 3),
    st.integers(0, 1),
    st.integers(0, 1),
)


def _record(tag: str, number: int, made: Made, note: str = "") -> tuple[str, str, bytes]:
    type_, date, status, patient = made
    id_ = f"{tag}-{number}"
    body: dict[str, Any] = {
        "meta": {"tag": [{"system": "urn:walk", "code": tag}]},
        "subject": {"reference": f"Patient/p{patient}"},
        "code": {"coding": [{"code": f"c{number % 3}"}]},
        "note": [{"text": f"{number} {note}"}],
    }
    if type_ == "Observation":
        body |= {"status": ("final", "amended")[status]}
        body |= {"method": {"coding": [{"code": f"m{number % 4}"}]}} if number % 5 else {}
        body |= {"valueQuantity": {"value": number % 7, "unit": "kg"}} if number % 4 else {}
    else:
        body |= {"status": ("completed", "stopped")[status]}
    if _DATES[date]:
        body["effectiveDateTime" if type_ == "Observation" else "performedDateTime"] = _DATES[date]
    return type_, id_, _json(type_, id_, body)


class Walk:
    """One search of the records with a tag, page by page."""

    def __init__(
        self, stage: Stage, tag: str, type_: str | None, pairs: list[tuple[str, str]]
    ) -> None:
        self.stage = stage
        everything = [*pairs, ("_tag", f"urn:walk|{tag}")]
        zone = stage.context.zone
        self.query: Query = parse_query(
            type_, everything, strict=True, zone=zone, limits=QueryLimits()
        )

    async def page(self, count: int, cursor: str | None) -> tuple[list[Stored], str | None]:
        asked = msgspec.structs.replace(self.query, count=count, cursor=cursor)
        hits = await self.stage.records().search(asked)
        return list(hits.matches), hits.next

    async def whole(self) -> list[str]:
        found, following = await self.page(1000, None)
        assert following is None
        return [one.id for one in found]


def _check_changed(kind: str, seen: list[str], changed: set[str]) -> None:
    """What the order promises of those that were updated and are still hits."""
    mine = [id_ for id_ in seen if id_ in changed]
    if kind == "once":
        assert sorted(mine) == sorted(changed)
    if kind == "seen":
        assert set(mine) == changed


@settings(
    max_examples=80 if os.environ.get("QUANMIN_TESTS") == "full" else 40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    order=st.sampled_from(ORDERS),
    made=st.lists(MADE, min_size=8, max_size=24),
    count=st.integers(1, 6),
    writes=st.lists(st.tuples(st.integers(0, 23), MADE, st.booleans()), min_size=6, max_size=30),
)
def test_a_walk_gives_untouched_records_as_one_page_does(
    stage: Stage,
    order: tuple[str | None, list[tuple[str, str]], str],
    made: list[Made],
    count: int,
    writes: list[tuple[int, Made, bool]],
) -> None:
    type_, pairs, kind = order
    tag = f"t{next(_tags)}"
    stage.put(_record(tag, number, one) for number, one in enumerate(made))
    walk = Walk(stage, tag, type_, pairs)
    # Every third record is changed or deleted between pages, and others come.
    changed: set[str] = set()
    deleted: set[str] = set()

    async def write(step: int, number: int, new: Made, *, deletes: bool) -> None:
        records = stage.records()
        target = number - number % 3
        if target < len(made) and deletes and f"{tag}-{target}" not in changed:
            await records.delete(made[target][0], f"{tag}-{target}")
            deleted.add(f"{tag}-{target}")
        elif target < len(made) and f"{tag}-{target}" not in deleted:
            kept = (made[target][0], *new[1:3], made[target][3])
            type_of, id_, body = _record(tag, target, kept, note=f"{step}")
            await records.update(type_of, id_, body)
            changed.add(id_)
        more = _record(tag, 1000 + step, new)
        await records.update(*more)

    async def go() -> tuple[list[str], list[str]]:
        before = await walk.whole()
        page, cursor = await walk.page(count, None)
        seen = [one.id for one in page]
        for step in itertools.count():
            if cursor is None:
                break
            if step < len(writes):
                number, new, deletes = writes[step]
                await write(step, number, new, deletes=deletes)
            page, cursor = await walk.page(count, cursor)
            seen += [one.id for one in page]
        return before, seen

    before, seen = stage.runner.run(go())
    stayed = [id_ for id_ in before if id_ not in changed | deleted]
    assert [id_ for id_ in seen if id_ in set(stayed)] == stayed
    _check_changed(kind, seen, changed.intersection(before))


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: str(order[1]))
def test_a_walk_beside_racing_writers_loses_and_repeats_nothing(
    stage: Stage, order: tuple[str | None, list[tuple[str, str]], str]
) -> None:
    type_, pairs, kind = order
    tag = f"t{next(_tags)}"
    types = ("Observation", "Observation", "Procedure")
    made: list[Made] = [(types[n % 3], n % 4, n // 2 % 2, n // 7 % 2) for n in range(90)]
    stage.put(_record(tag, number, one) for number, one in enumerate(made))
    walk = Walk(stage, tag, type_, pairs)
    changed: set[str] = set()
    done = asyncio.Event()

    async def write(first: int) -> None:
        for step in itertools.count():
            if done.is_set():
                return
            target = (first + step * 6) % len(made)
            kept = (made[target][0], (made[target][1] + step) % 4, step % 2, made[target][3])
            type_of, id_, body = _record(tag, target, kept, note=f"{step}")
            await stage.records().update(type_of, id_, body)
            changed.add(id_)
            await stage.records().update(*_record(tag, 1000 + first * 1000 + step, kept))

    async def go() -> tuple[list[str], list[str]]:
        before, seen, cursor = await walk.whole(), list[str](), None
        writers = [asyncio.create_task(write(first)) for first in (0, 3)]
        # Writers add records at the end of some orders: the walk is given up behind the old ones.
        for _ in range(200):
            page, cursor = await walk.page(7, cursor)
            seen += [one.id for one in page]
            if cursor is None:
                break
            if len(seen) > len(made):
                done.set()
        done.set()
        await asyncio.gather(*writers)
        return before, seen

    before, seen = stage.runner.run(go())
    assert changed
    stayed = [id_ for id_ in before if id_ not in changed]
    assert [id_ for id_ in seen if id_ in set(stayed)] == stayed
    _check_changed(kind, seen, changed.intersection(before))
