"""Erases some source Patients, in one transaction with what says so, what links they had, and what
the person has permitted and refused.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from quanmin.base.database import Connection
from quanmin.records.operation import Change
from quanmin.trust.erasing import note_erasure
from quanmin.trust.lifecycle.handing_out import begin_erasing
from quanmin.trust.lifecycle.wishes import Wishes, move_wishes

if TYPE_CHECKING:
    from quanmin.records.model import Stored
    from quanmin.trust.guarding import Guarding
    from quanmin.trust.log import Notes


async def erase_patients_of(
    guard: Guarding,
    notes: Notes,
    choose: Callable[[Connection], Awaitable[Sequence[int]]],
    also: Callable[[Connection, Sequence[Change]], Awaitable[None]],
) -> Wishes:
    """Erase the source Patients (record keys) that `choose` gives, with `also` in the same
    transaction; of a person to whom nothing is linked any more the number is forgotten too. What
    the person has permitted and refused goes on under another registration, if one is left.
    Durable, and in the ledger, when this returns.
    """
    patients: list[int] = []
    persons: set[int] = set()
    wishes = Wishes()
    moved: list[Stored] = []

    async def held(connection: Connection) -> Sequence[int]:
        nonlocal wishes
        await begin_erasing(connection)
        patients[:] = await choose(connection)
        persons.clear()
        for patient in patients:
            person = await guard.people.hold(connection, patient)
            persons.update(() if person is None else (person,))
        wishes = Wishes()
        moved.clear()
        for person in sorted(persons):
            linked = await guard.people.patients_of(connection, person)
            of_person, written = await move_wishes(guard, connection, patients, linked)
            wishes = wishes.and_(of_person)
            moved.extend(written)
        return patients

    async def note(connection: Connection, changes: Sequence[Change]) -> None:
        for person in sorted(persons):
            if not await guard.people.patients_of(connection, person):
                await guard.people.forget(connection, person)
        await note_erasure(connection, guard.log, notes, patients, changes, moved=moved)
        await also(connection, changes)

    # Who may is decided before; what lies erased is of whatever tenant.
    await guard.store.erase(held, note, wall=guard.store.whole_node)
    notes.settle()
    return wishes
