"""What is handed out once and kept as a hash: tokens, codes, secrets of clients."""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

_BYTES: Final = 32


def new_secret() -> str:
    """A text that nobody guesses, fit for a header and an address."""
    return secrets.token_urlsafe(_BYTES)


def digest_of(secret: str) -> bytes:
    """How it is kept. It has 256 random bits, so a plain hash cannot be searched; a slow one would
    cost every request.
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def new_family() -> int:
    """A number for all that comes of one grant."""
    return secrets.randbits(62)
