"""How an erasure is written down: an entry of its own, and the person taken out of all others."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from quanmin.base.database import Connection
from quanmin.records.model import Stored
from quanmin.records.operation import Change
from quanmin.trust.drafts import forget_drafts
from quanmin.trust.lifecycle.handing_out import end_exports_of
from quanmin.trust.lifecycle.petition_index import forget_petitions
from quanmin.trust.log import AccessLog, Keys, Notes
from quanmin.trust.log.redacting import digest_of, note_redactions, redact
from quanmin.trust.notices.telling import forget_notices


async def note_erasure(
    connection: Connection,
    log: AccessLog,
    notes: Notes,
    patients: Sequence[int],
    changes: Sequence[Change],
    *,
    moved: Sequence[Stored] = (),
) -> None:
    """Note in the transaction that erases these Patients what it changed, and what was `moved` from
    them to another before; take them out of the log's entries, of what was opened in an emergency,
    of the lists of petitions, of notices and of drafts, and end the exports that hold them; `notes`
    are told to settle when it has committed.
    """
    await end_exports_of(connection, patients)
    await connection.execute("delete from trust.glass where patient = any($1)", [*patients])
    await forget_petitions(connection, patients)
    await forget_notices(connection, patients)
    await forget_drafts(connection, patients)
    keys: list[Keys] = [(change.rid, change.patient) for change in changes]
    entry = notes.entry_of_keys("erase", "Patient", "ok", keys)
    redactions = await redact(connection, patients, [change.rid for change in changes])
    digest = digest_of(log.notary.hash, redactions)
    entry = msgspec.structs.replace(entry, patients=tuple(patients), digest=digest)
    entries = [entry, *([notes.entry("update", moved[0].type, "ok", moved)] if moved else [])]
    await note_redactions(connection, redactions, await notes.put_in(connection, entries))
