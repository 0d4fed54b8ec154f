"""A secret for a purpose that follows from roots of the node: what is sealed under it tells from
which, so that a new root seals while what is under an older one opens.

    sealed:  suite (1 byte), nonce, ciphertext, tag                      under the first root
             suite + 64, number of the root (2 bytes), nonce, ...        under one that followed
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from quanmin.base.crypto import SUITES, Suite, Tampered
from quanmin.base.keys import FIRST_ROOT, KeysUnreadable, pack_number, split_number

_MARKED: Final = 64
MARK_BYTES_MAX: Final = 3


class Rooted:
    """The secrets for one purpose, by root."""

    def __init__(self, derive: Callable[[int], bytes], roots: Callable[[], Sequence[int]]) -> None:
        """`derive` gives the secret from a root, `roots` those there are, the newest last."""
        self._derive = derive
        self._roots = roots

    def newest(self) -> tuple[int, bytes]:
        """The root that seals now, and the secret from it."""
        root = self._roots()[-1]
        return root, self._derive(root)

    def of(self, root: int) -> bytes:
        """The secret from a root. Raises KeysUnreadable where that is not there."""
        return self._derive(root)

    def all(self) -> list[bytes]:
        """The secrets from all roots there are, the newest first."""
        return [self._derive(root) for root in reversed(self._roots())]

    def seal(self, suite: Suite, plain: bytes, place: bytes) -> bytes:
        """Content under the newest root; it opens at this place alone."""
        root, secret = self.newest()
        return mark_root(suite.number, root) + suite.seal(secret[: suite.key_bytes], plain, place)

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """What was sealed. Raises Tampered, also where the root is not there any more."""
        number, root, content = split_mark(sealed)
        if number not in SUITES:
            raise Tampered
        suite = SUITES[number]
        try:
            secret = self._derive(root)
        except KeysUnreadable:
            raise Tampered from None
        return suite.open(secret[: suite.key_bytes], content, place)


def rooted(secret: bytes | Rooted) -> Rooted:
    """A secret alone is one from the first root."""
    return secret if isinstance(secret, Rooted) else Rooted(lambda _: secret, lambda: (FIRST_ROOT,))


def mark_root(number: int, root: int) -> bytes:
    """What stands in front: the number of a suite, and the root."""
    return bytes([number]) if root == FIRST_ROOT else bytes([number + _MARKED]) + pack_number(root)


def mark_size(first: int) -> int:
    """How many bytes the mark has that begins with this one."""
    return 1 if first < _MARKED else MARK_BYTES_MAX


def split_mark(sealed: bytes) -> tuple[int, int, bytes]:
    """The number of the suite, the root and what follows. Raises Tampered for nothing."""
    if not sealed:
        raise Tampered
    if sealed[0] < _MARKED:
        return sealed[0], FIRST_ROOT, sealed[1:]
    root, content = split_number(sealed[1:])
    return sealed[0] - _MARKED, root, content
