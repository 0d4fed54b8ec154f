"""How a record is numbered: a 64-bit key (rid) that is computed from its type and id alone.

An id that this node assigned *is* the key, written in base 32: 45 bits of sequence, 10 bits of
bucket, 8 bits of type. An id of the client's choosing is hashed; its key is negative, so the two
spaces never meet. No table of ids is needed to read a record or to follow a reference, and a
reference to a record that is not here yet has a key already.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

BUCKETS = 1024
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_LENGTH = 13
_CHECK = (
    31  # a prime below the alphabet's size: one check character finds any single wrong character
)


def assign(sequence: int, bucket: int, type_number: int) -> int:
    """The key of a new record: `sequence` is unique here (45 bits), `type_number` is 1 to 255."""
    return sequence << 18 | bucket << 8 | type_number


def number_of(rid: int) -> int:
    """The sequence number that an assigned key was made from."""
    return rid >> 18


@lru_cache(maxsize=65536)
def id_of(rid: int, prefix: str) -> str:
    """The id of a record whose key this node assigned (rid is positive)."""
    digits = "".join(_ALPHABET[rid >> shift & 31] for shift in range((_LENGTH - 1) * 5, -1, -5))
    return f"{prefix}{digits}{_ALPHABET[rid % _CHECK]}"


@lru_cache(maxsize=65536)
def rid_of(type_number: int, id_: str, prefix: str) -> int | None:
    """The key of `type/id`; None when the id has this node's own form but belongs to another type.

    Ids in this node's form are 13 digits of base 32 and a check character after the node's prefix;
    all others are hashed to 63 bits and made negative.
    """
    if len(id_) == len(prefix) + _LENGTH + 1 and id_.startswith(prefix):
        rid = 0
        for character in id_[len(prefix) : -1]:
            value = _VALUES.get(character)
            if value is None:
                break
            rid = rid << 5 | value
        else:
            if rid < 1 << 63 and _ALPHABET[rid % _CHECK] == id_[-1]:
                return rid if rid & 255 == type_number else None
    digest = hashlib.blake2b(f"{type_number}/{id_}".encode(), digest_size=8).digest()
    return -(int.from_bytes(digest, "big") >> 1) - 1


def is_assigned(rid: int) -> bool:
    """Whether this node chose the id."""
    return rid > 0


def bucket_of(rid: int) -> int:
    """The bucket of an assigned key; for a hashed one the home bucket, where its `place` row is."""
    return rid >> 8 & 1023 if rid > 0 else (-rid - 1) & 1023
