"""Walks a record along the rules of its profiles and tells everything that does not keep them.

One pass for each profile, located by FHIRPath. Each text names the profile and the element of it,
what is expected and so how to mend it; it shows what the profile says, never what the record holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from quanmin.base.problems import Issue, Sentence
from quanmin.fhir.invariants import Severity
from quanmin.fhir.json import Json
from quanmin.fhir.path import Environment, Node, PathProblem
from quanmin.fhir.path.nodes import add_member, root
from quanmin.fhir.path.problems import Unfit
from quanmin.fhir.profiles.definition import is_base_type
from quanmin.fhir.profiles.extending import Extensions
from quanmin.fhir.profiles.knowledge import Knowledge
from quanmin.fhir.profiles.limits import order
from quanmin.fhir.profiles.model import (
    STRUCTURE,
    Binding,
    Constraint,
    Profile,
    Rule,
    holds_pattern,
    same_json,
)
from quanmin.fhir.profiles.referring import Targets
from quanmin.fhir.profiles.slicing import Slices

ISSUES_MAX = 100
STEPS_MAX = 200_000
"""How many elements one check may look at, slices tried and profiles within profiles included."""

ITEMS_MAX = 2_000_000
"""How many items all expressions of one check may touch together, which is some seconds."""

_SHOWN_MAX = 300
_ENCODER = msgspec.json.Encoder(decimal_format="number")


class Enough(Exception):  # noqa: N818 - not an error: the list is long enough
    """As many issues as anyone will read, or as much work as anyone may ask for."""


def check_record(
    resource: dict[str, Json],
    knowledge: Knowledge,
    *,
    profiles: Sequence[str] = (),
    at: str = "",
    is_brief: bool = False,
) -> list[Issue]:
    """What a record that is valid R4 does not keep of the profiles it claims, and of `profiles`.

    Records within it are checked against those that they claim, and extensions against their
    definitions. `is_brief` tells errors against profiles only, and asks for nothing else.
    Locations begin with `at` (default: the type's name). What `knowledge` misses is noted there,
    and the check has to be repeated when that is known.
    """
    check = Check(root(resource), knowledge, is_brief=is_brief)
    try:
        for url in profiles:
            check.claim(check.start, url, is_asked=True)
        for node in _resources(check.start):
            for url in claims_of(node.value):
                if node is not check.start or url not in profiles:
                    check.claim(node, url)
        if not is_brief:
            check.extensions.check()
    except Enough:
        pass
    return [_moved(issue, str(resource.get("resourceType") or ""), at) for issue in check.issues]


def _moved(issue: Issue, name: str, at: str) -> Issue:
    if not at or at == name or not issue.expression.startswith(name):
        return issue
    return msgspec.structs.replace(issue, expression=at + issue.expression[len(name) :])


def claims_of(resource: Json) -> list[str]:
    """The profiles that a resource says it keeps (meta.profile)."""
    meta = resource.get("meta") if isinstance(resource, dict) else None
    claimed = meta.get("profile") if isinstance(meta, dict) else None
    if not isinstance(claimed, list):
        return []
    return [url for url in claimed if isinstance(url, str)]


def claims_anything(resource: Json) -> bool:
    """Whether a resource, or one that it holds, claims a profile."""
    if not isinstance(resource, dict):
        return False
    if "meta" in resource and claims_of(resource):
        return True
    held = [*_listed(resource, "contained")]
    entries = [*_listed(resource, "entry"), *_listed(resource, "parameter")]
    while entries:
        entry = entries.pop()
        if isinstance(entry, dict):
            held.append(entry.get("resource"))
            entries += _listed(entry, "part")
    return any(claims_anything(each) for each in held)


def _listed(value: dict[str, Json], name: str) -> list[Json]:
    found = value.get(name)
    return found if isinstance(found, list) else []


def _resources(node: Node) -> Iterator[Node]:
    """A resource and all that it holds: contained ones, entries, parameters."""
    if not isinstance(node.value, dict):
        return
    yield node
    for step in ("contained", "entry", "parameter"):
        if step in node.value:
            found: list[Node] = []
            add_member(node, step, found)
            for each in found:
                yield from _resources(each) if step == "contained" else _held(each)


def _held(node: Node) -> Iterator[Node]:
    for step in ("resource", "part"):
        found: list[Node] = []
        add_member(node, step, found)
        for each in found:
            yield from _resources(each) if step == "resource" else _held(each)


class Check:
    """One check of one record; `issues` is what it found so far."""

    def __init__(self, start: Node, knowledge: Knowledge, *, is_brief: bool) -> None:
        self.start = start
        self.knowledge = knowledge
        self.is_brief = is_brief
        self.issues: list[Issue] = []
        # %profile is the profile whose rules are being asked (R4 fhirpath.html, slice).
        self._variables: dict[str, str] = {}
        self.environment = Environment(
            strictness="lenient",
            resolve=knowledge.target,
            terminology=knowledge,
            conforms=self._fits_elsewhere,
            in_slice=self._is_in_slice,
            variables=self._variables,
            meter=self._meter,
        )
        self.slices = Slices(self)
        self.targets = Targets(self)
        self.extensions = Extensions(self)
        self._profile: Profile | None = None
        self._steps = 0
        self._items = 0
        self._told: set[tuple[str, str]] = set()
        self._unknown_sets: set[str] = set()
        self._is_silent = False

    # ---- telling ---------------------------------------------------------------------------------

    def tell(self, code: str, text: str, at: str, severity: Severity = "error") -> None:
        """Note an issue; a repetition of one that was told is none."""
        if severity != "error" and self.is_quiet:
            return
        if self._is_silent:
            raise _Unfit
        if (text, at) in self._told:
            return
        self._told.add((text, at))
        self.issues.append(Issue(severity, code, text, at))
        if len(self.issues) >= ISSUES_MAX:
            self.issues[-1] = Issue("error", "too-costly", "There is more: mend these first", at)
            raise Enough

    @property
    def is_quiet(self) -> bool:
        """Whether nothing but errors is wanted."""
        return self.is_brief or self._is_silent

    def inform(self, code: str, text: str, at: str) -> None:
        """Note what is no fault."""
        if not self.is_quiet and (text, at) not in self._told:
            self._told.add((text, at))
            self.issues.append(Issue("information", code, text, at))

    def _break(
        self, code: str, rule: Rule, what: str, at: str | Node, severity: Severity = "error"
    ) -> None:
        if self._is_silent and severity == "error":
            raise _Unfit
        at = at.location if isinstance(at, Node) else at
        url = self._profile.url if self._profile else ""
        self.tell(
            code,
            Sentence(
                "%(at)s %(what)s (profile %(url)s, element %(id)s)",
                at=at,
                what=what,
                url=url,
                id=rule.id,
            ),
            at,
            severity,
        )

    # ---- profiles --------------------------------------------------------------------------------

    def claim(self, node: Node, url: str, *, is_asked: bool = False) -> None:
        """Check a resource against a profile that it, or whoever asks, names."""
        at = node.location
        if is_base_type(url):
            name = url.partition("|")[0].removeprefix(STRUCTURE)
            if name not in node.type.names:
                self.tell(
                    "structure",
                    Sentence("%(at)s is no %(name)s, which %(url)s is", at=at, name=name, url=url),
                    at,
                )
            return
        found = self.knowledge.profile(url)
        severity: Severity = "error" if is_asked else "warning"
        if found is None:
            text = Sentence(
                "this node knows no profile %(url)s: load its StructureDefinition", url=url[:200]
            )
            self.tell("not-found", text, at, severity)
        elif isinstance(found, str):
            self.tell(
                "not-supported",
                Sentence("the profile %(url)s cannot be used: %(found)s", url=url, found=found),
                at,
                severity,
            )
        else:
            self.against(node, found)

    def against(self, node: Node, profile: Profile) -> None:
        """Check an element against a whole profile."""
        at = node.location
        if profile.type not in node.type.names and profile.type != node.type.shown:
            text = Sentence(
                "%(at)s is of another type than %(url)s, which is of %(type)s",
                at=at,
                url=profile.url,
                type=profile.type,
            )
            self.tell("structure", text, at)
            return
        before, self._profile = self._profile, profile
        asked = self._variables.get("profile", "")
        self._variables["profile"] = profile.url
        try:
            self.item(node, profile.root)
        finally:
            self._profile = before
            self._variables["profile"] = asked

    def fits(self, node: Node, rule: Rule | Profile) -> bool:
        """Whether an element keeps a rule or a profile; nothing is told."""
        before = self._is_silent, self._profile
        self._is_silent = True
        try:
            if isinstance(rule, Profile):
                self.against(node, rule)
            else:
                self.item(node, rule)
        except _Unfit:
            return False
        finally:
            self._is_silent, self._profile = before
        return True

    def _fits_elsewhere(self, value: Json, url: str) -> bool | None:
        if is_base_type(url):
            return None
        profile = self.knowledge.usable(url)
        return None if profile is None else self.fits(root(value), profile)

    def _is_in_slice(self, node: Node, url: str, name: str) -> bool | None:
        """Whether an element is in a slice of the profile; None where there is no such slice."""
        profile = self.knowledge.usable(url)
        if profile is None and self._profile is not None and self._profile.url == url:
            profile = self._profile
        rule = _rule_of(node, profile) if profile is not None else None
        part = rule.slices.get(name) if rule is not None else None
        return None if rule is None or part is None else self.slices.is_in(node, rule, part)

    # ---- elements --------------------------------------------------------------------------------

    def element(self, parent: Node, rule: Rule) -> None:
        """Check all items of an element that stand in `parent`."""
        items: list[Node] = []
        add_member(parent, rule.name, items)
        if len(items) < rule.min or (rule.max is not None and len(items) > rule.max):
            self.count(parent, rule, len(items))
        for item in items:
            self.item(item, rule)
        if rule.slicing is not None and (rule.slices or rule.slicing.rules == "closed"):
            self.slices.check(parent, rule, items)

    def count(self, parent: Node, rule: Rule, number: int, told_by: str = "") -> None:
        """Tell that there are too few or too many of an element or of a slice; `told_by` is what
        tells the slice from others.
        """
        at = f"{parent.location}.{rule.name}"
        name = rule.id.rpartition(".")[2].partition(":")[2]
        such = _such(name, told_by)
        if number < rule.min:
            what = Sentence(
                "needs at least %(min)s%(such)s, and has %(number)s",
                min=rule.min,
                such=such,
                number=number or Sentence("none"),
            )
            self._break("required", rule, what, at)
        elif rule.max == 0:
            self._break(
                "structure", rule, Sentence("may have none%(such)s: leave it out", such=such), at
            )
        elif rule.max is not None and number > rule.max:
            what = Sentence(
                "may have at most %(max)s%(such)s, and has %(number)s",
                max=rule.max,
                such=such,
                number=number,
            )
            self._break("structure", rule, what, at)

    def item(self, node: Node, rule: Rule) -> None:
        """Check one item of an element."""
        self._steps += 1
        if self._steps > STEPS_MAX:
            self._give_up()
        if rule.types and not self._is_typed(node, rule):
            return
        self._values(node, rule)
        for constraint in rule.constraints:
            self._constraint(node, rule, constraint)
        if rule.binding is not None:
            self._bound(node, rule, rule.binding)
        for child in rule.elements.values():
            self.element(node, child)

    def _give_up(self) -> None:
        text = Sentence("checking this takes more than it may: send smaller parts")
        self.issues.append(Issue("error", "too-costly", text, self.start.location))
        raise Enough

    def _meter(self, items: int) -> None:
        self._items += items
        if self._items > ITEMS_MAX:
            raise Unfit(f"the rules of all profiles touch more than {ITEMS_MAX} items")

    def _is_typed(self, node: Node, rule: Rule) -> bool:
        """Whether the item is of a type it may have; its profiles and targets are checked too."""
        fitting = [kind for kind in rule.types if _is_of(node, kind.code)]
        if not fitting:
            names = ", ".join(dict.fromkeys(kind.code for kind in rule.types))
            self._break(
                "structure", rule, Sentence("must be of type %(names)s", names=names), node.location
            )
            return False
        urls = [url for kind in fitting for url in kind.profiles]
        if all(kind.profiles for kind in fitting) and not any(map(is_base_type, urls)):
            self._profiled(node, rule, urls)
        self.targets.check(node, rule, fitting)
        return True

    def _profiled(self, node: Node, rule: Rule, urls: list[str]) -> None:
        """The item keeps one of these profiles, where they are known."""
        found = [self.knowledge.usable(url) for url in urls]
        known = [profile for profile in found if profile is not None]
        if len(known) < len(urls):
            self._unknown(node, urls)
        elif len(known) == 1:
            self.extensions.done(node, known[0].url)
            self.against(node, known[0])
        elif not any(self.fits(node, profile) for profile in known):
            self._break(
                "structure",
                rule,
                Sentence("must keep one of %(known)s", known=", ".join(urls)),
                node.location,
            )

    def _unknown(self, node: Node, urls: list[str]) -> None:
        text = Sentence(
            "not checked against %(known)s: load the StructureDefinition", known=", ".join(urls)
        )
        self.inform("informational", text, node.location)

    def break_rule(self, rule: Rule, what: str, at: str, code: str = "structure") -> None:
        """Tell that a rule is not kept, for the parts of this check that stand elsewhere."""
        self._break(code, rule, what, at)

    # ---- values ----------------------------------------------------------------------------------

    def _values(self, node: Node, rule: Rule) -> None:
        if rule.fixed is not UNSET and not same_json(rule.fixed, node.value):
            self._break(
                "value", rule, Sentence("must be exactly %(shown)s", shown=_shown(rule.fixed)), node
            )
        if rule.pattern is not UNSET and not holds_pattern(rule.pattern, node.value):
            self._break(
                "value",
                rule,
                Sentence("must have at least %(shown)s", shown=_shown(rule.pattern)),
                node,
            )
        if rule.length_max is not None and len(str(node.value or "")) > rule.length_max:
            self._break(
                "too-long",
                rule,
                Sentence("may have %(length_max)s characters at most", length_max=rule.length_max),
                node,
            )
        for limit, side in ((rule.low, -1), (rule.high, 1)):
            if limit is not None and order(node, limit, is_low=side < 0) == side:
                bound = _shown(limit.of.value)
                if limit.is_span:
                    bound = Sentence("%(bound)s from now", bound=bound)
                what = (
                    Sentence("must be at least %(bound)s", bound=bound)
                    if side < 0
                    else Sentence("must be at most %(bound)s", bound=bound)
                )
                self._break("value", rule, what, node)

    def _constraint(self, node: Node, rule: Rule, constraint: Constraint) -> None:
        if constraint.severity != "error" and self.is_quiet:
            return
        try:
            if constraint.path.is_true(node, environment=self.environment) is False:
                what = Sentence(
                    "breaks %(key)s: %(human)s", key=constraint.key, human=constraint.human
                )
                self._break("invariant", rule, what, node, constraint.severity)
        except PathProblem as problem:
            if self._items > ITEMS_MAX:
                self._give_up()
            # Nobody can tell, which is no fault of the record.
            what = Sentence(
                "is not checked for %(key)s: %(text)s", key=constraint.key, text=problem.text
            )
            self._break("not-supported", rule, what, node, "warning")

    # ---- codes -----------------------------------------------------------------------------------

    def _bound(self, node: Node, rule: Rule, binding: Binding) -> None:
        """R4 terminologies.html#strength; a code of the maximum value set is required."""
        if binding.value_set_max:
            self._coded(node, rule, binding.value_set_max, "required")
        if binding.strength == "required":
            self._coded(node, rule, binding.value_set, "required")
        elif not self.is_quiet and binding.strength != "example":
            self._coded(node, rule, binding.value_set, binding.strength)

    def _coded(self, node: Node, rule: Rule, value_set: str, strength: str) -> None:
        if not value_set:  # only described in words
            return
        answer = self.is_bound(node, value_set)
        if answer is None:
            self._unbound(node, value_set, strength)
        elif not answer and strength == "required":
            self._break(
                "code-invalid",
                rule,
                Sentence("needs a code of %(value_set)s", value_set=value_set),
                node,
            )
        elif not answer and strength == "extensible" and _has_code(node):
            what = Sentence(
                "has no code of %(value_set)s: use one of its codes where one fits",
                value_set=value_set,
            )
            self._break("code-invalid", rule, what, node, "warning")
        elif not answer and strength == "preferred" and _has_code(node):
            at = node.location
            self.inform(
                "code-invalid",
                Sentence(
                    "%(at)s has no code of %(value_set)s, as is preferred",
                    at=at,
                    value_set=value_set,
                ),
                at,
            )

    def _unbound(self, node: Node, value_set: str, strength: str) -> None:
        """Tell once of a value set that nobody here knows."""
        if strength == "preferred" or value_set in self._unknown_sets or self.is_quiet:
            return
        self._unknown_sets.add(value_set)
        text = Sentence(
            "not checked against %(value_set)s, here and elsewhere: load it and its CodeSystems",
            value_set=value_set,
        )
        if strength == "required":
            self.tell("not-found", text, node.location, "warning")
        else:
            self.inform("informational", text, node.location)

    def is_bound(self, node: Node, value_set: str) -> bool | None:
        """Whether an element has a code of a value set; None where that is not known."""
        answers = [self.knowledge.is_member(value_set, *coding) for coding in _codings(node)]
        if True in answers:
            return True
        return None if None in answers else _has_only_extensions(node)


class _Unfit(Exception):  # noqa: N818 - the answer "no" of a check that tells nothing
    """The element does not keep what it was held against."""


def _rule_of(node: Node, profile: Profile) -> Rule | None:
    """What a profile says of an element by its place; None where it says nothing."""
    steps = []
    while node.parent is not None and profile.type not in node.type.names:
        steps.append(node.step.partition(".ofType(")[0])
        node = node.parent
    rule: Rule | None = profile.root
    for step in reversed(steps):
        rule = rule.elements.get(step) if rule is not None else None
    return rule


def _is_of(node: Node, code: str) -> bool:
    return (
        not code
        or code in node.type.names
        or code == node.type.shown
        or (code in {"Resource", "Element"})
    )


def _codings(node: Node) -> Iterator[tuple[str | None, str]]:
    """(system, code) of a code, Coding, CodeableConcept or Quantity."""
    value: Any = node.value
    if isinstance(value, str):
        yield None, value
    elif isinstance(value, dict):
        codings = value.get("coding", [value])
        for coding in codings if isinstance(codings, list) else ():
            code = coding.get("code") if isinstance(coding, dict) else None
            if isinstance(code, str):
                # Without a system nobody can tell which code it is: it is in no value set.
                yield str(coding.get("system") or ""), code


def _has_code(node: Node) -> bool:
    return next(_codings(node), None) is not None


def _has_only_extensions(node: Node) -> bool:
    """Whether there is an extension in the place of the codes, as for data that is absent."""
    value = node.extra if node.value is None else node.value
    if not isinstance(value, dict) or "extension" not in value:
        return False
    return not _has_code(node)


def _such(name: str, told_by: str) -> str:
    if not name:
        return ""
    by = Sentence(", told by %(told_by)s", told_by=told_by) if told_by else ""
    return Sentence(" in the slice %(name)s%(by)s", name=name, by=by)


def _shown(value: Any) -> str:
    text = _ENCODER.encode(value).decode()
    return text if len(text) <= _SHOWN_MAX else text[:_SHOWN_MAX] + " ..."
