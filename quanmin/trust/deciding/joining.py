"""Joins visibilities in as few words as possible: every word more is work for the database."""

from __future__ import annotations

from collections.abc import Iterable

from quanmin.records.visibility import Both, Either, Everything, Except, Nothing, Visibility


def either(parts: Iterable[Visibility]) -> Visibility:
    """At least one of the parts, in as few words as possible."""
    left: list[Visibility] = []
    for part in parts:
        match part:
            case Nothing():
                pass
            case Everything():
                return part
            case Either(some):
                left += some
            case _:
                left.append(part)
    if not left:
        return Nothing()
    return left[0] if len(left) == 1 else Either(tuple(left))


def both(parts: Iterable[Visibility]) -> Visibility:
    """All of the parts, in as few words as possible."""
    left: list[Visibility] = []
    for part in parts:
        match part:
            case Everything():
                pass
            case Nothing():
                return part
            case Both(some):
                left += some
            case _:
                left.append(part)
    if not left:
        return Everything()
    return left[0] if len(left) == 1 else Both(tuple(left))


def without(part: Visibility) -> Visibility:
    """Not the part."""
    if isinstance(part, Nothing):
        return Everything()
    return Nothing() if isinstance(part, Everything) else Except(part)
