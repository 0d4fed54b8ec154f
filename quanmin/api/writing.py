"""Writes: create, update, patch, delete, each also on a condition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from quanmin.api.negotiation import Preference, only_if_absent, version_matched
from quanmin.api.reply import Headers, Reply, version_headers, version_url
from quanmin.base.problems import Issue, Malformed
from quanmin.fhir.outcome import operation_outcome

if TYPE_CHECKING:
    from quanmin.api.call import Call
    from quanmin.fhir.patch import Patch
    from quanmin.trust import Outcome


class _Identified(msgspec.Struct):
    id: str | None = None


_MINIMAL = Preference(returns="minimal")
_IDENTIFIED = msgspec.json.Decoder(_Identified)
_TEXTS = {
    200: "the record is stored",
    201: "the record is stored; it is new",
    204: "the record is deleted, or was not there",
}


async def create(call: Call) -> Reply:
    """A new record; with `If-None-Exist` only when none of the sender's meets the criteria."""
    (type_,) = call.parts
    header = call.request.header(b"if-none-exist")
    criteria = None if header is None else call.criteria_in(type_, header)
    outcome = await call.records.create(type_, call.body, if_none_exist=criteria)
    return _written(call, outcome)


async def update(call: Call) -> Reply:
    """A new version of a record, or the first one under an id of the client's choosing."""
    type_, id_ = call.parts
    _check_id(call.body, id_)
    none_match = call.request.header(b"if-none-match")
    outcome = await call.records.update(
        type_,
        id_,
        call.body,
        if_match=if_match(call),
        if_none_match=none_match is not None and only_if_absent(none_match),
    )
    return _written(call, outcome)


async def update_where(call: Call) -> Reply:
    """A new version of the one record of the sender's that meets the criteria, or a new record."""
    (type_,) = call.parts
    criteria = call.criteria(type_, call.pairs)
    outcome = await call.records.update_where(criteria, call.body, if_match=if_match(call))
    return _written(call, outcome)


async def patch(call: Call) -> Reply:
    """A new version of a record, made out of the one that holds by the steps that were sent."""
    type_, id_ = call.parts
    outcome = await call.records.patch(type_, id_, _steps(call), if_match=if_match(call))
    return _patched(call, outcome)


async def patch_where(call: Call) -> Reply:
    """The same for the one record of the sender's that meets the criteria."""
    (type_,) = call.parts
    criteria = call.criteria(type_, call.pairs)
    outcome = await call.records.patch_where(criteria, _steps(call), if_match=if_match(call))
    return _patched(call, outcome)


async def delete(call: Call) -> Reply:
    """The record is gone from reads and searches; its history stays."""
    type_, id_ = call.parts
    return _deleted(call, await call.records.delete(type_, id_, if_match=if_match(call)))


async def delete_where(call: Call) -> Reply:
    """The same for the one record of the sender's that meets the criteria."""
    (type_,) = call.parts
    criteria = call.criteria(type_, call.pairs)
    return _deleted(call, await call.records.delete_where(criteria, if_match=if_match(call)))


def _steps(call: Call) -> Patch:
    return call.records.read_patch(call.request.header(b"content-type") or "", call.body)


def _check_id(body: bytes, id_: str) -> None:
    """Hold when the body states the id of its address (R4 http.html#update)."""
    try:
        stated = _IDENTIFIED.decode(body).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return  # the store says what is wrong with it, and where
    if stated != id_:
        raise Malformed("the record's id must be there and be the one in the address")


def if_match(call: Call) -> int | Literal["*"] | None:
    """The version that `If-Match` names, None without the header."""
    header = call.request.header(b"if-match")
    return None if header is None else version_matched(header)


def _written(call: Call, outcome: Outcome) -> Reply:
    stored = outcome.stored
    status = 201 if outcome.created else 200
    location = version_url(call.base, stored)
    headers: Headers = (*version_headers(stored), (b"location", location))
    if call.preference.returns == "minimal":
        return Reply(status, b"", headers)
    if call.preference.returns == "OperationOutcome":
        return Reply(status, _told(status), headers)
    return Reply(status, stored.body or b"", (*headers, (b"content-location", location)))


def _patched(call: Call, outcome: Outcome) -> Reply:
    """As of any write; but the rest of the record is no news that a scope to change it gives."""
    if (
        not shows_patched(call, outcome.stored.type)
        and call.preference.returns != "OperationOutcome"
    ):
        call = msgspec.structs.replace(call, preference=_MINIMAL)
    return _written(call, outcome)


def shows_patched(call: Call, type_: str) -> bool:
    """Whether who patches a record of this type may be shown what has become of it."""
    scopes = call.records.actor.scopes
    return scopes is None or scopes.show_what_changes(type_)


def _deleted(call: Call, outcome: Outcome | None) -> Reply:
    headers = () if outcome is None else version_headers(outcome.stored)[:1]
    if call.preference.returns == "OperationOutcome":
        return Reply(200, _told(204), headers)
    return Reply(204, b"", headers)


def _told(status: int) -> bytes:
    return operation_outcome((Issue("information", "informational", _TEXTS[status]),))
