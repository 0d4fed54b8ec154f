"""Why one asker can or cannot see one record: each rule, and what it found.

The answer is that of the rights which the guard compiles; what is said beside it is read off the
same parts. Nothing here knows what a record says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Literal

import msgspec

from quanmin.records.visibility import Everything, Facts, Grant, Visibility
from quanmin.records.visibility_sql import allows
from quanmin.trust.actors import Actor
from quanmin.trust.deciding.compiling import Deciding, Ground, Rights, asking_on
from quanmin.trust.deciding.grantees import Grantees, Meaning
from quanmin.trust.deciding.reaching import BREAK_GLASS, Asking
from quanmin.trust.deciding.rules import Rule

Seen = Literal["whole", "directory", "no"]
Verdict = Literal["lets", "overridden", "forbids", "set-aside", "not-met", "not-concerned"]


# What is said last counts, so what is tried is said after everything.
_LATEST: Final = (1 << 63) - 1


class Finding(msgspec.Struct, frozen=True):
    """One thing that was found: the section and the code of its words, and what fills them."""

    section: str
    code: str
    values: dict[str, str] = {}
    grants: tuple[tuple[Grant, Meaning, bool], ...] = ()


class Step(msgspec.Struct, frozen=True):
    """What became of a rule, and why."""

    rule: Rule
    verdict: Verdict
    findings: tuple[Finding, ...]


class Answer(msgspec.Struct, frozen=True):
    """Whether the record is seen, how each rule was decided, and what would turn the answer."""

    seen: Seen
    steps: tuple[Step, ...] = ()
    changes: tuple[Finding, ...] = ()
    obstacles: tuple[Finding, ...] = ()

    @property
    def deciding(self) -> tuple[Rule, ...]:
        """The rules that decided: those that let the record through, else those that forbid it."""
        for verdict in ("lets", "forbids"):
            found = tuple(step.rule for step in self.steps if step.verdict == verdict)
            if found:
                return found
        return ()


class Case(msgspec.Struct, frozen=True):
    """Who asks, for what, on what ground, and the record's facts with all grants of its Patient.
    `scoped` is what the application reaches through which they ask.
    """

    actor: Actor
    purpose: str
    ground: Ground
    facts: Facts
    scoped: Visibility = Everything()


class Explaining:
    """Explains decisions by the rules of one node."""

    def __init__(self, deciding: Deciding, grantees: Grantees, purposes: Iterable[str]) -> None:
        self._deciding = deciding
        self._grantees = grantees
        self._purposes = tuple(purposes)

    def explain(self, case: Case) -> Answer:
        """The answer that the guard gives, and why."""
        rights = self._compile(case)
        seen = _seen(rights, case)
        steps = tuple(
            self._step(rule, case, rights) for rule in self._deciding.rules if _reads(rule)
        )
        obstacles: tuple[Finding, ...] = ()
        if not allows(case.scoped, case.facts):
            obstacles = (Finding("obstacle", "scopes", {"client": case.actor.client}),)
        return Answer(seen, steps, tuple(self._changes(case, seen)), obstacles)

    def _compile(self, case: Case) -> Rights:
        ground = msgspec.structs.replace(case.ground, granted=None)
        return self._deciding.compile(case.actor, case.purpose, ground)

    def _asking(self, case: Case) -> Asking:
        ground = msgspec.structs.replace(case.ground, granted=None)
        return asking_on(case.actor, case.purpose, ground)

    def _step(self, rule: Rule, case: Case, rights: Rights) -> Step:
        unconcerned = (*self._untimely(rule, case), *_unconcerned(rule, case))
        if unconcerned:
            return Step(rule, "not-concerned", unconcerned)
        asking = self._asking(case)
        findings = tuple(self._findings(rule, case, asking))
        if not allows(self._deciding.extent(rule, asking), case.facts):
            return Step(rule, "not-met", findings)
        if rule.effect == "permit":
            letting = {one.id for one in rights.reasons.letting(case.facts)}
            return Step(rule, "lets" if rule.id in letting else "overridden", findings)
        blocks = any(
            rule.id == forbid.id and any(allows(part, case.facts) for _, part in group.permits)
            for group in rights.reasons.groups
            for forbid, _ in group.against
        )
        return Step(rule, "forbids" if blocks else "set-aside", findings)

    def _untimely(self, rule: Rule, case: Case) -> Iterator[Finding]:
        since, until = self._deciding.span(rule)
        if case.ground.at < since:
            yield Finding("when", "not-yet", {"moment": f"{rule.effective:%Y-%m-%d}"})
        elif case.ground.at >= until:
            yield Finding("when", "ended", {"moment": f"{rule.ends:%Y-%m-%d}"})

    def _findings(self, rule: Rule, case: Case, asking: Asking) -> Iterator[Finding]:
        facts, reaching = case.facts, self._deciding.reaching
        for atom in rule.reach.among:
            is_met = allows(reaching.reach(atom, asking), facts)
            yield self._of_atom(atom, case, asking, is_met=is_met)
        if rule.reach.types is not None and facts.type not in rule.reach.types:
            yield Finding("atom", "types", {"types": ", ".join(sorted(rule.reach.types))})
        labels = rule.reach.labels
        if labels is not None and not allows(reaching.labelled(labels), facts):
            yield Finding("atom", "labels", {"labels": ", ".join(labels)})
        if any(allows(reaching.reach(atom, asking), facts) for atom in rule.reach.outside):
            yield Finding("atom", "outside")

    def _of_atom(self, atom: str, case: Case, asking: Asking, *, is_met: bool) -> Finding:
        facts, reaching = case.facts, self._deciding.reaching
        code = atom if is_met else f"{atom}-not"
        values: dict[str, str] = {"type": facts.type, "sender": str(facts.sender)}
        effects: set[str] = set()
        match atom:
            case "treated":
                effects = {"treats"}
            case "consented":
                effects = {"permit"}
            case "refused":
                effects = {"refuse", "withdraw"}
            case "glass-opened":
                effects = {"glass"}
            case "sensitive":
                effects = {"permit"}
                kinds = reaching.strict_codes(facts.labels)
                values["kinds"] = ", ".join(kinds)
                if kinds and not is_met:
                    code = "sensitive-named"
            case "beyond-level":
                values["level"] = str(reaching.level_of(facts.labels))
                values["up_to"] = str(reaching.level_for(asking))
        return Finding("atom", code, values, self._grants(case, asking, effects))

    def _grants(
        self, case: Case, asking: Asking, effects: set[str]
    ) -> tuple[tuple[Grant, Meaning, bool], ...]:
        """The grants that matter to a word, and whether each holds at the moment."""
        if not effects:
            return ()
        meanings = self._deciding.reaching.meanings(asking)
        found = [
            (one, meanings[one.grantee], one.since <= asking.at < one.until)
            for one in case.facts.grants
            if one.grantee in meanings and meanings[one.grantee].effect in effects
        ]
        return tuple(sorted(found, key=lambda one: (not one[2], one[0].since, one[0].source)))

    def _changes(self, case: Case, seen: Seen) -> Iterator[Finding]:
        """What would turn the answer: each is tried, by the same tree."""
        if seen == "whole":
            yield from self._closing(case)
            return
        number = len(found := list(self._opening(case)))
        yield from found
        if not number:
            yield Finding("change", "nothing")

    def _opening(self, case: Case) -> Iterator[Finding]:
        sender, purpose = case.ground.sender, case.purpose
        others = [
            other
            for other in self._purposes
            if self._would(msgspec.structs.replace(case, purpose=other))
        ]
        if others:
            yield Finding("change", "purpose", {"purposes": ", ".join(others)})
        kinds = self._deciding.reaching.strict_codes(case.facts.labels)
        if self._would(_granting(case, self._grantees.treating(sender))):
            yield Finding("change", "treats")
        if self._would(_granting(case, self._grantees.named("permit", sender, purpose))):
            yield Finding("change", "permit")
        elif kinds:
            named = [self._grantees.named("permit", sender, purpose, kind) for kind in kinds]
            if self._would(
                _granting(case, self._grantees.named("permit", sender, purpose), *named)
            ):
                yield Finding("change", "permit-kind", {"kinds": ", ".join(kinds)})
        if self._would(self._without(case, {"refuse", "withdraw"})):
            yield Finding("change", "lifted")
        opened = msgspec.structs.replace(case, purpose=BREAK_GLASS)
        if self._would(_granting(opened, self._grantees.glass(case.actor.code))):
            yield Finding("change", "glass")

    def _closing(self, case: Case) -> Iterator[Finding]:
        refusal = self._grantees.named("refuse", case.ground.sender, case.purpose)
        if not self._would(_granting(case, refusal)):
            yield Finding("change", "refuse")
        for code, effects in (("untreated", {"treats"}), ("withdrawn", {"permit"})):
            if not self._would(self._without(case, effects)):
                yield Finding("change", code)

    def _would(self, case: Case) -> bool:
        return _seen(self._compile(case), case) == "whole"

    def _without(self, case: Case, effects: set[str]) -> Case:
        meanings = self._deciding.reaching.meanings(self._asking(case))
        left = frozenset(
            one
            for one in case.facts.grants
            if one.grantee not in meanings or meanings[one.grantee].effect not in effects
        )
        return msgspec.structs.replace(case, facts=msgspec.structs.replace(case.facts, grants=left))


def _seen(rights: Rights, case: Case) -> Seen:
    if not allows(case.scoped, case.facts):
        return "no"
    if allows(rights.whole, case.facts):
        return "whole"
    return "directory" if allows(rights.readable, case.facts) else "no"


def _granting(case: Case, *grantees: int) -> Case:
    more = {Grant(one, source=-1, rank=_LATEST) for one in grantees}
    facts = msgspec.structs.replace(case.facts, grants=case.facts.grants | more)
    return msgspec.structs.replace(case, facts=facts)


def _reads(rule: Rule) -> bool:
    return not rule.does.isdisjoint({"read", "look_up"})


def _unconcerned(rule: Rule, case: Case) -> Iterator[Finding]:
    when, actor = rule.when, case.actor
    for code, wanted, given in (
        ("role", when.roles, frozenset({actor.role})),
        ("purpose", when.purposes, frozenset({case.purpose})),
        ("duty", when.duties, actor.duties),
    ):
        if wanted is not None and wanted.isdisjoint(given):
            values = {"wanted": ", ".join(sorted(wanted)), "given": ", ".join(sorted(given))}
            yield Finding("when", code, values)
    if when.without_duties is not None and not when.without_duties.isdisjoint(actor.duties):
        values = {
            "wanted": ", ".join(sorted(when.without_duties)),
            "given": ", ".join(sorted(actor.duties)),
        }
        yield Finding("when", "without-duty", values)
    if rule.application not in {"", actor.application}:
        values = {"those": rule.application, "own": actor.application or "–"}
        yield Finding("when", "application", values)
    for code, named, own in when.unmet_of(actor.sender, actor.place):
        yield Finding("when", code, {"those": ", ".join(sorted(named)), "own": own or "–"})
