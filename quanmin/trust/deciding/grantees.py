"""The numbers under which grants stand (`records.granted`): to whom, and what.

A number is a keyed hash: the table tells nobody without the node's keys who may see whom.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import msgspec

from quanmin.records.keying import Keying
from quanmin.trust.deciding.consent_reading import purposes_around

ANY: Final = "*"
"""Every institution, or every purpose."""

Words = tuple[tuple[str, str], ...]
"""What is said, each with the kind that it names."""

_CACHE: Final = 4096
_PART: Final = "part of "


class Meaning(msgspec.Struct, frozen=True):
    """What a number says: `effect` is what is granted, `who` the institution (its number, ANY for
    all), `kind` the label of a kind that is kept apart, "" for none.
    """

    effect: str
    who: int | str = ANY
    purpose: str = ANY
    kind: str = ""


_SAID: Final = ("permit", "refuse", "withdraw")


class Grantees:
    """The numbers of one node. Institutions are named by their sender number; `kind` is the label
    of a kind that is kept apart, "" for what is of none; `is_part` says that the grant is about a
    part of the records.
    """

    def __init__(self, keying: Keying) -> None:
        self._grantee = keying.grantee
        self.all = lru_cache(_CACHE)(self._all)
        self.several = lru_cache(_CACHE)(self._several)
        self.marks = lru_cache(_CACHE)(self._marks)

    def treating(self, sender: int) -> int:
        """An institution that treats the person."""
        return self._grantee("treats", str(sender))

    def glass(self, actor: str) -> int:
        """An account that has opened the person's record in an emergency."""
        return self._grantee("glass", actor)

    def mark(self, sender: int | str) -> int:
        """An institution that is granted, or refused, a part of a person's records."""
        return self._grantee("mark", str(sender))

    def _marks(self, sender: int) -> frozenset[int]:
        """The marks that concern an institution."""
        return frozenset({self.mark(sender), self.mark(ANY)})

    def named(
        self, word: str, sender: int | str, purpose: str, kind: str = "", *, is_part: bool = False
    ) -> int:
        """To whom a person has said something, and what: `permit`, `refuse`, `withdraw`, or of
        passing on `onward` and `no onward`.
        """
        return self._grantee(f"{_PART if is_part else ''}{word}", str(sender), purpose, kind)

    def meanings(self, sender: int, purpose: str, kinds: Sequence[str]) -> dict[int, Meaning]:
        """What the numbers say that may concern an institution for a purpose."""
        return {
            self.named(word, who, one, kind, is_part=is_part): Meaning(word, who, one, kind)
            for who in (sender, ANY)
            for one in (*purposes_around(purpose), ANY)
            for kind in kinds
            for word in _SAID
            for is_part in (False, True)
        }

    def _all(
        self, word: str, sender: int, purpose: str, kind: str = "", *, is_part: bool = False
    ) -> frozenset[int]:
        """The numbers under which it concerns an institution and a purpose."""
        purposes = (*purposes_around(purpose), ANY)
        return frozenset(
            self.named(word, who, one, kind, is_part=is_part)
            for who in (sender, ANY)
            for one in purposes
        )

    def _several(
        self, words: Words, sender: int, purpose: str, *, is_part: bool = False
    ) -> frozenset[int]:
        """The same of several words."""
        found = (self.all(word, sender, purpose, kind, is_part=is_part) for word, kind in words)
        return frozenset[int]().union(*found)
