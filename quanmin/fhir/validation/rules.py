"""Invariants as plain checks on decoded shapes, for the fast half of validation.

Most rules of R4 ask whether elements are there or what code they hold. Those are translated to
closures over attributes, which cost a tenth of the general evaluation. A check passes only what
surely keeps its rule; whatever it cannot tell is left to the explanation, which evaluates FHIRPath.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import UNSET

from quanmin.fhir.invariants import DECIDED_BY_SHAPE, Invariant, invariants
from quanmin.fhir.path.environment import CONSTANTS
from quanmin.fhir.path.syntax import (
    Call,
    Chain,
    Constant,
    Literal,
    Name,
    Operation,
    Tree,
    Variable,
    parse,
)
from quanmin.fhir.path.types import fhir_type
from quanmin.fhir.table import load_table
from quanmin.fhir.validation.fields import Member, elements_of

Shaped = Any
Truth = Callable[[Any], bool | None]
Items = Callable[[Any], list[Any]]

# Dates that compare as texts do: both of one length, and in one zone if they have any.
_COMPARABLE = re.compile(r"[0-9-]+(?:T[0-9:]+(?:\.[0-9]+)?)?(?P<zone>Z|[+-]\d\d:\d\d)?\Z")
_COMPARING: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
# Words of Python among the elements of R4, as the shapes name them.
WORDS = frozenset({"class", "for", "import", "assert", "global"})


# They look from an entry to its Bundle, or into its record, which is not decoded yet: the fast
# check asks for them when it has the whole.
DECIDED_BY_HOLDER = frozenset({"bdl-3", "bdl-4", "bdl-7", "bdl-11", "bdl-12"})


class _Untranslatable(Exception):  # noqa: N818 - no error: the rule is left to FHIRPath
    """The rule asks for more than attributes tell."""


class _Found(msgspec.Struct, frozen=True):
    """How to get items, and their shape: None where it varies."""

    get: Items
    shape: str | None


def attribute(name: str) -> str:
    """The attribute under which a shape keeps a member."""
    return name + "_" if name in WORDS else name


@lru_cache(maxsize=2048)
def rule_checks(shape: str) -> tuple[Callable[[Shaped], None], ...]:
    """One check for each rule of the shape; each raises ValueError unless its rule surely holds."""
    return tuple(_check(rule, tree, shape) for rule, tree in _rules(shape))


def _rules(shape: str) -> list[tuple[Invariant, Tree]]:
    """The rules of the shape itself, and those stated for an element at this place only."""
    shapes = load_table().shapes
    found = []
    for rule in invariants():
        if rule.severity != "error" or rule.key in DECIDED_BY_SHAPE | DECIDED_BY_HOLDER:
            continue
        owner, _, name = rule.place.removesuffix("[x]").rpartition(".")
        if rule.place in fhir_type(shape).names:
            found.append((rule, parse(rule.expression)))
        elif owner == shape and name != "extension" and rule.place not in shapes:
            each = Chain(Name(name, 0), (Call("all", (parse(rule.expression),), 0),), 0)
            found.append((rule, each))
    return found


def _check(rule: Invariant, tree: Tree, shape: str) -> Callable[[Shaped], None]:
    try:
        holds = _truth(tree, shape)
    except _Untranslatable:
        return _refusal(rule.key)

    def check(shaped: Shaped) -> None:
        if holds(shaped) is False:
            raise ValueError(rule.key)

    return check


def _refusal(key: str) -> Callable[[Shaped], None]:
    def look_closer(_shaped: Shaped) -> None:
        raise ValueError(key)

    return look_closer


def untranslated() -> dict[str, str]:
    """The rules that are left to FHIRPath: key -> place."""
    found = {}
    for shape in load_table().shapes:
        for rule, tree in _rules(shape):
            try:
                _truth(tree, shape)
            except _Untranslatable:
                found[rule.key] = rule.place
    return found


# ---- truth ---------------------------------------------------------------------------------------


def _truth(tree: Tree, shape: str | None) -> Truth:
    """The truth of a tree on an item of the shape; None is unknown. Raises _Untranslatable."""
    if isinstance(tree, Operation):
        return _operation(tree, shape)
    if isinstance(tree, Chain) and isinstance(tree.steps[-1], Call):
        return _asked(tree, tree.steps[-1], shape)
    if isinstance(tree, Call) and tree.name in {"exists", "empty"} and not tree.args:
        return _always(tree.name == "exists")
    if isinstance(tree, Literal) and isinstance(tree.value, bool):
        return _always(tree.value)
    if isinstance(tree, Name | Chain):
        return _alone(_items(tree, shape))
    raise _Untranslatable


def _always(known: Any) -> Callable[[Any], Any]:
    return lambda _item: known


def _alone(found: _Found) -> Truth:
    get = found.get

    def ask(item: Any) -> bool | None:
        items = get(item)
        if not items:
            return None
        if len(items) > 1 or items[0] is None:
            raise ValueError
        return items[0] if type(items[0]) is bool else True

    return ask


def _asked(chain: Chain, last: Call, shape: str | None) -> Truth:
    """What asks at the end of a path: exists(), not(), all(), isDistinct() and the like."""
    before: Tree = Chain(chain.head, chain.steps[:-1], 0) if len(chain.steps) > 1 else chain.head
    if last.name == "not":
        inner = _truth(before, shape)
        return lambda item: None if (one := inner(item)) is None else not one
    if last.name in {"exists", "empty"} and not last.args:
        wanted = last.name == "exists"
        if isinstance(before, Name) and shape is not None:
            return _present(before.text, shape, wanted=wanted)
        get = _items(before, shape).get
        return lambda item: bool(get(item)) is wanted
    if last.name == "hasValue":
        get = _items(before, shape).get
        return lambda item: len(items := get(item)) == 1 and items[0] is not None
    if last.name == "all":
        found = _items(before, shape)
        get, criteria = found.get, _if_asked(last.args[0], found.shape)
        return lambda item: all(criteria(one) for one in get(item))
    if last.name == "isDistinct":
        get = _items(before, shape).get
        return lambda item: len(items := get(item)) == len(_texts(items))
    if last.name == "contains" and isinstance(part := last.args[0], Literal):
        value, text = _value(before, shape), part.value
        return lambda item: None if (whole := value(item)) is None else text in whole
    raise _Untranslatable


def _texts(items: list[Any]) -> set[str]:
    """The different ones among items that are all texts."""
    if not all(type(item) is str for item in items):
        raise ValueError
    return set(items)


def _present(name: str, shape: str, *, wanted: bool) -> Truth:
    names = _attributes(name, shape)
    values: Callable[[Any], Any] = attrgetter(*names)
    if len(names) == 1:
        return lambda item: (values(item) is not UNSET) is wanted
    count = len(names)
    return lambda item: (values(item).count(UNSET) < count) is wanted


def _operation(tree: Operation, shape: str | None) -> Truth:
    if tree.text in _LOGIC:
        return _LOGIC[tree.text](_if_asked(tree.left, shape), _if_asked(tree.right, shape))
    if tree.text in {"=", "!="}:
        return _equality(tree, shape)
    if tree.text == "in":
        return _membership(tree, shape)
    if tree.text in _COMPARING:
        return _comparison(tree, shape)
    raise _Untranslatable


def _if_asked(tree: Tree, shape: str | None) -> Truth:
    """The truth of a part of a rule; one that cannot be told refuses only when it is asked for."""
    try:
        return _truth(tree, shape)
    except _Untranslatable:
        return _unsure


def _unsure(_item: Any) -> bool | None:
    raise ValueError


def _and(one: Truth, two: Truth) -> Truth:
    def ask(item: Any) -> bool | None:
        left = one(item)
        if left is False:
            return False
        right = two(item)
        return False if right is False else (left and right)

    return ask


def _or(one: Truth, two: Truth) -> Truth:
    def ask(item: Any) -> bool | None:
        left = one(item)
        if left:
            return True
        right = two(item)
        return True if right else (None if left is None else right)

    return ask


def _xor(one: Truth, two: Truth) -> Truth:
    def ask(item: Any) -> bool | None:
        left, right = one(item), two(item)
        return None if left is None or right is None else left != right

    return ask


def _implies(one: Truth, two: Truth) -> Truth:
    def ask(item: Any) -> bool | None:
        left = one(item)
        if left is False:
            return True
        right = two(item)
        return True if right else (None if left is None else right)

    return ask


_LOGIC = {"and": _and, "or": _or, "xor": _xor, "implies": _implies}


def _equality(tree: Operation, shape: str | None) -> Truth:
    is_equal = tree.text == "="
    try:
        one, two = _truth(tree.left, shape), _truth(tree.right, shape)
    except _Untranslatable:
        pass
    else:
        if not isinstance(tree.left, Name | Variable):
            same = _xor(one, two)
            return lambda item: None if (it := same(item)) is None else it is not is_equal
    left, right = _value(tree.left, shape), _value(tree.right, shape)

    def ask(item: Any) -> bool | None:
        mine, other = left(item), right(item)
        return None if mine is None or other is None else (mine == other) is is_equal

    return ask


def _membership(tree: Operation, shape: str | None) -> Truth:
    left, options = _value(tree.left, shape), _options(tree.right)

    def ask(item: Any) -> bool | None:
        mine = left(item)
        return None if mine is None else mine in options

    return ask


def _options(tree: Tree) -> frozenset[Any]:
    if isinstance(tree, Operation) and tree.text == "|":
        return _options(tree.left) | _options(tree.right)
    if isinstance(tree, Literal) and isinstance(tree.value, str):
        return frozenset({tree.value})
    raise _Untranslatable


# ---- values --------------------------------------------------------------------------------------


def _value(tree: Tree, shape: str | None) -> Callable[[Any], Any]:
    """The only value of a tree; None for none. The closure raises ValueError for several."""
    if isinstance(tree, Literal) and isinstance(tree.value, str | int):
        return _always(tree.value)
    if isinstance(tree, Constant) and tree.text in CONSTANTS:
        return _always(CONSTANTS[tree.text])
    if isinstance(tree, Operation) and tree.text == "+":
        one, two = _value(tree.left, shape), _value(tree.right, shape)
        return lambda item: one(item) + two(item)
    if isinstance(tree, Chain) and isinstance(tree.steps[-1], Call):
        last = tree.steps[-1]
        if last.name == "count" and len(tree.steps) == 1:
            get = _items(tree.head, shape).get
            return lambda item: len(get(item))
    get = _items(tree, shape).get

    def value(item: Any) -> Any:
        items = get(item)
        if not items:
            return None
        if len(items) > 1 or items[0] is None:
            raise ValueError
        return items[0]

    return value


def _comparison(tree: Operation, shape: str | None) -> Truth:
    left, right, compared = (
        _value(tree.left, shape),
        _value(tree.right, shape),
        _COMPARING[tree.text],
    )

    def ask(item: Any) -> bool | None:
        one, two = left(item), right(item)
        if one is None or two is None:
            return None
        if type(one) is str and type(two) is str:
            if one == two:
                return tree.text in {"<=", ">="}
            if not _are_alike(one, two):
                raise ValueError
        elif not isinstance(one, int | float) or not isinstance(two, int | float):
            raise ValueError
        return bool(compared(one, two))

    return ask


def _are_alike(one: str, two: str) -> bool:
    mine, other = _COMPARABLE.match(one), _COMPARABLE.match(two)
    return bool(mine and other and len(one) == len(two) and mine["zone"] == other["zone"])


# ---- paths ---------------------------------------------------------------------------------------


def _items(tree: Tree, shape: str | None) -> _Found:
    """The items that a path leads to from an item of the shape."""
    if isinstance(tree, Variable) and tree.text == "$this":
        return _Found(lambda item: [item], shape)
    if isinstance(tree, Name):
        if tree.text[:1].isupper() and tree.text == shape:
            return _Found(lambda item: [item], shape)
        return _member(tree.text, shape)
    if isinstance(tree, Call) and tree.name == "where":
        here = _Found(lambda item: [item], shape)
        return _filtered(here, _if_asked(tree.args[0], shape))
    if not isinstance(tree, Chain):
        raise _Untranslatable
    here = _Found(lambda item: [item], shape)
    is_called = isinstance(tree.head, Call)
    found = here if is_called else _items(tree.head, shape)
    steps = iter((tree.head, *tree.steps) if is_called else tree.steps)
    for step in steps:
        if isinstance(step, Name):
            found = _after(found, _member(step.text, found.shape))
        elif isinstance(step, Call):
            found = _called(step, found, here, steps)
        else:
            raise _Untranslatable
    return found


def _called(call: Call, found: _Found, here: _Found, steps: Iterator[Tree]) -> _Found:
    """What filters items or goes on from them; descendants() takes the next step too."""
    if call.name == "trace":
        return found
    if call.name == "where":
        return _filtered(found, _if_asked(call.args[0], found.shape))
    if call.name == "select":
        return _after(found, _items(call.args[0], found.shape))
    if call.name == "combine":
        one, two = found.get, _items(call.args[0], here.shape).get
        return _Found(lambda item: [*one(item), *two(item)], found.shape)
    name = next(steps, None)
    if call.name == "descendants" and isinstance(name, Name) and found.shape is not None:
        return _after(found, _below(found.shape, name.text))
    raise _Untranslatable


def _below(shape: str, name: str) -> _Found:
    """The elements of this name anywhere below an item of the shape: `descendants().name`."""
    ways = _ways_down(shape, name)
    shapes = load_table().shapes
    owners = [at for at in ways if any(element.name == name for element in shapes[at])]
    found = {at: _member(name, at) for at in owners}
    own = {at: member.get for at, member in found.items()}
    kinds = {member.shape for member in found.values()}
    if len(kinds) != 1:
        raise _Untranslatable

    def gather(item: Any, at: str) -> list[Any]:
        found: list[Any] = []
        for get, inner in ways[at]:
            for child in get(item):
                if inner not in ways:
                    raise ValueError  # a resource within: undecoded here, and its elements count
                if inner in own:
                    found += own[inner](child)
                found += gather(child, inner)
        return found

    return _Found(lambda item: gather(item, shape), kinds.pop())


def _ways_down(shape: str, name: str) -> dict[str, list[tuple[Items, str]]]:
    """For each shape on a way from this one to elements of the name: what leads on, and to what."""
    leading = _leading(name) | {"Resource"}
    shapes = load_table().shapes
    ways: dict[str, list[tuple[Items, str]]] = {}
    waiting = [shape]
    while waiting:
        at = waiting.pop()
        ways[at] = []
        for element in shapes[at]:
            inner = [kind.code for kind in element.types if kind.code in leading]
            if inner and element.is_choice:
                raise _Untranslatable
            ways[at] += [(_held(element.name), code) for code in inner]
            waiting += [code for code in inner if code in shapes and code not in ways]
    return ways


def _held(name: str) -> Items:
    """What an element holds, whatever it is."""
    read: Callable[[Any], Any] = attrgetter(attribute(name))

    def get(item: Any) -> list[Any]:
        value = read(item)
        if value is UNSET:
            return []
        return value if type(value) is list else [value]

    return get


@lru_cache(maxsize=64)
def _leading(name: str) -> frozenset[str]:
    """The shapes that an element of this name can stand in, or below."""
    shapes = load_table().shapes
    found = {shape for shape, elements in shapes.items() if any(e.name == name for e in elements)}
    while more := {
        shape
        for shape, elements in shapes.items()
        if shape not in found
        and any(kind.code in found for element in elements for kind in element.types)
    }:
        found |= more
    return frozenset(found)


def _after(first: _Found, then: _Found) -> _Found:
    one, two = first.get, then.get
    return _Found(lambda item: [found for each in one(item) for found in two(each)], then.shape)


def _filtered(found: _Found, criteria: Truth) -> _Found:
    get = found.get
    return _Found(lambda item: [one for one in get(item) if criteria(one)], found.shape)


def _ways(name: str, shape: str | None) -> tuple[Member, ...]:
    if shape is None or shape not in load_table().shapes:
        raise _Untranslatable
    for element, ways in elements_of(shape):
        if element.name == name:
            return ways
    raise _Untranslatable


def _attributes(name: str, shape: str) -> list[str]:
    """Every attribute that says the element is there: its ways, and the sibling of a primitive."""
    ways = _ways(name, shape)
    names = [attribute(member.name) for member in ways]
    element = ways[0].element
    if ways[0].is_primitive and not element.is_choice and not element.is_list:
        names.append("_" + ways[0].name)
    return names


def _member(name: str, shape: str | None) -> _Found:
    ways = _ways(name, shape)
    names = _attributes(name, str(shape))
    element, kind = ways[0].element, ways[0].type.code
    if kind == "Resource":
        raise _Untranslatable
    inner = None if element.is_choice or ways[0].is_primitive else kind
    if element.is_list:
        listed: Callable[[Any], Any] = attrgetter(names[0])
        return _Found(lambda item: [] if (found := listed(item)) is UNSET else found, inner)
    if len(names) == 1:
        one: Callable[[Any], Any] = attrgetter(names[0])
        return _Found(lambda item: [] if (found := one(item)) is UNSET else [found], inner)
    values: Callable[[Any], Any] = attrgetter(*names)
    if element.is_choice:
        return _Found(lambda item: [it for it in values(item) if it is not UNSET], inner)

    def get(item: Any) -> list[Any]:
        value, sibling = values(item)
        if value is not UNSET:
            return [value]
        return [] if sibling is UNSET else [None]

    return _Found(get, inner)
