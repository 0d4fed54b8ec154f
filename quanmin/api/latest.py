"""`Observation/$lastn`: the latest observations of each code (R4 observation-operation-lastn)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from quanmin.api.bundles import bundle, found_entry
from quanmin.api.parameters import single, taken
from quanmin.api.reply import Reply
from quanmin.base.problems import Malformed, TooCostly
from quanmin.fhir.table import load_table

if TYPE_CHECKING:
    from quanmin.api.call import Call
    from quanmin.trust import Stored

_DIGITS_MAX = 4
_WHOSE = frozenset({"patient", "subject"})


class _Coding(msgspec.Struct):
    system: str = ""
    code: str = ""


class _Concept(msgspec.Struct):
    coding: list[_Coding] = []
    text: str = ""


class _Observation(msgspec.Struct):
    code: _Concept


_DECODER = msgspec.json.Decoder(_Observation)


class _Group:
    """What was observed under codes of which each record has one: newest first, ties together."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._times: list[int | None] = []
        self.records: list[Stored] = []

    def take(self, stored: Stored) -> None:
        """Keep the next newest, if it is among the latest or as late as the last of them."""
        time = stored.facts.time
        is_tied = bool(self._times) and time is not None and self._times[-1] == time
        if len(self._times) < self._size or is_tied:
            self._times.append(time)
            self.records.append(stored)


async def latest(call: Call) -> Reply:
    """The latest `max` (1) observations of each code that meet the search parameters given."""
    params = load_table().types["Observation"].params
    served = frozenset(params) - {"_text", "_content", "_filter"}
    asked = [name for name, _ in call.pairs]
    call = taken(call, {"max", *served, *(name for name in asked if name.split(":")[0] in served)})
    pairs = call.pairs
    if not any(name.split(":")[0] in _WHOSE for name, _ in pairs):
        raise Malformed("name whose observations: patient or subject")
    size = _size(single(pairs, "max"))
    criteria = [pair for pair in pairs if pair[0] != "max"]
    query = call.parse("Observation", [*criteria, ("_sort", "-date")], is_strict=True)
    rows_max = call.desk.limits.latest_rows_max
    hits = await call.records.search_all(query, rows_max=rows_max, action="lastn")
    if hits.next is not None:
        raise TooCostly(
            f"more than {rows_max} observations would have to be read: narrow by category, code or"
            " date"
        )
    groups: dict[str, _Group] = {}
    every: list[_Group] = []
    for stored in hits.matches:
        names = _names(stored)
        group = next((groups[name] for name in names if name in groups), None)
        if group is None:
            group = _Group(size)
            every.append(group)
        groups.update(dict.fromkeys(names, group))
        group.take(stored)
    entries = [
        found_entry(stored, call.base, "match", None) for group in every for stored in group.records
    ]
    links = call.links(pairs, None)[: 0 if call.is_private else 1]
    return Reply(200, bundle("searchset", entries, links=links, total=len(entries)))


def _size(value: str | None) -> int:
    if value is None:
        return 1
    is_number = value.isascii() and value.isdecimal() and len(value) <= _DIGITS_MAX
    if not is_number or int(value) == 0:
        raise Malformed("max must be a whole number, 1 or more")
    return int(value)


def _names(stored: Stored) -> list[str]:
    """What an observation says it is of: its codings, or its text where it has none."""
    concept = _DECODER.decode(stored.body or b"").code
    codings = [f"{one.system}|{one.code}" for one in concept.coding if one.code]
    return codings or [f"text {concept.text}"]
