"""Turns what is searched for into 8-byte keys that tell nothing without this node's index key.

Every key folds in the resource type and the parameter, so one array or one B-tree serves all
parameters of a type and a planner's statistics for a key are those of one question. Keyed by
BLAKE2b: an unkeyed hash of an identity number could be enumerated in minutes.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

INDEX = "index"
"""What the index key is derived for."""
_SEPARATOR = "\x00"


class Keying:
    """Makes keys under one index key (16 to 64 bytes).

    A new index key means indexing everything again.
    """

    def __init__(self, index_key: bytes) -> None:
        # Codes repeat without end and identifiers never: a bounded cache serves the first and
        # bears the second.
        @lru_cache(maxsize=65536)
        def key(text: str) -> int:
            digest = hashlib.blake2b(
                text.encode("utf-8", "surrogatepass"), digest_size=8, key=index_key
            ).digest()
            return int.from_bytes(digest, "big", signed=True)

        def pseudonym(text: str) -> str:
            return hashlib.blake2b(text.encode(), digest_size=16, key=index_key).hexdigest()

        self._key = key
        self._pseudonym = pseudonym
        self.coding = lru_cache(maxsize=65536)(self._coding)

    def pseudonym(self, use: str, text: str) -> str:
        """By what something is known in records without being named: the same for the same text and
        use, which without the index key cannot be found by trying all there may be.
        """
        return self._pseudonym(f"{use}{_SEPARATOR}p{text}")

    def code(self, type_: str, param: str, code: str) -> int:
        """The key of a code, whatever its system."""
        return self._key(f"{type_}{_SEPARATOR}{param}{_SEPARATOR}c{code}")

    def coded(self, type_: str, param: str, system: str, code: str) -> int:
        """The key of a code in one system; `system` "" says that it has none."""
        return self._key(f"{type_}{_SEPARATOR}{param}{_SEPARATOR}s{system}{_SEPARATOR}{code}")

    def system(self, type_: str, param: str, system: str) -> int:
        """The key of any code of one system."""
        return self._key(f"{type_}{_SEPARATOR}{param}{_SEPARATOR}y{system}")

    def _coding(
        self, type_: str, param: str, system: str | None, code: str | None
    ) -> tuple[int, ...]:
        """All keys of a code that may have a system: by itself, in its system, by its system."""
        keys: list[int] = []
        if code is not None:
            keys += (self.code(type_, param, code), self.coded(type_, param, system or "", code))
        if system:
            keys.append(self.system(type_, param, system))
        return tuple(keys)

    def reference(self, type_: str, param: str, rid: int) -> int:
        """The key of a reference to a record of this node, by its record key."""
        return self._key(f"{type_}{_SEPARATOR}{param}{_SEPARATOR}r{rid}")

    def uri(self, type_: str, param: str, uri: str) -> int:
        """The key of a URI, or of a reference to something outside this node."""
        return self._key(f"{type_}{_SEPARATOR}{param}{_SEPARATOR}u{uri}")

    def identified(self, type_: str, param: str, system: str, value: str) -> int:
        """The key of a reference by business identifier (`:identifier`)."""
        return self._key(f"{type_}{_SEPARATOR}{param}{_SEPARATOR}i{system}{_SEPARATOR}{value}")

    def word(self, type_: str, param: str, gram: str) -> int:
        """The key of a piece of a text (a character, a pair, a run of letters)."""
        return self._key(f"{type_}{_SEPARATOR}{param}{_SEPARATOR}w{gram}")

    def said(self, type_: str, param: str, texts: tuple[str, ...]) -> int:
        """The key of what is said along with the codes of one element."""
        whole = _SEPARATOR.join(texts)
        return self._key(f"{type_}{_SEPARATOR}{param}{_SEPARATOR}x{whole}")

    def above(self, type_: str, param: str, address: str) -> int:
        """The key under which an address is found by what it lies below."""
        return self._key(f"{type_}{_SEPARATOR}{param}{_SEPARATOR}a{address}")

    def spot(self, type_: str, param: str, cell: str) -> int:
        """The key of a cell on the earth."""
        return self._key(f"{type_}{_SEPARATOR}{param}{_SEPARATOR}g{cell}")

    def ranged(
        self, type_: str, param: str, system: str, unit: str, kinds: tuple[int, ...] = ()
    ) -> int:
        """The key of a number (`unit` "") or of a quantity in one unit as written, of records
        with codes of these kinds.
        """
        of_kinds = f"{_SEPARATOR}{kinds}" if kinds else ""
        return self._key(
            f"{type_}{_SEPARATOR}{param}{_SEPARATOR}n{system}{_SEPARATOR}{unit}{of_kinds}"
        )

    def dated(self, type_: str, param: str) -> int:
        """The key of a date parameter."""
        return self._key(f"{type_}{_SEPARATOR}{param}{_SEPARATOR}d")

    def present(self, type_: str, param: str) -> int:
        """The key of a custom parameter that finds something; those of R4 have a bit for that."""
        return self._key(f"{type_}{_SEPARATOR}{param}{_SEPARATOR}p")

    def label(self, system: str, code: str) -> int:
        """The key of a security label, the same for every type: visibility asks across types."""
        return self._key(f"{_SEPARATOR}label{_SEPARATOR}{system}{_SEPARATOR}{code}")

    def grantee(self, *parts: str) -> int:
        """The key of whom something is granted to, and what: the same for every type."""
        return self._key(_SEPARATOR.join(("", "grantee", *parts)))

    def narrow(self, system: str) -> int:
        """32 bits that tell one system from another where `records.keyed` filters by system ("" for
        none).
        """
        return self._key(f"{_SEPARATOR}system{_SEPARATOR}{system}") >> 32
