"""The visits of a person: which institution contributed how many and when, and where each was."""

from __future__ import annotations

import msgspec

from quanmin.fhir.json import decode
from quanmin.web import DeclaredRecords, Visit
from quanmin.web.dates import short_fhir
from quanmin.web.gist import place_of, time_of
from quanmin.web.institutions import institution_names

# More visits than nearly anybody has; where there are more, the page says that it counts these.
_VISITS_MAX = 500


class Contribution(msgspec.Struct, frozen=True):
    """What one institution gave: how many visits, from which day to which."""

    institution: str
    organization: str
    visits: int
    first: str
    last: str


class Visits(msgspec.Struct, frozen=True):
    """What each institution contributed, the latest first, and whether all visits were counted.

    `organizations` tells for the id of each Encounter the id of its institution, `names` for that
    id the name.
    """

    contributions: tuple[Contribution, ...]
    is_whole: bool
    organizations: dict[str, str]
    names: dict[str, str]


async def read_visits(visit: Visit, records: DeclaredRecords, patient_id: str) -> Visits:
    """The visits of the person a source Patient belongs to, the newest 500 of them."""
    timeline = await records.timeline(patient_id, types=("Encounter",), count=_VISITS_MAX)
    days: dict[str, list[str]] = {}
    names: dict[str, str] = {}
    organizations: dict[str, str] = {}
    for stored in timeline.entries:
        resource = decode(stored.body or b"{}")
        organization, words = place_of(resource)
        day = short_fhir(time_of(resource), visit.house.settings.zone)
        days.setdefault(organization, []).append(day)
        organizations[stored.id] = organization
        if words:
            names[organization] = words
    unnamed = (one for one in days if one not in names)
    names |= await institution_names(records, unnamed)
    told = [
        Contribution(names.get(one, ""), one, len(dates), min(dates), max(dates))
        for one, dates in days.items()
    ]
    told.sort(key=lambda one: one.last, reverse=True)
    return Visits(tuple(told), timeline.next is None, organizations, names)
