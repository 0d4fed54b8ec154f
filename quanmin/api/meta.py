"""`$meta`, `$meta-add` and `$meta-delete`: profiles, tags and security labels by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from quanmin.api.parameters import Parameters, answer, missing
from quanmin.api.reply import Headers, Reply, version_headers
from quanmin.api.writing import if_match
from quanmin.base.problems import TooCostly
from quanmin.fhir.json import encode
from quanmin.fhir.meta import items_in, merged, meta_of, read_meta_change

if TYPE_CHECKING:
    from quanmin.api.call import Call

_SEARCHED = ("_profile", "_security", "_tag")


async def show_meta(call: Call) -> Reply:
    """The meta of one record."""
    Parameters(call, ())
    type_, id_, _ = call.parts
    stored = await call.records.read(type_, id_)
    meta = meta_of(stored.body or b"{}")
    return _returned(meta, version_headers(stored))


async def sum_up_meta(call: Call) -> Reply:
    """The profiles, tags and labels that the records of a type, or all, have; each once."""
    Parameters(call, ())
    (type_,) = call.parts[:-1] or (None,)
    rows_max = call.desk.limits.meta_rows_max
    found = []
    for name in _SEARCHED:
        query = call.parse(type_, [(f"{name}:missing", "false")], is_strict=True)
        hits = await call.records.search_all(query, rows_max=rows_max, action="meta")
        if hits.next is not None:
            raise TooCostly(
                f"more than {rows_max} records have a {name.removeprefix('_')}: ask for one type,"
                f" or search by {name}"
            )
        found += [items_in(meta_of(stored.body or b"{}")) for stored in hits.matches]
    return _returned(encode(merged(found)))


async def add_meta(call: Call) -> Reply:
    """Add profiles, tags and labels to a record; its version stays the same."""
    return await _change(call, is_addition=True)


async def delete_meta(call: Call) -> Reply:
    """Take profiles, tags and labels from a record; its version stays the same."""
    return await _change(call, is_addition=False)


async def _change(call: Call, *, is_addition: bool) -> Reply:
    type_, id_, _ = call.parts
    given = Parameters(call, ("meta",)).tree("meta")
    if given is None:
        raise missing("send Parameters with the one parameter meta, which has a valueMeta")
    change = read_meta_change(encode(given), is_addition=is_addition)
    outcome = await call.records.change_meta(type_, id_, change, if_match=if_match(call))
    meta = meta_of(outcome.stored.body or b"{}")
    return _returned(meta, version_headers(outcome.stored))


def _returned(meta: bytes, headers: Headers = ()) -> Reply:
    return answer([{"name": "return", "valueMeta": msgspec.Raw(meta)}], headers)
