"""Assembles Bundles out of stored bytes: records are spliced in, never decoded and written anew."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import tzinfo
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec

from quanmin.api.moments import instant
from quanmin.fhir.outcome import operation_outcome

if TYPE_CHECKING:
    from quanmin.base.problems import Issue
    from quanmin.trust import Stored

# Turns the bytes of a record into those that are sent (a summary, some elements); None sends all.
Subset = Callable[[str, bytes], bytes]
Links = Sequence[tuple[str, str]]


def status_line(status: int) -> str:
    """A status as Bundle.entry.response.status wants it: the number and its phrase."""
    return f"{status} {HTTPStatus(status).phrase}"


def _quoted(text: str) -> bytes:
    return msgspec.json.encode(text)


def _members(members: Iterable[tuple[str, bytes]]) -> bytes:
    return (
        b"{"
        + b",".join(b'"%s":%s' % (name.encode("ascii"), value) for name, value in members)
        + b"}"
    )


# No disclosure without consumer's authorization (HL7 v3 ActCode, refrain policies).
_BOUND = (
    b'{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode",'
    b'"code":"NODSCLCD"}]}'
)


def bundle(
    kind: str,
    entries: Iterable[bytes],
    *,
    links: Links = (),
    total: int | None = None,
    is_bound: bool = False,
) -> bytes:
    """A Bundle of `kind` around finished entries; one that `is_bound` says that it is passed on
    with the person's consent only.
    """
    members = [("resourceType", b'"Bundle"')]
    if is_bound:
        members.append(("meta", _BOUND))
    members.append(("type", _quoted(kind)))
    if total is not None:
        members.append(("total", b"%d" % total))
    if links:
        written = (_members((("relation", _quoted(a)), ("url", _quoted(b)))) for a, b in links)
        members.append(("link", b"[%s]" % b",".join(written)))
    listed = b",".join(entries)
    if listed:  # FHIR knows no empty lists
        members.append(("entry", b"[%s]" % listed))
    return _members(members)


def found_entry(stored: Stored, base: str, mode: str, subset: Subset | None) -> bytes:
    """The entry of one hit: its whole address, its body, and why it is there."""
    body = stored.body or b"null"
    if subset is not None:
        body = subset(stored.type, body)
    head = f'{{"fullUrl":"{base}/{stored.type}/{stored.id}","resource":'
    return b'%s%s,"search":{"mode":"%s"}}' % (head.encode(), body, mode.encode("ascii"))


def warning_entry(issues: Iterable[Issue]) -> bytes:
    """The entry of a searchset that says what was not done as asked."""
    return b'{"resource":%s,"search":{"mode":"outcome"}}' % operation_outcome(tuple(issues))


def version_entry(stored: Stored, base: str, zone: tzinfo, subset: Subset | None) -> bytes:
    """The entry of one version in a history: the write that made it, and its state after."""
    url = f"{stored.type}/{stored.id}"
    members = [("fullUrl", _quoted(f"{base}/{url}"))]
    if stored.body is not None:
        members.append(
            ("resource", stored.body if subset is None else subset(stored.type, stored.body))
        )
    address = stored.type if stored.method == "POST" else url
    request = _members((("method", _quoted(stored.method)), ("url", _quoted(address))))
    status = {"POST": 201, "PUT": 200, "DELETE": 204}[stored.method]
    response = _members(_response(status, stored, zone))
    return _members((*members, ("request", request), ("response", response)))


def _response(status: int, stored: Stored, zone: tzinfo) -> list[tuple[str, bytes]]:
    return [
        ("status", _quoted(status_line(status))),
        ("etag", _quoted(f'W/"{stored.version}"')),
        ("lastModified", _quoted(instant(stored.updated, zone))),
    ]


def answer_entry(
    status: int,
    *,
    zone: tzinfo,
    stored: Stored | None = None,
    has_location: bool = False,
    resource: bytes | None = None,
    full_url: str | None = None,
    issues: tuple[Issue, ...] = (),
) -> bytes:
    """The entry of a batch or transaction response; `resource` only when it was asked for."""
    response = [("status", _quoted(status_line(status)))]
    if stored is not None:
        response = _response(status, stored, zone)
    if stored is not None and has_location:
        location = f"{stored.type}/{stored.id}/_history/{stored.version}"
        response.insert(1, ("location", _quoted(location)))
    if issues:
        response.append(("outcome", operation_outcome(issues)))
    members = [] if full_url is None else [("fullUrl", _quoted(full_url))]
    if resource is not None:
        members.append(("resource", resource))
    return _members((*members, ("response", _members(response))))
