"""Where a node's signing keys are: derived from its root and used in memory, or inside the module
that keeps its other keys, made there and never leaving it.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from typing import Final, Protocol, runtime_checkable

from quanmin.base.problems import Overloaded, Unusable
from quanmin.base.signing import ECDSA_P256, Algorithm, PrivateKey, PublicKey, Signature

log = logging.getLogger("quanmin.keys")

_NAME_BYTES: Final = 16
_RETRY_SECONDS: Final = 5


class Deriving(Protocol):
    """What has secrets for purposes: the node's keys."""

    def derive(self, purpose: str, root: int = ...) -> bytes:
        """32 bytes for this purpose from a root, the same at every start of this node."""


@runtime_checkable
class Inside(Protocol):
    """A port whose module signs by itself. Every call may raise Overloaded."""

    signs_inside: bool

    def public_key(self, name: str) -> bytes:
        """The SubjectPublicKeyInfo of the key of this name, made there the first time."""

    def sign_inside(self, name: str, message: bytes) -> bytes:
        """A signature of the message by the key of this name, ECDSA with SHA-256: r and s."""


class InsideKey:
    """A private key of a module. What it cannot sign is not signed: it raises Overloaded."""

    def __init__(self, public: PublicKey, sign: Callable[[bytes], bytes]) -> None:
        self.public = public
        self._sign = sign

    def sign(self, message: bytes) -> Signature:
        """See `PrivateKey`."""
        public = self.public
        return Signature(public.algorithm.number, public.key_id, self.sign_bare(message))

    def sign_bare(self, message: bytes) -> bytes:
        """See `PrivateKey`."""
        return self._sign(message)


def signs_inside(keys: Deriving) -> bool:
    """Whether the module of these keys signs by itself."""
    return isinstance(keys, Inside) and keys.signs_inside


def signing_key(keys: Deriving, purpose: str, algorithm: Algorithm, root: int = 1) -> PrivateKey:
    """The key that signs for a purpose, from a root where no module signs by itself. Raises
    Unusable where a module that signs by itself has not this algorithm.
    """
    if not isinstance(keys, Inside) or not keys.signs_inside:
        return derived_key(keys, purpose, algorithm, root)
    if algorithm is not ECDSA_P256:
        raise Unusable(
            f"A module signs by {ECDSA_P256.name} only, not by {algorithm.name}: set "
            "`node.signature_suite` to international, or `keys.signing` to node."
        )
    # The purpose may name an actor, and whoever runs the module need not know them.
    name = hashlib.sha256(purpose.encode()).hexdigest()[: _NAME_BYTES * 2]
    inside = keys
    public = algorithm.public_key(_asked(lambda: inside.public_key(name)))
    return InsideKey(public, lambda message: _asked(lambda: inside.sign_inside(name, message)))


def _asked(question: Callable[[], bytes]) -> bytes:
    """What a module answers. A refusal is told as what it is to who asks: not now."""
    from quanmin.base.keys import KeysUnreadable  # noqa: PLC0415 - the keys know this module

    try:
        return question()
    except KeysUnreadable as error:
        log.exception("the module that signs cannot be used")
        raise Overloaded(
            "the module that signs for the node cannot be used at the moment: nothing was signed,"
            " try again later",
            retry_after_seconds=_RETRY_SECONDS,
        ) from error


def derived_key(keys: Deriving, purpose: str, algorithm: Algorithm, root: int = 1) -> PrivateKey:
    """The key for a purpose that follows from a root of the node."""
    return algorithm.private_key(keys.derive(purpose, root))
