"""`DocumentReference/$docref`: a patient's documents by time of care and type (IPA docref)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from quanmin.api.parameters import all_of, single, taken
from quanmin.api.reading import count_of, moments
from quanmin.api.reply import Reply
from quanmin.api.searching import write_hits
from quanmin.base.problems import Issue, Malformed, NotSupported

if TYPE_CHECKING:
    from quanmin.api.address import Pairs
    from quanmin.api.call import Call
    from quanmin.fhir.query import Query

_TAKEN = frozenset({"patient", "start", "end", "type", "on-demand", "profile", "_count"})
_TIMED = (("start", "ge"), ("end", "le"))
_UNDATED = Issue(
    "information",
    "informational",
    "documents that state no time of care (context.period) are left out: ask without start and end",
)


async def list_documents(call: Call) -> Reply:
    """The documents there are of one patient, latest first; none is made for the asking."""
    call = taken(call, _TAKEN)
    query = _query(call, call.pairs)
    hits = await call.records.search(query)
    if any(clause.param.name == "period" for clause in query.clauses):
        hits = msgspec.structs.replace(hits, issues=(*hits.issues, _UNDATED))
    return Reply(200, write_hits(call, query, hits))


def _query(call: Call, pairs: Pairs) -> Query:
    patient = single(pairs, "patient")
    if not patient:
        raise Malformed("name whose documents: patient")
    if single(pairs, "on-demand") not in {None, "false"}:
        raise NotSupported("on-demand: this node makes no documents, it lists those it has")
    if single(pairs, "profile") is not None:
        raise NotSupported("profile: this node does not choose documents by their profiles")
    criteria = [("patient", patient)]
    types = all_of(pairs, "type")
    if types:
        criteria.append(("type", ",".join(types)))
    for name, prefix in _TIMED:
        value = single(pairs, name)
        if value is not None:
            moments(call, name, value)
            criteria.append(("period", f"{prefix}{value}"))
    query = call.parse("DocumentReference", [*criteria, ("_sort", "-date")], is_strict=True)
    count, limits = single(pairs, "_count"), call.desk.limits
    return msgspec.structs.replace(
        query,
        pairs=tuple(pairs),
        count=limits.count_default if count is None else count_of(count, limits.count_max),
        cursor=call.position,
    )
