"""Divides the items of an element into slices and holds each slice to its rules.

R4 profiling.html#slicing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET

from quanmin.base.problems import Sentence
from quanmin.fhir.path import Node, Path, PathProblem
from quanmin.fhir.profiles.model import (
    STRUCTURE,
    Discriminator,
    Profile,
    Rule,
    Step,
    holds_pattern,
    same_json,
)
from quanmin.fhir.profiles.referring import type_of_reference

if TYPE_CHECKING:
    from quanmin.fhir.profiles.checking import Check

_DEFAULT = "@default"


class _Place(msgspec.Struct):
    """Where a discriminator leads in a slice: its rule, and what patterns above say of it."""

    rule: Rule | None
    fixed: tuple[Any, ...] = ()
    patterns: tuple[Any, ...] = ()
    is_resolved: bool = False


class _Seen(msgspec.Struct):
    """What was met among the items so far. `is_open`: some may be in slices nobody can tell."""

    counts: dict[str, int]
    furthest: int = 0
    has_rest: bool = False
    is_open: bool = False


class Slices:
    """The slicing of one check."""

    def __init__(self, check: Check) -> None:
        self._check = check
        # By the ids of rule and discriminator, which live as long as the profile.
        self._places: dict[tuple[int, int], _Place] = {}

    def check(self, parent: Node, rule: Rule, items: list[Node]) -> None:
        """Check the items of a sliced element: each in its slice, each slice in number and order.

        The items were checked against the element itself already.
        """
        names = [name for name in rule.slices if name != _DEFAULT]
        seen = _Seen(dict.fromkeys(rule.slices, 0))
        for item in items:
            answers = {name: self.is_in(item, rule, rule.slices[name]) for name in names}
            found = [name for name in names if answers[name]]
            if not found and None in answers.values():
                seen.is_open = True  # what it refers to would tell, and is not at hand
                continue
            if not found and _DEFAULT in rule.slices:
                found = [_DEFAULT]
            self._place(item, rule, names, found, seen)
            for name in found:
                self._check.item(item, rule.slices[name])
        for name, part in rule.slices.items():
            self._count(parent, rule, part, seen.counts[name], is_open=seen.is_open)
            if part.slices:
                chosen = [item for item in items if self.is_in(item, rule, part)]
                self.check(parent, part, chosen)

    def _count(self, parent: Node, rule: Rule, part: Rule, number: int, *, is_open: bool) -> None:
        is_short = number < part.min and not is_open
        if is_short or (part.max is not None and number > part.max):
            told = rule.slicing.discriminators if rule.slicing is not None else ()
            self._check.count(parent, part, number, ", ".join(each.path.text for each in told))

    def _place(
        self, item: Node, rule: Rule, names: list[str], found: list[str], seen: _Seen
    ) -> None:
        """Count an item in its slices, and see that it may stand where it stands."""
        slicing = rule.slicing
        if slicing is None:
            return
        for name in found:
            seen.counts[name] += 1
            if slicing.is_ordered and name in names:
                if names.index(name) < seen.furthest:
                    what = Sentence(
                        "is out of order: the slices come as %(known)s", known=", ".join(names)
                    )
                    self._check.break_rule(rule, what, item.location)
                seen.furthest = max(seen.furthest, names.index(name))
        if not found and slicing.rules == "closed":
            what = Sentence(
                "is in none of the slices %(known)s, and there may be no others",
                known=", ".join(names),
            )
            self._check.break_rule(rule, what, item.location)
        if found and seen.has_rest and slicing.rules == "openAtEnd":
            what = Sentence("stands behind items that are in no slice: these come last")
            self._check.break_rule(rule, what, item.location)
        seen.has_rest = seen.has_rest or not found

    # ---- telling slices apart --------------------------------------------------------------------

    def is_in(self, item: Node, rule: Rule, part: Rule) -> bool | None:
        """Whether an item belongs to a slice: all discriminators say so. None where that depends on
        a record that is not at hand.
        """
        slicing = rule.slicing
        if slicing is None or not slicing.discriminators:
            # R4: without discriminators only all the rules of the slices tell them apart.
            return self._check.fits(item, part)
        answers = [self._says(each, item, part) for each in slicing.discriminators]
        if False in answers:
            return False
        return None if None in answers else True

    def _says(self, discriminator: Discriminator, item: Node, part: Rule) -> bool | None:
        key = id(part), id(discriminator)
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = self._lead(part, discriminator.steps)
        found = self._found(discriminator.path, item)
        references: list[Node] = []
        if discriminator.before is not None and not found:
            references = self._found(discriminator.before, item)
        match discriminator.kind:
            case "exists":
                return bool(found) != (place.rule is not None and place.rule.max == 0)
            case "type":
                return self._is_of_type(found or references, place)
            case _ if references:
                return None
            case "profile":
                return self._keeps_profile(found, item, part, place)
            case _:
                return self._has_value(found, item, part, place)

    def _found(self, path: Path, item: Node) -> list[Node]:
        try:
            return path.evaluate(item, environment=self._check.environment)
        except PathProblem:
            return []

    def _has_value(self, found: list[Node], item: Node, part: Rule, place: _Place) -> bool | None:
        rule = place.rule
        fixed, patterns = place.fixed, place.patterns
        if rule is not None and rule.fixed is not UNSET:
            fixed = (*fixed, rule.fixed)
        if rule is not None and rule.pattern is not UNSET:
            patterns = (*patterns, rule.pattern)
        if fixed or patterns:
            return all(any(same_json(one, node.value) for node in found) for one in fixed) and all(
                any(holds_pattern(one, node.value) for node in found) for one in patterns
            )
        if rule is not None and rule.max == 0:
            return not found
        if rule is not None and rule.binding is not None and rule.binding.strength == "required":
            value_set = rule.binding.value_set
            answers = [self._check.is_bound(node, value_set) for node in found]
            return None if None in answers and True not in answers else True in answers
        if rule is not None and (rule.children or rule.slices or rule.types):
            return any(self._check.fits(node, rule) for node in found)
        return self._check.fits(item, part)

    def _is_of_type(self, found: list[Node], place: _Place) -> bool:
        rule = place.rule
        if rule is None:
            return False
        if place.is_resolved:
            return any(self._refers(node, rule) for node in found)
        codes = {kind.code for kind in rule.types} or {*rule.sorts}
        return any(codes & node.type.names or node.type.shown in codes for node in found)

    def _refers(self, node: Node, rule: Rule) -> bool:
        wanted = {url.removeprefix(STRUCTURE) for kind in rule.types for url in kind.targets} or {
            *rule.sorts
        }
        return node.type.name in wanted or type_of_reference(node) in wanted

    def _keeps_profile(
        self, found: list[Node], item: Node, part: Rule, place: _Place
    ) -> bool | None:
        rule = place.rule
        kinds = rule.types if rule is not None else ()
        urls = [
            url for kind in kinds for url in (kind.targets if place.is_resolved else kind.profiles)
        ]
        if not urls:
            return self._check.fits(item, part)
        known = [self._check.knowledge.usable(url) for url in urls]
        if any(self._check.fits(node, one) for node in found for one in known if one):
            return True
        return None if found and None in known else False

    # ---- what a slice says there -----------------------------------------------------------------

    def _lead(self, part: Rule, steps: tuple[Step, ...]) -> _Place:
        place = _Place(part)
        for number, step in enumerate(steps):
            if number:
                place = self._beneath(place)
            place = self._next(place if number else self._beneath(place), step)
        return place

    def _beneath(self, place: _Place) -> _Place:
        """What fixed values and patterns of an element say of its own elements."""
        rule = place.rule
        if rule is None:
            return place
        fixed = place.fixed + (() if rule.fixed is UNSET else (rule.fixed,))
        patterns = place.patterns + (() if rule.pattern is UNSET else (rule.pattern,))
        return _Place(rule, fixed, patterns, place.is_resolved)

    def _next(self, place: _Place, step: Step) -> _Place:
        if step.kind == "type":
            return place
        if step.kind == "resolve":
            return _Place(place.rule, is_resolved=True)
        if step.kind == "extension":
            return _Place(self._extension(place.rule, step.name))
        rule = place.rule
        if place.is_resolved and rule is not None:
            rule = self._root_of([url for kind in rule.types for url in kind.targets])
        child = self._child(rule, step.name)
        fixed, patterns = _within(place.fixed, step.name), _within(place.patterns, step.name)
        # What must be in an element that is itself sliced tells the outer slice as well.
        for inner in rule.slices.values() if rule is not None else ():
            held = inner.elements.get(step.name) if inner.min else None
            if held is not None and held.fixed is not UNSET:
                fixed += (held.fixed,)
            if held is not None and held.pattern is not UNSET:
                patterns += (held.pattern,)
        return _Place(child, fixed, patterns)

    def _child(self, rule: Rule | None, name: str) -> Rule | None:
        if rule is None:
            return None
        found = rule.elements.get(name)
        profiles = [url for kind in rule.types for url in kind.profiles]
        if name == "url" and len(profiles) == 1 and (found is None or found.fixed is UNSET):
            # The definition of an extension fixes its url to its own address.
            return Rule(f"{rule.id}.url", "url", fixed=profiles[0].partition("|")[0])
        if found is None and profiles:
            inner = self._root_of(profiles)
            return inner.elements.get(name) if inner is not None else None
        return found

    def _root_of(self, urls: list[str]) -> Rule | None:
        if len(urls) != 1:
            return None
        found: Profile | None = self._check.knowledge.usable(urls[0])
        return found.root if found is not None else None

    def _extension(self, rule: Rule | None, url: str) -> Rule | None:
        extensions = rule.elements.get("extension") if rule is not None else None
        for part in extensions.slices.values() if extensions is not None else ():
            named = self._child(part, "url")
            if named is not None and named.fixed == url:
                return part
        return None


def _within(values: tuple[Any, ...], name: str) -> tuple[Any, ...]:
    """What values that are objects have under a name; of lists each item."""
    found: list[Any] = []
    for value in values:
        held = value.get(name) if isinstance(value, dict) else None
        if isinstance(held, list):
            found += held
        elif held is not None:
            found.append(held)
    return tuple(found)
