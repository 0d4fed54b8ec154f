"""Keeps the register of institutions equal to its Organizations, in the transaction that writes
one: an institution is closed from the moment that is answered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from quanmin.base.database import Connection
from quanmin.base.problems import Conflict, Invalid, Issue, Sentence
from quanmin.records.operation import Change
from quanmin.trust.registers.definitions import institution_rule, is_of_register
from quanmin.trust.registers.entry import OPEN_END, Entry, Stage, pieces, read_entry

_ENTRY: Final = "select code, sender from trust.institution_entry where organization = $1"
_OTHER: Final = """
    select id, code from trust.institution_entry
    where (code = $2 or sender = $3) and organization <> $1 limit 1
"""
_ENTER: Final = """
    insert into trust.institution_entry (organization, id, code, sender) values ($1, $2, $3, $4)
    on conflict (organization) do update set code = excluded.code, sender = excluded.sender
"""
_KNOWN: Final = """
    select since, until, name, level, grade, kind, region, parent from trust.institution
    where organization = $1 and since < $2 order by since
"""
_IN_FORCE: Final = """
    select level, grade, kind, region, parent, name, state, until from trust.institution
    where organization = $1 and since <= $2 and until > $2
"""
_END: Final = """
    update trust.institution set until = $2
    where organization = $1 and since < $2 and until > $2
"""
_FORGET_LATER: Final = "delete from trust.institution where organization = $1 and since >= $2"
_INSERT: Final = """
    insert into trust.institution (organization, sender, code, name, level, grade, kind, region,
        parent, state, since, until)
    select $1, $2, code, $3, $4, $5, $6, $7, $8, $9, $10, $11
    from trust.institution_entry where organization = $1
"""


class Told(msgspec.Struct, frozen=True):
    """What an Organization says of an institution whatever its state; of a change of it no day is
    stated, so it holds from the moment that it is written.
    """

    name: str
    level: str | None
    grade: str | None
    kind: str | None
    region: str
    parent: int | None


Piece = tuple[int, int, Told]


class InstitutionIndex:
    """The projection of the register's Organizations onto dated rows."""

    types = frozenset({"Organization"})
    is_early = False

    def __init__(self, zone: ZoneInfo, rid_of: Callable[[str, str], int | None]) -> None:
        """Dates without a zone are read in `zone`; `rid_of` gives the key of `type/id`."""
        self._zone = zone
        self._rid_of = rid_of

    async def apply(self, connection: Connection, changes: Sequence[Change]) -> None:
        """Write each changed entry anew. Raises Invalid for one that breaks a rule of the register,
        Conflict for a code that another institution has, or a deletion.
        """
        for change in changes:
            if await is_of_register(connection, change.sender):
                await self._apply(connection, change)

    async def _apply(self, connection: Connection, change: Change) -> None:
        known = await connection.fetchrow(_ENTRY, change.rid)
        resource = change.resource
        if resource is None:
            if known is not None:
                raise Conflict(
                    "an institution of the register is not deleted: give it a state that is closed"
                )
            return
        read = read_entry(resource, self._zone)
        if isinstance(read, list):
            raise Invalid("the register of institutions does not take this", issues=tuple(read))
        if read is None:
            if known is not None:
                raise Invalid("an institution of the register keeps a unified social credit code")
            return
        if read.sender in institution_rule().register.senders:
            text = Sentence("this code is of those who write the registers: choose another")
            where = "Organization.identifier"
            issues = (Issue("error", "business-rule", text, where),)
            raise Invalid("the register of institutions does not take this", issues=issues)
        sender = read.sender or (read.code if known is None else known["sender"])
        if known is not None and sender != known["sender"]:
            raise Conflict("an institution of the register keeps the sender code it began with")
        await self._refuse_taken(connection, change, read.code, sender)
        await connection.execute(_ENTER, change.rid, change.id, read.code, sender)
        if read.stages:
            rows = await connection.fetch(_KNOWN, change.rid, change.updated)
            await connection.execute(
                "delete from trust.institution where organization = $1", change.rid
            )
            parent = self._parent(read)
            own = Told(read.name, read.level, read.grade, read.kind, read.region, parent)
            before = [(row[0], row[1], Told(*tuple(row)[2:])) for row in rows]
            for stage in read.stages:
                bounds = (stage.since, stage.until)
                for since, until, told in pieces(bounds, own, before, change.updated):
                    await self._insert(connection, change, stage, sender, (since, until, told))
        else:
            await self._go_on(connection, change, read, sender)

    async def _refuse_taken(
        self, connection: Connection, change: Change, code: str, sender: str
    ) -> None:
        other = await connection.fetchrow(_OTHER, change.rid, code, sender)
        if other is not None:
            what = (
                Sentence("unified social credit code")
                if other["code"] == code
                else Sentence("sender code")
            )
            raise Conflict(
                Sentence(
                    "Organization/%(other)s of the register has this %(what)s: update that one",
                    other=other["id"],
                    what=what,
                )
            )

    async def _go_on(
        self, connection: Connection, change: Change, entry: Entry, sender: str
    ) -> None:
        """End what held until now and begin what holds from now on, if it is something else."""
        state = "active" if entry.is_active else "closed"
        now = change.updated
        last = await connection.fetchrow(_IN_FORCE, change.rid, now)
        stage = Stage(state, now, OPEN_END, entry.level, entry.grade)
        holds = (entry.level, entry.grade, entry.kind, entry.region, self._parent(entry))
        if last is not None and tuple(last) == (*holds, entry.name, state, OPEN_END):
            return
        # Periods that were stated and have not begun are taken back with the statement.
        await connection.execute(_FORGET_LATER, change.rid, now)
        await connection.execute(_END, change.rid, now)
        told = Told(entry.name, *holds)
        await self._insert(connection, change, stage, sender, (now, OPEN_END, told))

    async def _insert(
        self, connection: Connection, change: Change, stage: Stage, sender: str, piece: Piece
    ) -> None:
        since, until, told = piece
        await connection.execute(
            _INSERT,
            change.rid,
            sender,
            told.name,
            stage.level or told.level,
            stage.grade or told.grade,
            told.kind,
            told.region,
            told.parent,
            stage.state,
            since,
            until,
        )

    def _parent(self, entry: Entry) -> int | None:
        type_, _, id_ = (entry.parent or "").partition("/")
        return self._rid_of(type_, id_) if type_ == "Organization" and id_ else None
