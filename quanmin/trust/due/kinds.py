"""What a reader sees of kinds of records (of one sender and type, labelled or not), without looking
at any: of most people it follows from that whether all of their records are seen, or which.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from quanmin.records.visibility import (
    Both,
    Either,
    Everything,
    Except,
    Granted,
    Having,
    Labelled,
    Nothing,
    OfNobody,
    OfSender,
    OfType,
    Visibility,
)


class Kinds(msgspec.Struct, frozen=True):
    """Kinds of records of whoever has granted nothing: those that are seen, those that are hidden,
    those of which it depends on the record, and those that a plan does not know.
    """

    seen: tuple[int, ...] = ()
    hidden: tuple[int, ...] = ()
    unsure: tuple[int, ...] = ()
    other: tuple[int, ...] = ()


def is_kind_seen(seen: Visibility, sender: int, type_: str, *, is_labelled: bool) -> bool | None:
    """Whether records of a kind are seen of a person who has granted nothing; None where it depends
    on more than the kind.
    """
    match seen:
        case Everything():
            return True
        case Nothing() | OfNobody() | Granted():
            return False
        case OfSender(senders):
            return sender in senders
        case OfType(types):
            return type_ in types
        case Labelled():
            return None if is_labelled else False
        case Having(type=of):
            return None if of == type_ else False
        case Except(part):
            found = is_kind_seen(part, sender, type_, is_labelled=is_labelled)
            return None if found is None else not found
        case Both(parts):
            return _all(
                is_kind_seen(part, sender, type_, is_labelled=is_labelled) for part in parts
            )
        case Either(parts):
            several = {is_kind_seen(part, sender, type_, is_labelled=is_labelled) for part in parts}
            return True if True in several else None if None in several else False
        case _:
            return None


def grantees_in(seen: Visibility) -> frozenset[int]:
    """To whom something may be granted that changes what is seen of a person."""
    match seen:
        case Granted():
            return seen.grantees | seen.lifted_by | seen.parts | seen.parts_lifting | seen.marks
        case Both(parts) | Either(parts):
            return frozenset().union(*(grantees_in(part) for part in parts))
        case Except(part):
            return grantees_in(part)
        case _:
            return frozenset()


def takers_in(seen: Visibility, *, is_except: bool = False) -> frozenset[int]:
    """Those of them by whose grants something may be hidden that is seen of whoever has granted
    nothing: a refusal is a grant too.
    """
    match seen:
        case Granted() if is_except:
            return grantees_in(seen)
        case Both(parts) | Either(parts):
            return frozenset().union(*(takers_in(part, is_except=is_except) for part in parts))
        case Except(part):
            return takers_in(part, is_except=not is_except)
        case _:
            return frozenset()


def _all(found: Iterable[bool | None]) -> bool | None:
    several = set(found)
    if False in several:
        return False
    return None if None in several else True
