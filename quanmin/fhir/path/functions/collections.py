"""Functions over whole collections (FHIRPath 2.0, 5.1, 5.3, 5.4, 5.8)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from quanmin.fhir.path import arithmetic
from quanmin.fhir.path.comparing import compare, key
from quanmin.fhir.path.compiling import Application, Function, Step
from quanmin.fhir.path.environment import Scope
from quanmin.fhir.path.nodes import EMPTY, Collection, children, computed
from quanmin.fhir.path.operators import truth, united
from quanmin.fhir.path.problems import Unfit


def _whole(calculate: Callable[[Collection], Collection]) -> Function:
    """A function of the input alone."""

    def build(application: Application) -> Step:
        def apply(focus: Collection, _this: Collection, scope: Scope) -> Collection:
            try:
                scope.spend(len(focus))
                return calculate(focus)
            except Unfit as fault:
                raise application.problem(str(fault)) from None

        return apply

    return Function(0, 0, build)


def _paired(calculate: Callable[[Collection, Collection], Collection]) -> Function:
    """A function of the input and one other collection."""

    def build(application: Application) -> Step:
        other = application.args[0]

        def apply(focus: Collection, this: Collection, scope: Scope) -> Collection:
            second = other(this, this, scope)
            try:
                scope.spend(len(focus) + len(second))
            except Unfit as fault:
                raise application.problem(str(fault)) from None
            return calculate(focus, second)

        return apply

    return Function(1, 1, build)


def _counted(cut: Callable[[Collection, int], Collection]) -> Function:
    """skip() and take()."""

    def build(application: Application) -> Step:
        def apply(focus: Collection, this: Collection, scope: Scope) -> Collection:
            count = application.value(0, this, scope)
            if not isinstance(count, int) or type(count) is bool:
                raise application.problem("takes a whole number")
            return cut(focus, max(0, count))

        return apply

    return Function(1, 1, build)


def _keys(items: Collection) -> set[object]:
    return {key(node) for node in items}


def _is_subset(items: Collection, others: Collection) -> bool:
    return _keys(items) <= _keys(others)


def _is_distinct(items: Collection) -> Collection:
    return computed(len(_keys(items)) == len(items))


def _intersect(items: Collection, others: Collection) -> Collection:
    among = _keys(others)
    return [node for node in united(items, EMPTY) if key(node) in among]


def _exclude(items: Collection, others: Collection) -> Collection:
    among = _keys(others)
    return [node for node in items if key(node) not in among]


def _judged(judge: Callable[[list[bool]], bool]) -> Function:
    """allTrue() and its like: over Booleans only."""

    def decide(items: Collection) -> Collection:
        values = [node.plain for node in items]
        if any(type(value) is not bool for value in values):
            raise Unfit("takes true and false only: ask all(criteria) of other items")
        return computed(judge(values))

    return _whole(decide)


def _single(items: Collection) -> Collection:
    if len(items) > 1:
        raise Unfit(f"there are {len(items)} items where one was expected")
    return items


def _not(items: Collection) -> Collection:
    value = truth(items)
    return EMPTY if value is None else computed(not value)


def _reduced(choose: Callable[[Any, Any], Any]) -> Function:
    """One value out of all: sum(), min(), max()."""

    def reduce(items: Collection) -> Collection:
        values = [node.plain for node in items]
        if not values or None in values:
            return EMPTY
        found = values[0]
        for value in values[1:]:
            found = choose(found, value)
            if found is None:
                return EMPTY
        return computed(found)

    return _whole(reduce)


def _extreme(sign: int) -> Callable[[Any, Any], Any]:
    def choose(one: Any, two: Any) -> Any:
        found = compare(one, two, None)
        return None if found is None else two if found * sign < 0 else one

    return choose


def _average(items: Collection) -> Collection:
    values = [node.plain for node in items]
    if not values or None in values:
        return EMPTY
    total = values[0]
    for value in values[1:]:
        total = arithmetic.plus(total, value)
        if total is None:
            return EMPTY
    return computed(arithmetic.divided(total, len(values)))


def _children(application: Application) -> Step:
    def apply(focus: Collection, _this: Collection, scope: Scope) -> Collection:
        try:
            return _below(focus, scope)
        except Unfit as fault:
            raise application.problem(str(fault)) from None

    return apply


def _descendants(application: Application) -> Step:
    def apply(focus: Collection, _this: Collection, scope: Scope) -> Collection:
        found: Collection = []
        try:
            while focus:
                focus = _below(focus, scope)
                found += focus
        except Unfit as fault:
            raise application.problem(str(fault)) from None
        return found

    return apply


def _below(focus: Collection, scope: Scope) -> Collection:
    found = [child for node in focus for child in children(node)]
    scope.spend(len(focus) + len(found))
    return found


COLLECTIONS: dict[str, Function] = {
    "empty": _whole(lambda items: computed(not items)),
    "not": _whole(_not),
    "count": _whole(lambda items: computed(len(items))),
    "distinct": _whole(lambda items: united(items, EMPTY)),
    "isDistinct": _whole(_is_distinct),
    "allTrue": _judged(all),
    "anyTrue": _judged(any),
    "allFalse": _judged(lambda values: not any(values)),
    "anyFalse": _judged(lambda values: not all(values)),
    "single": _whole(_single),
    "first": _whole(lambda items: items[:1]),
    "last": _whole(lambda items: items[-1:]),
    "tail": _whole(lambda items: items[1:]),
    "skip": _counted(lambda items, count: items[count:]),
    "take": _counted(lambda items, count: items[:count]),
    "subsetOf": _paired(lambda items, others: computed(_is_subset(items, others))),
    "supersetOf": _paired(lambda items, others: computed(_is_subset(others, items))),
    "union": _paired(united),
    "combine": _paired(lambda items, others: items + others),
    "intersect": _paired(_intersect),
    "exclude": _paired(_exclude),
    "sum": _reduced(arithmetic.plus),
    "min": _reduced(_extreme(-1)),
    "max": _reduced(_extreme(1)),
    "avg": _whole(_average),
    "children": Function(0, 0, _children),
    "descendants": Function(0, 0, _descendants),
}
"""Functions over whole collections."""
