"""Reads the parameters of a search request into a typed query (R4 search.html).

What this node does not serve is refused by name and never ignored: a search that silently drops a
condition finds records that were not asked for. Only parameters nobody has defined may be ignored,
and only when the asker said so (lenient handling); then the answer says which.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from datetime import tzinfo
from typing import Literal, cast

import msgspec

from quanmin.base.problems import Issue, Malformed, NotSupported, TooCostly
from quanmin.fhir.operands import read_operand, reference, split, token
from quanmin.fhir.query import (
    Clause,
    Include,
    MissingOperand,
    Operand,
    Query,
    SortKey,
)
from quanmin.fhir.table import load_table
from quanmin.fhir.values import SearchParameter

Modifier = Literal["exact", "contains", "not", "identifier"]

_MODIFIERS: dict[str, frozenset[str]] = {
    "token": frozenset({"not"}),
    "string": frozenset({"exact", "contains"}),
    "reference": frozenset({"identifier"}),
}
_MODIFIERS_LATER = frozenset({"text", "above", "below", "in", "not-in", "of-type", "iterate"})
_SERVED_LATER = frozenset(
    {
        "_contained",
        "_containedType",
        "_content",
        "_filter",
        "_list",
        "_query",
        "_text",
        "_type",
        "near",
    }
)
_UNSERVED = frozenset({"composite", "special"})
_SHAPE_OF_ANSWER = frozenset({"_format", "_pretty"})
_TOTALS = frozenset({"none", "estimate", "accurate"})
_SUMMARIES = frozenset({"true", "text", "data", "count", "false"})


class QueryLimits(msgspec.Struct, frozen=True):
    """How much one search may ask for. A `_count` above `count_max` is lowered to it."""

    count_max: int = 1000
    clauses_max: int = 40
    values_max: int = 500
    value_length_max: int = 2000
    includes_max: int = 20
    sort_keys_max: int = 5


def parse_query(
    type: str | None,
    pairs: Iterable[tuple[str, str]],
    *,
    strict: bool,
    zone: tzinfo,
    limits: QueryLimits,
) -> Query:
    """The query that decoded (name, value) pairs ask of a type, or of all types when it is None.

    Raises NotSupported for what this node does not serve, Malformed for a value that is not of its
    parameter's form, TooCostly beyond the limits. A parameter that the type does not have raises
    NotSupported when `strict`, and is reported in the query's `ignored` otherwise.
    """
    if type is not None and type not in load_table().types:
        raise NotSupported(f"{type[:64]!r} is no resource type of FHIR R4")
    reading = _Reading(type, strict=strict, zone=zone, limits=limits)
    for name, value in pairs:
        reading.take(name, value)
    return reading.query()


class _Reading:
    """A request being read; `query` gives what came of it."""

    def __init__(
        self, type_name: str | None, *, strict: bool, zone: tzinfo, limits: QueryLimits
    ) -> None:
        self._type = type_name
        self._params = _params(type_name)
        self._is_strict = strict
        self._zone = zone
        self._limits = limits
        self._clauses: list[Clause] = []
        self._includes: list[Include] = []
        self._revincludes: list[Include] = []
        self._sort: list[SortKey] = []
        self._once: dict[str, str] = {}
        self._elements: tuple[str, ...] = ()
        self._ignored: list[Issue] = []
        self._pairs: list[tuple[str, str]] = []

    def take(self, name: str, value: str) -> None:
        """Read one parameter of the request."""
        if name in _SHAPE_OF_ANSWER:
            return
        if len(value) > self._limits.value_length_max:
            length_max = self._limits.value_length_max
            raise TooCostly(f"The value of {name[:64]} is longer than {length_max} characters")
        if self._read(name, value):
            self._pairs.append((name, value))

    def query(self) -> Query:
        """Everything that was read, as one value."""
        once = self._once
        return Query(
            type=self._type,
            clauses=tuple(self._clauses),
            includes=tuple(self._includes),
            revincludes=tuple(self._revincludes),
            sort=tuple(self._sort),
            count=self._count(),
            total=cast('Literal["none", "estimate", "accurate"] | None', once.get("_total")),
            summary=cast(
                'Literal["true", "text", "data", "count", "false"] | None', once.get("_summary")
            ),
            elements=self._elements,
            ignored=tuple(self._ignored),
            pairs=tuple(sorted(self._pairs, key=lambda pair: (pair[0].startswith("_"), pair))),
        )

    def _read(self, name: str, value: str) -> bool:
        """Whether the parameter was used; False when it was ignored."""
        base, _, modifier = name.partition(":")
        if base in {"_include", "_revinclude"}:
            return self._include(base, modifier, value)
        if base == "_has" or base.split(".")[0] in _SERVED_LATER or "." in name:
            raise NotSupported(_not_served(name))
        if name in {"_count", "_total", "_summary", "_elements", "_sort"}:
            if name in self._once:
                raise Malformed(f"{name} may be given once only")
            self._once[name] = value
        match name:
            case "_count":
                return bool(self._count() is not None)
            case "_total":
                return _one_of(name, value, _TOTALS)
            case "_summary":
                return _one_of(name, value, _SUMMARIES)
            case "_elements":
                return self._take_elements(value)
            case "_sort":
                return self._take_sort(value)
        return self._take_clause(base, modifier, value)

    # ---- conditions ------------------------------------------------------------------------------

    def _take_clause(self, name: str, modifier: str, value: str) -> bool:
        param = self._params.get(name)
        if param is None:
            return self._unknown(name, "a search parameter")
        if param.kind in _UNSERVED:
            raise NotSupported(_not_served(name))
        if len(self._clauses) >= self._limits.clauses_max:
            raise TooCostly(f"A search may have at most {self._limits.clauses_max} conditions")
        if modifier == "missing":
            self._clauses.append(Clause(param, None, (_missing(name, value),)))
            return True
        values = split(value, ",")
        if len(values) > self._limits.values_max:
            raise TooCostly(f"{name} may have at most {self._limits.values_max} values")
        if not all(values):
            raise Malformed(f"{name} has an empty value: give it one, or leave the parameter out")
        self._clauses.append(self._clause(param, modifier, values))
        return True

    def _clause(self, param: SearchParameter, modifier: str, values: list[str]) -> Clause:
        if param.kind == "reference" and modifier in load_table().types:
            if param.targets and modifier not in param.targets:
                raise Malformed(f"{param.name} can point only at {', '.join(param.targets)}")
            return Clause(param, None, tuple(reference(param, one, modifier) for one in values))
        if modifier and modifier not in _MODIFIERS.get(param.kind, ()):
            raise NotSupported(_bad_modifier(param, modifier))
        read: list[Operand]
        if modifier == "identifier":
            read = [token(param, one, self._zone) for one in values]
        else:
            read = [read_operand(param, one, self._zone) for one in values]
        return Clause(param, cast("Modifier", modifier) if modifier else None, tuple(read))

    # ---- what to answer with ---------------------------------------------------------------------

    def _count(self) -> int | None:
        text = self._once.get("_count")
        if text is None:
            return None
        if not text.isascii() or not text.isdigit() or len(text) > 9:
            raise Malformed("_count must be a whole number from 0")
        return min(int(text), self._limits.count_max)

    def _take_elements(self, value: str) -> bool:
        names = [name.strip() for name in value.split(",") if name.strip()]
        definition = load_table().types.get(self._type or "")
        if definition is not None:
            by_name = definition.element_by_name
            found = {name: by_name.get(name.removeprefix(f"{self._type}.")) for name in names}
            for name in (name for name, element in found.items() if element is None):
                self._unknown(name, "an element", sorted(definition.element_names))
            names = [element for element in found.values() if element is not None]
        self._elements = tuple(dict.fromkeys(names))
        return bool(names)

    def _take_sort(self, value: str) -> bool:
        for key in value.split(","):
            is_descending, name = key.startswith("-"), key.removeprefix("-")
            param = self._params.get(name)
            if param is None:
                self._unknown(name, "a parameter to sort by")
                continue
            if param.kind in _UNSERVED:
                raise NotSupported(f"This node does not sort by {name}, a {param.kind} parameter")
            self._sort.append(SortKey(param, is_descending))
        if len(self._sort) > self._limits.sort_keys_max:
            raise TooCostly(f"_sort may have at most {self._limits.sort_keys_max} keys")
        return bool(self._sort)

    def _include(self, name: str, modifier: str, value: str) -> bool:
        if modifier:
            raise NotSupported(_not_served(f"{name}:{modifier}"))
        taken = self._includes if name == "_include" else self._revincludes
        if len(self._includes) + len(self._revincludes) >= self._limits.includes_max:
            raise TooCostly(f"A search may have at most {self._limits.includes_max} includes")
        if value == "*" and name == "_include" and self._type:
            taken.append(Include(self._type, "*", None))
            return True
        parts = value.split(":")
        if len(parts) not in {2, 3} or not all(parts):
            raise Malformed(f"{name} must be Type:parameter or Type:parameter:TargetType")
        source, param, target = parts[0], parts[1], parts[2] if len(parts) == 3 else None
        if not _is_link(source, param) or target not in {None, *load_table().types}:
            return self._unknown(value, f"something to follow with {name}")
        taken.append(Include(source, param, target))
        return True

    def _unknown(self, name: str, what: str, known: Sequence[str] | None = None) -> Literal[False]:
        """`known` are the names there are, without it the parameters."""
        shown = name[:64]
        where = self._type or "a search of every type"
        if known is None:
            known = [one.name for one in self._params.values() if one.kind not in _UNSERVED]
        near = difflib.get_close_matches(shown, known, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        text = f"{shown!r} is not {what} of {where}.{hint} It has: {', '.join(known)}"
        if self._is_strict:
            raise NotSupported(text)
        self._ignored.append(Issue("warning", "not-supported", f"Ignored: {text}"))
        return False


def _params(type_name: str | None) -> dict[str, SearchParameter]:
    if type_name is not None:
        return load_table().types[type_name].params
    # The common parameters are the same for every type, their bits too: any type will do.
    common = load_table().types["Basic"].params
    return {
        name: msgspec.structs.replace(
            param, type="Resource", expression=param.expression.replace("Basic", "Resource")
        )
        for name, param in common.items()
        if name.startswith("_")
    }


def _is_link(source: str, param: str) -> bool:
    definition = load_table().types.get(source)
    if definition is None:
        return False
    return param == "*" or (
        param in definition.params and definition.params[param].kind == "reference"
    )


def _missing(name: str, value: str) -> MissingOperand:
    if value not in {"true", "false"}:
        raise Malformed(f"{name}:missing must be true or false")
    return MissingOperand(value == "true")


def _one_of(name: str, value: str, allowed: frozenset[str]) -> bool:
    if value not in allowed:
        raise Malformed(f"{name} must be one of {', '.join(sorted(allowed))}")
    return True


def _not_served(name: str) -> str:
    return f"This node does not serve {name[:64]} yet: search without it and narrow the result"


def _bad_modifier(param: SearchParameter, modifier: str) -> str:
    served = ["missing", *sorted(_MODIFIERS.get(param.kind, ()))]
    if param.kind == "reference":
        served.append("[type]")
    when = " yet" if modifier in _MODIFIERS_LATER else ""
    return (
        f"This node does not serve {param.name}:{modifier[:64]}{when}; "
        f"{param.name} takes {', '.join(':' + one for one in served)}"
    )
