"""Every interaction of the FHIR door, declared once: the dispatcher and the CapabilityStatement
are both made from this table, so neither can promise what the other does not do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal

import msgspec

from quanmin.api.call import Call
from quanmin.api.capability import describe
from quanmin.api.code_systems import check_in_system, look_up, subsume
from quanmin.api.concept_maps import translate
from quanmin.api.continuing import go_on
from quanmin.api.counting import count_kinds, count_types
from quanmin.api.documents import list_documents
from quanmin.api.emergencies import break_glass
from quanmin.api.everything import gather
from quanmin.api.export.answers import (
    EXPORT,
    export_all,
    export_group,
    export_patients,
)
from quanmin.api.importing import IMPORT, begin_import
from quanmin.api.indexing import REINDEXING, reindex, tell_status
from quanmin.api.later import Later, end, give, tell
from quanmin.api.latest import latest
from quanmin.api.meta import add_meta, delete_meta, show_meta, sum_up_meta
from quanmin.api.negotiation import FHIR_NDJSON
from quanmin.api.quotas import tell_quotas
from quanmin.api.reading import read, read_history, read_version
from quanmin.api.reply import Reply
from quanmin.api.searching import search, search_by_form
from quanmin.api.signing import sign, verify
from quanmin.api.transacting import transact
from quanmin.api.validating import validate
from quanmin.api.value_sets import check_in_value_set, expand
from quanmin.api.writing import (
    create,
    delete,
    delete_where,
    patch,
    patch_where,
    update,
    update_where,
)

Access = Literal["open", "actor"]
Body = Literal["none", "form", "resource", "patch", "parameters", "optional", "bundle", "stream"]
Level = Literal["system", "type", "none"]

_R4 = "http://hl7.org/fhir/OperationDefinition"
_IMPORT = "https://quanmin.example/fhir/OperationDefinition/import"
_COUNTS = "https://quanmin.example/fhir/OperationDefinition/counts"
_BULK = "http://hl7.org/fhir/uv/bulkdata/OperationDefinition"
_STATUS = "https://quanmin.example/fhir/OperationDefinition/search-parameter-status"
_REINDEX = "https://quanmin.example/fhir/OperationDefinition/reindex"
_BREAK_GLASS = "https://quanmin.example/fhir/OperationDefinition/break-glass"
_SIGN = "https://quanmin.example/fhir/OperationDefinition/sign"
_VERIFY = "https://quanmin.example/fhir/OperationDefinition/verify-signature"
_QUOTAS = "https://quanmin.example/fhir/OperationDefinition/quotas"
_DOCREF = "http://hl7.org/fhir/uv/ipa/OperationDefinition/docref"


class Interaction(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that can be done at the door.

    `code` is the R4 restful-interaction code, `level` where the CapabilityStatement lists it.
    `shape` is the path below the base; `[type]`, `[id]`, `[version]` and `[kind]` stand for parts.
    A `stream` is read by `perform` itself, as it arrives.
    An operation stands for `types` (empty: all) and is described by `definition`.
    `content_type` is that of the answer where it is no resource.
    `access` has no useful default: a door with an interaction that declares none does not open.
    """

    code: str
    method: str
    shape: str
    perform: Callable[[Call], Awaitable[Reply]]
    access: Access | None = None
    body: Body = "none"
    level: Level = "type"
    is_conditional: bool = False
    types: tuple[str, ...] = ()
    definition: str = ""
    content_type: bytes | None = None


_BY_POST = ("POST",)


def _asked(
    shape: str,
    definition: str,
    perform: Callable[[Call], Awaitable[Reply]],
    *,
    methods: tuple[str, ...] = ("GET", "POST"),
    body: Body = "parameters",
    types: tuple[str, ...] = (),
    level: Level = "type",
) -> tuple[Interaction, ...]:
    """An operation: by GET and POST, or by POST alone where it changes or is sent something."""
    return tuple(
        Interaction(
            code="operation",
            method=method,
            shape=shape,
            access="actor",
            body="none" if method == "GET" else body,
            perform=perform,
            types=types,
            level=level,
            definition=definition if ":" in definition else f"{_R4}/{definition}",
        )
        for method in methods
    )


def _at_both(
    name: str, type_: str, perform: Callable[[Call], Awaitable[Reply]]
) -> tuple[Interaction, ...]:
    """An operation that changes nothing, at its type and at a record of it."""
    definition = f"{type_}-{name.removeprefix('$')}"
    return (
        *_asked(f"[type]/{name}", definition, perform, types=(type_,)),
        *_asked(f"[type]/[id]/{name}", definition, perform, types=(type_,)),
    )


INTERACTIONS: tuple[Interaction, ...] = (
    Interaction(code="read", method="GET", shape="[type]/[id]", access="actor", perform=read),
    Interaction(
        code="vread",
        method="GET",
        shape="[type]/[id]/_history/[version]",
        access="actor",
        perform=read_version,
    ),
    Interaction(
        code="create",
        method="POST",
        shape="[type]",
        access="actor",
        body="resource",
        perform=create,
    ),
    Interaction(
        code="update",
        method="PUT",
        shape="[type]/[id]",
        access="actor",
        body="resource",
        perform=update,
    ),
    Interaction(
        code="update",
        method="PUT",
        shape="[type]",
        access="actor",
        body="resource",
        perform=update_where,
        is_conditional=True,
    ),
    Interaction(
        code="patch",
        method="PATCH",
        shape="[type]/[id]",
        access="actor",
        body="patch",
        perform=patch,
    ),
    Interaction(
        code="patch",
        method="PATCH",
        shape="[type]",
        access="actor",
        body="patch",
        perform=patch_where,
        is_conditional=True,
    ),
    Interaction(
        code="delete", method="DELETE", shape="[type]/[id]", access="actor", perform=delete
    ),
    Interaction(
        code="delete",
        method="DELETE",
        shape="[type]",
        access="actor",
        perform=delete_where,
        is_conditional=True,
    ),
    Interaction(
        code="history-instance",
        method="GET",
        shape="[type]/[id]/_history",
        access="actor",
        perform=read_history,
    ),
    Interaction(
        code="history-type",
        method="GET",
        shape="[type]/_history",
        access="actor",
        perform=read_history,
    ),
    Interaction(
        code="history-system",
        method="GET",
        shape="_history",
        access="actor",
        level="system",
        perform=read_history,
    ),
    Interaction(code="search-type", method="GET", shape="[type]", access="actor", perform=search),
    Interaction(
        code="search-type",
        method="POST",
        shape="[type]/_search",
        access="actor",
        body="form",
        perform=search_by_form,
    ),
    Interaction(
        code="search-type",
        method="GET",
        shape="[type]/[id]/[kind]",
        access="actor",
        perform=search,
    ),
    Interaction(
        code="search-type",
        method="POST",
        shape="[type]/[id]/[kind]/_search",
        access="actor",
        body="form",
        perform=search_by_form,
    ),
    Interaction(
        code="search-system", method="GET", shape="", access="actor", level="system", perform=search
    ),
    Interaction(
        code="search-system",
        method="POST",
        shape="_search",
        access="actor",
        body="form",
        level="system",
        perform=search_by_form,
    ),
    Interaction(
        code="transaction",
        method="POST",
        shape="",
        access="actor",
        body="bundle",
        level="system",
        perform=transact,
    ),
    Interaction(
        code="capabilities",
        method="GET",
        shape="metadata",
        access="open",
        level="none",
        perform=describe,
    ),
    Interaction(
        code="page", method="GET", shape="_page", access="actor", level="none", perform=go_on
    ),
    Interaction(
        code="job", method="GET", shape="_job/[id]", access="actor", level="none", perform=tell
    ),
    Interaction(
        code="job", method="DELETE", shape="_job/[id]", access="actor", level="none", perform=end
    ),
    Interaction(
        code="job",
        method="GET",
        shape="_job/[id]/[kind]",
        access="actor",
        level="none",
        perform=give,
        content_type=FHIR_NDJSON,
    ),
    Interaction(
        code="operation",
        method="POST",
        shape="$import",
        access="actor",
        body="stream",
        level="system",
        perform=begin_import,
        definition=_IMPORT,
    ),
    *_asked("$export", f"{_BULK}/export", export_all, level="system"),
    *_asked("[type]/$export", f"{_BULK}/patient-export", export_patients, types=("Patient",)),
    *_asked("[type]/[id]/$export", f"{_BULK}/group-export", export_group, types=("Group",)),
    *_asked("[type]/[id]/$everything", "Patient-everything", gather, types=("Patient",)),
    *_asked("[type]/[id]/$everything", "Encounter-everything", gather, types=("Encounter",)),
    *_asked(
        "[type]/[id]/$break-glass",
        _BREAK_GLASS,
        break_glass,
        methods=_BY_POST,
        types=("Patient",),
    ),
    *_asked("[type]/[id]/$meta", "Resource-meta", show_meta),
    *_asked("[type]/$meta", "Resource-meta", sum_up_meta),
    *_asked("$meta", "Resource-meta", sum_up_meta, level="system"),
    *_asked("[type]/[id]/$meta-add", "Resource-meta-add", add_meta, methods=_BY_POST),
    *_asked("[type]/[id]/$meta-delete", "Resource-meta-delete", delete_meta, methods=_BY_POST),
    # It takes the resource itself as well as Parameters.
    *_asked("[type]/$validate", "Resource-validate", validate, methods=_BY_POST, body="optional"),
    *_asked("[type]/[id]/$validate", "Resource-validate", validate, body="optional"),
    *_asked("$counts", _COUNTS, count_types, level="system"),
    *_asked("[type]/[id]/$counts", _COUNTS, count_types, types=("Patient",)),
    *_asked("[type]/$counts", _COUNTS, count_kinds),
    *_asked("[type]/$lastn", "Observation-lastn", latest, types=("Observation",)),
    *_asked("[type]/$docref", _DOCREF, list_documents, types=("DocumentReference",)),
    *_asked("[type]/$lookup", "CodeSystem-lookup", look_up, types=("CodeSystem",)),
    *_at_both("$validate-code", "CodeSystem", check_in_system),
    *_at_both("$subsumes", "CodeSystem", subsume),
    *_at_both("$expand", "ValueSet", expand),
    *_at_both("$validate-code", "ValueSet", check_in_value_set),
    *_asked("[type]/$status", _STATUS, tell_status, types=("SearchParameter",)),
    *_asked("[type]/[id]/$status", _STATUS, tell_status, types=("SearchParameter",)),
    *_asked("[type]/[id]/$sign", _SIGN, sign, methods=_BY_POST),
    *_asked("[type]/[id]/$verify-signature", _VERIFY, verify, types=("Provenance",)),
    *_asked("$quotas", _QUOTAS, tell_quotas, level="system"),
    *_asked("$reindex", _REINDEX, reindex, level="system", methods=_BY_POST),
    *_asked("[type]/$reindex", _REINDEX, reindex, methods=_BY_POST),
    *_asked("[type]/[id]/$reindex", _REINDEX, reindex, methods=_BY_POST),
    *_at_both("$translate", "ConceptMap", translate),
)

LATER: tuple[Later, ...] = (EXPORT, IMPORT, REINDEXING)
"""The kinds of jobs that requests begin, each with how it is told of."""
