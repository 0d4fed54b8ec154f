"""Clauses on references, and compartments: keys in the row's `refs`, and the row's own patient."""

from __future__ import annotations

import msgspec

from quanmin.base.problems import NotSupported, Sentence
from quanmin.fhir.query import Clause, ReferenceOperand, TokenOperand
from quanmin.fhir.table import TypeDefinition
from quanmin.fhir.values import SearchParameter
from quanmin.records.index import link_name
from quanmin.records.search.arm import Write
from quanmin.records.search.key_lists import FEW_PATIENTS, has_key, keys_term, patients_term
from quanmin.records.search.term import (
    Scope,
    Term,
    any_key,
    any_rid,
    either,
    is_present,
    joined,
)

# What refers to one of these is little, however large the store grows.
_SMALL = {"Patient", "Encounter"}


def reference_term(scope: Scope, clause: Clause) -> Term:
    """References to records of this node, to addresses elsewhere, or by business identifier."""
    if clause.modifier == "identifier":
        return _identified_term(scope, clause)
    definition, name, keying = scope.definitions[0], clause.param.name, scope.context.keying
    links: set[tuple[str, int]] = set()
    addresses: set[int] = set()
    is_exact = True
    for operand in clause.operands:
        if not isinstance(operand, ReferenceOperand):
            continue
        if operand.url is not None:
            # A canonical has a key without its version too, by which all versions are found.
            url = operand.url.partition("|")[0] if clause.modifier == "below" else operand.url
            is_exact = is_exact and url == operand.url
            addresses.add(keying.uri(definition.name, name, url))
        elif operand.id is not None:
            links |= _links(scope, clause.param, operand.type, operand.id)
    link = link_name(definition.name, name)
    keys = {keying.reference(definition.name, link, rid) for _, rid in links}
    patients = {rid for type_, rid in links if type_ == "Patient"}
    only_patients = bool(links) and not addresses and len(patients) == len(links)
    number = definition.number
    if only_patients and is_owner(definition, clause.param) and clause.modifier != "not":
        refers = None if is_sole_owner(definition, clause.param) else _refers(keys)
        return patients_term(number, (clause,), patients, refers)
    local = keys_term(number, (clause,), "refs", keys)
    if addresses:
        elsewhere = keys_term(number, (clause,), "tokens", addresses, is_exact=is_exact)
        return joined(local, elsewhere) if keys else elsewhere
    is_small = bool(links) and {type_ for type_, _ in links} <= _SMALL
    return msgspec.structs.replace(local, drives=is_small and not local.found)


def _links(
    scope: Scope, param: SearchParameter, type_: str | None, id_: str
) -> set[tuple[str, int]]:
    """The records an operand may mean; a bare id means any type the parameter can point at."""
    types = (type_,) if type_ is not None else param.targets or tuple(scope.context.table.types)
    types = tuple(one for one in types if takes(param, one))
    found = ((one, scope.context.rid_of(one, id_)) for one in types)
    return {(one, rid) for one, rid in found if rid is not None}


def takes(param: SearchParameter, type_: str) -> bool:
    """Whether references to this type are the parameter's: some look only at those to a Patient,
    under whose keys stand those to others as well.
    """
    if param.is_custom:
        return True
    return ".where(resolve() is " not in param.expression or type_ in param.targets


def is_owner(definition: TypeDefinition, param: SearchParameter) -> bool:
    """Whether a Patient that this parameter points at is always the row's own patient.

    So it is when the parameter looks at the element that says first whose record it is, and that
    element has one value.
    """
    if not definition.patient_params or param.is_custom:
        return False
    main = _element(definition, definition.params[definition.patient_params[0]])
    return main is not None and main == _element(definition, param)


def is_sole_owner(definition: TypeDefinition, param: SearchParameter) -> bool:
    """Whether the row's own patient is always one that this parameter points at."""
    return is_owner(definition, param) and len(_owners(definition)) == 1


def _owners(definition: TypeDefinition) -> set[str | None]:
    return {_element(definition, definition.params[name]) for name in definition.patient_params}


def _element(definition: TypeDefinition, param: SearchParameter) -> str | None:
    path = param.expression.removesuffix(".where(resolve() is Patient)")
    head, _, name = path.partition(".")
    single = {element.name for element in definition.elements if element.max == 1}
    return name if head == definition.name and name in single else None


def _refers(keys: set[int]) -> Write:
    """The reference itself is there: the row's patient may come from another element."""
    if len(keys) > FEW_PATIENTS:
        return has_key("refs", keys)
    # As a case the planner takes it for neither rare nor served by GIN, and follows the patient.
    return lambda bind: (
        f"case when r.refs && {bind(sorted(keys))}::bigint[] then true else false end"
    )


def _identified_term(scope: Scope, clause: Clause) -> Term:
    definition, name, keying = scope.definitions[0], clause.param.name, scope.context.keying
    keys: set[int] = set()
    is_exact, rows = True, []
    for operand in clause.operands:
        if not isinstance(operand, TokenOperand):
            continue
        if operand.code is None:
            rows.append(is_present(scope, name))
            is_exact = False
        else:
            system = "*" if operand.system is None else operand.system
            keys.add(keying.identified(definition.name, name, system, operand.code))
    return keys_term(definition.number, (clause,), "tokens", keys, *rows, is_exact=is_exact)


def compartment_row(scope: Scope, type_: str, id_: str) -> Write:
    """The row is in the compartment of one record: it refers to it by a parameter R4 names, or
    is it.
    """
    context = scope.context
    members = context.table.compartments.get(type_)
    if members is None:
        known = ", ".join(sorted(context.table.compartments))
        raise NotSupported(
            Sentence(
                "there is no compartment of %(type)s: R4 has those of %(known)s",
                type=type_,
                known=known,
            )
        )
    rid = context.rid_of(type_, id_)
    if rid is None:
        return any_rid(set())
    keys = {
        context.keying.reference(definition.name, link_name(definition.name, name), rid)
        for definition in scope.definitions
        for name in members.get(definition.name, ())
        if name in definition.params
    }
    rows = [any_key("refs", keys)]
    if any(definition.name == type_ for definition in scope.definitions):
        rows.append(any_rid({rid}))
    return either(*rows)
