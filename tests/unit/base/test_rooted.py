"""A new root seals, older ones open, and what is sealed tells under which it is."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from quanmin.api.paging import Place
from quanmin.api.paging import Seal as LinkSeal
from quanmin.base.chained_file import Broken, ChainedFile
from quanmin.base.crypto import SUITES, Suite, Tampered
from quanmin.base.keys import KeysUnreadable
from quanmin.base.problems import Malformed, NotFound, Unusable
from quanmin.base.rooted import Rooted, mark_root, rooted, split_mark
from quanmin.base.spool import Spool, spool_roots
from quanmin.node.sealed_file import SealedReader, root_of_file, sealed_file
from quanmin.web.seal import Seal


class Roots:
    """Roots that come and go."""

    def __init__(self, *numbers: int) -> None:
        self.numbers = list(numbers)
        self.secret = Rooted(self._derive, lambda: self.numbers)

    def _derive(self, root: int) -> bytes:
        if root not in self.numbers:
            raise KeysUnreadable
        return hashlib.sha256(b"%d" % root).digest()


@pytest.fixture(params=sorted(SUITES))
def suite(request: pytest.FixtureRequest) -> Suite:
    return SUITES[request.param]


def test_what_is_under_the_first_root_is_what_it_was_before_there_were_others(
    suite: Suite,
) -> None:
    roots = Roots(1)
    key = roots.secret.of(1)[: suite.key_bytes]
    before = bytes([suite.number]) + suite.seal(key, b"content", b"place")
    assert roots.secret.open(before, b"place") == b"content"
    sealed = roots.secret.seal(suite, b"content", b"place")
    assert suite.open(key, sealed[1:], b"place") == b"content"
    assert rooted(roots.secret.of(1)).open(sealed, b"place") == b"content"


def test_the_newest_seals_and_each_opens_what_is_its_own(suite: Suite) -> None:
    roots = Roots(1)
    old = roots.secret.seal(suite, b"old", b"place")
    roots.numbers += [2, 300]
    new = roots.secret.seal(suite, b"new", b"place")
    assert (split_mark(old)[1], split_mark(new)[1]) == (1, 300)
    assert roots.secret.open(old, b"place") == b"old"
    assert roots.secret.open(new, b"place") == b"new"
    # The same bytes are under no other root, and open at no other place.
    for changed in (new[:2] + b"\2" + new[3:], new[:1] + new[3:], b"\1" + old[:1], b"", b"\x7f"):
        with pytest.raises(Tampered):
            roots.secret.open(changed, b"place")
    with pytest.raises(Tampered):
        roots.secret.open(new, b"other")
    roots.numbers.remove(1)
    with pytest.raises(Tampered):
        roots.secret.open(old, b"place")


@pytest.mark.parametrize("root", [1, 2, 63, 64, 300, 65535])
def test_a_mark_tells_suite_and_root(root: int) -> None:
    for number in SUITES:
        assert split_mark(mark_root(number, root) + b"rest") == (number, root, b"rest")


def test_files_that_wait_are_read_under_the_root_of_their_time(
    tmp_path: Path, suite: Suite
) -> None:
    roots = Roots(1)
    spool = Spool(tmp_path, roots.secret, suite, lambda: True)
    names = []
    for _ in range(2):
        with spool.create() as file:
            file.add(b"line")
            file.finish()
        names.append(file.name)
        roots.numbers.append(2)
    assert sorted(spool_roots(tmp_path)) == [1, 2]
    for name in names:
        piece, behind = spool.read(name, 0)
        assert piece == b"line"
        assert spool.read(name, behind)[0] is None
    roots.numbers.remove(1)
    with pytest.raises(NotFound, match="damaged"):
        spool.read(names[0], 0)
    assert spool.read(names[1], 0)[0] == b"line"


def test_a_sealed_file_names_the_root_that_is_missing(tmp_path: Path, suite: Suite) -> None:
    roots = Roots(1)
    for number in (1, 2):
        with sealed_file(tmp_path / f"{number}", roots.secret, suite, level=1) as file:
            file.write(b"content" * 1000)
        assert root_of_file(tmp_path / f"{number}") == number
        roots.numbers.append(2)
    for number in (1, 2):
        with SealedReader(tmp_path / f"{number}", roots.secret) as source:
            assert source.read() == b"content" * 1000
    roots.numbers = [2]
    with pytest.raises(Unusable, match="under root 1 of the node's keys, which is not there"):
        SealedReader(tmp_path / "1", roots.secret).__enter__()
    (tmp_path / "3").write_bytes(b"QMSF1")
    with pytest.raises(Unusable, match="no sealed file"):
        root_of_file(tmp_path / "3")


def test_a_chained_file_is_sealed_anew_while_others_append(tmp_path: Path) -> None:
    roots = Roots(1)
    one, other = (ChainedFile(tmp_path / "file", roots.secret) for _ in range(2))
    ends = one.append([b"one", b"two"])
    other.append([b"three"])
    roots.numbers.append(2)
    one.append([b"four"])
    assert one.count_older() == 3
    assert one.seal_anew() == 3
    # The other knew the file that this one has taken the place of.
    other.append([b"five"])
    assert [entry.content for entry in one.read()] == [b"one", b"two", b"three", b"four", b"five"]
    assert [entry.end for entry in one.read()][:2] == ends
    assert (one.count_older(), one.seal_anew()) == (0, 0)
    assert one.path.stat().st_mode & 0o777 == 0o600
    roots.numbers.remove(1)
    assert len(other.read()) == 5
    roots.numbers = [3]
    with pytest.raises(Broken, match="from entry 1 on"):
        one.read()


def _page(roots: Roots) -> tuple[Callable[[], str], Callable[[str], object]]:
    seal = Seal(roots.secret)
    return (
        lambda: seal.close("state", "li", b"x"),
        lambda text: seal.open("state", "li", text, age_seconds_max=60),
    )


def _link(roots: Roots) -> tuple[Callable[[], str], Callable[[str], object]]:
    seal = LinkSeal(roots.secret, seconds_max=60, bytes_max=4096)
    place = Place(path=("Patient",), pairs=(), position="k:7")
    return lambda: seal.close(place, "li"), lambda text: seal.open(text, "li")


@pytest.mark.parametrize("made", [_page, _link])
def test_what_a_browser_carries_opens_as_long_as_its_root_is_there(
    made: Callable[[Roots], tuple[Callable[[], str], Callable[[str], object]]],
) -> None:
    roots = Roots(1)
    close, open_ = made(roots)
    old = close()
    roots.numbers.append(2)
    new = close()
    assert open_(old) == open_(new)
    roots.numbers.remove(1)
    assert open_(new)
    with pytest.raises(Malformed):
        open_(old)
