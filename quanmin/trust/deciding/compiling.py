"""Compiles the rules for one asker, purpose and moment to what may be seen and changed.

One tree comes out of it, which is SQL for sets and Python for single records. Whatever no rule
permits is not seen, and what a rule forbids is not seen whoever permits it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import cache
from importlib import resources

import msgspec

from quanmin.base.decision import Decision
from quanmin.fhir.table import load_table
from quanmin.records.keying import Keying
from quanmin.records.visibility import Both, Everything, Nothing, OfType, Visibility
from quanmin.trust.actors import Actor
from quanmin.trust.deciding.granting import InUse
from quanmin.trust.deciding.joining import both, either, without
from quanmin.trust.deciding.reaching import BREAK_GLASS, GRANTED_ATOMS, Asking, Reaching
from quanmin.trust.deciding.rules import Rule, load_rules
from quanmin.trust.registers.definitions import institution_rule
from quanmin.trust.registers.standing import Standing


class Ground(msgspec.Struct, frozen=True):
    """What is known of the asker at this moment (microseconds): their institution's number, the
    Patients that are them or in their care, the institutions of the region they answer for, who
    writes the registers; what is granted to the numbers of `Deciding.grantees`, None for unknown.
    """

    sender: int
    patients: frozenset[int] = frozenset()
    region: frozenset[int] = frozenset()
    at: int = 0
    granted: InUse | None = None
    registers: frozenset[int] = frozenset()


class Rights(msgspec.Struct, frozen=True):
    """What an actor may see and what of the existing records they may change, with the rules that
    say so.

    What is `readable` but not in `whole` is shown in its directory form, and without its history.
    `reserved` are types that others write: they decide for all of the node. `creatable` are the
    only types that may be written, None says any. `rules` are all that took part, `standing` is
    what the registers say of the actor.
    """

    whole: Visibility
    readable: Visibility
    writable: Visibility
    may_create: Decision
    may_erase: Decision
    reserved: frozenset[str] = frozenset()
    creatable: frozenset[str] | None = None
    rules: tuple[str, ...] = ()
    standing: Standing = Standing()


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


class _Chosen(msgspec.Struct, frozen=True):
    """The rules that concern a role and purpose, by what they do."""

    reading: tuple[Rule, ...]
    looking_up: tuple[Rule, ...]
    changing: tuple[Rule, ...]
    forbidding: tuple[Rule, ...]
    may_create: Decision
    may_erase: Decision
    creatable: frozenset[str] | None
    ids: tuple[str, ...]


class Deciding:
    """The rules of one node."""

    def __init__(self, keying: Keying) -> None:
        """Raises Unusable when a rule is faulty."""
        self.rules = load_rules()
        self.reaching = Reaching(keying)
        self._chosen: dict[tuple[str, str, frozenset[str]], _Chosen] = {}

    def compile(self, actor: Actor, purpose: str, ground: Ground) -> Rights:
        """The actor's rights for a purpose on this ground."""
        chosen = self._choose(actor, purpose)
        asking = Asking(
            actor.code,
            actor.role,
            purpose,
            ground.sender,
            ground.patients,
            ground.region,
            ground.at,
            ground.granted,
            ground.registers,
        )
        whole = self._seen(chosen.reading, chosen.forbidding, asking)
        return Rights(
            whole,
            either((whole, self._seen(chosen.looking_up, chosen.forbidding, asking))),
            self._seen(chosen.changing, (), asking),
            chosen.may_create,
            chosen.may_erase,
            reserved_for(actor.role),
            chosen.creatable,
            chosen.ids,
        )

    def grantees(self, actor: Actor, purpose: str, sender: int) -> tuple[int, ...]:
        """The numbers under which something may be granted to an actor; none for one whom no rule
        about grants concerns.
        """
        chosen = self._choose(actor, purpose)
        atoms = {
            atom
            for rule in (*chosen.reading, *chosen.looking_up, *chosen.forbidding)
            for atom in rule.reach.among
        }
        if atoms.isdisjoint(GRANTED_ATOMS):
            return ()
        return self.reaching.grantees(actor.code, sender, purpose)

    def asks_region(self, actor: Actor, purpose: str) -> bool:
        """Whether a rule asks which institutions are of the actor's region."""
        chosen = self._choose(actor, purpose)
        return any("reportable" in rule.reach.among for rule in chosen.reading)

    def keeps_registers(self, actor: Actor, purpose: str) -> bool:
        """Whether a rule lets the actor change what the registers say."""
        return any(
            not {"registers", "everything"}.isdisjoint(rule.reach.among)
            for rule in self._choose(actor, purpose).changing
        )

    def may_break_glass(self, actor: Actor) -> bool:
        """Whether a rule lets the actor open records in an emergency."""
        chosen = self._choose(actor, BREAK_GLASS)
        return any("glass-opened" in rule.reach.among for rule in chosen.reading)

    def concerning(self, actor: Actor, purpose: str) -> tuple[Rule, ...]:
        """The rules that concern an actor for a purpose, whatever they do."""
        return tuple(rule for rule in self.rules if _concerns(rule, actor, purpose))

    def _choose(self, actor: Actor, purpose: str) -> _Chosen:
        key = (actor.role, purpose, actor.duties)
        if key not in self._chosen:
            self._chosen[key] = _chosen(self.concerning(actor, purpose))
        return self._chosen[key]

    def _seen(self, permits: Sequence[Rule], forbids: Sequence[Rule], asking: Asking) -> Visibility:
        """What the one permit without what the others forbid.

        A rule that leaves out what another permits is not asked about it: what an institution sent
        itself is found by its index, whatever anybody has refused.
        """
        by_forbids: dict[tuple[str, ...], list[Visibility]] = {}
        for rule in permits:
            for atom in rule.reach.among:
                part = self._narrowed(self.reaching.reach(atom, asking), rule, asking)
                if not isinstance(part, Nothing):
                    against = tuple(f.id for f in forbids if atom not in f.reach.outside)
                    by_forbids.setdefault(against, []).append(part)
        return either(
            both(
                (either(parts), *(without(self.extent(f, asking)) for f in forbids if f.id in ids))
            )
            for ids, parts in by_forbids.items()
        )

    def extent(self, rule: Rule, asking: Asking) -> Visibility:
        """The records that a rule concerns for this asker."""
        among = either(self.reaching.reach(atom, asking) for atom in rule.reach.among)
        return self._narrowed(among, rule, asking)

    def _narrowed(self, part: Visibility, rule: Rule, asking: Asking) -> Visibility:
        if rule.reach.types is not None:
            part = both((part, OfType(rule.reach.types)))
        outside = (self.reaching.reach(atom, asking) for atom in rule.reach.outside)
        return both((part, *(without(one) for one in outside)))


@cache
def reserved_for(role: str) -> frozenset[str]:
    """The types that a role does not write."""
    if role == "security_administrator":
        return frozenset(load_table().types) - institution_rule().register.types
    file = resources.files("quanmin") / "definitions" / "writers.toml"
    writers = tomllib.loads(file.read_text("utf-8"))["writers"]
    return frozenset(type_ for type_, roles in writers.items() if role not in roles)


def _concerns(rule: Rule, actor: Actor, purpose: str) -> bool:
    when = rule.when
    return (
        (when.roles is None or actor.role in when.roles)
        and (when.purposes is None or purpose in when.purposes)
        and (when.duties is None or bool(when.duties & actor.duties))
    )


def _chosen(rules: Sequence[Rule]) -> _Chosen:
    permits = [rule for rule in rules if rule.effect == "permit"]
    creating = [rule for rule in permits if "create" in rule.does]
    types = [rule.reach.types for rule in creating]
    return _Chosen(
        reading=tuple(rule for rule in permits if "read" in rule.does),
        looking_up=tuple(r for r in permits if "look_up" in r.does and "read" not in r.does),
        changing=tuple(rule for rule in permits if "change" in rule.does),
        forbidding=tuple(rule for rule in rules if rule.effect == "forbid"),
        may_create=_decision(creating),
        may_erase=_decision([rule for rule in permits if "erase" in rule.does]),
        creatable=None
        if any(one is None for one in types)
        else frozenset().union(*(one for one in types if one is not None)),
        ids=tuple(rule.id for rule in rules),
    )


def _decision(rules: Sequence[Rule]) -> Decision:
    if rules:
        return Decision(allowed=True, reasons=tuple(rule.id for rule in rules))
    return Decision(allowed=False, reasons=("no-rule-permits",))
