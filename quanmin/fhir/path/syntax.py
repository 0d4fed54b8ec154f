"""Reads FHIRPath into a tree: the grammar of FHIRPath 2.0, by precedence climbing."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from quanmin.fhir.path.amounts import CALENDAR, Amount
from quanmin.fhir.path.moments import read_date, read_time
from quanmin.fhir.path.problems import PathProblem
from quanmin.fhir.path.tokens import Token, cut
from quanmin.fhir.path.types import INTEGER_MAX, Long

EXPRESSION_LENGTH_MAX = 20_000
EXPRESSION_DEPTH_MAX = 100
"""How deep brackets, arguments and right operands may stand in one another."""

OPERATORS_MAX = 1000
"""How many operators may follow one another in a row."""

_DIGITS_MAX = 200
_LONG_MAX = 2**63 - 1


class Literal(msgspec.Struct, frozen=True):
    """A value written out; None is the empty collection {}."""

    value: Any
    at: int


class Name(msgspec.Struct, frozen=True):
    """An element, or at the head of a path a type."""

    text: str
    at: int


class Call(msgspec.Struct, frozen=True):
    """A function with its arguments, unevaluated."""

    name: str
    args: tuple[Tree, ...]
    at: int


class Variable(msgspec.Struct, frozen=True):
    """$this, $index or $total."""

    text: str
    at: int


class Constant(msgspec.Struct, frozen=True):
    """%name: given from outside, or by defineVariable()."""

    text: str
    at: int


class Chain(msgspec.Struct, frozen=True):
    """A head and the steps after it: head.step.step[index]."""

    head: Tree
    steps: tuple[Tree, ...]
    at: int


class Index(msgspec.Struct, frozen=True):
    """[expression] as a step of a chain."""

    of: Tree
    at: int


class Sign(msgspec.Struct, frozen=True):
    """A plus or minus before its operand."""

    text: str
    operand: Tree
    at: int


class Operation(msgspec.Struct, frozen=True):
    """An operator between two operands."""

    text: str
    left: Tree
    right: Tree
    at: int


class TypeTest(msgspec.Struct, frozen=True):
    """`is` or `as` with the name of a type, perhaps with its namespace."""

    text: str
    operand: Tree
    namespace: str
    name: str
    at: int


Tree = Literal | Name | Call | Variable | Constant | Chain | Index | Sign | Operation | TypeTest

_LEVELS = (
    ("implies",),
    ("or", "xor"),
    ("and",),
    ("in", "contains"),
    ("=", "~", "!=", "!~"),
    ("<", "<=", ">", ">="),
    ("|",),
    ("is", "as"),
    ("+", "-", "&"),
    ("*", "/", "div", "mod"),
)
_STRENGTH = {sign: level for level, signs in enumerate(_LEVELS, 1) for sign in signs}
_SIGN_STRENGTH = len(_LEVELS) + 1
_KEYWORDS = frozenset({"and", "div", "false", "implies", "mod", "or", "true", "xor"})


def parse(expression: str) -> Tree:
    """The tree of an expression. Raises PathProblem, with the place, when it is none."""
    if len(expression) > EXPRESSION_LENGTH_MAX:
        text = f"the expression is longer than {EXPRESSION_LENGTH_MAX} characters: divide it"
        raise PathProblem(text, expression="", at=0, fault="syntax")
    return _Parser(expression).whole()


class _Parser:
    """One walk over the tokens."""

    def __init__(self, expression: str) -> None:
        self._expression = expression
        self._tokens = cut(expression)
        self._at = 0
        self._depth = 0

    def whole(self) -> Tree:
        """The tree of all tokens."""
        tree = self._operation(0)
        token = self._token
        if token.sort != "end":
            raise self._fault(f"{token.text!r} cannot follow here: an operator or a dot is missing")
        return tree

    @property
    def _token(self) -> Token:
        return self._tokens[self._at]

    def _next(self) -> Token:
        token = self._token
        self._at += 1
        return token

    def _fault(self, text: str, at: int | None = None) -> PathProblem:
        where = self._token.at if at is None else at
        return PathProblem(text, expression=self._expression, at=where, fault="syntax")

    def _is_sign(self, text: str) -> bool:
        return self._token.sort == "sign" and self._token.text == text

    def _expect(self, text: str, after: str) -> None:
        if not self._is_sign(text):
            raise self._fault(f"{text} is missing {after}")
        self._at += 1

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > EXPRESSION_DEPTH_MAX:
            raise self._fault(f"the expression is nested deeper than {EXPRESSION_DEPTH_MAX}")

    # ---- operators -------------------------------------------------------------------------------

    def _operation(self, weakest: int) -> Tree:
        """An operand and the operators after it that bind stronger than `weakest`."""
        self._deeper()
        left = self._signed()
        for _ in range(OPERATORS_MAX):
            token = self._token
            strength = _STRENGTH.get(token.text, 0) if token.sort in {"sign", "word"} else 0
            if strength <= weakest:
                self._depth -= 1
                return left
            self._at += 1
            if strength == _STRENGTH["is"]:
                namespace, name = self._type()
                left = TypeTest(token.text, left, namespace, name, token.at)
            else:
                left = Operation(token.text, left, self._operation(strength), token.at)
        raise self._fault(f"more than {OPERATORS_MAX} operators follow one another: use brackets")

    def _signed(self) -> Tree:
        token = self._token
        if token.sort == "sign" and token.text in {"+", "-"}:
            self._at += 1
            self._deeper()
            operand = self._signed()
            self._depth -= 1
            return Sign(token.text, operand, token.at)
        return self._path()

    def _type(self) -> tuple[str, str]:
        first = self._identifier("a type")
        if not self._is_sign("."):
            return "", first
        self._at += 1
        return first, self._identifier("a type")

    # ---- paths -----------------------------------------------------------------------------------

    def _path(self) -> Tree:
        head = self._term()
        steps: list[Tree] = []
        while True:
            token = self._token
            if self._is_sign("."):
                self._at += 1
                steps.append(self._invocation())
            elif self._is_sign("["):
                self._at += 1
                steps.append(Index(self._operation(0), token.at))
                self._expect("]", "after the index")
            else:
                return Chain(head, tuple(steps), head.at) if steps else head

    def _invocation(self) -> Tree:
        token = self._token
        if token.sort == "variable":
            self._at += 1
            return Variable(token.text, token.at)
        name = self._identifier("an element or a function")
        if self._is_sign("("):
            return self._call(name, token.at)
        return Name(name, token.at)

    def _call(self, name: str, at: int) -> Call:
        self._expect("(", "after the function")
        args: list[Tree] = []
        while not self._is_sign(")"):
            args.append(self._argument(name))
            if self._is_sign(","):
                self._at += 1
                if self._is_sign(")"):
                    raise self._fault("an argument is missing after the comma")
            elif not self._is_sign(")"):
                raise self._fault("after an argument comes a comma or )")
        self._at += 1
        return Call(name, tuple(args), at)

    def _argument(self, name: str) -> Tree:
        tree = self._operation(0)
        token = self._token
        if name == "sort" and token.sort == "word" and token.text in {"asc", "desc"}:
            self._at += 1
            return Sign("-", tree, token.at) if token.text == "desc" else tree
        return tree

    def _identifier(self, wanted: str) -> str:
        token = self._token
        if token.sort not in {"word", "quoted"}:
            shown = f"not {token.text!r}" if token.text else "and the expression ends"
            raise self._fault(f"here belongs {wanted}, {shown}")
        self._at += 1
        return token.text

    # ---- terms -----------------------------------------------------------------------------------

    def _term(self) -> Tree:
        token = self._token
        if token.sort == "sign":
            return self._bracketed(token)
        if token.sort == "word" and token.text in {"true", "false"}:
            self._at += 1
            return Literal(token.text == "true", token.at)
        if token.sort == "word" and token.text in _KEYWORDS:
            raise self._fault(f"an operand is missing before {token.text!r}")
        if token.sort in {"word", "quoted", "variable"}:
            return self._invocation()
        if token.sort == "end":
            raise self._fault("an operand is missing")
        self._at += 1
        return Literal(self._value(token), token.at)

    def _bracketed(self, token: Token) -> Tree:
        self._at += 1
        if token.text == "(":
            tree = self._operation(0)
            self._expect(")", "to close the bracket")
            return tree
        if token.text == "{":
            self._expect("}", "after {: the empty collection is {}")
            return Literal(None, token.at)
        if token.text == "%":
            named = self._next()
            if named.sort not in {"word", "quoted", "string"}:
                raise self._fault("after % comes the name of a variable", named.at)
            return Constant(named.text, token.at)
        raise self._fault(f"an operand is missing before {token.text!r}", token.at)

    def _value(self, token: Token) -> Any:
        if token.sort == "string":
            return token.text
        if token.sort == "moment":
            is_time = token.text.startswith("T")
            moment = read_time(token.text) if is_time else read_date(token.text)
            if moment is None:
                raise self._fault("there is no such date or time", token.at)
            return moment
        if len(token.text) > _DIGITS_MAX:
            raise self._fault(f"a number has at most {_DIGITS_MAX} digits", token.at)
        if token.sort == "long":
            return Long(self._whole(token, _LONG_MAX))
        return self._number(token)

    def _number(self, token: Token) -> Any:
        unit = self._token
        if unit.sort == "string":
            self._at += 1
            return Amount(Decimal(token.text), unit.text)
        if unit.sort == "word" and unit.text in CALENDAR:
            self._at += 1
            return Amount(Decimal(token.text), CALENDAR[unit.text], is_calendar=True)
        if "." in token.text:
            return Decimal(token.text)
        before = self._tokens[self._at - 2] if self._at > 1 else token
        # The most negative Integer is written with its sign, which is an operator.
        return self._whole(token, INTEGER_MAX + (before.text == "-"))

    def _whole(self, token: Token, most: int) -> int:
        number = int(token.text.removesuffix("L"))
        if number > most:
            raise self._fault(f"a whole number here is at most {most}: write it with .0", token.at)
        return number
