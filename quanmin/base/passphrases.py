"""A key file sealed under a passphrase: whoever has the file alone has nothing.

"scrypt 1" | salt | nonce, ciphertext, tag (AES-256-GCM), a line of hexadecimal and spaces
"""

from __future__ import annotations

import secrets
from functools import lru_cache
from typing import Final

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from quanmin.base.crypto import International, Tampered

CHARACTERS_MIN: Final = 12
_HEAD: Final = "scrypt 1"
_SALT_BYTES: Final = 16
# RFC 7914's parameters for files: about a second and 128 MiB a guess.
_COST: Final = 1 << 17


class Passphrase:
    """Seals and opens secrets. Files that share a salt cost one derivation in a process."""

    def __init__(self, text: str) -> None:
        self._text = text

    def seal(self, secret: bytes, name: str, salt: bytes | None = None) -> str:
        """The line that holds a secret under this passphrase; it opens under this name alone."""
        salt = salt or secrets.token_bytes(_SALT_BYTES)
        sealed = International().seal(stretch(self._text, salt), secret, _place(name))
        return f"{_HEAD} {salt.hex()} {sealed.hex()}"

    def open(self, line: str, name: str) -> bytes:
        """The secret again. Raises Tampered for another passphrase and for a changed line."""
        try:
            *_, salt, sealed = line.split(" ")
            key = stretch(self._text, bytes.fromhex(salt))
            return International().open(key, bytes.fromhex(sealed), _place(name))
        except ValueError as error:
            raise Tampered from error


def is_sealed(line: str) -> bool:
    """Whether a line of a key file is under a passphrase."""
    return line.startswith(_HEAD)


def salt_of(line: str) -> bytes:
    """The salt of a sealed line."""
    return bytes.fromhex(line.split(" ")[2])


@lru_cache(maxsize=8)
def stretch(passphrase: str, salt: bytes) -> bytes:
    """A key of 32 bytes out of a passphrase; it takes its time."""
    return Scrypt(salt, length=32, n=_COST, r=8, p=1).derive(passphrase.encode())


def _place(name: str) -> bytes:
    return f"key file {name}".encode()
