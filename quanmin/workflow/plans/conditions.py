"""Conditions of a plan: the part of FHIRPath that can be asked of one person and of columns.

`%sex` is a text, `%born` a date, `%groups` the groups of the person; in a recurring series `%last`
and `%before` are the results of the last visit and of the one before, "" where there is none.
They are compared with `=` and `!=`, `%born` also with `<`, `<=`, `>` and `>=`, groups by
`'code' in %groups` or `%groups contains 'code'`, and joined by `and`, `or`, `xor` and `.not()`.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec

from quanmin.fhir.path import Environment, Path, PathProblem, compile_path
from quanmin.fhir.path.moments import Moment, read_date
from quanmin.fhir.path.syntax import Call, Chain, Constant, Literal, Operation, Tree, parse
from quanmin.workflow.plans.facts import Facts

_PERSON = {"resourceType": "Patient"}
OF_PERSON = frozenset({"sex", "born", "groups"})
OF_VISITS = frozenset({"last", "before"})
_JOINS = frozenset({"and", "or", "xor"})
_ORDERS = frozenset({"<", "<=", ">", ">="})
_EQUALS = frozenset({"=", "!="})
_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


class Has(msgspec.Struct, frozen=True):
    """The person is in a group."""

    group: str


class Compares(msgspec.Struct, frozen=True):
    """A variable compared with a value; a date only for `born`."""

    variable: str
    sign: str
    value: str | date


class Joins(msgspec.Struct, frozen=True):
    """Two conditions by `and`, `or` or `xor`."""

    sign: str
    left: Test
    right: Test


class Not(msgspec.Struct, frozen=True):
    """The opposite."""

    of: Test


Test = Has | Compares | Joins | Not


class Condition(msgspec.Struct, frozen=True):
    """An expression twice: as FHIRPath evaluates it, and as what columns are asked."""

    path: Path
    test: Test

    def holds(self, facts: Facts, last: str = "", before: str = "") -> bool:
        """Whether it holds for one person, by FHIRPath."""
        variables: dict[str, Any] = {
            "sex": facts.sex,
            "born": read_date(facts.born.isoformat()),
            "groups": sorted(facts.groups),
            "last": last,
            "before": before,
        }
        return self.path.is_true(_PERSON, environment=Environment(variables=variables)) is True


def condition_of(text: str, variables: frozenset[str]) -> Condition:
    """The condition of an expression over these variables. Raises PathProblem for any other."""
    path = compile_path(text)
    return Condition(path, _Reader(text, variables).read(parse(text)))


class _Reader:
    def __init__(self, text: str, variables: frozenset[str]) -> None:
        self._text = text
        self._variables = variables

    def read(self, tree: Tree) -> Test:
        """What a tree asks."""
        match tree:
            case Operation(text=sign, left=left, right=right) if sign in _JOINS:
                return Joins(sign, self.read(left), self.read(right))
            case Chain(head=head, steps=(Call(name="not", args=()),)):
                return Not(self.read(head))
            case Operation(text="in", left=Literal(value=str(group)), right=Constant() as held):
                return self._group(group, held)
            case Operation(
                text="contains", left=Constant() as held, right=Literal(value=str(group))
            ):
                return self._group(group, held)
            case Operation(text=sign, left=Constant() as held, right=Literal() as value):
                return self._comparison(held, sign, value)
            case Operation(text=sign, left=Literal() as value, right=Constant() as held):
                return self._comparison(held, _TURNED.get(sign, sign), value)
        raise self._refusal(tree.at)

    def _group(self, group: str, held: Constant) -> Test:
        if held.text != "groups" or "groups" not in self._variables:
            raise self._refusal(held.at)
        return Has(group)

    def _comparison(self, held: Constant, sign: str, literal: Literal) -> Test:
        name, value = held.text, literal.value
        if name in self._variables and name != "groups":
            if name == "born" and sign in _ORDERS | _EQUALS and isinstance(value, Moment):
                day = _day(value)
                if day is not None:
                    return Compares(name, sign, day)
            elif name != "born" and sign in _EQUALS and isinstance(value, str):
                return Compares(name, sign, value)
        raise self._refusal(held.at)

    def _refusal(self, at: int) -> PathProblem:
        told = ", ".join(f"%{name}" for name in sorted(self._variables))
        text = (
            f"a condition compares {told} with a text or a whole date, or asks 'code' in %groups, "
            "and joins such by and, or, xor, not()"
        )
        return PathProblem(text, expression=self._text, at=at, fault="execution")


def _day(moment: Moment) -> date | None:
    if moment.kind != "Date" or len(moment.parts) != 3:
        return None
    year, month, day = (int(part) for part in moment.parts)
    return date(year, month, day)
