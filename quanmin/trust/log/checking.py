"""One lane of the log, held entry by entry against its tree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Protocol

import msgspec

from quanmin.base.merkle import Hash, Tree
from quanmin.trust.log.claims import beginning
from quanmin.trust.log.entry import SALT_BYTES, Place
from quanmin.trust.log.findings import Wrong
from quanmin.trust.log.lanes import HASH_BYTES, TILE_LEVEL
from quanmin.trust.log.rows import Kept

# A row that stands in a wrong place is looked for where others are missing or wrong; when these are
# more, near its place only.
_PLACES_TRIED_MAX: Final = 2_000
_NEAR: Final = 64


class Lane(msgspec.Struct):
    """A lane as its row says; `is_there` is false for one that only others tell of."""

    number: int
    suite: str = ""
    size: int = 0
    root: bytes = b""
    frontier: tuple[bytes, ...] = ()
    is_dropped: bool = False
    is_there: bool = True


class Judge(Protocol):
    """Whoever has a lane checked."""

    def mark(self, hash_: Hash, place: Place, leaf: bytes) -> int:
        """What the node writes beside this leaf at this place."""

    def claims(self, lane: int) -> dict[int, dict[bytes, str]]:
        """What was signed of the lane: roots by size, and by whom."""

    def witnessed(self, lane: int) -> list[tuple[int, int]]:
        """What lines of the witness say of it: sizes, and how the roots begin; smallest first."""

    def check_names(self, kept: Kept, hash_: Hash) -> None:
        """Say whether what the entry names is what it may name."""

    def settle(self, kept: Kept, hash_: Hash) -> None:
        """An entry is as it was written."""

    def find(
        self, wrong: Wrong, lane: int, number: int | None, text: str, until: int | None = None
    ) -> None:
        """Something is wrong."""


class Checking:
    """One lane, entry by entry."""

    def __init__(self, of: Judge, lane: Lane, hash_: Hash) -> None:
        self._of = of
        self._lane = lane
        self._hash = hash_
        self._claims = of.claims(lane.number)
        self._witnessed = of.witnessed(lane.number)
        self._seen = 0
        self._size = max(self._claims, default=lane.size)
        self._tree = Tree(hash_)
        self._next = 0
        self._wrong: list[tuple[Kept, bytes]] = []
        self._missing: list[range] = []
        self._beyond = 0
        self.is_broken = False
        self.tiles: dict[tuple[int, int], bytes] = {}
        self._compare()

    def take(self, kept: Kept, *, is_odd: bool = False) -> None:
        """The next entry of the lane; an odd one says the same as the one that was written, in
        another way.
        """
        number = kept.place.number
        if number > self._next:
            self._missing.append(range(self._next, number))
            self.is_broken = True
        self._next = max(self._next, number + 1)
        leaf = kept.leaf(self._hash)
        if self._of.mark(self._hash, kept.place, leaf) != kept.mark:
            self._wrong.append((kept, leaf))
            self.is_broken = self.is_broken or number < self._size
            return
        if number >= self._size:
            self._beyond += 1
            return
        if is_odd:
            text = "that the entry names nothing is said in another way"
            self._of.find("changed", self._lane.number, number, text)
        self._of.check_names(kept, self._hash)
        self._of.settle(kept, self._hash)
        if not self.is_broken:
            for level, place, root in self._tree.append(leaf):
                if level >= TILE_LEVEL:
                    self.tiles[level, place] = root
            self._compare()

    def _compare(self) -> None:
        """Hold the tree against all that was signed of it at this size."""
        size, root = self._tree.size, None
        others = [by for one, by in self._claims.get(size, {}).items() if one != self._tree.root()]
        while self._seen < len(self._witnessed) and self._witnessed[self._seen][0] <= size:
            seen, begins = self._witnessed[self._seen]
            self._seen += 1
            root = root or beginning(self._tree.root())
            if seen == size and begins != root and "the witness" not in others:
                others.append("the witness")
        for by in others:
            text = f"the entries up to here do not give the root that {by} has"
            self._of.find("head", self._lane.number, size - 1 if size else None, text)
            self.is_broken = True

    @property
    def _is_comparable(self) -> bool:
        """Whether the tree stands for all that the lane has."""
        return self._lane.is_there and not self.is_broken

    def finish(self) -> None:
        """Say what is wrong, now that all is known."""
        lane = self._lane
        if self._next < self._size:
            self._missing.append(range(self._next, self._size))
            self.is_broken = True
        if lane.is_there and lane.size < self._size:
            text = f"the lane was put back to {lane.size:,} entries of {self._size:,}"
            self._of.find("lane", lane.number, None, text)
        elif self._is_comparable and lane.frontier != self._tree.frontier:
            self._of.find("lane", lane.number, None, "the frontier of the lane was changed")
        if lane.is_there and self._beyond:
            text = f"the lane was put back: {self._beyond:,} entries of it are beyond its size"
            self._of.find("lane", lane.number, None, text)
        places = self._true_places()
        taken = {place for place in places if place is not None}
        for (kept, _), true in zip(self._wrong, places, strict=True):
            self._tell(kept, true, taken)
        gone = [
            number
            for several in self._missing
            for number in range(several.start, min(several.stop, self._size))
            if number not in taken
        ]
        # Where one stands that belongs elsewhere, and what belongs here is nowhere, it was removed.
        gone += [
            kept.place.number
            for (kept, _), true in zip(self._wrong, places, strict=True)
            if true is not None and kept.place.number not in taken
        ]
        for first, last in runs(sorted({number for number in gone if number < self._size})):
            self._of.find("removed", lane.number, first, "the entry was removed", last)

    def _tell(self, kept: Kept, true: int | None, taken: set[int]) -> None:
        lane, number = self._lane.number, kept.place.number
        if true is not None:
            self._of.find("moved", lane, number, f"the entry was written as {lane}-{true}")
        elif number in taken or not 0 <= number < self._size:
            self._of.find("inserted", lane, number, "the node never wrote this entry")
        elif len(kept.salt) not in {SALT_BYTES, HASH_BYTES + SALT_BYTES}:
            self._of.find("changed", lane, number, "what the entry commits to was changed")
        else:
            self._of.find("changed", lane, number, "the entry is not as it was written")

    def _true_places(self) -> list[int | None]:
        """For each wrong entry the place where the node wrote it, if it is one of this lane."""
        open_ = [kept.place.number for kept, _ in self._wrong]
        for several in self._missing:
            open_ += several[:_PLACES_TRIED_MAX]
        is_few = len(open_) <= _PLACES_TRIED_MAX
        shift, found = 0, []
        for kept, leaf in self._wrong:
            number = kept.place.number
            tried = [number + shift, *range(number - _NEAR, number + _NEAR + 1)]
            true = self._first_marked(kept, leaf, tried + (open_ if is_few else []))
            shift = shift if true is None else true - number
            found.append(true)
        return found

    def _first_marked(self, kept: Kept, leaf: bytes, tried: Iterable[int]) -> int | None:
        lane = self._lane.number
        for number in tried:
            if 0 <= number < self._size:
                mark = self._of.mark(self._hash, Place(lane, number), leaf)
                if mark == kept.mark:
                    return number
        return None


def runs(numbers: list[int]) -> Iterator[tuple[int, int]]:
    """Consecutive numbers as first and last."""
    begin = 0
    for position in range(1, len(numbers) + 1):
        if position == len(numbers) or numbers[position] != numbers[position - 1] + 1:
            yield numbers[begin], numbers[position - 1]
            begin = position
