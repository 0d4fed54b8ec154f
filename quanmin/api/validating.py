"""`$validate`: what is wrong with a resource, told as an OperationOutcome (R4
resource-operation-validate.html). Nothing is written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from quanmin.api.reply import Reply
from quanmin.api.writing import if_match
from quanmin.base.problems import Issue, Malformed, NotSupported
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


class _Parameter(msgspec.Struct, rename="camel"):
    name: str = ""
    resource: msgspec.Raw = msgspec.Raw()
    value_code: str = ""
    value_uri: str = ""
    value_canonical: str = ""
    value_string: str = ""

    @property
    def text(self) -> str:
        return self.value_code or self.value_uri or self.value_canonical or self.value_string


class _Parameters(msgspec.Struct):
    parameter: list[_Parameter] = []


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
    given = [(name, value) for name, value in call.pairs]
    resource: bytes | None = None
    if call.body:
        sent = decode(call.body)
        if sent.get("resourceType") == "Parameters" and _is_asking(call, sent):
            parameters = _parameters(call.body)
            held = [bytes(each.resource) for each in parameters if each.name == "resource"]
            if len(held) > 1 or held == [b""]:
                raise Malformed("the parameter resource holds one resource")
            resource = held[0] if held else None
            given += [(each.name, each.text) for each in parameters if each.name != "resource"]
        else:
            resource = call.body
    for name, _ in given:
        if name not in _TAKEN[:2]:
            taken = ", ".join(_TAKEN)
            raise NotSupported(f"the operation does not take {name[:64]!r}; it takes {taken}")
    modes = [value for name, value in given if name == "mode"]
    if len(modes) > 1 or any(mode not in _MODES for mode in modes):
        raise Malformed(f"mode is one of {', '.join(_MODES)}")
    profiles = tuple(value for name, value in given if name == "profile")
    if not all(profiles):
        raise Malformed("profile is the canonical address of a profile")
    return _Asked(resource, modes[0] if modes else "", profiles)


def _is_asking(call: Call, sent: dict[str, object]) -> bool:
    """Whether Parameters are those of the operation; at Parameters/$validate they may be what is to
    be judged.
    """
    if call.parts[0] != "Parameters":
        return True
    listed = sent.get("parameter")
    return isinstance(listed, list) and any(
        isinstance(each, dict) and each.get("name") == "resource" for each in listed
    )


def _parameters(body: bytes) -> list[_Parameter]:
    try:
        return msgspec.json.decode(body, type=_Parameters).parameter
    except msgspec.ValidationError as error:
        raise Malformed(
            f"the operation takes Parameters with {', '.join(_TAKEN)}: {error}"
        ) from None
