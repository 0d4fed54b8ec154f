"""The rule tree: who may see and change what. One tree, compiled to a Visibility, which is SQL for
sets and Python for single records.

The rules are few until consents and roles arrive: an operator sees everything, an institution and
its staff what it sent itself, a resident what is about them, and everyone the directory; a security
administrator keeps the registers. Whatever no rule allows is not seen.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources

import msgspec

from quanmin.base.decision import Decision
from quanmin.fhir.table import load_table
from quanmin.records.visibility import (
    Both,
    Either,
    Everything,
    Nothing,
    OfPatient,
    OfSender,
    OfType,
    Visibility,
)
from quanmin.trust.actors import Actor
from quanmin.trust.directory import directory
from quanmin.trust.registers.definitions import institution_rule
from quanmin.trust.registers.standing import Standing


class Ground(msgspec.Struct, frozen=True):
    """What is known of the asker at this moment: their institution's number, the Patients that are
    them.
    """

    sender: int
    patients: frozenset[int] = frozenset()


class Rights(msgspec.Struct, frozen=True):
    """What an actor may see and what of the existing records they may change, with the rule that
    says so.

    What is `readable` but not in `whole` is shown in its directory form, and without its history.
    `reserved` are types that others write: they decide for all of the node. `standing` is what the
    registers say of the actor.
    """

    whole: Visibility
    readable: Visibility
    writable: Visibility
    may_create: Decision
    may_erase: Decision = Decision(allowed=False, reasons=("operators-only",))
    reserved: frozenset[str] = frozenset()
    standing: Standing = Standing()


def compile_rights(actor: Actor, ground: Ground) -> Rights:
    """The actor's rights on this ground. Every role has its rule."""
    return msgspec.structs.replace(_of_role(actor, ground), reserved=reserved_for(actor.role))


def narrowed(rights: Rights, reached: Visibility) -> Rights:
    """The rights on what is reached alone, by an application: it erases nobody."""
    if isinstance(reached, Everything):
        return msgspec.structs.replace(rights, may_erase=_NEVER_BY_APPLICATIONS)
    return msgspec.structs.replace(
        rights,
        whole=Both((rights.whole, reached)),
        readable=Both((rights.readable, reached)),
        writable=Both((rights.writable, reached)),
        may_erase=_NEVER_BY_APPLICATIONS,
    )


_NEVER_BY_APPLICATIONS = Decision(allowed=False, reasons=("not-by-applications",))


@cache
def reserved_for(role: str) -> frozenset[str]:
    """The types that a role does not write."""
    if role == "security_administrator":
        return frozenset(load_table().types) - institution_rule().register.types
    file = resources.files("quanmin") / "definitions" / "writers.toml"
    writers = tomllib.loads(file.read_text("utf-8"))["writers"]
    return frozenset(type_ for type_, roles in writers.items() if role not in roles)


def _of_role(actor: Actor, ground: Ground) -> Rights:
    match actor.role:
        case "operator":
            decision = Decision(allowed=True, reasons=("operator",))
            return Rights(Everything(), Everything(), Everything(), decision, decision)
        case "institution" | "doctor" | "nurse" | "public_health_worker":
            own = OfSender(frozenset({ground.sender}))
            decision = Decision(allowed=True, reasons=("own-records",))
            return Rights(own, _with_directory(own), own, decision)
        case "resident":
            about = OfPatient(ground.patients)
            decision = Decision(allowed=False, reasons=("residents-read-only",))
            return Rights(about, _with_directory(about), Nothing(), decision)
        case "security_administrator":
            kept = OfType(institution_rule().register.types)
            entries = Both((OfSender(frozenset({ground.sender})), kept))
            decision = Decision(allowed=True, reasons=("keeps-the-registers",))
            return Rights(entries, _with_directory(entries), entries, decision)
        case _:
            decision = Decision(allowed=False, reasons=("no-rule-permits",))
            look_up = OfType(frozenset(directory()))
            return Rights(Nothing(), look_up, Nothing(), decision)


def _with_directory(part: Visibility) -> Visibility:
    return Either((part, OfType(frozenset(directory()))))
