"""What a Consent says (R4 consent.html), as single statements: who permits or refuses what to whom.

A provision is an exception to what stands around it. Whatever of it the node does not decide by
(single records, codes, times of the data) never opens anything; a refusal that it narrows is taken
without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import tzinfo
from typing import Any, Final, Literal

import msgspec

from quanmin.fhir.dates import interval
from quanmin.fhir.table import load_table
from quanmin.records.sensitivity import load_kinds

SCOPE: Final = "patient-privacy"
_BEFORE_ALL: Final = -(2**63)
_AFTER_ALL: Final = 2**63 - 1
_BASE: Final = {"OPTIN": "permit", "OPTOUT": "deny"}
_NOT_DECIDED_BY: Final = ("code", "dataPeriod", "data")
_READING: Final = frozenset({"access", "use", "collect", "disclose"})

Effect = Literal["permit", "deny", "withdraw", "lift"]


class Statement(msgspec.Struct, frozen=True):
    """One thing that a Consent says. `institutions` are references (R4 Reference), none for every
    institution; `kinds` are labels of kinds that are kept apart; an empty list of the others means
    any. From `since` to before `until`, in microseconds.
    """

    effect: Effect
    institutions: tuple[dict[str, Any], ...] | None = None
    purposes: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    since: int = _BEFORE_ALL
    until: int = _AFTER_ALL


def read_statements(consent: dict[str, Any], zone: tzinfo) -> tuple[Statement, ...]:
    """What the Consent says at all, by its status: an active one what its provisions say, a
    rejected one that what it would permit is refused, an inactive one that it is taken back.
    """
    if SCOPE not in _codes(consent.get("scope")):
        return ()
    said = tuple(_walk(consent, zone))
    match consent.get("status"):
        case "active":
            return said
        case "rejected":
            return tuple(_turned(one, "deny") for one in said if one.effect == "permit")
        case "inactive":
            return tuple(_turned(one, "withdraw") for one in said if one.effect == "permit")
        case _:
            return ()


def _turned(said: Statement, effect: Effect) -> Statement:
    return msgspec.structs.replace(said, effect=effect, since=_BEFORE_ALL, until=_AFTER_ALL)


def _walk(consent: dict[str, Any], zone: tzinfo) -> Iterator[Statement]:
    base = next((_BASE[one] for one in _codes(consent.get("policyRule")) if one in _BASE), None)
    provision = consent.get("provision") or {}
    whole = Statement("permit")
    if base is not None:
        # A provision that does not say what it does says when and for whom the policy holds.
        extent = whole if provision.get("type") else _narrowed(provision, whole, zone)
        yield msgspec.structs.replace(extent, effect=base)
    yield from _provision(provision, whole, base, zone)


def _provision(
    provision: dict[str, Any], around: Statement, outer: str | None, zone: tzinfo
) -> Iterator[Statement]:
    """The statements of a provision and of those within it; `outer` is what it is an exception to.

    An exception to a refusal permits, and lifts the refusal for those it names; not one that
    refuses again within itself, since lifting would take that along: the refusal around it holds.
    """
    said = _narrowed(provision, around, zone)
    effect = provision.get("type")
    if effect == "deny":
        yield msgspec.structs.replace(said, effect="deny")
    elif effect == "permit" and _is_decided_by(provision):
        yield msgspec.structs.replace(said, effect="permit")
        if outer == "deny" and not _refuses_within(provision):
            yield msgspec.structs.replace(said, effect="lift")
    for inner in provision.get("provision") or ():
        yield from _provision(inner, said, effect or outer, zone)


def _refuses_within(provision: dict[str, Any]) -> bool:
    return any(
        one.get("type") == "deny" or _refuses_within(one)
        for one in provision.get("provision") or ()
    )


def _is_decided_by(provision: dict[str, Any]) -> bool:
    actions = set(_codes_of(provision.get("action")))
    labels = [one.get("code") for one in provision.get("securityLabel") or ()]
    return (
        not any(name in provision for name in _NOT_DECIDED_BY)
        and (not actions or not actions.isdisjoint(_READING))
        and set(labels) <= _strict()
        and all(one.get("code") in load_table().types for one in provision.get("class") or ())
    )


def _narrowed(provision: dict[str, Any], around: Statement, zone: tzinfo) -> Statement:
    period = provision.get("period") or {}
    start, end = (
        interval(period[name], zone) if period.get(name) else None for name in ("start", "end")
    )
    actors = tuple(one.get("reference") or {} for one in provision.get("actor") or ())
    purposes = tuple(one["code"] for one in provision.get("purpose") or () if one.get("code"))
    types = tuple(
        one["code"] for one in provision.get("class") or () if one.get("code") in load_table().types
    )
    kinds = tuple(
        one["code"] for one in provision.get("securityLabel") or () if one.get("code") in _strict()
    )
    return Statement(
        "permit",
        actors or around.institutions,
        purposes or around.purposes,
        types or around.types,
        kinds or around.kinds,
        max(around.since, start[0]) if start else around.since,
        min(around.until, end[1]) if end else around.until,
    )


def _strict() -> frozenset[str]:
    return frozenset(kind.label.code for kind in load_kinds() if kind.is_strict)


def _codes(concept: dict[str, Any] | None) -> list[str]:
    return [one.get("code") or "" for one in (concept or {}).get("coding") or ()]


def _codes_of(concepts: Any) -> list[str]:
    return [code for concept in concepts or () for code in _codes(concept)]
