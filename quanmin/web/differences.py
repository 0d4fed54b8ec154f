"""What changed from one version of a record to another, element by element."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

import msgspec

# Every version differs in these, so they would say nothing.
_ALWAYS = frozenset({"meta.versionId", "meta.lastUpdated"})


class Difference(msgspec.Struct, frozen=True):
    """One place in the record (`name[0].text`) with what stood there and what stands there.

    Empty: nothing.
    """

    place: str
    kind: Literal["added", "removed", "changed"]
    before: str
    after: str


def differences(before: dict[str, Any], after: dict[str, Any]) -> tuple[Difference, ...]:
    """Every leaf that is not the same, in the order of the newer version; removed ones last.

    Decimals differ when their digits do: 1.0 and 1.00 are two statements of precision.
    """
    old, new = dict(_leaves("", before)), dict(_leaves("", after))
    found = [
        Difference(place, "changed" if place in old else "added", old.get(place, ""), text)
        for place, text in new.items()
        if place not in _ALWAYS and old.get(place) != text
    ]
    gone = [
        Difference(place, "removed", text, "")
        for place, text in old.items()
        if place not in new and place not in _ALWAYS
    ]
    return (*found, *gone)


def _leaves(place: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        dot = "." if place else ""
        return [
            leaf for name, part in value.items() for leaf in _leaves(f"{place}{dot}{name}", part)
        ]
    if isinstance(value, list):
        return [leaf for at, part in enumerate(value) for leaf in _leaves(f"{place}[{at}]", part)]
    if isinstance(value, bool):
        return [(place, "true" if value else "false")]
    return [(place, f"{value:f}" if isinstance(value, Decimal) else str(value))]
