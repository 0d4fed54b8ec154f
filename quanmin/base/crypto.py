"""Authenticated encryption in two suites, international and gm (the national algorithms), behind
one interface.

Certified modules are the deployer's choice; these run on the `cryptography` package's OpenSSL.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

NONCE_BYTES = 12
TAG_BYTES = 16


class Tampered(Exception):  # noqa: N818 - names the finding
    """The bytes were not sealed under this key for this place, or have been changed since."""


class Suite(Protocol):
    """A cipher suite. `number` stands in stored bytes and never changes its meaning."""

    number: int
    name: str
    key_bytes: int

    def seal(self, key: bytes, plain: bytes, place: bytes) -> bytes:
        """Nonce, ciphertext and tag; `place` is authenticated and must be given again to open."""

    def open(self, key: bytes, sealed: bytes, place: bytes) -> bytes:
        """The plain bytes. Raises Tampered."""


@lru_cache(maxsize=4096)
def _aes(key: bytes) -> AESGCM:
    return AESGCM(key)


class International:
    """AES-256-GCM with random nonces (NIST SP 800-38D)."""

    number = 1
    name = "international"
    key_bytes = 32

    def seal(self, key: bytes, plain: bytes, place: bytes) -> bytes:
        """See `Suite`."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + _aes(key).encrypt(nonce, plain, place)

    def open(self, key: bytes, sealed: bytes, place: bytes) -> bytes:
        """See `Suite`."""
        try:
            return _aes(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place)
        except (InvalidTag, ValueError) as error:
            raise Tampered from error


class Gm:
    """SM4-GCM with random nonces (GB/T 32907, RFC 8998)."""

    number = 2
    name = "gm"
    key_bytes = 16

    def seal(self, key: bytes, plain: bytes, place: bytes) -> bytes:
        """See `Suite`."""
        nonce = os.urandom(NONCE_BYTES)
        encryptor = Cipher(algorithms.SM4(key), modes.GCM(nonce)).encryptor()
        encryptor.authenticate_additional_data(place)
        return nonce + encryptor.update(plain) + encryptor.finalize() + encryptor.tag

    def open(self, key: bytes, sealed: bytes, place: bytes) -> bytes:
        """See `Suite`."""
        if len(sealed) < NONCE_BYTES + TAG_BYTES:
            raise Tampered
        mode = modes.GCM(sealed[:NONCE_BYTES], sealed[-TAG_BYTES:])
        decryptor = Cipher(algorithms.SM4(key), mode).decryptor()
        decryptor.authenticate_additional_data(place)
        try:
            return decryptor.update(sealed[NONCE_BYTES:-TAG_BYTES]) + decryptor.finalize()
        except InvalidTag as error:
            raise Tampered from error


SUITES: dict[int, Suite] = {suite.number: suite for suite in (International(), Gm())}


def suite_named(name: str) -> Suite:
    """The suite of this name. Raises KeyError, naming those there are."""
    for suite in SUITES.values():
        if suite.name == name:
            return suite
    known = ", ".join(suite.name for suite in SUITES.values())
    raise KeyError(f"no cipher suite {name!r}; there are: {known}")


def suite_keyed(key: bytes) -> Suite:
    """The suite that a key is of: no two have keys of one length. Raises KeyError for none."""
    return {suite.key_bytes: suite for suite in SUITES.values()}[len(key)]


def derive(secret: bytes, purpose: str, length: int = 32) -> bytes:
    """A key for one purpose out of a secret (HKDF-SHA256, RFC 5869); other purposes give unrelated
    keys.
    """
    return HKDF(SHA256(), length, salt=None, info=purpose.encode()).derive(secret)
