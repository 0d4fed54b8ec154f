"""By what the oracle sorts records, written from R4's search page and the table of the manual."""

from __future__ import annotations

import unicodedata
from decimal import Decimal
from itertools import pairwise
from typing import Any

from contract.proof import comparison
from contract.proof.oracle import Definition, Evidence

Value = Any


def values(kind: str, element: Any) -> list[Value] | None:
    """What an element gives to be compared; None where R4 leaves open what that is."""
    if kind == "token":
        return [code for _, code, _ in comparison.codes(element) if code]
    if kind == "date":
        return [low for low, _ in comparison.spans(element)]
    if kind == "quantity":
        return _quantities(element)
    if kind == "uri":
        return [element] if isinstance(element, str) else []
    if kind == "number":
        return None if isinstance(element, dict) else [Decimal(str(element))]
    if kind == "string":
        return _texts(element)
    return None


def _texts(element: Any) -> list[str] | None:
    """Latin letters only: how others are listed R4 does not say, nor whether a name is a value as a
    whole.
    """
    if isinstance(element, dict) and element.keys() & {"family", "given"}:
        return None
    found = [comparison.fold(text) for text in comparison.texts(element)]
    plain = [unicodedata.normalize("NFKC", text) for text in found]
    if all(text.isascii() and text.replace(" ", "").isalnum() for text in plain):
        return [" ".join(text.split()) for text in plain if text.strip()]
    return None


def _quantities(element: Any) -> list[tuple[str, Decimal]] | None:
    if not isinstance(element, dict) or "value" not in element or "comparator" in element:
        return None
    unit = f"{element.get('system')}|{element.get('code')}|{element.get('unit')}"
    return [(unit, Decimal(str(element["value"])))]


class Keys:
    """What each record of a type is sorted by, for parameters of which R4 decides that."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._known: dict[Definition, dict[str, list[Value]] | None] = {}

    def of(self, definition: Definition) -> dict[str, list[Value]] | None:
        """The values of each record that has any; None where R4 leaves some of them open."""
        if definition not in self._known:
            self._known[definition] = self._find(definition)
        return self._known[definition]

    def _find(self, definition: Definition) -> dict[str, list[Value]] | None:
        if definition.name == "_id":
            return None  # the manual says what order ids of a client's choosing are in
        found: dict[str, list[Value]] = {}
        for id_, elements in self._evidence.found(definition).items():
            for element in elements:
                several = values(definition.kind, element)
                if several is None:
                    return None
                found.setdefault(id_, []).extend(several)
        if definition.kind == "quantity":
            units = {unit for several in found.values() for unit, _ in several}
            return found if len(units) == 1 else None  # of units R4 says nothing
        return {id_: several for id_, several in found.items() if several}


def is_in_order(
    ids: list[str], keys: list[tuple[dict[str, list[Value]], bool]]
) -> tuple[str, str] | None:
    """The first two ids that stand in the wrong order by (values, whether descending); None if none
    do. Of several values the one counts that comes first in the direction; none comes last.
    """
    for one, other in pairwise(ids):
        for values_of, descending in keys:
            mine, following = values_of.get(one), values_of.get(other)
            if mine is None and following is None:
                continue
            if mine is None:
                return one, other
            if following is None:
                break
            pick = max if descending else min
            first, second = pick(mine), pick(following)
            if first != second and (first < second) is descending:
                return one, other
            if first != second:
                break
    return None
