"""What a filter asks of records of a type, in the clauses that a search is made of (R4
search_filter.html 3.1.3.2).
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from datetime import tzinfo
from functools import cache
from pathlib import Path
from typing import Final, Protocol, cast

import msgspec

from quanmin.base.problems import Malformed, NotSupported, Problem, Sentence, TooCostly
from quanmin.fhir.filters import Both, Either, Negated, Node, Step, Test
from quanmin.fhir.identity_number import in_every_writing
from quanmin.fhir.kinds import modifiers_of
from quanmin.fhir.operands import concept, near, read_operand, split
from quanmin.fhir.query import (
    AllOf,
    AnyOf,
    Chain,
    Clause,
    Comparison,
    Condition,
    DateOperand,
    End,
    Has,
    MissingOperand,
    Modifier,
    Not,
    StringOperand,
    Tested,
    TokenOperand,
)
from quanmin.fhir.values import SearchParameter

_FILE = Path(__file__).resolve().parent.parent / "definitions" / "search" / "filter.toml"

_OF_PREFIX: Final = ("eq", "ne", "gt", "lt", "ge", "le", "ap", "sa", "eb")
_OF_TERMS: Final[dict[str, Modifier]] = {"ss": "below", "sb": "above", "in": "in", "ni": "not-in"}
# The operators each kind of parameter takes, by the table of R4; `pr` is for all.
_OPERATORS: Final = {
    "string": ("eq", "ne", "co", "sw", "ew", "gt", "lt", "ge", "le", "pr"),
    "number": (*_OF_PREFIX, "co", "pr"),
    "date": (*_OF_PREFIX, "co", "po", "pr"),
    "token": ("eq", "ne", "ss", "sb", "in", "ni", "pr"),
    "reference": ("re", "pr"),
    "quantity": (*_OF_PREFIX, "pr"),
    "uri": ("eq", "ne", "pr"),
    "composite": ("eq",),
    "special": ("eq", "pr"),
}


class Leads(Protocol):
    """Where the references of a type lead, as the other parameters of a search know it."""

    def param(self, type_: str, name: str) -> SearchParameter:
        """A parameter of a type. Raises NotSupported for a name that is none."""

    def ends(self, type_: str, head: str, rest: str) -> tuple[SearchParameter, list[str]]:
        """The parameter of `head` and the types at its end that can be asked for `rest`."""

    def source(self, type_: str, source: str, name: str) -> SearchParameter:
        """The parameter by which records of another type refer to this one."""


class Binder:
    """Binds the trees of one request."""

    def __init__(
        self, leads: Leads, zone: tzinfo, *, near_kilometres: float, links_max: int
    ) -> None:
        self._leads = leads
        self._zone = zone
        self._near_kilometres = near_kilometres
        self._links_max = links_max

    def conditions(self, type_: str, node: Node) -> tuple[Condition, ...]:
        """What a record of the type must meet, all of it.

        Raises Malformed and NotSupported, saying at which character.
        """
        return _parts(self._bind(type_, node, 0))

    def _bind(self, type_: str, node: Node, links: int) -> Condition:
        match node:
            case Both(parts):
                return all_of(self._bind(type_, part, links) for part in parts)
            case Either(parts):
                return any_of(self._bind(type_, part, links) for part in parts)
            case Negated(part):
                return negated(self._bind(type_, part, links))
            case Test(path):
                return self._test(type_, path, node, links)

    def _test(self, type_: str, path: Sequence[Step], test: Test, links: int) -> Condition:
        first, *rest = path
        try:
            if not rest:
                param = self._leads.param(type_, first.name)
                return self._compare(param, test.operator, test.value)
            return self._linked(type_, first, rest, test, links)
        except (Malformed, NotSupported) as problem:
            raise _placed(problem, first.at) from None

    def _linked(
        self, type_: str, first: Step, rest: Sequence[Step], test: Test, links: int
    ) -> Condition:
        if links >= self._links_max:
            raise TooCostly(
                Sentence(
                    "_filter: one test may follow %(links_max)s references",
                    links_max=self._links_max,
                )
            )
        if first.name.startswith("_has:"):
            _, source, name = first.name.split(":")
            param = self._leads.source(type_, source, name)
            return Has(param, self._end(source, first, rest, test, links + 1))
        param, ends = self._leads.ends(type_, first.name, rest[0].name)
        return Chain(
            param, tuple(End(end, self._end(end, first, rest, test, links + 1)) for end in ends)
        )

    def _end(
        self, type_: str, first: Step, rest: Sequence[Step], test: Test, links: int
    ) -> Condition:
        condition = self._test(type_, rest, test, links)
        if first.where is None:
            return condition
        return all_of((self._bind(type_, first.where, links), condition))

    # ---- one comparison --------------------------------------------------------------------------

    def _compare(self, param: SearchParameter, operator: str, value: str) -> Condition:
        served = _OPERATORS[param.kind]
        if operator not in served:
            raise NotSupported(
                Sentence(
                    "%(name)s, a %(kind)s parameter, takes no %(operator)r: it takes %(known)s",
                    name=param.name,
                    kind=param.kind,
                    operator=operator[:16],
                    known=", ".join(served),
                )
            )
        if operator == "pr":
            if value not in {"true", "false"}:
                raise Malformed(
                    Sentence("%(name)s pr must be followed by true or false", name=param.name)
                )
            return Clause(param, None, (MissingOperand(value == "false"),))
        match param.kind:
            case "string":
                return self._text(param, cast("Comparison", operator), value)
            case "token":
                return self._code(param, operator, value)
            case "number" | "date" | "quantity":
                return self._measured(param, operator, value)
            case "special" if param.name != "near":
                raise NotSupported(
                    Sentence(
                        "%(name)s is a parameter beside a filter, not within one", name=param.name
                    )
                )
            case "special":
                return Clause(param, None, (near(param, value, self._near_kilometres),))
        read = read_operand(param, value, self._zone)
        if operator == "ne" and not isinstance(read, MissingOperand):
            return Tested(_present(param), "ne", read)
        return Clause(param, None, (read,))

    def _text(self, param: SearchParameter, operator: Comparison, value: str) -> Tested:
        if not value.strip():
            raise Malformed(Sentence("%(name)s must be compared with a text", name=param.name))
        asked = StringOperand(value)
        among = _present(param)
        if operator in {"eq", "sw"}:
            among = Clause(param, None, (asked,))
        elif operator in {"co", "ew"}:
            among = Clause(param, "contains", (asked,))
        return Tested(among, operator, asked)

    def _code(self, param: SearchParameter, operator: str, value: str) -> Condition:
        modifier = _OF_TERMS.get(operator)
        text = _named(value)
        if modifier is not None:
            if modifier not in modifiers_of(param):
                raise NotSupported(
                    Sentence(
                        "%(name)s names no concepts: it takes no %(operator)r",
                        name=param.name,
                        operator=operator,
                    )
                )
            return Clause(param, modifier, (concept(param, text, modifier),))
        read = read_operand(param, text, self._zone)
        if operator == "ne" and isinstance(read, TokenOperand):
            return Tested(_present(param), "ne", read)
        found = in_every_writing(param, "", _in_either_case(param, read))
        return Clause(param, None, found)

    def _measured(self, param: SearchParameter, operator: str, value: str) -> Condition:
        plain = {"po": "ap", "co": "eq"}.get(operator, operator)
        asked = read_operand(param, _unit_named(f"{plain}{value}"), self._zone)
        if isinstance(asked, DateOperand) and operator in {"po", "co"}:
            # To overlap with just this, not roughly.
            exact = read_operand(param, f"eq{value}", self._zone)
            asked = msgspec.structs.replace(cast("DateOperand", exact), prefix="ap")
        found = Clause(param, None, (asked,))
        if operator != "co" or isinstance(asked, MissingOperand):
            return found
        return Tested(found if param.kind == "date" else _present(param), "co", asked)


def _present(param: SearchParameter) -> Clause:
    return Clause(param, None, (MissingOperand(missing=False),))


def _in_either_case(param: SearchParameter, read: object) -> tuple[TokenOperand, ...]:
    """Values of a filter are not case sensitive, but codes are kept as written: it is looked for
    as asked, in small letters and in capitals. An id is always what it is.
    """
    if not isinstance(read, TokenOperand):
        return ()
    if read.code is None or param.name == "_id":
        return (read,)
    codes = dict.fromkeys((read.code, read.code.lower(), read.code.upper()))
    return tuple(TokenOperand(read.system, code) for code in codes)


@cache
def _namespaces() -> dict[str, str]:
    found: dict[str, str] = tomllib.loads(_FILE.read_text("utf-8"))["namespaces"]
    return found


def _named(value: str) -> str:
    """A token with its namespace in full where a short name stands for it."""
    parts = split(value, "|")
    return "|".join([_namespaces().get(parts[0].lower(), parts[0]), *parts[1:]])


def _unit_named(value: str) -> str:
    parts = split(value, "|")
    if len(parts) == 3:
        parts[1] = _namespaces().get(parts[1].lower(), parts[1])
    return "|".join(parts)


def _placed(problem: Problem, at: int) -> Problem:
    """The refusal with the place that it is about; the innermost stays."""
    if problem.text.startswith("_filter"):
        return problem
    text = Sentence("_filter, from character %(at)s: %(what)s", at=at + 1, what=problem.text)
    return type(problem)(text)


# ---- trees ---------------------------------------------------------------------------------------


def all_of(conditions: Iterable[Condition]) -> Condition:
    """All of the conditions, without parentheses that mean nothing."""
    parts = tuple(part for each in conditions for part in _parts(each))
    return parts[0] if len(parts) == 1 else AllOf(parts)


def _parts(condition: Condition) -> tuple[Condition, ...]:
    return condition.parts if isinstance(condition, AllOf) else (condition,)


def any_of(conditions: Iterable[Condition]) -> Condition:
    """Any of the conditions; several values of one parameter are one clause."""
    parts = [
        part for each in conditions for part in (each.parts if isinstance(each, AnyOf) else (each,))
    ]
    joined: dict[object, Condition] = {}
    for part in parts:
        key: object = part
        if isinstance(part, Clause) and _may_join(part):
            key = part.param.name, part.modifier
            before = joined.get(key)
            if isinstance(before, Clause):
                operands = tuple(dict.fromkeys((*before.operands, *part.operands)))
                joined[key] = msgspec.structs.replace(before, operands=operands)
                continue
        joined[key] = part
    only = tuple(joined.values())
    return only[0] if len(only) == 1 else AnyOf(only)


def _may_join(clause: Clause) -> bool:
    is_any = clause.modifier in {None, "in", "below", "above"}
    return is_any and not any(isinstance(one, MissingOperand) for one in clause.operands)


_OPPOSITE: Final[dict[Modifier | None, Modifier | None]] = {
    None: "not",
    "not": None,
    "in": "not-in",
    "not-in": "in",
}


def negated(condition: Condition) -> Condition:
    """What holds where the condition does not: of a set of values, where none of them meets it."""
    match condition:
        case Not(part):
            return part
        case AllOf(parts):
            return any_of(negated(part) for part in parts)
        case AnyOf(parts):
            return all_of(negated(part) for part in parts)
        case Clause(param, modifier, operands):
            only = operands[0] if len(operands) == 1 else None
            if isinstance(only, MissingOperand):
                return Clause(param, None, (MissingOperand(not only.missing),))
            if modifier in _OPPOSITE and param.kind not in {"composite", "special", "string"}:
                return Clause(param, _OPPOSITE[modifier], operands)
    return Not(condition)
