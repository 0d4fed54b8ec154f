"""The rule tree: who may see and change what. One tree, compiled to a Visibility, which is SQL for
sets and Python for single records.

The rules are few until consents and roles arrive: an operator sees everything, an institution what
it sent itself, a resident what is about them. Whatever no rule allows is not seen.
"""

from __future__ import annotations

import msgspec

from quanmin.base.decision import Decision
from quanmin.records.visibility import (
    Everything,
    Nothing,
    OfPatient,
    OfSender,
    Visibility,
)
from quanmin.trust.actors import Actor


class Ground(msgspec.Struct, frozen=True):
    """What is known of the asker at this moment: their institution's number, the Patients that are
    them.
    """

    sender: int
    patients: frozenset[int] = frozenset()


class Rights(msgspec.Struct, frozen=True):
    """What an actor may see and what of the existing records they may change, with the rule that
    says so.
    """

    readable: Visibility
    writable: Visibility
    may_create: Decision


def compile_rights(actor: Actor, ground: Ground) -> Rights:
    """The actor's rights on this ground. Every role has its rule."""
    match actor.role:
        case "operator":
            return Rights(Everything(), Everything(), Decision(allowed=True, reasons=("operator",)))
        case "institution":
            own = OfSender(frozenset({ground.sender}))
            return Rights(own, own, Decision(allowed=True, reasons=("own-records",)))
        case "resident":
            return Rights(
                OfPatient(ground.patients),
                Nothing(),
                Decision(allowed=False, reasons=("residents-read-only",)),
            )
