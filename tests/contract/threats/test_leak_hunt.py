"""A record that an asker may not see changes nothing of what they are told, on no route and by no
question.

Everything is asked twice: before the secret record is there, and when it is. Every role, question
and way of being hidden: `tests/full/trust/test_leak_hunt_whole.py`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from hunting import (
    ELSEWHERE,
    Place,
    Secret,
    ask,
    conditions,
    failing_writes,
    hunt,
    more_searches,
    opened,
    operations,
    routes,
    searches,
    ties,
    unasked,
    unasked_modifiers,
    writes,
)

from quanmin.api.interactions import INTERACTIONS
from quanmin.trust import Role

READERS: tuple[Role, ...] = (
    "institution",
    "doctor",
    "nurse",
    "public_health_worker",
    "supervisor",
    "researcher",
    "resident",
    "guardian",
)


@pytest.fixture
async def place(pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path) -> AsyncIterator[Place]:
    async with opened(pool, tmp_path, Secret()) as found:
        yield found


@pytest.mark.parametrize(
    ("purpose", "roles"),
    [("TREAT", READERS), ("BTG", ("doctor",)), ("PUBHLTH", ("public_health_worker",))],
)
async def test_a_planted_secret_changes_no_answer_to_who_may_not_see_it(
    place: Place, purpose: str, roles: tuple[Role, ...]
) -> None:
    questions = [*routes(place), *searches(place), *writes(place)]
    assert len(questions) > 100
    assert await hunt(place, questions, roles, purpose) == []


async def test_rare_questions_tell_no_more(place: Place) -> None:
    questions = [*more_searches(place), *operations(place), *failing_writes(place)]
    assert len(questions) > 150
    assert await hunt(place, questions, ("doctor", "system_administrator"), "TREAT") == []


async def test_ties_between_own_records_and_hidden_ones_tell_no_more(place: Place) -> None:
    questions = [*ties(place), *conditions(place)]
    assert len(questions) > 200
    assert await hunt(place, questions, ("doctor",), "TREAT") == []


async def test_every_route_is_hunted_through(place: Place) -> None:
    assert unasked(place) == []
    assert unasked_modifiers(place) == []
    declared = {f"{one.method} {one.shape}" for one in INTERACTIONS}
    assert ELSEWHERE.keys() <= declared, "a reason for a route that is not there"


async def test_the_hunt_notices_who_does_see_it(place: Place) -> None:
    questions = [*routes(place), *searches(place)]
    client = place.clients["hospital-b"]
    before = [await ask(client, question, "TREAT") for question in questions]
    await place.plant()
    after = [await ask(client, question, "TREAT") for question in questions]
    changed = [one != other for one, other in zip(before, after, strict=True)]
    assert sum(changed) > 40
