"""What an application lets its workers take along to where there is no connection: a page that
does it, what a device is given, and what of it comes back.

An application declares an `Offline` and puts `offline_pages` of it among its pages. A device sends
each form with an id of its own making, signed by a key that never leaves it; what is stored, and
that it is stored, is one transaction, so that the same is stored once however often it is sent.
Where the case has moved on since, or the form has, the worker sees both and settles it.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import msgspec
from starlette.responses import Response

from quanmin.base.problems import (
    Conflict,
    Forbidden,
    Gone,
    Malformed,
    NotEnrolled,
    NotFound,
    OthersDevice,
    PreconditionFailed,
    Problem,
    Revoked,
    Sentence,
)
from quanmin.fhir.json import Json
from quanmin.trust.devices import Devices, Held, read_id
from quanmin.web.offline_forms import CarriedForm, carried_form, fields_of
from quanmin.web.pickers import with_codes
from quanmin.web.questionnaires import (
    Answered,
    around,
    label_of,
    opened,
    side_by_side,
    taken,
    told_fault,
)
from quanmin.web.records import DeclaredRecords
from quanmin.web.route import Access, Page, page
from quanmin.web.text import Language, Text
from quanmin.web.visit import Visit
from quanmin.workflow.forms import Fault, Form

_TICKET: Final = "offline"
_STATES: Final[Mapping[type[Problem], str]] = {
    NotEnrolled: "unknown",
    OthersDevice: "others",
    Revoked: "revoked",
}
_HOUR: Final = 3_600_000_000
# A ticket says its own moment by the node's clock; how long it opens is no limit of its own.
_EVER_SECONDS: Final = 1 << 40
_FIELDS_MAX: Final = 2000


Facts = Mapping[Language, tuple[tuple[str, str], ...]]
"""What is told of somebody, as (what it is, words), in each language."""


class Carried(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody whose form is taken along: what the application knows the `case` by and which
    `version` of it was read, the id of the Patient, the form, and what the device shows of them,
    the first and the last of it in the list. `last` is the response that was given last, shown
    beside another; `held` is the application's own.
    """

    case: str
    version: str
    patient: str
    form: Form
    name: str
    facts: Facts = {}
    last: Json | None = None
    held: Any = None


class Offline(msgspec.Struct, frozen=True, kw_only=True):
    """What an application lets be taken along. `path` is its page, `lead` says there who is taken;
    `%(days)s` in it is how far ahead the node looks.

    `listed` gives those who are assigned to the visitor, so many at most, most urgent first; `one`
    the one of a case as it stands now, and raises NotFound, Gone, Forbidden or Conflict where it is
    not the visitor's or is closed. `take` stores what was filled in on top of the version that was
    read, in one transaction of the records it is handed; it gives what speaks against it instead,
    and raises PreconditionFailed where somebody was first.
    """

    path: str
    access: Access
    lead: Text
    forms: tuple[Form, ...]
    listed: Callable[[Visit, DeclaredRecords, int], Awaitable[Sequence[Carried]]]
    one: Callable[[Visit, DeclaredRecords, str], Awaitable[Carried]]
    take: Callable[[Visit, DeclaredRecords, Carried, Answered], Awaitable[Sequence[Fault]]]


class Ticket(msgspec.Struct, frozen=True):
    """What a device has of a case and gives back unread: which version of it, and of the form, it
    was given, and when (microseconds of the node's clock).
    """

    case: str
    version: str
    form: str
    issued: int


class Submission(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a device has signed. `values` are the fields of the form as a page would send them."""

    id: str
    case: str
    ticket: str
    form: str
    values: dict[str, list[str]]


def offline_pages(offline: Offline) -> tuple[Page, Page, Page]:
    """The pages of it: one to take people along, and two that its script asks. Raises Invalid for a
    form that no device could ask as it is meant.
    """
    forms = {one.canonical: carried_form(one) for one in offline.forms}

    @page(offline.path, access=offline.access)
    async def take_along(visit: Visit, _records: DeclaredRecords) -> Response:
        pages = visit.house.settings.pages
        return visit.page(
            "kit/take_along.html",
            has_script=True,
            path=offline.path,
            lead=offline.lead.told(visit.language) % {"days": pages.offline_days_ahead},
            hours=pages.offline_hours_max,
            most=pages.offline_persons_max,
        )

    @page(f"{offline.path}/package", access=offline.access, methods=("POST",), is_taken_once=False)
    async def give(visit: Visit, records: DeclaredRecords) -> Response:
        return await as_json(visit, _Round(visit, records, offline, forms).package)

    @page(
        f"{offline.path}/submission", access=offline.access, methods=("POST",), is_taken_once=False
    )
    async def receive(visit: Visit, records: DeclaredRecords) -> Response:
        return await as_json(visit, _Round(visit, records, offline, forms).received)

    return take_along, give, receive


# ---- answers to a script -------------------------------------------------------------------------


def answer_json(told: Mapping[str, Any], status: int = 200) -> Response:
    """An answer to a script of the kit."""
    return Response(msgspec.json.encode(told), status, media_type="application/json")


async def as_json(visit: Visit, call: Callable[[], Awaitable[Response]]) -> Response:
    """What is answered, a refusal as such: its `state` says which, in `text` it is said in the
    language of the page for those who look for what is wrong.
    """
    try:
        return await call()
    except Problem as problem:
        if problem.status >= 500:
            raise
        state = _STATES.get(type(problem), "refused")
        return answer_json({"state": state, "text": visit.say(problem.text)}, problem.status)


def read_bytes(text: str) -> bytes:
    """What a script has sent as base64. Raises Malformed."""
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise Malformed("this is no base64") from None


@dataclass(frozen=True, slots=True)
class _Round:
    """One request of a device about what an application lets be taken along."""

    visit: Visit
    records: DeclaredRecords
    offline: Offline
    forms: Mapping[str, CarriedForm]

    @property
    def _desk(self) -> Devices:
        return self.records.desk(Devices)

    @property
    def _now(self) -> int:
        return self.visit.house.guard.now()

    @property
    def _lasts(self) -> int:
        return self.visit.house.settings.pages.offline_hours_max * _HOUR

    async def _device(self, said: bytes) -> Held:
        """The device that asks, if it has signed this. Raises Problem."""
        id_ = read_id(self.visit.sent.get("device", ""))
        if id_ is None:
            raise NotEnrolled("there is no such device: enrol it anew")
        device = await self._desk.asking(id_)
        device.refuse_unsigned(self._signature, said)
        return device

    @property
    def _signature(self) -> bytes:
        return read_bytes(self.visit.sent.get("signature", ""))

    # ---- what is taken along ---------------------------------------------------------------------

    async def package(self) -> Response:
        """Those who are assigned, with their forms; what is read for it is one entry of the log."""
        visit, offline = self.visit, self.offline
        # What is signed is of this session and this hour: it is of no use to who has heard it.
        device = await self._device(f"package {visit.sent.get('token', '')}".encode())
        now, most = self._now, visit.house.settings.pages.offline_persons_max
        async with self.records.gathering():
            found = await offline.listed(visit, self.records, most)
            people = [await self._person(device, one, now) for one in found]
        await self._desk.take_along(device.id, now + self._lasts)
        return answer_json(
            {
                "state": "given",
                "path": offline.path,
                "title": visit.application.title if visit.application else "",
                "holder": visit.actor.name if visit.actor else "",
                "issued": now // 1000,
                "hours": visit.house.settings.pages.offline_hours_max,
                "zone": visit.house.settings.zone.key,
                "forms": self.forms,
                "people": people,
            }
        )

    async def _person(self, device: Held, one: Carried, now: int) -> dict[str, Any]:
        """Somebody as the device has them, with a new ticket and what is filled in already."""
        ticket = Ticket(one.case, one.version, one.form.canonical, now)
        begun = await opened(self.records, one.form, around(self.visit), _head(one))
        seal = self.visit.house.seal
        return {
            "case": one.case,
            "ticket": seal.close(_TICKET, str(device.id), msgspec.json.encode(ticket)),
            "form": one.form.canonical,
            "name": one.name,
            "facts": one.facts,
            "values": fields_of(begun),
        }

    # ---- what comes back -------------------------------------------------------------------------

    async def received(self) -> Response:
        """Store what was filled in, or say why not."""
        text = self.visit.sent.get("submission", "")
        device = await self._device(text.encode())
        submission, id_ = _read(text)
        if await self._desk.is_received(id_, device.id):
            return answer_json({"state": "stored"})
        try:
            now = await self.offline.one(self.visit, self.records, submission.case)
        except (NotFound, Gone, Forbidden, Conflict):
            return answer_json({"state": "conflict", "kind": "not-assigned"}, 409)
        answered = await self._answered(now, submission)
        kind = self._conflict(device, submission, now)
        if kind:
            # What has moved on may be this very form, sent twice at once.
            if await self._desk.is_received(id_, device.id):
                return answer_json({"state": "stored"})
            return await self._both(device, now, answered, kind)
        stops = [one for one in answered.faults if not one.is_warning]
        try:
            stops = stops or await self._stored(device, id_, now, answered)
        except (Conflict, PreconditionFailed):
            # Of two who send the same at once one comes here after the other has stored it.
            if await self._desk.is_received(id_, device.id):
                return answer_json({"state": "stored"})
            now = await self.offline.one(self.visit, self.records, submission.case)
            return await self._both(device, now, answered, "moved-on")
        if stops:
            told = self._told(answered, stops)
            return answer_json({"state": "faults", "faults": told}, 422)
        return answer_json({"state": "stored"}, 201)

    async def _stored(
        self, device: Held, id_: UUID, now: Carried, answered: Answered
    ) -> list[Fault]:
        """Store it, and that it is stored, in one; gives what speaks against it instead."""
        records = self.records.also(self._desk.receiving(id_, device.id, self._signature))
        stops = list(await self.offline.take(self.visit, records, now, answered))
        if not stops and not await self._desk.is_received(id_, device.id):
            raise TypeError(f"{self.offline.path} has taken what it did not store")
        return stops

    def _conflict(self, device: Held, submission: Submission, now: Carried) -> str:
        """Why what was filled in is not stored before somebody has looked; "" where it may be."""
        try:
            content = self.visit.house.seal.open(
                _TICKET, str(device.id), submission.ticket, age_seconds_max=_EVER_SECONDS
            )
            ticket = msgspec.json.decode(content, type=Ticket)
        except (Malformed, msgspec.DecodeError):
            return "expired"
        if ticket.case != submission.case:
            raise Forbidden("this was not given to the device for this case")
        if now.form.canonical != ticket.form or ticket.form != submission.form:
            return "form-changed"
        if self._now - ticket.issued >= self._lasts:
            return "expired"
        return "moved-on" if ticket.version != now.version else ""

    async def _answered(self, now: Carried, submission: Submission) -> Answered:
        """What was filled in, read as a page would read it."""
        begun = await opened(self.records, now.form, around(self.visit), _head(now))
        sent = dataclasses.replace(self.visit, sent={}, sent_all=submission.values)
        within = await with_codes(sent, self.records, begun)
        return taken(sent, now.form, within, begun.response())

    async def _both(self, device: Held, now: Carried, answered: Answered, kind: str) -> Response:
        """What was filled in beside what is recorded, and a ticket by which it can be sent once
        more: whoever sends that has seen both.
        """
        links = [
            link
            for link, item in now.form.by_link.items()
            if item.kind not in {"group", "display"} and not item.is_hidden
        ]
        both = [answered.filling.response(), now.last or {}]
        rows = side_by_side(self.visit, now.form, both, links)
        told = [[cell.text for cell in row] for row in rows]
        return answer_json(
            {
                "state": "conflict",
                "kind": kind,
                "rows": [row for row in told if any(row[1:])],
                "person": await self._person(device, now, self._now),
                "form": self.forms[now.form.canonical],
            },
            409,
        )

    def _told(self, answered: Answered, stops: Sequence[Fault]) -> list[dict[str, str]]:
        form = answered.filling.form
        return [
            {
                "place": one.place,
                "label": label_of(form, one, self.visit.language),
                "words": told_fault(self.visit, one),
            }
            for one in stops
        ]


def _head(one: Carried) -> dict[str, Json]:
    return {"status": "in-progress", "subject": {"reference": f"Patient/{one.patient}"}}


def _read(text: str) -> tuple[Submission, UUID]:
    """Raises Malformed for what is no submission."""
    try:
        found = msgspec.json.decode(text, type=Submission)
    except (msgspec.DecodeError, ValueError):
        raise Malformed("this is no submission of a form") from None
    id_ = read_id(found.id)
    if id_ is None:
        raise Malformed("a submission has a UUID of its own as its id")
    texts = [found.case, *found.values, *(one for many in found.values.values() for one in many)]
    if len(texts) > _FIELDS_MAX or any("\x00" in one for one in texts):
        raise Malformed(
            Sentence(
                "a form has at most %(fields_max)s fields, of text without U+0000",
                fields_max=_FIELDS_MAX,
            )
        )
    return found, id_
