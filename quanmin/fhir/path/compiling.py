"""Turns the tree of an expression into closures, so that evaluating it reads no tree any more.

A closure takes the collection it is applied to, the collection that $this stands for where the
path began, and the scope of the evaluation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from quanmin.fhir.path.environment import RESERVED, Scope, missing
from quanmin.fhir.path.nodes import EMPTY, Collection, Node, add_member, computed
from quanmin.fhir.path.operators import OPERATORS, Operator, signed
from quanmin.fhir.path.problems import PathProblem, Unfit
from quanmin.fhir.path.syntax import (
    Call,
    Chain,
    Constant,
    Index,
    Literal,
    Name,
    Operation,
    Sign,
    Tree,
    TypeTest,
    Variable,
)
from quanmin.fhir.path.types import UNKNOWN, is_type_name, type_name

Step = Callable[[Collection, Collection, Scope], Collection]
Defined = dict[str, int]


class Application:
    """A function as it is applied at one place: its compiled arguments, and how to complain."""

    __slots__ = ("args", "at", "compiler", "name", "slot", "trees")

    def __init__(
        self, call: Call, args: tuple[Step, ...], compiler: Compiler, slot: int = -1
    ) -> None:
        self.name = call.name
        self.at = call.at
        self.trees = call.args
        self.args = args
        self.compiler = compiler
        self.slot = slot

    def problem(self, text: str) -> PathProblem:
        """A problem at this function."""
        return self.compiler.problem(f"{self.name}(): {text}", self.at)

    def lone(self, items: Collection) -> Any:
        """The System value of the only item, None for none. Raises PathProblem for several."""
        if not items:
            return None
        if len(items) > 1:
            raise self.problem(f"takes one item, not {len(items)}: choose one, as by first()")
        return items[0].plain

    def value(self, number: int, this: Collection, scope: Scope) -> Any:
        """The System value of an argument; None where it is empty or not given."""
        if number >= len(self.args):
            return None
        return self.lone(self.args[number](this, this, scope))

    def type(self, number: int) -> str:
        """The type that an argument names. Raises PathProblem when it names none."""
        tree = self.trees[number]
        namespace, name = "", ""
        if isinstance(tree, Name):
            name = tree.text
        elif isinstance(tree, Chain) and isinstance(tree.head, Name) and len(tree.steps) == 1:
            step = tree.steps[0]
            namespace, name = tree.head.text, step.text if isinstance(step, Name) else ""
        return self.compiler.type(namespace, name, self.at)


class Function(msgspec.Struct, frozen=True):
    """How a function is made: how many arguments it takes, and what applies it.

    `takes_types` says that its argument names a type and is no expression.
    """

    least: int
    most: int
    build: Callable[[Application], Step]
    takes_types: bool = False


class Compiler:
    """Compiles one expression; `slots` counts the variables that it defines."""

    def __init__(self, expression: str, functions: dict[str, Function]) -> None:
        self.expression = expression
        self.slots = 0
        self._slot_at: dict[int, int] = {}
        self._functions = functions

    def problem(self, text: str, at: int, *, is_semantic: bool = False) -> PathProblem:
        """A problem at this place of the expression."""
        fault: Any = "semantic" if is_semantic else "execution"
        return PathProblem(text, expression=self.expression, at=at, fault=fault)

    def type(self, namespace: str, name: str, at: int) -> str:
        """The name to look for a type by. Raises PathProblem when there is no such type."""
        full = type_name(namespace, name)
        if not is_type_name(full):
            text = f"there is no type {full or 'here'} in FHIR R4 or FHIRPath"
            raise self.problem(text, at, is_semantic=True)
        return full

    def step(self, tree: Tree, defined: Defined) -> Step:
        """The closure of a tree at the head of a path."""
        if isinstance(tree, Literal):
            return _constant(computed(tree.value))
        if isinstance(tree, Name):
            return _head(tree.text)
        if isinstance(tree, Variable):
            return _variable(tree.text, is_head=True)
        if isinstance(tree, Call):
            return self._call(tree, defined)
        if isinstance(tree, Chain):
            return self._chain(tree, defined)
        if isinstance(tree, Constant):
            return self._external(tree, defined)
        if isinstance(tree, Sign):
            return self._sign(tree, defined)
        return self._operations(tree, defined)

    # ---- paths -----------------------------------------------------------------------------------

    def _chain(self, chain: Chain, defined: Defined) -> Step:
        # What a step defines is seen by the steps after it, and by nothing else.
        seen = dict(defined)
        steps = [self.step(chain.head, seen)]
        self._define(chain.head, seen)
        for tree in chain.steps:
            steps.append(self._link(tree, seen))
            self._define(tree, seen)
        if len(steps) == 2:
            first, second = steps
            return lambda focus, this, scope: second(first(focus, this, scope), this, scope)
        ordered = tuple(steps)

        def walk(focus: Collection, this: Collection, scope: Scope) -> Collection:
            for step in ordered:
                focus = step(focus, this, scope)
            return focus

        return walk

    def _link(self, tree: Tree, defined: Defined) -> Step:
        if isinstance(tree, Name):
            return _member(tree.text)
        if isinstance(tree, Variable):
            return _variable(tree.text, is_head=False)
        if isinstance(tree, Index):
            return self._index(tree, defined)
        if isinstance(tree, Call):
            return self._call(tree, defined)
        raise TypeError(tree)

    def _define(self, tree: Tree, seen: Defined) -> None:
        if isinstance(tree, Call) and tree.name == "defineVariable" and tree.args:
            name = tree.args[0]
            if isinstance(name, Literal) and isinstance(name.value, str):
                seen[name.value] = self._slot_at[tree.at]

    def _index(self, tree: Index, defined: Defined) -> Step:
        of = self.step(tree.of, defined)

        def pick(focus: Collection, this: Collection, scope: Scope) -> Collection:
            found = of(this, this, scope)
            if not found:
                return EMPTY
            at = found[0].plain
            if len(found) > 1 or type(at) is not int:
                raise self.problem("an index is one whole number, counted from 0", tree.at)
            return focus[at : at + 1] if at >= 0 else EMPTY

        return pick

    def _call(self, call: Call, defined: Defined) -> Step:
        function = self._functions.get(call.name)
        if function is None:
            text = f"there is no function {call.name}()"
            raise self.problem(text, call.at, is_semantic=True)
        if not function.least <= len(call.args) <= function.most:
            wanted = (
                str(function.least)
                if function.least == function.most
                else f"{function.least} to {function.most}"
            )
            text = f"{call.name}() takes {wanted} arguments, not {len(call.args)}"
            raise self.problem(text, call.at, is_semantic=True)
        slot = self._slot(call, defined) if call.name == "defineVariable" else -1
        args: tuple[Step, ...] = ()
        if not function.takes_types:
            # The sign of a key of sort() tells its direction; a text has none to change.
            trees = map(_ascending, call.args) if call.name == "sort" else call.args
            args = tuple(self.step(tree, defined) for tree in trees)
        return function.build(Application(call, args, self, slot))

    # ---- variables -------------------------------------------------------------------------------

    def _slot(self, call: Call, defined: Defined) -> int:
        """The place of a variable's value; a literal name is what makes it visible later."""
        name = call.args[0]
        if not isinstance(name, Literal) or not isinstance(name.value, str):
            text = "defineVariable() takes the name as a text written out: 'name'"
            raise self.problem(text, call.at, is_semantic=True)
        if name.value in defined or name.value in RESERVED:
            raise self.problem(f"%{name.value} is defined already: choose another name", call.at)
        slot = self.slots
        self.slots += 1
        self._slot_at[call.at] = slot
        return slot

    def _external(self, tree: Constant, defined: Defined) -> Step:
        name, at, expression = tree.text, tree.at, self.expression
        if name in defined:
            slot = defined[name]
            return lambda _focus, _this, scope: scope.defined[slot]

        def find(_focus: Collection, _this: Collection, scope: Scope) -> Collection:
            found = scope.constant(name)
            if found is None:
                raise missing(expression, at, name)
            return found

        return find

    # ---- operators -------------------------------------------------------------------------------

    def _sign(self, tree: Sign, defined: Defined) -> Step:
        operand, at, sign = self.step(tree.operand, defined), tree.at, tree.text

        def apply(_focus: Collection, this: Collection, scope: Scope) -> Collection:
            try:
                return signed(sign, operand(this, this, scope))
            except Unfit as fault:
                raise self.problem(f"{sign}: {fault}", at) from None

        return apply

    def _operations(self, tree: Tree, defined: Defined) -> Step:
        """Operators in a row, applied in a row: `a or b or c` costs no depth."""
        rest: list[tuple[Operator, Step, str, int]] = []
        while isinstance(tree, Operation | TypeTest):
            if isinstance(tree, Operation):
                right = self.step(tree.right, defined)
                rest.append((OPERATORS[tree.text], right, tree.text, tree.at))
                tree = tree.left
            else:
                wanted = computed(self.type(tree.namespace, tree.name, tree.at))
                rest.append((OPERATORS[tree.text], _constant(wanted), tree.text, tree.at))
                tree = tree.operand
        first = self.step(tree, defined)
        rest.reverse()
        if len(rest) == 1:
            return self._operation(first, *rest[0])
        row = tuple(rest)

        def apply(_focus: Collection, this: Collection, scope: Scope) -> Collection:
            found = first(this, this, scope)
            for operator, right, text, at in row:
                try:
                    found = operator(found, right, this, scope)
                except Unfit as fault:
                    raise self.problem(f"{text}: {fault}", at) from None
            return found

        return apply

    def _operation(self, left: Step, operator: Operator, right: Step, text: str, at: int) -> Step:
        def apply(_focus: Collection, this: Collection, scope: Scope) -> Collection:
            try:
                return operator(left(this, this, scope), right, this, scope)
            except Unfit as fault:
                raise self.problem(f"{text}: {fault}", at) from None

        return apply


def _ascending(tree: Tree) -> Tree:
    return tree.operand if isinstance(tree, Sign) and tree.text == "-" else tree


def _constant(items: Collection) -> Step:
    return lambda _focus, _this, _scope: items


def _variable(text: str, *, is_head: bool) -> Step:
    if text == "$index":
        return lambda _focus, _this, scope: computed(scope.index)
    if text == "$total":
        return lambda _focus, _this, scope: scope.total
    if is_head:
        return lambda _focus, this, _scope: this
    return lambda focus, _this, _scope: focus


def _member(name: str) -> Step:
    """The elements of this name: the step that all paths are made of, so it takes no detour."""

    def access(focus: Collection, _this: Collection, _scope: Scope) -> Collection:
        found: Collection = []
        for node in focus:
            add_member(node, name, found)
        return found

    return access


def _head(name: str) -> Step:
    """A name at the head of a path: the type of what stands there, or one of its elements."""
    access = _member(name)
    if not name[:1].isupper():
        return access

    def enter(focus: Collection, this: Collection, scope: Scope) -> Collection:
        found = [node for node in focus if _is_named(node, name)]
        return found or access(focus, this, scope)

    return enter


def _is_named(node: Node, name: str) -> bool:
    if node.type is UNKNOWN:
        return isinstance(node.value, dict) and node.value.get("resourceType") == name
    return name in node.type.names
