"""What a Consent says (R4 consent.html), as single statements: who permits or refuses what to whom.

A provision is an exception to what stands around it, so it says nothing beyond it. Of several
statements about a record the innermost holds, among equals the one that refuses. Of what the
node does not carry out, in a Consent of before, nothing is opened; a refusal is taken without it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from datetime import tzinfo
from functools import cache
from importlib import resources
from typing import Any, Final, Literal

import msgspec

from quanmin.fhir.dates import interval
from quanmin.fhir.table import load_table
from quanmin.trust.deciding.consent_elements import (
    codes_of,
    elements,
    is_privacy,
    provision_faults,
    strict_kinds,
)

BEFORE_ALL: Final = -(2**63)
AFTER_ALL: Final = 2**63 - 1
# Of these a record may have several: one of what a provision names is not one less of those around
# it. Where it names others than these, it is refused (`find_faults`).
_SEVERAL: Final = ("kinds", "codes")

_RANKS_A_MOMENT: Final = 32

Effect = Literal["permit", "deny", "withdraw"]
Code = tuple[str | None, str]


class Statement(msgspec.Struct, frozen=True):
    """One thing that a Consent says.

    `institutions` are references (R4 Reference), each tuple a choice of which one must be meant;
    `purposes`, `types`, `kinds` (labels of kinds that are kept apart), `codes` and `records` say
    nothing when None. From `since` to before `until`, about what is of the moments from `low` to
    before `high`, all in microseconds. `is_onward`: it is about passing on.
    """

    effect: Effect
    depth: int = 0
    institutions: tuple[tuple[dict[str, Any], ...], ...] = ()
    purposes: frozenset[str] | None = None
    types: frozenset[str] | None = None
    kinds: frozenset[str] | None = None
    codes: frozenset[Code] | None = None
    records: frozenset[str] | None = None
    since: int = BEFORE_ALL
    until: int = AFTER_ALL
    low: int = BEFORE_ALL
    high: int = AFTER_ALL
    is_onward: bool = False

    @property
    def is_partial(self) -> bool:
        """Whether it is about a part of the records of a type."""
        return (
            self.codes is not None
            or self.records is not None
            or (self.low, self.high) != (BEFORE_ALL, AFTER_ALL)
        )

    @property
    def says_nothing(self) -> bool:
        """Whether there can be nothing that it is about."""
        empty = frozenset[str]()
        return (
            self.since >= self.until
            or self.low >= self.high
            or empty in {self.purposes, self.types, self.kinds, self.records}
            or (self.codes is not None and not self.codes)
        )

    def rank(self, moment: int) -> int:
        """Its place among all statements of its person, the Consent being of this moment: the later
        goes before the earlier, the inner before the outer, a refusal before a permission.
        """
        return moment * _RANKS_A_MOMENT + self.depth * 2 + (self.effect == "deny")


def read_statements(consent: dict[str, Any], zone: tzinfo) -> tuple[Statement, ...]:
    """What the Consent says at all, by its status: an active one what its provisions say, a
    rejected one that what it would permit is refused, an inactive one that it is taken back.
    """
    if not is_privacy(consent):
        return ()
    said = tuple(one for one in _walk(consent, zone) if not one.says_nothing)
    match consent.get("status"):
        case "active":
            return said
        case "rejected":
            return tuple(_turned(one, "deny") for one in said if one.effect == "permit")
        case "inactive":
            return tuple(_turned(one, "withdraw") for one in said if one.effect == "permit")
        case _:
            return ()


def moment_of(consent: dict[str, Any], written: int, zone: tzinfo) -> int:
    """When a Consent was given (microseconds): its dateTime, but never later than it was written,
    since a later one would go before all that comes.
    """
    said = consent.get("dateTime")
    span = interval(said, zone) if isinstance(said, str) else None
    return written if span is None else min(span[1] - 1, written)


def _turned(said: Statement, effect: Effect) -> Statement:
    return msgspec.structs.replace(said, effect=effect, since=BEFORE_ALL, until=AFTER_ALL)


def _walk(consent: dict[str, Any], zone: tzinfo) -> Iterator[Statement]:
    policies = elements().policies
    named = (policies[one] for one in codes_of([consent.get("policyRule")]) if one in policies)
    base: Any = next(named, None)
    provision = consent.get("provision") or {}
    whole = Statement("permit")
    if base is not None:
        # A provision that does not say what it does says when and for whom the policy holds.
        bounds = not provision.get("type")
        if not bounds or base == "deny" or not any(provision_faults(provision)):
            extent = _narrowed(provision, whole, zone) if bounds else whole
            yield msgspec.structs.replace(extent, effect=base, depth=0)
    yield from _provision(provision, whole, zone)


def _provision(provision: dict[str, Any], around: Statement, zone: tzinfo) -> Iterator[Statement]:
    """The statements of a provision and of those within it."""
    said = _narrowed(provision, around, zone)
    if said.depth > elements().limits.depth_max:
        return
    is_whole = not any(provision_faults(provision))
    effect = provision.get("type")
    if effect == "deny" or (effect == "permit" and is_whole):
        yield msgspec.structs.replace(said, effect=effect)
    for inner in provision.get("provision") or ():
        for one in _provision(inner, said, zone):
            # Within what is not carried out nothing is opened either.
            if is_whole or one.effect == "deny":
                yield one


def _narrowed(provision: dict[str, Any], around: Statement, zone: tzinfo) -> Statement:
    since, until = _span(provision.get("period"), zone)
    low, high = _span(provision.get("dataPeriod"), zone)
    actors = tuple(one.get("reference") or {} for one in provision.get("actor") or ())
    named: dict[str, set[Any]] = {
        "types": _codes(provision, "class") & load_table().types.keys(),
        "kinds": _codes(provision, "securityLabel") & strict_kinds().keys(),
        "codes": {
            (one.get("system"), one["code"])
            for concept in provision.get("code") or ()
            for one in concept.get("coding") or ()
            if one.get("code")
        },
        "records": {
            str((one.get("reference") or {}).get("reference"))
            for one in provision.get("data") or ()
        },
    }
    actions = set(codes_of(provision.get("action")))
    return msgspec.structs.replace(
        around,
        depth=around.depth + 1,
        institutions=(*around.institutions, *([actors] if actors else [])),
        purposes=_purposes(around.purposes, provision),
        since=max(around.since, since),
        until=min(around.until, until),
        low=max(around.low, low),
        high=min(around.high, high),
        is_onward=bool(actions & elements().actions.onward) if actions else around.is_onward,
        **{name: _common(getattr(around, name), name, wanted) for name, wanted in named.items()},
    )


def _codes(provision: dict[str, Any], name: str) -> set[str]:
    return {one["code"] for one in provision.get(name) or () if one.get("code")}


def _common(around: frozenset[Any] | None, name: str, named: set[Any]) -> frozenset[Any] | None:
    if not named:
        return around
    if around is None or name in _SEVERAL:
        return frozenset(named)
    return around & named


def _purposes(around: frozenset[str] | None, provision: dict[str, Any]) -> frozenset[str] | None:
    """What both name; of a purpose and one that is part of it, the part."""
    named = frozenset(_codes(provision, "purpose"))
    if not named or around is None:
        return named or around
    inner = {one for one in named if not around.isdisjoint(purposes_around(one))}
    outer = {one for one in around if not named.isdisjoint(purposes_around(one))}
    return frozenset(inner | outer)


def _span(period: dict[str, Any] | None, zone: tzinfo) -> tuple[int, int]:
    """From when to before when: both ends belong to a Period, each as long as it is exact."""
    start, end = (
        interval(str(text), zone) if text else None
        for text in ((period or {}).get("start"), (period or {}).get("end"))
    )
    return start[0] if start else BEFORE_ALL, end[1] if end else AFTER_ALL


@cache
def purposes_around(purpose: str) -> tuple[str, ...]:
    """A purpose, and all that it is part of."""
    file = resources.files("quanmin") / "definitions" / "purposes_of_use.toml"
    within = dict(tomllib.loads(file.read_text("utf-8"))["within"])
    found = [purpose]
    while found[-1] in within:
        found.append(within[found[-1]])
    return tuple(found)
