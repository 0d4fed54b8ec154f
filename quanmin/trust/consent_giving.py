"""Refuses a Consent that is not its author's to give, and tells the person of the others."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from quanmin.trust.consent_telling import tell_given
from quanmin.trust.deciding import CONSENT, Giver, Giving

if TYPE_CHECKING:
    from quanmin.base.database import Connection
    from quanmin.records.model import Stored
    from quanmin.trust.actors import Actor
    from quanmin.trust.guarding import Guarding


async def refuse_ungiven(
    guard: Guarding, connection: Connection, actor: Actor, written: Sequence[Stored]
) -> None:
    """Raises Forbidden or Invalid when a Consent among these is not the actor's to give."""
    consents = [stored for stored in written if stored.type == CONSENT]
    if not consents:
        return
    is_own = actor.role in {"resident", "guardian"}
    giver = Giver(
        await guard.patients_of(actor, "consent") if is_own else None,
        is_guardian=actor.role == "guardian",
        is_operator=actor.role == "operator",
    )
    context = guard.store.context
    today = datetime.fromtimestamp(guard.now() / 1e6, context.zone).date()
    await Giving(connection, context, guard.people).refuse(consents, giver, today)
    if not giver.is_operator:
        await tell_given(connection, consents, guard.now(), is_own=is_own)
