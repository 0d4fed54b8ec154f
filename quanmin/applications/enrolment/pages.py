"""The pages of the counter: find the person, check the document, hand out the invitation."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from quanmin.applications.enrolment.told import COUNTER, told
from quanmin.base.problems import Conflict, Forbidden, Invalid
from quanmin.trust.sign_in.acting import real_name
from quanmin.trust.sign_in.enrolling import Enrolment, EnrolmentDesk
from quanmin.web import DeclaredRecords, Page, Visit, page
from quanmin.web.forms import Cell
from quanmin.web.qr import qr_code
from quanmin.web.tables import Heading, Row, Table, place_numbers, table

_HITS: Final = 10
_TERM_LENGTH_MAX: Final = 100


@page("/enrolment", access=COUNTER, methods=("GET", "POST"))
async def find(visit: Visit, records: DeclaredRecords) -> Response:
    """Find whom the document names among those whom the institution has registered."""
    desk = records.desk(EnrolmentDesk)
    await desk.refuse_unless_counter()
    term = visit.sent.get("term", "").strip()[:_TERM_LENGTH_MAX]
    hits: list[tuple[str, str]] | None = None
    are_more = False
    if term:
        by = "identifier" if any(sign.isdigit() for sign in term) else "name"
        found = await records.find("Patient", (by, term), count=_HITS)
        hits = [
            (visit.keep("enrolment", {"patient": one.id}), told(visit, one))
            for one in found.matches
        ]
        are_more = found.next is not None
    return visit.page("enrolment/find.html", term=term, hits=hits, are_more=are_more)


@table("/enrolment/list", access=COUNTER, name="enrolments")
async def enrolled(visit: Visit, records: DeclaredRecords) -> Table:
    """Whom the institution has enrolled, the latest first."""
    desk, say = records.desk(EnrolmentDesk), visit.say

    async def fetch(after: str, count: int) -> list[Row]:
        found = await desk.latest(place_numbers(after), count)
        return [Row(_line(visit, one), f"{one.at}.{one.number}") for one in found]

    words = (say("Account"), say("When"), say("Document"), say("Level"), say("By"))
    return Table(
        title=say("Enrolled here"),
        headings=[Heading(one) for one in words],
        fetch=fetch,
        actions=[(say("Enrol residents"), "/enrolment")],
    )


@page("/enrolment/document", access=COUNTER, methods=("POST",))
async def check(visit: Visit, records: DeclaredRecords) -> Response:
    """Ask for the document of the one who was chosen, and open the account once it is right."""
    chosen = visit.sent.get("chosen", "")
    patient_id = str(visit.kept("enrolment", chosen)["patient"])
    number = visit.sent.get("number", "")
    fault = ""
    if number:
        try:
            return await _open(visit, records, patient_id, number)
        except Invalid:
            fault = visit.say(
                "This is not the number in the registration. Compare both; where the registration"
                " is wrong, correct it first."
            )
        except Forbidden:
            fault = visit.say("Nobody enrols themselves. Ask a colleague.")
        except Conflict:
            fault = visit.say(
                "This account is locked, another's or no resident's, or the person has another."
            )
    patient = await records.read("Patient", patient_id)
    return visit.page(
        "enrolment/document.html",
        status=422 if fault else 200,
        fault=fault,
        chosen=chosen,
        name=told(visit, patient),
        evidence=[(one.code, _evidence(visit, one.code)) for one in real_name().counter.evidence],
        given=visit.sent.get("evidence", ""),
        account=visit.sent.get("account", ""),
    )


async def _open(visit: Visit, records: DeclaredRecords, patient_id: str, number: str) -> Response:
    entrance = visit.house.sign_in
    enrolled = await records.desk(EnrolmentDesk).enrol(
        entrance.accounts,
        entrance.notices,
        patient_id,
        evidence=visit.sent.get("evidence", ""),
        number=number[:_TERM_LENGTH_MAX],
        account=visit.sent.get("account", "")[:_TERM_LENGTH_MAX],
    )
    address = f"{entrance.passkeys.origin}/invitation"
    return visit.page(
        "enrolment/invitation.html",
        enrolled=enrolled,
        address=address,
        # The address alone: the code is typed, so that it stands in no address and no history.
        picture=qr_code(address, visit.say("Picture of the address")),
        hours=entrance.limits.invitation_hours_max,
    )


def _line(visit: Visit, one: Enrolment) -> list[Cell]:
    words = {known.level: known for known in real_name().level}[one.level]
    return [
        Cell(one.account),
        Cell(visit.moment(one.at), is_number=True),
        Cell(_evidence(visit, one.evidence)),
        Cell(words.zh if visit.language == "zh" else words.en),
        Cell(one.decided_by),
    ]


def _evidence(visit: Visit, code: str) -> str:
    for one in real_name().counter.evidence:
        if one.code == code:
            return one.zh if visit.language == "zh" else one.en
    return code


PAGES: tuple[Page, ...] = (find, *enrolled, check)
