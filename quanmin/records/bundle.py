"""Bundles of requests: what each entry asks for, in the order that FHIR gives them, and nothing
half done.

Source of the rules: FHIR R4 http.html#transaction (3.1.0.11).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Literal
from urllib.parse import parse_qsl

import msgspec

from quanmin.base.problems import (
    Invalid,
    Issue,
    Malformed,
    NotSupported,
    Problem,
    Sentence,
    TooLarge,
)
from quanmin.fhir.dates import interval
from quanmin.fhir.grammar import parse_query
from quanmin.fhir.json import malformed
from quanmin.fhir.operands import with_plus
from quanmin.fhir.patch import PATH_PATCH, Patch
from quanmin.fhir.query import Query
from quanmin.records.context import Context
from quanmin.records.operation import IfMatch, Operation
from quanmin.records.reading import HistoryQuery

_ETAG = re.compile(r'(?:W/)?"?(\d{1,9})"?')
_HISTORY_MAX = 1000
# What shapes the answer is of the door's concern.
_SHAPING = frozenset({"_summary", "_elements"})
_NO_FORM = Sentence("_search is for forms: search in a bundle by a GET of Type?parameters")
_NO_PATCH = Sentence(
    "an entry that patches holds Parameters, or a Binary with contentType and data (base64)"
)
_ORDER = {"delete": 0, "create": 1, "update": 2, "patch": 2}


class _Request(msgspec.Struct, rename="camel"):
    method: str
    url: str
    if_match: str | None = None
    if_none_match: str | None = None
    if_none_exist: str | None = None
    if_modified_since: str | None = None


class _Entry(msgspec.Struct, rename="camel"):
    request: _Request | None = None
    full_url: str | None = None
    resource: msgspec.Raw = msgspec.Raw()


class _Bundle(msgspec.Struct, rename="camel"):
    resource_type: str
    type: str
    entry: list[_Entry] = []


class _ResourceId(msgspec.Struct):
    id: str | None = None


class _Binary(msgspec.Struct, rename="camel"):
    """The resource of an entry that patches (R4 http.html#patch)."""

    resource_type: str
    content_type: str = ""
    data: str = ""


class Reading(msgspec.Struct, frozen=True):
    """An entry that reads: a record, one of its versions, a `history`, or a search (`query`)."""

    type: str | None
    id: str | None = None
    version: int | None = None
    history: HistoryQuery | None = None
    query: Query | None = None


class Entry(msgspec.Struct, frozen=True):
    """One entry: where it stood in the bundle and what it asks for; `problem` when it cannot be
    understood.
    """

    position: int
    operation: Operation | None = None
    reading: Reading | None = None
    problem: Problem | None = None


class Requests(msgspec.Struct, frozen=True):
    """A bundle of requests, understood."""

    kind: Literal["transaction", "batch"]
    entries: tuple[Entry, ...]

    def writes(self) -> list[Entry]:
        """The entries that write, in order of execution: deletions, creations, updates, patches."""
        found = [entry for entry in self.entries if entry.operation is not None]
        return sorted(found, key=lambda entry: _ORDER[_kind(entry)])


def _kind(entry: Entry) -> str:
    return entry.operation.kind if entry.operation is not None else ""


_decoder = msgspec.json.Decoder(_Bundle)
_binary_decoder = msgspec.json.Decoder(_Binary)
_id_decoder = msgspec.json.Decoder(_ResourceId)


def read_requests(context: Context, body: bytes, *, is_strict: bool = True) -> Requests:
    """What the bundle asks for; `is_strict` refuses searches with a parameter nobody knows.

    Raises Malformed when it is no JSON bundle, Invalid with one issue for each entry of a
    transaction that cannot be understood (in a batch such an entry carries its problem), TooLarge
    above `bundle_entries_max`.
    """
    try:
        bundle = _decoder.decode(body)
    except msgspec.ValidationError as error:
        raise Malformed(
            Sentence("The body is not a Bundle of requests: %(error)s", error=error)
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(body, error) from error
    if bundle.resource_type != "Bundle":
        raise Malformed(
            "the base address takes a Bundle of type transaction or batch; send others to /{type}"
        )
    if bundle.type not in {"transaction", "batch"}:
        raise NotSupported(
            Sentence(
                "a Bundle of type %(type)r is not a request: send transaction or batch, or"
                " store it at /Bundle",
                type=bundle.type[:32],
            )
        )
    if len(bundle.entry) > context.limits.bundle_entries_max:
        raise TooLarge(
            Sentence(
                "the bundle has %(entry)s entries; this node takes %(bundle_entries_max)s at a"
                " time: send it in parts",
                entry=len(bundle.entry),
                bundle_entries_max=context.limits.bundle_entries_max,
            )
        )
    entries = tuple(
        _understand(context, position, entry, is_strict=is_strict)
        for position, entry in enumerate(bundle.entry)
    )
    if bundle.type == "transaction":
        _refuse_problems(entries)
        _refuse_same_names(bundle.entry)
    return Requests("transaction" if bundle.type == "transaction" else "batch", entries)


def _refuse_problems(entries: Sequence[Entry]) -> None:
    issues = tuple(
        Issue("error", issue.code, issue.text, f"Bundle.entry[{entry.position}]")
        for entry in entries
        if entry.problem is not None
        for issue in entry.problem.issues
    )
    if issues:
        raise Invalid(
            "entries of the transaction cannot be understood; nothing was stored", issues=issues
        )


def _refuse_same_names(entries: Sequence[_Entry]) -> None:
    """Two records under one fullUrl (R4 bdl-7): whatever refers to it could mean either patient."""
    first: dict[str, int] = {}
    issues = []
    for position, entry in enumerate(entries):
        if entry.full_url is not None and first.setdefault(entry.full_url, position) != position:
            text = Sentence(
                "entry[%(first)s] has the same fullUrl: give each entry its own and mend the"
                " references to it",
                first=first[entry.full_url],
            )
            where = f"Bundle.entry[{position}].fullUrl"
            issues.append(Issue("error", "duplicate", text, where))
    if issues:
        raise Invalid(
            "entries of the transaction have the same fullUrl; nothing was stored",
            issues=tuple(issues),
        )


def _understand(context: Context, position: int, entry: _Entry, *, is_strict: bool) -> Entry:
    try:
        if entry.request is None:
            raise Invalid("the entry has no request: give request.method and request.url")
        if entry.request.method in {"GET", "HEAD"}:
            return Entry(position, reading=_reading(context, entry.request, is_strict=is_strict))
        operation = _operation(context, entry, entry.request)
        return Entry(position, operation=msgspec.structs.replace(operation, position=position))
    except Problem as problem:
        return Entry(position, problem=problem)


def _operation(context: Context, entry: _Entry, request: _Request) -> Operation:
    path, _, terms = request.url.partition("?")
    type_, _, id_ = path.strip("/").partition("/")
    context.definition(type_)
    body = bytes(entry.resource) or None
    if_match = _version(request.if_match)
    match request.method:
        case "POST":
            if id_.rpartition("/")[2] == "_search":
                raise NotSupported(_NO_FORM)
            if id_:
                raise NotSupported("POST takes the address of a type: no operations in bundles")
            criteria = _criteria(context, type_, request.if_none_exist)
            return Operation(
                kind="create",
                type=type_,
                body=_need(body),
                criteria=criteria,
                full_url=entry.full_url,
            )
        case "PUT":
            sent_id = id_of_body(_need(body))
            if id_ and sent_id != id_:
                raise Invalid("the resource's id must be the one in request.url")
            criteria = None if id_ else _criteria(context, type_, terms)
            if not id_ and criteria is None:
                raise Invalid("PUT needs an id or search criteria in request.url")
            return Operation(
                kind="update",
                type=type_,
                id=id_ or sent_id,
                body=body,
                criteria=criteria,
                if_match=if_match,
                if_none_match=request.if_none_match == "*",
                full_url=entry.full_url,
            )
        case "PATCH":
            patch = _patch(context, _need(body))
            criteria = None if id_ else _criteria(context, type_, terms)
            operation = _patching(type_, id_ or None, patch, criteria, if_match)
            return msgspec.structs.replace(operation, full_url=entry.full_url)
        case "DELETE":
            criteria = None if id_ else _criteria(context, type_, terms)
            if not id_ and criteria is None:
                raise Invalid("DELETE needs an id or search criteria in request.url")
            return Operation(
                kind="delete", type=type_, id=id_ or None, criteria=criteria, if_match=if_match
            )
    raise NotSupported(
        Sentence(
            "request.method %(method)r is not served: use GET, HEAD, POST, PUT, PATCH or DELETE",
            method=request.method[:16],
        )
    )


def _patching(
    type_: str, id_: str | None, patch: Patch, criteria: Query | None, if_match: IfMatch | None
) -> Operation:
    if id_ is None and criteria is None:
        raise Invalid("PATCH needs an id or search criteria in request.url")
    return Operation(
        kind="patch", type=type_, id=id_, patch=patch, criteria=criteria, if_match=if_match
    )


def _patch(context: Context, body: bytes) -> Patch:
    """The patch that an entry holds: a Parameters resource, or a Binary of another kind of patch
    (R4 http.html#patch).
    """
    try:
        binary = _binary_decoder.decode(body)
        if binary.resource_type == "Parameters":
            return context.read_patch(PATH_PATCH, body)
        raw = base64.b64decode(binary.data, validate=True)
    except (msgspec.DecodeError, binascii.Error, ValueError) as error:
        raise Invalid(_NO_PATCH) from error
    if binary.resource_type != "Binary":
        raise Invalid(_NO_PATCH)
    return context.read_patch(binary.content_type, raw)


def _need(body: bytes | None) -> bytes:
    if body is None:
        raise Invalid("the entry has no resource")
    return body


def id_of_body(body: bytes) -> str | None:
    """The id a resource states; None without. Raises Malformed."""
    try:
        return _id_decoder.decode(body).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(body, error) from error


def _version(etag: str | None) -> IfMatch | None:
    if etag is None:
        return None
    if etag.strip() == "*":
        return "*"
    found = _ETAG.fullmatch(etag.strip())
    if found is None:
        raise Malformed('ifMatch must be a version like W/"3", or *')
    return int(found[1])


def _criteria(context: Context, type_: str, terms: str | None) -> Query | None:
    if not terms:
        return None
    given = terms.removeprefix("?").removeprefix(f"{type_}?")
    return _search(context, type_, given, is_strict=True)


def _reading(context: Context, request: _Request, *, is_strict: bool) -> Reading:
    path, _, terms = request.url.partition("?")
    parts = [part for part in path.strip("/").split("/") if part]
    if parts and parts != ["_history"]:
        context.definition(parts[0])
    if parts and parts[-1] == "_search":
        raise NotSupported(_NO_FORM)
    match parts:
        case [type_, id_, "_history", version] if version.isdecimal():
            return Reading(type_, id_, int(version[:9]))
        case [type_, id_, "_history"]:
            return Reading(type_, id_, history=_history(context, type_, id_, terms))
        case [type_, "_history"]:
            return Reading(type_, history=_history(context, type_, None, terms))
        case ["_history"]:
            return Reading(None, history=_history(context, None, None, terms))
        case [type_, id_]:
            return Reading(type_, id_)
        case [type_, id_, kind]:
            wanted = None if kind == "*" else context.definition(kind).name
            query = _search(context, wanted, terms, is_strict=is_strict)
            query = msgspec.structs.replace(query, compartment=(type_, id_))
            return Reading(wanted, query=query)
        case [type_]:
            return Reading(type_, query=_search(context, type_, terms, is_strict=is_strict))
        case []:
            return Reading(None, query=_search(context, None, terms, is_strict=is_strict))
    raise NotSupported("this request.url is no read, history or search: no operations in bundles")


def _search(context: Context, type_: str | None, terms: str, *, is_strict: bool) -> Query:
    return parse_query(
        type_,
        _pairs(terms),
        strict=is_strict,
        zone=context.zone,
        limits=context.query_limits,
        table=context.table,
    )


def _pairs(terms: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(terms, keep_blank_values=True, errors="strict")
    except (UnicodeDecodeError, ValueError) as error:
        raise Malformed("the search in request.url is not percent-encoded UTF-8") from error


def _history(context: Context, type_: str | None, id_: str | None, terms: str) -> HistoryQuery:
    query = HistoryQuery(type=type_, id=id_)
    for name, value in _pairs(terms):
        if name == "_count" and value.isdecimal() and 0 < int(value[:9]) <= _HISTORY_MAX:
            query = msgspec.structs.replace(query, count=int(value[:9]))
        elif name == "_since" and (moment := interval(with_plus(value), context.zone)):
            query = msgspec.structs.replace(query, since=moment[0])
        elif name == "_at" and (moment := interval(with_plus(value), context.zone)):
            query = msgspec.structs.replace(query, at=moment)
        elif name not in _SHAPING:
            raise NotSupported(
                Sentence(
                    "a history in a bundle takes _since (an instant), _at (a date or time),"
                    " _count (1 to %(history_max)s), _summary and _elements",
                    history_max=_HISTORY_MAX,
                )
            )
    return query
