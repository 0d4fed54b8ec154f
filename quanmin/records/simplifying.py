"""The same visibility in fewer words: what the words around a part say of a record is not asked in
it again.

`A or (B and not (C and not A))` is `A or (B and not C)`. Rules are written each for itself, and so
repeat what others say; the database would plan and ask every word of it for every statement.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Final

from quanmin.records.visibility import (
    Both,
    Either,
    Everything,
    Except,
    Facts,
    Granted,
    Having,
    Labelled,
    Nothing,
    OfNobody,
    OfPatient,
    OfSender,
    Visibility,
    at_moment,
    narrow_to_type,
    undated,
)
from quanmin.records.visibility_sql import allows

_ROUNDS_MAX = 4
_CACHE: Final = 4096


def simplified(visibility: Visibility) -> Visibility:
    """Shows the same records (a property test holds it)."""
    for _ in range(_ROUNDS_MAX):
        shorter = _Known().reduced(visibility)
        if shorter == visibility:
            break
        visibility = shorter
    return visibility


def seen_of_type(visibility: Visibility, type_: str) -> Visibility:
    """What is left of a visibility among records of one type, in as few words as possible: words
    about types keep others from being told to be the same. Worked out once, but for the moment.
    """
    of_no_moment, moments = undated(visibility)
    if len(moments) > 1:
        return simplified(narrow_to_type(visibility, type_))
    found = _of_type(of_no_moment, type_)
    return at_moment([found], min(moments))[0] if moments else found


@lru_cache(_CACHE)
def _of_type(visibility: Visibility, type_: str) -> Visibility:
    return simplified(narrow_to_type(visibility, type_))


def left_of(visibility: Visibility, facts: Facts) -> Visibility:
    """What is left to be asked of a record of which the row tells these facts: words about what is
    granted and about codes, or whether it is visible.
    """
    match visibility:
        case Both(parts):
            return both(left_of(part, facts) for part in parts)
        case Either(parts):
            return either(left_of(part, facts) for part in parts)
        case Except(part):
            return without(left_of(part, facts))
        case Granted() if facts.patient is not None:
            return visibility
        case Having() if visibility.type == facts.type:
            return visibility
        case _:
            return Everything() if allows(visibility, facts) else Nothing()


def permitting(left: Visibility) -> frozenset[int] | None:
    """Some grantees to one of whom something must be granted that a record is visible of which this
    is left; None where it may be though nothing is granted.
    """
    needed = _needed(left, is_wanted=True)
    return min(needed, key=len) if needed else None


def _needed(visibility: Visibility, *, is_wanted: bool) -> list[frozenset[int]]:
    """Sets of grantees, one of each of which must have a grant that this holds, or with `is_wanted`
    false that it does not.
    """
    match visibility:
        case Granted() if is_wanted:
            return [visibility.grantees | visibility.parts]
        case Except(part):
            return _needed(part, is_wanted=not is_wanted)
        case Both(parts) | Either(parts):
            several = [_needed(part, is_wanted=is_wanted) for part in parts]
            if isinstance(visibility, Both) is is_wanted:
                return [one for needed in several for one in needed]
            if all(several):
                least = (min(needed, key=len) for needed in several)
                return [frozenset[int]().union(*least)]
    return []


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
    match part:
        case Nothing():
            return Everything()
        case Everything():
            return Nothing()
        case Except(inner):
            return inner
        case _:
            return Except(part)


class _Known:
    """What holds of a record, and what does not, where a part is read."""

    def __init__(
        self, holding: Sequence[Visibility] = (), failing: Sequence[Visibility] = ()
    ) -> None:
        self._holding = tuple(holding)
        self._failing = tuple(failing)
        self._is_of_patient = any(isinstance(one, Granted | OfPatient) for one in self._holding)
        self._labels = frozenset[int]().union(
            *(one.labels for one in self._failing if isinstance(one, Labelled))
        )
        self._senders = frozenset[int]().union(
            *(one.senders for one in self._failing if isinstance(one, OfSender))
        )

    def reduced(self, visibility: Visibility) -> Visibility:
        """The part in fewer words, for records of which this is known."""
        match visibility:
            case Both(parts):
                return both(_labels_joined(self._each(parts, is_holding=True), Except))
            case Either(parts):
                return either(_labels_joined(self._each(parts, is_holding=False), _itself))
            case Except(part):
                return without(self.reduced(part))
            case _:
                return self._atom(visibility)

    def _atom(self, atom: Visibility) -> Visibility:
        if atom in self._holding:
            return Everything()
        if atom in self._failing:
            return Nothing()
        match atom:
            case OfNobody() if self._is_of_patient:
                return Nothing()
            case Granted() | OfPatient() if OfNobody() in self._holding:
                return Nothing()
            case Labelled(labels) if self._labels & labels:
                return Labelled(labels - self._labels) if labels - self._labels else Nothing()
            case OfSender(senders) if self._senders & senders:
                return OfSender(senders - self._senders) if senders - self._senders else Nothing()
            case _:
                return atom

    def _each(self, parts: Sequence[Visibility], *, is_holding: bool) -> list[Visibility]:
        """Each of the parts, where those before it hold (of all), or fail (of any); single words
        come first, since they say the most.
        """
        holding, failing = [*self._holding], [*self._failing]
        found = []
        for part in sorted(parts, key=_is_long):
            reduced = _Known(holding, failing).reduced(part)
            found.append(reduced)
            _learn(reduced, holding, failing, holds=is_holding)
        return found


def _is_long(part: Visibility) -> bool:
    return isinstance(part.part if isinstance(part, Except) else part, Both | Either)


def _learn(
    part: Visibility, holding: list[Visibility], failing: list[Visibility], *, holds: bool
) -> None:
    """Note the words that are known where a part holds, or fails."""
    match part:
        case Except(inner):
            _learn(inner, holding, failing, holds=not holds)
        case Both(parts) if holds:
            for one in parts:
                _learn(one, holding, failing, holds=True)
        case Either(parts) if not holds:
            for one in parts:
                _learn(one, holding, failing, holds=False)
        case Both() | Either():
            pass
        case _:
            (holding if holds else failing).append(part)


def _itself(part: Visibility) -> Visibility:
    return part


def _labels_joined(
    parts: list[Visibility], form: Callable[[Labelled], Visibility]
) -> list[Visibility]:
    """Several sets of labels of the same form as one: any of them is asked for, or none."""
    mine = [one for one in parts if isinstance(one, Labelled)]
    if form is Except:
        excepted = [one.part for one in parts if isinstance(one, Except)]
        mine = [one for one in excepted if isinstance(one, Labelled)]
    if len(mine) < 2:
        return parts
    forms = [form(one) for one in mine]
    every = Labelled(frozenset[int]().union(*(one.labels for one in mine)))
    return [*(part for part in parts if part not in forms), form(every)]
