"""Both readings of a visibility, SQL and Python, show the same records."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, get_args

import asyncpg
import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from ruling import TIMELESS

from quanmin.base.postgres import connect
from quanmin.fhir.table import load_table
from quanmin.records.keying import Keying
from quanmin.records.label_sets import OTHERS
from quanmin.records.search.lots import Lot, told_apart
from quanmin.records.search.reader import Reader, Statement
from quanmin.records.search.term import Walk
from quanmin.records.search.told import Told, told_of
from quanmin.records.sensitivity import load_kinds
from quanmin.records.simplifying import left_of, permitting, seen_of_type, simplified
from quanmin.records.visibility import (
    Both,
    Either,
    Everything,
    Except,
    Facts,
    Grant,
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
from quanmin.records.walls import wall_of
from quanmin.trust import Actor, Role
from quanmin.trust.deciding import Deciding, Ground
from quanmin.trust.deciding.grantees import ANY, Grantees

SMALL = st.integers(1, 3)
PARTS = st.integers(11, 13)
TIMES = st.sampled_from([-(2**63), -1, 0, 5, 2**63 - 1])
TYPES = st.sampled_from(["Patient", "Observation", "Organization"])

KEYING = Keying(b"k" * 32)
DECIDING = Deciding(KEYING, TIMELESS)
GRANTEES = Grantees(KEYING)
PURPOSES = st.sampled_from(["TREAT", "BTG", "PUBHLTH", "HRESCH"])
KINDS = ["", *(kind.label.code for kind in load_kinds() if kind.is_strict)][:3]
LABELS = SMALL | st.sampled_from(
    [KEYING.label(kind.label.system, kind.label.code) for kind in load_kinds()]
)


def _meant(sender: int | str, purpose: str, kind: str, word: str) -> int:
    """The number of a grant as rules ask for it."""
    match word:
        case "treats":
            return GRANTEES.treating(int(sender) if sender != ANY else 1)
        case "glass":
            return GRANTEES.glass("a")
        case "mark":
            return GRANTEES.mark(sender)
        case _:
            name = word.removeprefix("part of ")
            return GRANTEES.named(name, sender, purpose, kind, is_part=name != word)


def _numbers(*words: str) -> st.SearchStrategy[int]:
    return st.builds(
        _meant,
        SMALL | st.just(ANY),
        PURPOSES | st.just(ANY),
        st.sampled_from(KINDS),
        st.sampled_from(words),
    )


WHOLE = SMALL | _numbers("treats", "glass", "mark", "withdraw", "permit", "refuse")
PARTIAL = PARTS | _numbers("part of permit", "part of refuse")

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
    st.builds(
        Granted,
        st.frozensets(SMALL),
        SMALL,
        st.frozensets(SMALL, max_size=1),
        st.none() | TYPES,
        st.booleans(),
        st.frozensets(PARTS, max_size=2),
        st.frozensets(PARTS, max_size=2),
        st.frozensets(SMALL, max_size=2),
    ),
)


def _compound(parts: st.SearchStrategy[Visibility]) -> st.SearchStrategy[Visibility]:
    some = st.lists(parts, max_size=3).map(tuple)
    return st.one_of(st.builds(Both, some), st.builds(Either, some), st.builds(Except, parts))


def _of_rules(role: Role, purpose: str, form: str, ground: Ground) -> Visibility:
    """What the rules let an actor see, by the very code that compiles them."""
    rights = DECIDING.compile(Actor("a", role, "Somebody", "a"), purpose, ground)
    return rights.whole if form == "whole" else rights.readable


rules = st.builds(
    _of_rules,
    st.sampled_from(get_args(Role)),
    PURPOSES,
    st.sampled_from(["whole", "directory"]),
    st.builds(Ground, SMALL, st.frozensets(SMALL), st.frozensets(SMALL), SMALL),
)
visibilities = st.recursive(atoms | rules, _compound, max_leaves=8)
facts = st.builds(
    Facts,
    sender=SMALL,
    patient=st.none() | SMALL,
    type=TYPES,
    labels=st.frozensets(LABELS, max_size=3),
    time=st.none() | TIMES,
    keys=st.frozensets(SMALL),
    codes=st.frozensets(st.tuples(SMALL, SMALL)),
)


def _row_key(one: tuple[int, Grant]) -> tuple[object, ...]:
    """What the table tells grants apart by."""
    patient, grant = one
    return patient, grant.grantee, grant.type, grant.since, grant.source, grant.part


_GIVEN: tuple[Any, ...] = (
    st.none() | TYPES,
    st.sampled_from([-(2**63), 1, 2]),
    st.sampled_from([2, 3, 2**63 - 1]),
    SMALL,
    st.integers(0, 2),
    st.integers(0, 3),
)
_NARROWED: tuple[Any, ...] = (
    st.none() | st.tuples(st.integers(0, 1), st.integers(1, 3)),
    st.none() | st.frozensets(st.tuples(SMALL, st.none() | SMALL), max_size=2),
    st.none() | st.frozensets(st.integers(0, 11), max_size=6),
)
grants = st.lists(
    st.tuples(
        SMALL,
        st.builds(Grant, WHOLE, *_GIVEN) | st.builds(Grant, PARTIAL, *_GIVEN, *_NARROWED),
    ),
    max_size=6,
    unique_by=_row_key,
)


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as opened:
        yield opened


@pytest.fixture
def connection(database: str, runner: asyncio.Runner) -> Iterator[asyncpg.Connection]:
    opened = runner.run(connect(database))
    yield opened
    runner.run(opened.close())


# Where it is not known what is granted the statement is long, and planning it takes its time.
@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(visibility=visibilities, records=st.lists(facts, max_size=12), granted=grants)
def test_both_readings_show_the_same_records(
    runner: asyncio.Runner,
    connection: asyncpg.Connection,
    visibility: Visibility,
    records: list[Facts],
    granted: list[tuple[int, Grant]],
) -> None:
    shown = runner.run(_shown_by_sql(connection, visibility, records, granted))
    assert shown == {
        number
        for number, each in enumerate(records)
        if allows(visibility, _with_grants(each, granted, number))
    }


@given(visibility=visibilities, each=facts, granted=grants)
def test_grants_matter_only_where_they_are_mentioned(
    visibility: Visibility, each: Facts, granted: list[tuple[int, Grant]]
) -> None:
    with_grants = allows(visibility, _with_grants(each, granted))
    assert mentions_grants(visibility) or allows(visibility, each) is with_grants


@given(visibility=visibilities, each=facts, granted=grants)
def test_a_visibility_narrowed_to_a_type_shows_the_same_records_of_it(
    visibility: Visibility, each: Facts, granted: list[tuple[int, Grant]]
) -> None:
    full = _with_grants(each, granted)
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


def _with_grants(each: Facts, granted: list[tuple[int, Grant]], rid: int = 0) -> Facts:
    grants = frozenset(grant for patient, grant in granted if patient == each.patient)
    return msgspec.structs.replace(each, grants=grants, rid=rid)


async def _shown_by_sql(
    connection: asyncpg.Connection,
    visibility: Visibility,
    records: list[Facts],
    granted: list[tuple[int, Grant]],
) -> set[int]:
    """What the condition shows of these records."""
    statement = Statement()
    condition = visibility_sql(visibility, statement.bind, "r")
    async with _filled(connection, records, granted):
        rows = await connection.fetch(
            f"select r.rid from records.record r where {condition}",
            *statement.arguments,
        )
    return {row["rid"] for row in rows}


@asynccontextmanager
async def _filled(
    connection: asyncpg.Connection, records: list[Facts], granted: list[tuple[int, Grant]]
) -> AsyncIterator[None]:
    """These records and grants, in a transaction that leaves nothing behind."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.executemany(
            "insert into records.granted"
            " (bucket, patient, grantee, type, since, until, source, about,"
            " part, rank, low, high, keys, systems, rids)"
            " values (0, $1, $2, $3, $4, $5, $6, $1, $7, $8, $9, $10, $11, $12, $13)",
            [_grant_row(patient, grant) for patient, grant in granted],
        )
        await connection.executemany(
            "insert into records.record (rid, seq, updated, patient, low, present, version, sender,"
            " bucket, type, flags, labels, tokens, apart)"
            " values ($1, 0, 0, $2, $3, 0, 1, $4, 0, $5, 0, $6, $7, $8)",
            [_row(number, each) for number, each in enumerate(records)],
        )
        await connection.executemany(
            "insert into records.keyed (key, low, rid, system, patient, type, bucket, wall)"
            " values ($1, $2, $3, $4, $5, 0, 0, $6)",
            [
                (
                    *(key, each.time, number, system, each.patient),
                    wall_of(each.sender, each.patient),
                )
                for number, each in enumerate(records)
                for key, system in each.codes
            ],
        )
        yield
    finally:
        await transaction.rollback()


def _grant_row(patient: int, grant: Grant) -> tuple[object, ...]:
    type_number = load_table().types[grant.type].number if grant.type else 0
    codes = None if grant.codes is None else list(grant.codes)
    return (
        *(patient, grant.grantee, type_number, grant.since, grant.until, grant.source),
        *(grant.part, grant.rank, *(grant.span or (None, None))),
        *(
            [None, None]
            if codes is None
            else [[*one] for one in zip(*codes, strict=True)] or [[], []]
        ),
        None if grant.rids is None else [*grant.rids],
    )


def _row(number: int, each: Facts) -> tuple[object, ...]:
    type_number = load_table().types[each.type].number
    labels = sorted(each.labels) or None
    keys = sorted(each.keys) or None
    apart = None if labels is None else OTHERS
    return number, each.patient, each.time, each.sender, type_number, labels, keys, apart


@given(visibility=visibilities, each=facts, granted=grants)
def test_a_visibility_in_fewer_words_shows_the_same_records(
    visibility: Visibility, each: Facts, granted: list[tuple[int, Grant]]
) -> None:
    full = _with_grants(each, granted)
    assert allows(simplified(visibility), full) is allows(visibility, full)
    of_type = seen_of_type(visibility, each.type)
    assert allows(of_type, full) is allows(visibility, full)


@given(visibility=visibilities, each=facts, granted=grants)
def test_grants_are_read_only_where_they_can_show_something(
    visibility: Visibility, each: Facts, granted: list[tuple[int, Grant]]
) -> None:
    full, bare = _with_grants(each, granted), _with_grants(each, [])
    left = left_of(visibility, bare)
    assert allows(left, full) is allows(visibility, full)
    wanted = permitting(left)
    if wanted is not None and not any(one.grantee in wanted for one in full.grants):
        assert not allows(visibility, full)
        assert not allows(left, bare)


@given(
    visibility=visibilities,
    each=facts,
    granted=grants,
    sets=st.sets(st.frozensets(SMALL, max_size=2)),
    is_full=st.booleans(),
)
def test_what_is_told_apart_by_labels_is_seen_in_one_part(
    visibility: Visibility,
    each: Facts,
    granted: list[tuple[int, Grant]],
    sets: set[frozenset[int]],
    *,
    is_full: bool,
) -> None:
    full = _with_grants(each, granted)
    known = {frozenset(), *sets} | (set() if is_full else {full.labels})
    of = {labels: number for number, labels in enumerate(sorted(known, key=sorted))}
    parts = told_apart([Lot(visibility)], of, is_full=is_full)
    mine = [part for part in parts if part.may_have(full)]
    assert len(mine) <= 1
    assert any(allows(part.seen, full) for part in mine) is allows(visibility, full)


coded = st.builds(
    Facts,
    sender=SMALL,
    patient=st.none() | SMALL,
    type=st.just("Observation"),
    labels=st.frozensets(SMALL, max_size=1),
    time=st.none() | TIMES,
    codes=st.frozensets(st.tuples(st.just(1), st.integers(1, 2)), min_size=1),
)
tellable = st.recursive(
    st.one_of(
        st.builds(OfSender, st.frozensets(SMALL)),
        st.builds(OfPatient, st.frozensets(SMALL)),
        st.builds(Labelled, st.frozensets(SMALL)),
        st.builds(Granted, st.frozensets(SMALL), SMALL, st.frozensets(SMALL, max_size=1)),
        st.just(OfNobody()),
    ),
    _compound,
    max_leaves=6,
)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    visibility=tellable,
    records=st.lists(coded, min_size=3, max_size=12),
    granted=grants,
    system=st.none() | st.just(1),
)
def test_what_the_index_on_codes_counts_is_what_is_shown(  # noqa: PLR0917 - all are drawn
    runner: asyncio.Runner,
    connection: asyncpg.Connection,
    visibility: Visibility,
    records: list[Facts],
    granted: list[tuple[int, Grant]],
    system: int | None,
) -> None:
    async def counted(told: Told) -> tuple[int | None, int | None]:
        async with _filled(connection, records, granted):
            reader = Reader(connection, None, 20.0)  # type: ignore[arg-type]  # nothing is opened
            return await told.count(reader, 100), await told.count(reader, 2)

    number = load_table().types["Observation"].number
    told = told_of(Walk(((1, system),)), number, narrow_to_type(visibility, "Observation"))
    assume(told)
    assert told
    shown = [
        allows(visibility, _with_grants(each, granted, at))
        for at, each in enumerate(records)
        if system is None or (1, system) in each.codes
    ]
    expected = sum(shown)
    assert runner.run(counted(told)) == (expected, None if len(shown) >= 2 else expected)
