"""What becomes of due lists when people are linked, moved, erased, told, and plans made anew."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from falling_due import Lists, child, dose, state, visit

from quanmin.base.jobs import find
from quanmin.base.problems import Invalid, Malformed, NotFound
from quanmin.records import rotating
from quanmin.records.rotating import count_former, put_rotating, rotate_kind
from quanmin.trust.due import (
    Asked,
    Escalating,
    Reminder,
    Status,
    begin_renewals,
    tell_kind,
)
from quanmin.trust.due.keeping import read_kind
from quanmin.trust.notices import NoticeKind

TABLES = ("plans.fact", "plans.person", "plans.due")
CHILD = child("2025-11-30", 101)


@pytest.fixture
async def lists(pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path) -> Lists:
    return Lists(pool, tmp_path)


async def turns(lists: Lists, series: str = "hepb", by: str = "") -> list[int]:
    """Which turn of a series is next, of each person in the list."""
    records = lists.asking("institution", by) if by else lists.asking("operator")
    rows = await lists.listed(records, "immunization", series=(series,))
    return sorted(row.line.turn for row in rows)


async def test_who_is_unlinked_is_two_persons_again(lists: Lists) -> None:
    await lists.send("a", CHILD)
    other = await lists.send("b", CHILD)
    await lists.send("b", dose(other, "hepb", "2025-11-30"))
    assert await turns(lists) == [2]
    unknown = {name: value for name, value in CHILD.items() if name != "identifier"}
    await lists.send("b", unknown, other)
    assert await turns(lists) == [1, 2]
    await lists.send("b", CHILD, other)
    assert await turns(lists) == [2]
    await lists.asking("institution", "b").delete("Patient", other)
    assert await turns(lists) == [1]


async def test_who_moves_away_or_dies_is_in_no_list_and_what_was_given_still_counts(
    lists: Lists,
) -> None:
    here, there = await lists.send("a", CHILD), await lists.send("b", CHILD)
    await lists.send("a", dose(here, "hepb", "2025-11-30"))
    await lists.send("a", {**CHILD, "active": False}, here)
    assert (await turns(lists), await turns(lists, by="a")) == ([2], [])
    (row,) = await lists.listed(lists.asking("operator"), "immunization", series=("hepb",))
    assert row.institution == "b", "where they are registered now"
    on = (lists.calendar.today + timedelta(3)).isoformat()
    await lists.send("b", {**CHILD, "deceasedDateTime": on}, there)
    assert await turns(lists) == [2]
    lists.calendar.turn(lists.calendar.today + timedelta(3))
    await lists.look_again()
    assert await turns(lists) == []


async def test_an_erasure_takes_all_of_it_away(lists: Lists) -> None:
    here, there = await lists.send("a", CHILD), await lists.send("b", CHILD)
    await lists.send("b", dose(there, "hepb", "2025-11-30"))
    await lists.asking("operator").erase(here)
    for table in TABLES:
        assert await lists.pool.fetchval(f"select count(*) from {table}") == 0, table
    assert await turns(lists) == []


async def test_a_rehearsal_leaves_nothing(lists: Lists) -> None:
    here = await lists.send("a", CHILD)
    ours = lists.asking("institution", "a")
    body = json.dumps(dose(here, "hepb", "2025-11-30")).encode()
    await ours.validating.creation("Immunization", body)
    assert await turns(lists) == [1]


async def test_nothing_of_what_is_kept_tells_a_code_or_a_result(lists: Lists) -> None:
    here = await lists.send("a", {**CHILD, "address": [{"district": "village-7"}]})
    await lists.send("a", dose(here, "hepb", "2025-11-30"))
    await lists.send("a", state(here, "hypertension", "2026-01-05"))
    for table in ("plans.plan", *TABLES):
        rows = await lists.pool.fetch(f"select * from {table}")
        assert rows or table == "plans.plan"
        said = str([dict(row) for row in rows])
        for word in ("hepb", "hypertension", "village", "immunization", "2026-01-05", "female"):
            assert word not in said, (table, word)


async def test_a_list_is_narrowed_to_an_area_and_to_days(lists: Lists) -> None:
    for area in ("village-7", "village-8"):
        await lists.send("a", {**child("2026-04-20"), "address": [{"district": area}]})
    ours = lists.asking("institution", "a")
    several: tuple[Status, ...] = ("planned", "due", "overdue")
    every = await lists.listed(ours, "immunization", statuses=several)
    seventh = await lists.listed(ours, "immunization", statuses=several, area="village-7")
    assert 2 * len(seventh) == len(every) > 0
    assert await lists.listed(ours, "immunization", statuses=several, area="village-9") == []
    day = every[-1].line.due
    until = await lists.listed(ours, "immunization", statuses=several, until=day - timedelta(1))
    since = await lists.listed(ours, "immunization", statuses=several, since=day)
    assert [*until, *since] == every
    assert until
    assert since
    asked = Asked(plan="immunization", statuses=several)
    counted = await ours.due.counts(asked)
    rows = await lists.listed(ours, "immunization", statuses=asked.statuses)
    assert sum(counted.values()) == len(rows)
    assert {series for series, _ in counted} == {row.line.series for row in rows}


async def test_a_list_is_noted_with_whom_it_shows(lists: Lists) -> None:
    here = await lists.send("a", child("2026-04-20"))
    await lists.listed(lists.asking("institution", "a"), "immunization")
    row = await lists.pool.fetchrow(
        "select type, outcome, patients from trust.access where action = 'due-list'"
    )
    assert row is not None
    rid = lists.guard.store.context.rid_of("Patient", here)
    assert (row["type"], row["outcome"], list(row["patients"])) == ("Patient", "ok", [rid])


async def test_how_many_are_late_is_noted_without_whose_they_are(lists: Lists) -> None:
    await lists.send("a", child("2026-04-20"))
    ours = lists.asking("institution", "a")
    asked = Asked(plan="immunization", institution="a")
    rows = await lists.listed(ours, "immunization", institution="a")
    statuses = [row.line.status(lists.calendar.today) for row in rows]
    await lists.pool.execute("delete from trust.access")
    assert len(statuses) > 1
    assert await ours.due.statuses(asked, most=100) == statuses
    assert await ours.due.statuses(asked, most=1) == statuses[:1]
    noted = await lists.pool.fetch("select action, patients from trust.access")
    assert [(row["action"], row["patients"]) for row in noted] == [("due-list", None)] * 2


async def test_what_there_is_not_is_refused_in_words(lists: Lists) -> None:
    ours = lists.asking("institution", "a").due
    with pytest.raises(NotFound, match="no application declares"):
        await ours.slice(Asked(plan="none"), count=5)
    with pytest.raises(Invalid, match="hepb"):
        await ours.slice(Asked(plan="immunization", series=("x",)), count=5)
    for place in (
        "x",
        "2026-13-01~1~1",
        "2026-01-01~1",
        f"2026-01-01~1~{1 << 63}",
        "2026-01-01~1~\x00",
    ):
        with pytest.raises(Malformed, match="first page"):
            await ours.slice(Asked(plan="immunization"), count=5, after=place)
    with pytest.raises(NotFound):
        await ours.schedule("q-nobody", "immunization")
    assert (await ours.slice(Asked(plan="immunization", institution="none"), count=5)).rows == ()


async def test_a_code_in_another_form_of_json_counts_as_well(lists: Lists) -> None:
    here = await lists.send("a", CHILD)
    raw = json.dumps(dose(here, "hepb", "2025-11-30")).replace('"hepb"', '"\\u0068epb"').encode()
    await lists.asking("institution", "a").create("Immunization", raw)
    assert await turns(lists) == [2]


async def test_data_keys_are_replaced_for_facts_too(
    lists: Lists, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotating, "_LINGER_SECONDS", 0.0)
    here = await lists.send("a", CHILD)
    await lists.send("a", dose(here, "hepb", "2025-11-30"))
    before = await lists.pool.fetchval("select body from plans.fact limit 1")
    rid = lists.guard.store.context.rid_of("Patient", here)
    assert rid is not None
    async with lists.pool.acquire() as connection:
        job = await put_rotating(connection, "node", [rid])
        payload = (await find(lists.pool, job)).payload
    result = await lists.work(rotate_kind(lists.guard.store.context), payload)
    assert result["unopened"] == 0
    assert await count_former(lists.pool) == 0
    assert await lists.pool.fetchval("select body from plans.fact limit 1") != before
    await lists.send("a", dose(here, "bcg", "2025-12-01"))
    assert await turns(lists) == [2]


async def test_a_new_plan_has_its_lists_made_by_a_job_and_says_how_far_it_is(
    lists: Lists,
) -> None:
    here = await lists.send("a", CHILD)
    await lists.send("a", dose(here, "hepb", "2025-11-30"))
    for statement in (
        "delete from plans.fact",
        "delete from plans.person",
        "delete from plans.due",
    ):
        await lists.pool.execute(statement)  # as on a node that had no such plan
    ours = lists.asking("institution", "a").due
    found = await ours.slice(Asked(plan="immunization"), count=5)
    assert (found.rows, found.progress.is_ready) == ((), False)
    async with lists.pool.acquire() as connection, connection.transaction():
        job = await begin_renewals(connection, lists.keeping, "node")
        assert job is not None
        assert await begin_renewals(connection, lists.keeping, "node") is None
    assert await lists.renew_all() == {"patients": 1}
    assert await turns(lists) == [2]
    found = await ours.slice(Asked(plan="immunization"), count=5)
    assert (found.progress.is_ready, found.progress.behind) == (True, 0)


async def test_what_tells_no_plan_anything_is_not_opened_when_lists_are_made_anew(
    lists: Lists,
) -> None:
    here = await lists.send("a", CHILD)
    await lists.send("a", state(here, "hypertension"))  # of no moment
    await lists.send("a", visit(here, "hypertension-visit", "2026-05-01"))
    other = await lists.send("a", visit(here, "pulse", "2026-05-02"))
    rid = lists.guard.store.context.rid_of("Observation", other)
    spoilt = await lists.pool.execute(
        "update records.record set body = '\\x00' where rid = $1", rid
    )
    assert spoilt == "UPDATE 1"
    kept = await lists.pool.fetch("select rid, plan from plans.fact order by 1, 2")
    assert await lists.renew_all() == {"patients": 1}
    assert len(kept) == 2
    assert await lists.pool.fetch("select rid, plan from plans.fact order by 1, 2") == kept


async def test_what_the_index_does_not_tell_of_yet_is_opened(lists: Lists) -> None:
    here = await lists.send("a", CHILD)
    await lists.send("a", visit(here, "hypertension-visit", "2026-05-01"))
    kept = await lists.pool.fetch("select rid, plan from plans.fact")
    await lists.pool.execute("delete from records.keyed")
    await lists.pool.execute("update indexing.rule set state = 'pending' where rule = 'base'")
    await lists.guard.store.context.refresh(lists.pool)
    await lists.renew_all()
    assert await lists.pool.fetch("select rid, plan from plans.fact") == kept


async def test_how_many_are_to_be_looked_at_again_is_told(lists: Lists) -> None:
    here = await lists.send("a", CHILD)
    await lists.send("a", state(here, "acute-illness", "2026-05-20", "2026-06-10"))
    lists.calendar.turn(date(2026, 6, 11))
    ours = lists.asking("institution", "a").due
    assert (await ours.slice(Asked(plan="immunization"), count=5)).progress.behind == 1
    assert await lists.look_again() == {"persons": 1}
    assert (await ours.slice(Asked(plan="immunization"), count=5)).progress.behind == 0


KINDS = {
    code: NoticeKind(code=code, class_="reminder", zh="{what} {due}", en="{what} {due}", days=30)
    for code in ("due", "late", "county")
}
TOLD: dict[str, Any] = {
    "reminders": (Reminder("due", -7),),
    "escalations": (
        Escalating("township-hospital", "late", frozenset({"public_health_worker"})),
        Escalating("county-cdc", "county", frozenset({"public_health_worker"}), frozenset({"cdc"})),
    ),
}


async def test_people_are_reminded_and_staff_told_of_who_is_late_once(
    pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path
) -> None:
    lists = Lists(pool, tmp_path, date(2026, 6, 1), **TOLD)
    adult = await lists.send("a", child("1980-05-31", 105))
    person = await pool.fetchval("select person from people.link limit 1")
    await pool.executemany(
        "insert into trust.account (code, name, made_at) values ($1, 'x', 0)",
        [("resident",), ("worker",), ("centre",)],
    )
    await pool.executemany(
        "insert into trust.actor (code, role, name, sender, person, account)"
        " values ($1, $2, 'x', $3, $4, $1)",
        [
            ("resident", "resident", "", person),
            ("worker", "public_health_worker", "a", None),
            ("centre", "public_health_worker", "b", None),
        ],
    )
    await pool.executemany(_INSTITUTION_ENTRY, [(1, "a"), (2, "b"), (3, "c")])
    await pool.executemany(
        _INSTITUTION,
        [(1, "a", "clinic", "580101"), (2, "b", "cdc", "580100"), (3, "c", "cdc", "590000")],
    )
    await lists.send("a", state(adult, "hypertension", "2026-05-01"))
    await lists.send("a", visit(adult, "hypertension-visit", "2026-06-01", "satisfied"))
    kind = tell_kind(lists.keeping, KINDS, lists.calendar.now)
    told: list[tuple[date, str, str]] = []
    for day in map(date.fromisoformat, DAYS):
        lists.calendar.turn(day)
        for _ in range(2):
            await lists.work(kind)
        rows = await pool.fetch("select account, kind, words, once from trust.notice order by id")
        assert all(b"2026" not in row["words"] for row in rows)
        told += [(day, row["account"], row["kind"]) for row in rows[len(told) :]]
    assert [(day.isoformat(), *more) for day, *more in told] == [
        ("2026-08-27", "resident", "due"),
        ("2026-09-16", "worker", "late"),
        ("2026-10-03", "centre", "county"),
    ]


# Due on 1 September, to be told from 25 August on; overdue on the 2nd, told on after 14 days and
# after a month. The node did not work on some of the days.
DAYS = (
    *("2026-08-24", "2026-08-27", "2026-08-28", "2026-09-15", "2026-09-16", "2026-09-17"),
    *("2026-10-01", "2026-10-03", "2026-10-04", "2026-12-01"),
)
_INSTITUTION_ENTRY = """
    insert into trust.institution_entry (organization, id, code, sender) values ($1, $2, $2, $2)
"""
_INSTITUTION = """
    insert into trust.institution
        (organization, sender, code, name, kind, region, state, since, until)
    values ($1, $2, $2, $2, $3, $4, 'active', 0, 9000000000000000000)
"""


async def test_what_is_labelled_is_known_to_be_so(lists: Lists) -> None:
    here = await lists.send("a", CHILD)
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "V"}
    given = await lists.send("a", dose(here, "hepb", "2025-11-30", meta={"security": [label]}))
    number = lists.guard.store.context.definition("Immunization").number

    async def labelled() -> list[bool]:
        kinds = await lists.pool.fetchval("select kinds from plans.person")
        return [is_labelled for _, of, is_labelled in map(read_kind, kinds) if of == number]

    assert await labelled() == [True]
    await lists.send("a", dose(here, "hepb", "2025-11-30"), given)
    assert await labelled() == [False]
