"""Functions that evaluate an expression for each item (FHIRPath 2.0, 5.1, 5.2, 7)."""

from __future__ import annotations

from functools import cmp_to_key
from typing import Any

from quanmin.fhir.path.comparing import compare, key
from quanmin.fhir.path.compiling import Application, Function, Step
from quanmin.fhir.path.environment import Scope
from quanmin.fhir.path.nodes import EMPTY, NO, YES, Collection, Node, computed
from quanmin.fhir.path.operators import truth
from quanmin.fhir.path.problems import Unfit
from quanmin.fhir.path.syntax import Sign


def _selected(application: Application, focus: Collection, scope: Scope) -> Collection:
    """The items of which the first argument is true."""
    criteria = application.args[0]
    before = scope.index
    found: Collection = []
    try:
        scope.spend(len(focus))
        for index, node in enumerate(focus):
            scope.index = index
            one = [node]
            if truth(criteria(one, one, scope)):
                found.append(node)
    except Unfit as fault:
        raise application.problem(str(fault)) from None
    finally:
        scope.index = before
    return found


def _where(application: Application) -> Step:
    return lambda focus, _this, scope: _selected(application, focus, scope) if focus else EMPTY


def _exists(application: Application) -> Step:
    if not application.args:
        return lambda focus, _this, _scope: YES if focus else NO
    return lambda focus, _this, scope: computed(bool(_selected(application, focus, scope)))


def _all(application: Application) -> Step:
    def apply(focus: Collection, _this: Collection, scope: Scope) -> Collection:
        return computed(len(_selected(application, focus, scope)) == len(focus))

    return apply


def _projected(
    application: Application, number: int, focus: Collection, scope: Scope
) -> Collection:
    """What an argument finds from each item, in a row."""
    projection = application.args[number]
    before = scope.index
    found: Collection = []
    try:
        for index, node in enumerate(focus):
            scope.index = index
            one = [node]
            found += projection(one, one, scope)
        scope.spend(len(focus) + len(found))
    except Unfit as fault:
        raise application.problem(str(fault)) from None
    finally:
        scope.index = before
    return found


def _select(application: Application) -> Step:
    return lambda focus, _this, scope: _projected(application, 0, focus, scope)


def _repeat(application: Application) -> Step:
    def apply(focus: Collection, _this: Collection, scope: Scope) -> Collection:
        found: dict[object, Node] = {}
        while focus:
            new: Collection = []
            for node in _projected(application, 0, focus, scope):
                name = key(node)
                if name not in found:
                    found[name] = node
                    new.append(node)
            focus = new
        return list(found.values())

    return apply


def _repeat_all(application: Application) -> Step:
    def apply(focus: Collection, _this: Collection, scope: Scope) -> Collection:
        found: Collection = []
        while focus:
            focus = _projected(application, 0, focus, scope)
            found += focus
        return found

    return apply


def _aggregate(application: Application) -> Step:
    step = application.args[0]

    def apply(focus: Collection, this: Collection, scope: Scope) -> Collection:
        before = scope.index, scope.total
        start = application.args[1](this, this, scope) if len(application.args) > 1 else EMPTY
        try:
            total = start
            for index, node in enumerate(focus):
                scope.index, scope.total = index, total
                one = [node]
                total = step(one, one, scope)
                scope.spend(1 + len(total))
        except Unfit as fault:
            raise application.problem(str(fault)) from None
        finally:
            scope.index, scope.total = before
        return total

    return apply


def _iif(application: Application) -> Step:
    criterion, first = application.args[:2]
    second = application.args[2] if len(application.args) > 2 else None

    def apply(focus: Collection, _this: Collection, scope: Scope) -> Collection:
        if len(focus) > 1:
            raise application.problem("takes one item: go through several by select(iif(...))")
        try:
            is_met = truth(criterion(focus, focus, scope))
        except Unfit as fault:
            raise application.problem(str(fault)) from None
        if is_met:
            return first(focus, focus, scope)
        return second(focus, focus, scope) if second else EMPTY

    return apply


def _coalesce(application: Application) -> Step:
    def apply(_focus: Collection, this: Collection, scope: Scope) -> Collection:
        for arg in application.args:
            found = arg(this, this, scope)
            if found:
                return found
        return EMPTY

    return apply


def _trace(application: Application) -> Step:
    def apply(focus: Collection, this: Collection, scope: Scope) -> Collection:
        name = application.value(0, this, scope)
        told = scope.environment.trace
        if told is not None and isinstance(name, str):
            has_projection = len(application.args) > 1
            told(name, _projected(application, 1, focus, scope) if has_projection else focus)
        return focus

    return apply


def _define(application: Application) -> Step:
    def apply(focus: Collection, _this: Collection, scope: Scope) -> Collection:
        value = focus
        if len(application.args) > 1:
            value = application.args[1](focus, focus, scope)
        scope.defined[application.slot] = value
        return focus

    return apply


# ---- order ---------------------------------------------------------------------------------------


def _sort(application: Application) -> Step:
    signs = [-1 if is_descending(tree) else 1 for tree in application.trees] or [1]

    def keys(node: Node, scope: Scope) -> list[Any]:
        one = [node]
        if not application.args:
            return [node.plain]
        return [application.lone(arg(one, one, scope)) for arg in application.args]

    def apply(focus: Collection, _this: Collection, scope: Scope) -> Collection:
        def order(left: tuple[list[Any], Node], right: tuple[list[Any], Node]) -> int:
            for sign, one, two in zip(signs, left[0], right[0], strict=True):
                found = _order(one, two, scope)
                if found:
                    return found * sign
            return 0

        try:
            scope.spend(len(focus))
            ranked = sorted(((keys(node, scope), node) for node in focus), key=cmp_to_key(order))
        except Unfit as fault:
            raise application.problem(str(fault)) from None
        return [node for _, node in ranked]

    return apply


def is_descending(tree: object) -> bool:
    """Whether a key of sort() asks for the reverse order: -key, or `key desc`."""
    return isinstance(tree, Sign) and tree.text == "-"


def _order(one: Any, two: Any, scope: Scope) -> int:
    # What has no value comes first.
    if one is None or two is None:
        return (one is not None) - (two is not None)
    return compare(one, two, scope.zone) or 0


ITERATIONS: dict[str, Function] = {
    "where": Function(1, 1, _where),
    "exists": Function(0, 1, _exists),
    "all": Function(1, 1, _all),
    "select": Function(1, 1, _select),
    "repeat": Function(1, 1, _repeat),
    "repeatAll": Function(1, 1, _repeat_all),
    "aggregate": Function(1, 2, _aggregate),
    "iif": Function(2, 3, _iif),
    "coalesce": Function(1, 100, _coalesce),
    "trace": Function(1, 2, _trace),
    "defineVariable": Function(1, 2, _define),
    "sort": Function(0, 20, _sort),
}
"""Functions with an expression for each item."""
