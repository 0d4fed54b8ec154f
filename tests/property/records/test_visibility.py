"""Both readings of a visibility, SQL and Python, show the same records."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import asyncpg
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quanmin.base.postgres import connect
from quanmin.fhir.table import load_table
from quanmin.records.search.reader import Statement
from quanmin.records.visibility import (
    Both,
    Either,
    Everything,
    Except,
    Facts,
    Granted,
    Having,
    Labelled,
    Nothing,
    OfNobody,
    OfPatient,
    OfSender,
    OfType,
    Since,
    Visibility,
    narrow_to_type,
)
from quanmin.records.visibility_sql import allows, mentions_grants, visibility_sql
from quanmin.trust import Actor
from quanmin.trust.rules import Ground, compile_rights

SMALL = st.integers(1, 3)
TIMES = st.sampled_from([-(2**63), -1, 0, 5, 2**63 - 1])
TYPES = st.sampled_from(["Patient", "Observation", "Organization"])

atoms: st.SearchStrategy[Visibility] = st.one_of(
    st.just(Everything()),
    st.just(Nothing()),
    st.just(OfNobody()),
    st.builds(OfSender, st.frozensets(SMALL)),
    st.builds(OfPatient, st.frozensets(SMALL)),
    st.builds(OfType, st.frozensets(TYPES)),
    st.builds(Labelled, st.frozensets(SMALL)),
    st.builds(Since, TIMES),
    st.builds(
        Having, TYPES, st.frozensets(SMALL), st.frozensets(st.tuples(SMALL, st.none() | SMALL))
    ),
    st.builds(Granted, SMALL),
)


def _compound(parts: st.SearchStrategy[Visibility]) -> st.SearchStrategy[Visibility]:
    some = st.lists(parts, max_size=3).map(tuple)
    return st.one_of(st.builds(Both, some), st.builds(Either, some), st.builds(Except, parts))


def _of_rules(role: str, patients: frozenset[int], sender: int) -> Visibility:
    """What the rules let an actor see, by the very function that compiles them."""
    actor = Actor("a", role, "Somebody", "a")  # type: ignore[arg-type]  # one of the roles
    return compile_rights(actor, Ground(sender, patients)).readable


rules = st.builds(
    _of_rules,
    st.sampled_from(["operator", "institution", "resident"]),
    st.frozensets(SMALL),
    SMALL,
)
visibilities = st.recursive(atoms | rules, _compound, max_leaves=8)
facts = st.builds(
    Facts,
    sender=SMALL,
    patient=st.none() | SMALL,
    type=TYPES,
    labels=st.frozensets(SMALL),
    time=st.none() | TIMES,
    keys=st.frozensets(SMALL),
    codes=st.frozensets(st.tuples(SMALL, SMALL)),
)
grants = st.sets(st.tuples(SMALL, SMALL), max_size=4)


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as opened:
        yield opened


@pytest.fixture
def connection(database: str, runner: asyncio.Runner) -> Iterator[asyncpg.Connection]:
    opened = runner.run(connect(database))
    yield opened
    runner.run(opened.close())


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(visibility=visibilities, records=st.lists(facts, max_size=12), granted=grants)
def test_both_readings_show_the_same_records(
    runner: asyncio.Runner,
    connection: asyncpg.Connection,
    visibility: Visibility,
    records: list[Facts],
    granted: set[tuple[int, int]],
) -> None:
    shown = runner.run(_shown_by_sql(connection, visibility, records, granted))
    assert shown == {
        number
        for number, each in enumerate(records)
        if allows(visibility, _with_grantees(each, granted))
    }


@given(visibility=visibilities, each=facts, granted=grants)
def test_grants_matter_only_where_they_are_mentioned(
    visibility: Visibility, each: Facts, granted: set[tuple[int, int]]
) -> None:
    with_grants = allows(visibility, _with_grantees(each, granted))
    assert mentions_grants(visibility) or allows(visibility, each) is with_grants


@given(visibility=visibilities, each=facts, granted=grants)
def test_a_visibility_narrowed_to_a_type_shows_the_same_records_of_it(
    visibility: Visibility, each: Facts, granted: set[tuple[int, int]]
) -> None:
    full = _with_grantees(each, granted)
    narrowed = narrow_to_type(visibility, each.type)
    assert allows(narrowed, full) is allows(visibility, full)
    assert not _names_types(narrowed)


def _names_types(visibility: Visibility) -> bool:
    match visibility:
        case OfType():
            return True
        case Both(parts) | Either(parts):
            return any(_names_types(part) for part in parts)
        case Except(part):
            return _names_types(part)
        case _:
            return False


def _with_grantees(each: Facts, granted: set[tuple[int, int]]) -> Facts:
    grantees = frozenset(grantee for patient, grantee in granted if patient == each.patient)
    return msgspec.structs.replace(each, grantees=grantees)


async def _shown_by_sql(
    connection: asyncpg.Connection,
    visibility: Visibility,
    records: list[Facts],
    granted: set[tuple[int, int]],
) -> set[int]:
    """What the condition shows of these records, in a transaction that leaves nothing behind."""
    statement = Statement()
    condition = visibility_sql(visibility, statement.bind, "r")
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.executemany(
            "insert into records.granted (bucket, patient, grantee) values (0, $1, $2)", granted
        )
        await connection.executemany(
            "insert into records.record (rid, seq, updated, patient, low, present, version, sender,"
            " bucket, type, flags, labels, tokens)"
            " values ($1, 0, 0, $2, $3, 0, 1, $4, 0, $5, 0, $6, $7)",
            [_row(number, each) for number, each in enumerate(records)],
        )
        await connection.executemany(
            "insert into records.keyed (key, low, rid, system, type, bucket)"
            " values ($1, $2, $3, $4, 0, 0)",
            [
                (key, each.time, number, system)
                for number, each in enumerate(records)
                for key, system in each.codes
            ],
        )
        rows = await connection.fetch(
            f"select r.rid from records.record r where {condition}",
            *statement.arguments,
        )
    finally:
        await transaction.rollback()
    return {row["rid"] for row in rows}


def _row(number: int, each: Facts) -> tuple[object, ...]:
    type_number = load_table().types[each.type].number
    labels = sorted(each.labels) or None
    keys = sorted(each.keys) or None
    return number, each.patient, each.time, each.sender, type_number, labels, keys
