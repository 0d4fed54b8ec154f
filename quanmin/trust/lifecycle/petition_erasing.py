"""What an erasure that somebody asks an institution for would take, and what keeps it."""

from __future__ import annotations

from typing import Final

from quanmin.base.database import Connection
from quanmin.base.problems import Conflict, Sentence
from quanmin.records.context import DELETED, Context
from quanmin.trust.lifecycle.petition_record import Petition
from quanmin.trust.lifecycle.retention import refuse_held
from quanmin.trust.lifecycle.retention_rules import keepings

_PATIENTS_HERE: Final = """
    select r.rid from records.record r join people.link l on l.patient = r.rid
    where l.person = (select person from people.link where patient = $1)
        and r.type = $2
        and r.sender = (select sender from records.record where type = $2 and rid = $1)
"""
_OTHERS_ABOUT: Final = f"""
    select exists (
        select from records.record r join records.sender s using (sender)
        where r.patient = any($1) and r.flags & {DELETED} = 0 and s.code not like 'actor:%'
            and r.sender <> (select p.sender from records.record p
                where p.rid = $2 and p.patient = $2 limit 1))
"""  # noqa: S608 - constants of this program


async def patients_here(connection: Connection, context: Context, petition: Petition) -> list[int]:
    """The Patients of the person that the same institution registered."""
    number = context.definition("Patient").number
    rows = await connection.fetch(_PATIENTS_HERE, petition.patient, number)
    return sorted({petition.patient, *(row["rid"] for row in rows)})


async def erasable(
    connection: Connection, context: Context, petition: Petition, now: int
) -> list[int]:
    """The Patients that an erasure takes. Raises Conflict where they are held, others have
    written about them, or the law keeps what they have.
    """
    patients = await patients_here(connection, context, petition)
    await refuse_held(connection, patients)
    if await connection.fetchval(_OTHERS_ABOUT, patients, petition.patient):
        raise Conflict(
            "other institutions have written about this registration: what they hold is"
            " not yours to erase; refuse, and say so"
        )
    kept = [one for one in await keepings(connection, context, patients) if one.until > now]
    if kept:
        told = ", ".join(sorted({one.clock for one in kept}))
        until = context.instant(max(one.until for one in kept))[:10]
        raise Conflict(
            Sentence(
                "the law keeps these records (%(told)s) until %(until)s: refuse, and say so",
                told=told,
                until=until,
            )
        )
    return patients
