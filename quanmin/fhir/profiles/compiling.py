"""Compiles a StructureDefinition to a profile: reads its elements in order and hangs each in place.

A snapshot says everything. A differential says what differs from its base, so it is laid over the
rules of the base; where that is a type of R4 they are those that every record keeps anyway.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from quanmin.base.problems import Invalid, Issue, Sentence
from quanmin.fhir.invariants import Severity
from quanmin.fhir.json import json_names
from quanmin.fhir.path import PathProblem, compile_path
from quanmin.fhir.profiles.definition import Definition, is_base_type, read_definition
from quanmin.fhir.profiles.discriminating import read_discriminator
from quanmin.fhir.profiles.limits import read_limit
from quanmin.fhir.profiles.model import (
    STRUCTURE,
    Binding,
    Constraint,
    Context,
    Openness,
    Profile,
    Rule,
    Slicing,
    TypeRule,
)
from quanmin.fhir.profiles.pruning import is_of_base, prune
from quanmin.fhir.table import Element, load_table

_MAX_VALUE_SET = STRUCTURE + "elementdefinition-maxValueSet"
_SYSTEM = "http://hl7.org/fhirpath/System."
_ABSTRACT = {"Resource", "DomainResource", "Element", "BackboneElement"}


class Faulty(Invalid):
    """A StructureDefinition that cannot be used as a profile; an issue for each fault."""


class _Fault(Exception):  # noqa: N818 - what is wrong with one element, before its place is known
    """The text says what is wrong and how to mend it."""

    def __init__(self, text: str, where: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.where = where


def compile_profile(definition: Definition, base: Profile | None = None) -> Profile:
    """The profile that a definition makes; `base` is the one it needs, by `Definition.base`.

    Raises Faulty with everything that is wrong, located in the StructureDefinition.
    """
    compiler = _Compiler(definition, base)
    profile = compiler.compile()
    if compiler.issues:
        text = Sentence(
            "the StructureDefinition %(url)s cannot be used as a profile", url=definition.url
        )
        raise Faulty(text, issues=tuple(compiler.issues))
    return profile


def profile_faults(raw: bytes) -> list[Issue]:
    """Why a StructureDefinition, which is valid R4, can never be used as a profile.

    Of one that needs another profile this is not known without it: nothing is told.
    """
    definition = read_definition(raw)
    if not definition.is_profile or not definition.url or definition.base is not None:
        return []
    try:
        compile_profile(definition)
    except Faulty as faulty:
        return list(faulty.issues)
    return []


class _Compiler:
    """Compiles one definition; `issues` is what is wrong with it."""

    def __init__(self, definition: Definition, base: Profile | None) -> None:
        self.issues: list[Issue] = []
        self._definition = definition
        self._type = definition.type
        self._base = base
        # The last element at each depth: what its elements are told after it.
        self._open: list[str] = []

    def compile(self) -> Profile:
        table = load_table()
        known = {*table.types, *table.primitives, *table.shapes, *_ABSTRACT}
        is_modifier = False
        root = Rule(self._type, self._type, (self._type,))
        if self._type not in known:
            self._tell(f"{self._type!r} is no type of R4: profiles are made of its types", "type")
        elif not self._definition.part:
            self._tell("there is neither a snapshot nor a differential: send one of them", "")
        elif self._fits_its_base():
            if self._base is not None:
                root = _copied(self._base.root, {})
                is_modifier = self._base.is_modifier
            for place, element in enumerate(self._definition.elements):
                self._element(root, element, f"{self._definition.part}.element[{place}]")
            self._share_content(root, root)
            self._hold_slicing(root)
            is_modifier = self._definition.elements[0].get("isModifier", is_modifier)
        contexts = tuple(self._contexts())
        conditions = tuple(self._conditions())
        if not self.issues:
            prune(root, self._type)
        return Profile(
            self._definition.url,
            self._definition.version,
            self._type,
            root,
            bool(is_modifier),
            contexts or (self._base.contexts if self._base else ()),
            conditions,
        )

    def _tell(self, text: str, where: str) -> None:
        at = f"StructureDefinition.{where}" if where else "StructureDefinition"
        self.issues.append(
            Issue("error", "invalid", Sentence("%(at)s: %(text)s", at=at, text=text), at)
        )

    def _fits_its_base(self) -> bool:
        if self._definition.part != "differential":
            return True
        url = str(self._definition.head.get("baseDefinition") or "")
        of = self._base.type if self._base else url.partition("|")[0].removeprefix(STRUCTURE)
        if self._base is None and not is_base_type(url):
            self._tell(f"the base {url[:200]!r} is not known here: load it first", "baseDefinition")
            return False
        if of != self._type and of not in _ABSTRACT:
            self._tell(f"the base is of type {of}, and this of {self._type}: name one", "type")
            return False
        return True

    # ---- elements --------------------------------------------------------------------------------

    def _element(self, root: Rule, element: dict[str, Any], where: str) -> None:
        try:
            rule = self._place(root, element)
            if rule is not root:
                self._fill(rule, element)
            self._fill_value(rule, element)
        except _Fault as fault:
            inner = f".{fault.where}" if fault.where else ""
            self._tell(fault.text, where + inner)

    def _place(self, root: Rule, element: dict[str, Any]) -> Rule:
        """The rule that an element is about, made where it is first spoken of."""
        segments = self._segments(element)
        del self._open[len(segments) - 1 :]
        self._open += segments[len(self._open) :]
        rule = root
        for segment in segments[1:]:
            name, _, slice_name = segment.partition(":")
            rule = self._child(rule, name, element)
            # A choice named by its type is that slice already, and often named so once more.
            for part in _parts(slice_name) if slice_name != name else ():
                rule = _slice(rule, part, f"{name}:{part}")
        return rule

    def _segments(self, element: dict[str, Any]) -> list[str]:
        """The way to the element, slices included: by its id, else by what was told before it."""
        path, id_ = str(element.get("path") or ""), element.get("id")
        names = path.split(".")
        if names[0] != self._type:
            raise _Fault(f"the path must begin with {self._type}", "path")
        slice_name = str(element.get("sliceName") or "")
        if isinstance(id_, str):
            segments = id_.split(".")
            stated = [segment.partition(":")[0] for segment in segments]
            if stated == names and (not slice_name or segments[-1].endswith(f":{slice_name}")):
                return segments
        segments = []
        for depth, name in enumerate(names[:-1]):
            told = self._open[depth] if depth < len(self._open) else ""
            is_same = told.partition(":")[0] == name and segments == self._open[:depth]
            segments.append(told if is_same else name)
        return [*segments, f"{names[-1]}:{slice_name}" if slice_name else names[-1]]

    def _child(self, parent: Rule, name: str, element: dict[str, Any]) -> Rule:
        """The rule of an element by its name in a path; `valueQuantity` is a slice of `value`."""
        bare = name.removesuffix("[x]")
        found = parent.children.get(bare)
        if found is not None:
            return found
        known = dict(_elements(_sorts(parent)))
        if bare in known or not known:
            sorts = tuple(kind.code for kind in known[bare].types) if known else ()
            made = Rule(f"{parent.id}.{name}", bare, sorts)
            parent.children[bare] = made
            return made
        for choice in known.values():
            for json_name, code in json_names(choice) if choice.is_choice else ():
                if json_name == bare:
                    whole = self._child(parent, f"{choice.name}[x]", element)
                    part = _slice(whole, bare, bare)
                    part.sorts = (code,)
                    part.types = part.types or (TypeRule(code),)
                    return part
        raise _Fault(f"{_sorts(parent)[0]} has no element {bare[:64]!r}: correct the path", "path")

    # ---- what an element says --------------------------------------------------------------------

    def _fill(self, rule: Rule, element: dict[str, Any]) -> None:
        """Cardinality, types and slicing, which only say something inside a type."""
        # What a profile is based on is kept as well: it may be made stricter, never wider (R4
        # profiling.html#2.1.0.3).
        rule.min = max(rule.min, element.get("min", 0))
        if "max" in element:
            stated = str(element["max"])
            if stated != "*" and not stated.isdecimal():
                raise _Fault("max must be a number or *", "max")
            if stated != "*":
                rule.max = int(stated) if rule.max is None else min(rule.max, int(stated))
        if rule.max is not None and rule.min > rule.max:
            raise _Fault(f"min is {rule.min} and max {rule.max}: nothing can keep both", "min")
        if element.get("type"):
            rule.types = tuple(_type_rule(each) for each in element["type"])
            codes = [kind.code for kind in rule.types if kind.code]
            allowed = _narrowed(rule.sorts, codes)
            if rule.sorts and codes and not allowed:
                raise _Fault(f"R4 gives it {', '.join(rule.sorts)}, not {codes[0]}", "type")
            rule.sorts = allowed or rule.sorts or tuple(codes)
        if "contentReference" in element:
            # Its target may come later, so it is looked up when all is read.
            rule.content = Rule(str(element["contentReference"]), "")
        if "slicing" in element:
            rule.slicing = _slicing(element["slicing"])

    def _fill_value(self, rule: Rule, element: dict[str, Any]) -> None:
        for key, value in element.items():
            if key.startswith("fixed"):
                rule.fixed = value
            elif key.startswith("pattern"):
                rule.pattern = value
            elif key.startswith(("minValue", "maxValue")):
                limit = read_limit(key.removeprefix(key[:8]), value)
                if limit is None:
                    raise _Fault("the bound is no value of its type", key)
                if key.startswith("min"):
                    rule.low = limit
                else:
                    rule.high = limit
        if "maxLength" in element:
            lengths = (rule.length_max, element["maxLength"])
            rule.length_max = min(length for length in lengths if length is not None)
        if isinstance(element.get("binding"), dict):
            bound = _binding(element["binding"])
            if not (rule.binding and rule.binding.strength == "required" != bound.strength):
                rule.binding = bound
        known = {constraint.key for constraint in rule.constraints}
        rule.constraints += tuple(
            found for found in _constraints(element, self._type) if found.key not in known
        )

    # ---- the whole -------------------------------------------------------------------------------

    def _share_content(self, root: Rule, rule: Rule) -> None:
        """Give elements that share the definition of another its rules."""
        if rule.content is not None and not rule.content.name:
            wanted = rule.content.id.partition("#")[2].removeprefix(f"{self._type}.").split(".")
            found: Rule | None = root
            for name in wanted:
                found = found.children.get(name.partition(":")[0]) if found else None
            rule.content = None if found is rule or rule.children else found
        for inner in (*rule.children.values(), *rule.slices.values()):
            self._share_content(root, inner)

    def _hold_slicing(self, rule: Rule) -> None:
        """See that whatever has slices says how they are told apart."""
        if rule.slices and rule.slicing is None:
            if rule.name in {"extension", "modifierExtension"}:
                rule.slicing = _slicing({"discriminator": [{"type": "value", "path": "url"}]})
            elif all(len(part.types) == 1 for part in rule.slices.values()):
                rule.slicing = _slicing({"discriminator": [{"type": "type", "path": "$this"}]})
            elif len(rule.sorts) > 1 and rule.id.endswith("[x]"):
                rule.slicing = _slicing({})  # several types each: all their rules tell them apart
            else:
                self._tell(
                    f"{rule.id} has slices and no slicing: say what tells them apart",
                    self._definition.part,
                )
        for inner in (*rule.children.values(), *rule.slices.values()):
            self._hold_slicing(inner)

    def _contexts(self) -> Iterator[Context]:
        for place, context in enumerate(self._definition.head.get("context") or ()):
            kind, text = context.get("type"), str(context.get("expression") or "")
            where = f"context[{place}].expression"
            path = self._path(text, where) if kind == "fhirpath" else None
            if kind != "fhirpath" or path is not None:
                yield Context(kind, text, path)

    def _conditions(self) -> Iterator[Any]:
        for place, text in enumerate(self._definition.head.get("contextInvariant") or ()):
            path = self._path(str(text), f"contextInvariant[{place}]")
            if path is not None:
                yield path

    def _path(self, text: str, where: str) -> Any:
        try:
            return compile_path(text)
        except PathProblem as problem:
            self._tell(problem.text, where)
            return None


def _parts(slice_name: str) -> list[str]:
    """A slice and the slices of it: `a/b` is b within a (R4 profiling.html#reslicing)."""
    names = slice_name.split("/") if slice_name else []
    return ["/".join(names[: depth + 1]) for depth in range(len(names))]


def _slice(of: Rule, name: str, step: str) -> Rule:
    found = of.slices.get(name)
    if found is None:
        head = of.id.rpartition(".")[0]
        id_ = f"{head}.{step}" if head else f"{of.id}:{name}"
        found = Rule(id_, of.name, of.sorts)
        # The type that a slice of a choice is named by, where it names none itself.
        for code in of.sorts if len(of.sorts) > 1 else ():
            if name == of.name + code[:1].upper() + code[1:]:
                found.sorts, found.types = (code,), (TypeRule(code),)
        of.slices[name] = found
    return found


def _sorts(rule: Rule) -> tuple[str, ...]:
    return rule.sorts or ("the element",)


def _elements(sorts: Sequence[str]) -> Iterator[tuple[str, Element]]:
    shapes = load_table().shapes
    for code in sorts:
        shape = "Element" if code in load_table().primitives else code
        for element in shapes.get(shape, ()):
            yield element.name, element
        if code in load_table().primitives:
            value = Element("value", 0, 1, is_choice=False, types=(), binding=None)
            yield "value", value


def _narrowed(sorts: tuple[str, ...], stated: list[str]) -> tuple[str, ...]:
    """The types of `stated` that the element may have at all."""
    loose = {"Resource", "Element", "BackboneElement"}
    if not sorts or loose & {*sorts}:
        return tuple(stated)
    kept = tuple(code for code in stated if code in sorts)
    if kept or not loose & {*stated}:
        return kept
    return sorts


def _type_rule(given: dict[str, Any]) -> TypeRule:
    code = str(given.get("code") or "")
    # Ids and the url of an extension: R4 says in an extension, and for ids wrongly, what they are.
    if code.startswith(_SYSTEM):
        code = ""
    return TypeRule(
        code,
        tuple(given.get("profile") or ()),
        tuple(given.get("targetProfile") or ()),
        tuple(given.get("aggregation") or ()),
        str(given.get("versioning") or "either"),
    )


def _slicing(given: dict[str, Any]) -> Slicing:
    discriminators = []
    for place, each in enumerate(given.get("discriminator") or ()):
        try:
            discriminators.append(read_discriminator(each.get("type"), str(each.get("path"))))
        except (PathProblem, ValueError) as problem:
            where = f"slicing.discriminator[{place}].path"
            raise _Fault(str(problem), where) from None
    rules: Openness = given.get("rules") or "open"
    return Slicing(tuple(discriminators), rules, given.get("ordered") is True)


def _binding(given: dict[str, Any]) -> Binding:
    maximum = [
        each.get("valueCanonical") or each.get("valueUri") or ""
        for each in given.get("extension") or ()
        if each.get("url") == _MAX_VALUE_SET
    ]
    return Binding(
        given.get("strength") or "example",
        str(given.get("valueSet") or ""),
        str(maximum[0]) if maximum else "",
    )


def _constraints(element: dict[str, Any], type_: str) -> Iterator[Constraint]:
    for place, given in enumerate(element.get("constraint") or ()):
        text, key = given.get("expression"), str(given.get("key") or "")
        if not text or is_of_base(key, text):
            continue
        try:
            path = compile_path(text)
        except PathProblem as problem:
            where = f"constraint[{place}].expression"
            raise _Fault(f"{type_}: the rule {key} cannot be read: {problem.text}", where) from None
        severity: Severity = "warning" if given.get("severity") == "warning" else "error"
        yield Constraint(key, severity, str(given.get("human") or ""), path)


def _copied(rule: Rule, known: dict[int, Rule]) -> Rule:
    """The rules of a base, to be changed without changing the base."""
    made = known.get(id(rule))
    if made is None:
        made = known[id(rule)] = msgspec.structs.replace(rule)
        made.children = {name: _copied(each, known) for name, each in rule.children.items()}
        made.slices = {name: _copied(each, known) for name, each in rule.slices.items()}
        made.content = None if rule.content is None else _copied(rule.content, known)
    return made
