"""A search, parsed: what is asked, in typed clauses that the store plans and Python checks."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final, Literal

import msgspec

from quanmin.base.problems import Issue
from quanmin.fhir.table import load_table
from quanmin.fhir.values import SearchParameter, Spot

Prefix = Literal["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"]


class TokenOperand(msgspec.Struct, frozen=True):
    """`code` (system None: any), `system|code`, `|code` (system ""), `system|` (code None)."""

    system: str | None
    code: str | None


class StringOperand(msgspec.Struct, frozen=True):
    """A text to find; how it is compared is the clause's modifier."""

    text: str


class DateOperand(msgspec.Struct, frozen=True):
    """A date or time as the half-open interval [low, high) in microseconds since the epoch."""

    prefix: Prefix
    low: int
    high: int


class NumberOperand(msgspec.Struct, frozen=True):
    """A number with the implicit range [low, high) of its precision (R4 search 3.1.1.4.3)."""

    prefix: Prefix
    value: Decimal
    low: Decimal
    high: Decimal


class QuantityOperand(msgspec.Struct, frozen=True):
    """A number with optional unit.

    `system` None means any, "" none stated; `code` None means any unit.
    """

    prefix: Prefix
    value: Decimal
    low: Decimal
    high: Decimal
    system: str | None
    code: str | None


class ReferenceOperand(msgspec.Struct, frozen=True):
    """`Type/id`, a bare `id` (type None), or an absolute or canonical `url`."""

    type: str | None
    id: str | None
    url: str | None = None


class UriOperand(msgspec.Struct, frozen=True):
    """A URI to equal."""

    value: str


class TypedOperand(msgspec.Struct, frozen=True):
    """An identifier by the code of its type and its value (`:of-type`)."""

    system: str
    code: str
    value: str


class NearOperand(msgspec.Struct, frozen=True):
    """A place, and how far from it one may be."""

    spot: Spot
    metres: float


class MissingOperand(msgspec.Struct, frozen=True):
    """`:missing=true` or `:missing=false`."""

    missing: bool


class CompositeOperand(msgspec.Struct, frozen=True):
    """A value for each component, all of which must hold of one element."""

    parts: tuple[SimpleOperand, ...]


SimpleOperand = (
    TokenOperand
    | StringOperand
    | DateOperand
    | NumberOperand
    | QuantityOperand
    | ReferenceOperand
    | UriOperand
    | TypedOperand
    | NearOperand
)
Operand = SimpleOperand | CompositeOperand | MissingOperand


Modifier = Literal[
    "exact",
    "contains",
    "not",
    "identifier",
    "in",
    "not-in",
    "above",
    "below",
    "text",
    "of-type",
]
# What these mean of codes only a terminology can tell.
OF_TERMS = frozenset({"in", "not-in", "above", "below"})


class Clause(msgspec.Struct, frozen=True):
    """One parameter of the request: any operand is enough; all clauses of a query must hold.

    `modifier` is without its colon, None when absent. `:[type]` is folded into the operand's type
    and `:missing` into MissingOperand, so neither is left in `modifier`.
    """

    param: SearchParameter
    modifier: Modifier | None
    operands: tuple[Operand, ...]


def components_of(param: SearchParameter) -> tuple[SearchParameter, ...]:
    """The parameters that a composite puts together."""
    if param.custom is not None:
        return param.custom.parts
    params = load_table().types[param.type].params
    return tuple(params[name] for name, _ in param.components)


def component_clauses(clause: Clause) -> tuple[Clause, ...]:
    """What a clause on a composite asks of each component by itself; any record that it finds has
    all of that, if perhaps not in one element.
    """
    values = [one.parts for one in clause.operands if isinstance(one, CompositeOperand)]
    several = zip(components_of(clause.param), zip(*values, strict=True), strict=True)
    return tuple(Clause(param, None, tuple(dict.fromkeys(asked))) for param, asked in several)


class End(msgspec.Struct, frozen=True):
    """Records of one type at the far end of a reference, with what must hold for them."""

    type: str
    condition: Condition


class Chain(msgspec.Struct, frozen=True):
    """`param.rest`: the record refers by `param` to one of these ends."""

    param: SearchParameter
    ends: tuple[End, ...]


class Has(msgspec.Struct, frozen=True):
    """`_has:Type:param:rest`: a record of the parameter's type refers by it to this one, and the
    condition holds for that record.
    """

    param: SearchParameter
    condition: Condition


Comparison = Literal["eq", "ne", "co", "sw", "ew", "gt", "lt", "ge", "le"]


class Tested(msgspec.Struct, frozen=True):
    """A comparison of `_filter` that no search parameter makes: some value of the clause's
    parameter compares so with its only operand.

    A record where it holds is among those of the clause; what is asked for is `asked`.
    """

    among: Clause
    comparison: Comparison
    asked: SimpleOperand | CompositeOperand


class AllOf(msgspec.Struct, frozen=True):
    """All of the parts hold."""

    parts: tuple[Condition, ...]


class AnyOf(msgspec.Struct, frozen=True):
    """At least one of the parts holds."""

    parts: tuple[Condition, ...]


class Not(msgspec.Struct, frozen=True):
    """The part does not hold."""

    part: Condition


Linkage = Chain | Has
Filtering = Tested | AllOf | AnyOf | Not
Condition = Clause | Linkage | Filtering


class Include(msgspec.Struct, frozen=True):
    """`_include` / `_revinclude`: `source` type, `param` name, `target` type.

    `param` "*" means all references, `target` None any type; `iterates` says that it is asked of
    included records too. `customs` are those of the parameters meant that are none of R4.
    """

    source: str
    param: str
    target: str | None
    iterates: bool = False
    customs: tuple[SearchParameter, ...] = ()

    @property
    def is_of_all(self) -> bool:
        """Whether all references of the source are meant."""
        return self.param == "*"

    @property
    def name(self) -> str:
        """The name under which what the one parameter finds is keyed."""
        return self.customs[0].name if self.customs else self.param


class SortKey(msgspec.Struct, frozen=True):
    """One key of `_sort`."""

    param: SearchParameter
    descending: bool


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """A whole search. `type` None searches every type (with common parameters only), or those of
    `parts`, each part being the search of one.

    `compartment` is (type, id) or None. `ignored` holds a warning for each parameter left out under
    lenient handling. `pairs` are the parameters that were used, in canonical order, for the self
    link. `links` are conditions on other records, `filters` what `_filter` asks beyond plain
    clauses; they must hold as `clauses` must.
    """

    type: str | None
    clauses: tuple[Clause, ...] = ()
    links: tuple[Linkage, ...] = ()
    filters: tuple[Filtering, ...] = ()
    includes: tuple[Include, ...] = ()
    revincludes: tuple[Include, ...] = ()
    sort: tuple[SortKey, ...] = ()
    count: int | None = None
    total: Literal["none", "estimate", "accurate"] | None = None
    summary: Literal["true", "text", "data", "count", "false"] | None = None
    elements: tuple[str, ...] = ()
    compartment: tuple[str, str] | None = None
    cursor: str | None = None
    ignored: tuple[Issue, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    parts: tuple[Query, ...] = ()


def query_of(type_: str, condition: Condition) -> Query:
    """The search for the records of a type that meet a condition."""
    parts = condition.parts if isinstance(condition, AllOf) else (condition,)
    return Query(
        type=type_,
        clauses=tuple(part for part in parts if isinstance(part, Clause)),
        links=tuple(part for part in parts if isinstance(part, Chain | Has)),
        filters=tuple(part for part in parts if isinstance(part, Filtering)),
    )


EVERY_TYPE: Final = "Resource"
Asked = tuple[str, SearchParameter, str | None]
"""A type, a parameter and its modifier; the type is EVERY_TYPE where a search is of no type."""


def asked_of(query: Query) -> Iterator[Asked]:
    """Every parameter that the query picks or sorts records of a type by, at any end of a link."""
    for part in query.parts:
        yield from asked_of(part)
    if not query.parts:
        type_ = query.type or EVERY_TYPE
        for key in query.sort:
            yield type_, key.param, None
        for condition in (*query.clauses, *query.links, *query.filters):
            yield from _asked(type_, condition)


def _asked(type_: str, condition: Condition) -> Iterator[Asked]:
    for of_type, part in _parts(type_, condition):
        match part:
            case Chain(param):
                yield of_type, param, None
            case Has(param):
                yield param.type, param, None
            case Clause(param, modifier):
                yield of_type, param, modifier


def ids_named(query: Query, of_type: str) -> Iterator[str]:
    """The ids by which the query names records of a type, at any end of a link."""
    for part in query.parts:
        yield from ids_named(part, of_type)
    if query.compartment is not None and query.compartment[0] == of_type:
        yield query.compartment[1]
    for condition in (*query.clauses, *query.links, *query.filters):
        for type_, one in _parts(query.type or of_type, condition):
            if isinstance(one, Clause):
                yield from _ids_in(type_, one, of_type)


def _ids_in(type_: str, clause: Clause, of_type: str) -> Iterator[str]:
    for operand in clause.operands:
        match operand:
            case ReferenceOperand(named, str(id_)):
                if named == of_type or (named is None and of_type in clause.param.targets):
                    yield id_
            case TokenOperand(_, str(id_)):
                if clause.param.code == "_id" and type_ == of_type:
                    yield id_


def _parts(type_: str, condition: Condition) -> Iterator[tuple[str, Clause | Linkage]]:
    """The clauses and links of a condition, each with the type that it is asked of."""
    match condition:
        case Chain(_, ends):
            yield type_, condition
            for end in ends:
                yield from _parts(end.type, end.condition)
        case Has(param, inner):
            yield type_, condition
            yield from _parts(param.type, inner)
        case Tested(part) | Not(part):
            yield from _parts(type_, part)
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from _parts(type_, part)
        case Clause():
            yield type_, condition
