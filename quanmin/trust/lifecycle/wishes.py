"""Takes what a person has permitted and refused along, before the registration under which it
stands is erased: it holds for the person, and not for the institution that erases.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Final

import msgspec

from quanmin.base.problems import Gone, NotFound
from quanmin.fhir.json import Rewriting, decode, encode
from quanmin.records.context import DELETED, ROW, Context
from quanmin.records.operation import Operation, Sender
from quanmin.records.reading import read_patient
from quanmin.records.visibility import Everything
from quanmin.trust.deciding import CONSENT
from quanmin.trust.deciding.consent_reading import moment_of

if TYPE_CHECKING:
    from quanmin.base.database import Connection
    from quanmin.records.model import Stored
    from quanmin.trust.guarding import Guarding

_ALL: Final = Everything()
_HOLDING: Final = f"""
    select {ROW} from records.record r
    where r.type = $1 and r.patient = any($2) and r.flags & {DELETED} = 0 and exists (
        select from records.granted g where g.source = r.rid and g.until > $3)
    order by r.rid for update
"""  # noqa: S608 - constants of this program


class Wishes(msgspec.Struct, frozen=True):
    """How many Consents that hold stand under another registration from now on, and how many end
    because there is none.
    """

    moved: int = 0
    ended: int = 0

    def and_(self, other: Wishes) -> Wishes:
        """Both together."""
        return Wishes(self.moved + other.moved, self.ended + other.ended)


async def move_wishes(
    guard: Guarding,
    connection: Connection,
    patients: Collection[int],
    linked: Collection[int],
) -> tuple[Wishes, list[Stored]]:
    """Move the Consents of these source Patients that say what holds to the first of those `linked`
    that is left, in the caller's transaction; gives how many, and the versions that this made.
    """
    context = guard.store.context
    number = context.definition(CONSENT).number
    rows = await connection.fetch(_HOLDING, number, [*patients], guard.now())
    if not rows:
        return Wishes(), []
    left = await _there(connection, context, set(linked) - set(patients))
    if not left:
        return Wishes(ended=len(rows)), []
    to, froms = left[0], await _there(connection, context, patients)
    mapping = {
        f"{base}Patient/{one.id}": f"Patient/{to.id}"
        for one in froms
        for base in ("", context.base)
    }
    operations = [
        Operation(kind="update", type=CONSENT, id=one.id, body=_as_of(context, one, mapping))
        for one in await context.open(connection, rows)
    ]
    # It stays its author's: only whose registration it names is another.
    who = Sender(0, _ALL, _ALL, wall=guard.store.whole_node)
    outcomes = await guard.store.amend(connection, who, operations)
    written = [one.stored for one in outcomes if one is not None]
    moved = sum(one.facts.patient == to.rid for one in written)
    return Wishes(moved, len(written) - moved), written


async def _there(
    connection: Connection, context: Context, patients: Collection[int]
) -> list[Stored]:
    """Those of these Patients that are no deletions, by their keys."""
    found = []
    for patient in sorted(patients):
        with contextlib.suppress(NotFound, Gone):
            found.append(await read_patient(connection, context, _ALL, patient))
    return found


def _as_of(context: Context, stored: Stored, mapping: dict[str, str]) -> bytes:
    """The Consent about the other registration, given when it was given: a new version without a
    date of its own would go before all that was said since.
    """
    consent: dict[str, Any] = decode(Rewriting(mapping).apply(stored.body or b"{}"))
    if moment_of(consent, stored.updated, context.zone) == stored.updated:
        consent["dateTime"] = context.instant(stored.updated)
    return encode(consent)
