"""`$everything`: the compartment of a Patient or an Encounter, and what it refers to, in parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quanmin.api.bundles import bundle, found_entry, warning_entry
from quanmin.api.parameters import all_of, single, taken
from quanmin.api.reading import count_of, moments
from quanmin.api.reply import Reply
from quanmin.base.problems import Malformed
from quanmin.trust import Related

if TYPE_CHECKING:
    from quanmin.api.address import Pairs
    from quanmin.api.call import Call

_DATED = frozenset({"start", "end"})
_TAKEN = frozenset({"_since", "_type", "_count"})
TAKEN = {"Patient": _TAKEN | _DATED, "Encounter": _TAKEN}


async def gather(call: Call) -> Reply:
    """A part of all that belongs to one record (R4 operation-patient-everything)."""
    kind, id_, _ = call.parts
    call = taken(call, TAKEN[kind])
    pairs, limits = call.pairs, call.desk.limits
    start, end = _moment(call, pairs, "start"), _moment(call, pairs, "end")
    since, count = _moment(call, pairs, "_since"), single(pairs, "_count")
    if start and end and start[0] >= end[1]:
        raise Malformed("start is after end: nothing lies between them")
    asked = Related(
        types=frozenset(all_of(pairs, "_type")),
        since=since[0] if since else None,
        start=start[0] if start else None,
        end=end[1] if end else None,
        count=limits.count_default if count is None else count_of(count, limits.count_max),
        cursor=call.position,
    )
    hits = await call.records.related(kind, id_, asked)
    entries = [found_entry(stored, call.base, "match", None) for stored in hits.matches]
    entries += [found_entry(stored, call.base, "include", None) for stored in hits.included]
    if hits.issues:
        entries.append(warning_entry(hits.issues))
    is_bound = await call.records.needs_consent_to_pass_on(hits)
    links = call.links(pairs, hits.next)
    return Reply(200, bundle("searchset", entries, links=links, is_bound=is_bound))


def _moment(call: Call, pairs: Pairs, name: str) -> tuple[int, int] | None:
    value = single(pairs, name)
    return None if value is None else moments(call, name, value)
