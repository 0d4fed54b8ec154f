"""Where a search or a history goes on: a sealed link that holds the question and the place in it.

Any worker can go on, also after a restart. The link is encrypted because it carries the search
terms of the first request and the order keys of the last hit, both of which can be personal; it is
bound to the actor it was given to, and it expires. A question that is too long for a link is sealed
likewise and kept on the server, and the link holds its name.
"""

from __future__ import annotations

import hashlib
import os
import time
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Callable
from contextlib import suppress

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from quanmin.base.problems import Forbidden, Malformed, TooCostly
from quanmin.base.rooted import Rooted, rooted
from quanmin.trust import Question

_PURPOSE = b"quanmin page link 1"
_NAMING = b"page question 1"
_NONCE_BYTES = 12
_NAME_BYTES = 16
_OPEN_BYTES_MAX = 16 << 20


class Place(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """A question and where its next answer begins; `path` are the parts below the base.

    `position` None begins at the beginning: such a link stands for the whole question. `kept` is
    the name of a question that is kept; the place then says only what that question does not.
    """

    path: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    position: str | None
    is_strict: bool = False
    kept: bytes = b""


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
        key: bytes | Rooted,
        *,
        seconds_max: int,
        bytes_max: int,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._key = rooted(key)
        self._seconds_max = seconds_max
        self._bytes_max = bytes_max
        self._now = now

    def close(self, place: Place, actor: str, kept: list[Question] | None = None) -> str:
        """The text of a link for `actor` alone.

        A question that is too long for one goes to `kept`, to be kept before the link is given out;
        without `kept` it raises TooCostly.
        """
        text = self._text(place, actor)
        if len(text) <= self._bytes_max:
            return text
        if kept is None:
            raise TooCostly("this search is too long for a link; ask for fewer values at a time")
        # The question alone is the same for every page; only a long position must go with it.
        alone = msgspec.structs.replace(place, position=None)
        question = self._question(alone, actor)
        text = self._text(
            Place(path=(), pairs=(), position=place.position, kept=question.name), actor
        )
        if len(text) > self._bytes_max:
            question = self._question(place, actor)
            text = self._text(Place(path=(), pairs=(), position=None, kept=question.name), actor)
        kept.append(question)
        return text

    def _text(self, place: Place, actor: str) -> str:
        sealed = _Sealed(int(self._now()) + self._seconds_max, actor, place)
        raw = self._seal(_ENCODER.encode(sealed), _PURPOSE)
        return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")

    def _seal(self, plain: bytes, purpose: bytes) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        cipher = AESGCM(self._key.newest()[1])
        return nonce + cipher.encrypt(nonce, zlib.compress(plain, 6), purpose)

    def _question(self, place: Place, actor: str) -> Question:
        plain = _ENCODER.encode(_Sealed(0, actor, place))
        key = self._key.newest()[1]
        name = hashlib.blake2b(plain, digest_size=_NAME_BYTES, key=key, person=_NAMING)
        now, lasts = int(self._now() * 1000), self._seconds_max * 1000
        sealed = self._seal(plain, name.digest())
        return Question(name.digest(), sealed, now, now + lasts, now + 2 * lasts)

    def whole(self, place: Place, sealed: bytes | None, actor: str) -> Place:
        """The place with the question that was kept under its name. Raises Malformed when it is not
        kept any more.
        """
        if sealed is None:
            raise Malformed("this link's question is not kept any more; begin the search anew")
        question = self._unseal(sealed, place.kept)
        if question.actor != actor:
            raise Forbidden("this link was given to another user; begin the search anew")
        position = place.position or question.place.position
        return msgspec.structs.replace(question.place, position=position)

    def open(self, text: str, actor: str) -> Place:
        """The place in a link that was given to `actor` and has not expired.

        Raises Malformed when the link was changed or is too old, Forbidden when it is another's.
        """
        sealed = self._unseal(_bytes_of(text), _PURPOSE)
        if sealed.actor != actor:
            raise Forbidden("this link was given to another user; begin the search anew")
        if sealed.expires < self._now():
            raise Malformed("this link has expired; begin the search anew")
        return sealed.place

    def _unseal(self, raw: bytes, purpose: bytes) -> _Sealed:
        try:
            packed = self._decrypted(raw, purpose)
            plain = zlib.decompressobj().decompress(packed, _OPEN_BYTES_MAX)
            return _DECODER.decode(plain)
        except (ValueError, InvalidTag, zlib.error, msgspec.DecodeError):
            raise _damaged() from None

    def _decrypted(self, raw: bytes, purpose: bytes) -> bytes:
        # A link that was given out under an older root works as long as that is there.
        for key in self._key.all():
            with suppress(InvalidTag):
                return AESGCM(key).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], purpose)
        raise InvalidTag


def _bytes_of(text: str) -> bytes:
    try:
        return urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except (ValueError, NotBase64):
        raise _damaged() from None


def _damaged() -> Malformed:
    return Malformed("this link is damaged or not one of this node; begin anew")
