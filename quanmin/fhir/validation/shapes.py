"""Compiles the table into decoder types, so that one pass in C checks a whole resource.

Types are made at their first use: a node meets few of the release's 146 resource types.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from operator import attrgetter
from threading import Lock
from types import GenericAlias
from typing import Annotated, Any, ForwardRef, Literal, Union

import msgspec
from msgspec import UNSET, Meta, UnsetType

from quanmin.fhir.table import Element, ElementType, ValueSet, load_table
from quanmin.fhir.validation.fields import members_of
from quanmin.fhir.validation.primitives import (
    INTEGER_MAX,
    PRIMITIVES,
    STRING_LENGTH_MAX,
    whole,
)
from quanmin.fhir.validation.references import is_consistent, plain_pattern
from quanmin.fhir.validation.rules import attribute, rule_checks
from quanmin.fhir.xhtml import xhtml_fault

Shaped = Any
"""An instance of a compiled type: its members are attributes, UNSET when they were not sent."""

Check = Callable[[Shaped], None]

# Two nodes of the type graph that point at each other are named here by text, and msgspec looks
# those names up in the module of the type: so this module's own namespace is where they are kept.
_MADE = globals()
_MAKING = Lock()
_BIG = 2**63 - 1


class _Use(msgspec.Struct, frozen=True):
    """How a shape is used: what a Reference in it may point at, and whether rules are checked."""

    targets: tuple[str, ...] = ()
    is_ruled: bool = False


@lru_cache(maxsize=512)
def decoder_of(type_name: str, *, is_ruled: bool = True) -> msgspec.json.Decoder[Shaped]:
    """A decoder that accepts resources of this type and of no other.

    Unless `is_ruled` is false only those that surely keep the invariants of R4 too.
    """
    use = _Use(is_ruled=is_ruled)
    # Large bodies are judged in threads. A type that another thread has only begun would be taken
    # for one that nothing is of, for as long as the process lives.
    with _MAKING:
        _make(type_name, use, type_name)
        return msgspec.json.Decoder(_MADE[_name(type_name, use)])


def _name(shape: str, use: _Use) -> str:
    prefix = "Ruled_" if use.is_ruled else "Shape_"
    return prefix + "_".join((shape.replace(".", "_"), *use.targets))


def _make(shape: str, use: _Use, tag: str | None = None) -> None:
    """Define the type of a shape and of all it can hold."""
    name = _name(shape, use)
    if name in _MADE:
        return
    _MADE[name] = None  # in the making: shapes hold themselves
    required: list[Any] = []
    optional: list[Any] = []
    rename: dict[str, str] = {}
    for member in members_of(shape).values():
        element, kind = member.element, member.type
        known = attribute(member.name)
        rename[known] = member.name
        hint = _hint(shape, element, kind, use)
        if element.min and not element.is_choice:
            required.append((known, hint))
        else:
            optional.append((known, _or_unset(hint), UNSET))
        if member.is_primitive and not element.is_choice and not element.is_list:
            beside = _Use(is_ruled=use.is_ruled)
            _make("Element", beside)
            rename["_" + member.name] = "_" + member.name
            sibling = _or_unset(ForwardRef(_name("Element", beside)))
            optional.append(("_" + member.name, sibling, UNSET))
    _MADE[name] = msgspec.defstruct(
        name,
        [*required, *optional],
        module=__name__,
        namespace=_namespace(shape, use),
        tag_field="resourceType" if tag else None,
        tag=tag,
        rename=rename,
        kw_only=True,
        forbid_unknown_fields=True,
        gc=False,
    )


def _or_unset(hint: Any) -> Any:
    return Union[hint, UnsetType]  # noqa: UP007 - hints are values here, and names have no |


def _hint(shape: str, element: Element, kind: ElementType, use: _Use) -> Any:
    item = _item_hint(shape, element, kind, use)
    if not element.is_list:
        return item
    return Annotated[
        GenericAlias(list, (item,)),
        Meta(min_length=max(element.min, 1), max_length=element.max or None),
    ]


def _item_hint(shape: str, element: Element, kind: ElementType, use: _Use) -> Any:
    if kind.code == "Resource":
        return msgspec.Raw
    if shape == "Reference" and element.name == "reference":
        return Annotated[str, Meta(pattern=plain_pattern(use.targets))]
    if shape == "Reference" and element.name == "type" and use.targets:
        return Literal[use.targets]
    if kind.code in PRIMITIVES:
        return _primitive_hint(element, kind.code)
    inner = _Use(kind.targets if kind.code == "Reference" else (), use.is_ruled)
    _make(kind.code, inner)
    return ForwardRef(_name(kind.code, inner))


def _primitive_hint(element: Element, code: str) -> Any:
    primitive = PRIMITIVES[code]
    if element.binding:
        codes = load_table().value_sets[element.binding]
        if codes.pattern:
            return Annotated[str, Meta(pattern=whole(codes.pattern), min_length=1)]
        if not codes.open:
            return Literal[codes.codes]
    if primitive.json == "boolean":
        return bool
    if primitive.json == "integer":
        return Annotated[int, Meta(ge=primitive.low, le=INTEGER_MAX)]
    if primitive.json == "decimal":
        return Annotated[int, Meta(ge=-_BIG, le=_BIG)] | float
    if code == "base64Binary":
        return Annotated[str, Meta(pattern=whole(primitive.pattern or ""), min_length=4)]
    pattern = whole(primitive.pattern) if primitive.pattern else None
    if element.name == "id" and code == "string":
        pattern = r"\A[^ ]+\Z"
    return Annotated[str, Meta(pattern=pattern, min_length=1, max_length=STRING_LENGTH_MAX)]


# ---- what a type alone cannot say ----------------------------------------------------------------


def _namespace(shape: str, use: _Use) -> dict[str, Any]:
    checks = [*_choice_checks(shape), *_binding_checks(shape)]
    if use.is_ruled:
        checks += rule_checks(shape)
    if shape == "Narrative":
        checks.append(_check_narrative)
    if shape == "Reference":
        checks.append(_check_reference)
    if not checks:
        return {}
    if len(checks) == 1:
        return {"__post_init__": checks[0]}

    def check_all(shaped: Shaped) -> None:
        for check in checks:
            check(shaped)

    return {"__post_init__": check_all}


def _choice_checks(shape: str) -> list[Check]:
    return [
        _choice_check(
            [member.name for member in members_of(shape).values() if member.element is element],
            is_required=bool(element.min),
        )
        for element in load_table().shapes[shape]
        if element.is_choice
    ]


def _choice_check(names: list[str], *, is_required: bool) -> Check:
    # attrgetter and count run in C: an Extension has fifty ways to write its value.
    values: Callable[[Shaped], Any] = attrgetter(*names)
    absent = len(names) - 1

    if len(names) == 1:

        def check_one(shaped: Shaped) -> None:
            if is_required and values(shaped) is UNSET:
                raise ValueError(names[0])

        return check_one

    def check(shaped: Shaped) -> None:
        count = values(shaped).count(UNSET)
        if count < absent or (is_required and count > absent):
            raise ValueError(names[0])

    return check


def _binding_checks(shape: str) -> list[Check]:
    checks = []
    for element in load_table().shapes[shape]:
        if element.binding and element.types[0].code == "CodeableConcept":
            codes = load_table().value_sets[element.binding]
            if not codes.open:
                checks.append(_binding_check(element, codes))
    return checks


def _binding_check(element: Element, codes: ValueSet) -> Check:
    def check(shaped: Shaped) -> None:
        given = getattr(shaped, element.name)
        if given is UNSET:
            return
        for concept in given if element.is_list else [given]:
            codings = [] if concept.coding is UNSET else concept.coding
            if not any(codes.has(coding.system, coding.code) for coding in codings):
                raise ValueError(element.name)

    return check


def _check_narrative(narrative: Shaped) -> None:
    fault = xhtml_fault(narrative.div)
    if fault:
        raise ValueError(fault)


def _check_reference(reference: Shaped) -> None:
    stated, text = reference.type, reference.reference
    if stated is not UNSET and text is not UNSET and not is_consistent(stated, text):
        raise ValueError(stated)
