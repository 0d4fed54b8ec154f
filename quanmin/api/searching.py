"""Searches: of a type, of a compartment, of everything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from quanmin.api.bundles import bundle, found_entry, warning_entry
from quanmin.api.reply import Reply
from quanmin.api.summary import subset

if TYPE_CHECKING:
    from quanmin.api.call import Call
    from quanmin.fhir.query import Query
    from quanmin.trust import Hits


async def search(call: Call) -> Reply:
    """A slice of what a search finds."""
    query = parse_search(call)
    hits = await call.records.search(query)
    return Reply(200, write_hits(call, query, hits))


async def search_by_form(call: Call) -> Reply:
    """The same with the parameters in the body, so that none of them stands in an address."""
    shown = msgspec.structs.replace(call, parts=call.parts[:-1], is_private=True)
    return await search(shown)


def parse_search(call: Call) -> Query:
    """The query for the path and the parameters of a search."""
    compartment, type_ = None, call.parts[0] if call.parts else None
    if len(call.parts) > 1:
        holder, id_, kind = call.parts
        compartment, type_ = (holder, id_), None if kind == "*" else kind
    query = call.parse(type_, call.pairs, is_strict=call.preference.is_strict)
    limits = call.desk.limits
    count = limits.count_default if query.count is None else min(query.count, limits.count_max)
    return msgspec.structs.replace(
        query,
        compartment=compartment,
        count=count,
        summary=query.summary if count else "count",  # R4 search.html#count: 0 asks for the total
        cursor=call.position,
    )


def write_hits(call: Call, query: Query, hits: Hits) -> bytes:
    """The searchset of one slice."""
    links = call.links(list(query.pairs), hits.next)
    warnings = [warning_entry(hits.issues)] if hits.issues else []
    if query.summary == "count":
        return bundle("searchset", warnings, links=links[:1], total=hits.total)
    part = subset(query.summary, query.elements)
    part_of_included = None if query.elements else part
    entries = [found_entry(stored, call.base, "match", part) for stored in hits.matches]
    entries.extend(
        found_entry(stored, call.base, "include", part_of_included) for stored in hits.included
    )
    return bundle("searchset", [*entries, *warnings], links=links, total=hits.total)
