"""What an asker sees of a type, in lots that an index tells apart: what one sender has sent, and
what few patients have.

A lot is found without meeting what is in none, so that neither the rows that are read nor the plan
nor the time depend on records that are hidden by it. Where labels decide, a lot has those sets of
labels of which the same is seen. What is seen in other ways, as of very many patients, is one lot
that no index tells: it is met among all there is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from quanmin.records.label_sets import OTHERS, Labels, of_row
from quanmin.records.simplifying import both, either, simplified, without
from quanmin.records.visibility import (
    Both,
    Either,
    Everything,
    Except,
    Facts,
    Granted,
    Labelled,
    Nothing,
    OfPatient,
    OfSender,
    Visibility,
)
from quanmin.records.visibility_sql import Bind
from quanmin.records.walls import wall_of


class Apart(msgspec.Struct, frozen=True):
    """Records whose sets of labels have one of these numbers; `of` are the numbers of all sets."""

    numbers: tuple[int, ...]
    of: Mapping[Labels, int]

    def write(self, bind: Bind) -> str:
        """The condition on a row `r`."""
        return f"{of_row('r')} = any({bind(list(self.numbers))}::smallint[])"

    def has(self, labels: Labels) -> bool:
        """Whether a record with these labels is among them."""
        return self.of.get(labels, OTHERS) in self.numbers


class Lot(msgspec.Struct, frozen=True):
    """All of `seen` was sent by `sender`, or with `is_of_few` is of few patients; neither where no
    index tells it. What `beside` sent is in another lot, and what has labels that are not `apart`.
    """

    seen: Visibility
    sender: int | None = None
    is_of_few: bool = False
    beside: int | None = None
    apart: Apart | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it is all that its sender has sent."""
        return self.sender is not None and isinstance(self.seen, OfSender) and self.apart is None

    @property
    def walls(self) -> list[int]:
        """What stands beside the entries of the sender in side tables."""
        return [] if self.sender is None else [wall_of(self.sender, 0), wall_of(self.sender, None)]

    def may_have(self, facts: Facts) -> bool:
        """Whether a record that is visible is of this lot rather than of another."""
        if self.apart is not None and not self.apart.has(facts.labels):
            return False
        if self.beside is not None:
            return facts.sender != self.beside
        return self.sender is None or facts.sender == self.sender


def lots_of(seen: Visibility) -> tuple[Lot, ...]:
    """The lots of a visibility that is narrowed to a type, none of which has a record of another;
    empty where not all of it is told by an index on senders or patients, or is of patients alone.
    """
    match seen:
        case OfSender(senders) if len(senders) == 1:
            return (Lot(seen, sender=min(senders)),)
        case Either(parts):
            return _apart(parts)
        case Both(parts):
            for place, part in enumerate(parts):
                lots = lots_of(part) if isinstance(part, Either | OfSender) else ()
                if lots:
                    others = (*parts[:place], *parts[place + 1 :])
                    return tuple(
                        msgspec.structs.replace(lot, seen=both((lot.seen, *others))) for lot in lots
                    )
    return ()


def _apart(parts: tuple[Visibility, ...]) -> tuple[Lot, ...]:
    own = [part for part in parts if isinstance(part, OfSender) and len(part.senders) == 1]
    rest = either(part for part in parts if part not in own)
    if len(own) != 1 or not _is_of_few(rest):
        return ()
    sender = min(own[0].senders)
    others = both((rest, without(own[0])))
    return (Lot(own[0], sender=sender), Lot(others, is_of_few=True, beside=sender))


def _is_of_few(seen: Visibility) -> bool:
    match seen:
        case OfPatient():
            return True
        case Granted():
            is_of_parts = bool(seen.parts or seen.parts_lifting)
            return not seen.is_wide and seen.type is not None and not is_of_parts
        case Both(parts):
            return any(_is_of_few(part) for part in parts)
        case Either(parts):
            return bool(parts) and all(_is_of_few(part) for part in parts)
        case _:
            return False


def asks_labels(visibility: Visibility) -> bool:
    """Whether labels decide what is seen."""
    return bool(_named(visibility))


def told_apart(lots: Iterable[Lot], of: Mapping[Labels, int], *, is_full: bool) -> tuple[Lot, ...]:
    """The lots, each parted by what is seen of which sets of labels, without labels that hide all.
    `of` are the numbers of the sets; `is_full` says that there may be others.
    """
    return tuple(part for lot in lots for part in _parted(lot, of, is_full=is_full))


def _parted(lot: Lot, of: Mapping[Labels, int], *, is_full: bool) -> list[Lot]:
    if not _named(lot.seen):
        return [lot]
    parts = []
    for seen, several in _by_set(lot.seen, of):
        # What has no label is asked for in any case, so that nothing tells that all else is hidden.
        if seen != Nothing() or frozenset() in several:
            apart = Apart(tuple(sorted(of[labels] for labels in several)), of)
            parts.append(msgspec.structs.replace(lot, seen=seen, apart=apart))
    if is_full:
        parts.append(msgspec.structs.replace(lot, apart=Apart((OTHERS,), of)))
    return parts


def _by_set(
    visibility: Visibility, of: Mapping[Labels, int]
) -> list[tuple[Visibility, list[Labels]]]:
    """What is seen of records with the same labels, with all sets of which that is so."""
    named = _named(visibility)
    by_named: dict[Labels, list[Labels]] = {}
    for labels in sorted(of, key=of.__getitem__):
        by_named.setdefault(labels & named, []).append(labels)
    found: list[tuple[Visibility, list[Labels]]] = []
    for labels, several in by_named.items():
        seen = simplified(_with_labels(visibility, labels))
        same = next((group for one, group in found if one == seen), None)
        if same is None:
            found.append((seen, several))
        else:
            same += several
    return found


def _with_labels(visibility: Visibility, mine: Labels) -> Visibility:
    match visibility:
        case Labelled(labels):
            return Nothing() if labels.isdisjoint(mine) else Everything()
        case Except(part):
            return without(_with_labels(part, mine))
        case Both(parts):
            return both(_with_labels(part, mine) for part in parts)
        case Either(parts):
            return either(_with_labels(part, mine) for part in parts)
        case _:
            return visibility


def _named(visibility: Visibility) -> Labels:
    """The labels that a visibility asks about."""
    match visibility:
        case Labelled(labels):
            return labels
        case Except(part):
            return _named(part)
        case Both(parts) | Either(parts):
            return frozenset[int]().union(*map(_named, parts))
        case _:
            return frozenset()
