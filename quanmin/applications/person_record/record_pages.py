"""The pages of one record: read it, read an earlier version, see what changed between versions."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from starlette.responses import Response

from quanmin.base.problems import Gone, NotFound
from quanmin.fhir.json import decode
from quanmin.trust import Stored
from quanmin.trust.lifecycle.petition_rules import petition_rules
from quanmin.trust.lifecycle.petitions import Petitions
from quanmin.web import DeclaredRecords, Page, Visit, page
from quanmin.web.dates import from_micros, tell_moment
from quanmin.web.differences import differences
from quanmin.web.emergency import in_emergency
from quanmin.web.forms import read_number
from quanmin.web.gist import flag_of, title_of, value_of
from quanmin.web.heads import Person, read_person
from quanmin.web.institutions import sender_words
from quanmin.web.labels import tell_code, tell_type
from quanmin.web.reading import without_files
from quanmin.web.results import tell_result
from quanmin.web.route import READERS
from quanmin.web.uploads import file_page, has_file

_VERSIONS = 20
_PATIENT = re.compile(r"Patient/([A-Za-z0-9\-.]{1,64})")


@page("/record/{type}/{id}", access=READERS)
async def record(visit: Visit, records: DeclaredRecords) -> Response:
    """One record, readable, with its JSON underneath."""
    records = await in_emergency(visit, records, visit.path("type"), visit.path("id"))
    stored = await records.read(_type(visit, records), visit.path("id"))
    return await _record_page(visit, records, stored)


@page("/record/{type}/{id}/file", access=READERS)
async def file(visit: Visit, records: DeclaredRecords) -> Response:
    """The file of a document, to be saved."""
    type_, id_ = _type(visit, records), visit.path("id")
    if type_ != "DocumentReference":
        raise NotFound("only documents have a file")
    return await file_page(await in_emergency(visit, records, type_, id_), id_)


@page("/record/{type}/{id}/version/{version}", access=READERS)
async def version(visit: Visit, records: DeclaredRecords) -> Response:
    """One version of a record."""
    type_, id_, number = _type(visit, records), visit.path("id"), read_number(visit.path("version"))
    if number is None:
        raise NotFound("no version has this number")
    records = await in_emergency(visit, records, type_, id_)
    stored = await records.version(type_, id_, number)
    if stored.body is None:
        raise Gone("this version is the deletion of the record")
    return await _record_page(visit, records, stored)


@page("/record/{type}/{id}/history", access=READERS)
async def history(visit: Visit, records: DeclaredRecords) -> Response:
    """Every version of a record and what each changed."""
    type_, id_ = _type(visit, records), visit.path("id")
    cursor = visit.kept("history", visit.asked("from"))["cursor"] if visit.asked("from") else None
    records = await in_emergency(visit, records, type_, id_)
    batch = await records.history(type_, id_, count=_VERSIONS, cursor=cursor)
    if not batch.versions:
        raise NotFound("this record has no history that is open to you")
    bodies = [decode(stored.body) if stored.body else {} for stored in batch.versions]
    senders = await sender_words(visit, records, batch.versions)
    zone = visit.house.settings.zone
    versions = [
        {
            "number": stored.version,
            "when": tell_moment(from_micros(stored.updated, zone), visit.language),
            "method": tell_code("method", stored.method.lower(), visit.language),
            "who": senders.get(stored.facts.sender, ""),
            "is_deleted": stored.body is None,
            "differences": differences(bodies[at + 1], bodies[at]) if at + 1 < len(bodies) else (),
            "has_earlier": at + 1 < len(bodies),
        }
        for at, stored in enumerate(batch.versions)
    ]
    return visit.page(
        "person_record/history.html",
        type=type_,
        id=id_,
        label=tell_type(type_, visit.language),
        versions=versions,
        person=await _person_of(visit, records, type_, id_, bodies[0]),
        more=visit.keep("history", {"cursor": batch.next}) if batch.next else None,
    )


async def _record_page(visit: Visit, records: DeclaredRecords, stored: Stored) -> Response:
    type_, id_ = visit.path("type"), visit.path("id")
    body = stored.body or b"{}"
    resource = decode(body)
    zone = visit.house.settings.zone
    moment = from_micros(stored.updated, zone)

    def address(target: tuple[str, str]) -> str:
        return "/record/{}/{}".format(*target) if records.may_read(target[0]) else ""

    return visit.page(
        "person_record/record.html",
        type=type_,
        id=id_,
        label=tell_type(type_, visit.language),
        title=title_of(resource, visit.reader),
        value=value_of(resource, visit.reader),
        flag=flag_of(resource, visit.reader),
        version=stored.version,
        when=tell_moment(moment, visit.language),
        fields=visit.reader.fields(resource),
        address=address,
        raw=msgspec.json.format(without_files(body), indent=2).decode(),
        person=await _person_of(visit, records, type_, id_, resource),
        statements=[
            (tell_moment(from_micros(one.at, zone), visit.language), one.words)
            for one in await records.desk(Petitions).statements(type_, id_)
        ],
        has_file=type_ == "DocumentReference" and has_file(resource),
        is_result=type_ == "Observation" and tell_result(visit, stored) is not None,
        may_ask=visit.actor is not None and visit.actor.role in petition_rules().roles.asker,
    )


async def _person_of(
    visit: Visit, records: DeclaredRecords, type_: str, id_: str, resource: dict[str, Any]
) -> Person | None:
    """The person a record is about, for the head of the page; None when it is about nobody."""
    target = id_ if type_ == "Patient" else ""
    for name in ("subject", "patient", "beneficiary"):
        reference = resource.get(name)
        found = (
            _PATIENT.match(str(reference.get("reference"))) if isinstance(reference, dict) else None
        )
        target = target or (found[1] if found else "")
    try:
        return await read_person(visit, records, target) if target else None
    except (NotFound, Gone):
        return None


def _type(visit: Visit, records: DeclaredRecords) -> str:
    type_ = visit.path("type")
    if not records.may_read(type_):
        raise NotFound("no record of this type is shown here")
    return type_


RECORD_PAGES: tuple[Page, ...] = (record, file, version, history)
