"""What a search promises beside finding: order, slices, totals, includes, compartments, limits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from shelf import find_all, observation_of, put_away, query_of
from stores import delete, of

from quanmin.base.problems import Malformed, NotSupported, TooCostly
from quanmin.fhir.query import Query
from quanmin.records.model import Hits
from quanmin.records.operation import Operation, Sender
from quanmin.records.search import including, narrowing, place_before, search, timeline
from quanmin.records.store import Store
from quanmin.records.visibility import Everything, Nothing, OfPatient, OfSender, Visibility


async def ask(store: Store, query: Query, visibility: Visibility | None = None) -> Hits:
    async with store.reading() as connection:
        return await search(connection, store.context, query, visibility or Everything())


async def ids(store: Store, type_: str | None, *pairs: tuple[str, str]) -> list[str]:
    hits = await ask(store, query_of(type_, *pairs))
    return [stored.id for stored in hits.matches]


def results(days: Sequence[int | None], code: str = "A") -> list[Operation]:
    """Results of Patient/one on these days of March, some undated."""
    body: dict[str, Any] = {"code": {"coding": [{"system": "urn:codes", "code": code}]}}
    dates = [{} if day is None else {"effectiveDateTime": f"2026-03-{day:02}"} for day in days]
    return [
        observation_of(f"{code.lower()}{number}", **body, **date)
        for number, date in enumerate(dates)
    ]


async def test_the_newest_version_comes_first_where_no_order_is_asked(store: Store) -> None:
    await put_away(store, results([1, 2, 3])[:1])
    await put_away(store, results([1, 2, 3])[1:2])
    await put_away(store, [observation_of("a0", note=[{"text": "changed"}])])
    assert await ids(store, "Observation") == ["a0", "a1"]


async def test_a_value_is_found_with_any_of_its_records_codes_and_with_none(store: Store) -> None:
    codings = {
        "none": [],
        "one": ["A"],
        "two": ["A", "B"],
        "many": ["A", "B", "C", "D", "E"],
        "other": ["C"],
    }
    await put_away(
        store,
        [
            observation_of(
                id_,
                code={"text": "weight"}
                | {name: [{"code": code} for code in codes] for name in ["coding"] if codes},
                valueQuantity={"value": 7, "unit": "kg"},
            )
            for id_, codes in codings.items()
        ],
    )
    for code in "ABCDE":
        found = await ids(store, "Observation", ("code", code), ("value-quantity", "gt6||kg"))
        assert set(found) == {id_ for id_, codes in codings.items() if code in codes}
    either = await ids(store, "Observation", ("code", "B,C"), ("value-quantity", "7"))
    assert set(either) == {"two", "many", "other"}
    both = [("code", "A"), ("code", "B"), ("combo-value-quantity", "7")]
    assert set(await ids(store, "Observation", *both)) == {"two", "many"}
    without = await ids(store, "Observation", ("code:not", "A"), ("value-quantity", "ge7||kg"))
    assert set(without) == {"none", "other"}
    assert set(await ids(store, "Observation", ("value-quantity", "ap7"))) == set(codings)


async def test_a_value_leaves_the_index_with_the_code_it_had(store: Store) -> None:
    of_code = {code: {"coding": [{"code": code}]} for code in "AB"}
    value = {"value": 7, "unit": "kg"}
    for code in ("A", "B"):
        await put_away(store, [observation_of("x", code=of_code[code], valueQuantity=value)])
    async with store.reading() as connection:
        assert await connection.fetchval("select count(*) from records.ranged") == 1
    assert await ids(store, "Observation", ("code", "B"), ("value-quantity", "7")) == ["x"]


async def test_many_values_of_several_clauses_on_one_date_are_all_asked(store: Store) -> None:
    await put_away(store, results([1, 2, 3, 4, 5]))
    since = ("date", ",".join(f"ge2026-03-0{day}" for day in (2, 3, 7, 8, 9)))
    until = ("date", ",".join(f"le2026-03-0{day}" for day in (1, 1, 1, 3, 4)))
    found = await ids(store, "Observation", since, until, ("date", "ne2026-03-03"))
    assert set(found) == {"a1", "a3"}


async def test_by_date_the_undated_come_last_in_either_direction(store: Store) -> None:
    await put_away(store, results([2, None, 3, 1, None]))
    down = await ids(store, "Observation", ("_sort", "-date"))
    up = await ids(store, "Observation", ("_sort", "date"))
    assert (down[:3], up[:3]) == (["a2", "a0", "a3"], ["a3", "a0", "a2"])
    assert set(down[3:]) == set(up[3:]) == {"a1", "a4"}


@pytest.mark.parametrize("sort", ["-date", "date", "_lastUpdated", "_id", "-date,_id", "status"])
async def test_slices_follow_each_other_without_gap_or_repetition(store: Store, sort: str) -> None:
    await put_away(store, results([1, 1, None, 2, 2, None, 2, 3, None]))
    query = query_of("Observation", ("_sort", sort))
    whole = [one.id for one in await find_all(store, query, Everything(), size=100)]
    for size in (1, 2, 4):
        assert [one.id for one in await find_all(store, query, Everything(), size=size)] == whole


@pytest.mark.parametrize("direction", ["-date", "date"])
async def test_a_common_code_is_walked_by_time(
    store: Store, direction: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = [1, 1, None, 2, 2, None, 5, 3, None]
    both = {"coding": [{"code": "A"}, {"system": "urn:codes", "code": "A"}, {"code": "B"}]}
    several = observation_of("both", code=both, effectiveDateTime="2026-03-04")
    await put_away(store, [*results(days), *results(days, "B"), several])
    for codes in ("A", "urn:codes|A", "A,B", "urn:codes|A,B", "urn:codes|A,urn:codes|B"):
        query = query_of("Observation", ("code", codes), ("_sort", direction))
        before = [one.id for one in await find_all(store, query, Everything(), size=100)]
        monkeypatch.setattr(narrowing, "FEW", 0)
        monkeypatch.setattr(narrowing, "MANY", 0)
        monkeypatch.setattr(narrowing, "SORTED_MAX", 0)
        for size in (2, 3, 100):
            found = [one.id for one in await find_all(store, query, Everything(), size=size)]
            assert found == before, codes
        monkeypatch.undo()


async def test_a_record_written_between_slices_shifts_none(store: Store) -> None:
    await put_away(store, results([1, 2, 3, 4]))
    query = query_of("Observation", ("_sort", "-date"), ("_count", "2"))
    first = await ask(store, query)
    await put_away(store, [observation_of("late", effectiveDateTime="2026-03-09")])
    second = await ask(store, msgspec.structs.replace(query, cursor=first.next))
    assert [one.id for one in (*first.matches, *second.matches)] == ["a3", "a2", "a1", "a0"]


@pytest.mark.parametrize("moved", ["corrected", "amended"])
async def test_a_record_that_moves_after_it_was_given_takes_none_along(
    store: Store, moved: str
) -> None:
    statuses = ["amended", "cancelled", "corrected", "final", "preliminary", "registered"]
    await put_away(store, [observation_of(one, status=one) for one in statuses])
    query = query_of("Observation", ("_sort", "status"), ("_count", "3"))
    first = await ask(store, query)
    for status in ("unknown", "amended"):
        await put_away(store, [observation_of(moved, status=status)])
        second = await ask(store, msgspec.structs.replace(query, cursor=first.next))
        assert [one.id for one in second.matches] == statuses[3:]


async def _walked(store: Store, sort: tuple[str, str] | None, changes: int) -> list[str]:
    """The ids that a walk by pages of two gives while the next to come is changed each time."""
    await put_away(store, results(range(1, 9)))
    query = query_of("Observation", *([sort] if sort else []), ("_count", "2"))
    found: list[str] = []
    while True:
        hits = await ask(store, query)
        found += [one.id for one in hits.matches]
        if hits.next is None:
            return found
        query = msgspec.structs.replace(query, cursor=hits.next)
        after = await ask(store, query)
        if changes and after.matches:
            changes -= 1
            text = [{"text": f"changed {changes}"}]
            await put_away(store, [observation_of(after.matches[0].id, note=text)])


@pytest.mark.parametrize("sort", ["_id", "_lastUpdated"])
async def test_a_walk_by_id_or_by_age_gives_every_record_while_others_change_them(
    store: Store, sort: str
) -> None:
    found = await _walked(store, ("_sort", sort), changes=3)
    assert set(found) == {f"a{number}" for number in range(8)}
    assert len(found) == 8


async def test_a_walk_newest_first_misses_what_is_changed_before_its_page(store: Store) -> None:
    """As the manual says: whoever needs every record walks by id or by age."""
    found = await _walked(store, None, changes=1)
    assert len(found) == len(set(found)) == 7


@pytest.mark.parametrize("cursor", ["", "x", "bm9uZQ==", "W10=", "中", "WyItdS1yIiwwLFsxXV0="])
async def test_a_cursor_that_is_none_of_ours_is_refused(store: Store, cursor: str) -> None:
    for sort in ("_lastUpdated", "status"):
        query = query_of("Observation", ("_sort", sort))
        await put_away(store, results([1]))
        with pytest.raises(Malformed, match="cursor"):
            await ask(store, msgspec.structs.replace(query, cursor=cursor))


async def test_a_cursor_of_another_order_is_refused(store: Store) -> None:
    await put_away(store, results([1, 2, 3]))
    first = await ask(store, query_of("Observation", ("_sort", "-date"), ("_count", "1")))
    other = query_of("Observation", ("_sort", "date"))
    with pytest.raises(Malformed, match="another search"):
        await ask(store, msgspec.structs.replace(other, cursor=first.next))


async def test_records_are_sorted_by_any_parameter_when_they_are_few(store: Store) -> None:
    names = [("p1", "Zoë"), ("p2", "adam"), ("p3", None), ("p4", "Bea")]
    await put_away(
        store,
        [
            of("Patient", id_, **({"name": [{"family": name}]} if name else {}))
            for id_, name in names
        ],
    )
    assert await ids(store, "Patient", ("_sort", "family")) == ["p2", "p4", "p1", "p3"]
    assert await ids(store, "Patient", ("_sort", "-family")) == ["p1", "p4", "p2", "p3"]


async def test_too_many_to_sort_is_refused_with_what_would_help(store: Store) -> None:
    await put_away(store, results([1, 2, 3]))
    store.context.limits = msgspec.structs.replace(store.context.limits, sort_rows_max=2)
    with pytest.raises(TooCostly, match="_lastUpdated"):
        await ask(store, query_of("Observation", ("_sort", "status")))


async def test_a_search_beyond_its_time_is_refused_with_what_would_help(store: Store) -> None:
    store.context.limits = msgspec.structs.replace(store.context.limits, search_seconds_max=0.0)
    with pytest.raises(TooCostly, match="narrow it"):
        await ask(store, query_of("Observation"))


async def test_a_deleted_record_is_found_by_nothing(store: Store) -> None:
    await put_away(store, results([1, 2]))
    sender = Sender(await store.sender("hospital-a"), Everything(), Everything())
    await store.write(sender, [delete("Observation", "a0")])
    for pairs in (
        [],
        [("code", "A")],
        [("_id", "a0,a1")],
        [("date", "ge2026")],
        [("code:not", "B")],
    ):
        assert await ids(store, "Observation", *pairs) == ["a1"]
    counted = await ask(store, query_of("Observation", ("code", "A"), ("_summary", "count")))
    assert counted.total == 1


async def test_an_updated_record_is_no_longer_found_by_what_it_was(store: Store) -> None:
    await put_away(store, results([1]))
    await put_away(store, [of("Observation", "a0", status="final", code={"text": "none"})])
    assert await ids(store, "Observation", ("code", "A")) == []
    assert await ids(store, "Observation", ("date", "2026-03-01")) == []
    assert await ids(store, "Observation", ("patient", "one")) == []


async def test_totals_come_when_asked_for(store: Store) -> None:
    await put_away(store, results([1, 2, 3]))
    asked = [("code", "A"), ("_count", "1")]
    assert (await ask(store, query_of("Observation", *asked))).total is None
    for kind in ("accurate", "estimate"):
        hits = await ask(store, query_of("Observation", *asked, ("_total", kind)))
        assert (hits.total, hits.total_is_exact, len(hits.matches)) == (3, True, 1)
    only = await ask(store, query_of("Observation", ("_summary", "count")))
    assert (only.total, only.matches, only.next) == (3, (), None)
    none = await ask(store, query_of("Observation", ("_count", "0"), ("_total", "accurate")))
    assert (none.total, none.matches) == (3, ())


async def test_beyond_the_limit_a_total_is_estimated_or_refused(store: Store) -> None:
    await put_away(store, results([1, 2, 3, 4, 5]))
    store.context.limits = msgspec.structs.replace(
        store.context.limits, count_rows_max=3, estimate_rows_max=2
    )
    estimate = await ask(store, query_of("Observation", ("_count", "1"), ("_total", "estimate")))
    assert estimate.total is not None
    assert estimate.total >= 3
    assert not estimate.total_is_exact
    with pytest.raises(TooCostly, match="_total=estimate"):
        await ask(store, query_of("Observation", ("_count", "1"), ("_total", "accurate")))
    assert not estimate.issues
    counted = await ask(store, query_of("Observation", ("_summary", "count")))
    assert not counted.total_is_exact
    assert "the total is an estimate" in counted.issues[0].text


@pytest.mark.parametrize("shape", [("_total", "estimate"), ("_summary", "count")])
async def test_no_estimate_tells_of_hidden_records(store: Store, shape: tuple[str, str]) -> None:
    """The planner knows all records; whoever does not see them is told what was counted."""
    await put_away(store, results([1] * 60))
    await store._pool.execute("analyze records.record, records.keyed")
    store.context.limits = msgspec.structs.replace(
        store.context.limits, count_rows_max=3, estimate_rows_max=2
    )
    query = query_of("Observation", ("code", "A"), ("_count", "1"), shape)
    everything = await ask(store, query)
    assert everything.total is not None
    assert everything.total > 30
    theirs, mine = [
        OfSender(frozenset({await store.sender(code)})) for code in ("hospital-b", "hospital-a")
    ]
    hidden = await ask(store, query, theirs)
    assert (hidden.total, hidden.total_is_exact) == (0, True)
    seen = await ask(store, query, mine)
    assert (seen.total, seen.total_is_exact) == (4, False)


async def test_a_total_of_texts_counts_what_is_found_not_the_candidates(store: Store) -> None:
    await put_away(
        store,
        [
            of("Patient", f"p{n}", name=[{"text": name}])
            for n, name in enumerate(["王小明", "王明小"])
        ],
    )
    asked = query_of("Patient", ("name", "王小"), ("_count", "0"), ("_total", "accurate"))
    assert (await ask(store, asked)).total == 1


async def _ward(store: Store) -> None:
    await put_away(
        store,
        [
            of("Patient", "one", managingOrganization={"reference": "Organization/h"}),
            of("Patient", "two"),
            of("Organization", "h", name="成都市第一人民医院"),
            of(
                "Encounter",
                "e",
                status="finished",
                **{"class": {"code": "AMB"}},
                subject={"reference": "Patient/one"},
            ),
            *results([1, 2]),
            observation_of(
                "mine", encounter={"reference": "Encounter/e"}, effectiveDateTime="2026-03-05"
            ),
        ],
    )


def _included(hits: Hits) -> set[str]:
    return {f"{one.type}/{one.id}" for one in hits.included}


@pytest.mark.parametrize(
    ("include", "found"),
    [
        ("Observation:encounter", {"Encounter/e"}),
        ("Observation:subject", {"Patient/one"}),
        ("Observation:subject:Patient", {"Patient/one"}),
        ("Observation:subject:Group", set()),
        ("Observation:performer", {"Patient/two"}),
        ("Observation:*", {"Encounter/e", "Patient/one", "Patient/two"}),
    ],
)
async def test_includes_follow_references_of_hits(
    store: Store, include: str, found: set[str]
) -> None:
    await _ward(store)
    hits = await ask(store, query_of("Observation", ("_id", "mine"), ("_include", include)))
    assert _included(hits) == found


async def test_reverse_includes_find_what_refers_to_hits(store: Store) -> None:
    await _ward(store)
    asked = [("_id", "one"), ("_revinclude", "Encounter:patient")]
    assert _included(await ask(store, query_of("Patient", *asked))) == {"Encounter/e"}
    hits = await ask(store, query_of("Patient", *asked, ("_revinclude", "Observation:subject")))
    assert len(hits.included) == 4
    whole = await ask(store, query_of("Patient", ("_id", "two"), ("_revinclude", "Observation:*")))
    assert len(whole.included) == 3


def _tree() -> list[Operation]:
    """Organizations in a line, with a record at each end, and two that are part of each other."""
    parts = [{}, *({"partOf": {"reference": f"Organization/o{n}"}} for n in range(4))]
    ring = [("r0", "r1"), ("r1", "r0")]
    place = {"name": "ward", "managingOrganization": {"reference": "Organization/o4"}}
    return [
        *(of("Organization", f"o{n}", name=f"o{n}", **part) for n, part in enumerate(parts)),
        *(
            of("Organization", one, name=one, partOf={"reference": f"Organization/{other}"})
            for one, other in ring
        ),
        of("Location", "ward", **place),
    ]


@pytest.mark.parametrize(
    ("type_", "asked", "found"),
    [
        ("Location", ["_include=Location:organization"], {"o4"}),
        (
            "Location",
            ["_include=Location:organization", "_include:iterate=Organization:partof"],
            {"o4", "o3", "o2", "o1", "o0"},
        ),
        ("Location", ["_include:iterate=Organization:partof"], set()),
        ("Location", ["_include=Location:organization", "_include=Organization:partof"], {"o4"}),
        ("Organization", ["_id=r0", "_include:iterate=Organization:partof"], {"r1"}),
        ("Organization", ["_id=r0", "_revinclude:iterate=Organization:partof"], {"r1"}),
        ("Organization", ["_id=o2", "_revinclude:iterate=Organization:partof"], {"o3", "o4"}),
        (
            "Organization",
            [
                "_id=o3",
                "_revinclude:iterate=Organization:partof",
                "_revinclude:iterate=Location:organization",
                "_include=Organization:partof",
            ],
            {"o2", "o4", "ward"},
        ),
    ],
)
async def test_what_iterates_is_asked_of_included_records_too(
    store: Store, type_: str, asked: list[str], found: set[str]
) -> None:
    await put_away(store, _tree())
    pairs = [(name, value) for name, _, value in (one.partition("=") for one in asked)]
    hits = await ask(store, query_of(type_, *pairs))
    expected = {f"{'Location' if one == 'ward' else 'Organization'}/{one}" for one in found}
    assert _included(hits) == expected
    assert len(hits.included) == len(expected)
    assert hits.issues == ()


async def test_iteration_passes_no_record_that_may_not_be_seen_and_has_an_end(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put_away(store, [one for one in _tree() if one.id != "o2"])
    other = Sender(await store.sender("hospital-b"), Everything(), Everything())
    await store.write(other, [one for one in _tree() if one.id == "o2"])
    query = query_of("Organization", ("_id", "o4"), ("_include:iterate", "Organization:partof"))
    ours = OfSender(frozenset({await store.sender("hospital-a")}))
    assert _included(await ask(store, query, ours)) == {"Organization/o3"}
    monkeypatch.setattr(including, "_ROUNDS_MAX", 2)
    hits = await ask(store, query)
    assert _included(hits) == {"Organization/o3", "Organization/o2"}
    assert [issue.severity for issue in hits.issues] == ["warning"]


async def test_what_looks_at_patients_only_finds_nothing_of_a_group(store: Store) -> None:
    group = of("Group", "g", type="person", actual=True)
    await put_away(store, [group, observation_of("o", subject={"reference": "Group/g"})])
    assert await ids(store, "Observation", ("subject", "Group/g")) == ["o"]
    assert await ids(store, "Observation", ("patient", "Group/g")) == []
    for name, found in (("subject", {"Observation/o"}), ("patient", set())):
        asked = query_of("Group", ("_id", "g"), ("_revinclude", f"Observation:{name}"))
        assert _included(await ask(store, asked)) == found


async def test_what_is_included_is_visible_and_not_among_the_hits(store: Store) -> None:
    await _ward(store)
    one = store.context.rid_of("Patient", "one")
    assert one is not None
    query = query_of("Observation", ("_include", "Observation:*"))
    hits = await ask(store, query, OfPatient(frozenset({one})))
    assert _included(hits) == {"Encounter/e", "Patient/one"}
    both = query_of(
        "Encounter", ("_include", "Encounter:patient"), ("_revinclude", "Encounter:part-of")
    )
    assert _included(await ask(store, both)) == {"Patient/one"}


async def test_too_much_to_include_is_cut_with_a_warning(store: Store) -> None:
    await _ward(store)
    store.context.limits = msgspec.structs.replace(store.context.limits, include_rows_max=2)
    hits = await ask(store, query_of("Patient", ("_revinclude", "Observation:subject")))
    assert len(hits.included) == 2
    assert [issue.severity for issue in hits.issues] == ["warning"]


async def test_a_compartment_holds_what_refers_to_its_record(store: Store) -> None:
    await _ward(store)
    in_one = msgspec.structs.replace(query_of("Observation"), compartment=("Patient", "one"))
    assert len((await ask(store, in_one)).matches) == 3
    in_two = msgspec.structs.replace(query_of("Observation"), compartment=("Patient", "two"))
    assert len((await ask(store, in_two)).matches) == 3  # as performer
    of_encounter = msgspec.structs.replace(query_of("Observation"), compartment=("Encounter", "e"))
    assert [one.id for one in (await ask(store, of_encounter)).matches] == ["mine"]
    every = msgspec.structs.replace(query_of(None), compartment=("Patient", "one"))
    found = {f"{one.type}/{one.id}" for one in (await ask(store, every)).matches}
    assert found == {
        "Patient/one",
        "Encounter/e",
        "Observation/a0",
        "Observation/a1",
        "Observation/mine",
    }


async def test_there_is_no_compartment_of_just_any_type(store: Store) -> None:
    query = msgspec.structs.replace(query_of("Observation"), compartment=("Location", "x"))
    with pytest.raises(NotSupported, match="Patient"):
        await ask(store, query)


async def test_all_types_are_searched_by_what_all_have(store: Store) -> None:
    await _ward(store)
    tag = {"tag": [{"system": "urn:tags", "code": "t"}]}
    tagged = [of("Patient", "tagged", meta=tag), of("Organization", "h2", meta=tag, name="h2")]
    await put_away(store, tagged)
    assert set(await ids(store, None, ("_tag", "urn:tags|t"))) == {"tagged", "h2"}
    assert set(await ids(store, None, ("_id", "h,one,none"))) == {"h", "one"}
    assert len(await ids(store, None, ("_lastUpdated", "ge2000"))) == 9
    assert len(await ids(store, None, ("_tag:missing", "true"))) == 7
    assert await ids(store, None, ("_lastUpdated", "lt2000")) == []


async def test_thousands_of_values_are_one_question(store: Store) -> None:
    await _ward(store)
    codes = ",".join(["A", *(f"none-{number}" for number in range(400))])
    for name in ("code", "status", "_id", "performer"):
        value = {"code": codes, "status": codes.replace("A", "final")}.get(
            name, codes.replace("A", "a0" if name == "_id" else "Patient/two")
        )
        assert await ids(store, "Observation", (name, value[:2000].rsplit(",", 1)[0]))


async def test_a_unit_that_nothing_has_finds_nothing(store: Store) -> None:
    await put_away(store, results([1]))
    asked = query_of("Observation", ("value-quantity", "gt1|http://unitsofmeasure.org|kg"))
    assert (await ask(store, asked)).matches == ()
    counted = msgspec.structs.replace(asked, summary="count")
    assert (await ask(store, counted)).total == 0


async def test_nothing_is_found_by_who_may_see_nothing(store: Store) -> None:
    await _ward(store)
    query = query_of("Observation", ("_total", "accurate"), ("_include", "Observation:*"))
    hits = await ask(store, query, Nothing())
    assert (hits.matches, hits.included, hits.total) == ((), (), 0)


async def test_the_total_counts_only_what_is_visible(store: Store) -> None:
    await _ward(store)
    other = OfSender(frozenset({await store.sender("hospital-b")}))
    query = query_of("Observation", ("code", "A"), ("_summary", "count"))
    assert (await ask(store, query, other)).total == 0


async def test_a_timeline_is_latest_first_over_types_and_institutions(store: Store) -> None:
    await _ward(store)
    one, two = (store.context.rid_of("Patient", id_) for id_ in ("one", "two"))
    assert one is not None
    assert two is not None
    period = {"period": {"start": "2026-03-03T08:00:00+08:00"}}
    encounter = of(
        "Encounter",
        "e2",
        status="finished",
        **{"class": {"code": "AMB"}},
        subject={"reference": "Patient/two"},
        **period,
    )
    await put_away(store, [encounter])
    found: list[str] = []
    cursor: str | None = None
    while True:
        async with store.reading() as connection:
            slice_ = await timeline(
                connection, store.context, [one, two], (), Everything(), 2, cursor
            )
        found += [stored.id for stored in slice_.matches]
        cursor = slice_.next
        if cursor is None:
            break
    assert found == ["mine", "e2", "a1", "a0", "e"]
    moment = int(datetime(2026, 3, 3, tzinfo=UTC).timestamp()) * 1_000_000  # when e2 began
    for before, expected in ((moment + 1, found[1:]), (moment, found[2:]), (0, found[4:])):
        cursor = place_before(before)
        async with store.reading() as connection:
            slice_ = await timeline(
                connection, store.context, [one, two], (), Everything(), 9, cursor
            )
        assert [stored.id for stored in slice_.matches] == expected, before
    async with store.reading() as connection:
        only = await timeline(
            connection, store.context, [one], ("Observation",), Nothing(), 10, None
        )
    assert only.matches == ()


@pytest.mark.parametrize("size", [1, 2, 100])
async def test_by_onset_what_has_only_another_date_comes_last_in_either_direction(
    store: Store, size: int
) -> None:
    onsets = ["2026-03-02", None, "2026-03-01", None, "2026-03-03", None]
    recorded = ["2026-01-01", "2026-03-02", None, "2026-03-09", None, None]
    subject = {"subject": {"reference": "Patient/one"}, "code": {"coding": [{"code": "A"}]}}
    await put_away(
        store,
        [
            of("Condition", f"c{number}", **subject, **one)
            for number, (onset, date) in enumerate(zip(onsets, recorded, strict=True))
            for one in [
                {
                    **({"onsetDateTime": onset} if onset else {}),
                    **({"recordedDate": date} if date else {}),
                }
            ]
        ],
    )
    for pairs in ((), (("code", "A"),), (("patient", "Patient/one"),)):
        for sort, order in (("onset-date", "c2 c0 c4"), ("-onset-date", "c4 c0 c2")):
            for then in ("", ",_lastUpdated", ",-_id"):
                query = query_of("Condition", *pairs, ("_sort", f"{sort}{then}"))
                found = [one.id for one in await find_all(store, query, Everything(), size)]
                assert found[:3] == order.split(), (pairs, sort, then)
                assert set(found[3:]) == {"c1", "c3", "c5"}
                assert len(found) == 6
    query = query_of("Condition", ("_sort", "_lastUpdated,onset-date"))
    found = [one.id for one in await find_all(store, query, Everything(), size)]
    assert found[:3] == ["c2", "c0", "c4"]
