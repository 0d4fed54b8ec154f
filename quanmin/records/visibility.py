"""What an asker may see, as a closed algebra over the columns every record has.

`trust` compiles its rules and the residents' consents to one of these values; `records` alone turns
it into SQL and evaluates it on single records. Both forms are held equal by a property test. There
is no default: every read and every search names its visibility.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class Everything(msgspec.Struct, frozen=True):
    """Every record of this node."""


class Nothing(msgspec.Struct, frozen=True):
    """No record."""


class OfSender(msgspec.Struct, frozen=True):
    """Records whose sender, the institution that wrote them first, is one of these numbers."""

    senders: frozenset[int]


class OfPatient(msgspec.Struct, frozen=True):
    """Records in the compartment of one of these source Patients (record keys), itself included."""

    patients: frozenset[int]


class OfNobody(msgspec.Struct, frozen=True):
    """Records in no patient's compartment: institutions, practitioners, terminology."""


class OfType(msgspec.Struct, frozen=True):
    """Records of one of these resource types."""

    types: frozenset[str]


class Labelled(msgspec.Struct, frozen=True):
    """Records that carry one of these security labels (keys of `_security` tokens)."""

    labels: frozenset[int]


class Having(msgspec.Struct, frozen=True):
    """Records of one type that have one of these codes, by the keys under which a search finds
    them: `keys` of their own, or `codes` (key, and the narrowed system or None for any) of those
    that are searched by time.

    Versions that were replaced keep no keys: none of them is among these.
    """

    type: str
    keys: frozenset[int] = frozenset()
    codes: frozenset[tuple[int, int | None]] = frozenset()


class Since(msgspec.Struct, frozen=True):
    """Records whose main time is at or after this moment, in microseconds since the epoch."""

    low: int


class Granted(msgspec.Struct, frozen=True):
    """Records of the source Patients of whom a grant to one of these grantees holds at a moment
    (microseconds since the epoch), for all of their records or for those of the record's type.

    A grant does not count while another one of a higher rank to one of `lifted_by` is about the
    record. `parts` and `parts_lifting` are grantees of grants about a part of the records; they
    count for Patients with any grant to one of `marks`.

    Read from the projection `records.granted`. `type` says that only records of this type are asked
    about, `is_wide` that there may be many Patients: not what is found, but how. `unread` is for
    versions of which no codes are known: whether a grant about codes is taken for one about them.
    """

    grantees: frozenset[int]
    at: int
    lifted_by: frozenset[int] = frozenset()
    type: str | None = None
    is_wide: bool = True
    parts: frozenset[int] = frozenset()
    parts_lifting: frozenset[int] = frozenset()
    marks: frozenset[int] = frozenset()
    unread: bool | None = None


class Both(msgspec.Struct, frozen=True):
    """All of the parts."""

    parts: tuple[Visibility, ...]


class Either(msgspec.Struct, frozen=True):
    """At least one of the parts."""

    parts: tuple[Visibility, ...]


class Except(msgspec.Struct, frozen=True):
    """Not the part."""

    part: Visibility


Visibility = (
    Everything
    | Nothing
    | OfSender
    | OfPatient
    | OfNobody
    | OfType
    | Labelled
    | Having
    | Since
    | Granted
    | Both
    | Either
    | Except
)


def narrow_to_type(visibility: Visibility, type_: str) -> Visibility:
    """What is left of a visibility among records of one type: the same records, in fewer words.

    A part about other types, joined by "or", would keep the database from any index.
    """
    match visibility:
        case OfType(types):
            return Everything() if type_ in types else Nothing()
        case Having() if visibility.type != type_:
            return Nothing()
        case Granted(type=None):
            return msgspec.structs.replace(visibility, type=type_)
        case Except(part):
            narrowed = narrow_to_type(part, type_)
            if isinstance(narrowed, Everything):
                return Nothing()
            return Everything() if isinstance(narrowed, Nothing) else Except(narrowed)
        case Both(parts):
            left = _narrowed(parts, type_, without=Everything())
            if Nothing() in left:
                return Nothing()
            return _alone(left) or (Both(left) if left else Everything())
        case Either(parts):
            left = _narrowed(parts, type_, without=Nothing())
            if Everything() in left:
                return Everything()
            return _alone(left) or (Either(left) if left else Nothing())
        case _:
            return visibility


def undated(visibility: Visibility) -> tuple[Visibility, set[int]]:
    """The same at the moment 0, and the moments at which it asks what is granted."""
    moments: set[int] = set()
    return _dated(visibility, 0, moments), moments


def at_moment(several: Sequence[Visibility], at: int) -> list[Visibility]:
    """The same at another moment (microseconds since the epoch)."""
    moments: set[int] = set()
    return [_dated(one, at, moments) for one in several]


def _dated(visibility: Visibility, at: int, moments: set[int]) -> Visibility:
    match visibility:
        case Granted():
            moments.add(visibility.at)
            return msgspec.structs.replace(visibility, at=at)
        case Both(parts):
            return Both(tuple([_dated(part, at, moments) for part in parts]))
        case Either(parts):
            return Either(tuple([_dated(part, at, moments) for part in parts]))
        case Except(part):
            return Except(_dated(part, at, moments))
        case _:
            return visibility


def of_versions(visibility: Visibility, *, is_wanted: bool = True) -> Visibility:
    """The same for versions that were replaced: what cannot be known of them is decided against
    showing them.
    """
    match visibility:
        case Having():
            return Nothing() if is_wanted else Everything()
        case Granted():
            return msgspec.structs.replace(visibility, unread=not is_wanted)
        case Except(part):
            return Except(of_versions(part, is_wanted=not is_wanted))
        case Both(parts):
            return Both(tuple(of_versions(part, is_wanted=is_wanted) for part in parts))
        case Either(parts):
            return Either(tuple(of_versions(part, is_wanted=is_wanted) for part in parts))
        case _:
            return visibility


def _narrowed(
    parts: tuple[Visibility, ...], type_: str, *, without: Visibility
) -> tuple[Visibility, ...]:
    narrowed = (narrow_to_type(part, type_) for part in parts)
    return tuple(part for part in narrowed if part != without)


def _alone(parts: tuple[Visibility, ...]) -> Visibility | None:
    return parts[0] if len(parts) == 1 else None


class Grant(msgspec.Struct, frozen=True):
    """What a source Patient grants to a grantee, by the record with the key `source`, from `since`
    to before `until`; for records of one type, None for all.

    One about a part of the records is about those whose main time is from the first to before the
    second moment of `span`, which have one of `codes` (a key, among the record's own or beside its
    time, and there the narrowed system or None for any), and which are among `rids`, as far as
    these say anything.
    """

    grantee: int
    type: str | None = None
    since: int = -(2**63)
    until: int = 2**63 - 1
    source: int = 0
    part: int = 0
    rank: int = 0
    span: tuple[int, int] | None = None
    codes: frozenset[tuple[int, int | None]] | None = None
    rids: frozenset[int] | None = None


class Facts(msgspec.Struct, frozen=True):
    """What of a record decides its visibility, the same columns that SQL sees.

    `grants` are those of the record's source Patient. `keys` and `codes` are those of the record
    that a `Having` or a grant may name. `rid` is the record's key.
    """

    sender: int
    patient: int | None
    type: str
    labels: frozenset[int]
    time: int | None
    grants: frozenset[Grant] = frozenset()
    keys: frozenset[int] = frozenset()
    codes: frozenset[tuple[int, int]] = frozenset()
    rid: int = 0
