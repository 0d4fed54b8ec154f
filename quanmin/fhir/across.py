"""Searches of several types at once: `[base]?_type=Observation,Condition&...` (R4
search.html).

Such a search is one of each type, read by the parameters of that type, and their hits are put
together. It may ask by the parameters that all of the types have, which are of one kind in all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from quanmin.base.problems import Malformed, NotSupported, Sentence
from quanmin.fhir.query import EVERY_TYPE, Include, Query
from quanmin.fhir.table import Table
from quanmin.fhir.values import SearchParameter

TYPE: Final = "_type"
# R4 search 3.1.1.3: the members of a List.
LIST: Final = "_list"
MISPLACED: Final = Sentence(
    "_type says which types a search of several types or of a compartment is about; the address"
    " already names the type"
)

_Pairs = Sequence[tuple[str, str]]


def types_of(pairs: _Pairs, known: Mapping[str, object]) -> tuple[str, ...]:
    """The types that `_type` names, each once; none when it is not given.

    Raises Malformed when it is given twice or names nothing, NotSupported for what is no type.
    """
    if any(name.startswith(f"{TYPE}:") for name, _ in pairs):
        raise NotSupported("_type takes no modifier: name the types that are meant")
    values = [value for name, value in pairs if name == TYPE]
    if not values:
        return ()
    if len(values) > 1:
        raise Malformed("_type may be given once only: its types stand in one list, with commas")
    names = tuple(dict.fromkeys(values[0].split(",")))
    if not all(names):
        raise Malformed("_type must be one or more resource types, with commas between them")
    foreign = [name for name in names if name not in known]
    if foreign:
        raise NotSupported(
            Sentence("_type: %(foreign)r is no resource type of FHIR R4", foreign=foreign[0][:64])
        )
    return names


def common(params: Sequence[Mapping[str, SearchParameter]]) -> frozenset[str]:
    """The parameters that all have, of one kind in all."""
    first, *others = params
    return frozenset(
        name
        for name, param in first.items()
        if all(name in other and other[name].kind == param.kind for other in others)
    )


def together(parts: Sequence[Query], pairs: _Pairs) -> Query:
    """One search of the types of `parts`, which are read from the same parameters."""
    first = parts[0]
    mine = [(TYPE, value) for name, value in pairs if name == TYPE]
    used = tuple(sorted([*first.pairs, *mine], key=lambda pair: (pair[0].startswith("_"), pair)))
    if len(parts) == 1:
        return msgspec.structs.replace(first, pairs=used)
    return msgspec.structs.replace(
        first,
        type=None,
        parts=tuple(parts),
        clauses=(),
        links=(),
        filters=(),
        includes=_each_once([part.includes for part in parts]),
        revincludes=_each_once([part.revincludes for part in parts]),
        elements=tuple(dict.fromkeys(name for part in parts for name in part.elements)),
        pairs=used,
    )


def _each_once(several: Sequence[tuple[Include, ...]]) -> tuple[Include, ...]:
    return tuple(dict.fromkeys(one for includes in several for one in includes))


def params_of(table: Table, type_name: str | None) -> dict[str, SearchParameter]:
    """The parameters that a type can be searched by; without one those that all types share."""
    if type_name is not None:
        return table.types[type_name].params | {LIST: _list_param(type_name)}
    # The common parameters are the same for every type, their bits too: any type will do.
    params = table.types["Basic"].params
    return (
        {
            name: msgspec.structs.replace(
                param, type=EVERY_TYPE, expression=param.expression.replace("Basic", EVERY_TYPE)
            )
            for name, param in params.items()
            if name.startswith("_")
        }
        | {
            name: msgspec.structs.replace(param, type=EVERY_TYPE)
            for name, param in params.items()
            if param.is_custom and _is_of_all(table, name, param)
        }
        | {LIST: _list_param(EVERY_TYPE)}
    )


def _is_of_all(table: Table, name: str, param: SearchParameter) -> bool:
    """Whether every type has this custom parameter, and not another one under its code."""
    several = (definition.params.get(name) for definition in table.types.values())
    return all(one is not None and one.name == param.name for one in several)


def _list_param(type_name: str) -> SearchParameter:
    """The members of a List: R4 names this parameter for all types and defines it for none."""
    return SearchParameter(LIST, type_name, "special", -1, f"{type_name}.id")
