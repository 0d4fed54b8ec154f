"""The Merkle tree of RFC 6962 section 2.1 (RFC 9162 section 2.1): what makes a list of entries one
that can only grow, provably.

Pure: it is told hashes and gives hashes. A tree that grows is known by its frontier, the roots of
the complete subtrees it consists of, the largest first: thirty of them for a thousand million
leaves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

Hash = Callable[[bytes], bytes]


def sha256(data: bytes) -> bytes:
    """The hash of RFC 6962."""
    return hashlib.sha256(data).digest()


def leaf_hash(hash_: Hash, data: bytes) -> bytes:
    """What stands for an entry; the first byte tells it from a node, so that no entry can be made
    that passes for a part of the tree.
    """
    return hash_(b"\x00" + data)


def node_hash(hash_: Hash, left: bytes, right: bytes) -> bytes:
    """What stands for two subtrees side by side."""
    return hash_(b"\x01" + left + right)


class Tree:
    """A tree that leaves are appended to."""

    def __init__(self, hash_: Hash, size: int = 0, frontier: Sequence[bytes] = ()) -> None:
        """Go on from a size and its frontier. Raises ValueError when they are not of one."""
        if size < 0 or size.bit_count() != len(frontier):
            raise ValueError("a tree of this size has another number of complete subtrees")
        self.size = size
        self._hash = hash_
        self._frontier = list(frontier)

    @property
    def frontier(self) -> tuple[bytes, ...]:
        """The roots of the complete subtrees, the largest first."""
        return tuple(self._frontier)

    def append(self, leaf: bytes) -> list[tuple[int, int, bytes]]:
        """Take the hash of a leaf; gives the subtrees that it completes (itself not), each as the
        number of levels above the leaves, its place among those of its level, and its root.
        """
        completed = []
        level, root, size = 0, leaf, self.size
        while size >> level & 1:
            root = node_hash(self._hash, self._frontier.pop(), root)
            level += 1
            completed.append((level, size >> level, root))
        self._frontier.append(root)
        self.size = size + 1
        return completed

    def root(self) -> bytes:
        """The hash of the whole tree."""
        if not self._frontier:
            return self._hash(b"")
        root = self._frontier[-1]
        for left in reversed(self._frontier[:-1]):
            root = node_hash(self._hash, left, root)
        return root


Subtree = Callable[[int, int], bytes]
"""The root of the leaves from the first number up to, not including, the second."""


def _split(count: int) -> int:
    """The largest power of two below a count of two or more."""
    return 1 << (count - 1).bit_length() - 1


def inclusion_ranges(index: int, size: int) -> list[tuple[int, int]]:
    """The leaves below each hash of an inclusion proof, in its order (RFC 6962 section 2.1.1)."""
    if not 0 <= index < size:
        raise ValueError("the tree has no such leaf")
    ranges = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            ranges.append((middle, high))
            high = middle
        else:
            ranges.append((low, middle))
            low = middle
    return ranges[::-1]


def consistency_ranges(first: int, second: int) -> list[tuple[int, int]]:
    """The same of a consistency proof (RFC 6962 section 2.1.2); empty where nothing needs proof."""
    if not 0 <= first <= second:
        raise ValueError("a tree is consistent with what grew out of it only")
    if first in {0, second}:
        return []
    ranges = []
    low, high, is_whole = 0, second, True
    while first < high:
        middle = low + _split(high - low)
        if first <= middle:
            ranges.append((middle, high))
            high = middle
        else:
            ranges.append((low, middle))
            low, is_whole = middle, False
    return [*([] if is_whole else [(low, high)]), *ranges[::-1]]


def proof(ranges: Sequence[tuple[int, int]], subtree: Subtree) -> tuple[bytes, ...]:
    """The proof that consists of the roots over these ranges."""
    return tuple(subtree(low, high) for low, high in ranges)


def subtree_of(hash_: Hash, leaves: Sequence[bytes]) -> Subtree:
    """Roots over leaves that are all at hand."""

    def root(low: int, high: int) -> bytes:
        tree = Tree(hash_)
        for leaf in leaves[low:high]:
            tree.append(leaf)
        return tree.root()

    return root


def includes(
    hash_: Hash, leaf: bytes, *, index: int, size: int, path: Sequence[bytes], root: bytes
) -> bool:
    """Whether the proof shows that the leaf stands at this place of the tree with this root
    (RFC 9162 section 2.1.3.2).
    """
    if not 0 <= index < size:
        return False
    place, last, found = index, size - 1, leaf
    for node in path:
        if last == 0:
            return False
        if place & 1 or place == last:
            found = node_hash(hash_, node, found)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            found = node_hash(hash_, found, node)
        place, last = place >> 1, last >> 1
    return last == 0 and found == root


def is_consistent(
    hash_: Hash,
    *,
    first: int,
    second: int,
    path: Sequence[bytes],
    first_root: bytes,
    second_root: bytes,
) -> bool:
    """Whether the proof shows that the second tree begins with the first (RFC 9162 section
    2.1.4.2).
    """
    if not 0 <= first <= second:
        return False
    if first == second:
        return not path and first_root == second_root
    if first == 0:
        return not path and first_root == hash_(b"")
    nodes = list(path)
    if first & (first - 1) == 0:  # the first tree is one subtree, whose root is known
        nodes.insert(0, first_root)
    if not nodes:
        return False
    place, last = first - 1, second - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    old = new = nodes[0]
    for node in nodes[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            old, new = node_hash(hash_, node, old), node_hash(hash_, node, new)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            new = node_hash(hash_, new, node)
        place, last = place >> 1, last >> 1
    return last == 0 and old == first_root and new == second_root
