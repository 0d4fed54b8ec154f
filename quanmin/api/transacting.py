"""Transactions and batches: a whole Bundle goes in, an answer for each of its entries comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from quanmin.api.address import parse_pairs, parse_path
from quanmin.api.bundles import answer_entry, bundle, version_entry
from quanmin.api.negotiation import is_known
from quanmin.api.reply import Reply
from quanmin.api.searching import parse_search, write_hits
from quanmin.api.summary import subset_asked_for
from quanmin.api.writing import shows_patched
from quanmin.base.problems import Issue, Problem
from quanmin.fhir.dates import interval

if TYPE_CHECKING:
    from quanmin.api.call import Call
    from quanmin.trust import Batch, EntryOutcome, Hits, Stored

_READS = frozenset({"GET", "HEAD"})


class _Asked(msgspec.Struct, frozen=True, rename="camel"):
    """What one entry asked for; its resource is skipped over."""

    method: str = ""
    url: str = ""
    if_none_match: str | None = None
    if_modified_since: str | None = None


class _Entry(msgspec.Struct):
    request: _Asked | None = None


class _Bundle(msgspec.Struct):
    entry: list[_Entry] = []


_NOTHING = _Asked()
_DECODER = msgspec.json.Decoder(_Bundle)


async def transact(call: Call) -> Reply:
    """Perform a transaction (all or nothing) or a batch (each entry for itself).

    Written records come back only under `Prefer: return=representation`; what was read always does.
    """
    is_strict = call.preference.is_strict
    kind, outcomes = await call.records.bundle(call.body, is_strict=is_strict)
    asked = _DECODER.decode(call.body).entry
    entries = [
        _answer(call, entry.request or _NOTHING, outcome)
        for entry, outcome in zip(asked, outcomes, strict=True)
    ]
    return Reply(200, bundle(f"{kind}-response", entries))


def _answer(call: Call, asked: _Asked, outcome: EntryOutcome) -> bytes:
    zone, stored = call.desk.zone, outcome.stored
    issues = outcome.issues
    try:
        if outcome.hits is not None:
            found = _searchset(call, asked, outcome.hits)
            return answer_entry(outcome.status, zone=zone, resource=found)
        if outcome.history is not None:
            versions = _history(call, asked, outcome.history)
            return answer_entry(outcome.status, zone=zone, resource=versions)
        if stored is not None and asked.method in _READS:
            return _read(call, asked, stored)
    except Problem as problem:
        # What the other entries wrote is durable by now: this one alone may fail.
        return answer_entry(problem.status, zone=zone, issues=problem.issues)
    is_read = asked.method in _READS
    if not is_read and not issues and call.preference.returns == "OperationOutcome":
        issues = (Issue("information", "informational", "done as asked"),)
    is_shown = call.preference.returns == "representation"
    if stored is not None and asked.method == "PATCH":
        is_shown = is_shown and shows_patched(call, stored.type)
    return answer_entry(
        outcome.status,
        zone=zone,
        stored=stored,
        has_location=not is_read and asked.method != "DELETE",
        resource=stored.body if stored is not None and is_shown else None,
        full_url=f"{call.base}/{stored.type}/{stored.id}"
        if stored is not None and is_shown
        else None,
        issues=issues,
    )


def _read(call: Call, asked: _Asked, stored: Stored) -> bytes:
    """A record or version: the part of it that was asked for, or that it is known already."""
    zone = call.desk.zone
    if _has_already(call, asked, stored):
        return answer_entry(304, zone=zone, stored=stored)
    subset = subset_asked_for(_inner(call, asked).pairs)
    body = stored.body or b"null"
    return answer_entry(
        200,
        zone=zone,
        stored=stored,
        resource=body if subset is None else subset(stored.type, body),
        full_url=f"{call.base}/{stored.type}/{stored.id}",
    )


def _has_already(call: Call, asked: _Asked, stored: Stored) -> bool:
    if asked.if_none_match is not None:
        return is_known(asked.if_none_match, stored.version)
    if asked.if_modified_since is not None:  # an instant here, not a date of HTTP
        moment = interval(asked.if_modified_since, call.desk.zone)
        return moment is not None and stored.updated < moment[1]
    return False


def _inner(call: Call, asked: _Asked) -> Call:
    """The call that this entry would have been on its own."""
    path, _, query = asked.url.removeprefix(f"{call.base}/").partition("?")
    return msgspec.structs.replace(
        call,
        parts=parse_path(path.encode("utf-8")),
        pairs=parse_pairs(query.encode("utf-8")),
        is_private=True,
        is_current=True,  # the Bundle looked before it was read
    )


def _searchset(call: Call, asked: _Asked, hits: Hits) -> bytes:
    inner = _inner(call, asked)
    return write_hits(inner, parse_search(inner), hits)


def _history(call: Call, asked: _Asked, batch: Batch) -> bytes:
    inner = _inner(call, asked)
    subset = subset_asked_for(inner.pairs)
    entries = (version_entry(v, call.base, call.desk.zone, subset) for v in batch.versions)
    links = inner.links(inner.pairs, batch.next)
    return bundle("history", entries, links=links, total=batch.total)
