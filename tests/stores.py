"""Builds the real store and guard on a test's own database, and the bodies tests send to them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg

from quanmin.base.crypto import suite_named
from quanmin.base.database import Connection
from quanmin.base.keys import FileKeys, KeyPort
from quanmin.fhir.table import load_table
from quanmin.people import PersonIndex
from quanmin.records.context import Context, StoreLimits
from quanmin.records.operation import Operation, Projection
from quanmin.records.parameters import SearchParameterIndex
from quanmin.records.profiles import ProfileIndex, ValidationLimits
from quanmin.records.store import Store
from quanmin.records.walls import Walls
from quanmin.terminology import TerminologyIndex, Terms
from quanmin.trust import AccessLog, Guard, Notary, Witness, grant_projections
from quanmin.trust.case_counts import CaseIndex
from quanmin.trust.clocks import TaskClocks
from quanmin.trust.due import DueIndex, DueKeeping, Planned
from quanmin.trust.lifecycle.petition_index import lifecycle_projections
from quanmin.trust.registers import InstitutionIndex, LicensedActs, PractitionerIndex
from quanmin.workflow import notifiable

START = 1_790_000_000_000_000
IDENTITY_NUMBERS = "urn:oid:2.16.156.10011.1.3"


def open_context(
    folder: Path,
    suite: str = "international",
    base_url: str = "",
    terms: Callable[[Connection], Terms] | None = None,
    validation: ValidationLimits | None = None,
    **limits: Any,
) -> Context:
    """A context with the keys in `folder`, new ones where there are none."""
    return Context(
        load_table(),
        FileKeys.create(folder / "keys"),
        suite_named(suite),
        prefix="q",
        zone=ZoneInfo("Asia/Shanghai"),
        limits=StoreLimits(**limits),
        base_url=base_url,
        terms=terms,
        validation=validation,
    )


def reopen_context(folder: Path, of: Context, keys: KeyPort | None = None) -> Context:
    """The context of another process of the same node."""
    return Context(
        of.table,
        keys or FileKeys(folder / "keys"),
        of.suite,
        prefix=of.prefix,
        zone=of.zone,
        limits=of.limits,
        base_url=of.base,
    )


def open_store(pool: asyncpg.Pool[asyncpg.Record], context: Context) -> Store:
    """A store whose clock goes on by a second with every write."""
    ticks = itertools.count(START, 1_000_000)
    people = PersonIndex(context.keying)
    return Store(pool, context, lambda: next(ticks), [people, SearchParameterIndex()])


def open_guard(
    pool: asyncpg.Pool[asyncpg.Record],
    context: Context,
    witness: Path | None = None,
    walls: Walls | None = None,
    *,
    posts_required: bool = False,
    beside: Sequence[Projection] = (),
    plans: Sequence[Planned] = (),
    now: Callable[[], int] | None = None,
) -> Guard:
    """A guard over such a store, whose log is witnessed in a folder if one is given. Its staff need
    no posts unless a test is about them: most are about something else. With `walls` the pool is
    not the owner's. What is `beside` hears of changes as well. It keeps due lists of `plans`.
    """
    ticks = itertools.count(START, 1_000_000)
    now = now or (lambda: next(ticks))
    people = PersonIndex(context.keying)
    due = DueKeeping(context, plans)
    projections: list[Projection] = [
        people,
        *grant_projections(people, context),
        TerminologyIndex(),
        ProfileIndex(),
        SearchParameterIndex(),
        InstitutionIndex(context.zone, context.rid_of),
        PractitionerIndex(context.zone, context.rid_of),
        LicensedActs(context.zone, context.rid_of),
        *lifecycle_projections(context),
        *beside,
        DueIndex(due, now),
        TaskClocks(context),
        CaseIndex(context, notifiable.counted),
    ]
    store = Store(pool, context, now, projections, walls=walls)
    log = AccessLog(pool, open_notary(context), None if witness is None else Witness(witness))
    return Guard(store, people, log, now, posts_required=posts_required, due=due)


def open_notary(context: Context, suite: str = "international") -> Notary:
    """What the log of the node with these keys is signed with."""
    return Notary(context.keys, suite, "test")


def create(type_: str, body: bytes, **more: Any) -> Operation:
    return Operation(kind="create", type=type_, body=body, **more)


def update(type_: str, id_: str, body: bytes, **more: Any) -> Operation:
    return Operation(kind="update", type=type_, id=id_, body=body, **more)


def of(type_: str, id_: str, **body: Any) -> Operation:
    """The update that puts this record in its place."""
    resource = {"resourceType": type_, "id": id_, **body}
    return update(type_, id_, json.dumps(resource, ensure_ascii=False).encode())


def to(reference: str) -> dict[str, str]:
    return {"reference": reference}


def coded(code: str, system: str = "urn:codes", **more: Any) -> dict[str, Any]:
    """A CodeableConcept of one code."""
    return {"coding": [{"system": system, "code": code}], **more}


def delete(type_: str, id_: str, **more: Any) -> Operation:
    return Operation(kind="delete", type=type_, id=id_, **more)


def observation(patient: str | None = None, *, value: str = "5.40", **more: Any) -> bytes:
    """A laboratory result; `value` is written as it is, so that its digits can be looked for."""
    body: dict[str, Any] = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "2339-0"}]},
        "effectiveDateTime": "2026-03-01",
        **more,
    }
    if patient is not None:
        body["subject"] = {"reference": patient}
    text = json.dumps(body, ensure_ascii=False)
    quantity = f'"valueQuantity":{{"value":{value},"unit":"mmol/L"}}'
    return f"{text[:-1]},{quantity}}}".encode()


def patient(number: str | None = None, name: str = "欧阳明月", **more: Any) -> bytes:
    """A source Patient; `number` is an identity number."""
    body: dict[str, Any] = {"resourceType": "Patient", "name": [{"text": name}], **more}
    if number is not None:
        body["identifier"] = [{"system": IDENTITY_NUMBERS, "value": number}]
    return json.dumps(body, ensure_ascii=False).encode()


def bundle(kind: str, *entries: dict[str, Any]) -> bytes:
    """A Bundle of requests."""
    return json.dumps(
        {"resourceType": "Bundle", "type": kind, "entry": list(entries)}, ensure_ascii=False
    ).encode()


def post(body: bytes, full_url: str | None = None, **request: Any) -> dict[str, Any]:
    """An entry that creates."""
    resource = json.loads(body)
    entry: dict[str, Any] = {
        "resource": resource,
        "request": {"method": "POST", "url": resource["resourceType"], **request},
    }
    if full_url is not None:
        entry["fullUrl"] = full_url
    return entry
