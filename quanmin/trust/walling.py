"""What an actor claims to see of a node that is divided among tenants; the database decides by it
which rows there are for them (`quanmin/records/walls.py`).
"""

from __future__ import annotations

from typing import Final

from quanmin.trust.actors import Actor
from quanmin.trust.registers.standing import Standing

# Whom no tenant bounds: the rules alone say what they see. Residents are of no tenant, and their
# record is in as many as have treated them.
_OF_THE_NODE: Final = frozenset({"operator", "resident", "guardian"})

FOR_OWN: Final = ""
"""In place of a purpose: what tenants have agreed to show is theirs to read, and nobody's else to
change.
"""


def claim_of(actor: Actor, purpose: str, standing: Standing) -> str:
    """The claim of an actor for a purpose: a kind, the purpose, and whose view it is."""
    if standing.party:
        return f"party|{purpose}|{standing.party}"
    if actor.role in _OF_THE_NODE:
        return "all||"
    if standing.tenant:
        return f"tenant|{purpose}|{standing.tenant}"
    return f"sender|{purpose}|{actor.sender or f'actor:{actor.code}'}"
