from __future__ import annotations

import pytest

from quanmin.base.problems import Malformed
from quanmin.web.seal import Seal

SECRET = bytes(range(32))


def test_what_was_closed_opens_for_the_same_use_and_holder() -> None:
    closed = Seal(SECRET).close("state", "dr-li", "张伟".encode())
    assert Seal(SECRET).open("state", "dr-li", closed, age_seconds_max=60).decode() == "张伟"


def test_nothing_of_the_content_shows_and_no_two_are_alike() -> None:
    seal = Seal(SECRET)
    first, second = (seal.close("state", "dr-li", b"zhang wei") for _ in range(2))
    assert first != second
    assert "zhang" not in first


@pytest.mark.parametrize(
    ("use", "holder", "secret"),
    [
        ("form", "dr-li", SECRET),
        ("state", "dr-wang", SECRET),
        ("state", "dr-li", bytes(32)),
    ],
)
def test_it_opens_for_no_other_use_holder_or_node(use: str, holder: str, secret: bytes) -> None:
    closed = Seal(SECRET).close("state", "dr-li", b"zhang wei")
    with pytest.raises(Malformed, match="not made for you"):
        Seal(secret).open(use, holder, closed, age_seconds_max=60)


@pytest.mark.parametrize("text", ["", "a", "====", "全民", "AAAA" * 20, "\x00" * 40])
def test_what_was_never_closed_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        Seal(SECRET).open("state", "dr-li", text, age_seconds_max=60)


def test_every_changed_character_is_noticed() -> None:
    seal = Seal(SECRET)
    closed = seal.close("state", "dr-li", b"zhang wei")
    for at in range(len(closed) - 1):  # the last one holds spare bits
        other = "A" if closed[at] != "A" else "B"
        with pytest.raises(Malformed):
            seal.open("state", "dr-li", closed[:at] + other + closed[at + 1 :], age_seconds_max=60)


def test_it_does_not_open_after_its_time() -> None:
    closed = Seal(SECRET).close("state", "dr-li", b"zhang wei")
    with pytest.raises(Malformed, match="too old"):
        Seal(SECRET).open("state", "dr-li", closed, age_seconds_max=-1)


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        Seal(b"short")
