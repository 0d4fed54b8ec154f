from __future__ import annotations

import secrets
from base64 import urlsafe_b64decode

import pytest

from quanmin.api.paging import Place, Seal
from quanmin.base.problems import Forbidden, Malformed, TooCostly

PLACE = Place(path=("Patient",), pairs=(("name", "欧阳明月"),), position="k:7", is_strict=True)


class Hours:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.seconds = 1_000_000.0

    def __call__(self) -> float:
        return self.seconds


def make(clock: Hours, bytes_max: int = 4096) -> Seal:
    return Seal(b"0" * 32, seconds_max=3600, bytes_max=bytes_max, now=clock)


def test_a_link_gives_its_place_back_to_its_actor() -> None:
    seal = make(Hours())
    assert seal.open(seal.close(PLACE, "hospital-a"), "hospital-a") == PLACE


def test_a_link_shows_nothing_of_the_question() -> None:
    text = make(Hours()).close(PLACE, "hospital-a")
    raw = urlsafe_b64decode(text + "==")
    assert text.replace("-", "").replace("_", "").isalnum()
    assert "欧阳".encode() not in raw
    assert b"hospital-a" not in raw


def test_a_link_of_another_actor_is_refused() -> None:
    seal = make(Hours())
    with pytest.raises(Forbidden):
        seal.open(seal.close(PLACE, "hospital-a"), "hospital-b")


def test_a_link_expires() -> None:
    clock = Hours()
    seal = make(clock)
    text = seal.close(PLACE, "a")
    clock.seconds += 3601
    with pytest.raises(Malformed, match="expired"):
        seal.open(text, "a")


def test_a_link_changed_in_any_place_is_refused() -> None:
    seal = make(Hours())
    text = seal.close(PLACE, "a")
    for index in range(0, len(text), 5):
        other = "A" if text[index] != "A" else "B"
        with pytest.raises(Malformed):
            seal.open(text[:index] + other + text[index + 1 :], "a")


@pytest.mark.parametrize("text", ["", "a", "ü", "AAAA", "A" * 60, "%%%", "a b"])
def test_what_is_no_link_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        make(Hours()).open(text, "a")


def test_a_link_of_another_node_is_refused() -> None:
    clock = Hours()
    other = Seal(b"1" * 32, seconds_max=3600, bytes_max=4096, now=clock)
    with pytest.raises(Malformed):
        make(clock).open(other.close(PLACE, "a"), "a")


def test_a_question_too_long_for_a_link_is_told_so() -> None:
    long = Place(path=(), pairs=(("_id", secrets.token_hex(4000)),), position=None)
    with pytest.raises(TooCostly):
        make(Hours()).close(long, "a")
