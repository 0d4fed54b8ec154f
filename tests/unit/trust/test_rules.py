"""The rules of access: read, checked, and compiled in no time."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
from stores import START

from quanmin.base.problems import Unusable
from quanmin.records.keying import Keying
from quanmin.records.search.lots import lots_of
from quanmin.records.visibility import (
    Both,
    Everything,
    Except,
    Nothing,
    OfSender,
    OfType,
    narrow_to_type,
)
from quanmin.trust import Actor, Role
from quanmin.trust.deciding import Bounds, Deciding, Ground, InUse
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
        ('roles = ["doctor"]', 'duties = ["fun"]', "no such duty: fun"),
        ('roles = ["doctor"]', 'without_duties = ["fun"]', "no such duty: fun"),
        ('roles = ["doctor"]', "without_duties = []", "`without_duties` names none"),
        ('roles = ["doctor"]', 'levels = ["3"]', "no such level of an institution: 3; known are"),
        ('roles = ["doctor"]', 'grades = ["A"]', "no such grade"),
        ('roles = ["doctor"]', 'kinds = ["Z9"]', "no such kind of institution"),
        ('roles = ["doctor"]', 'regions = ["清河"]', "divisions of six digits"),
        ('roles = ["doctor"]', 'institutions = [" "]', "credit codes"),
        ('roles = ["doctor"]', "purposes = []", "`purposes` names none"),
        ('among = ["own"]', 'among = ["own"], labels = ["HIV"]', "system|code, not 'HIV'"),
        ('among = ["own"]', 'among = ["own"], labels = []', "reaches nothing"),
        ('among = ["own"]', "among = []", "say which records it reaches"),
        ('"read"', '"read", "erase"', "reaches everything"),
        ('"read"]', '"take_out"]', "none permits it"),
        ('"read"]', '"look_up"]', "let it `read`"),
        ("2026-11-22", "2026-11-22\nends = 2026-11-22", "would never decide"),
        ("2026-11-22", '"soon"', "effective"),
        ("[[rule]]", "[rule]", "begins with the line [[rule]]"),
        ("[[rule]]", "[[rules]]", "nothing is read of rules"),
    ],
)
def test_a_faulty_rule_is_refused_with_what_and_where(before: str, after: str, said: str) -> None:
    with pytest.raises(Unusable, match=r"one\.toml") as refused:
        read_rules([("one.toml", RULE.replace(before, after))])
    assert said in str(refused.value)


def test_who_creates_is_narrowed_by_types_alone() -> None:
    creating = RULE.replace('["read"]', '["create"]')
    assert read_rules([("one.toml", creating.replace('["own"]', '["own"], types = ["Consent"]'))])
    for more in ('outside = ["directory"]', 'labels = ["urn:labels|a"]'):
        with pytest.raises(Unusable, match="narrowed by `types` alone"):
            read_rules([("one.toml", creating.replace('["own"]', f'["own"], {more}'))])


def test_a_folder_of_rules_is_read_after_those_of_the_program(tmp_path: Path) -> None:
    (tmp_path / "b.toml").write_text(RULE, "utf-8")
    (tmp_path / "notes.txt").write_text("no rule", "utf-8")
    assert [rule.id for rule in load_rules(tmp_path)] == [*(r.id for r in load_rules()), "one"]
    with pytest.raises(Unusable, match=r"nowhere cannot be read .* rules\.folder"):
        load_rules(tmp_path / "nowhere")
    (tmp_path / "latin").mkdir()
    (tmp_path / "latin" / "c.toml").write_bytes(RULE.encode("utf-16"))
    with pytest.raises(Unusable, match=r"c\.toml is no TOML"):
        load_rules(tmp_path / "latin")


BROUGHT = """
[[rule]]
id = "cards.centre"
en = "One."
zh = "一。"
source = "somewhere"
version = "1"
effective = 2026-11-22
effect = "permit"
does = ["read", "change"]
when = { roles = ["doctor"], purposes = ["PUBHLTH"] }
reach = { among = ["region"], types = ["Task"], labels = ["urn:cards|cards"] }
"""


def bounds(text: str = BROUGHT, **more: Any) -> Bounds:
    declared = {
        "roles": {"doctor", "nurse"},
        "purposes": {"PUBHLTH"},
        "reads": {"Task", "Patient", "Observation"},
        "writes": {"Task"},
        **more,
    }
    sets = {name: frozenset(codes) for name, codes in declared.items() if name != "label"}
    label = more.get("label", "urn:cards|cards")
    return Bounds(
        application="cards", place="cards/definitions/access.toml", text=text.encode(),
        label=label, **sets,
    )  # fmt: skip


def test_a_rule_that_an_application_brings_is_of_its_pages() -> None:
    (rule,) = read_rules([], [bounds()])
    assert rule.application == "cards"
    assert not rule.deletes


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('"cards.centre"', '"centre"', "begins with 'cards' and a dot"),
        ('"permit"', '"forbid"', "what forbids"),
        ('["read", "change"]', '["read", "erase"]', "reaches everything"),
        ('["doctor"]', '["doctor", "operator"]', "`when.roles` names some of those"),
        ('roles = ["doctor"], ', "", "`when.roles` names some of those"),
        ('["PUBHLTH"]', '["TREAT"]', "`when.purposes` names some of those"),
        (', purposes = ["PUBHLTH"]', "", "`when.purposes` names some of those"),
        ('types = ["Task"]', 'types = ["Consent"]', "Consent: it does not declare that it reads"),
        (
            'types = ["Task"]',
            'types = ["Task", "Patient"]',
            "Patient: it does not declare that it w",
        ),
        ('types = ["Task"], ', "", "`reach.types` names the types"),
        ('["region"]', '["everything"]', "`reach.among` of an application is of"),
        ('["region"]', '["region", "refused"]', "`reach.among` of an application is of"),
        (', labels = ["urn:cards|cards"]', "", "say labels = ['urn:cards|cards']"),
        ('"urn:cards|cards"', '"urn:cards|cards", "urn:x|y"', "say labels = ['urn:cards|cards']"),
        ("effective", 'application = "cards"\neffective', "is said by the folder alone"),
        ("[[rule]]", "[rule]", "begins with the line [[rule]]"),
    ],
)
def test_a_rule_beyond_what_its_application_declares_is_refused(
    before: str, after: str, said: str
) -> None:
    text = BROUGHT.replace(before, after)
    assert text != BROUGHT
    with pytest.raises(Unusable, match=r"^cards/definitions/access\.toml") as refused:
        read_rules([("one.toml", RULE)], [bounds(text)])
    assert said in str(refused.value)


def test_an_application_forbids_nothing_and_has_no_case_without_a_workflow() -> None:
    forbids = BROUGHT.replace('"permit"', '"forbid"').replace('["read", "change"]', '["take_out"]')
    with pytest.raises(Unusable, match="permits and forbids nothing"):
        read_rules([], [bounds(forbids)])
    with pytest.raises(Unusable, match=r"no workflow\.toml"):
        read_rules([], [bounds(label="")])
    own = BROUGHT.replace('"region"', '"own", "about-asker"').replace(
        ', labels = ["urn:cards|cards"]', ""
    )
    assert read_rules([], [bounds(own, label="")])


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
        Actor("a", role, "A", "a"), "TREAT", Ground(1, frozenset({2}), at=START)
    )
    assert (rights.whole == Everything()) is (role == "operator")
    if role in {"system_administrator", "audit_administrator", "supervisor", "researcher"}:
        assert (rights.whole, rights.writable) == (Nothing(), Nothing())
        assert rights.readable == OfType(frozenset(directory()))


def test_who_has_a_duty_is_not_met_by_a_rule_for_those_without_it() -> None:
    closed = (
        RULE.replace('"one"', '"two"')
        .replace('"permit"', '"forbid"')
        .replace('["read"]', '["read", "look_up"]')
        .replace('roles = ["doctor"]', 'without_duties = ["mental_health"]')
        .replace('among = ["own"]', 'among = ["everything"], types = ["Task"]')
    )
    files = [(name, text.replace("2026", "2025")) for name, text in (("a", RULE), ("b", closed))]
    deciding = Deciding(Keying(bytes(32)), read_rules(files))
    seen = {}
    for duties in ((), ("quality",), ("quality", "mental_health")):
        actor = Actor("li", "doctor", "Li", "a", duties=frozenset(duties))
        rights = deciding.compile(actor, "TREAT", Ground(sender=1, at=START, granted=InUse()))
        seen[duties] = rights.whole
    own = OfSender(frozenset({1}))
    assert seen["quality", "mental_health"] == own
    assert seen["quality",] == seen[()] == Both((own, Except(OfType(frozenset({"Task"})))))


def test_what_is_closed_of_all_that_is_permitted_leaves_the_lots_of_an_index() -> None:
    """Else a search of those types would meet what others have sent."""
    deciding = Deciding(Keying(bytes(32)))
    granted = InUse(frozenset(deciding.reaching.grantees("li", 1, "TREAT")))
    ground = Ground(sender=1, at=START, granted=granted)
    rights = deciding.compile(Actor("li", "doctor", "Li", "a"), "TREAT", ground)
    for type_ in ("Task", "Observation"):
        lots = lots_of(narrow_to_type(rights.whole, type_))
        assert [lot.sender for lot in lots] == [1, None], type_
