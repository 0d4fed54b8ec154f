"""What a node vouches for on paper: a short text with the node's signature, which the node knows
again wherever it is shown. No record is asked when it is, so who holds the paper needs no right.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from quanmin.base.crypto import Tampered
from quanmin.base.keys import KeyPort
from quanmin.base.problems import Unusable
from quanmin.base.signing import SUITES, PublicKey, Signature, SignatureSuite
from quanmin.base.signing_keys import derived_key, signing_key, signs_inside

_KEY: Final = "signatures papers"
_PURPOSE: Final = b"quanmin paper\0"
_PACKED: Final = len(Signature(0, b"\0" * 16, b"\0" * 64).pack())


class Papers:
    """Signs with the node's key for papers, and tells what it has signed, by whatever suite."""

    def __init__(self, keys: KeyPort, suite: SignatureSuite) -> None:
        """Raises Unusable where this machine lacks the suite."""
        self._key = signing_key(keys, _KEY, suite.algorithm)
        self._known: dict[bytes, PublicKey] = {self._key.public.key_id: self._key.public}
        for other in SUITES.values():
            with suppress(Unusable):  # what it signed by a suite that is missing, it cannot tell
                if other is not suite or signs_inside(keys):
                    public = derived_key(keys, _KEY, other.algorithm).public
                    self._known[public.key_id] = public

    def sign(self, content: bytes) -> bytes:
        """The content with the signature before it."""
        return self._key.sign(_PURPOSE + content).pack() + content

    def read(self, signed: bytes) -> bytes:
        """What was signed. Raises Tampered for what this node has not."""
        packed, content = signed[:_PACKED], signed[_PACKED:]
        signature = Signature.unpack(packed)
        public = self._known.get(signature.key_id)
        if public is None:
            raise Tampered
        public.verify(_PURPOSE + content, signature)
        return content
