"""Reads a SearchParameter resource: what can be searched by it, or why this node cannot serve it
(R4 searchparameter.html).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC
from typing import Any, Final, cast, get_args

import msgspec

from quanmin.base.problems import Invalid, Issue, Sentence
from quanmin.fhir.custom import converter, environment
from quanmin.fhir.path import PathProblem, compile_path
from quanmin.fhir.table import Table
from quanmin.fhir.values import GENERATION, Custom, Kind, SearchParameter

R4_PARAMETERS: Final = "http://hl7.org/fhir/SearchParameter/"
KindOf = Callable[[str], "Kind | None"]
"""The kind of the custom search parameter with this canonical address, None for an unknown one."""

_SERVED: Final = frozenset(get_args(Kind)) - {"special"}
_EVERY_TYPE: Final = frozenset({"Resource", "DomainResource"})
# As a part of an address of a search: no dot (a chain), no colon (a modifier), no underscore in
# front (those are for all types, and of R4).
_CODE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}\Z")
# resolve() fetches nothing while a record is indexed: it tells the type that a reference names.
_RESOLVED: Final = re.compile(r"\bresolve\(\s*\)(?!\s+is\b)")
_UNSTABLE: Final = re.compile(
    r"\b(now|today|timeOfDay|memberOf|subsumes|subsumedBy|conformsTo|trace)\s*\("
)
# Of R4's 'Type-code' and 'group-code' (clinical-date) the code is what follows the first dash.
_GROUPED: Final = re.compile(r"[A-Za-z]+-([A-Za-z_-]+)\Z")


# What is wrong for every record shows with an empty one.
_PROBE: Final = environment(UTC)


class Defined(msgspec.Struct, frozen=True):
    """A custom search parameter: its code and kind, and for each type the parameter it is there."""

    url: str
    code: str
    kind: Kind
    params: tuple[SearchParameter, ...]

    @property
    def types(self) -> tuple[str, ...]:
        """The resource types that have it, in the order of their names."""
        return tuple(param.type for param in self.params)

    def is_indexed_like(self, other: Defined) -> bool:
        """Whether records have the same keys under both, so that nothing must be indexed again."""
        mine, others = ([_indexed(param) for param in one.params] for one in (self, other))
        return (self.code, mine) == (other.code, others)


def _indexed(param: SearchParameter) -> tuple[object, ...]:
    parts = () if param.custom is None else param.custom.parts
    inner = tuple((part.kind, part.expression) for part in parts)
    return param.type, param.kind, param.expression, inner


def is_active(resource: Mapping[str, Any]) -> bool:
    """Whether a SearchParameter is to be used; drafts and retired ones are records only."""
    return resource.get("status") == "active"


def read_definition(
    resource: Mapping[str, Any], generation: int, table: Table, kind_of: KindOf
) -> Defined:
    """What an active, valid SearchParameter defines, under the number of its definition.

    Raises Invalid with everything that keeps it from being served, each with its place. `table` is
    that of R4: its codes cannot be defined again.
    """
    return _Definition(resource, generation, table, kind_of).read()


class _Definition:
    """One SearchParameter being read; `issues` is what is wrong with it."""

    def __init__(
        self, resource: Mapping[str, Any], generation: int, table: Table, kind_of: KindOf
    ) -> None:
        self._resource = resource
        self._generation = generation
        self._table = table
        self._kind_of = kind_of
        self._issues: list[Issue] = []

    def read(self) -> Defined:
        resource = self._resource
        code, kind = str(resource["code"]), cast("Kind", resource["type"])
        self._check_head(code, kind)
        types = self._types(code)
        expression = str(resource.get("expression") or "")
        parts = self._parts(kind, expression, types)
        self._check_expression(expression, kind, types)
        if self._issues:
            raise Invalid(
                "this SearchParameter cannot be served as it is", issues=tuple(self._issues)
            )
        custom = self._custom(parts)
        name = f"{code}{GENERATION}{self._generation}"
        targets = tuple(one for one in resource.get("target") or () if one in self._table.types)
        params = (
            SearchParameter(
                name,
                type_,
                kind,
                -1,
                expression,
                targets,
                custom=self._typed(custom, type_),
            )
            for type_ in types
        )
        return Defined(custom.url, code, kind, tuple(params))

    def _fault(self, text: str, place: str, code: str = "business-rule") -> None:
        self._issues.append(Issue("error", code, text, f"SearchParameter.{place}"))

    # ---- head ------------------------------------------------------------------------------------

    def _check_head(self, code: str, kind: str) -> None:
        if not _CODE.match(code):
            self._fault(
                "a code that can be searched by begins with a letter and has up to 64 letters,"
                " digits, '-' and '_'",
                "code",
            )
        if kind not in _SERVED:
            self._fault(
                f"parameters of type {kind} are not served: {', '.join(sorted(_SERVED))} are",
                "type",
                "not-supported",
            )
        usage = self._resource.get("xpathUsage", "normal")
        if usage != "normal":
            self._fault(
                f"this node searches by what the expression finds (normal), not {usage}",
                "xpathUsage",
                "not-supported",
            )
        for place, target in enumerate(self._resource.get("target") or ()):
            if target not in self._table.types:
                self._fault(
                    f"{str(target)[:64]!r} is not a resource type of FHIR R4", f"target[{place}]"
                )

    def _types(self, code: str) -> tuple[str, ...]:
        types: set[str] = set()
        for place, base in enumerate(self._resource.get("base") or ()):
            if base in _EVERY_TYPE:
                types |= self._table.types.keys()
            elif base in self._table.types:
                types.add(base)
            else:
                self._fault(
                    f"{str(base)[:64]!r} is not a resource type of FHIR R4", f"base[{place}]"
                )
        taken = sorted(one for one in types if code in self._table.types[one].params)
        if taken:
            self._fault(
                f"{code} is a search parameter of R4 for {', '.join(taken[:5])}: it cannot be"
                " defined again, choose another code",
                "code",
            )
        return tuple(sorted(types))

    # ---- expressions -----------------------------------------------------------------------------

    def _check_expression(self, expression: str, kind: Kind, types: Iterable[str]) -> None:
        if not expression:
            self._fault("an expression is needed: the FHIRPath of what to search by", "expression")
            return
        if kind != "composite":
            self._check_path(expression, kind, types, "expression")

    def _check_path(
        self, expression: str, kind: Kind | None, types: Iterable[str], place: str
    ) -> frozenset[str] | None:
        """What the expression finds on any of the types; None where that cannot be told."""
        if _RESOLVED.search(expression):
            text = "resolve() can only be asked for a type here: `where(resolve() is Patient)`"
            self._fault(text, place, "not-supported")
            return None
        unstable = _UNSTABLE.search(expression)
        if unstable:
            text = Sentence(
                "%(unstable)s() looks at more than the record: an index cannot keep it",
                unstable=unstable[1],
            )
            self._fault(text, place, "not-supported")
            return None
        found: set[str] | None = set()
        try:
            path = compile_path(expression)
            for type_ in types:
                mine = path.types(type_, frozenset(types) - {type_})
                found = None if mine is None or found is None else found | mine
                sample = {"resourceType": type_} if type_ in self._table.types else {}
                path.evaluate(
                    sample,
                    environment=_PROBE,
                    type_name="" if type_ in self._table.types else type_,
                )
        except PathProblem as problem:
            self._fault(problem.text, place, "invalid")
            return None
        is_known = found is not None and kind is not None and kind in _SERVED
        if is_known and not any(converter(cast("Kind", kind), name) for name in found or ()):
            shown = ", ".join(sorted(found or ())) or "nothing"
            self._fault(f"this finds {shown}, which no {kind} parameter looks at", place)
        return None if found is None else frozenset(found)

    # ---- composites ------------------------------------------------------------------------------

    def _parts(
        self, kind: Kind, expression: str, types: tuple[str, ...]
    ) -> tuple[SearchParameter, ...]:
        components = self._resource.get("component") or ()
        if kind != "composite":
            if components:
                self._fault("only a composite has components", "component")
            return ()
        if len(components) < 2:
            self._fault("a composite has at least two components", "component")
        found = None
        if expression:
            found = self._check_path(expression, None, types, "expression")
        parts = []
        for place, component in enumerate(components):
            where = f"component[{place}]"
            one = self._component_kind(str(component.get("definition")), types, where)
            inner = str(component.get("expression"))
            if one is not None:
                on = sorted(found) if found is not None else [""]
                self._check_path(inner, one, on, f"{where}.expression")
                name = f"{self._resource['code']}{GENERATION}{self._generation}.{place}"
                parts.append(SearchParameter(name, "", one, -1, inner))
        return tuple(parts)

    def _component_kind(self, canonical: str, types: Iterable[str], where: str) -> Kind | None:
        url = canonical.partition("|")[0]
        kind = self._kind_of(url)
        grouped = _GROUPED.match(url.removeprefix(R4_PARAMETERS))
        if kind is None and grouped and url.startswith(R4_PARAMETERS):
            several = (self._table.types[one].params.get(grouped[1]) for one in types)
            kind = next((one.kind for one in several if one is not None), None)
        if kind in {None, "composite", "special"}:
            self._fault(
                "there is no search parameter of this address that could be a component: define it"
                " first",
                f"{where}.definition",
                "not-found",
            )
            return None
        return kind

    # ---- what it takes ---------------------------------------------------------------------------

    def _custom(self, parts: tuple[SearchParameter, ...]) -> Custom:
        resource = self._resource
        return Custom(
            self._generation,
            str(resource.get("url") or ""),
            _codes(resource, "modifier"),
            _codes(resource, "comparator"),
            _codes(resource, "chain"),
            resource.get("multipleOr") is not False,
            resource.get("multipleAnd") is not False,
            parts,
        )

    @staticmethod
    def _typed(custom: Custom, type_: str) -> Custom:
        several = (msgspec.structs.replace(part, type=type_) for part in custom.parts)
        return msgspec.structs.replace(custom, parts=tuple(several))


def _codes(resource: Mapping[str, Any], name: str) -> frozenset[str] | None:
    codes = resource.get(name)
    return frozenset(map(str, codes)) if codes else None
