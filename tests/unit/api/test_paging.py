from __future__ import annotations

import secrets
from base64 import urlsafe_b64decode

import msgspec
import pytest

from quanmin.api.paging import Place, Seal
from quanmin.base.problems import Forbidden, Malformed, TooCostly
from quanmin.trust import Question

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


LONG = Place(path=("Patient",), pairs=(("_id", secrets.token_hex(4000)),), position="k:7")


def test_a_question_too_long_for_a_link_is_told_so_where_none_is_kept() -> None:
    with pytest.raises(TooCostly):
        make(Hours()).close(LONG, "a")


def test_a_question_too_long_for_a_link_is_kept_under_one_name_for_all_pages() -> None:
    seal, kept = make(Hours()), list[Question]()
    for position in ("k:7", "k:8"):
        place = msgspec.structs.replace(LONG, position=position)
        text = seal.close(place, "a", kept)
        opened = seal.open(text, "a")
        assert len(text) < 400
        assert seal.whole(opened, kept[-1].sealed, "a") == place
    assert kept[0].name == kept[1].name
    seal.close(LONG, "b", kept)
    assert kept[2].name != kept[0].name


def test_a_position_too_long_for_a_link_is_kept_with_its_question() -> None:
    seal, kept = make(Hours()), list[Question]()
    place = msgspec.structs.replace(LONG, pairs=(), position=secrets.token_hex(4000))
    opened = seal.open(seal.close(place, "a", kept), "a")
    assert seal.whole(opened, kept[0].sealed, "a") == place


def test_what_is_kept_shows_nothing_and_stands_for_nothing_else() -> None:
    seal, kept = make(Hours()), list[Question]()
    opened = [seal.open(seal.close(LONG, actor, kept), actor) for actor in ("a", "b")]
    assert LONG.pairs[0][1].encode() not in kept[0].sealed
    assert kept[0].expires > kept[0].lasts > kept[0].made
    with pytest.raises(Malformed, match="not kept any more"):
        seal.whole(opened[0], None, "a")
    with pytest.raises(Malformed, match="damaged"):
        seal.whole(opened[0], kept[1].sealed, "a")
    with pytest.raises(Forbidden):
        seal.whole(opened[0], kept[0].sealed, "b")
