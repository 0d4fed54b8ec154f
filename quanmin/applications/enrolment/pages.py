"""The pages of the counter: find the person, check the document, hand out the invitation."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from starlette.responses import Response

from quanmin.applications.enrolment.told import COUNTER, told
from quanmin.base.problems import Conflict, Forbidden, Invalid
from quanmin.trust.sign_in.acting import real_name
from quanmin.trust.sign_in.enrolling import Enrolment, EnrolmentDesk
from quanmin.web import DeclaredRecords, Page, Visit, page
from quanmin.web.qr import qr_code
from quanmin.web.sheet import sheet

_HITS: Final = 10
_TERM_LENGTH_MAX: Final = 100


@page("/enrolment", access=COUNTER, methods=("GET", "POST"))
async def find(visit: Visit, records: DeclaredRecords) -> Response:
    """Find whom the document names among those whom the institution has registered."""
    desk = records.desk(EnrolmentDesk)
    await desk.refuse_unless_counter()
    term = visit.sent.get("term", "").strip()[:_TERM_LENGTH_MAX]
    hits: list[tuple[str, str]] | None = None
    if term:
        by = "identifier" if any(sign.isdigit() for sign in term) else "name"
        found = await records.find("Patient", (by, term), count=_HITS)
        hits = [(visit.keep({"patient": one.id}), told(visit, one)) for one in found.matches]
    latest = [(one, _evidence(visit, one.evidence)) for one in await desk.latest()]
    return visit.page(
        "enrolment/find.html", term=term, hits=hits, latest=latest, moment=visit.moment
    )


@page("/enrolment.csv", access=COUNTER)
async def latest_sheet(visit: Visit, records: DeclaredRecords) -> Response:
    """The list of the counter as a sheet."""
    lines = await records.desk(EnrolmentDesk).latest()

    async def rows() -> AsyncIterator[list[str]]:
        for one in lines:
            yield _line(visit, one)

    say = visit.say
    heading = [say("Account"), say("When"), say("Document"), say("Level"), say("By")]
    return sheet("enrolments", heading, rows())


@page("/enrolment/document", access=COUNTER, methods=("POST",))
async def check(visit: Visit, records: DeclaredRecords) -> Response:
    """Ask for the document of the one who was chosen, and open the account once it is right."""
    chosen = visit.sent.get("chosen", "")
    patient_id = str(visit.kept(chosen)["patient"])
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


def _line(visit: Visit, one: Enrolment) -> list[str]:
    words = {known.level: known for known in real_name().level}[one.level]
    level = words.zh if visit.language == "zh" else words.en
    return [
        one.account,
        visit.moment(one.at),
        _evidence(visit, one.evidence),
        level,
        one.decided_by,
    ]


def _evidence(visit: Visit, code: str) -> str:
    for one in real_name().counter.evidence:
        if one.code == code:
            return one.zh if visit.language == "zh" else one.en
    return code


PAGES: tuple[Page, ...] = (find, latest_sheet, check)
