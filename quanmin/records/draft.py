"""From the bytes a sender gave to everything that is stored of a version: validated, named,
indexed, not yet written.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import Any, Final

import msgspec

from quanmin.base.problems import Issue
from quanmin.fhir.custom import indexed_values
from quanmin.fhir.extraction import index_values
from quanmin.fhir.json import decode, splice
from quanmin.fhir.profiles import claims_anything, profile_faults
from quanmin.fhir.table import TypeDefinition
from quanmin.fhir.validation import validate
from quanmin.fhir.values import SearchParameter
from quanmin.records.compartment import patient_of
from quanmin.records.context import CHOSEN, DELETED, SEVERAL, Context, method_of
from quanmin.records.index import IN_COLUMNS, IndexEntry
from quanmin.records.label_sets import UNLABELLED
from quanmin.records.model import Stored
from quanmin.records.operation import Change
from quanmin.records.rid import is_assigned
from quanmin.records.visibility import Facts

_log: Final = logging.getLogger("quanmin.records")


class Current(msgspec.Struct, frozen=True):
    """The version that holds now, locked against other writers, and the columns a new version
    keeps.
    """

    stored: Stored
    bucket: int
    flags: int


class Draft(msgspec.Struct):
    """A version about to be written. `is_claiming` says that it, or a record within it, claims
    profiles. `body` is sealed by then; `seq` is its place in its bucket's changes, `apart` the
    number of its set of labels. Of the decoded body nothing is kept: a bundle's would not stay in
    the processor's cache.
    """

    definition: TypeDefinition
    rid: int
    id: str
    bucket: int
    version: int
    updated: int
    flags: int
    sender: int
    patient: int | None
    body: bytes
    entry: IndexEntry
    current: Current | None = None
    old: IndexEntry | None = None
    is_claiming: bool = False
    sealed: bytes = b""
    seq: int = 0
    apart: int = UNLABELLED

    @property
    def is_deletion(self) -> bool:
        """Whether the version says that the record is deleted."""
        return bool(self.flags & DELETED)

    @property
    def left(self) -> int | None:
        """The source Patient whose the record was until now, when it is another's from now on."""
        if self.current is None or self.current.stored.facts.patient == self.patient:
            return None
        return self.current.stored.facts.patient


def draft_version(
    context: Context,
    definition: TypeDefinition,
    raw: bytes,
    current: Current | None,
    *,
    rid: int,
    id_: str,
    bucket: int,
    sender: int,
    now: int,
    keeps_version: bool = False,
) -> Draft | None:
    """The next version of a record; None when it would be the same as the current one. With
    `keeps_version` the current one again, its number and moment unchanged.

    `raw` is the resource as sent, its references within a bundle resolved; it has no `body_faults`.
    """
    if current is not None and _is_same(context, raw, current):
        return None
    version = context.next_version(rid, None if current is None else current.stored.version)
    updated = now if current is None else max(now, current.stored.updated + 1000)
    if keeps_version and current is not None:
        version, updated = current.stored.version, current.stored.updated
    body = splice(raw, id=id_, version=version, updated_text=context.instant(updated))
    resource = decode(body)
    entry = _entry(context, definition, resource)
    patient = patient_of(context, definition, resource, rid)
    if patient is not None:
        entry.labels |= context.labels_given(body, resource)
    flags = 0 if is_assigned(rid) else CHOSEN
    return Draft(
        definition,
        rid,
        id_,
        bucket,
        version,
        updated,
        flags | SEVERAL if entry.several else flags,
        sender,
        patient,
        body,
        entry,
        current,
        None if current is None else index_again(context, current),
        claims_anything(resource),
    )


def body_faults(type_: str, raw: bytes) -> list[Issue]:
    """Everything that keeps a body from being written as a record of this type, whatever else the
    node holds: faults by R4, and of a profile what keeps it from being used. Raises Malformed.
    """
    issues = [issue for issue in validate(type_, raw) if issue.severity in _BREAKING]
    if not issues and type_ == "StructureDefinition":
        issues = profile_faults(raw)
    return issues


def draft_deletion(
    context: Context, definition: TypeDefinition, current: Current, now: int
) -> Draft:
    """The version that says the record is deleted; it keeps whose it was, and nothing that finds
    it.
    """
    stored = current.stored
    return Draft(
        definition,
        stored.rid,
        stored.id,
        current.bucket,
        context.next_version(stored.rid, stored.version),
        max(now, stored.updated + 1000),
        current.flags & CHOSEN | DELETED,
        stored.facts.sender,
        stored.facts.patient,
        msgspec.json.encode({"resourceType": definition.name, "id": stored.id}),
        IndexEntry(),
        current,
        index_again(context, current),
    )


def index_again(context: Context, current: Current) -> IndexEntry:
    """The index entry of the current version, to find its rows in the side tables."""
    if current.stored.body is None:
        return IndexEntry()
    definition = context.definition(current.stored.type)
    return _entry(context, definition, decode(current.stored.body))


def _entry(context: Context, definition: TypeDefinition, resource: dict[str, Any]) -> IndexEntry:
    values = index_values(definition.name, resource, context.zone, IN_COLUMNS, base=context.base)
    customs = context.catalogue.customs.get(definition.name)
    if customs:
        failed: list[SearchParameter] = []
        values += indexed_values(customs, resource, context.zone, base=context.base, failed=failed)
        for param in failed:
            _tell(param.type, param.code)
    return context.indexer.entry(definition, values)


@cache
def _tell(type_: str, code: str) -> None:
    """Once in each process: a load of such records would fill the log."""
    _log.warning(
        "the expression of a search parameter cannot be evaluated on some records, which are not"
        " found by it: $reindex tells which",
        extra={"parameter": code, "type": type_},
    )


def _is_same(context: Context, raw: bytes, current: Current) -> bool:
    stored = current.stored
    if stored.body is None:
        return False
    as_current = splice(
        raw, id=stored.id, version=stored.version, updated_text=context.instant(stored.updated)
    )
    return as_current == stored.body


def stored_of(draft: Draft) -> Stored:
    """The version as readers are given it."""
    name, low = draft.definition.name, draft.entry.low
    return Stored(
        type=name,
        id=draft.id,
        rid=draft.rid,
        version=draft.version,
        updated=draft.updated,
        method=method_of(draft.flags, draft.version),
        body=None if draft.is_deletion else draft.body,
        facts=Facts(
            draft.sender, draft.patient, name, frozenset(draft.entry.labels), low, rid=draft.rid
        ),
    )


def change_of(draft: Draft) -> Change:
    """The version as projections are told of it."""
    return Change(
        draft.definition.name,
        draft.id,
        draft.rid,
        draft.bucket,
        draft.version,
        draft.sender,
        draft.patient,
        draft.updated,
        None if draft.is_deletion else draft.body,
    )


_BREAKING = frozenset({"error", "fatal"})
