"""The rules of access: read, checked, and compiled in no time."""

from __future__ import annotations

import time
from typing import get_args

import pytest

from quanmin.base.problems import Unusable
from quanmin.records.keying import Keying
from quanmin.records.visibility import Everything, Nothing, OfType
from quanmin.trust import Actor, Role
from quanmin.trust.deciding import Deciding, Ground, InUse
from quanmin.trust.deciding.rules import load_rules, read_rules
from quanmin.trust.directory import directory

RULE = """
[[rule]]
id = "one"
en = "One."
zh = "一。"
source = "somewhere"
version = "1"
effective = 2026-11-22
effect = "permit"
does = ["read"]
when = { roles = ["doctor"] }
reach = { among = ["own"] }
"""


def test_a_whole_rule_is_read() -> None:
    (rule,) = read_rules([("one.toml", RULE)])
    assert (rule.id, rule.effect, rule.reach.among) == ("one", "permit", ("own",))


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('"permit"', '"allow"', "effect"),
        ('"own"', '"whatever"', "among"),
        ('"doctor"', '"wizard"', "no such role: wizard"),
        ("roles", "rolls", "rolls"),
        ('source = "somewhere"', 'source = ""', "say its source"),
        ('among = ["own"]', 'among = ["own"], types = ["Nothing"]', "no such type: Nothing"),
        ('roles = ["doctor"]', 'purposes = ["FUN"]', "no such purpose of use: FUN"),
        ('"permit"', '"forbid"', "what forbids"),
        ("id =", "id", "is no TOML"),
    ],
)
def test_a_faulty_rule_is_refused_with_what_and_where(before: str, after: str, said: str) -> None:
    with pytest.raises(Unusable, match=r"one\.toml") as refused:
        read_rules([("one.toml", RULE.replace(before, after))])
    assert said in str(refused.value)


def test_two_rules_with_one_id_are_refused() -> None:
    with pytest.raises(Unusable, match="with this id already"):
        read_rules([("one.toml", RULE), ("two.toml", RULE)])


def test_every_rule_says_in_both_languages_what_it_means_and_where_it_is_from() -> None:
    rules = load_rules()
    assert len(rules) >= 10
    assert all(rule.en and rule.zh and rule.source for rule in rules)


@pytest.mark.parametrize("role", sorted(get_args(Role)))
def test_no_role_but_the_operator_sees_everything(role: Role) -> None:
    rights = Deciding(Keying(b"k" * 32)).compile(
        Actor("a", role, "A", "a"), "TREAT", Ground(1, frozenset({2}), at=3)
    )
    assert (rights.whole == Everything()) is (role == "operator")
    if role in {"system_administrator", "audit_administrator", "supervisor", "researcher"}:
        assert (rights.whole, rights.writable) == (Nothing(), Nothing())
        assert rights.readable == OfType(frozenset(directory()))


def test_rights_are_compiled_within_a_hundred_microseconds() -> None:
    deciding = Deciding(Keying(b"k" * 32))
    doctor = Actor("a", "doctor", "A", "a")
    granted = InUse(frozenset(deciding.grantees(doctor, "TREAT", 1)[::3]))
    deciding.compile(doctor, "TREAT", Ground(1, at=3))
    number = 2000
    started = time.process_time()
    for at in range(number):
        deciding.compile(doctor, "TREAT", Ground(1, at=at, granted=granted))
    assert (time.process_time() - started) / number < 100e-6
