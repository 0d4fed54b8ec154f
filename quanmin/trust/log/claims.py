"""What was signed of the lanes of the log, as far as it is at hand: what every tree is held
against.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator

from quanmin.trust.log.notary import Head

_PREFIX_BYTES = 8


class Claims:
    """What was signed of each lane: a root for a size, by whom."""

    def __init__(self) -> None:
        self.roots: dict[int, dict[int, dict[bytes, str]]] = defaultdict(lambda: defaultdict(dict))
        self.number = 0
        self._checked: dict[int, int] = {}

    def check_in(self, lane: int, size: int, root: bytes, by: str) -> None:
        """A checkpoint says it."""
        self._checked[lane] = max(size, self.largest_checked(lane))
        self.add(lane, size, root, by)

    def add(self, lane: int, size: int, root: bytes, by: str) -> None:
        """Somebody says it."""
        self.number += 1
        self.roots[lane][size].setdefault(root, by)

    def largest_checked(self, lane: int) -> int:
        """What a checkpoint says of the lane."""
        return self._checked.get(lane, 0)

    def largest(self, lane: int) -> int:
        """What anybody says of the lane."""
        return max(self.roots[lane], default=0)


class _Packed:
    """Heads of one lane, in 24 bytes each."""

    def __init__(self) -> None:
        self.sizes = array("q")
        self.moments = array("q")
        self.roots = array("q")
        self.largest: Head | None = None


class Witnessed:
    """The heads that the witness has, of days: each as its size, its moment and the beginning of
    its root. The largest of each lane is kept whole, since its signature shows how far the lane had
    grown; the others speak by what they say, as a tree that does not give it was not theirs.
    """

    def __init__(self, heads: Iterable[Head] = ()) -> None:
        """Takes all of them, now."""
        self.number = 0
        self._lanes: dict[int, _Packed] = defaultdict(_Packed)
        for head in heads:
            self.number += 1
            lane = self._lanes[head.lane]
            lane.sizes.append(head.size)
            lane.moments.append(head.at)
            lane.roots.append(beginning(head.root))
            if lane.largest is None or head.size > lane.largest.size:
                lane.largest = head

    def largest(self) -> Iterator[Head]:
        """The largest head of each lane."""
        for lane in self._lanes.values():
            if lane.largest is not None:
                yield lane.largest

    def of(self, lane: int) -> list[tuple[int, int, int]]:
        """Size, beginning of the root and moment of all of a lane, the smallest first."""
        packed = self._lanes.get(lane)
        if packed is None:
            return []
        return sorted(zip(packed.sizes, packed.roots, packed.moments, strict=True))


def beginning(root: bytes) -> int:
    """Of a root, enough to tell it from any other."""
    return int.from_bytes(root[:_PREFIX_BYTES], "big", signed=True)
