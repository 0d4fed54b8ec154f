"""`$validate`: what is wrong with a resource, told as an OperationOutcome (R4
resource-operation-validate.html). Nothing is written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from quanmin.api.parameters import Parameters
from quanmin.api.reply import Reply
from quanmin.api.writing import if_match
from quanmin.base.problems import Issue, Malformed
from quanmin.fhir.json import decode
from quanmin.fhir.outcome import operation_outcome
from quanmin.trust import is_breaking

if TYPE_CHECKING:
    from quanmin.api.call import Call

_TAKEN = ("mode", "profile", "resource")
_MODES = ("create", "update", "delete", "profile")
_WORSE_FIRST = {"fatal": 0, "error": 0, "warning": 1, "information": 2}


class _Asked(msgspec.Struct):
    """What is to be judged, and how."""

    resource: bytes | None = None
    mode: str = ""
    profiles: tuple[str, ...] = ()


async def validate(call: Call) -> Reply:
    """Judge what was sent, or the record in the address; always 200, what is wrong in the body."""
    asked = _read(call)
    type_, id_ = (*call.parts[:-1], None)[:2]
    match asked.mode:
        case "delete":
            issues = await _deletion(call, str(type_), id_, asked)
        case "create" | "update":
            issues = await _write(call, str(type_), id_, asked)
        case _:
            issues = await _content(call, str(type_), id_, asked)
    issues.sort(key=lambda issue: _WORSE_FIRST[issue.severity])
    return Reply(200, operation_outcome(issues))


async def _content(call: Call, type_: str, id_: str | None, asked: _Asked) -> list[Issue]:
    judging = call.records.validating
    if asked.mode == "profile" and not asked.profiles:
        raise Malformed("mode=profile needs the parameter profile: the profile to check against")
    if asked.resource is not None:
        return await judging.content(type_, asked.resource, asked.profiles)
    if id_ is None:
        raise Malformed("send the resource to validate, or name a record: Type/id/$validate")
    stored = await judging.stored(type_, id_)
    return await judging.content(type_, stored.body or b"{}", asked.profiles, stored)


async def _write(call: Call, type_: str, id_: str | None, asked: _Asked) -> list[Issue]:
    """The content, and if that is right whether the write would be taken as it was sent."""
    if asked.resource is None:
        raise Malformed(f"mode={asked.mode} needs the resource that would be sent")
    judging = call.records.validating
    issues = await judging.content(type_, asked.resource, asked.profiles)
    if any(map(is_breaking, issues)):
        return issues
    if asked.mode == "create":
        return issues + await judging.creation(type_, asked.resource)
    stated = decode(asked.resource).get("id")
    if stated is None or id_ not in {None, stated}:
        text = "the record's id must be there and be the one in the address"
        return [*issues, Issue("error", "value", text, f"{type_}.id")]
    return issues + await judging.update(
        type_, str(stated), asked.resource, if_match=if_match(call)
    )


async def _deletion(call: Call, type_: str, id_: str | None, asked: _Asked) -> list[Issue]:
    if id_ is None or asked.resource is not None or asked.profiles:
        raise Malformed("mode=delete is about a record: Type/id/$validate, and nothing else sent")
    return await call.records.validating.deletion(type_, id_, if_match=if_match(call))


def _read(call: Call) -> _Asked:
    """What is asked, in the address and in the body. Raises Malformed, NotSupported."""
    itself: bytes | None = None
    if call.body and not _is_asking(call, decode(call.body)):
        itself = call.body
        call = msgspec.structs.replace(call, body=b"")
    said = Parameters(call, _TAKEN, judged="resource")
    mode, profiles = said.text("mode"), tuple(said.texts("profile"))
    if mode is not None and mode not in _MODES:
        raise Malformed(f"mode is one of {', '.join(_MODES)}")
    if not all(profiles):
        raise Malformed("profile is the canonical address of a profile")
    held = said.raw("resource")
    return _Asked(held if itself is None else itself, mode or "", profiles)


def _is_asking(call: Call, sent: dict[str, object]) -> bool:
    """Whether Parameters are those of the operation; at Parameters/$validate they may be what is to
    be judged.
    """
    is_parameters = sent.get("resourceType") == "Parameters"
    if call.parts[0] != "Parameters":
        return is_parameters
    listed = sent.get("parameter")
    return (
        is_parameters
        and isinstance(listed, list)
        and any(isinstance(each, dict) and each.get("name") == "resource" for each in listed)
    )
