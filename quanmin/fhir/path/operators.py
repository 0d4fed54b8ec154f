"""The operators of FHIRPath, each over the left collection and the closure of the right side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from quanmin.fhir.path import arithmetic
from quanmin.fhir.path.comparing import compare, equal, equal_items, equivalent, key
from quanmin.fhir.path.environment import Scope, fitting
from quanmin.fhir.path.nodes import EMPTY, NO, YES, Collection, Node, computed
from quanmin.fhir.path.problems import Unfit
from quanmin.fhir.path.types import SYSTEM_NAMES

Right = Callable[[Collection, Collection, Scope], Collection]
Operator = Callable[[Collection, Right, Collection, Scope], Collection]


def lone(items: Collection) -> Any:
    """The System value of the only item, None for none. Raises Unfit for several."""
    if not items:
        return None
    if len(items) > 1:
        raise Unfit(f"takes one item on each side, not {len(items)}: choose one, as by first()")
    return items[0].plain


def truth(items: Collection) -> bool | None:
    """The truth of a collection: one item other than false is true (FHIRPath 2.0, 4.5)."""
    if not items:
        return None
    if len(items) > 1:
        raise Unfit(f"takes true or false, not {len(items)} items: ask whether some exists()")
    value = items[0].plain
    if type(value) is bool:
        return value
    return None if value is None else True


# ---- logic ---------------------------------------------------------------------------------------


def _and(left: Collection, right: Right, this: Collection, scope: Scope) -> Collection:
    one = truth(left)
    if one is False:
        return NO
    two = truth(right(this, this, scope))
    if two is False:
        return NO
    return YES if one and two else EMPTY


def _or(left: Collection, right: Right, this: Collection, scope: Scope) -> Collection:
    one = truth(left)
    if one:
        return YES
    two = truth(right(this, this, scope))
    if two:
        return YES
    return NO if one is False and two is False else EMPTY


def _xor(left: Collection, right: Right, this: Collection, scope: Scope) -> Collection:
    one, two = truth(left), truth(right(this, this, scope))
    return EMPTY if one is None or two is None else computed(one != two)


def _implies(left: Collection, right: Right, this: Collection, scope: Scope) -> Collection:
    one = truth(left)
    if one is False:
        return YES
    two = truth(right(this, this, scope))
    if two:
        return YES
    return NO if one and two is False else EMPTY


# ---- equality and order --------------------------------------------------------------------------


def _equals(left: Collection, right: Right, this: Collection, scope: Scope) -> Collection:
    return computed(equal(left, right(this, this, scope), scope.zone))


def _differs(left: Collection, right: Right, this: Collection, scope: Scope) -> Collection:
    found = equal(left, right(this, this, scope), scope.zone)
    return EMPTY if found is None else computed(not found)


def _resembles(left: Collection, right: Right, this: Collection, scope: Scope) -> Collection:
    other = right(this, this, scope)
    scope.spend(len(left) * len(other))
    return computed(equivalent(left, other))


def _unlike(left: Collection, right: Right, this: Collection, scope: Scope) -> Collection:
    return NO if _resembles(left, right, this, scope) is YES else YES


def _ordered(accepted: frozenset[int]) -> Operator:
    def apply(left: Collection, right: Right, this: Collection, scope: Scope) -> Collection:
        one, two = lone(left), lone(right(this, this, scope))
        if one is None or two is None:
            return EMPTY
        found = compare(one, two, scope.zone)
        return EMPTY if found is None else computed(found in accepted)

    return apply


# ---- collections ---------------------------------------------------------------------------------


def united(left: Collection, right: Collection) -> Collection:
    """Each item of both once, in the order of its first appearance."""
    found: dict[object, Node] = {}
    for node in left:
        found.setdefault(key(node), node)
    for node in right:
        found.setdefault(key(node), node)
    return list(found.values())


def _union(left: Collection, right: Right, this: Collection, scope: Scope) -> Collection:
    other = right(this, this, scope)
    scope.spend(len(left) + len(other))
    return united(left, other)


def is_among(item: Node, items: Collection, scope: Scope) -> bool:
    """Whether one of the items equals this one."""
    return any(equal_items(item, other, scope.zone) for other in items)


def _in(left: Collection, right: Right, this: Collection, scope: Scope) -> Collection:
    items = right(this, this, scope)
    if len(left) > 1:
        raise Unfit("what is looked for is one item: choose one, as by first()")
    return computed(is_among(left[0], items, scope)) if left else EMPTY


def _contains(left: Collection, right: Right, this: Collection, scope: Scope) -> Collection:
    return _in(right(this, this, scope), lambda _focus, _this, _scope: left, this, scope)


# ---- arithmetic ----------------------------------------------------------------------------------


def _calculating(calculate: Callable[[Any, Any], Any]) -> Operator:
    def apply(left: Collection, right: Right, this: Collection, scope: Scope) -> Collection:
        one, two = lone(left), lone(right(this, this, scope))
        return EMPTY if one is None or two is None else computed(calculate(one, two))

    return apply


def _joined(left: Collection, right: Right, this: Collection, scope: Scope) -> Collection:
    one, two = lone(left), lone(right(this, this, scope))
    texts = ["" if value is None else value for value in (one, two)]
    for value in texts:
        if type(value) is not str:
            raise Unfit(f"puts texts together, not {arithmetic.kind(value)}: convert by toString()")
    return computed(fitting("".join(texts)))


def signed(sign: str, items: Collection) -> Collection:
    """A number or quantity with its sign."""
    value = lone(items)
    if value is None:
        return EMPTY
    negated = arithmetic.negated(value)
    return computed(negated if sign == "-" else value)


# ---- types ---------------------------------------------------------------------------------------


def is_kind(node: Node, wanted: str) -> bool:
    """Whether a node is of the type of this name or of one derived from it."""
    return wanted in node.type.names


def _is(left: Collection, right: Right, this: Collection, scope: Scope) -> Collection:
    if len(left) > 1:
        raise Unfit("asks for the type of one item: ask all(... is Type)")
    wanted = right(this, this, scope)[0].value
    return computed(is_kind(left[0], wanted)) if left else EMPTY


def cast(items: Collection, wanted: str) -> Collection:
    """The items of a type; of a FHIR primitive also the System value of that type, which `is` keeps
    apart from it (R4 fhirpath.html, 2.9.1.2).
    """
    found: Collection = []
    for node in items:
        if wanted in node.type.names:
            found.append(node)
        elif wanted in SYSTEM_NAMES and node.type.is_primitive:
            value = computed(node.plain)
            found += [one for one in value if wanted in one.type.names]
    return found


def _as(left: Collection, right: Right, this: Collection, scope: Scope) -> Collection:
    if len(left) > 1 and scope.environment.strictness != "lenient":
        raise Unfit("takes one item: filter several by ofType()")
    return cast(left, right(this, this, scope)[0].value)


OPERATORS: dict[str, Operator] = {
    "and": _and,
    "or": _or,
    "xor": _xor,
    "implies": _implies,
    "=": _equals,
    "!=": _differs,
    "~": _resembles,
    "!~": _unlike,
    "<": _ordered(frozenset({-1})),
    "<=": _ordered(frozenset({-1, 0})),
    ">": _ordered(frozenset({1})),
    ">=": _ordered(frozenset({0, 1})),
    "|": _union,
    "in": _in,
    "contains": _contains,
    "is": _is,
    "as": _as,
    "+": _calculating(arithmetic.plus),
    "-": _calculating(arithmetic.minus),
    "*": _calculating(arithmetic.times),
    "/": _calculating(arithmetic.divided),
    "div": _calculating(arithmetic.div),
    "mod": _calculating(arithmetic.mod),
    "&": _joined,
}
