"""Keeps the lists of petitions and statements equal to their records, in the transaction that
writes them: who owes an answer by when is one question, and so is what a person says of a record.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from quanmin.base.database import Connection
from quanmin.base.problems import Forbidden
from quanmin.records.context import Context
from quanmin.records.model import Stored
from quanmin.records.operation import Change, Projection
from quanmin.trust.actors import Actor
from quanmin.trust.lifecycle.petition_record import (
    STATEMENT,
    TASK,
    about_of,
    answerer_of,
    due_of,
    is_statement,
    kind_and_state,
)
from quanmin.trust.lifecycle.petition_rules import petition_rules

_PUT: Final = """
    insert into trust.petition
        (task, patient, answerer, kind, state, is_open, filed, moved, due, type, about)
    values ($1, $2, (select sender from records.sender where code = $3 and $3 <> ''),
        $4, $5, $6, $7, $7, $8, $9, $10)
    on conflict (task) do update set patient = excluded.patient, answerer = excluded.answerer,
        state = excluded.state, is_open = excluded.is_open, moved = excluded.moved,
        due = excluded.due
"""
_PUT_STATEMENT: Final = """
    insert into trust.statement (communication, patient, type, about) values ($1, $2, $3, $4)
    on conflict (communication) do nothing
"""
_FORGET: Final = (
    "delete from trust.statement where patient = any($1)",
    "delete from trust.incident_patient where patient = any($1)",
)
_FILED: Final = """
    select exists (select from trust.petition where task = any($1))
        or exists (select from trust.statement where communication = any($1))
"""


class PetitionIndex:
    """The projection of petitions and statements."""

    types = frozenset({TASK, STATEMENT})
    is_early = False

    def __init__(self, context: Context) -> None:
        self._context = context

    async def apply(self, connection: Connection, changes: Sequence[Change]) -> None:
        """See `Projection`. A deletion leaves the row: the guard asks whether who deletes may."""
        for change in changes:
            resource = change.resource
            if resource is None:
                continue
            if change.type == TASK:
                kind, state = kind_and_state(resource)
                # The desk has the node give ids: one that was chosen is no petition.
                if petition_rules().kind_of(kind) and state and change.rid > 0:
                    await self._put(connection, change, kind, state)
            elif is_statement(resource):
                type_, rid = self._about(about_of(resource))
                await connection.execute(_PUT_STATEMENT, change.rid, change.patient, type_, rid)

    async def _put(self, connection: Connection, change: Change, kind: str, state: str) -> None:
        task = change.resource or {}
        known = {one.code for one in petition_rules().state}
        type_, rid = self._about(about_of(task))
        await connection.execute(
            _PUT,
            change.rid,
            change.patient,
            answerer_of(task),
            kind,
            state if state in known else "closed",
            state in petition_rules().open_states,
            change.updated,
            due_of(task, self._context.zone),
            type_,
            rid,
        )

    def _about(self, about: str) -> tuple[int | None, int | None]:
        type_, _, id_ = about.partition("/")
        rid = self._context.rid_of(type_, id_.partition("/")[0]) if id_ else None
        return (None, None) if rid is None else (self._context.definition(type_).number, rid)


def lifecycle_projections(context: Context) -> tuple[Projection, ...]:
    """The projections of this package."""
    return (PetitionIndex(context),)


async def refuse_filed(connection: Connection, actor: Actor, written: Sequence[Stored]) -> None:
    """Raises Forbidden when one of these is a petition or a statement: they are made and answered
    at their desk, where every step is checked, and not written like other records.
    """
    if actor.role == "operator":
        return
    rids = [one.rid for one in written if one.type in PetitionIndex.types]
    if rids and await connection.fetchval(_FILED, rids):
        raise Forbidden(
            "petitions of residents and their statements are not written over this interface:"
            " file and answer them on the pages of petitions"
        )


async def forget_petitions(connection: Connection, patients: Sequence[int]) -> None:
    """Take erased Patients out of the lists, in the caller's transaction; that there was a petition
    of some kind, and how it ended, stays.
    """
    await connection.execute(
        "update trust.petition set patient = null, about = null, type = null, is_open = false"
        " where patient = any($1)",
        [*patients],
    )
    for statement in _FORGET:
        await connection.execute(statement, [*patients])
