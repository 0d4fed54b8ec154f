"""`$status` of search parameters and `$reindex`: how far the index is, and working it out anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from quanmin.api.later import Answer, Later, begin
from quanmin.api.parameters import Parameters, answer
from quanmin.base.problems import NotFound

if TYPE_CHECKING:
    from quanmin.api.call import Call
    from quanmin.api.reply import Reply
    from quanmin.trust import Errand, Readiness

_KIND: Final = "reindex"


async def tell_status(call: Call) -> Reply:
    """How far custom search parameters and the rules of indexing are: all, or that of one
    SearchParameter.
    """
    Parameters(call, ())
    found = await call.records.indexed()
    is_one = len(call.parts) == 3
    rid = call.records.context.rid_of("SearchParameter", call.parts[1]) if is_one else None
    told = [
        _part(
            "searchParameter",
            {"name": "url", "valueUri": one.url},
            {"name": "code", "valueCode": one.code},
            *({"name": "base", "valueCode": type_} for type_ in one.types),
            *_told(one.readiness),
        )
        for one in found.parameters
        if not is_one or one.rid == rid
    ]
    if is_one and not told:
        raise NotFound(
            "no active SearchParameter with this id: nothing is searched by a draft or retired one"
        )
    if not is_one:
        told += [
            _part(
                "rule",
                {"name": "name", "valueString": one.rule},
                {"name": "version", "valueInteger": one.version},
                *_told(one.readiness),
            )
            for one in found.rules
        ]
    return answer(told)


def _part(name: str, *parts: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "part": [part for part in parts if part.get("valueUri") != ""]}


def _told(readiness: Readiness) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = [
        {"name": "status", "valueCode": readiness.state},
        {"name": "done", "valueDecimal": round(readiness.share, 4)},
    ]
    if readiness.reason:
        told.append({"name": "reason", "valueString": readiness.reason})
    if readiness.job is not None and readiness.state != "ready":
        told.append({"name": "job", "valueInteger": readiness.job})
    return told


async def reindex(call: Call) -> Reply:
    """Work out anew by what records are found: all, those of a type, or one."""
    call.records.may_reindex()
    Parameters(call, ())
    asked: dict[str, Any] = {"is_whole": True}
    if len(call.parts) == 2:
        asked["types"] = [call.parts[0]]
    elif len(call.parts) == 3:
        type_, id_, _ = call.parts
        stored = await call.records.read(type_, id_)
        asked["record"] = [type_, stored.rid]
    return await begin(call, _KIND, asked)


async def _came(_: Call, errand: Errand) -> Answer:
    result = errand.job.result or {}
    parameters: list[dict[str, Any]] = [
        {"name": name, "valueInteger": result.get(name, 0)} for name in ("records", "changed")
    ]
    if result.get("failed"):
        parameters.append({"name": "failed", "valueInteger": result["failed"]})
        parameters += [
            _part("example", *({"name": name, "valueString": text} for name, text in each.items()))
            for each in result["examples"]
        ]
    return Answer(answer(parameters).body)


REINDEXING: Final = Later(kind=_KIND, answer=_came)
