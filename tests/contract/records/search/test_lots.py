"""What an asker sees is looked for in lots that indexes tell apart. Neither what is found nor its
order, its slices or its total depend on it: each question is asked in lots and at once.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from contract.proof.examination import IS_WHOLE
from shelf import find_all, query_of
from stores import coded, of, to

from quanmin.fhir.query import Query
from quanmin.records.model import Stored
from quanmin.records.operation import Operation, Sender
from quanmin.records.search import narrowing, search, selecting
from quanmin.records.search.lots import Lot, lots_of
from quanmin.records.store import Store
from quanmin.records.visibility import (
    Both,
    Either,
    Everything,
    Except,
    Granted,
    Labelled,
    Nothing,
    OfNobody,
    OfPatient,
    OfSender,
    Visibility,
)

CLOSED = {"system": "urn:labels", "code": "closed"}
GRANTEE, AT = 77, 1
CODES = ("A", "A", "A", "B", "C")
PATIENTS = 6
_GRANT = """
    insert into records.granted (bucket, patient, grantee, type, since, until, source, about)
    values (0, $1, $2, 0, 0, 2, 1, $1)
"""


def records(place: str) -> Iterator[Operation]:
    """Of one sender: results, some undated, of one date, of nobody or closed, and patients."""
    yield of("Group", f"herd-{place}", type="person", actual=True)
    for number in range(PATIENTS):
        yield of(
            "Patient",
            f"{place}-{number}",
            gender="female" if number % 2 else "male",
            identifier=[{"system": "urn:ids", "value": str(number)}],
        )
    for number in range(40):
        who = f"Group/herd-{place}" if number % 9 == 8 else f"Patient/{place}-{number % PATIENTS}"
        twice = [{"system": "urn:one", "code": "A"}, {"system": "urn:two", "code": "A"}]
        code = coded(CODES[number % 5]) if number % 7 else {"coding": twice}
        more: dict[str, Any] = (
            {} if number % 8 == 7 else {"effectiveDateTime": f"2026-03-{1 + number % 11:02}"}
        )
        if number % 6 == 1:
            more["meta"] = {"security": [CLOSED]}
        if number % 3 == 0:
            more["valueQuantity"] = {"value": number, "unit": "kg"}
        if number % 4 == 0:
            more["note"] = [{"text": "said"}]
        status = "final" if number % 5 else "amended"
        yield of(
            "Observation",
            f"{place}-{number}",
            **{"status": status, "code": code, "subject": to(who), **more},
        )
    for number in range(12):
        yield of(
            "Condition",
            f"{place}-{number}",
            subject=to(f"Patient/{place}-{number % PATIENTS}"),
            code=coded(CODES[number % 5]),
            recordedDate=f"2025-0{1 + number % 3}-01",
        )


ASKED: list[tuple[str | None, *tuple[tuple[str, str], ...]]] = [
    ("Observation",),
    ("Observation", ("code", "A")),
    ("Observation", ("code", "urn:one|A")),
    ("Observation", ("code", "A,B")),
    ("Observation", ("code", "none")),
    ("Observation", ("code:not", "A")),
    ("Observation", ("code", "A"), ("status", "final")),
    ("Observation", ("code", "A"), ("value-quantity", "gt9")),
    ("Observation", ("code", "A"), ("value-quantity", "lt30||kg")),
    ("Observation", ("code", "A"), ("date", "ge2026-03-05")),
    ("Observation", ("status", "amended")),
    ("Observation", ("date", "2026-03-04")),
    ("Observation", ("combo-code", "A")),
    ("Observation", ("patient", "here-1")),
    ("Observation", ("patient", "there-0"), ("code", "A")),
    ("Observation", ("patient", "there-0,there-1,here-2")),
    ("Observation", ("patient.identifier", "urn:ids|1")),
    ("Observation", ("patient.identifier", "urn:ids|1,urn:ids|2"), ("code", "A")),
    ("Observation", ("patient.gender", "female"), ("code", "A")),
    ("Observation", ("patient._has:Condition:subject:code", "B")),
    ("Observation", ("_filter", "code eq A or status eq amended")),
    ("Observation", ("_filter", "not (code eq A)")),
    ("Observation", ("_id", "here-1,there-0,there-1,beyond-2")),
    ("Patient", ("identifier", "urn:ids|1")),
    ("Patient", ("identifier", "urn:ids|1,urn:ids|2")),
    ("Patient", ("gender", "male")),
    ("Patient", ("_has:Observation:subject:code", "A")),
    ("Patient", ("_has:Observation:patient:code", "B")),
    ("Patient", ("_has:Condition:patient:code", "C")),
    ("Patient", ("_has:Observation:subject:status", "amended")),
    ("Condition", ("code", "A")),
    ("Condition", ("code", "A"), ("recorded-date", "2025-02-01")),
    (None, ("_type", "Observation,Condition,Patient"), ("_lastUpdated", "gt2020-01-01")),
]
SORTED = ("", "-date", "date", "_lastUpdated", "-_lastUpdated", "status", "-date,status", "code")


def asked() -> Iterator[Query]:
    for type_, *pairs in ASKED:
        for sort in SORTED if type_ == "Observation" else ("", "-_lastUpdated"):
            yield query_of(type_, *pairs, *((("_sort", sort),) if sort else ()))


class Town:
    """A store with three senders, and what the first of them may see."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.senders: dict[str, int] = {}
        self.seen: list[Visibility] = []

    async def fill(self) -> None:
        store = self.store
        rids = {}
        for place in ("here", "there", "beyond"):
            self.senders[place] = await store.sender(place)
            sender = Sender(self.senders[place], Everything(), Everything())
            for outcome in await store.write(sender, list(records(place))):
                assert outcome is not None
                rids[outcome.stored.type, outcome.stored.id] = outcome.stored.rid
        for name in ("there-0", "there-1", "there-4", "here-2"):
            await store._pool.execute(_GRANT, rids["Patient", name], GRANTEE)
        own = OfSender(frozenset({self.senders["here"]}))
        granted = Granted(frozenset({GRANTEE}), AT, is_wide=False)
        label = store.context.keying.label(CLOSED["system"], CLOSED["code"])
        closed = Labelled(frozenset({label}))
        person = OfPatient(frozenset({rids["Patient", "there-0"], rids["Patient", "beyond-1"]}))
        self.seen = [
            own,
            Either((own, Both((granted, Except(closed))))),
            Either((own, person)),
            Both((Either((own, granted)), Except(closed))),
            Both((own, Either((OfNobody(), closed)))),
        ]


async def answer(store: Store, query: Query, seen: Visibility) -> tuple[list[int], int | None]:
    found: list[Stored] = await find_all(store, query, seen, size=7 if IS_WHOLE else 20)
    whole = query_of(query.type, *query.pairs, ("_total", "accurate"), ("_count", "1"))
    async with store.reading() as connection:
        hits = await search(connection, store.context, whole, seen)
    return [one.rid for one in found], hits.total


@pytest.mark.parametrize("is_large", [False, True])
async def test_what_is_found_in_lots_is_what_is_found_at_once(
    store: Store, monkeypatch: pytest.MonkeyPatch, *, is_large: bool
) -> None:
    town = Town(store)
    await town.fill()
    if is_large:
        # As where thousands have a code: walked, measured no further, asked one by one.
        for module, name, value in (
            (narrowing, "FEW", 2),
            (narrowing, "MANY", 6),
            (narrowing, "SORTED_MAX", 1),
            (selecting, "MANY", 1_000),
        ):
            monkeypatch.setattr(module, name, value)
    wrong, parted = [], 0

    def told(seen: Visibility) -> tuple[Lot, ...]:
        nonlocal parted
        found = lots_of(seen)
        parted += len(found) > 0
        return found

    # What every run can pay, and the rest by `make test-full`.
    several = list(itertools.product(asked(), town.seen))
    for query, seen in several if IS_WHOLE else several[1::17]:
        monkeypatch.setattr(selecting, "lots_of", told)
        in_lots = await answer(store, query, seen)
        monkeypatch.setattr(selecting, "lots_of", lambda _: ())
        at_once = await answer(store, query, seen)
        if in_lots != at_once:
            wrong.append(f"{query.type}?{query.pairs} {seen}: {in_lots} {at_once}")
    assert wrong == []
    assert parted > len(several) // 20


def test_lots_are_what_an_index_tells() -> None:
    own, other = OfSender(frozenset({1})), OfSender(frozenset({1, 2}))
    few = Granted(frozenset({7}), 0, type="Condition", is_wide=False)
    wide = Granted(frozenset({7}), 0, type="Condition")
    label = Labelled(frozenset({3}))
    assert lots_of(own) == (Lot(own, sender=1),)
    assert lots_of(Either((own, few))) == (
        Lot(own, sender=1),
        Lot(Both((few, Except(own))), is_of_few=True, beside=1),
    )
    assert [lot.sender for lot in lots_of(Both((Either((own, few)), Except(label))))] == [1, None]
    for seen in (
        *(Everything(), Nothing(), other, few, wide, label, Except(own), OfNobody()),
        *(Either((own, wide)), Either((own, few, label)), Either((own, few, OfNobody()))),
    ):
        assert lots_of(seen) == ()
