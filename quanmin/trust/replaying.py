"""Carries out again what a restored database has forgotten: erasures, refusals and withdrawals.

Done before anybody is served. What is carried out is in the access log, in the name of the node.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from quanmin.base.crypto import Tampered
from quanmin.base.database import Connection
from quanmin.base.problems import Problem, Unusable
from quanmin.people import PersonIndex
from quanmin.records.context import DELETED
from quanmin.records.ledger import Entry, Ledger, Placed, insert
from quanmin.records.model import Outcome
from quanmin.records.numbers import pass_over
from quanmin.records.operation import Change, Operation, Sender
from quanmin.records.rid import id_of
from quanmin.records.store import Store
from quanmin.records.succession import follow
from quanmin.records.visibility import Everything
from quanmin.trust.actors import Actor
from quanmin.trust.erasing import note_erasure
from quanmin.trust.lifecycle.deletions import bring_back
from quanmin.trust.log import AccessLog, Notes

_NODE: Final = Actor("node", "operator", "The node itself", "")


class Replayed(msgspec.Struct, frozen=True):
    """How many entries were carried out, by what they are, and how many had nothing to act on."""

    erasures: int = 0
    consents: int = 0
    idle: int = 0


class _Named(msgspec.Struct):
    id: str


class Replaying:
    """For one store; nobody else writes meanwhile."""

    def __init__(
        self,
        store: Store,
        people: PersonIndex,
        ledger: Ledger,
        log: AccessLog,
        now: Callable[[], int],
    ) -> None:
        """`now` gives microseconds since 1970-01-01T00:00Z."""
        self._store = store
        self._people = people
        self._ledger = ledger
        self._log = log
        self._notes = Notes(log, now, _NODE, "HOPERAT", "restore")

    async def replay(self) -> Replayed:
        """Bring the database up to the ledger's file. Raises Unusable when it cannot be relied on,
        or when an entry cannot be carried out; a second call goes on from there.
        """
        missing = await self._ledger.missing()
        if not missing:
            return Replayed()
        await self._keep_numbers(missing)
        erasures = [placed for placed in missing if placed.entry.kind == "erasure"]
        erased = {patient for placed in erasures for patient in placed.entry.patients}
        consents = sorted((one for one in missing if one.entry.kind == "consent"), key=_moment)
        # Of each Consent the newest version holds; in order, so that a crash leaves none too new.
        newest = {placed.entry.rid: placed for placed in consents}
        done = 0
        # What was moved from a registration before its erasure would be erased with it here.
        for placed in consents:
            if erased.isdisjoint(placed.entry.patients):
                done += await self._bring_back(placed, is_newest=newest[placed.entry.rid] is placed)
        for placed in erasures:
            await self._erase(placed)
        for placed in consents:
            if not erased.isdisjoint(placed.entry.patients):
                done += await self._bring_back(placed, is_newest=newest[placed.entry.rid] is placed)
        for placed in missing:
            if placed.entry.kind == "certificate":
                await self._bring_back_certificate(placed)
        return Replayed(len(erasures), done, len(consents) - done)

    async def _bring_back_certificate(self, placed: Placed) -> None:
        async with self._store.glancing() as connection, connection.transaction():
            await bring_back(connection, placed.entry.patients, placed.entry.body or b"")
            await insert(connection, placed.entry, placed.end)

    async def _keep_numbers(self, missing: Sequence[Placed]) -> None:
        """Ids given after the backup are not given again: the erased would be somebody else."""
        rids = [rid for placed in missing for rid in placed.entry.patients]
        rids += [placed.entry.rid for placed in missing if placed.entry.rid is not None]
        async with self._store.glancing() as connection:
            await pass_over(connection, max(rids, default=0))

    async def _erase(self, placed: Placed) -> None:
        patients = placed.entry.patients
        persons: set[int] = set()

        async def choose(connection: Connection) -> Sequence[int]:
            persons.clear()
            for patient in patients:
                person = await self._people.hold(connection, patient)
                if person is not None:
                    persons.add(person)
            return patients

        async def note(connection: Connection, changes: Sequence[Change]) -> None:
            for person in sorted(persons):
                if not await self._people.patients_of(connection, person):
                    await self._people.forget(connection, person)
            await note_erasure(connection, self._log, self._notes, patients, changes)
            await insert(connection, placed.entry, placed.end)

        self._notes.begin_anew()
        await self._store.erase(choose, note, is_repeated=True)
        self._notes.settle()

    async def _bring_back(self, placed: Placed, *, is_newest: bool) -> bool:
        """Write a version of a Consent again; whether there was something to write."""
        operation = await self._operation(placed.entry) if is_newest else None

        async def note(connection: Connection, outcomes: Sequence[Outcome | None]) -> None:
            versions = [outcome.stored for outcome in outcomes if outcome is not None]
            kind = "update" if operation is None else operation.kind
            entry = self._notes.entry(kind, "Consent", "ok", versions)
            await self._notes.put_in(connection, [entry])
            await insert(connection, placed.entry, placed.end)

        if operation is None:
            async with self._store.glancing() as connection, connection.transaction():
                await insert(connection, placed.entry, placed.end)
            return False
        sender = await self._store.sender(placed.entry.sender or "")
        everything = Everything()
        self._notes.begin_anew()
        try:
            await self._store.write(Sender(sender, everything, everything), [operation], note)
        except Problem as problem:
            raise Unusable(
                "A consent of the ledger that the restored database has not cannot be written: "
                f"{problem.text}. Nobody is served before it is."
            ) from problem
        self._notes.settle()
        return True

    async def _operation(self, entry: Entry) -> Operation | None:
        """What brings a Consent to the version in the ledger; None where its person is not here, or
        a later version is.
        """
        if entry.rid is None or entry.type is None or entry.version is None or entry.body is None:
            return None
        context, patient = self._store.context, entry.patients[0]
        holder = context.holder(patient, 0)
        async with self._store.glancing() as connection:
            key = (await context.codec.data_keys(connection, [holder])).get(holder)
            updated = await connection.fetchval(
                "select updated from records.record where type = $1 and rid = $2",
                entry.type,
                entry.rid,
            )
        if key is None or (updated is not None and updated >= entry.at):
            return None
        place = context.place(entry.type, entry.rid, entry.version, patient, entry.at)
        try:
            key = follow(context.derive, holder, key, entry.body, entry.succession)
            body = context.codec.open(key, place, entry.body)
        except Tampered:
            return None  # the person is another, or was made anew, after the backup
        assigned = entry.rid > 0
        id_ = (
            id_of(entry.rid, context.prefix)
            if assigned
            else msgspec.json.decode(body, type=_Named).id
        )
        if (entry.flags or 0) & DELETED:
            return None if updated is None else Operation(kind="delete", type="Consent", id=id_)
        return Operation(kind="update", type="Consent", id=id_, body=body, is_brought_back=True)


def _moment(placed: Placed) -> int:
    return placed.entry.at
