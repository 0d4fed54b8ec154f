"""What an asker sees of a type, in lots that an index tells apart: what one sender has sent, and
what few patients have.

A lot is found without meeting what is in none, so that neither the rows that are read nor the plan
nor the time depend on records that are hidden by it. What is seen in other ways, as of very many
patients, is one lot that no index tells: it is met among all there is.
"""

from __future__ import annotations

import msgspec

from quanmin.records.simplifying import both, either, without
from quanmin.records.visibility import (
    Both,
    Either,
    Facts,
    Granted,
    OfPatient,
    OfSender,
    Visibility,
)
from quanmin.records.walls import wall_of


class Lot(msgspec.Struct, frozen=True):
    """All of `seen` was sent by `sender`, or with `is_of_few` is of few patients; neither where no
    index tells it. What `beside` sent is in another lot.
    """

    seen: Visibility
    sender: int | None = None
    is_of_few: bool = False
    beside: int | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it is all that its sender has sent."""
        return self.sender is not None and isinstance(self.seen, OfSender)

    @property
    def walls(self) -> list[int]:
        """What stands beside the entries of the sender in side tables."""
        return [] if self.sender is None else [wall_of(self.sender, 0), wall_of(self.sender, None)]

    def may_have(self, facts: Facts) -> bool:
        """Whether a record that is visible is of this lot rather than of another."""
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
