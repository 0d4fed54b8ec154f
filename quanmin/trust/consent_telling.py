"""Tells persons of consents that were recorded for them, and of those that ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from quanmin.fhir.json import decode
from quanmin.trust.notices import tell_persons

if TYPE_CHECKING:
    from quanmin.base.database import Connection
    from quanmin.records.model import Stored

_ENDED = frozenset({"inactive", "entered-in-error"})


async def tell_given(
    connection: Connection, consents: Sequence[Stored], now: int, *, is_own: bool
) -> None:
    """Leave a notice for each of these Consents that was written by somebody else than its person,
    or has ended, in the caller's transaction; `is_own` says that the person has written them.
    """
    for stored in consents:
        patient = stored.facts.patient
        is_ended = stored.body is None or decode(stored.body).get("status") in _ENDED
        if patient is not None and (is_ended or not is_own):
            kind = "consent-ended" if is_ended else "consent-recorded"
            await tell_persons(connection, [patient], now, kind)
