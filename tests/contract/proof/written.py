"""Resources as they are written, digit for digit, for comparing what was sent with what comes
back.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any


def read(raw: bytes) -> dict[str, Any]:
    """A resource whose numbers are their digits: 5.40 is not 5.4."""
    found: dict[str, Any] = json.loads(raw, parse_float=_as_written, parse_int=_as_written)
    return found


def _as_written(digits: str) -> tuple[str, str]:
    """A number by its digits, and no string."""
    return "number", digits


def references_of(node: Any) -> Iterator[str]:
    """Every Reference.reference below a node."""
    if isinstance(node, dict):
        if isinstance(node.get("reference"), str):
            yield node["reference"]
        for child in node.values():
            yield from references_of(child)
    elif isinstance(node, list):
        for child in node:
            yield from references_of(child)


def named_by_the_node(node: Any, names: dict[str, str]) -> Any:
    """The resource with the names within its bundle replaced by those the node gave."""
    if isinstance(node, dict):
        return {key: named_by_the_node(value, names) for key, value in node.items()}
    if isinstance(node, list):
        return [named_by_the_node(value, names) for value in node]
    return names.get(node, node) if isinstance(node, str) else node


def without_server_fields(resource: dict[str, Any]) -> dict[str, Any]:
    """Without what the server owns: id, version, moment."""
    kept = {key: value for key, value in resource.items() if key not in {"id", "meta"}}
    meta = resource.get("meta", {})
    rest = {key: value for key, value in meta.items() if key not in {"versionId", "lastUpdated"}}
    return kept | ({"meta": rest} if rest else {})
