"""`_sort` by any parameters in any directions (R4 search.html 3.1.1.5.1), slice after slice.

The order expected is worked out here, from what was put away and a table of values written by hand.
"""

from __future__ import annotations

import itertools
import random
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from shelf import find_all, put_away, query_of
from stores import of, to

from quanmin.base.collation import collation_key
from quanmin.base.problems import Malformed, TooCostly
from quanmin.records.operation import Operation
from quanmin.records.search import search
from quanmin.records.search.order import write_cursor
from quanmin.records.search.sorting import Place, Sorting
from quanmin.records.store import Store
from quanmin.records.visibility import Everything

UCUM = "http://unitsofmeasure.org"


async def order_of(store: Store, type_: str | None, sort: str, *pairs: tuple[str, str]) -> str:
    """The ids of all hits in the order asked for, by slices of two."""
    query = query_of(type_, *pairs, ("_sort", sort))
    return " ".join(one.id for one in await find_all(store, query, Everything(), size=2))


def result(id_: str, **more: Any) -> Operation:
    body = {"status": "final", "code": {"text": "?"}, "subject": to("Patient/p")}
    return of("Observation", id_, **body | more)


def _reactions(onsets: list[str]) -> dict[str, Any]:
    rash = [{"text": "rash"}]
    found = [{"manifestation": rash, "onset": onset} for onset in onsets]
    system = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"
    status = {"clinicalStatus": {"coding": [{"system": system, "code": "active"}]}}  # ait-1
    return status | ({"reaction": found} if found else {})


def _chances(numbers: list[float]) -> dict[str, Any]:
    found = [{"probabilityDecimal": number} for number in numbers]
    return {"prediction": found} if found else {}


# Each record has several values where the element may repeat: ascending the least counts,
# descending the greatest. The last has none.
KINDS: list[tuple[str, str, list[Operation], str, str]] = [
    (
        "string",
        "given",
        [
            of("Patient", "a", name=[{"given": ["Émile"]}]),
            of("Patient", "b", name=[{"given": ["zoe", "BEA"]}]),
            of("Patient", "c", name=[{"given": ["Carl"]}]),
            of("Patient", "d"),
        ],
        "b c a d",
        "b a c d",
    ),
    (
        "Chinese",
        "family",
        [
            of("Patient", "a", name=[{"family": "欧阳"}]),
            of("Patient", "b", name=[{"family": "单"}]),
            of("Patient", "c", name=[{"family": "丁"}]),
            of("Patient", "d", name=[{"family": "Zhang"}]),
            of("Patient", "e", name=[{"family": "汪"}]),
            of("Patient", "f", name=[{"family": "王"}]),
            of("Patient", "g", name=[{"text": "no family"}]),
        ],
        "d c a b e f g",
        "f e b a c d g",
    ),
    (
        "token",
        "method",
        [
            result("a", method={"coding": [{"code": "m"}, {"code": "z"}]}),
            result("b", method={"coding": [{"code": "n"}]}),
            result("c", method={"coding": [{"system": "urn:s", "code": "k"}]}),
            result("d", method={"text": "no code"}),
        ],
        "c a b d",
        "a b c d",
    ),
    (
        "main date",
        "date",
        [
            result("a", effectiveDateTime="2026-03-01"),
            result("b", effectivePeriod={"end": "2026-02"}),
            result("c", effectivePeriod={"start": "2026-02-27", "end": "2027"}),
            result("d", effectiveDateTime="2026"),
            result("e"),
        ],
        "b d c a e",
        "a c d b e",
    ),
    (
        "main date that repeats",
        "onset",
        [
            of("AllergyIntolerance", id_, patient=to("Patient/p"), **_reactions(onsets))
            for id_, onsets in (
                ("a", ["2020", "2026-03-01"]),
                ("b", ["2022-05"]),
                ("c", ["2019-01-01", "2024", "2021"]),
                ("d", ["2025"]),
                ("e", []),
            )
        ],
        "c a b d e",
        "a d c b e",
    ),
    (
        "another date",
        "value-date",
        [
            result("a", valueDateTime="2026-03-01"),
            result("b", valuePeriod={"start": "2025", "end": "2027"}),
            result("c", valueDateTime="2026-01"),
            result("d", valueString="no date"),
        ],
        "b c a d",
        "a c b d",
    ),
    (
        "number",
        "probability",
        [
            of("RiskAssessment", id_, status="final", subject=to("Patient/p"), **_chances(numbers))
            for id_, numbers in (("a", [0.5, 0.1]), ("b", [0.25]), ("c", [0.3]), ("d", []))
        ],
        "a b c d",
        "a c b d",
    ),
    (
        "quantity",
        "value-quantity",
        [
            result(id_, valueQuantity={"value": number, "system": UCUM, "code": unit, "unit": unit})
            for id_, number, unit in (("a", 90, "mg/dL"), ("b", 2, "g/L"), ("c", 0.5, "g/dL"))
        ]
        + [result("d", valueString="no number")],
        "a b c d",
        "c b a d",
    ),
    (
        "uri",
        "url",
        [
            of("ValueSet", "a", status="draft", url="urn:b"),
            of("ValueSet", "b", status="draft", url="http://b.example"),
            of("ValueSet", "c", status="draft", url="http://a.example"),
            of("ValueSet", "d", status="draft"),
        ],
        "c b a d",
        "a b c d",
    ),
    (
        "reference",
        "performer",
        [
            result("a", performer=[{"reference": "Practitioner/b"}, {"reference": "Patient/z"}]),
            result("b", performer=[{"reference": "Practitioner/a"}]),
            result("c", performer=[{"reference": "Organization/c"}]),
            result("d", performer=[{"display": "somebody"}]),
        ],
        "c a b d",
        "a b c d",
    ),
    (
        "moment",
        "_lastUpdated",
        [result("a"), result("b"), result("c")],
        "a b c",
        "c b a",
    ),
]


@pytest.mark.parametrize("kind", KINDS, ids=[kind[0] for kind in KINDS])
async def test_each_kind_is_sorted_in_both_directions_and_what_has_no_value_comes_last(
    store: Store, kind: tuple[str, str, list[Operation], str, str]
) -> None:
    _, name, operations, up, down = kind
    type_ = operations[0].type
    for operation in operations:  # each with a moment of its own
        await put_away(store, [operation])
    assert await order_of(store, type_, name) == up
    assert await order_of(store, type_, f"-{name}") == down
    # With a second key it is the same order: by the index or by the values themselves.
    assert await order_of(store, type_, f"{name},_tag,_id") == up
    assert await order_of(store, type_, f"-{name},-_tag") == down
    assert await order_of(store, type_, f"_tag,{name}") == up
    assert await order_of(store, type_, f"-_tag,-{name}") == down


# (date, status, code) of many records; None where there is none.
_DICE = random.Random(7)  # noqa: S311 - the same records each time
MANY = [
    (
        _DICE.choice(["2026-01-01", "2026-01-02", "2026", None]),
        _DICE.choice(["final", "amended"]),
        _DICE.choice(["a", "b", "c", None]),
    )
    for _ in range(60)
]


def _many() -> list[Operation]:
    return [
        result(
            f"o{number:02}",
            status=status,
            **({"effectiveDateTime": date} if date else {}),
            **({"method": {"coding": [{"code": code}]}} if code else {}),
        )
        for number, (date, status, code) in enumerate(MANY)
    ]


# 2026 begins with its first day.
RANKS = {"2026-01-01": 1, "2026": 1, "2026-01-02": 2} | {
    code: place for place, code in enumerate(["a", "amended", "b", "c", "final"])
}
COLUMNS = {"date": 0, "status": 1, "method": 2}


def _rank(id_: str, sort: str) -> list[tuple[bool, int]]:
    """Where a record stands: without a value behind all others, in either direction."""
    rank = []
    for key in sort.split(","):
        value = MANY[int(id_[1:])][COLUMNS[key.removeprefix("-")]]
        place = 0 if value is None else RANKS[value]
        rank.append((value is None, -place if key.startswith("-") else place))
    return rank


SORTS = [
    ",".join(keys)
    for length in (1, 2, 3)
    for names in itertools.permutations(COLUMNS, length)
    for keys in itertools.product(*((name, f"-{name}") for name in names))
]


async def test_several_keys_in_mixed_directions_are_one_order(store: Store) -> None:
    await put_away(store, _many())
    wrong = []
    for pairs in ([], [("status", "final")], [("date", "2026-01")]):
        plain = await find_all(store, query_of("Observation", *pairs), Everything())
        everyone = sorted(one.id for one in plain)
        for sort in SORTS:
            query = query_of("Observation", *pairs, ("_sort", sort))
            found = [one.id for one in await find_all(store, query, Everything(), size=7)]
            ranks = [_rank(id_, sort) for id_ in found]
            if ranks != sorted(ranks) or sorted(found) != everyone:
                wrong.append(f"{sort} {pairs}")
    assert wrong == []


async def test_a_sort_goes_with_conditions_on_other_records(store: Store) -> None:
    people = [of("Patient", f"p{n}", gender="male" if n % 2 else "female") for n in range(4)]
    results = [
        result(
            f"o{n}",
            subject=to(f"Patient/p{n % 4}"),
            status="final" if n % 3 else "amended",
            method={"coding": [{"code": f"m{n:02}"}]},
        )
        for n in range(12)
    ]
    await put_away(store, [*people, *results])
    chained = ("patient.gender", "female")
    assert await order_of(store, "Observation", "status,method", chained) == "o0 o6 o2 o4 o8 o10"
    assert await order_of(store, "Observation", "-status,-method", chained) == "o10 o8 o4 o2 o6 o0"
    has = ("_has:Observation:patient:method", "m01,m02,m03")
    found = (await order_of(store, "Patient", "-gender", has)).split()
    assert (set(found[:2]), found[2:]) == ({"p1", "p3"}, ["p2"])


async def test_what_is_equal_in_the_first_keys_is_sorted_whatever_lies_before(store: Store) -> None:
    """Only records of one date are sorted, so all hits may be more than may be sorted."""
    await put_away(
        store,
        [
            result(
                f"o{n:02}",
                effectiveDateTime=f"2026-01-{n // 3 + 1:02}",
                status="final" if n % 3 else "amended",
            )
            for n in range(30)
        ],
    )
    store.context.limits = msgspec.structs.replace(store.context.limits, sort_rows_max=3)
    found = (await order_of(store, "Observation", "date,-status")).split()
    assert [sorted(found[n : n + 2]) for n in range(0, 30, 3)] == [
        [f"o{n + 1:02}", f"o{n + 2:02}"] for n in range(0, 30, 3)
    ]
    with pytest.raises(TooCostly, match="would have to be sorted"):
        await order_of(store, "Observation", "status,date")
    await put_away(store, [result("o99", effectiveDateTime="2026-01-10")])
    with pytest.raises(TooCostly, match="more than 3 records are equal in date"):
        await order_of(store, "Observation", "date,-status")


@pytest.mark.parametrize("sort", ["status,_id", "-method", "date,status", "-_lastUpdated,method"])
async def test_what_others_write_between_slices_neither_hides_nor_repeats_what_stays(
    store: Store, sort: str
) -> None:
    await put_away(store, _many())
    query = query_of("Observation", ("_sort", sort), ("_count", "4"))
    seen: list[str] = []
    cursor: str | None = None
    changed = {f"o{n:02}" for n in range(0, 60, 3)}
    for step in itertools.count():
        async with store.reading() as connection:
            hits = await search(
                connection,
                store.context,
                msgspec.structs.replace(query, cursor=cursor),
                Everything(),
            )
        seen += [one.id for one in hits.matches]
        cursor = hits.next
        if cursor is None:
            break
        mine = sorted(changed)[step % 20]
        # Also what was given last, so that the place must be found without it.
        others = {one.id for one in hits.matches} & changed
        await put_away(
            store,
            [
                result(one, status="cancelled", note=[{"text": f"{step}"}])
                for one in {mine, *others}
            ],
        )
        await put_away(store, [result(f"n{step}", status="preliminary")])
    stayed = [one for one in seen if one.startswith("o") and one not in changed]
    assert len(stayed) == len(set(stayed)) == 40


async def test_a_cursor_of_another_sort_is_refused(store: Store) -> None:
    await put_away(store, _many())
    async with store.reading() as connection:
        for sort, other in (
            ("status", "-status"),
            ("date,status", "date,method"),
            ("value-quantity", "status"),
        ):
            first = await search(
                connection,
                store.context,
                query_of("Observation", ("_sort", sort), ("_count", "1")),
                Everything(),
            )
            query = msgspec.structs.replace(
                query_of("Observation", ("_sort", other)), cursor=first.next
            )
            with pytest.raises(Malformed, match="another search"):
                await search(connection, store.context, query, Everything())


def test_texts_are_listed_numbers_first_then_letters_then_chinese_by_sound() -> None:
    listed = ["", "12", "90", "Ann", "Émile", "O'Brien", "zhang", "zhang san", "ئەلى"]
    listed += ["丁", "李", "李四", "路", "吕", "汪", "王", "王五", "𠮷"]
    for _ in range(3):
        mixed = listed[:]
        _DICE.shuffle(mixed)
        assert sorted(mixed, key=collation_key) == listed
    assert collation_key("单", is_name=True)[1:5] == "shan"
    assert collation_key("单位")[1:4] == "dan"
    assert collation_key("\uff21\uff4e\uff4e") == collation_key("ann")


def test_decimals_stand_in_a_cursor_as_they_are() -> None:
    sorting = Sorting(query_of("Observation", ("_sort", "value-quantity")))
    value = ("g.m-3", Decimal("0.1000000000000000055"))
    cursor = write_cursor(Place("value-quantity", (value,), 7))
    assert sorting.read(cursor).values == (value,)
