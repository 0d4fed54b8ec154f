"""Reads the parameters of a search request into a typed query (R4 search.html).

What this node does not serve is refused by name and never ignored: a search that silently drops a
condition finds records that were not asked for. Only parameters nobody has defined may be ignored,
and only when the asker said so (lenient handling); then the answer says which.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import tzinfo
from typing import Literal, cast

import msgspec

from quanmin.base.problems import (
    Issue,
    Malformed,
    NotSupported,
    Outdated,
    Sentence,
    TooCostly,
)
from quanmin.fhir.across import LIST, MISPLACED, TYPE, common, params_of, together, types_of
from quanmin.fhir.filtering import Binder
from quanmin.fhir.filters import read_filter
from quanmin.fhir.honouring import (
    refuse_list,
    refuse_repetition,
    refuse_unlisted_chain,
    refuse_unlisted_comparator,
    refuse_unlisted_modifier,
)
from quanmin.fhir.identity_number import in_every_writing
from quanmin.fhir.kinds import modifiers_of
from quanmin.fhir.operands import (
    concept,
    hierarchical,
    is_id,
    near,
    read_operand,
    reference,
    split,
    string,
    token,
    typed_identifier,
    url,
)
from quanmin.fhir.query import (
    OF_TERMS,
    Chain,
    Clause,
    Condition,
    End,
    Filtering,
    Has,
    Include,
    Linkage,
    MissingOperand,
    Modifier,
    Operand,
    Query,
    ReferenceOperand,
    SortKey,
)
from quanmin.fhir.refusing import (
    UNSERVED,
    bad_modifier,
    empty_modifier,
    empty_value,
    no_parameter,
    no_reference,
    not_at_ends,
    not_common,
    not_served,
    points_anywhere,
    points_elsewhere,
    too_long,
    too_many_ends,
    too_many_links,
    too_many_values,
    unknown,
    unsorted,
)
from quanmin.fhir.table import Table, load_table
from quanmin.fhir.values import SearchParameter, is_mime_type

_FILTER = "_filter"
_UNSORTED = frozenset({"composite", "special"})
_SHAPE_OF_ANSWER = frozenset({"_format", "_pretty"})
# How many references one condition may follow, in either direction.
_LINKS_MAX = 3
# How many types all conditions of a search may look at, at the ends of references.
_ENDS_MAX = 20
# Values that are looked up by keys, any number of them as one question; each of the others costs a
# comparison of its own.
_KEYED = frozenset({"token", "reference", "uri"})
_RESULT_PARAMETERS = frozenset(
    {"_count", "_total", "_summary", "_elements", "_sort", "_include", "_revinclude"}
)
_TOTALS = frozenset({"none", "estimate", "accurate"})
_SUMMARIES = frozenset({"true", "text", "data", "count", "false"})


class QueryLimits(msgspec.Struct, frozen=True):
    """How much one search may ask for. A `_count` above `count_max` is lowered to it.

    `values_max` is of codes, identifiers, references and URIs, `compared_values_max` of texts,
    dates, numbers, quantities and composites.
    """

    count_max: int = 1000
    clauses_max: int = 40
    values_max: int = 10_000
    compared_values_max: int = 500
    value_length_max: int = 2000
    includes_max: int = 20
    sort_keys_max: int = 5
    filter_tests_max: int = 40
    filter_depth_max: int = 20
    near_kilometres_default: float = 10.0


def parse_query(
    type: str | None,
    pairs: Iterable[tuple[str, str]],
    *,
    strict: bool,
    zone: tzinfo,
    limits: QueryLimits,
    table: Table | None = None,
    is_current: bool = True,
) -> Query:
    """The query that decoded (name, value) pairs ask of a type, or of all types when it is None.

    `_type` names the types where `type` does not (see `across`).

    Raises NotSupported for what this node does not serve, Malformed for a value that is not of its
    parameter's form, TooCostly beyond the limits. A parameter that the type does not have raises
    NotSupported when `strict`, and is reported in the query's `ignored` otherwise.

    `table` has custom parameters beside those of R4. When it may not be that of this moment, it is
    not `is_current`, and a parameter that is not in it raises Outdated instead.
    """
    table = table or load_table()
    if type is not None and type not in table.types:
        raise NotSupported(Sentence("%(type)r is no resource type of FHIR R4", type=type[:64]))
    asked = list(pairs)
    types = types_of(asked, table.types) if type is None else ()
    shared = common([params_of(table, one) for one in types]) if len(types) > 1 else None
    parts: list[Query] = []
    for one in types or (type,):
        reading = _Reading(
            one, strict=strict, zone=zone, limits=limits, table=table, is_current=is_current
        )
        if shared is not None:
            reading.restrict(shared, " and ".join(types))
        for name, value in asked:
            if name != TYPE or not types:
                reading.take(name, value)
        parts.append(reading.query())
    return together(parts, asked) if types else parts[0]


class _Reading:
    """A request being read; `query` gives what came of it."""

    def __init__(
        self,
        type_name: str | None,
        *,
        strict: bool,
        zone: tzinfo,
        limits: QueryLimits,
        table: Table,
        is_current: bool,
    ) -> None:
        self._type = type_name
        self._where = type_name or ""
        self._is_alone = True
        self._table = table
        self._is_current = is_current
        self._params = params_of(table, type_name)
        self._is_strict = strict
        self._zone = zone
        self._limits = limits
        self._clauses: list[Clause] = []
        self._links: list[Linkage] = []
        self._filters: list[Filtering] = []
        self._ends = 0
        self._includes: list[Include] = []
        self._revincludes: list[Include] = []
        self._sort: list[SortKey] = []
        self._once: dict[str, str] = {}
        self._elements: tuple[str, ...] = ()
        self._ignored: list[Issue] = []
        self._pairs: list[tuple[str, str]] = []

    def restrict(self, shared: Collection[str], where: str) -> None:
        """The type is searched together with others, by the parameters that they share."""
        self._is_alone, self._where = False, where
        self._params = {name: self._params[name] for name in sorted(shared)}

    def take(self, name: str, value: str) -> None:
        """Read one parameter of the request."""
        if name in _SHAPE_OF_ANSWER:
            return
        base = name.partition(":")[0]
        self._check_length(name, [value] if base in _RESULT_PARAMETERS else split(value, ","))
        if name.endswith(":"):
            raise empty_modifier(name)
        if self._read(name, value):
            self._pairs.append((name, value))

    def _check_length(self, name: str, values: list[str]) -> None:
        length_max = self._limits.value_length_max
        if max(map(len, values)) > length_max:
            raise too_long(name, length_max)

    def query(self) -> Query:
        """Everything that was read, as one value."""
        once = self._once
        return Query(
            type=self._type,
            clauses=tuple(self._clauses),
            links=tuple(self._links),
            filters=tuple(self._filters),
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
        if base == TYPE:
            raise NotSupported(MISPLACED)
        if base.split(".")[0] in UNSERVED:
            raise not_served(name)
        if base == "_has" or "." in name:
            return self._take_link(name, value)
        if name in _RESULT_PARAMETERS:
            if name in self._once:
                raise Malformed(Sentence("%(name)s may be given once only", name=name))
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
        if name == _FILTER:
            return self._take_filter(modifier, value)
        param = self._params.get(name)
        if param is None:
            return self._unknown(name, Sentence("a search parameter"))
        self._check_number()
        refuse_repetition(param, self._clauses)
        self._clauses.append(self._read_clause(param, modifier, value))
        return True

    def _check_number(self) -> None:
        number = len(self._clauses) + len(self._links) + len(self._filters)
        if number >= self._limits.clauses_max:
            most = self._limits.clauses_max
            raise TooCostly(Sentence("A search may have at most %(most)s conditions", most=most))

    def _read_clause(self, param: SearchParameter, modifier: str, value: str) -> Clause:
        refuse_unlisted_modifier(param, modifier, self._table)
        if modifier == "missing" and param.kind != "composite" and param.name != LIST:
            return Clause(param, None, (_missing(param.code, value),))
        if param.name == LIST and modifier:
            raise NotSupported(
                Sentence("%(list)s takes no modifier: name the List by its id", list=LIST)
            )
        values = split(value, ",")
        refuse_list(param, values)
        limits = self._limits
        is_keyed = param.kind in _KEYED and modifier != "text"
        values_max = limits.values_max if is_keyed else limits.compared_values_max
        if len(values) > values_max:
            raise too_many_values(param.code, values_max)
        if not all(values):
            raise empty_value(param.code)
        clause = self._clause(param, modifier, values)
        refuse_unlisted_comparator(clause)
        return clause

    # ---- conditions on other records -------------------------------------------------------------

    def _take_link(self, name: str, value: str) -> bool:
        if self._type is None:
            raise not_common(name)
        self._check_number()
        try:
            link = self._condition(self._type, name, value, 0)
        except NotSupported as refused:
            raise NotSupported(
                Sentence("%(name)s: %(text)s", name=name[:64], text=refused.text)
            ) from None
        if isinstance(link, Chain | Has):
            self._links.append(link)
        return True

    def _condition(self, type_: str, name: str, value: str, links: int) -> Condition:
        """What `name` asks of a record of this type; `links` references led here."""
        is_reverse = name.partition(":")[0] == "_has"
        if (is_reverse or "." in name) and links >= _LINKS_MAX:
            raise too_many_links(name, _LINKS_MAX)
        if is_reverse:
            return self._has(type_, name, value, links)
        if "." in name:
            return self._chain(type_, name, value, links)
        base, _, modifier = name.partition(":")
        if base in UNSERVED:
            raise not_served(name)
        return self._read_clause(self._param_of(type_, base), modifier, value)

    def _chain(self, type_: str, name: str, value: str, links: int) -> Chain:
        head, _, rest = name.partition(".")
        param, ends = self.ends(type_, head, rest)
        following = (self._condition(one, rest, value, links + 1) for one in ends)
        return Chain(param, tuple(map(End, ends, following)))

    def ends(self, type_: str, head: str, rest: str) -> tuple[SearchParameter, list[str]]:
        """The parameter that `head` names, and the types at its end that can be asked for `rest`.

        Raises NotSupported, Malformed and TooCostly.
        """
        base, _, target = head.partition(":")
        param = self._link_of(type_, base)
        refuse_unlisted_chain(param, rest)
        if target and target not in self._table.types:
            raise bad_modifier(param, target)
        if target and param.targets and target not in param.targets:
            raise points_elsewhere(param.code, param.targets)
        targets = (target,) if target else param.targets
        if not targets:
            raise points_anywhere(param.code, base, rest)
        ends = [one for one in targets if target or self._takes(one, rest)]
        if not ends:
            self._look_again()
            raise not_at_ends(rest, targets)
        self._ends += len(ends)
        if self._ends > _ENDS_MAX:
            raise too_many_ends(head, rest, base, ends[0])
        return param, ends

    def _has(self, type_: str, name: str, value: str, links: int) -> Has:
        parts = name.split(":", 3)
        if len(parts) != 4 or not all(parts):
            raise Malformed("_has must be _has:Type:reference:parameter")
        _, source, base, rest = parts
        param = self.source(type_, source, base)
        return Has(param, self._condition(source, rest, value, links + 1))

    def source(self, type_: str, source: str, name: str) -> SearchParameter:
        """The parameter by which records of the type `source` refer to those of `type_`.

        Raises NotSupported and Malformed.
        """
        if source not in self._table.types:
            raise NotSupported(
                Sentence("_has: %(source)r is no resource type of FHIR R4", source=source[:64])
            )
        param = self._link_of(source, name)
        if param.targets and type_ not in param.targets:
            raise points_elsewhere(f"_has: {source}:{name}", param.targets)
        return param

    def param(self, type_: str, name: str) -> SearchParameter:
        """A parameter of a type; `id` is `_id`. Raises NotSupported for a name that is none."""
        return self._param_of(type_, "_id" if name == "id" else name)

    # ---- filters ---------------------------------------------------------------------------------

    def _take_filter(self, modifier: str, value: str) -> bool:
        if modifier:
            raise NotSupported(Sentence("%(filter)s takes no modifier", filter=_FILTER))
        if self._type is None:
            raise NotSupported(
                "_filter asks records by the parameters of their type: name one, or _type"
            )
        self._check_number()
        limits = self._limits
        node = read_filter(
            value, tests_max=limits.filter_tests_max, depth_max=limits.filter_depth_max
        )
        binder = Binder(
            self,
            self._zone,
            near_kilometres=limits.near_kilometres_default,
            links_max=_LINKS_MAX,
        )
        for condition in binder.conditions(self._type, node):
            if isinstance(condition, Clause):
                self._clauses.append(condition)
            elif isinstance(condition, Chain | Has):
                self._links.append(condition)
            else:
                self._filters.append(condition)
        return True

    def _clause(self, param: SearchParameter, modifier: str, values: list[str]) -> Clause:
        if param.kind == "reference" and modifier in self._table.types:
            if param.targets and modifier not in param.targets:
                raise points_elsewhere(param.code, param.targets)
            return Clause(param, None, tuple(reference(param, one, modifier) for one in values))
        if modifier and modifier not in modifiers_of(param):
            raise bad_modifier(param, modifier)
        read = tuple(self._read_operand(param, modifier, one) for one in values)
        read = in_every_writing(param, modifier, read)
        return Clause(param, cast("Modifier", modifier) if modifier else None, read)

    def _read_operand(self, param: SearchParameter, modifier: str, value: str) -> Operand:
        if param.name == LIST:
            return _list(value)
        if param.kind == "special":
            return near(param, value, self._limits.near_kilometres_default)
        if param.kind == "token" and modifier in OF_TERMS and not is_mime_type(param):
            return concept(param, value, modifier)
        match modifier:
            case "identifier":
                return token(param, value, self._zone)
            case "text":
                return string(param, value)
            case "of-type":
                return typed_identifier(param, value)
            case "above" | "below" if param.kind == "uri":
                return url(param, value)
            case "below" if param.kind == "token":
                return token(param, value, self._zone)
            case "above" | "below":
                return hierarchical(param, value, modifier)
        return read_operand(param, value, self._zone)

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
        definition = self._table.types.get(self._type or "")
        if definition is not None and self._is_alone:
            by_name = definition.element_by_name
            found = {name: by_name.get(name.removeprefix(f"{self._type}.")) for name in names}
            for name in (name for name, element in found.items() if element is None):
                self._unknown(name, Sentence("an element"), sorted(definition.element_names))
            names = [element for element in found.values() if element is not None]
        self._elements = tuple(dict.fromkeys(names))
        return bool(names)

    def _take_sort(self, value: str) -> bool:
        for key in value.split(","):
            is_descending, name = key.startswith("-"), key.removeprefix("-")
            param = self._params.get(name)
            if param is None:
                self._unknown(name, Sentence("a parameter to sort by"))
                continue
            if param.kind in _UNSORTED:
                raise unsorted(name, param.kind)
            self._sort.append(SortKey(param, is_descending))
        if len(self._sort) > self._limits.sort_keys_max:
            most = self._limits.sort_keys_max
            raise TooCostly(Sentence("_sort may have at most %(most)s keys", most=most))
        return bool(self._sort)

    def _include(self, name: str, modifier: str, value: str) -> bool:
        if modifier not in {"", "iterate"}:
            raise not_served(f"{name}:{modifier}")
        iterates = modifier == "iterate"
        taken = self._includes if name == "_include" else self._revincludes
        if len(self._includes) + len(self._revincludes) >= self._limits.includes_max:
            most = self._limits.includes_max
            raise TooCostly(Sentence("A search may have at most %(most)s includes", most=most))
        if value == "*" and name == "_include" and self._type:
            value = f"{self._type}:*"
        parts = value.split(":")
        if len(parts) not in {2, 3} or not all(parts):
            raise Malformed(
                Sentence("%(name)s must be Type:parameter or Type:parameter:TargetType", name=name)
            )
        source, param, target = parts[0], parts[1], parts[2] if len(parts) == 3 else None
        if not _is_link(self._table, source, param) or target not in {None, *self._table.types}:
            return self._unknown(value, Sentence("something to follow with %(name)s", name=name))
        if param == "*":  # there may be one more since a moment ago
            self._look_again()
        customs = tuple(
            one
            for code, one in self._table.types[source].params.items()
            if one.is_custom and one.kind == "reference" and param in {"*", code}
        )
        taken.append(Include(source, param, target, iterates, customs))
        return True

    def _unknown(self, name: str, what: str, known: Sequence[str] | None = None) -> Literal[False]:
        """`known` are the names there are, without it the parameters."""
        self._look_again()
        text = unknown(name, what, self._where, list(self._params) if known is None else known)
        if self._is_strict:
            raise NotSupported(text)
        self._ignored.append(
            Issue("warning", "not-supported", Sentence("Ignored: %(text)s", text=text))
        )
        return False

    def _look_again(self) -> None:
        """What is not known may have been defined a moment ago."""
        if not self._is_current:
            raise Outdated("the search names what this process does not know yet: ask again")

    def _param_of(self, type_: str, name: str) -> SearchParameter:
        """A parameter at the far end of a reference; an unknown one is never ignored there."""
        param = params_of(self._table, type_).get(name)
        if param is None:
            self._look_again()
            raise no_parameter(name, type_)
        return param

    def _link_of(self, type_: str, name: str) -> SearchParameter:
        param = self._param_of(type_, name)
        if param.kind != "reference":
            raise no_reference(name, type_)
        return param

    def _takes(self, type_: str, rest: str) -> bool:
        """Whether records of this type can be asked for what follows in a chain."""
        name = rest.split(".", 1)[0].split(":", 1)[0]
        return name in {"_has", "id"} or name in params_of(self._table, type_)


def _is_link(table: Table, source: str, param: str) -> bool:
    definition = table.types.get(source)
    if definition is None:
        return False
    return param == "*" or (
        param in definition.params and definition.params[param].kind == "reference"
    )


def _list(value: str) -> ReferenceOperand:
    """A List by its id. Raises NotSupported for a functional list (R4 lifecycle.html#current)."""
    id_ = value.removeprefix("List/")
    if id_.startswith("$"):
        raise NotSupported(
            Sentence(
                "This node keeps no functional lists such as %(list)s=$current-problems", list=LIST
            )
        )
    if not is_id(id_):
        raise Malformed(Sentence("%(list)s must be the id of a List", list=LIST))
    return ReferenceOperand("List", id_)


def _missing(name: str, value: str) -> MissingOperand:
    if value not in {"true", "false"}:
        raise Malformed(Sentence("%(name)s:missing must be true or false", name=name))
    return MissingOperand(value == "true")


def _one_of(name: str, value: str, allowed: frozenset[str]) -> bool:
    if value not in allowed:
        raise Malformed(
            Sentence(
                "%(name)s must be one of %(known)s", name=name, known=", ".join(sorted(allowed))
            )
        )
    return True
