"""Makes records of a response by the templates that its form declares (SDC templateExtract).

A template is a resource in the form. An element with templateExtractContext is repeated for each
thing its expression finds, and left out where there is none; one with templateExtractValue takes
what its expression finds. What stands there without expressions stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import uuid4

import msgspec

from quanmin.base.problems import Invalid, Sentence
from quanmin.fhir.json import Json
from quanmin.fhir.path import Node, Path, PathProblem, compile_path
from quanmin.workflow.forms.compiling import expression_of
from quanmin.workflow.forms.extensions import TEMPLATE_CONTEXT, TEMPLATE_VALUE, valued
from quanmin.workflow.forms.filling import Filling, Place, Seen, plain
from quanmin.workflow.forms.model import Template


class _Nothing(msgspec.Struct):
    """What a template leaves out."""


_NOTHING = _Nothing()


def extract(filling: Filling) -> Json:
    """A transaction Bundle with the records that the answers make, in the order of the form.

    An open item that is answered makes its templates once for each occurrence. What a template
    says of `id` goes; a `resourceId` makes a PUT of it, and `ifNoneExist` a conditional create.
    Raises Invalid, naming the template, when an expression fails.
    """
    seen = filling.seen()
    allocated = {name: f"urn:uuid:{uuid4()}" for name in filling.form.allocated}
    entries = [_entry(filling, one, None, seen, allocated) for one in filling.form.templates]
    for place in filling.open_places():
        own = allocated | {name: f"urn:uuid:{uuid4()}" for name in place.item.allocated}
        if not place.is_empty:
            entries += [_entry(filling, one, place, seen, own) for one in place.item.templates]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def _entry(
    filling: Filling, template: Template, place: Place | None, seen: Seen, allocated: dict[str, str]
) -> Json:
    writer = _Writer(filling, {**seen.variables_of(place), **allocated}, template)
    node = seen.node_of(place)
    resource = writer.written(template.resource, node)
    if not isinstance(resource, dict):
        raise writer.fault("makes nothing")
    resource.pop("id", None)
    kind = resource["resourceType"]
    own = writer.text(template.resource_id, node)
    full = writer.text(template.full_url, node)
    if own:
        resource["id"] = own
        request = {"method": "PUT", "url": f"{kind}/{own}"}
    else:
        request = {"method": "POST", "url": kind}
        criteria = writer.text(template.if_none_exist, node)
        if criteria:
            request["ifNoneExist"] = criteria
    return {"fullUrl": full or f"urn:uuid:{uuid4()}", "resource": resource, "request": request}


class _Writer:
    """Writes one resource by its template."""

    def __init__(self, filling: Filling, variables: dict[str, Any], template: Template) -> None:
        self._environment = filling.around.environment(variables)
        self._template = template

    def fault(self, text: str) -> Invalid:
        """What is wrong with the template, named by its type and id."""
        resource = self._template.resource
        name = f"{resource.get('resourceType')} {resource.get('id', '')}".strip()
        return Invalid(Sentence("the template %(name)s of the form %(text)s", name=name, text=text))

    def text(self, path: Path | None, node: Node) -> str:
        """What an expression of the request gives; "" for nothing."""
        found = self._found(path, node) if path is not None else []
        return str(plain(found[0])) if found else ""

    def written(self, held: Json, node: Node) -> Any:
        """A part of the template with what was answered; `_NOTHING` where nothing is left."""
        if not isinstance(held, dict):
            return held
        return next(iter(self._repeated(held, node)), _NOTHING)

    def _repeated(self, held: dict[str, Json], node: Node) -> Iterator[Any]:
        """An object of the template, once for each thing that its context finds."""
        context = valued(held, TEMPLATE_CONTEXT)
        nodes: Sequence[Node] = [node]
        if context is not None:
            nodes = self._found(compile_path(expression_of(context)), node)
        for one in nodes:
            yield from self._once(held, one)

    def _once(self, held: dict[str, Json], node: Node) -> Iterator[Any]:
        value = valued(held, TEMPLATE_VALUE)
        if value is not None:
            yield from map(plain, self._found(compile_path(expression_of(value)), node))
            return
        made: dict[str, Json] = {}
        for name, part in held.items():
            if name == "extension":
                kept = [one for one in part if one.get("url") not in _OURS]
                part = kept or None  # noqa: PLW2901 - what is left of it
            if part is None or (name.startswith("_") and self._beside(made, name, part, node)):
                continue
            found = self._member(part, node)
            if not isinstance(found, _Nothing):
                made[name] = found
        # A part of which nothing is left says nothing; of a resource its type is always left.
        if made or not held:
            yield made

    def _beside(self, made: dict[str, Json], name: str, part: Json, node: Node) -> bool:
        """Write the primitive that `_name` has expressions for; False where it has none."""
        parts = part if isinstance(part, list) else [part]
        if not any(isinstance(one, dict) and _is_ours(one) for one in parts):
            return False
        found = [value for one in parts for value in self._repeated(one or {}, node)]
        made.pop(name[1:], None)
        if found:
            made[name[1:]] = found if isinstance(part, list) else found[0]
        return True

    def _member(self, part: Json, node: Node) -> Any:
        if isinstance(part, list):
            found: list[Any] = []
            for one in part:
                found += self._repeated(one, node) if isinstance(one, dict) else [one]
            return found or _NOTHING
        return self.written(part, node)

    def _found(self, path: Path, node: Node) -> list[Node]:
        try:
            return path.evaluate(node, environment=self._environment)
        except PathProblem as problem:
            raise self.fault(f"fails: {problem.text}") from None


_OURS = frozenset({TEMPLATE_CONTEXT, TEMPLATE_VALUE})


def _is_ours(element: dict[str, Json]) -> bool:
    return any(valued(element, url) is not None for url in _OURS)
