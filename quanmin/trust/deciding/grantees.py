"""The numbers under which grants stand (`records.granted`): to whom, and what.

A number is a keyed hash: the table tells nobody without the node's keys who may see whom.
"""

from __future__ import annotations

import tomllib
from functools import cache, lru_cache
from importlib import resources
from typing import Final

from quanmin.records.keying import Keying

ANY: Final = "*"
"""Every institution, or every purpose."""

_CACHE: Final = 4096


class Grantees:
    """The numbers of one node. Institutions are named by their sender number."""

    def __init__(self, keying: Keying) -> None:
        self._grantee = keying.grantee
        self.permitted = lru_cache(_CACHE)(self._permitted)
        self.refused = lru_cache(_CACHE)(self._refused)
        self.lifted = lru_cache(_CACHE)(self._lifted)
        self.withdrawn = lru_cache(_CACHE)(self._withdrawn)

    def treating(self, sender: int) -> int:
        """An institution that treats the person."""
        return self._grantee("treats", str(sender))

    def glass(self, actor: str) -> int:
        """An account that has opened the person's record in an emergency."""
        return self._grantee("glass", actor)

    def permit(self, sender: int | str, purpose: str, kind: str = "") -> int:
        """Whom a consent opens the record to; with `kind` (the label of a kind that is kept apart)
        the records of that kind.
        """
        return self._grantee("permit", str(sender), purpose, kind)

    def refuse(self, sender: int | str, purpose: str, kind: str = "") -> int:
        """To whom a person has closed the record, or the records of a kind."""
        return self._grantee("refuse", str(sender), purpose, kind)

    def lift(self, sender: int | str, purpose: str, kind: str = "") -> int:
        """Who is left out of a refusal that rests on the same Consent."""
        return self._grantee("lift", str(sender), purpose, kind)

    def withdraw(self, sender: int | str, purpose: str) -> int:
        """From whom a person has taken back a consent."""
        return self._grantee("withdraw", str(sender), purpose)

    def _withdrawn(self, sender: int, purpose: str) -> frozenset[int]:
        return frozenset(self.withdraw(*one) for one in _wider(sender, purpose))

    def _permitted(self, sender: int, purpose: str, kind: str = "") -> frozenset[int]:
        return frozenset(self.permit(*one, kind) for one in _wider(sender, purpose))

    def _refused(self, sender: int, purpose: str, kind: str = "") -> frozenset[int]:
        return frozenset(self.refuse(*one, kind) for one in _wider(sender, purpose))

    def _lifted(self, sender: int, purpose: str, kind: str = "") -> frozenset[int]:
        return frozenset(self.lift(*one, kind) for one in _wider(sender, purpose))


def _wider(sender: int, purpose: str) -> tuple[tuple[int | str, str], ...]:
    """An institution and purpose, and all that includes them."""
    purposes = [purpose]
    while purposes[-1] in _within():
        purposes.append(_within()[purposes[-1]])
    return tuple((who, one) for who in (sender, ANY) for one in (*purposes, ANY))


@cache
def _within() -> dict[str, str]:
    file = resources.files("quanmin") / "definitions" / "purposes_of_use.toml"
    return dict(tomllib.loads(file.read_text("utf-8"))["within"])
