"""Compiles the rules for one asker, purpose and moment to what may be seen and changed.

One tree comes out of it, which is SQL for sets and Python for single records. Whatever no rule
permits is not seen, and what a rule forbids is not seen whoever permits it.
"""

from __future__ import annotations

import tomllib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, tzinfo
from functools import cache, lru_cache, partial
from importlib import resources

import msgspec

from quanmin.base.decision import Decision
from quanmin.fhir.table import load_table
from quanmin.records.keying import Keying
from quanmin.records.simplifying import both, either, simplified, without
from quanmin.records.visibility import (
    Both,
    Everything,
    Except,
    Nothing,
    OfType,
    Visibility,
    at_moment,
)
from quanmin.records.walls import Wall
from quanmin.trust.actors import Actor, Role
from quanmin.trust.deciding.in_use import InUse
from quanmin.trust.deciding.reaching import BREAK_GLASS, Asking, Reaching
from quanmin.trust.deciding.reasons import Group, Reasons, Said, joined, token_of
from quanmin.trust.deciding.rules import GRANTED_ATOMS, Atom, Rule, load_rules
from quanmin.trust.lifecycle.transfers import transfer_rules
from quanmin.trust.registers.definitions import institution_rule
from quanmin.trust.registers.standing import Standing


class Ground(msgspec.Struct, frozen=True):
    """What is known of the asker at this moment (microseconds): their institution's number, the
    Patients that are them or in their care, the institutions of the region they answer for, who
    writes the registers; what is granted to the numbers of `Deciding.grantees`, None for unknown;
    the codes under which something may be addressed to their institution.
    """

    sender: int
    patients: frozenset[int] = frozenset()
    region: frozenset[int] = frozenset()
    at: int = 0
    granted: InUse | None = None
    registers: frozenset[int] = frozenset()
    addresses: frozenset[str] = frozenset()


class Rights(msgspec.Struct, frozen=True):
    """What an actor may see and what of the existing records they may change, with the rules that
    say so.

    What is `readable` but not in `whole` is shown in its directory form, and without its history.
    `deletable` is what they may delete where that is less than they may change, None elsewhere.
    `reserved` are types that others write: they decide for all of the node. `creatable` are the
    only types that may be written, None says any. `reasons` are the rules by which something is
    seen, `changing` those by which it is written; `standing` is what the registers say. Beyond the
    `wall` the database shows nothing, whatever the rules permit, and beyond `own_wall` it writes
    nothing; None where there are no walls.
    """

    whole: Visibility
    readable: Visibility
    writable: Visibility
    may_create: Decision
    may_erase: Decision
    reserved: frozenset[str] = frozenset()
    creatable: frozenset[str] | None = None
    reasons: Reasons = Reasons()
    changing: Said = Said()
    standing: Standing = Standing()
    wall: Wall | None = None
    own_wall: Wall | None = None
    deletable: Visibility | None = None


def asking_on(actor: Actor, purpose: str, ground: Ground) -> Asking:
    """What a rule's reach looks at."""
    return Asking(
        actor.code,
        actor.role,
        purpose,
        ground.sender,
        ground.patients,
        ground.region,
        ground.at,
        ground.granted,
        ground.registers,
        ground.addresses,
    )


def narrowed(rights: Rights, reached: Visibility) -> Rights:
    """The rights on what is reached alone, by an application: it erases nobody."""
    if isinstance(reached, Everything):
        return msgspec.structs.replace(rights, may_erase=_NEVER_BY_APPLICATIONS)
    return msgspec.structs.replace(
        rights,
        whole=Both((rights.whole, reached)),
        readable=Both((rights.readable, reached)),
        writable=Both((rights.writable, reached)),
        deletable=None if rights.deletable is None else Both((rights.deletable, reached)),
        may_erase=_NEVER_BY_APPLICATIONS,
    )


_CACHE = 1024
_REGIONAL = frozenset({"reportable", "region"})
_WRITING = frozenset({"change", "create", "erase"})
_NEVER = 1 << 62


def bounded(rights: Rights, actor: Actor, reaching: Reaching) -> Rights:
    """What is left of an actor's rights by where they are and whom they work for."""
    if rights.standing.party:
        rights = _entrusted(rights, actor)
    return _abroad(rights, reaching) if rights.standing.transfers else rights


def _abroad(rights: Rights, reaching: Reaching) -> Rights:
    """The rights of a recipient outside the country: on what is transferred, and counted by who
    notes what it is given.
    """
    standing = rights.standing
    counted = msgspec.structs.replace(rights.reasons, transfers=standing.transfers)
    rights = msgspec.structs.replace(rights, reasons=counted)
    return narrowed(rights, transferable(standing, reaching))


def transferable(standing: Standing, reaching: Reaching) -> Visibility:
    """What may leave the country to one who stands so: the types that were approved, without what
    leaves under no approval.
    """
    stays = Except(reaching.labelled(transfer_rules().definition.never))
    types = standing.transferred
    return stays if types is None else Both((OfType(types), stays))


def _entrusted(rights: Rights, actor: Actor) -> Rights:
    """The rights of a member of an entrusted operator: what decides for all of the node, the
    registers among it, is not written by whoever runs some of its tenants.
    """
    register = institution_rule().register
    types = register.types if actor.sender in register.senders else frozenset()
    return msgspec.structs.replace(rights, reserved=rights.reserved | types | _writers().keys())


_NEVER_BY_APPLICATIONS = Decision(allowed=False, reasons=("not-by-applications",))


_Choosing = tuple[Role, str, frozenset[str], frozenset[str], str, int]
"""Role, purpose, duties, the rules that ask where somebody acts and are met, the application that
brings rules and on whose pages it is, and since which turn: all on which it depends what rules
concern an actor.
"""


class _Chosen(msgspec.Struct, frozen=True):
    """The rules that concern an actor for a purpose, by what they do, and the words of them all."""

    reading: tuple[Rule, ...]
    looking_up: tuple[Rule, ...]
    changing: tuple[Rule, ...]
    forbidding: tuple[Rule, ...]
    keeping: tuple[Rule, ...]
    may_create: Decision
    may_erase: Decision
    creatable: frozenset[str] | None
    tokens: Said
    atoms: frozenset[Atom]

    @property
    def asks_grants(self) -> bool:
        """Whether what is granted to the actor matters."""
        return not GRANTED_ATOMS.isdisjoint(self.atoms)


class _Forbids:
    """The rules that forbid, each compiled once and only if something is permitted against it."""

    def __init__(
        self,
        rules: Sequence[Rule] = (),
        compile_: Callable[[Rule], Visibility] = lambda _: Nothing(),
    ) -> None:
        self._rules = rules
        self._compile = compile_
        self._extents: dict[str, Visibility] = {}

    def extent(self, rule: Rule) -> Visibility:
        if rule.id not in self._extents:
            self._extents[rule.id] = self._compile(rule)
        return self._extents[rule.id]

    def against(self, atom: Atom) -> list[Rule]:
        """Those that take away from what this word permits."""
        return [
            rule
            for rule in self._rules
            if atom not in rule.reach.outside and not isinstance(self.extent(rule), Nothing)
        ]


class Deciding:
    """The rules of one node."""

    def __init__(
        self, keying: Keying, rules: Sequence[Rule] | None = None, zone: tzinfo = UTC
    ) -> None:
        """`rules` of the node, None for those of the program; their days are of `zone`. Raises
        Unusable when a rule is faulty.
        """
        self.rules = load_rules() if rules is None else tuple(rules)
        self.reaching = Reaching(keying)
        self._labelled = {
            rule.id: self.reaching.labelled(rule.reach.labels)
            for rule in self.rules
            if rule.reach.labels is not None
        }
        self._spans = {rule.id: _span(rule, zone) for rule in self.rules}
        # What is in force changes at these moments only, and is chosen once between two of them.
        self._turns = sorted({moment for span in self._spans.values() for moment in span})
        self._of_places = tuple(rule for rule in self.rules if rule.when.asks_place)
        self._bringing = frozenset(rule.application for rule in self.rules)
        self._chosen: dict[_Choosing, _Chosen] = {}
        self._undated = lru_cache(_CACHE)(self._compile)

    def compile(self, actor: Actor, purpose: str, ground: Ground) -> Rights:
        """The actor's rights for a purpose on this ground.

        The same ground gives the same rights, but for the moment; so they are worked out once. Not
        where it is not known what is granted: all that may be is more to date than to work out.
        """
        at, choosing = ground.at, self._choosing(actor, purpose, ground.at)
        if ground.granted is None and self._chosen[choosing].asks_grants:
            return self._compile(actor.code, choosing, ground)
        found = self._undated(actor.code, choosing, msgspec.structs.replace(ground, at=0))
        several = (found.whole, found.readable, found.writable, found.deletable or Nothing())
        whole, readable, writable, deletable = at_moment(several, at)
        return msgspec.structs.replace(
            found,
            whole=whole,
            readable=readable,
            writable=writable,
            deletable=None if found.deletable is None else deletable,
            reasons=msgspec.structs.replace(found.reasons, at=at),
        )

    def _compile(self, code: str, choosing: _Choosing, ground: Ground) -> Rights:
        chosen = self._chosen[choosing]
        actor, purpose = Actor(code, choosing[0], "", ""), choosing[1]
        asking = asking_on(actor, purpose, ground)
        forbids = _Forbids(chosen.forbidding, partial(self.extent, asking=asking))
        read = self._groups(chosen.reading, forbids, asking)
        looked_up = self._groups(chosen.looking_up, forbids, asking)
        # Where it is not known what is granted the database is not asked by it, or once.
        shortest = simplified if ground.granted is not None else _as_it_is
        whole = shortest(_seen(read))
        deleting = [rule for rule in chosen.changing if rule.deletes]
        return Rights(
            whole,
            shortest(either((whole, _seen(looked_up)))),
            _seen(self._groups(chosen.changing, _Forbids(), asking)),
            chosen.may_create,
            chosen.may_erase,
            reserved_for(actor.role),
            chosen.creatable,
            Reasons((*read, *looked_up), at=ground.at),
            chosen.tokens,
            deletable=None
            if len(deleting) == len(chosen.changing)
            else _seen(self._groups(deleting, _Forbids(), asking)),
        )

    def grantees(self, actor: Actor, purpose: str, sender: int, at: int) -> tuple[int, ...]:
        """The numbers under which something may be granted to an actor; none for one whom no rule
        about grants concerns at this moment.
        """
        if not self._choose(actor, purpose, at).asks_grants:
            return ()
        return self.reaching.grantees(actor.code, sender, purpose)

    def parts(self, sender: int, purpose: str, granted: InUse) -> tuple[int, ...]:
        """The numbers of grants about parts of a record that must be looked for as well."""
        return self.reaching.parts(sender, purpose, granted)

    def onward_grantees(self, actor: Actor, purpose: str, sender: int, at: int) -> tuple[int, ...]:
        """The numbers under which passing on may be permitted to an actor; none for one whom no
        rule keeps from it at this moment.
        """
        kept = self._choose(actor, purpose, at).keeping
        return self.reaching.onward_grantees(sender, purpose) if kept else ()

    def taken_out(self, actor: Actor, purpose: str, ground: Ground, rights: Rights) -> Rights:
        """The rights on what may leave the node in bulk of what is seen; `ground` tells what is
        granted to the numbers of `onward_grantees`.
        """
        asking = asking_on(actor, purpose, ground)
        keeping = self._choose(actor, purpose, ground.at).keeping
        return narrowed(rights, without(either(self.extent(rule, asking) for rule in keeping)))

    def asks_region(self, actor: Actor, purpose: str, at: int) -> bool:
        """Whether a rule asks which institutions are of the actor's region."""
        return not self._choose(actor, purpose, at).atoms.isdisjoint(_REGIONAL)

    def keeps_registers(self, actor: Actor, purpose: str, at: int) -> bool:
        """Whether a rule lets the actor change what the registers say."""
        return any(
            not {"registers", "everything"}.isdisjoint(rule.reach.among)
            for rule in self._choose(actor, purpose, at).changing
        )

    def may_break_glass(self, actor: Actor, at: int) -> bool:
        """Whether a rule lets the actor open records in an emergency."""
        return self.of_break_glass(actor, at).tokens is not None

    def of_break_glass(self, actor: Actor, at: int) -> Said:
        """The rules that let the actor open records in an emergency."""
        reading = self._choose(actor, BREAK_GLASS, at).reading
        return Said(joined(token_of(r) for r in reading if "glass-opened" in r.reach.among))

    @property
    def opens_by_post(self) -> bool:
        """Whether it depends on the register who may open records in an emergency."""
        return any(
            rule.when.asks_place or rule.when.asks_duties
            for rule in self.rules
            if rule.effect == "permit" and "glass-opened" in rule.reach.among
        )

    def span(self, rule: Rule) -> tuple[int, int]:
        """From which moment to before which a rule decides (microseconds)."""
        return self._spans[rule.id]

    def _choose(self, actor: Actor, purpose: str, at: int) -> _Chosen:
        return self._chosen[self._choosing(actor, purpose, at)]

    def _choosing(self, actor: Actor, purpose: str, at: int) -> _Choosing:
        """What the rules that concern an actor depend on; they are chosen when this returns."""
        places = frozenset([r.id for r in self._of_places if _is_placed(r, actor)])
        on = actor.application if actor.application in self._bringing else ""
        key = (actor.role, purpose, actor.duties, places, on, bisect_right(self._turns, at))
        if key not in self._chosen:
            in_force = (r for r in self.rules if self._spans[r.id][0] <= at < self._spans[r.id][1])
            self._chosen[key] = _chosen([r for r in in_force if _concerns(r, actor, purpose)])
        return key

    def _groups(
        self, permits: Sequence[Rule], forbids: _Forbids, asking: Asking
    ) -> tuple[Group, ...]:
        """What the one permit without what the others forbid.

        A rule that leaves out what another permits is not asked about it: what an institution sent
        itself is found by its index, whatever anybody has refused.
        """
        if not permits:
            return ()
        by_forbids: dict[tuple[str, ...], tuple[list[tuple[Rule, Visibility]], list[Rule]]] = {}
        for rule in permits:
            for atom in rule.reach.among:
                part = self._narrowed(self.reaching.reach(atom, asking), rule, asking)
                if not isinstance(part, Nothing):
                    against = forbids.against(atom)
                    ids = tuple([forbid.id for forbid in against])
                    by_forbids.setdefault(ids, ([], against))[0].append((rule, part))
        return tuple(
            [
                Group(tuple(parts), tuple([(rule, forbids.extent(rule)) for rule in against]))
                for parts, against in by_forbids.values()
            ]
        )

    def extent(self, rule: Rule, asking: Asking) -> Visibility:
        """The records that a rule concerns for this asker."""
        among = either(self.reaching.reach(atom, asking) for atom in rule.reach.among)
        return self._narrowed(among, rule, asking)

    def _narrowed(self, part: Visibility, rule: Rule, asking: Asking) -> Visibility:
        if rule.reach.types is not None:
            part = both((part, OfType(rule.reach.types)))
        if rule.id in self._labelled:
            part = both((part, self._labelled[rule.id]))
        outside = (self.reaching.reach(atom, asking) for atom in rule.reach.outside)
        return both((part, *(without(one) for one in outside)))


@cache
def reserved_for(role: str) -> frozenset[str]:
    """The types that a role does not write."""
    if role == "security_administrator":
        return frozenset(load_table().types) - institution_rule().register.types
    return frozenset(type_ for type_, roles in _writers().items() if role not in roles)


@cache
def _writers() -> dict[str, list[str]]:
    file = resources.files("quanmin") / "definitions" / "writers.toml"
    writers: dict[str, list[str]] = tomllib.loads(file.read_text("utf-8"))["writers"]
    return writers


def _concerns(rule: Rule, actor: Actor, purpose: str) -> bool:
    when = rule.when
    return (
        rule.application in {"", actor.application}
        and (when.roles is None or actor.role in when.roles)
        and (when.purposes is None or purpose in when.purposes)
        and (when.duties is None or bool(when.duties & actor.duties))
        and (when.without_duties is None or when.without_duties.isdisjoint(actor.duties))
        and _is_placed(rule, actor)
    )


def _is_placed(rule: Rule, actor: Actor) -> bool:
    return not (rule.when.asks_place and rule.when.unmet_of(actor.sender, actor.place))


def _span(rule: Rule, zone: tzinfo) -> tuple[int, int]:
    def begin(day: date) -> int:
        return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()) * 1_000_000

    return begin(rule.effective), _NEVER if rule.ends is None else begin(rule.ends)


def _chosen(rules: Sequence[Rule]) -> _Chosen:
    permits = [rule for rule in rules if rule.effect == "permit"]
    creating = [rule for rule in permits if "create" in rule.does]
    types = [rule.reach.types for rule in creating]
    return _Chosen(
        reading=tuple(rule for rule in permits if "read" in rule.does),
        looking_up=tuple(r for r in permits if "look_up" in r.does and "read" not in r.does),
        changing=tuple(rule for rule in permits if "change" in rule.does),
        forbidding=tuple(r for r in rules if r.effect == "forbid" and "take_out" not in r.does),
        keeping=tuple(rule for rule in rules if "take_out" in rule.does),
        may_create=_decision(creating),
        may_erase=_decision([rule for rule in permits if "erase" in rule.does]),
        creatable=None
        if any(one is None for one in types)
        else frozenset().union(*(one for one in types if one is not None)),
        tokens=Said(joined(token_of(rule) for rule in permits if rule.does & _WRITING)),
        atoms=frozenset(
            atom for rule in rules for atom in (*rule.reach.among, *rule.reach.outside)
        ),
    )


def _as_it_is(visibility: Visibility) -> Visibility:
    return visibility


def _seen(groups: Iterable[Group]) -> Visibility:
    """What is taken away from every group stands once, around all of them: so a search still finds
    beneath it the lots that indexes tell apart (`records/search/lots.py`).
    """
    several = tuple(groups)
    shared = _shared(several)
    permitted = either(
        both(
            (
                either(part for _, part in group.permits),
                *(without(extent) for rule, extent in group.against if rule.id not in shared),
            )
        )
        for group in several
    )
    return both((permitted, *(without(extent) for extent in shared.values())))


def _shared(groups: Sequence[Group]) -> dict[str, Visibility]:
    """The extents of the rules that stand against each of several groups, by id."""
    if len(groups) < 2:
        return {}
    ids = frozenset.intersection(*(frozenset(r.id for r, _ in one.against) for one in groups))
    return {rule.id: extent for rule, extent in groups[0].against if rule.id in ids}


def _decision(rules: Sequence[Rule]) -> Decision:
    if rules:
        return Decision(allowed=True, reasons=tuple(rule.id for rule in rules))
    return Decision(allowed=False, reasons=("no-rule-permits",))
