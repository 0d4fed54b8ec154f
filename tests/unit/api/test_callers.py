from __future__ import annotations

from typing import Any

import pytest

from quanmin.api.callers import Callers, load_purposes
from quanmin.base.problems import Malformed, Unauthenticated
from quanmin.trust import Actor
from quanmin.trust.actors import Bearing

ACTOR = Actor("hospital-a", "institution", "Hospital A", "hospital-a")


class Directory:
    """Knows one token, and counts how often it is asked."""

    def __init__(self) -> None:
        self.tokens = {"good": ACTOR}
        self.asked = 0

    async def bearing(self, token: str, now: int) -> Bearing | None:
        assert now > 0
        self.asked += 1
        actor = self.tokens.get(token)
        return None if actor is None else Bearing(actor)


class Seconds:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def make(directory: Directory, clock: Seconds, actors_max: int = 10) -> Callers:
    actors: Any = directory
    return Callers(actors, seconds_max=2, actors_max=actors_max, now=clock)


async def test_a_token_is_believed_for_a_moment_only() -> None:
    directory, clock = Directory(), Seconds()
    callers = make(directory, clock)
    assert await callers.find(b"Bearer good") == ACTOR
    assert await callers.find(b"bearer good") == ACTOR
    assert directory.asked == 1
    directory.tokens.clear()
    clock.now = 2.1
    with pytest.raises(Unauthenticated, match="not valid"):
        await callers.find(b"Bearer good")
    assert callers._known == {}


@pytest.mark.parametrize(
    "header", [None, b"", b"Bearer", b"Bearer ", b"Basic abc", "Bearer ü".encode()]
)
async def test_without_a_bearer_token_nobody_is_known(header: bytes | None) -> None:
    directory = Directory()
    with pytest.raises(Unauthenticated, match="Authorization: Bearer"):
        await make(directory, Seconds()).find(header)
    assert directory.asked == 0


async def test_guesses_fill_no_memory() -> None:
    callers = make(Directory(), Seconds())
    for guess in range(50):
        with pytest.raises(Unauthenticated):
            await callers.find(b"Bearer %d" % guess)
    assert len(callers._known) == 0


async def test_the_actors_remembered_are_bounded() -> None:
    directory = Directory()
    directory.tokens = {str(n): ACTOR for n in range(5)}
    callers = make(directory, Seconds(), actors_max=2)
    for n in range(5):
        await callers.find(b"Bearer %d" % n)
    assert len(callers._known) == 2


def test_a_purpose_is_one_of_the_definition_or_treatment() -> None:
    purposes = load_purposes()
    assert purposes.stated(None) == "TREAT"
    assert purposes.stated(b" PUBHLTH ") == "PUBHLTH"
    with pytest.raises(Malformed, match="PUBHLTH"):
        purposes.stated(b"CURIOSITY")
