"""Has what the node stamped itself, since no authority answered, stamped by the authority later.

A job tries again until a stamp is to be had, in the name and with the rights of who signed. As long
as the signer's certificate holds by then, the stamp takes the place of the node's own. Those that a
node gives its own actors have ended: there the same version is signed anew for the same actor, and
what was signed first stays in the history of the Provenance.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

import msgspec

from quanmin.base.database import Connection
from quanmin.base.jobs import Continue, Done, Job, Kind, put
from quanmin.base.problems import Gone, NotFound, Overloaded, TooMany
from quanmin.records.model import Stored
from quanmin.trust.errands import Mandate, carry_on
from quanmin.trust.signatures import provenance
from quanmin.trust.signatures.office import Office, Signer, judge_record, read_target

if TYPE_CHECKING:
    from quanmin.trust.actors import Actors
    from quanmin.trust.guard import Guard, GuardedRecords

log = logging.getLogger("quanmin.trust.signatures")

STAMP: Final = "stamp-later"


class _Asked(msgspec.Struct, frozen=True):
    """The id of the Provenance."""

    provenance: str


async def put_stamping(office: Office, records: GuardedRecords, stored: Stored) -> None:
    """Have this Provenance stamped later, where the node had to stamp it itself."""
    if not office.owes_stamp(stored.body or b""):
        return
    mandate = Mandate("", msgspec.to_builtins(_Asked(stored.id)))
    try:
        await records.errands.begin(STAMP, mandate, open_max=office.settings.stamper_waiting_max)
    except TooMany:
        log.warning(
            "More signatures than `signatures.stamper_waiting_max` wait for a stamp: one more keeps"
            " the node's own for good."
        )


def stamp_kind(guard: Guard, actors: Actors, office: Office) -> Kind:
    """The kind of job that brings stamps later."""

    async def step(connection: Connection, job: Job) -> Continue | Done:
        records, mandate = await carry_on(guard, actors, job)
        asked = msgspec.convert(mandate.asked, _Asked)
        try:
            return Done(message=await _stamp(office, records, asked.provenance))
        except (NotFound, Gone):
            return Done(message="what was signed is not there any more")
        except Overloaded:
            # Another job, so that no worker waits for the authority meanwhile.
            due = time.time_ns() // 1000 + int(office.settings.stamper_retry_seconds * 1e6)
            await put(connection, job.kind, job.payload, owner=job.owner, due=due)
            return Done(message="the authority gave no stamp: it is asked again")

    return Kind(STAMP, step)


async def _stamp(office: Office, records: GuardedRecords, id_: str) -> str:
    """Raises Overloaded while no stamp is to be had, NotFound, Gone."""
    stored = await records.read("Provenance", id_)
    body = stored.body or b""
    if not office.owes_stamp(body):
        return "there is nothing to stamp"
    signed = provenance.read(body)
    token = await asyncio.to_thread(office.stamp_of_authority, signed.signature)
    stamped = provenance.with_stamp(body, token)
    judgement = await judge_record(office, records, id_, stamped)
    said = "stamped"
    if not judgement.holds:
        type_, target, version = read_target(signed.target)
        document = (await records.version(type_, target, version)).body or b""
        actor = records.actor
        who = Signer(actor.code, actor.name, actor.sender or actor.code)
        kind = next(iter(sorted(signed.statement.kinds)))
        anew = await asyncio.to_thread(
            office.sign, document, who, kind, signed.target, is_own_enough=False
        )
        stamped = provenance.with_id(anew, id_)
        said = "signed anew and stamped"
    await records.update("Provenance", id_, stamped, if_match=stored.version)
    return said
