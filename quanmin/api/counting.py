"""`$counts`: how many records there are by type, code or month, each number with the search that
lists the records behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from quanmin.api.parameters import answer, single, taken
from quanmin.base.problems import Malformed, NotSupported
from quanmin.fhir.extraction import index_values
from quanmin.fhir.json import decode
from quanmin.fhir.table import load_table
from quanmin.fhir.values import Token

if TYPE_CHECKING:
    from quanmin.api.address import Pairs
    from quanmin.api.call import Call
    from quanmin.api.reply import Reply
    from quanmin.fhir.query import Query

_OWN = frozenset({"by", "from", "to"})


class _Asked(msgspec.Struct, frozen=True):
    """One number that is asked for: what it is called, and the search that lists what it counts."""

    name: str
    parts: tuple[str, ...]
    pairs: Pairs
    query: Query


async def count_types(call: Call) -> Reply:
    """How many records of each type there are, in all or in the compartment of a Patient."""
    call = taken(call, {"by", "_lastUpdated"})
    pairs = call.pairs
    if single(pairs, "by") not in {None, "type"}:
        raise NotSupported("by: without a type, records are counted by type alone")
    compartment = tuple(call.parts[:-1])
    criteria = [pair for pair in pairs if pair[0] != "by"]
    names = await call.records.types_present()
    if compartment:
        names = [name for name in names if name in load_table().compartments[compartment[0]]]
    asked = []
    for name in names:
        query = call.parse(name, criteria, is_strict=True)
        if compartment:
            query = msgspec.structs.replace(query, compartment=(compartment[0], compartment[1]))
        asked.append(_Asked(name, (*compartment, name), criteria, query))
    return await _answer(call, asked, is_complete=True)


async def count_kinds(call: Call) -> Reply:
    """How many records of a type there are of each code, or in each month."""
    type_ = call.parts[0]
    params = load_table().types[type_].params
    names = [name for name, _ in call.pairs]
    known = {*params, *_OWN, *(name for name in names if name.split(":")[0] in params)}
    call = taken(call, known)
    pairs = call.pairs
    criteria = [pair for pair in pairs if pair[0] not in _OWN]
    match single(pairs, "by"):
        case "month":
            return await _answer(call, _by_month(call, type_, pairs, criteria), is_complete=True)
        case "code" if "code" in params:
            return await _by_code(call, type_, criteria)
        case _:
            kinds = "code or month" if "code" in params else "month"
            raise Malformed(f"by: records of this type are counted by {kinds}")


def _asked(call: Call, type_: str, name: str, pairs: Pairs) -> _Asked:
    return _Asked(name, (type_,), pairs, call.parse(type_, pairs, is_strict=True))


def _by_month(call: Call, type_: str, pairs: Pairs, criteria: Pairs) -> list[_Asked]:
    times = load_table().types[type_].time_params
    if not times:
        raise NotSupported("by: records of this type have no date to be counted by")
    first, last = single(pairs, "from"), single(pairs, "to")
    if first is None:
        raise Malformed("from: name the first month, as in 2026-01 (and the last one in to)")
    begin, end = _month(first), _month(last or first)
    groups_max = call.desk.limits.counts_max
    if not 0 <= end - begin < groups_max:
        raise Malformed(f"from and to: at most {groups_max} months, the first of them first")
    texts = (f"{one // 12:04d}-{one % 12 + 1:02d}" for one in range(begin, end + 1))
    return [_asked(call, type_, text, [*criteria, (times[0], text)]) for text in texts]


def _month(text: str) -> int:
    year, _, month = text.partition("-")
    is_month = len(year) == 4 and len(month) == 2 and (year + month).isdecimal()
    if not is_month or not text.isascii() or not 1 <= int(month) <= 12 or int(year) == 0:
        raise Malformed("from and to are months, as in 2026-01")
    return int(year) * 12 + int(month) - 1


async def _by_code(call: Call, type_: str, criteria: Pairs) -> Reply:
    """The codes of the newest records are counted: the index holds no code, only what it hashes
    to.
    """
    limits = call.desk.limits
    query = call.parse(type_, criteria, is_strict=True)
    hits = await call.records.search_all(query, rows_max=limits.counts_sample_max, action="counts")
    codes: dict[str, None] = {}
    for stored in hits.matches:
        codes.update(dict.fromkeys(_codes(call, type_, stored.body or b"{}")))
    chosen = list(codes)[: limits.counts_max]
    asked = [_asked(call, type_, code, [*criteria, ("code", code)]) for code in chosen]
    return await _answer(call, asked, is_complete=hits.next is None and len(chosen) == len(codes))


def _codes(call: Call, type_: str, body: bytes) -> list[str]:
    """The codes of a record by which a search finds it, as a search writes them."""
    others = frozenset(load_table().types[type_].params) - {"code"}
    found = index_values(type_, decode(body), call.desk.zone, others)
    return [
        f"{_escaped(value.system or '')}|{_escaped(value.code)}"
        for _, values in found
        for value in values
        if isinstance(value, Token) and value.code
    ]


def _escaped(text: str) -> str:
    for mark in ("\\", "|", ",", "$"):
        text = text.replace(mark, f"\\{mark}")
    return text


async def _answer(call: Call, asked: Sequence[_Asked], *, is_complete: bool) -> Reply:
    numbers = await call.records.counts([one.query for one in asked])
    told: list[dict[str, Any]] = [{"name": "complete", "valueBoolean": is_complete}]
    for one, number in zip(asked, numbers, strict=True):
        if number == 0:
            continue
        listed = msgspec.structs.replace(call, parts=one.parts, pairs=one.pairs)
        parts: list[dict[str, Any]] = [{"name": "of", "valueString": one.name}]
        if number is not None:
            parts.append({"name": "number", "valueInteger": number})
        url = listed.links(one.pairs, None)[0][1]
        parts.append({"name": "search", "valueUri": url})
        told.append({"name": "count", "part": parts})
    return answer(told)
