"""Which value set an element is bound to: what `context` means in questions about value sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from quanmin.base.problems import Malformed, NotFound
from quanmin.fhir.table import load_table

if TYPE_CHECKING:
    from quanmin.api.call import Call

_BASE = "http://hl7.org/fhir/StructureDefinition/"


async def bound_value_set(call: Call, context: str) -> str:
    """The canonical of the value set that `[StructureDefinition url]#[path or id]` is bound to.

    R4 valueset-operation-expand.html, `context`. From a stored StructureDefinition, else from R4's
    own, of which this node knows the required bindings. Raises Malformed, NotFound.
    """
    url, mark, path = context.partition("#")
    if not (mark and path and ":" in url):
        raise Malformed(
            "the context must be the url of a StructureDefinition, # and a path in it, such as"
            f" {_BASE}Patient#Patient.gender"
        )
    found = await _stored(call, url, path)
    if found is None and url.startswith(_BASE):
        found = _known(path)
    if found is None:
        raise NotFound(
            "no StructureDefinition of this url binds this element: store the StructureDefinition"
            " with its snapshot, or name the ValueSet by url"
        )
    return found


async def _stored(call: Call, url: str, path: str) -> str | None:
    query = call.parse("StructureDefinition", [("url", url)], is_strict=True)
    hits = await call.records.search(query)
    for hit in hits.matches:
        definition = msgspec.json.decode(hit.body or b"{}")
        for part in ("snapshot", "differential"):
            for element in (definition.get(part) or {}).get("element") or ():
                if path in {element.get("id"), element.get("path")}:
                    bound: Any = (element.get("binding") or {}).get("valueSet")
                    if bound:
                        return str(bound)
    return None


def _known(path: str) -> str | None:
    shape, _, name = path.rpartition(".")
    for element in load_table().shapes.get(shape, ()):
        if name.removesuffix("[x]") == element.name:
            return element.binding
    return None
