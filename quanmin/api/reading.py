"""Reads: a record, one of its versions, and histories."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from quanmin.api.bundles import bundle, version_entry
from quanmin.api.negotiation import is_known, is_unmodified
from quanmin.api.reply import Reply, version_headers, version_url
from quanmin.api.summary import subset_asked_for
from quanmin.base.problems import Malformed, NotFound, NotSupported
from quanmin.fhir.query import DateOperand

if TYPE_CHECKING:
    from quanmin.api.call import Call
    from quanmin.trust import Stored

_NUMBER_DIGITS_MAX = 9
_SHAPING = frozenset({"_summary", "_elements"})


class _Span(msgspec.Struct, frozen=True):
    """Which versions a history asks for: how many, made since, current at; in microseconds."""

    count: int
    since: int | None = None
    at: tuple[int, int] | None = None


async def read(call: Call) -> Reply:
    """The current version of a record."""
    type_, id_ = call.parts
    return _show(call, await call.records.read(type_, id_))


async def read_version(call: Call) -> Reply:
    """One version of a record, current or not."""
    type_, id_, _, version = call.parts
    if not version.isdecimal() or not version.isascii() or len(version) > _NUMBER_DIGITS_MAX:
        raise NotFound("versions are numbered 1, 2, 3 ...; there is none of this name")
    return _show(call, await call.records.version(type_, id_, int(version)))


def _show(call: Call, stored: Stored) -> Reply:
    headers = (
        *version_headers(stored),
        (b"content-location", version_url(call.base, stored)),
    )
    if _has_already(call, stored):
        return Reply(304, b"", headers)
    body = stored.body or b""
    if call.pairs:
        subset = subset_asked_for(call.pairs)
        body = body if subset is None else subset(stored.type, body)
    return Reply(200, body, headers)


def _has_already(call: Call, stored: Stored) -> bool:
    sent = call.request.headers
    if b"if-none-match" in sent:  # RFC 9110 13.1.3: the date counts only without a tag
        return is_known(sent[b"if-none-match"].decode("latin-1"), stored.version)
    if b"if-modified-since" in sent:
        return is_unmodified(sent[b"if-modified-since"].decode("latin-1"), stored.updated)
    return False


async def read_history(call: Call) -> Reply:
    """A slice of the history of a record, of a type or of all, newest first."""
    type_, id_ = (*call.parts[:-1], None, None)[:2]
    span = _span(call)
    batch = await call.records.history(
        type_, id_, since=span.since, at=span.at, count=span.count, cursor=call.position
    )
    subset = subset_asked_for(call.pairs)
    entries = (version_entry(v, call.base, call.desk.zone, subset) for v in batch.versions)
    links = call.links(call.pairs, batch.next)
    return Reply(200, bundle("history", entries, links=links, total=batch.total))


def _span(call: Call) -> _Span:
    limits = call.desk.limits
    span = _Span(limits.count_default)
    for name, value in call.pairs:
        if name == "_count":
            span = msgspec.structs.replace(span, count=count_of(value, limits.count_max))
        elif name == "_since":
            span = msgspec.structs.replace(span, since=moments(call, name, value)[0])
        elif name == "_at":
            span = msgspec.structs.replace(span, at=moments(call, name, value))
        elif name not in _SHAPING:
            # Nothing in a history may say that something was ignored (R4 bdl-3, bdl-4).
            raise NotSupported(
                "a history takes _since, _at, _count, _summary and _elements; it does not know"
                f" {name}"
            )
    return span


def count_of(value: str, count_max: int) -> int:
    """The `_count` that was asked for, at least 1 and at most `count_max`."""
    if not (value.isascii() and value.isdecimal()) or len(value) > _NUMBER_DIGITS_MAX:
        raise Malformed("_count must be a whole number, 1 or more")
    return max(1, min(int(value), count_max))


def moments(call: Call, name: str, value: str) -> tuple[int, int]:
    """The span that a date or time without a prefix covers."""
    # A date search already knows every precision and zone.
    refusal = Malformed(f"{name} must be a date or time, as in 2026-11-22T08:00:00+08:00")
    if not value[:1].isdigit():
        raise refusal
    operand = call.parse(None, [("_lastUpdated", value)], is_strict=True).clauses[0].operands[0]
    if not isinstance(operand, DateOperand):
        raise refusal
    return operand.low, operand.high
