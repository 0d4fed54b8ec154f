"""Where a search or a history goes on: a sealed link that holds the question and the place in it.

Nothing is kept on the server, so any worker can go on, also after a restart. The link is encrypted
because it carries the search terms of the first request and the order keys of the last hit, both of
which can be personal; it is bound to the actor it was given to, and it expires.
"""

from __future__ import annotations

import os
import time
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Callable

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from quanmin.base.problems import Forbidden, Malformed, TooCostly

_PURPOSE = b"quanmin page link 1"
_NONCE_BYTES = 12
_OPEN_BYTES_MAX = 1 << 20


class Place(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """A question and where its next answer begins; `path` are the parts below the base.

    `position` None begins at the beginning: such a link stands for the whole question.
    """

    path: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    position: str | None
    is_strict: bool = False


class _Sealed(msgspec.Struct, frozen=True, array_like=True):
    expires: int
    actor: str
    place: Place


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Sealed)


class Seal:
    """Closes places into text for a link and opens them again, under one 32-byte key of the node.

    All workers share the key. `seconds_max` is how long a link works, `bytes_max` its
    greatest length.
    """

    def __init__(
        self,
        key: bytes,
        *,
        seconds_max: int,
        bytes_max: int,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._cipher = AESGCM(key)
        self._seconds_max = seconds_max
        self._bytes_max = bytes_max
        self._now = now

    def close(self, place: Place, actor: str) -> str:
        """The text of a link for `actor` alone; TooCostly when it would be too long."""
        sealed = _Sealed(int(self._now()) + self._seconds_max, actor, place)
        nonce = os.urandom(_NONCE_BYTES)
        packed = zlib.compress(_ENCODER.encode(sealed), 6)
        text = urlsafe_b64encode(nonce + self._cipher.encrypt(nonce, packed, _PURPOSE)).rstrip(b"=")
        if len(text) > self._bytes_max:
            raise TooCostly(
                "this search is too long to be continued by a link; ask for fewer values at a time"
            )
        return text.decode("ascii")

    def open(self, text: str, actor: str) -> Place:
        """The place in a link that was given to `actor` and has not expired.

        Raises Malformed when the link was changed or is too old, Forbidden when it is another's.
        """
        sealed = self._unseal(text)
        if sealed.actor != actor:
            raise Forbidden("this link was given to another user; begin the search anew")
        if sealed.expires < self._now():
            raise Malformed("this link has expired; begin the search anew")
        return sealed.place

    def _unseal(self, text: str) -> _Sealed:
        try:
            raw = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
            packed = self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _PURPOSE)
            plain = zlib.decompressobj().decompress(packed, _OPEN_BYTES_MAX)
            return _DECODER.decode(plain)
        except (ValueError, NotBase64, InvalidTag, zlib.error, msgspec.DecodeError):
            raise Malformed("this link is damaged or not one of this node; begin anew") from None
