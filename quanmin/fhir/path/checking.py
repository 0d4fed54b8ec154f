"""Follows the types through an expression, to refuse what no record can have.

A misspelled element is no error when it is evaluated, it is merely not there. Whoever writes an
expression to be kept wants to know at once.
"""

from __future__ import annotations

import msgspec

from quanmin.fhir.path.nodes import root
from quanmin.fhir.path.problems import PathProblem
from quanmin.fhir.path.syntax import (
    Call,
    Chain,
    Index,
    Literal,
    Name,
    Operation,
    Sign,
    Tree,
    TypeTest,
    Variable,
)
from quanmin.fhir.path.types import (
    BOOLEAN,
    DATE,
    DATE_TIME,
    DECIMAL,
    INTEGER,
    QUANTITY,
    RESOURCE,
    STRING,
    TIME,
    UNKNOWN,
    Type,
    fhir_type,
    is_type_name,
    type_of,
)


class _Found(msgspec.Struct, frozen=True):
    """The types an expression can find; None is "anything". Children come in no order."""

    types: frozenset[Type] | None
    is_ordered: bool = True


_ANYTHING = _Found(None)
_NOTHING = _Found(frozenset())
_BOOLEAN = _Found(frozenset({BOOLEAN}))
_SAME = frozenset(
    {
        *("where", "first", "last", "tail", "skip", "take", "single", "distinct", "trace", "sort"),
        *("exclude", "intersect", "defineVariable", "checkModifiers", "slice"),
    }
)
_YES_OR_NO = frozenset(
    {
        *("exists", "empty", "all", "allTrue", "anyTrue", "allFalse", "anyFalse", "not", "is"),
        *("isDistinct", "subsetOf", "supersetOf", "hasValue", "startsWith", "endsWith"),
        *("contains", "matches", "matchesFull", "memberOf", "conformsTo", "htmlChecks"),
    }
)
_BY_ORDER = frozenset({"first", "last", "tail", "skip", "take"})
_LAMBDAS = frozenset(
    {"where", "exists", "all", "select", "repeat", "repeatAll", "aggregate", "iif", "trace", "sort"}
)
_TYPED = {
    BOOLEAN: ("toBoolean",),
    INTEGER: ("count", "length", "indexOf", "lastIndexOf", "toInteger", "precision"),
    DECIMAL: ("toDecimal",),
    STRING: (
        *("toString", "substring", "upper", "lower", "replace", "replaceMatches", "trim", "join"),
        *("split", "toChars", "encode", "decode", "escape", "unescape"),
    ),
    DATE: ("today", "toDate"),
    DATE_TIME: ("now", "toDateTime"),
    TIME: ("timeOfDay", "toTime"),
    QUANTITY: ("toQuantity",),
}
_RESULTS = {
    **{name: _Found(frozenset({kind})) for kind, names in _TYPED.items() for name in names},
    "children": _Found(None, is_ordered=False),
    "descendants": _Found(None, is_ordered=False),
}
# These hand on what their argument finds, from each item or once.
_PROJECTIONS = frozenset({"select"})
_HINT_LENGTH_MIN = 3
_OF_QUANTITY = frozenset({"value", "unit"})
_OF_PRIMITIVE = frozenset({"id", "extension"})
_READ_FROM_RECORDS = frozenset({"id", "uri"})


def check(
    expression: str, tree: Tree, type_name: str, others: frozenset[str] = frozenset()
) -> frozenset[Type] | None:
    """The types of what the expression finds on the type, None where they cannot be told.

    Raises PathProblem for an element that the type has not, and for an order that is none. What is
    said of one of the `others`, types that the same expression is for, finds nothing on this one.
    """
    kind = root({}, type_name).type
    start = _Found(None if kind is UNKNOWN else frozenset({kind}))
    return _Check(expression, others).find(tree, start, start).types


class _Check:
    """One walk over one tree."""

    def __init__(self, expression: str, others: frozenset[str]) -> None:
        self._expression = expression
        self._others = others

    def _fault(self, text: str, at: int) -> PathProblem:
        return PathProblem(text, expression=self._expression, at=at, fault="semantic")

    def find(self, tree: Tree, focus: _Found, this: _Found) -> _Found:
        """What a tree can find on a focus."""
        if isinstance(tree, Literal):
            return _ANYTHING if tree.value is None else _Found(frozenset({type_of(tree.value)}))
        if isinstance(tree, Name):
            return self._head(tree, focus)
        if isinstance(tree, Variable):
            return this if tree.text == "$this" else _ANYTHING
        if isinstance(tree, Call):
            return self._call(tree, focus, this)
        if isinstance(tree, Chain):
            return self._chain(tree, focus, this)
        if isinstance(tree, Sign):
            return self.find(tree.operand, this, this)
        if isinstance(tree, Operation | TypeTest):
            return self._operation(tree, this)
        return _ANYTHING

    def _operation(self, tree: Tree, this: _Found) -> _Found:
        # The left sides of operators in a row are walked in a row, as they are evaluated.
        spine: list[Operation | TypeTest] = []
        while isinstance(tree, Operation | TypeTest):
            spine.append(tree)
            tree = tree.left if isinstance(tree, Operation) else tree.operand
        found = self.find(tree, this, this)
        for part in reversed(spine):
            if isinstance(part, TypeTest):
                found = _BOOLEAN if part.text == "is" else _typed(part.namespace, part.name)
                continue
            right = self.find(part.right, this, this)
            found = _joined(found, right) if part.text == "|" else _ANYTHING
        return found

    def _chain(self, chain: Chain, focus: _Found, this: _Found) -> _Found:
        found = self.find(chain.head, focus, this)
        for step in chain.steps:
            if isinstance(step, Name):
                found = self._member(step, found)
            elif isinstance(step, Index):
                self._by_order(found, step.at)
                self.find(step.of, this, this)
            elif isinstance(step, Call):
                found = self._call(step, found, this)
        return found

    def _head(self, tree: Name, focus: _Found) -> _Found:
        if not tree.text[:1].isupper() or focus.types is None:
            return self._member(tree, focus)
        named = frozenset(kind for kind in focus.types if tree.text in kind.names)
        if named or RESOURCE in focus.types:
            return _Found(named or frozenset({fhir_type(tree.text)}))
        if tree.text in self._others:
            return _NOTHING
        if is_type_name(tree.text):
            shown = ", ".join(sorted(kind.name for kind in focus.types))
            raise self._fault(f"this is applied to {shown}, never to {tree.text}", tree.at)
        return self._member(tree, focus)

    def _member(self, tree: Name, focus: _Found) -> _Found:
        if focus.types is None or focus.types & {UNKNOWN, RESOURCE}:
            return _Found(None, focus.is_ordered)
        if not focus.types:
            return focus
        ways = [way for kind in focus.types for way in (kind.ways or {}).get(tree.text, ())]
        if not ways and not any(_has(kind, tree.text) for kind in focus.types):
            shown = ", ".join(sorted(kind.name for kind in focus.types)) or "what stands before"
            hint = _hint(tree.text, focus.types)
            raise self._fault(f"{shown} has no element {tree.text}{hint}", tree.at)
        return _Found(frozenset(way.type for way in ways) if ways else None, focus.is_ordered)

    def _call(self, call: Call, focus: _Found, this: _Found) -> _Found:
        if call.name in {"is", "as", "ofType"}:
            return _BOOLEAN if call.name == "is" else _named(call)
        if call.name in _BY_ORDER:
            self._by_order(focus, call.at)
        inner = focus if call.name in _LAMBDAS else this
        found = [self.find(tree, inner, inner) for tree in call.args]
        if call.name in _SAME:
            return focus
        if call.name in {"repeat", "repeatAll"}:
            return self._repeated(call.args[0], found[0])
        if call.name in _YES_OR_NO:
            return _BOOLEAN
        if call.name == "extension":
            return _typed("", "Extension")
        if call.name in _PROJECTIONS:
            return found[0]
        if call.name in {"union", "combine"} and found:
            return _joined(focus, found[0])
        return _RESULTS.get(call.name, _ANYTHING)

    def _repeated(self, tree: Tree, found: _Found) -> _Found:
        """What a step finds that goes on from what it found; where it leads nowhere, it ends."""
        new = found
        while new.types:
            try:
                new = self.find(tree, new, new)
            except PathProblem:
                break
            if found.types is None or new.types is None or new.types <= found.types:
                break
            found = _joined(found, new)
        return found if new.types is not None else new

    def _by_order(self, focus: _Found, at: int) -> None:
        if not focus.is_ordered:
            raise self._fault("children come in no order, so that none is the first or next", at)


def _typed(namespace: str, name: str) -> _Found:
    kind = fhir_type(name)
    if namespace == "System" or kind is UNKNOWN:
        return _ANYTHING
    return _Found(frozenset({kind}))


def _has(kind: Type, name: str) -> bool:
    """Whether a System value has this element: an id or a url of a record has what primitives have,
    what is computed has none.
    """
    if kind is QUANTITY:
        return name in _OF_QUANTITY
    return name in _OF_PRIMITIVE and not kind.names.isdisjoint(_READ_FROM_RECORDS)


def _named(call: Call) -> _Found:
    tree = call.args[0]
    if isinstance(tree, Chain) and isinstance(tree.head, Name) and isinstance(tree.steps[0], Name):
        return _typed(tree.head.text, tree.steps[0].text)
    return _typed("", tree.text) if isinstance(tree, Name) else _ANYTHING


def _joined(left: _Found, right: _Found) -> _Found:
    is_ordered = left.is_ordered and right.is_ordered
    if left.types is None or right.types is None:
        return _Found(None, is_ordered)
    return _Found(left.types | right.types, is_ordered)


def _hint(name: str, types: frozenset[Type]) -> str:
    """The element that was perhaps meant."""
    text = name.lower()
    found = sorted(
        known
        for kind in types
        for known in kind.ways or ()
        if len(known) >= _HINT_LENGTH_MIN
        and (text.startswith(known.lower()) or known.lower().startswith(text))
    )
    return f": is {found[0]} meant?" if found else ""
