"""Askers and records of tests in the form in which the node decides about them: by numbers."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from rules_by_text import Asker, Record, Said

from quanmin.records.keying import Keying
from quanmin.records.visibility import Facts, Grant
from quanmin.trust import Actor
from quanmin.trust.actors import Place, Role
from quanmin.trust.deciding import Ground
from quanmin.trust.deciding.grantees import Grantees


def actor_of(asker: Asker) -> Actor:
    return Actor(
        asker.account,
        msgspec.convert(asker.role, Role),
        "A",
        asker.sender_code,
        duties=asker.duties,
        place=Place(asker.institution, asker.level, asker.grade, asker.kind, asker.region),
        application=asker.application,
    )


def ground_of(asker: Asker) -> Ground:
    return Ground(
        asker.sender,
        asker.patients,
        asker.senders_of_region,
        asker.at,
        registers=asker.senders_of_registers,
        addresses=frozenset({asker.sender_code, asker.institution} - {""}),
    )


def facts_of(keying: Keying, record: Record) -> Facts:
    return Facts(
        record.sender,
        record.patient,
        record.type,
        frozenset(keying.label(*label) for label in record.labels),
        None,
        grants_of(keying, record.said),
    )


def grants_of(keying: Keying, said: Sequence[Said]) -> frozenset[Grant]:
    """What stands about a patient, each by a record of its own."""
    return frozenset(_grant(keying, one, number) for number, one in enumerate(said))


def _grant(keying: Keying, said: Said, source: int) -> Grant:
    grantees = Grantees(keying)
    match said.word:
        case "treats":
            number = grantees.treating(int(said.who))
        case "glass":
            number = grantees.glass(str(said.who))
        case _:
            number = grantees.named(said.word, said.who, said.purpose, said.kind)
    return Grant(number, said.type, said.since, said.until, source, rank=said.rank)
