"""An expression, compiled: what it finds in a record, as located nodes or as plain values."""

from __future__ import annotations

from decimal import getcontext, setcontext
from functools import lru_cache
from typing import Any

import msgspec

from quanmin.fhir.json import Json, decode
from quanmin.fhir.path.checking import check
from quanmin.fhir.path.compiling import Compiler
from quanmin.fhir.path.environment import ARITHMETIC, STANDARD, Environment, Scope
from quanmin.fhir.path.functions import FUNCTIONS
from quanmin.fhir.path.nodes import Collection, Node, root, text_of
from quanmin.fhir.path.operators import truth
from quanmin.fhir.path.problems import PathProblem, Unfit
from quanmin.fhir.path.syntax import Chain, Name, parse


class Path:
    """A compiled expression. It holds no state, so that one serves all threads."""

    __slots__ = ("_checked", "_slots", "_step", "_tree", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self._tree = parse(text)
            compiler = Compiler(text, FUNCTIONS)
            self._step = compiler.step(self._tree, {})
        except RecursionError:
            raise self._too_deep() from None
        self._slots = compiler.slots
        self._checked: set[str] = set()

    def __repr__(self) -> str:
        return f"Path({self.text!r})"

    def evaluate(
        self, on: Json | Node, *, environment: Environment = STANDARD, type_name: str = ""
    ) -> Collection:
        """What the expression finds, in order, each with its type and location.

        `on` is a resource, a node of an earlier evaluation, or with `type_name` an element of that
        type. Raises PathProblem, and nothing else whatever the record holds.
        """
        node = on if isinstance(on, Node) else root(on, type_name)
        if environment.strictness == "checked":
            self.check(node.type.name)
        scope = Scope(environment, node, self._slots)
        focus = [node]
        before = getcontext()
        setcontext(ARITHMETIC)
        try:
            return self._step(focus, focus, scope)
        except Unfit as fault:
            raise PathProblem(str(fault), expression=self.text, at=0, fault="execution") from None
        except RecursionError:
            raise self._too_deep() from None
        finally:
            setcontext(before)

    def values(
        self, on: Json | Node, *, environment: Environment = STANDARD, type_name: str = ""
    ) -> list[Any]:
        """The same as JSON values; dates, times and quantities that were computed as text."""
        found = self.evaluate(on, environment=environment, type_name=type_name)
        return [text_of(node.value) for node in found if node.value is not None]

    def is_true(
        self, on: Json | Node, *, environment: Environment = STANDARD, type_name: str = ""
    ) -> bool | None:
        """The truth of what is found, None for the empty collection. Raises PathProblem."""
        found = self.evaluate(on, environment=environment, type_name=type_name)
        try:
            return truth(found)
        except Unfit as fault:
            raise PathProblem(str(fault), expression=self.text, at=0, fault="execution") from None

    def check(self, type_name: str) -> None:
        """Raises PathProblem when no record of the type can have what the expression names."""
        if type_name not in self._checked:
            check(self.text, self._tree, type_name)
            self._checked.add(type_name)

    def types(self, type_name: str, others: frozenset[str] = frozenset()) -> frozenset[str] | None:
        """The names of the types of what is found on a type, None where they cannot be told.

        Raises as `check` does. `others` are types that the same expression is for as well.
        """
        found = check(self.text, self._tree, type_name, others)
        return None if found is None else frozenset(kind.name for kind in found)

    def holder(self) -> tuple[Path, str] | None:
        """The path to what holds the element that the last step names, and that name: of
        Patient.contact[0].telecom the path Patient.contact[0] and telecom. None where the last
        step is no name.
        """
        last = self._tree.steps[-1] if isinstance(self._tree, Chain) else self._tree
        if not isinstance(last, Name):
            return None
        before = self.text[: last.at].rstrip().removesuffix(".")
        try:
            return compile_path(before or "$this"), last.text
        except PathProblem:  # a comment stands between
            return None

    def _too_deep(self) -> PathProblem:
        text = "this is nested too deeply: take it apart"
        return PathProblem(text, expression=self.text, at=0, fault="execution")


@lru_cache(maxsize=4096)
def compile_path(text: str) -> Path:
    """The expression, ready to be evaluated; the same text gives the same Path.

    Raises PathProblem when it cannot be read.
    """
    return Path(text)


class Answer(msgspec.Struct, frozen=True):
    """One thing found: what it is, what it says, and where in the record it stands.

    `type` is the FHIR type that holds such a value: `code`, `HumanName`, and of what was computed
    `boolean`, `string`, `integer`, `decimal`, `date`, `dateTime`, `time` or `Quantity`. `value` is
    JSON, numbers with a point as Decimal; a date is its text without @, a computed Quantity its
    text `4 'mg'`; None where a primitive has extensions only. `location` is empty where computed.
    """

    type: str
    value: Any
    location: str


def evaluate(
    expression: str,
    on: Json | bytes | Node,
    *,
    is_checked: bool = False,
    environment: Environment = STANDARD,
    type_name: str = "",
) -> list[Answer]:
    """What an expression finds in a resource, typed; the resource as JSON text or decoded.

    `is_checked` also refuses what no resource of its type could have, such as a misspelt element:
    the same as `strictness="checked"`. With `type_name`, `on` is an element of that type. Raises
    PathProblem, whose `fault` is "syntax", "semantic" or "execution"; Malformed for bytes that are
    no JSON object.
    """
    if is_checked:
        environment = msgspec.structs.replace(environment, strictness="checked")
    record = decode(on) if isinstance(on, bytes) else on
    found = compile_path(expression).evaluate(record, environment=environment, type_name=type_name)
    return [Answer(one.type.written, text_of(one.value), one.location) for one in found]
