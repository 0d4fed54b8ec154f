"""What is said of a decision is the decision: over random subjects and records."""

from __future__ import annotations

import random
from typing import Final, get_args

import pytest
from ruling import TIMELESS

from quanmin.records.keying import Keying
from quanmin.records.sensitivity import load_kinds
from quanmin.records.visibility import Facts, Grant
from quanmin.records.visibility_sql import allows
from quanmin.trust import Actor, Role
from quanmin.trust.deciding import Deciding, Ground
from quanmin.trust.deciding.explaining import Answer, Case, Explaining
from quanmin.trust.deciding.grantees import ANY, Grantees
from quanmin.trust.deciding.purposes import purposes_known
from quanmin.trust.deciding.wording import Language, Wording, words

KEYING = Keying(b"k" * 32)
DECIDING, GRANTEES = Deciding(KEYING, TIMELESS), Grantees(KEYING)
EXPLAINING = Explaining(DECIDING, GRANTEES, purposes_known())
TYPES: Final = ("Patient", "Observation", "Organization", "Consent")
KINDS = [kind.label for kind in load_kinds()]
WHO: Final[tuple[int | str, ...]] = (1, 2, 3, ANY)
CASES: Final = 600


def case(chance: random.Random) -> Case:
    role: Role = chance.choice(get_args(Role))
    purpose = chance.choice(purposes_known())
    ground = Ground(
        chance.randrange(1, 4),
        frozenset(chance.sample(range(1, 6), 2)),
        frozenset(chance.sample(range(1, 5), chance.randrange(3))),
        chance.randrange(10),
    )
    labels = chance.sample(KINDS, chance.choice([0, 0, 1, 2]))
    facts = Facts(
        chance.randrange(1, 5),
        chance.choice([None, *range(1, 6)]),
        chance.choice(TYPES),
        frozenset(KEYING.label(label.system, label.code) for label in labels),
        None,
        frozenset(grant(chance, purpose) for _ in range(chance.randrange(6))),
    )
    return Case(Actor("a", role, "A", "a"), purpose, ground, facts)


def grant(chance: random.Random, purpose: str) -> Grant:
    sender = chance.choice(WHO)
    purpose = chance.choice([purpose, "TREAT", ANY])
    kind = chance.choice(["", "", chance.choice(KINDS).code])
    grantee = chance.choice(
        [
            GRANTEES.treating(chance.randrange(1, 4)),
            GRANTEES.named("permit", sender, purpose, kind),
            GRANTEES.named("refuse", sender, purpose, kind),
            GRANTEES.named("refuse", sender, purpose, kind, is_part=True),
            GRANTEES.named("withdraw", sender, purpose),
            GRANTEES.mark(sender),
            GRANTEES.glass("a"),
        ]
    )
    since = chance.randrange(8)
    type_ = chance.choice([None, None, "Observation"])
    return Grant(
        grantee,
        type_,
        since,
        since + 1 + chance.randrange(9),
        chance.randrange(3),
        rank=chance.randrange(6),
    )


@pytest.fixture(scope="module")
def explained() -> list[tuple[Case, Answer]]:
    chance = random.Random(20261122)  # noqa: S311 - repeatable, and no secret
    cases = [case(chance) for _ in range(CASES)]
    return [(one, EXPLAINING.explain(one)) for one in cases]


def test_the_answer_is_what_the_guard_sees(explained: list[tuple[Case, Answer]]) -> None:
    answers = set()
    for one, answer in explained:
        rights = DECIDING.compile(one.actor, one.purpose, one.ground)
        assert (answer.seen == "whole") is allows(rights.whole, one.facts)
        assert (answer.seen != "no") is allows(rights.readable, one.facts)
        answers.add(answer.seen)
    assert answers == {"whole", "directory", "no"}


def test_a_record_is_seen_when_a_rule_is_said_to_let_it_through(
    explained: list[tuple[Case, Answer]],
) -> None:
    verdicts = set()
    for _, answer in explained:
        lets = [step.rule.id for step in answer.steps if step.verdict == "lets"]
        assert bool(lets) is (answer.seen != "no"), answer
        overridden = any(step.verdict == "overridden" for step in answer.steps)
        forbids = any(step.verdict == "forbids" for step in answer.steps)
        assert forbids or not overridden, "nothing is overridden by nobody"
        verdicts |= {step.verdict for step in answer.steps}
    assert verdicts == {"lets", "overridden", "forbids", "set-aside", "not-met", "not-concerned"}


def test_what_the_log_would_say_is_what_let_it_through(
    explained: list[tuple[Case, Answer]],
) -> None:
    for one, answer in explained:
        rights = DECIDING.compile(one.actor, one.purpose, one.ground)
        lets = {step.rule.id for step in answer.steps if step.verdict == "lets"}
        assert {rule.id for rule in rights.reasons.letting(one.facts)} == lets
        if answer.seen != "no":
            tokens = (rights.reasons.for_record(one.facts) or "").split()
            rules = {token.partition(":")[0] for token in tokens} - {"no-consent-on-file"}
            assert rules == lets


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_explanation_has_words(
    explained: list[tuple[Case, Answer]], language: Language
) -> None:
    wording = Wording(language, name_sender=str, name_source=str, tell_moment=str)
    for _, answer in explained:
        told = [wording.step(step) for step in answer.steps]
        assert all(one.why and one.outcome for one in told)
        lines = [line for one in answer.changes for line in wording.finding(one)]
        assert all("{" not in line for one in told for line in (*one.why, *lines))


def test_no_word_is_for_nothing() -> None:
    atoms = {atom for rule in DECIDING.rules for atom in (*rule.reach.among, *rule.reach.outside)}
    assert atoms <= set(words()["atom"])
    for section in words().values():
        for said in section.values():
            assert set(said) == {"en", "zh"}
