"""Who treats whom: an institution does while a visit, an episode, a care team or an appointment
that it has recorded itself says so, and for some days after.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from datetime import tzinfo
from functools import cache
from importlib import resources
from typing import Any, Final

import msgspec

from quanmin.base.database import Connection
from quanmin.fhir.dates import interval
from quanmin.people import PersonIndex
from quanmin.records.context import Context
from quanmin.records.operation import Change
from quanmin.trust.deciding.grantees import Grantees
from quanmin.trust.deciding.granting import Granting, Grounded, replace_grants

_DAY: Final = 86_400_000_000


class Treating(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a record of one type says that its sender treats its Patient."""

    statuses: frozenset[str]
    open: frozenset[str]
    period: str
    tail_days: int
    open_days_max: int
    lead_days: int = 0


@cache
def load_treating() -> dict[str, Treating]:
    """The types that say so."""
    file = resources.files("quanmin") / "definitions" / "treatment_relation.toml"
    return msgspec.convert(tomllib.loads(file.read_text("utf-8"))["types"], dict[str, Treating])


class TreatmentIndex:
    """The projection of these records onto grants."""

    types = frozenset(load_treating())
    is_early = False

    def __init__(self, people: PersonIndex, context: Context) -> None:
        self._people = people
        self._grantees = Grantees(context.keying)
        self._zone = context.zone

    async def apply(self, connection: Connection, changes: Sequence[Change]) -> None:
        """See `Projection`."""
        grounded = []
        for change in changes:
            span = treated(change, self._zone)
            if span is not None and change.patient is not None and span[1] > change.updated:
                grantee = self._grantees.treating(change.sender)
                grant = Granting(grantee, 0, *span)
                grounded.append(Grounded(change.rid, change.patient, (grant,)))
        earlier = [change.rid for change in changes if change.version > 1]
        now = max(change.updated for change in changes)
        await replace_grants(connection, self._people, earlier, grounded, now)


def treated(change: Change, zone: tzinfo) -> tuple[int, int] | None:
    """From when to before when the record makes its sender one who treats; None for not at all.

    However far off an end is said to be, it is not believed for longer than an open one.
    """
    resource = change.resource
    rule = load_treating()[change.type]
    if resource is None or resource.get("status") not in rule.statuses:
        return None
    start, end = _said(resource, rule, zone)
    since = change.updated if start is None else start
    open_until = change.updated + rule.open_days_max * _DAY
    if end is not None:
        until = min(end, open_until) + rule.tail_days * _DAY
    elif resource["status"] in rule.open:
        until = open_until
    else:
        until = min(since, open_until) + rule.tail_days * _DAY
    return since - rule.lead_days * _DAY, until


def _said(resource: Any, rule: Treating, zone: tzinfo) -> tuple[int | None, int | None]:
    if rule.period == "period":
        period = resource.get("period") or {}
        texts = period.get("start"), period.get("end")
    else:
        texts = tuple(resource.get(name) for name in rule.period.split())
    spans = [interval(text, zone) if text else None for text in texts]
    return (spans[0][0] if spans[0] else None), (spans[1][1] if spans[1] else None)
