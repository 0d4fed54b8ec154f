"""The two ways to a verdict, put together: the fast yes, then the slow why not."""

from __future__ import annotations

from itertools import islice

from quanmin.base.problems import Issue
from quanmin.fhir.json import decode
from quanmin.fhir.validation.advice import advice
from quanmin.fhir.validation.explanation import ISSUES_MAX, explain
from quanmin.fhir.validation.fast import is_clean


def validate(
    type_name: str,
    raw: bytes,
    *,
    at: str = "",
    may_search: bool = False,
    is_ruled: bool = True,
) -> list[Issue]:
    """Everything that is wrong with `raw` as a resource of this type; empty when it is right.

    Covers structure, types, cardinality, choices, unknown elements, references, required bindings,
    formats of primitives, narratives, contained resources, and unless `is_ruled` is false the
    invariants of R4 that are errors (issue code `invariant`, with the key of the rule); those that
    are warnings are `advise`'s. Locations are FHIRPath, beginning with `at` (default: the type's
    name). `may_search` allows conditional references, as a transaction before it is resolved has
    them. Raises Malformed when `raw` is not a JSON object. At most 100 issues are told.
    """
    if is_clean(type_name, raw, is_ruled=is_ruled):
        return []
    return explain(type_name, raw, at=at or type_name, may_search=may_search, is_ruled=is_ruled)


def advise(type_name: str, raw: bytes, *, at: str = "") -> list[Issue]:
    """What could be better in a resource that is right: the invariants of R4 that are warnings,
    and codes outside of bindings that other codes may extend.

    Raises Malformed when `raw` is not a JSON object. At most 100 issues are told.
    """
    return list(islice(advice(decode(raw), at or type_name), ISSUES_MAX))
