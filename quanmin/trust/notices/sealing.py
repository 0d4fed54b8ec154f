"""How what notices hold of people is kept: sealed under a key of the node, bound to what it is."""

from __future__ import annotations

from typing import Final, Literal

from quanmin.base.crypto import SUITES
from quanmin.records.context import Context

_KEY: Final = "notices"


def seal(context: Context, what: Literal["words", "address"], content: bytes) -> bytes:
    """Content as it is kept."""
    suite = context.suite
    key = context.derive(_KEY)[: suite.key_bytes]
    return bytes([suite.number]) + suite.seal(key, content, what.encode())


def unseal(context: Context, what: Literal["words", "address"], sealed: bytes) -> bytes:
    """What was sealed."""
    suite = SUITES[sealed[0]]
    key = context.derive(_KEY)[: suite.key_bytes]
    return suite.open(key, sealed[1:], what.encode())
