"""Finds what is about to be written and does not keep a profile that it claims."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Final

import msgspec

from quanmin.base.database import Connection
from quanmin.base.problems import Gone, Issue, NotFound
from quanmin.fhir.json import Json, decode
from quanmin.fhir.profiles import claims_anything
from quanmin.records.profiles.judging import named_record
from quanmin.records.reading import read
from quanmin.records.visibility import Visibility

if TYPE_CHECKING:
    from quanmin.records.context import Context
    from quanmin.records.draft import Draft

# As the store does: a large bundle does not hold up every other request.
_YIELD_EVERY: Final = 16


class Unwritten(msgspec.Struct, frozen=True):
    """A body that will not be written, and is held to profiles all the same."""

    type: str
    id: str
    body: bytes
    position: int | None


async def unfit(
    context: Context,
    connection: Connection,
    drafts: Collection[Draft],
    *,
    unwritten: Collection[Unwritten],
    positions: Mapping[int, int | None],
    seen: Visibility,
) -> list[Issue]:
    """What the drafts, or records within them, do not keep of the profiles that they claim and the
    node knows. So it is for what will not be written, so that one answer tells everything.

    `positions` says where in a bundle each draft stands. What a profile asks of records that are
    referred to is held against the other bodies and what of the store is `seen`. Profiles written
    by the same transaction are not in force yet.
    """
    profiles = context.profiles
    if profiles.limits.profiles == "off":
        return []
    claiming = [
        Unwritten(draft.definition.name, draft.id, draft.body, positions[draft.rid])
        for draft in drafts
        if draft.is_claiming
    ]
    claiming += [each for each in unwritten if claims_anything(decode(each.body))]
    if not claiming:
        return []
    bodies = {(draft.definition.name, draft.id): draft.body for draft in drafts}
    bodies |= {(each.type, each.id): each.body for each in unwritten}

    async def resolve(reference: str) -> Json | None:
        name = named_record(reference, context.base)
        if name is None or name in bodies:
            return decode(bodies[name]) if name is not None else None
        return await _look_up(connection, context, seen, *name)

    knowledge = await profiles.knowledge(connection)
    issues: list[Issue] = []
    for number, each in enumerate(claiming):
        if number % _YIELD_EVERY == 0:
            await asyncio.sleep(0)
        issues += await profiles.judge(
            context,
            connection,
            knowledge,
            decode(each.body),
            at="" if each.position is None else f"Bundle.entry[{each.position}].resource",
            is_brief=True,
            resolve=resolve,
        )
    return [issue for issue in issues if issue.severity == "error"]


async def _look_up(
    connection: Connection, context: Context, seen: Visibility, type_: str, id_: str
) -> Json | None:
    """A record that may be seen, decoded; None where there is none."""
    try:
        stored = await read(connection, context, seen, type_, id_)
    except (NotFound, Gone):
        return None
    return None if stored.body is None else decode(stored.body)
