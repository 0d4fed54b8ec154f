"""Holds whoever a record names as the one who prescribed, vaccinated, certified to the licences of
that day, as far as they are Practitioners of the register; whoever sends it.

It stands among the projections, so that imports, transactions and rehearsals are all held to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from quanmin.base.database import Connection
from quanmin.base.problems import Invalid, Issue, Sentence
from quanmin.fhir.dates import interval
from quanmin.records.operation import Change
from quanmin.trust.registers.definitions import is_of_register
from quanmin.trust.registers.licensing import (
    ANYWHERE,
    Held,
    codes_of,
    licence_rule,
    place_bound,
    unlicensed,
)

_NAMES: Final = ("Practitioner", "PractitionerRole")
_ENTERED: Final = """
    select practitioner as named, practitioner from trust.practitioner_entry
    where practitioner = any($1::bigint[])
    union all
    select distinct role, practitioner from trust.practice where role = any($1::bigint[])
"""
_PLACE: Final = """
    select e.organization, i.level from records.sender s
    join trust.institution_entry e on e.sender = s.code
    left join trust.institution i
        on i.organization = e.organization and i.since <= $2 and i.until > $2
    where s.sender = $1
"""
# Where the sender is no institution of the register, nobody knows where it was: the licence is
# asked for, not its place.
_HELD: Final = """
    select l.kind, coalesce(s.scope, '') as scope
    from trust.licence l left join unnest(l.scopes) s (scope) on true
    where l.practitioner = $1 and l.since <= $2 and l.until > $2 and l.state = any($3::text[])
        and (l.kind <> all($4::text[]) or $5::bigint is null or exists (
            select from trust.practice w
            where w.practitioner = $1 and w.organization = $5 and w.since <= $2 and w.until > $2))
"""


class _Done(msgspec.Struct, frozen=True):
    """That somebody did what a change tells: the key that names them, and where it stands."""

    change: Change
    named: int
    where: str
    codes: frozenset[str]
    at: int


class LicensedActs:
    """Refuses records that tell of an act which its author's licences did not cover."""

    types = frozenset(licence_rule().author)
    is_early = False

    def __init__(self, zone: ZoneInfo, rid_of: Callable[[str, str], int | None]) -> None:
        """Dates without a zone are read in `zone`; `rid_of` gives the key of `type/id`."""
        self._zone = zone
        self._rid_of = rid_of

    async def apply(self, connection: Connection, changes: Sequence[Change]) -> None:
        """Raises Invalid, naming the element and what is missing."""
        done = [one for change in changes for one in self._done(change)]
        if not done:
            return
        rows = await connection.fetch(_ENTERED, sorted({one.named for one in done}))
        entered = {row["named"]: row["practitioner"] for row in rows}
        faults = []
        for one in done:
            if one.named in entered and not await is_of_register(connection, one.change.sender):
                fault = await self._fault(connection, one, entered[one.named])
                faults += [] if fault is None else [fault]
        if faults:
            raise Invalid("an act was done without the licence for it", issues=tuple(faults))

    def _done(self, change: Change) -> Iterator[_Done]:
        # Most of what is sent names nobody in full: it need not be decoded for that.
        if change.body is None or b"Practitioner" not in change.body:
            return
        resource = change.resource or {}
        rule = licence_rule().author[change.type]
        codes = codes_of(resource)
        for path in rule.who:
            references = list(_at(resource, path.split(".")))
            for reference in references:
                stated = str(reference.get("reference") or "") if reference else ""
                type_, _, id_ = stated.partition("/")
                named = self._rid_of(type_, id_) if type_ in _NAMES and id_ else None
                if named is not None:
                    where, at = f"{change.type}.{path}", self._moment(resource, rule.when)
                    yield _Done(change, named, where, codes, change.updated if at is None else at)
            if references:
                return

    def _moment(self, resource: Mapping[str, Any], elements: Sequence[str]) -> int | None:
        """The last moment of what it says of when: a licence that began in the course of a day that
        is all that is known counts.
        """
        for element in elements:
            found = interval(str(resource[element]), self._zone) if element in resource else None
            if found is not None:
                return found[1] - 1
        return None

    async def _fault(self, connection: Connection, one: _Done, practitioner: int) -> Issue | None:
        place = await connection.fetchrow(_PLACE, one.change.sender, one.at)
        organization = None if place is None else place["organization"]
        in_force = list(licence_rule().states.in_force)
        rows = await connection.fetch(
            _HELD, practitioner, one.at, in_force, list(place_bound()), organization
        )
        held: set[Held] = {(row["kind"], row["scope"]) for row in rows}
        level = ANYWHERE if place is None else place["level"]
        act = unlicensed(one.change.type, held, level, one.codes)
        if act is None:
            return None
        needed = " or ".join(sorted(act.kinds))
        scopes = f", scope {' or '.join(sorted(act.scopes))}" if act.scopes else ""
        had = ", ".join(sorted(f"{kind} ({scope})" if scope else kind for kind, scope in held))
        text = Sentence(
            "by the register of practitioners who is named here might not %(act)s at this "
            "institution then: it needs a licence in force of the kind %(needed)s%(scopes)s; "
            "there was: %(had)s. Name who did it, or have the register changed",
            act=act,
            needed=needed,
            scopes=scopes,
            had=had or Sentence("none"),
        )
        return Issue("error", "business-rule", text, one.where)


def _at(element: Any, path: Sequence[str]) -> Iterator[dict[str, Any]]:
    """What stands at the end of a path of names, of each member of a list on the way."""
    if isinstance(element, list):
        for member in element:
            yield from _at(member, path)
    elif isinstance(element, dict):
        if not path:
            yield element
        elif path[0] in element:
            yield from _at(element[path[0]], path[1:])
