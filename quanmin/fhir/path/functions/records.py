"""What FHIR R4 adds to FHIRPath: extensions, values, references, codes and profiles."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from quanmin.fhir.json import Json
from quanmin.fhir.path.amounts import Amount
from quanmin.fhir.path.compiling import Application, Function, Step
from quanmin.fhir.path.environment import Scope, Terminology, container
from quanmin.fhir.path.nodes import (
    EMPTY,
    NO,
    YES,
    Collection,
    Node,
    add_member,
    computed,
    root,
)
from quanmin.fhir.path.types import fhir_type, is_type_name
from quanmin.fhir.xhtml import xhtml_fault

_STRUCTURE = "http://hl7.org/fhir/StructureDefinition/"
_LOCAL = re.compile(r"[A-Z][A-Za-z]+/[A-Za-z0-9.-]{1,64}(?:/_history/[A-Za-z0-9.-]{1,64})?\Z")


def _extension(application: Application) -> Step:
    def apply(focus: Collection, this: Collection, scope: Scope) -> Collection:
        url = application.value(0, this, scope)
        if url is None:
            return EMPTY
        found: Collection = []
        for node in focus:
            add_member(node, "extension", found)
        return [one for one in found if _has_url(one, url)]

    return apply


def _has_url(node: Node, url: Any) -> bool:
    return type(node.value) is dict and node.value.get("url") == url


def _value(focus: Collection) -> Any:
    """The value of the only item where it is a primitive that has one; else None."""
    if len(focus) != 1:
        return None
    node = focus[0]
    if type(node.value) in {dict, list} or type(node.value) is Amount:
        return None
    return node.plain


def _has_value(_application: Application) -> Step:
    return lambda focus, _this, _scope: NO if _value(focus) is None else YES


def _get_value(_application: Application) -> Step:
    return lambda focus, _this, _scope: computed(_value(focus))


# ---- references ----------------------------------------------------------------------------------


def _resolve(_application: Application) -> Step:
    def apply(focus: Collection, _this: Collection, scope: Scope) -> Collection:
        return [found for node in focus if (found := _target(node, scope)) is not None]

    return apply


def _target(node: Node, scope: Scope) -> Node | None:
    """The resource that a Reference or a canonical leads to, as far as it is at hand."""
    value = node.value.get("reference") if type(node.value) is dict else node.value
    if type(value) is not str or not value:
        return None
    if value.startswith("#"):
        return _contained(container(node, is_outermost=True), value[1:])
    entry = _entry(node, value)
    if entry is not None:
        return entry
    resolve = scope.environment.resolve
    found = resolve(value) if resolve else None
    return None if found is None else root(found)


def _contained(holder: Node, id_: str) -> Node | None:
    if not id_:
        return holder
    found: Collection = []
    add_member(holder, "contained", found)
    return next(
        (one for one in found if type(one.value) is dict and one.value.get("id") == id_), None
    )


def _entry(node: Node, reference: str) -> Node | None:
    """The resource of the same Bundle whose fullUrl is meant (R4 bundle.html, 3.2)."""
    at: Node | None = node
    base = ""
    while at is not None and at.type.name != "Bundle":
        if at.type.name == "Bundle.entry" and not base:
            url = at.value.get("fullUrl") if type(at.value) is dict else None
            base = url if type(url) is str else ""
        at = at.parent
    if at is None:
        return None
    wanted = {reference}
    if _LOCAL.match(reference) and _LOCAL.search("/".join(base.split("/")[-2:])):
        wanted.add("/".join(base.split("/")[:-2]) + "/" + reference)
    entries: Collection = []
    add_member(at, "entry", entries)
    for entry in entries:
        if type(entry.value) is dict and entry.value.get("fullUrl") in wanted:
            found: Collection = []
            add_member(entry, "resource", found)
            return found[0] if found else None
    return None


def named_by_reference(reference: str) -> Json | None:
    """A resource with no more than the type and id that a reference names.

    Enough for `resolve() is Patient` where nothing is to be fetched, as in search parameters.
    """
    parts = reference.partition("/_history/")[0].split("/")
    if len(parts) < 2 or not fhir_type(parts[-2]).is_resource:
        return None
    return {"resourceType": parts[-2], "id": parts[-1]}


# ---- terminology ---------------------------------------------------------------------------------


def _codings(node: Node) -> Iterator[tuple[str | None, str]]:
    """(system, code) of a code, Coding or CodeableConcept."""
    value = node.value
    if type(value) is str:
        yield None, value
    elif type(value) is dict:
        listed = value.get("coding") if "coding" in value else [value]
        for coding in listed if type(listed) is list else ():
            code = coding.get("code") if type(coding) is dict else None
            system = coding.get("system") if type(coding) is dict else None
            if type(code) is str:
                yield (system if type(system) is str else None), code


def _terminology(application: Application, scope: Scope) -> Terminology:
    found = scope.environment.terminology
    if found is None:
        raise application.problem("no terminology is at hand to answer this")
    return found


def _member_of(application: Application) -> Step:
    def apply(focus: Collection, this: Collection, scope: Scope) -> Collection:
        url = application.value(0, this, scope)
        if not focus or url is None:
            return EMPTY
        application.lone(focus)
        known = _terminology(application, scope)
        answers = [known.is_member(str(url), *coding) for coding in _codings(focus[0])]
        if True in answers:
            return YES
        if None in answers:
            raise application.problem("this value set is not known here: load it first")
        return NO if answers else EMPTY

    return apply


def _subsuming(*, is_reverse: bool) -> Function:
    """subsumes() and subsumedBy(): over Codings and CodeableConcepts of one system."""

    def build(application: Application) -> Step:
        def apply(focus: Collection, this: Collection, scope: Scope) -> Collection:
            other = application.args[0](this, this, scope)
            if not focus or not other:
                return EMPTY
            application.lone(focus)
            application.lone(other)
            general, special = (other[0], focus[0]) if is_reverse else (focus[0], other[0])
            known = _terminology(application, scope)
            if _are_apart(general, special):
                raise application.problem("nothing is known between codes of different systems")
            return computed(_is_subsumed(general, special, known))

        return apply

    return Function(1, 1, build)


def _are_apart(one: Node, other: Node) -> bool:
    """Whether both are Codings, of different systems: an error (R4 fhirpath.html, subsumes)."""
    are_concepts = any(type(node.value) is dict and "coding" in node.value for node in (one, other))
    systems = [system for node in (one, other) for system, _ in _codings(node)]
    return not are_concepts and len(set(systems)) > 1


def _is_subsumed(general: Node, special: Node, known: Terminology) -> bool | None:
    answers = [
        True if above == below else known.subsumes(system, above, below)
        for system, above in _codings(general)
        for other, below in _codings(special)
        if system is not None and system == other
    ]
    if True in answers:
        return True
    return None if None in answers else False


# ---- profiles ------------------------------------------------------------------------------------


def _conforms_to(application: Application) -> Step:
    def apply(focus: Collection, this: Collection, scope: Scope) -> Collection:
        url = application.value(0, this, scope)
        if not focus or type(url) is not str:
            return EMPTY
        application.lone(focus)
        conforms = scope.environment.conforms
        answer = conforms(focus[0].value, url) if conforms else None
        name = url.removeprefix(_STRUCTURE)
        if answer is None and name != url and is_type_name(f"FHIR.{name}"):
            answer = name in focus[0].type.names
        if answer is None:
            raise application.problem("this profile is not known here: load it first")
        return computed(answer)

    return apply


def _slice(application: Application) -> Step:
    """R4 fhirpath.html: a structure or slice that cannot be found is an error."""

    def apply(focus: Collection, this: Collection, scope: Scope) -> Collection:
        url, name = (application.value(number, this, scope) for number in range(2))
        if not focus or type(url) is not str or type(name) is not str:
            return EMPTY
        known = scope.environment.in_slice
        found: Collection = []
        for node in focus:
            answer = known(node, url, name) if known else None
            if answer is None:
                raise application.problem("no such slice is known here: load the profile first")
            if answer:
                found.append(node)
        return found

    return apply


def _check_modifiers(application: Application) -> Step:
    def apply(focus: Collection, this: Collection, scope: Scope) -> Collection:
        known = {application.value(number, this, scope) for number in range(len(application.args))}
        for node in focus:
            found: Collection = []
            add_member(node, "modifierExtension", found)
            for extension in found:
                if type(extension.value) is dict and extension.value.get("url") not in known:
                    raise application.problem("an element has a modifier extension not listed")
        return focus

    return apply


def _html_checks(_application: Application) -> Step:
    def apply(focus: Collection, _this: Collection, _scope: Scope) -> Collection:
        if len(focus) != 1 or type(focus[0].value) is not str:
            return EMPTY
        return computed(xhtml_fault(focus[0].value) is None)

    return apply


RECORDS: dict[str, Function] = {
    "extension": Function(1, 1, _extension),
    "hasValue": Function(0, 0, _has_value),
    "getValue": Function(0, 0, _get_value),
    "resolve": Function(0, 0, _resolve),
    "memberOf": Function(1, 1, _member_of),
    "subsumes": _subsuming(is_reverse=False),
    "subsumedBy": _subsuming(is_reverse=True),
    "conformsTo": Function(1, 1, _conforms_to),
    "slice": Function(2, 2, _slice),
    "checkModifiers": Function(0, 50, _check_modifiers),
    "htmlChecks": Function(0, 0, _html_checks),
}
"""What FHIR R4 adds."""
