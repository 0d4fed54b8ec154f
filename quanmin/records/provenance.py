"""Which Provenance is of patients: that of any record in their compartments.

R4 counts Provenance to a compartment only where a target is the Patient itself; Bulk Data Access
2.0.0 (export.html#query-parameters, includeAssociatedData) wants that of all their records.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from quanmin.base.database import Connection
from quanmin.records.context import Context
from quanmin.records.model import Stored
from quanmin.records.portions import Extent
from quanmin.records.search.reader import Statement
from quanmin.records.visibility import Visibility
from quanmin.records.visibility_sql import visibility_sql


class _Target(msgspec.Struct):
    reference: str = ""


class _Provenance(msgspec.Struct):
    target: list[_Target] = []


_read: Final = msgspec.json.Decoder(_Provenance)


async def of_patients(
    connection: Connection,
    context: Context,
    visibility: Visibility,
    extent: Extent,
    found: Sequence[Stored],
) -> tuple[Stored, ...]:
    """What of an extent's records is of its patients: of Provenance what is about a visible record
    of theirs, of all else everything, which the extent's own rows have told.
    """
    if not extent.is_by_target or not found:
        return tuple(found)
    targets = {stored.rid: set(targets_of(context, stored)) for stored in found}
    statement = Statement()
    rids = statement.bind(sorted(set().union(*targets.values())))
    rows = await connection.fetch(
        f"select r.rid, r.patient from records.record r where r.rid = any({rids}::bigint[])"
        " and r.flags & 1 <> 1 and r.patient is not null"
        f" and {visibility_sql(visibility, statement.bind, 'r')}",
        *statement.arguments,
    )
    asked = None if extent.patients is None else set(extent.patients)
    theirs = {row["rid"] for row in rows if asked is None or row["patient"] in asked}
    return tuple(stored for stored in found if targets[stored.rid] & theirs)


def targets_of(context: Context, stored: Stored) -> Iterator[int]:
    """The record keys of the records of this node that a Provenance is about."""
    for target in _read.decode(stored.body or b"{}").target:
        type_, _, rest = target.reference.removeprefix(context.base).partition("/")
        id_ = rest.partition("/")[0]
        if type_ in context.table.types and id_:
            rid = context.rid_of(type_, id_)
            if rid is not None:
                yield rid
