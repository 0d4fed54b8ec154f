"""What a Consent says, line by line for its person: how it stands now, and what ends with it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import tzinfo
from typing import Any, Final, Literal

import msgspec

from quanmin.trust.deciding.consent_elements import codes_of, elements
from quanmin.trust.deciding.consent_reading import purposes_around, read_statements

State = Literal["in force", "over", "to come", "taken back", "refused", "without effect"]
Ending = Literal["treatment", "purpose", "kind", "onward"]

_TREATMENT: Final = "TREAT"
_ENDED: Final[dict[str, State]] = {"inactive": "taken back", "rejected": "refused"}


class Line(msgspec.Struct, frozen=True):
    """One provision; what it does not name is as in the one around it, to which it is an exception
    when it `is_inner`. `institutions` and `records` are references (R4 Reference); `codes` are
    words; the moments are as the Consent writes them.
    """

    effect: str
    is_inner: bool
    is_onward: bool
    institutions: tuple[dict[str, Any], ...]
    kinds: tuple[str, ...]
    types: tuple[str, ...]
    codes: tuple[str, ...]
    records: tuple[dict[str, Any], ...]
    purposes: tuple[str, ...]
    data: tuple[str, str]
    since: str
    until: str


def lines_of(consent: dict[str, Any]) -> list[Line]:
    """The lines, the outer before the inner; of a rejected Consent what it refuses."""
    provision = consent.get("provision") or {}
    policies, around = elements().policies, None
    found = []
    for code in codes_of([consent.get("policyRule")]):
        if code in policies and around is None:
            # A provision that does not say what it does says when and for whom the policy holds.
            bounds = {} if provision.get("type") else provision
            around = _line({**bounds, "type": policies[code]}, None)
            found.append(around)
    found += _lines(provision, around)
    if consent.get("status") != "rejected":
        return found
    permits = (one for one in found if one.effect == "permit")
    return [msgspec.structs.replace(one, effect="deny", is_inner=False) for one in permits]


def state_of(consent: dict[str, Any], zone: tzinfo, now: int) -> State:
    """How it stands at a moment (microseconds)."""
    status = str(consent.get("status") or "")
    if status != "active":
        return _ENDED.get(status, "without effect")
    said = read_statements(consent, zone)
    if not said:
        return "without effect"
    if all(one.until <= now for one in said):
        return "over"
    return "to come" if all(one.since > now for one in said) else "in force"


def endings_of(consent: dict[str, Any], zone: tzinfo) -> tuple[Ending, ...]:
    """What is closed when its permissions are taken back: what it opened for treatment, for another
    purpose or of a kind that is kept apart, or passing on; see `ConsentIndex`.
    """
    said = read_statements({**consent, "status": "inactive"}, zone)
    found: dict[Ending, None] = {}
    for one in said:
        if one.is_onward or one.kinds:
            found["onward" if one.is_onward else "kind"] = None
        else:
            around = purposes_around(_TREATMENT)
            treats = one.purposes is None or not one.purposes.isdisjoint(around)
            found["treatment" if treats else "purpose"] = None
    return tuple(found)


def organizations_of(consent: dict[str, Any]) -> set[str]:
    """The ids of the Organizations that it names."""
    named = (one for line in lines_of(consent) for one in line.institutions)
    ids = {str(one.get("reference") or "").removeprefix("Organization/") for one in named}
    return ids - {""}


def _lines(provision: dict[str, Any], around: Line | None) -> Iterator[Line]:
    line = _line(provision, around)
    if provision.get("type"):
        yield line
    for inner in provision.get("provision") or ():
        yield from _lines(inner, line)


def _line(provision: dict[str, Any], around: Line | None) -> Line:
    def named(name: str) -> tuple[str, ...]:
        return tuple(one["code"] for one in provision.get(name) or () if one.get("code"))

    def references(name: str) -> tuple[dict[str, Any], ...]:
        return tuple(one.get("reference") or {} for one in provision.get(name) or ())

    words = tuple(
        str(one.get("display") or one.get("code") or "")
        for concept in provision.get("code") or ()
        for one in concept.get("coding") or ()
    )
    data, period = provision.get("dataPeriod") or {}, provision.get("period") or {}
    actions = codes_of(provision.get("action"))
    outer = around or _NOTHING
    return Line(
        str(provision.get("type") or outer.effect),
        bool(outer.effect),
        bool(elements().actions.onward.intersection(actions)) if actions else outer.is_onward,
        references("actor") or outer.institutions,
        named("securityLabel") or outer.kinds,
        named("class") or outer.types,
        words or outer.codes,
        references("data") or outer.records,
        named("purpose") or outer.purposes,
        (str(data.get("start") or outer.data[0]), str(data.get("end") or outer.data[1])),
        str(period.get("start") or outer.since),
        str(period.get("end") or outer.until),
    )


_NOTHING: Final = Line(
    effect="",
    is_inner=False,
    is_onward=False,
    institutions=(),
    kinds=(),
    types=(),
    codes=(),
    records=(),
    purposes=(),
    data=("", ""),
    since="",
    until="",
)
