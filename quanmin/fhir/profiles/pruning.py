"""Takes out of a profile what R4 asks of every record anyway, which is most of a snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import msgspec

from quanmin.fhir.invariants import invariants
from quanmin.fhir.profiles.model import STRUCTURE, Rule, TypeRule
from quanmin.fhir.table import Element, ElementType, load_table
from quanmin.fhir.validation.advice import extensible_bindings

_LANGUAGES = "http://hl7.org/fhir/ValueSet/all-languages"


@lru_cache(maxsize=1)
def _base_rules() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for rule in invariants():
        found.setdefault(rule.key, set()).add(rule.expression)
    return found


def is_of_base(key: str, expression: str) -> bool:
    """Whether a rule is one of R4 itself, which validation holds without any profile."""
    return expression in _base_rules().get(key, ())


def prune(root: Rule, type_: str) -> None:
    """Leave in a tree of rules what is stricter than R4."""
    _prune_children(root, (type_,), set())


def _prune_children(rule: Rule, sorts: tuple[str, ...], seen: set[int]) -> None:
    if id(rule) in seen:
        return
    seen.add(id(rule))
    known = _elements_of(sorts)
    for name, child in list(rule.children.items()):
        element = known.get(name)
        advised = {extensible_bindings().places.get(f"{code}.{name}") for code in sorts}
        for each in (child, *child.slices.values()):
            _prune_advice(each, advised)
        _prune(child, element, seen)
        if _says_nothing(child):
            del rule.children[name]


def _elements_of(sorts: tuple[str, ...]) -> dict[str, Element]:
    shapes = load_table().shapes
    found: dict[str, Element] = {}
    for code in sorts:
        for element in shapes.get(code, ()):
            found.setdefault(element.name, element)
    return found


def _prune(rule: Rule, element: Element | None, seen: set[int]) -> None:
    if element is not None:
        if rule.min <= element.min:
            rule.min = 0
        if element.max and rule.max is not None and rule.max >= element.max:
            rule.max = None
        _prune_values(rule, element)
    if rule.content is not None:
        _prune_children(rule.content, rule.content.sorts, seen)
    _prune_children(rule, rule.sorts, seen)
    for part in rule.slices.values():
        part.types = (
            _stricter_types(part, element) if element and len(part.sorts) < 2 else part.types
        )
        if element is not None and element.max == 1 and part.max == 1:
            part.max = None
        _prune_binding(part, element)
        _prune_children(part, part.sorts, seen)
        for inner in part.slices.values():
            _prune(inner, None, seen)


def _prune_values(rule: Rule, element: Element) -> None:
    rule.types = _stricter_types(rule, element)
    _prune_binding(rule, element)


def _prune_binding(rule: Rule, element: Element | None) -> None:
    binding = rule.binding
    if binding is None or element is None:
        return
    if binding.value_set_max == _LANGUAGES:
        # Every form that base validation takes for a language is in it (R4 valueset-all-languages).
        binding = rule.binding = msgspec.structs.replace(binding, value_set_max="")
    is_same = element.binding == binding.value_set.partition("|")[0]
    if (is_same or binding.strength == "example") and not binding.value_set_max:
        rule.binding = None


def _prune_advice(rule: Rule, advised: set[str | None]) -> None:
    """Leave the advice of R4 to validation, which gives it with the codes that there are."""
    binding = rule.binding
    if binding is None or binding.value_set_max or binding.strength == "required":
        return
    if binding.value_set.partition("|")[0] in advised:
        rule.binding = None


def _stricter_types(rule: Rule, element: Element) -> tuple[TypeRule, ...]:
    """The types of a rule where they say more than R4; empty where they do not."""
    given = {kind.code: kind for kind in element.types}
    if not rule.types:
        return ()
    kept = tuple(_without_base(kind, given) for kind in rule.types)
    is_all = {kind.code for kind in kept} >= set(given)
    has_more = any(kind.profiles or kind.targets or kind.aggregation for kind in kept)
    has_more = has_more or any(kind.versioning != "either" for kind in kept)
    is_whole = is_all or (len(given) == 1 and "Resource" not in given)
    return kept if has_more or not is_whole else ()


def _without_base(kind: TypeRule, given: Mapping[str, ElementType]) -> TypeRule:
    stated = given.get(kind.code)
    profiles = tuple(url for url in kind.profiles if url != STRUCTURE + kind.code)
    targets = kind.targets
    names = {url.removeprefix(STRUCTURE) for url in targets}
    allowed = set(stated.targets) if stated is not None else set()
    if not targets or names & {"Resource"} or (allowed and names >= allowed):
        targets = ()
    return msgspec.structs.replace(kind, profiles=profiles, targets=targets)


def _is_usual(rule: Rule) -> bool:
    """Whether the slicing is the one that all extensions have, which nobody needs to be told."""
    is_extension = rule.name in {"extension", "modifierExtension"}
    return is_extension and rule.slicing is not None and rule.slicing.rules == "open"


def _says_nothing(rule: Rule) -> bool:
    return (
        rule.min == 0
        and rule.max is None
        and not (rule.types or rule.constraints or rule.slices or rule.children)
        and rule.fixed is msgspec.UNSET
        and rule.pattern is msgspec.UNSET
        and rule.low is None
        and rule.high is None
        and rule.length_max is None
        and rule.binding is None
        and rule.content is None
        and (rule.slicing is None or _is_usual(rule))
    )
