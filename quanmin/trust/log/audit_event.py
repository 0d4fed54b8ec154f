"""The AuditEvent of a request, made out of its entries: FHIR R4 in the shape of IHE BALP 1.1.

An event is never stored as such; it is five times as large as what it says. What was searched for
is not in the log, since it can be personal: the query is there, masked.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources
from typing import Any, Final, Literal

import msgspec

from quanmin.trust.log.entry import Place
from quanmin.trust.log.noting import ACTING
from quanmin.trust.log.rows import Kept

TYPE: Final = "AuditEvent"
_ID: Final = re.compile(r"log-(\d{8})-(\d{1,15})")
_BALP: Final = "https://profiles.ihe.net/ITI/BALP"
_HL7: Final = "http://terminology.hl7.org/CodeSystem"
_MASKED: Final = {
    "extension": [
        {
            "url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason",
            "valueCode": "masked",
        }
    ]
}
# Of the FHIR extensions pack: for whom an agent acts. Here the entry of the register of proxies, as
# an event outlives the erasure of a person whom it would name.
_ON_BEHALF_OF: Final = "http://hl7.org/fhir/StructureDefinition/auditevent-OnBehalfOf"
_TYPES: Final = "http://hl7.org/fhir/resource-types"
_DECIDES: Final = "authserver"
RESTFUL: Final = "http://hl7.org/fhir/restful-interaction"
ACTIONS: Final = "http://hl7.org/fhir/audit-event-action"
OUTCOMES: Final = "http://hl7.org/fhir/audit-event-outcome"
RULE: Final = "urn:quanmin:rule:"
"""What a rule's id and version follow, as a policy of an agent."""
REASONS: Final = f"{_HL7}/v3-ActReason"

Kind = Literal["Read", "Query", "Create", "Update", "Delete", "Other"]


class Reading(msgspec.Struct, frozen=True):
    """How an action of the log reads."""

    action: str
    subtypes: tuple[str, ...]
    kind: Kind
    type: str = "rest"


class _Kind(msgspec.Struct, frozen=True):
    agents: tuple[str, str]
    user: str


class _Coding(msgspec.Struct, frozen=True):
    system: str
    display: str


class Readers(msgspec.Struct, frozen=True):
    """The roles that read all of the log, and those that read what is about themselves."""

    all: frozenset[str]
    own: frozenset[str]


class Readings(msgspec.Struct, frozen=True):
    """The definition file."""

    types: dict[str, _Coding]
    kinds: dict[str, _Kind]
    agents: dict[str, _Coding]
    users: dict[str, str]
    actions: dict[str, Reading]
    readers: Readers
    outcomes: dict[str, tuple[str, ...]]
    subtypes: dict[str, _Coding]

    def of(self, action: str) -> Reading:
        """How this action reads."""
        return self.actions.get(action, self.actions["operation"])

    def outcome(self, said: Iterable[str]) -> str:
        """The worst of these outcomes, as AuditEvent codes it."""
        codes = {
            next((code for code, named in self.outcomes.items() if one in named), "4")
            for one in said
        }
        return max(codes, default="0")


class Named(msgspec.Struct, frozen=True):
    """Records that an event names, as references; those are not among them that were erased or are
    not for the reader.
    """

    patients: tuple[str, ...]
    records: tuple[str, ...]


@cache
def readings() -> Readings:
    """The definition file, read once."""
    file = resources.files("quanmin") / "definitions" / "audit_events.toml"
    return msgspec.convert(tomllib.loads(file.read_text("utf-8")), Readings)


def id_of_entry(place: Place) -> str:
    """The id of the event that begins with this entry."""
    return f"log-{place}"


def entry_of_id(id_: str) -> Place | None:
    """The entry with which the event of this id begins; None for an id of another form."""
    found = _ID.fullmatch(id_)
    return None if found is None else Place(int(found[1]), int(found[2]))


def system_of_subtype(code: str) -> str:
    """The code system a subtype is of."""
    other = readings().subtypes.get(code)
    return RESTFUL if other is None else other.system


def _subtype(table: Readings, code: str) -> dict[str, str]:
    other = table.subtypes.get(code)
    return {"system": RESTFUL, "code": code} if other is None else _coding(other, code)


def write_event(parts: Sequence[Kept], named: Named, *, node: str, recorded: str) -> bytes:
    """The AuditEvent of a request, whose first entry comes first."""
    table = readings()
    first = parts[0].access
    seen = [table.of(part.access.action) for part in parts]
    if any("batch" in (part.access.note or "").split() for part in parts):
        seen.insert(0, table.of("batch"))
    reading = seen[0]
    outcome = table.outcome(part.access.outcome for part in parts)
    said = sorted({part.access.outcome for part in parts})
    profile = _profile(reading.kind, outcome, named, len(parts))
    # BALP has no policies and other ids of who deletes.
    is_bare = reading.kind == "Delete" and bool(profile)
    event: dict[str, Any] = {
        "resourceType": TYPE,
        "id": id_of_entry(parts[0].place),
        "meta": {"versionId": "1", "lastUpdated": recorded, **profile},
        "type": _coding(table.types[reading.type], reading.type),
        "subtype": [
            _subtype(table, code)
            for code in dict.fromkeys(code for one in seen for code in one.subtypes)
        ],
        "action": reading.action,
        "recorded": recorded,
        "outcome": outcome,
        "outcomeDesc": ", ".join([first.action, *said]),
        "purposeOfEvent": [_purpose(first.purpose)],
        "agent": _agents(parts, reading, node, is_bare=is_bare),
        "source": {
            "observer": {"identifier": {"value": node}},
            "type": [{"system": f"{_HL7}/security-source-type", "code": "4"}],
        },
    }
    if entities := _entities(parts, reading, named):
        event["entity"] = entities
    return msgspec.json.encode(event)


def _profile(kind: Kind, outcome: str, named: Named, parts: int) -> dict[str, list[str]]:
    """The profile of BALP that the event follows; these are for what went well and is one thing."""
    if outcome != "0" or kind == "Other" or parts > 1:
        return {}
    if kind != "Query" and len(named.records) != 1:
        return {}
    of_patient = "Patient" if len(named.patients) == 1 else ""
    if kind == "Delete" and not of_patient:
        return {}
    return {"profile": [f"{_BALP}/StructureDefinition/IHE.BasicAudit.{of_patient}{kind}"]}


def _coding(of: _Coding, code: str) -> dict[str, str]:
    return {"system": of.system, "code": code, "display": of.display}


def _purpose(code: str) -> dict[str, Any]:
    return {"coding": [{"system": REASONS, "code": code}]}


def _agents(
    parts: Sequence[Kept], reading: Reading, node: str, *, is_bare: bool
) -> list[dict[str, Any]]:
    table = readings()
    kind = table.kinds[reading.kind]
    first = parts[0].access
    client, server = kind.agents
    rules = dict.fromkeys(rule for part in parts for rule in (part.access.rules or "").split())
    user: dict[str, Any] = {
        "type": {
            "coding": [
                {
                    "system": f"{_HL7}/v3-ParticipationType",
                    "code": kind.user,
                    "display": table.users[kind.user],
                }
            ]
        },
        "role": [{"coding": [{"code": first.role}], "text": first.role}],
        "who": {"identifier": {"value": first.actor}},
        "altId": first.actor,
        "requestor": True,
    }
    policy = {"policy": [f"{RULE}{rule}" for rule in rules]} if rules else {}
    if is_bare:
        del user["altId"]
    else:
        user |= policy
    user["purposeOfUse"] = [_purpose(first.purpose)]
    proxy = next((w for w in (first.note or "").split() if w.startswith(ACTING)), None)
    if proxy is not None:
        user["extension"] = [
            {"url": _ON_BEHALF_OF, "valueReference": {"identifier": {"value": proxy}}}
        ]
    program = first.client or first.actor
    deciding = {
        "type": {"coding": [_coding(table.agents[_DECIDES], _DECIDES)]},
        "who": {"identifier": {"value": node}},
        "requestor": False,
        **policy,
    }
    return [
        user,
        {
            "type": {"coding": [_coding(table.agents[client], client)]},
            "who": {"identifier": {"value": program}},
            "requestor": False,
            "network": {"address": f"urn:quanmin:client:{program}", "type": "5"},
        },
        {
            "type": {"coding": [_coding(table.agents[server], server)]},
            "who": {"identifier": {"value": node}},
            "requestor": False,
            "network": {"address": f"urn:quanmin:node:{node}", "type": "5"},
        },
        *([deciding] if is_bare and policy else []),
    ]


def _entities(parts: Sequence[Kept], reading: Reading, named: Named) -> list[dict[str, Any]]:
    found = [_entity(one, "1", "Person", "1", "Patient") for one in named.patients]
    # In the profiles of searches the query alone is a system object.
    is_query = reading.kind == "Query"
    for one in named.records:
        entity = _entity(one, "2", "System Object", "4", "Domain Resource")
        if is_query:
            entity["type"] = {"system": _TYPES, "code": one.partition("/")[0]}
        found.append(entity)
    first = parts[0].access
    if is_query:
        query: dict[str, Any] = {
            "type": _entity_type("2", "System Object"),
            "role": _role("24", "Query"),
        }
        if first.type:
            query["description"] = first.type
        found.append({**query, "_query": _MASKED})
    if first.request and reading.kind != "Delete":
        system = f"{_BALP}/CodeSystem/BasicAuditEntityType"
        found.append(
            {
                "what": {"identifier": {"value": first.request}},
                "type": {"system": system, "code": "XrequestId"},
            }
        )
    return found


def _entity(reference: str, *coded: str) -> dict[str, Any]:
    type_, type_said, role, role_said = coded
    return {
        "what": {"reference": reference},
        "type": _entity_type(type_, type_said),
        "role": _role(role, role_said),
    }


def _entity_type(code: str, display: str) -> dict[str, str]:
    return {"system": f"{_HL7}/audit-entity-type", "code": code, "display": display}


def _role(code: str, display: str) -> dict[str, str]:
    return {"system": f"{_HL7}/object-role", "code": code, "display": display}
