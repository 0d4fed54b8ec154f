"""How what notices hold of people is kept: sealed under a key of the node, bound to what it is."""

from __future__ import annotations

from typing import Final, Literal

from quanmin.base.node_keys import SealedColumn
from quanmin.records.context import Context

_PURPOSE: Final = "notices"

SEALED: Final = (
    SealedColumn("trust.notice", "words", _PURPOSE, lambda _: b"words"),
    SealedColumn("trust.outgoing", "said", _PURPOSE, lambda _: b"words"),
    SealedColumn("trust.contact", "address", _PURPOSE, lambda _: b"address"),
)


def seal(context: Context, what: Literal["words", "address"], content: bytes) -> bytes:
    """Content as it is kept."""
    return context.seal(_PURPOSE, content, what.encode())


def unseal(context: Context, what: Literal["words", "address"], sealed: bytes) -> bytes:
    """What was sealed."""
    return context.unseal(_PURPOSE, sealed, what.encode())
