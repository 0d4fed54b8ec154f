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
from quanmin.base.signing_keys import derived_key, signing_key

_KEY: Final = "signatures papers"
_PURPOSE: Final = b"quanmin paper\0"
_PACKED: Final = len(Signature(0, b"\0" * 16, b"\0" * 64).pack())


class Papers:
    """Signs with the node's key for papers, and tells what it has signed, by whatever suite."""

    def __init__(self, keys: KeyPort, suite: SignatureSuite) -> None:
        """Raises Unusable where this machine lacks the suite."""
        self._keys, self._suite = keys, suite
        self._known: dict[bytes, PublicKey] = {}
        self._roots: tuple[int, ...] = ()
        self._renew()

    def _renew(self) -> None:
        """Sign by the newest root, and know what was signed by any that is there."""
        roots = tuple(self._keys.roots())
        if roots == self._roots:
            return
        self._key = signing_key(self._keys, _KEY, self._suite.algorithm, roots[-1])
        self._known[self._key.public.key_id] = self._key.public
        for root in roots:
            for one in SUITES.values():
                with suppress(Unusable):  # what it signed by a suite that is missing is not told
                    public = derived_key(self._keys, _KEY, one.algorithm, root).public
                    self._known[public.key_id] = public
        self._roots = roots

    def sign(self, content: bytes) -> bytes:
        """The content with the signature before it."""
        self._renew()
        return self._key.sign(_PURPOSE + content).pack() + content

    def read(self, signed: bytes) -> bytes:
        """What was signed. Raises Tampered for what this node has not."""
        packed, content = signed[:_PACKED], signed[_PACKED:]
        signature = Signature.unpack(packed)
        self._renew()
        public = self._known.get(signature.key_id)
        if public is None:
            raise Tampered
        public.verify(_PURPOSE + content, signature)
        return content
