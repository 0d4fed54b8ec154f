"""What could be better in a resource that is right: advice, which refuses nothing.

R4 has rules that are warnings, and bindings that other codes may extend: a code of one's own is
right where the value set has none that means the same, which only people can tell.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import msgspec
import zstandard

from quanmin.base.problems import Issue, Sentence
from quanmin.fhir.json import Json
from quanmin.fhir.path.nodes import Node, children, root
from quanmin.fhir.table import ValueSet
from quanmin.fhir.validation.explanation import broken_rules, is_bound, placed, shown_codes

_BINDINGS = (
    Path(__file__).resolve().parents[2] / "definitions" / "fhir_r4" / "extensible_bindings.json.zst"
)


class Bindings(msgspec.Struct, frozen=True):
    """The extensible bindings of R4: place of an element -> value set, and what these hold."""

    places: dict[str, str]
    value_sets: dict[str, ValueSet]


@lru_cache(maxsize=1)
def extensible_bindings() -> Bindings:
    """Those of the release, read at the first call."""
    packed = zstandard.ZstdDecompressor().decompress(_BINDINGS.read_bytes())
    return msgspec.json.decode(packed, type=Bindings)


def advice(resource: dict[str, Json], at: str) -> Iterator[Issue]:
    """A warning for each rule of R4 that is one, and for each code outside an extensible binding
    (R4 terminologies.html#extensible).
    """
    yield from broken_rules(resource, at, "warning")
    bound = extensible_bindings()
    waiting = [root(resource)]
    while waiting:
        node = waiting.pop()
        url = _binding(node, bound.places)
        if url is not None and not _is_within(node, bound.value_sets[url]):
            where = placed(resource, at, node)
            text = Sentence(
                "%(where)s has no code of %(url)s: use one if one of them means the same"
                " (%(shown_codes)s)",
                where=where,
                url=url,
                shown_codes=shown_codes(bound.value_sets[url]),
            )
            yield Issue("warning", "code-invalid", text, where)
        waiting += reversed(children(node))


def _binding(node: Node, places: dict[str, str]) -> str | None:
    """The value set that is bound to the place of an element, or to its type."""
    if node.parent is not None:
        name = node.step.partition(".ofType(")[0]
        found = places.get(f"{node.parent.type.name}.{name}")
        if found is not None:
            return found
    return places.get(node.type.name)


def _is_within(node: Node, codes: ValueSet) -> bool:
    """Whether the element has a code of the value set, or none at all."""
    value = node.value
    if isinstance(value, str) and node.type.is_primitive:
        return value in codes.codes
    if not isinstance(value, dict):
        return True
    codings = value.get("coding", [value])
    is_coded = isinstance(codings, list) and any(
        isinstance(coding, dict) and "code" in coding for coding in codings
    )
    return not is_coded or is_bound(codings, codes)
