"""The CapabilityStatement, written from what there is: the interaction table and the R4 table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from quanmin import __version__
from quanmin.api.reply import Reply
from quanmin.fhir.across import TYPE
from quanmin.fhir.honouring import modifiers_listed
from quanmin.fhir.patch import PATCH_KINDS
from quanmin.fhir.table import Table, TypeDefinition

if TYPE_CHECKING:
    from collections.abc import Iterable

    from quanmin.api.call import Call
    from quanmin.api.interactions import Interaction
    from quanmin.fhir.values import SearchParameter
    from quanmin.trust import IndexRule

_R4 = "http://hl7.org/fhir"
_BULK_DATA = "http://hl7.org/fhir/uv/bulkdata/CapabilityStatement/bulk-data"
_SECURITY = (
    "Every address but this one needs a bearer token of this node (Authorization: Bearer). "
    "X-Purpose-Of-Use states the purpose; without it treatment is assumed. Each read is logged."
)
_NOTES = (
    "Links to the next page are sealed: they hold the search in encrypted form, work for the actor "
    "they were given to, and expire. Conditional writes find the sender's own records only. A "
    "search follows up to three references in one parameter, by chains (patient.name, "
    "subject:Patient.name) and reverse chains (_has:Observation:patient:code), mixed as you like. "
    "_include and _revinclude take :iterate. Codes take :in, :not-in, :above and :below, answered "
    "by this node's terminology. _sort takes several parameters of any kind but composites, each "
    "with its direction; what has no value comes last. Each parameter says which modifiers it "
    "takes; references take a type of record as one too."
)

_SEVERAL = (
    "The types that are searched, with commas between them. The search takes the parameters that "
    "all of them have, of one kind in all; without _type only those named here."
)
_ASKED_OF_ALL = (
    {
        "name": "_filter",
        "type": "special",
        "documentation": "Of a type: every operator of search_filter.html, and, or, not, chains, "
        "reference[filter].parameter and _has.",
    },
    {
        "name": "_list",
        "type": "special",
        "documentation": "The members of a List, by its id; functional lists are refused.",
    },
    {"name": TYPE, "type": "token", "documentation": _SEVERAL},
)


async def describe(call: Call) -> Reply:
    """What this door can do."""
    return Reply(200, await call.desk.describe(call.base))


def write_statement(
    interactions: Iterable[Interaction],
    table: Table,
    *,
    base: str,
    date: str,
    customs: tuple[SearchParameter, ...] = (),
    unready: tuple[IndexRule, ...] = (),
    profiles: tuple[tuple[str, str], ...] = (),
    protection: dict[str, Any] | None = None,
) -> bytes:
    """The statement as JSON; `date` is when this door opened, `base` where it stands, `profiles`
    the type and address of each profile that records can be held to, `protection` how
    applications get tokens.

    Of search parameters it lists what can be searched by: `customs` are ready, and a parameter of
    R4 is when none of the `unready` rules is for it.
    """
    listed = tuple(interactions)
    served = {
        name: _served(definition, customs, unready) for name, definition in table.types.items()
    }
    pointing = _pointing(served)
    operations = _operations(listed, "system")
    guarded: dict[str, Any] = {**(protection or {}), "description": _SECURITY}
    statement = {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": date,
        "publisher": "quanmin",
        "kind": "instance",
        "instantiates": [_BULK_DATA],
        "software": {"name": "quanmin", "version": __version__},
        "implementation": {"description": "quanmin FHIR R4 interface", "url": base},
        "fhirVersion": table.release,
        "format": ["application/fhir+json", "json"],
        "patchFormat": list(PATCH_KINDS),
        "rest": [
            {
                "mode": "server",
                "documentation": _NOTES,
                "security": guarded,
                "resource": [
                    _resource(listed, definition, served, pointing)
                    | _supported(definition, profiles)
                    for _, definition in sorted(table.types.items())
                ],
                "interaction": _system(listed),
                "searchParam": _common(table),
                **({"operation": operations} if operations else {}),
            }
        ],
    }
    return msgspec.json.encode(statement)


def _codes(interactions: Iterable[Interaction], level: str) -> list[str]:
    codes = (one.code for one in interactions if one.level == level and not one.definition)
    return list(dict.fromkeys(codes))


def _operations(
    interactions: Iterable[Interaction], level: str, type_: str = ""
) -> list[dict[str, str]]:
    """The operations at a level, for the resources of `type_`."""
    found = {
        one.shape.rpartition("$")[2]: one.definition
        for one in interactions
        if one.definition and one.level == level and type_ in (one.types or (type_,))
    }
    return [{"name": name, "definition": found[name]} for name in sorted(found)]


def _system(interactions: tuple[Interaction, ...]) -> list[dict[str, str]]:
    codes = _codes(interactions, "system")
    if "transaction" in codes:  # one address takes both kinds of Bundle
        codes.append("batch")
    return [{"code": code} for code in codes]


def _conditions(interactions: tuple[Interaction, ...]) -> dict[str, Any]:
    conditional = {one.code for one in interactions if one.is_conditional}
    codes = {one.code for one in interactions}
    return {
        "versioning": "versioned-update",
        "readHistory": "vread" in codes,
        "updateCreate": "update" in codes,
        "conditionalCreate": "create" in codes,
        "conditionalRead": "full-support" if "read" in codes else "not-supported",
        "conditionalUpdate": "update" in conditional,
        "conditionalDelete": "single" if "delete" in conditional else "not-supported",
    }


def _served(
    definition: TypeDefinition,
    customs: tuple[SearchParameter, ...],
    unready: tuple[IndexRule, ...],
) -> list[SearchParameter]:
    """What a type can be searched by at this moment."""
    mine = (one for one in customs if one.type == definition.name)
    return [
        param
        for param in (*definition.params.values(), *mine)
        if not any(rule.is_for(definition.name, param, None) for rule in unready)
    ]


def _pointing(served: dict[str, list[SearchParameter]]) -> dict[str, list[str]]:
    """For each type the parameters, of any type, that can point at it."""
    found: dict[str, list[str]] = {}
    for name, params in sorted(served.items()):
        for param in params:
            for target in param.targets if param.kind == "reference" else ():
                found.setdefault(target, []).append(f"{name}:{param.code}")
    return found


def _resource(
    interactions: tuple[Interaction, ...],
    definition: TypeDefinition,
    served: dict[str, list[SearchParameter]],
    pointing: dict[str, list[str]],
) -> dict[str, Any]:
    params = served[definition.name]
    links = [f"{definition.name}:{param.code}" for param in params if param.kind == "reference"]
    described = {
        "type": definition.name,
        "profile": f"{_R4}/StructureDefinition/{definition.name}",
        "interaction": [{"code": code} for code in _codes(interactions, "type")],
        **_conditions(interactions),
        "searchInclude": ["*", *links],
        "searchRevInclude": pointing.get(definition.name, []),
        "searchParam": [_parameter(param) for param in params],
        "operation": _operations(interactions, "type", definition.name),
    }
    return {name: value for name, value in described.items() if value != []}


def _supported(
    definition: TypeDefinition, profiles: tuple[tuple[str, str], ...]
) -> dict[str, list[str]]:
    urls = [url for type_, url in profiles if type_ == definition.name]
    return {"supportedProfile": urls} if urls else {}


def _parameter(param: SearchParameter) -> dict[str, str]:
    """A parameter with the modifiers that it takes; a composite takes none."""
    described = {"name": param.code, "type": param.kind}
    if param.custom is not None and param.custom.url:
        described["definition"] = param.custom.url
    if param.kind == "composite":
        return described
    modifiers = ", ".join(f":{name}" for name in modifiers_listed(param))
    return {**described, "documentation": modifiers}


def _common(table: Table) -> list[dict[str, str]]:
    """The parameters that every type has: those a search over all types can use."""
    params = [definition.params for definition in table.types.values()]
    names = set(params[0]).intersection(*params)
    first = params[0]
    return [*(_parameter(first[name]) for name in sorted(names)), *_ASKED_OF_ALL]
