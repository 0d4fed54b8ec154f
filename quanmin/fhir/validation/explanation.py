"""Walks a resource and tells everything that is wrong with it, in one pass.

The slow and complete half of validation: plain reading of the table, no shortcuts. Whatever the
fast half accepts, this one must find nothing in; a property test holds them to it.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal

import msgspec

from quanmin.base.problems import Issue, Malformed, Sentence
from quanmin.fhir.invariants import DECIDED_BY_SHAPE, Severity, broken
from quanmin.fhir.json import Json, decode, has_repeated_keys
from quanmin.fhir.path import Node
from quanmin.fhir.path.nodes import children, root
from quanmin.fhir.table import Element, ElementType, ValueSet, load_table
from quanmin.fhir.units import UCUM_SYSTEM
from quanmin.fhir.validation.fields import Member, elements_of, members_of
from quanmin.fhir.validation.literals import compiled, literal_fault
from quanmin.fhir.validation.references import is_consistent, reference_fault

ISSUES_MAX = 100
DEPTH_MAX = 100
_SHOWN_MAX = 12
_ADDRESSES = frozenset({"canonical", "uri", "url"})


class Scope(msgspec.Struct, frozen=True):
    """The resource an element belongs to: what `#id` can mean in it, each with its type, and what
    `#` alone means in a contained one.
    """

    contained: dict[str, str] = {}
    holder: str = ""
    is_contained: bool = False


class _Enough(Exception):  # noqa: N818 - not an error: the list is long enough
    """As many issues as anyone will read."""


def explain(
    type_name: str, raw: bytes, *, at: str, may_search: bool, is_ruled: bool = True
) -> list[Issue]:
    """Every issue of `raw` as a resource of this type, at most ISSUES_MAX. Raises Malformed.

    Unless `is_ruled` is false the invariants of R4 that it breaks are among them.
    """
    resource = decode(raw)
    if has_repeated_keys(raw):
        raise Malformed("The JSON has a key twice in one object: keep one of them")
    walk = _Walk(may_search=may_search)
    try:
        walk.resource(resource, at, expected=type_name)
        if is_ruled:
            walk.rules(resource, at)
    except _Enough:
        pass
    except RecursionError:
        raise Malformed("The JSON is nested too deeply: flatten it") from None
    return walk.issues


class _Walk:
    """One walk over one resource; `issues` is what it found so far."""

    def __init__(self, *, may_search: bool) -> None:
        self.issues: list[Issue] = []
        self._may_search = may_search

    def _tell(self, code: str, text: str, at: str) -> None:
        self.issues.append(Issue("error", code, text, at))
        if len(self.issues) >= ISSUES_MAX:
            self.issues[-1] = Issue("error", "too-costly", "There is more: mend these first", at)
            raise _Enough

    def rules(self, resource: dict[str, Json], at: str) -> None:
        """The invariants that the resource breaks."""
        known = {issue.expression for issue in self.issues}
        for issue in broken_rules(resource, at, "error"):
            # An element that is not even of its type is told of once.
            if issue.expression not in known:
                self._tell(issue.code, issue.text, issue.expression)

    # ---- resources -------------------------------------------------------------------------------

    def resource(
        self, value: Json, at: str, *, expected: str | None = None, scope: Scope | None = None
    ) -> None:
        """A whole resource; `scope` is that of the container when it is a contained one."""
        if not isinstance(value, dict):
            self._tell(
                "structure",
                Sentence("%(at)s must be a resource: an object with resourceType", at=at),
                at,
            )
            return
        name = value.get("resourceType")
        if not isinstance(name, str) or name not in load_table().types:
            self._tell("structure", _unknown_type(at, name, expected), at)
            return
        if expected not in {None, name}:
            self._tell(
                "structure",
                Sentence(
                    "The resourceType is %(name)s, and here it must be %(expected)s",
                    name=name,
                    expected=expected,
                ),
                at,
            )
            return
        if scope is None:
            scope = self._scope(value, name, at)
        if name == "Bundle" and value.get("type") in {"transaction", "batch"}:
            self._may_search = True
        members = {key: item for key, item in value.items() if key != "resourceType"}
        self._members(name, members, at, scope)

    def _scope(self, value: dict[str, Json], name: str, at: str) -> Scope:
        """The scope that this resource opens; its contained resources are checked on the way."""
        contained = value.get("contained")
        if not isinstance(contained, list):
            return Scope(holder=name)
        named = [
            (item["id"], str(item.get("resourceType")))
            for item in contained
            if isinstance(item, dict) and isinstance(item.get("id"), str)
        ]
        ids = Counter(id_ for id_, _ in named)
        mentioned = set(mentions(value))
        for index, item in enumerate(contained):
            if isinstance(item, dict):
                self._contained(item, f"{at}.contained[{index}]", ids, mentioned)
        return Scope(dict(named), name)

    def _contained(
        self, item: dict[str, Json], at: str, ids: Counter[str], mentioned: set[str]
    ) -> None:
        id_ = item.get("id")
        if not isinstance(id_, str):
            self._tell(
                "invariant",
                Sentence("%(at)s needs an id, so that it can be referred to as #id", at=at),
                at,
            )
        elif ids[id_] > 1:
            self._tell(
                "invariant", Sentence("%(at)s.id: two contained resources have this id", at=at), at
            )
        elif "#" + id_ not in mentioned and "#" not in set(mentions(item)):
            self._tell(
                "invariant",
                Sentence(
                    "%(at)s: nothing refers to it by #id: refer to it, or leave it out (dom-3)",
                    at=at,
                ),
                at,
            )
        if "contained" in item:
            self._tell(
                "invariant",
                Sentence(
                    "%(at)s.contained: a contained resource may not contain others (dom-2)", at=at
                ),
                at,
            )
        meta = item.get("meta")
        for name, key in (("versionId", "dom-4"), ("lastUpdated", "dom-4"), ("security", "dom-5")):
            if isinstance(meta, dict) and name in meta:
                where = f"{at}.meta.{name}"
                text = Sentence(
                    "%(where)s: a contained resource may not have it (%(key)s)",
                    where=where,
                    key=key,
                )
                self._tell("invariant", text, where)

    # ---- objects ---------------------------------------------------------------------------------

    def _object(self, shape: str, value: Json, at: str, scope: Scope) -> None:
        if not isinstance(value, dict):
            self._tell(
                "structure",
                Sentence(
                    "%(at)s must be an object { ... }, not %(kind)s", at=at, kind=_kind(value)
                ),
                at,
            )
        elif not value.keys() - {"id"}:
            self._tell(
                "structure",
                Sentence("%(at)s is empty: give it content, or leave it out", at=at),
                at,
            )
        else:
            self._members(shape, value, at, scope)

    def _members(self, shape: str, value: dict[str, Json], at: str, scope: Scope) -> None:
        if at.count(".") > DEPTH_MAX:
            self._tell(
                "too-costly",
                Sentence(
                    "Nested deeper than %(depth_max)s elements: flatten it", depth_max=DEPTH_MAX
                ),
                at[:200],
            )
            return
        known = members_of(shape)
        self._unknown(value, known, at)
        for element, ways in elements_of(shape):
            written = [
                member
                for member in ways
                if member.name in value or (member.is_primitive and "_" + member.name in value)
            ]
            self._count(element, written, at)
            for member in written:
                self._member(member, value, at, scope)

    def _unknown(self, value: dict[str, Json], known: dict[str, Member], at: str) -> None:
        for key in value:
            member = known.get(key.removeprefix("_"))
            if member and (not key.startswith("_") or member.is_primitive):
                continue
            near = difflib.get_close_matches(key[:64], known, n=1)
            hint = Sentence(" (did you mean %(near)s?)", near=near[0]) if near else ""
            text = Sentence(
                "%(at)s has no element %(key)r%(hint)s: remove it, or send it as an extension",
                at=at,
                key=key[:64],
                hint=hint,
            )
            self._tell("structure", text, at)

    def _count(self, element: Element, written: list[Member], at: str) -> None:
        where = f"{at}.{element.name}"
        if len(written) > 1:
            names = ", ".join(member.name for member in written)
            self._tell(
                "structure",
                Sentence(
                    "%(where)s is given more than once (%(names)s): keep one",
                    where=where,
                    names=names,
                ),
                where,
            )
        if element.min and not written:
            shown = f"{element.name}[x]" if element.is_choice else element.name
            choices = _choices(element)
            self._tell(
                "required",
                Sentence(
                    "%(at)s.%(shown)s is missing: it is mandatory%(choices)s",
                    at=at,
                    shown=shown,
                    choices=choices,
                ),
                where,
            )

    def _member(self, member: Member, value: dict[str, Json], at: str, scope: Scope) -> None:
        element = member.element
        where = f"{at}.{element.name}"
        if element.is_choice:
            where = f"{where}.ofType({member.type.code})"
        given, sibling = value.get(member.name), value.get("_" + member.name)
        for name in (member.name, "_" + member.name):
            if name in value and value[name] is None:
                self._tell(
                    "structure",
                    Sentence("%(where)s: %(name)s is null: leave it out", where=where, name=name),
                    where,
                )
        if element.is_list:
            self._list(member, given, sibling, where, scope)
            return
        if isinstance(given, list):
            self._tell(
                "structure",
                Sentence("%(where)s may be given once only: send it without [ ]", where=where),
                where,
            )
        elif given is not None:
            self._value(member, given, where, scope)
        if sibling is not None and member.is_primitive:
            self._beside(given, sibling, where, scope)

    def _beside(self, value: Json, sibling: Json, at: str, scope: Scope) -> None:
        """What stands beside a primitive; an id alone is enough beside a value (ele-1)."""
        if value is not None and isinstance(sibling, dict) and sibling.keys() == {"id"}:
            self._members("Element", sibling, at, scope)
        else:
            self._object("Element", sibling, at, scope)

    def _list(self, member: Member, given: Json, sibling: Json, at: str, scope: Scope) -> None:
        for items in (given, sibling):
            if items is not None and not isinstance(items, list):
                self._tell(
                    "structure", Sentence("%(at)s may repeat: send a list [ ... ]", at=at), at
                )
                return
            if items == []:
                self._tell(
                    "structure", Sentence("%(at)s is an empty list: leave it out", at=at), at
                )
        values, siblings = given or [], (sibling if member.is_primitive else None) or []
        element = member.element
        count = max(len(values), len(siblings))
        if element.max and count > element.max:
            self._tell(
                "structure",
                Sentence(
                    "%(at)s has %(count)s items, at most %(max)s may be",
                    at=at,
                    count=count,
                    max=element.max,
                ),
                at,
            )
        if count < element.min and (given or sibling):
            self._tell(
                "required",
                Sentence(
                    "%(at)s has %(count)s items, at least %(min)s must be",
                    at=at,
                    count=count,
                    min=element.min,
                ),
                at,
            )
        for index in range(count):
            item = values[index] if index < len(values) else None
            extra = siblings[index] if index < len(siblings) else None
            where = f"{at}[{index}]"
            if item is None and extra is None:
                self._tell(
                    "structure", Sentence("%(where)s is null: leave it out", where=where), where
                )
            if item is not None:
                self._value(member, item, where, scope)
            if extra is not None:
                self._beside(item, extra, where, scope)

    # ---- values ----------------------------------------------------------------------------------

    def _value(self, member: Member, value: Json, at: str, scope: Scope) -> None:
        if member.is_primitive:
            fault = literal_fault(member.type.code, value)
            if fault is None and member.name == "id" and " " in str(value):
                fault = Sentence(
                    "may not hold spaces"
                )  # Element.id; those of resources have no other form
            if fault:
                self._tell("value", Sentence("%(at)s %(fault)s", at=at, fault=fault), at)
            elif member.element.binding:
                self._code(member.element.binding, value, at)
        elif member.type.code == "Resource":
            is_contained = member.name == "contained"
            inner = (
                Scope(scope.contained, scope.holder, is_contained=True) if is_contained else None
            )
            self.resource(value, at, scope=inner)
        else:
            self._object(member.type.code, value, at, scope)
            if isinstance(value, dict):
                self._special(member, value, at, scope)

    def _special(self, member: Member, value: dict[str, Json], at: str, scope: Scope) -> None:
        if member.type.code == "Reference":
            self._reference(member.type, value, at, scope)
        elif member.type.code == "CodeableConcept" and member.element.binding:
            self._concept(member.element.binding, value, at)

    def _code(self, binding: str, value: str, at: str) -> None:
        codes = load_table().value_sets[binding]
        if codes.pattern:
            if not compiled(codes.pattern).search(value):
                self._tell(
                    "code-invalid",
                    Sentence("%(at)s is not of the form %(pattern)s", at=at, pattern=codes.pattern),
                    at,
                )
        elif not codes.open and value not in codes.codes:
            self._tell(
                "code-invalid",
                Sentence("%(at)s must be %(options)s", at=at, options=_options(codes.codes, value)),
                at,
            )

    def _concept(self, binding: str, value: dict[str, Json], at: str) -> None:
        codes = load_table().value_sets[binding]
        codings = value.get("coding")
        if codes.open or (codings is None and "extension" in value):
            return
        if not is_bound(codings, codes):
            shown = shown_codes(codes)
            self._tell(
                "code-invalid",
                Sentence(
                    "%(at)s needs a coding with system and code of %(shown)s", at=at, shown=shown
                ),
                at,
            )

    def _reference(self, kind: ElementType, value: dict[str, Json], at: str, scope: Scope) -> None:
        text = value.get("reference")
        stated = value.get("type")
        if isinstance(stated, str) and not _fits(stated, kind.targets):
            where = f"{at}.type"
            self._tell(
                "value",
                Sentence(
                    "%(where)s must be one of %(known)s", where=where, known=", ".join(kind.targets)
                ),
                where,
            )
        if not isinstance(text, str) or not text:
            return
        where = f"{at}.reference"
        fault = reference_fault(text, kind.targets, may_search=self._may_search)
        if fault:
            self._tell("value", Sentence("%(where)s %(fault)s", where=where, fault=fault), where)
        elif text.startswith("#"):
            self._fragment(text[1:], kind, where, scope)
        elif not is_consistent(stated, text):
            what = Sentence(
                "%(where)s leads to another type than %(at)s.type says: correct one of them",
                where=where,
                at=at,
            )
            self._tell("value", what, where)

    def _fragment(self, id_: str, kind: ElementType, at: str, scope: Scope) -> None:
        if id_ and id_ not in scope.contained:
            self._tell(
                "not-found", Sentence("%(at)s: no contained resource has this id", at=at), at
            )
        elif not id_ and not scope.is_contained:
            self._tell(
                "value",
                Sentence("%(at)s: # alone may stand only in a contained resource", at=at),
                at,
            )
        else:
            name = scope.contained.get(id_, scope.holder)
            if kind.targets and name not in kind.targets:
                fault = Sentence(
                    "points at %(name)s, but may point only at %(known)s",
                    name=name[:64],
                    known=", ".join(kind.targets),
                )
                self._tell("value", Sentence("%(at)s %(fault)s", at=at, fault=fault), at)


def broken_rules(resource: dict[str, Json], at: str, severity: Severity) -> Iterator[Issue]:
    """An issue for each invariant of this severity that the resource breaks."""
    rules = broken(resource, severities=frozenset({severity}), without=DECIDED_BY_SHAPE)
    for rule, node in rules:
        where = placed(resource, at, node)
        human = rule.human.rstrip(". ")
        text = Sentence(
            "%(where)s breaks %(key)s: %(human)s; mend it so that %(expression)s",
            where=where,
            key=rule.key,
            human=human,
            expression=rule.expression,
        )
        yield Issue(severity, "invariant", text, where)


def placed(resource: dict[str, Json], at: str, node: Node) -> str:
    """Where an element of the resource stands, as seen from where the resource stands."""
    name = resource.get("resourceType")
    return at + node.location[len(name) if isinstance(name, str) else 0 :]


def is_bound(codings: Json, codes: ValueSet) -> bool:
    """Whether at least one of these codings is in the value set."""
    return isinstance(codings, list) and any(
        isinstance(coding, dict) and codes.has(coding.get("system"), coding.get("code"))
        for coding in codings
    )


def shown_codes(codes: ValueSet) -> str:
    """The systems of a value set with some codes of each."""
    if codes.is_ucum:
        return Sentence("%(system)s: any unit of UCUM, such as mg/dL", system=UCUM_SYSTEM)
    return "; ".join(
        f"{system}: {', '.join(names[:_SHOWN_MAX])}" for system, names in codes.systems.items()
    )


def _fits(type_name: str, targets: tuple[str, ...]) -> bool:
    """Whether a Reference.type is among the targets; logical models are not ours to judge."""
    return not targets or type_name in targets or type_name not in load_table().types


def mentions(resource: dict[str, Json]) -> Iterator[str]:
    """What a resource refers to, those within it included: references and addresses (dom-3)."""
    waiting = [root(resource)]
    while waiting:
        node = waiting.pop()
        is_mention = node.step == "reference" or node.type.name in _ADDRESSES
        if is_mention and isinstance(node.value, str):
            yield node.value
        waiting += children(node)


def _kind(value: Json) -> str:
    if isinstance(value, bool) or value is None:
        return Sentence("true, false or null")
    if isinstance(value, (int, Decimal)):
        return Sentence("a number")
    return Sentence("a list") if isinstance(value, list) else Sentence("a text")


def _choices(element: Element) -> str:
    if not element.is_choice:
        return ""
    names = [kind.code[0].upper() + kind.code[1:] for kind in element.types]
    shown = ", ".join(element.name + name for name in names[:_SHOWN_MAX])
    more = " ..." if len(names) > _SHOWN_MAX else ""
    return Sentence("; send one of %(shown)s%(more)s", shown=shown, more=more)


def _options(codes: tuple[str, ...], value: str) -> str:
    if len(codes) <= _SHOWN_MAX:
        return Sentence("one of %(codes)s", codes=", ".join(codes))
    near = difflib.get_close_matches(value[:64], codes, n=3)
    return Sentence(
        "one of %(count)s codes such as %(some)s%(hint)s",
        count=len(codes),
        some=", ".join(codes[:_SHOWN_MAX]),
        hint=Sentence(" (near: %(near)s)", near=", ".join(near)) if near else "",
    )


def _unknown_type(at: str, name: Json, expected: str | None) -> str:
    if not isinstance(name, str):
        return Sentence(
            "%(at)s has no resourceType: begin with %(start)s",
            at=at,
            start=f'"resourceType": "{expected}"' if expected else '"resourceType"',
        )
    near = difflib.get_close_matches(name[:64], load_table().types, n=1)
    hint = Sentence(" (did you mean %(near)s?)", near=near[0]) if near else ""
    return Sentence(
        "%(at)s: %(name)r is no resource type of FHIR R4%(hint)s", at=at, name=name[:64], hint=hint
    )
