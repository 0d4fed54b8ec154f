"""Refuses to write what does not keep a profile that it claims."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Final

from quanmin.base.database import Connection
from quanmin.base.problems import Gone, Invalid, Issue, NotFound
from quanmin.fhir.json import Json, decode
from quanmin.records.profiles.judging import named_record
from quanmin.records.reading import read
from quanmin.records.visibility import Visibility

if TYPE_CHECKING:
    from quanmin.records.context import Context
    from quanmin.records.draft import Draft

# As the store does: a large bundle does not hold up every other request.
_YIELD_EVERY: Final = 16


async def refuse_unfit(
    context: Context,
    connection: Connection,
    drafts: Collection[Draft],
    positions: Mapping[int, int | None],
    seen: Visibility,
) -> None:
    """Hold when every draft keeps the profiles that it, or a record within it, claims and the node
    knows.

    `positions` says where in a bundle each draft stands. What a profile asks of records that are
    referred to is held against the other drafts and what of the store is `seen`. Raises Invalid
    with every fault of every draft. Profiles written by the same transaction are not in force yet.
    """
    profiles = context.profiles
    if profiles.limits.profiles == "off":
        return
    claiming = [draft for draft in drafts if draft.is_claiming]
    if not claiming:
        return
    bodies = {(draft.definition.name, draft.id): draft.body for draft in drafts}

    async def resolve(reference: str) -> Json | None:
        name = named_record(reference, context.base)
        if name is None or name in bodies:
            return decode(bodies[name]) if name is not None else None
        return await _look_up(connection, context, seen, *name)

    knowledge = await profiles.knowledge(connection)
    issues: list[Issue] = []
    for number, draft in enumerate(claiming):
        if number % _YIELD_EVERY == 0:
            await asyncio.sleep(0)
        position = positions[draft.rid]
        at = "" if position is None else f"Bundle.entry[{position}].resource"
        issues += await profiles.judge(
            context,
            connection,
            knowledge,
            decode(draft.body),
            at=at,
            is_brief=True,
            resolve=resolve,
        )
    faults = tuple(issue for issue in issues if issue.severity == "error")
    if faults:
        raise Invalid("a record does not keep a profile that it claims", issues=faults)


async def _look_up(
    connection: Connection, context: Context, seen: Visibility, type_: str, id_: str
) -> Json | None:
    """A record that may be seen, decoded; None where there is none."""
    try:
        stored = await read(connection, context, seen, type_, id_)
    except (NotFound, Gone):
        return None
    return None if stored.body is None else decode(stored.body)
