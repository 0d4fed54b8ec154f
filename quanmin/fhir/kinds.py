"""Which modifiers a search parameter takes: by its kind, and by what its elements are (R4 search
3.1.1.4.4).
"""

from __future__ import annotations

from functools import lru_cache

from quanmin.fhir.custom import found_types
from quanmin.fhir.expressions import read
from quanmin.fhir.hierarchies import types_with_parts
from quanmin.fhir.query import OF_TERMS
from quanmin.fhir.table import load_table
from quanmin.fhir.values import SearchParameter, is_mime_type

_WITH_TEXT = frozenset({"Coding", "CodeableConcept", "Identifier"})
_CODED = frozenset({"Coding", "CodeableConcept"})
_CANONICAL = frozenset({"canonical", "uri"})


@lru_cache(maxsize=8192)
def modifiers_of(param: SearchParameter) -> tuple[str, ...]:
    """The modifiers of a parameter but `missing`, by name; `[type]` stands for types of records."""
    found: set[str] = set()
    types = _element_types(param)
    match param.kind:
        case "token":
            found.add("not")
            if is_mime_type(param):
                found.add("below")
            elif types & _CODED or param.name not in {"_id", "identifier"}:
                found |= OF_TERMS
            if types & _WITH_TEXT:
                found.add("text")
            if "Identifier" in types:
                found.add("of-type")
        case "string":
            found |= {"exact", "contains"}
        case "uri":
            found |= {"above", "below"}
        case "reference":
            found |= {"identifier", "[type]"} if "Reference" in types else {"[type]"}
            if types & _CANONICAL:
                found.add("below")
            if "Reference" in types and types_with_parts(param):
                found |= {"above", "below"}
    return tuple(sorted(found))


def _element_types(param: SearchParameter) -> frozenset[str]:
    if param.is_custom:
        return found_types(param)
    if param.type not in load_table().types:  # a common parameter, asked of every type
        return _element_types(load_table().types["Basic"].params[param.name])
    return frozenset(path.type for path in read(param.expression, param.type, load_table()))
