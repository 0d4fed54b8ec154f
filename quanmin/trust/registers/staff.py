"""What the register of practitioners says as of a day: licences and places, by the key and id of
the Practitioner; who it is stands in the record.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from quanmin.base.database import Connection

_MATCHING: Final = """
    select e.practitioner, e.id from trust.practitioner_entry e
    where e.practitioner > $5 and e.id is not null
        and ($2::text is null and $3::text is null or exists (
            select from trust.licence l
            where l.practitioner = e.practitioner and l.since <= $1 and l.until > $1
                and ($2::text is null or l.kind = $2) and ($3::text is null or l.state = $3)))
        and ($4::text is null or exists (
            select from trust.practice w join trust.institution_entry i using (organization)
            where w.practitioner = e.practitioner and w.since <= $1 and w.until > $1
                and i.code = $4))
    order by e.practitioner limit $6
"""
_ONE: Final = "select practitioner, id from trust.practitioner_entry where id = $1"
_LICENCES: Final = """
    select practitioner, kind, scopes, state, since, until from trust.licence
    where practitioner = any($1::bigint[])
        and ($2::bigint is null or since <= $2 and until > $2)
    order by since, kind
"""
_PLACES: Final = """
    select distinct on (w.practitioner, w.organization, w.since)
        w.practitioner, i.code, coalesce(n.name, i.code) as name, w.since, w.until
    from trust.practice w join trust.institution_entry i using (organization)
    left join trust.institution n on n.organization = w.organization
    where w.practitioner = any($1::bigint[])
        and ($2::bigint is null or w.since <= $2 and w.until > $2)
    order by w.practitioner, w.organization, w.since, n.since desc
"""


class LicenceTold(msgspec.Struct, frozen=True):
    """A licence in one state, from `since` until before `until`."""

    kind: str
    scopes: list[str]
    state: str
    since: int
    until: int


class PlaceTold(msgspec.Struct, frozen=True):
    """An institution (credit code and name) where somebody practises."""

    code: str
    name: str
    since: int
    until: int


class Staff(msgspec.Struct, frozen=True):
    """A practitioner of the register."""

    practitioner: int
    id: str
    licences: tuple[LicenceTold, ...]
    places: tuple[PlaceTold, ...]


class WantedStaff(msgspec.Struct, frozen=True):
    """Who is asked for; None: any. `institution` is a credit code."""

    kind: str | None = None
    state: str | None = None
    institution: str | None = None


async def staff_as_of(
    connection: Connection, moment: int, wanted: WantedStaff, *, after: int, count: int
) -> Sequence[Staff]:
    """The practitioners that match at a moment, after the key `after`, with what holds then."""
    rows = await connection.fetch(
        _MATCHING, moment, wanted.kind, wanted.state, wanted.institution, after, count
    )
    return await _told(connection, [(row["practitioner"], row["id"]) for row in rows], moment)


async def staff_history(connection: Connection, id_: str) -> Staff | None:
    """A practitioner with all that was, is and will be; None when the register has no such."""
    row = await connection.fetchrow(_ONE, id_)
    if row is None:
        return None
    return (await _told(connection, [(row["practitioner"], row["id"])], None))[0]


async def _told(
    connection: Connection, found: Sequence[tuple[int, str]], moment: int | None
) -> list[Staff]:
    keys = [key for key, _ in found]
    licences: dict[int, list[LicenceTold]] = {key: [] for key in keys}
    places: dict[int, list[PlaceTold]] = {key: [] for key in keys}
    for row in await connection.fetch(_LICENCES, keys, moment):
        licences[row[0]].append(LicenceTold(*tuple(row)[1:]))
    for row in await connection.fetch(_PLACES, keys, moment):
        places[row[0]].append(PlaceTold(*tuple(row)[1:]))
    return [Staff(key, id_, tuple(licences[key]), tuple(places[key])) for key, id_ in found]
