"""Closes small values so that the browser can carry them and nobody can read, change or swap them.

The worker processes share no memory, so what a page must remember (who entered, what was searched,
where a list goes on) travels with the browser: encrypted, dated, and bound to its use and its
holder.
"""

from __future__ import annotations

import base64
import binascii
import os
import time
from contextlib import suppress

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from quanmin.base.problems import Malformed
from quanmin.base.rooted import Rooted, rooted

_NONCE_BYTES = 12
_TIME_BYTES = 8
_KEY_BYTES_MIN = 16


class Seal:
    """Closes and opens values under keys derived from one secret of the node, one for each use."""

    def __init__(self, secret: bytes | Rooted) -> None:
        self._secret = rooted(secret)
        if len(self._secret.newest()[1]) < _KEY_BYTES_MIN:
            message = f"the key of the pages needs at least {_KEY_BYTES_MIN} bytes"
            raise ValueError(message)
        self._ciphers: dict[tuple[str, bytes], AESGCM] = {}

    def close(self, use: str, holder: str, content: bytes) -> str:
        """The content as URL-safe text that only `open` with the same use and holder gives back."""
        nonce = os.urandom(_NONCE_BYTES)
        dated = int(time.time()).to_bytes(_TIME_BYTES, "big") + content
        cipher = self._cipher(use, self._secret.newest()[1])
        closed = nonce + cipher.encrypt(nonce, dated, holder.encode())
        return base64.urlsafe_b64encode(closed).decode().rstrip("=")

    def open(self, use: str, holder: str, text: str, *, age_seconds_max: int) -> bytes:
        """What was closed.

        Raises Malformed when it was made elsewhere, altered, or is older than allowed.
        """
        try:
            closed = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
            dated = self._opened(use, closed, holder.encode())
        except (InvalidTag, ValueError, binascii.Error) as error:
            raise Malformed("this link or form was not made for you; start again") from error
        age_seconds = time.time() - int.from_bytes(dated[:_TIME_BYTES], "big")
        if age_seconds > age_seconds_max:
            raise Malformed("this link or form is too old; start again")
        return dated[_TIME_BYTES:]

    def _opened(self, use: str, closed: bytes, holder: bytes) -> bytes:
        # What was closed under an older root is opened as long as that is there.
        for secret in self._secret.all():
            with suppress(InvalidTag):
                cipher = self._cipher(use, secret)
                return cipher.decrypt(closed[:_NONCE_BYTES], closed[_NONCE_BYTES:], holder)
        raise InvalidTag

    def _cipher(self, use: str, secret: bytes) -> AESGCM:
        if (use, secret) not in self._ciphers:
            derived = HKDF(SHA256(), 32, salt=None, info=f"quanmin pages {use}".encode())
            self._ciphers[use, secret] = AESGCM(derived.derive(secret))
        return self._ciphers[use, secret]
