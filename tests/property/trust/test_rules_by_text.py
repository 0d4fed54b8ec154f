"""What the compiled rules show is what their text says, over random rules, askers and records."""

from __future__ import annotations

import random
from datetime import UTC
from typing import Any

import msgspec
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
from ruling_by_number import actor_of, facts_of, ground_of

from quanmin.records.keying import Keying
from quanmin.records.visibility_sql import allows
from quanmin.trust.deciding import Deciding, InUse
from quanmin.trust.deciding.rules import read_rules

KEYING = Keying(b"k" * 32)
SENDERS, PATIENTS = range(1, 4), range(11, 19)
BOOKS, ASKERS, RECORDS = 20, 5, 30
_WRITING = ("change", "delete")


def test_a_record_is_seen_when_a_rule_permits_it_and_none_forbids_it() -> None:
    """Whether or not it is known beforehand to whom anything is granted; one is changed, or
    deleted, by the rules that say so.
    """
    chance = random.Random(20261122)  # noqa: S311 - repeatable, and no secret
    shown = decided = brought_shown = changed = 0
    for _ in range(BOOKS):
        text = SHIPPED + some_rules(chance)
        brought = some_brought(chance)
        rules = all_of(text, brought)
        deciding = Deciding(KEYING, read_rules([("all.toml", text)], brought), UTC)
        said = {patient: some_said(chance, SENDERS) for patient in PATIENTS}
        records = [some_record(chance, SENDERS, said) for _ in range(RECORDS)]
        facts = [facts_of(KEYING, record) for record in records]
        granted = frozenset(grant.grantee for one in facts for grant in one.grants)
        for _ in range(ASKERS):
            asker = some_asker(chance, SENDERS, PATIENTS)
            actor, ground = actor_of(asker), ground_of(asker)
            asked = deciding.grantees(actor, asker.purpose, asker.sender, asker.at)
            known = msgspec.structs.replace(ground, granted=InUse(granted.intersection(asked)))
            rights = [deciding.compile(actor, asker.purpose, one) for one in (ground, known)]
            for record, one in zip(records, facts, strict=True):
                whole = is_seen(rules, asker, record, "read")
                looked_up = whole or is_seen(rules, asker, record, "look_up")
                change, delete = (is_seen(_open(rules), asker, record, d) for d in _WRITING)
                for each in rights:
                    assert allows(each.whole, one) is whole, (text, asker, record)
                    assert allows(each.readable, one) is looked_up, (text, asker, record)
                    assert allows(each.writable, one) is change, (text, asker, record)
                    deletable = each.writable if each.deletable is None else each.deletable
                    assert allows(deletable, one) is delete, (text, asker, record)
                elsewhere = msgspec.structs.replace(asker, application="")
                brought_shown += whole and not is_seen(rules, elsewhere, record, "read")
                changed += change and not delete
                shown += whole
                decided += 1
    assert 0.1 < shown / decided < 0.6
    assert brought_shown > 20, "what applications bring decides now and then"
    assert changed > 20


def _open(rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without those that forbid: what is not seen is not changed, but that is asked apart."""
    return [rule for rule in rules if rule["effect"] == "permit"]
