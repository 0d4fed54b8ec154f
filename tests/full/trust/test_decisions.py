"""A million decisions: SQL and Python agree on random subjects, rules and records, and say what the
text of the rules says.
"""

from __future__ import annotations

import random
from datetime import UTC
from typing import Final, get_args

import asyncpg
from rules_by_text import (
    SHIPPED,
    all_of,
    is_seen,
    some_asker,
    some_brought,
    some_record,
    some_rules,
    some_said,
)
from ruling import TIMELESS
from ruling_by_number import actor_of, facts_of, grants_of, ground_of

from quanmin.fhir.table import load_table
from quanmin.records.keying import Keying
from quanmin.records.label_sets import OTHERS
from quanmin.records.search.reader import Statement
from quanmin.records.sensitivity import load_kinds
from quanmin.records.visibility import Facts, Grant, Visibility, narrow_to_type
from quanmin.records.visibility_sql import allows, visibility_sql
from quanmin.trust import Actor, Role
from quanmin.trust.deciding import Deciding, Ground
from quanmin.trust.deciding.grantees import ANY, Grantees
from quanmin.trust.deciding.rules import read_rules

RECORDS, SUBJECTS = 4000, 260
SENDERS, PATIENTS = range(1, 9), range(1, 200)
TYPES: Final = ("Patient", "Observation", "Condition", "Organization", "Consent")
PURPOSES: Final = ("TREAT", "ETREAT", "BTG", "PUBHLTH", "HRESCH", "HPAYMT")
KEYING = Keying(b"k" * 32)
GRANTEES = Grantees(KEYING)
KINDS = [kind.label for kind in load_kinds()]


async def test_a_million_decisions_are_the_same_in_sql_and_in_python(
    pool: asyncpg.Pool[asyncpg.Record],
) -> None:
    chance = random.Random(20261122)  # noqa: S311 - repeatable, and no secret
    grants = {patient: frozenset(_grants(chance)) for patient in PATIENTS}
    records = [_record(chance, grants) for _ in range(RECORDS)]
    await _store(pool, records, grants)
    deciding = Deciding(KEYING, TIMELESS)
    decisions = shown = 0
    for _ in range(SUBJECTS):
        visibility = _subject(chance, deciding)
        statement = Statement()
        condition = visibility_sql(visibility, statement.bind, "r")
        rows = await pool.fetch(
            f"select r.rid from records.record r where {condition}", *statement.arguments
        )
        by_sql = {row["rid"] for row in rows}
        by_python = {rid for rid, facts in enumerate(records) if allows(visibility, facts)}
        assert by_sql == by_python
        narrowed = {type_: narrow_to_type(visibility, type_) for type_ in TYPES}
        assert by_python == {
            rid for rid, facts in enumerate(records) if allows(narrowed[facts.type], facts)
        }
        decisions += len(records)
        shown += len(by_sql)
    assert decisions >= 1_000_000
    assert 0.02 < shown / decisions < 0.9, "neither almost all nor almost nothing was decided"


async def test_both_say_what_the_text_of_the_rules_says(
    pool: asyncpg.Pool[asyncpg.Record],
) -> None:
    chance = random.Random(20261123)  # noqa: S311 - repeatable, and no secret
    said = {patient: some_said(chance, SENDERS) for patient in PATIENTS}
    records = [some_record(chance, SENDERS, said) for _ in range(RECORDS // 4)]
    grants = {patient: grants_of(KEYING, some) for patient, some in said.items()}
    facts = [facts_of(KEYING, record) for record in records]
    await _store(pool, facts, grants)
    shown = 0
    for _ in range(SUBJECTS):
        text = SHIPPED + some_rules(chance)
        brought = some_brought(chance)
        rules = all_of(text, brought)
        asker = some_asker(chance, SENDERS, PATIENTS)
        deciding = Deciding(KEYING, read_rules([("all.toml", text)], brought), UTC)
        rights = deciding.compile(actor_of(asker), asker.purpose, ground_of(asker))
        statement = Statement()
        condition = visibility_sql(rights.whole, statement.bind, "r")
        rows = await pool.fetch(
            f"select r.rid from records.record r where {condition}", *statement.arguments
        )
        by_text = {
            rid for rid, record in enumerate(records) if is_seen(rules, asker, record, "read")
        }
        assert {row["rid"] for row in rows} == by_text, (text, asker)
        assert {rid for rid, one in enumerate(facts) if allows(rights.whole, one)} == by_text
        shown += len(by_text)
    assert 0.1 < shown / (SUBJECTS * len(records)) < 0.6


def _subject(chance: random.Random, deciding: Deciding) -> Visibility:
    role: Role = chance.choice(get_args(Role))
    ground = Ground(
        chance.choice(SENDERS),
        frozenset(chance.sample(PATIENTS, 3)),
        frozenset(chance.sample(SENDERS, chance.randrange(4))),
        chance.randrange(10),
    )
    actor, purpose = Actor("a", role, "A", "a"), chance.choice(PURPOSES)
    rights = deciding.compile(actor, purpose, ground)
    return chance.choice([rights.whole, rights.readable])


def _record(chance: random.Random, grants: dict[int, frozenset[Grant]]) -> Facts:
    patient = chance.choice([None, *PATIENTS, *PATIENTS])
    labels = chance.sample(KINDS, chance.choice([0, 0, 1, 2]))
    return Facts(
        chance.choice(SENDERS),
        patient,
        chance.choice(TYPES),
        frozenset(KEYING.label(label.system, label.code) for label in labels),
        chance.choice([None, chance.randrange(10)]),
        grants.get(patient or 0, frozenset()),
        frozenset(chance.sample(range(5), 2)),
    )


def _grants(chance: random.Random) -> list[Grant]:
    found: dict[tuple[object, ...], Grant] = {}
    for _ in range(chance.randrange(7)):
        sender, purpose = chance.choice([*SENDERS, ANY]), chance.choice([*PURPOSES, ANY])
        kind = chance.choice(["", "", chance.choice(KINDS).code])
        parts = [
            GRANTEES.named(word, sender, purpose, kind, is_part=True)
            for word in ("permit", "refuse")
        ]
        grantee = chance.choice(
            [
                GRANTEES.treating(chance.choice(SENDERS)),
                GRANTEES.named("permit", sender, purpose, kind),
                GRANTEES.named("refuse", sender, purpose, kind),
                GRANTEES.named("withdraw", sender, purpose),
                *parts,
                GRANTEES.mark(sender),
                GRANTEES.glass("a"),
            ]
        )
        since = chance.randrange(8)
        type_ = chance.choice([None, None, chance.choice(TYPES)])
        low, coded = chance.randrange(8), frozenset({(chance.randrange(5), None)})
        one = Grant(
            *(grantee, type_, since, since + 1 + chance.randrange(9), chance.randrange(3)),
            rank=chance.randrange(6),
            span=chance.choice([None, (low, low + 4)]) if grantee in parts else None,
            codes=chance.choice([None, coded]) if grantee in parts else None,
        )
        found[one.grantee, one.type, one.since, one.source] = one
    return list(found.values())


async def _store(
    pool: asyncpg.Pool[asyncpg.Record],
    records: list[Facts],
    grants: dict[int, frozenset[Grant]],
) -> None:
    numbers = {name: definition.number for name, definition in load_table().types.items()}
    await pool.executemany(
        "insert into records.granted"
        " (bucket, patient, grantee, type, since, until, source, about,"
        " rank, low, high, keys, systems)"
        " values (0, $1, $2, $3, $4, $5, $6, $1, $7, $8, $9, $10, $11)",
        [
            (
                patient,
                one.grantee,
                numbers[one.type] if one.type else 0,
                one.since,
                one.until,
                one.source,
                one.rank,
                *(one.span or (None, None)),
                None if one.codes is None else [key for key, _ in one.codes],
                None if one.codes is None else [None for _ in one.codes],
            )
            for patient, some in grants.items()
            for one in some
        ],
    )
    await pool.executemany(
        "insert into records.record (rid, seq, updated, patient, low, present, version, sender,"
        " bucket, type, flags, labels, tokens, apart)"
        " values ($1, 0, 0, $2, $3, 0, 1, $4, 0, $5, 0, $6, $7, $8)",
        [
            (
                rid,
                facts.patient,
                facts.time,
                facts.sender,
                numbers[facts.type],
                sorted(facts.labels) or None,
                sorted(facts.keys),
                OTHERS if facts.labels else None,
            )
            for rid, facts in enumerate(records)
        ],
    )
