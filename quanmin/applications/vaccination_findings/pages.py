"""One person's entries in the register: read, entered by a form, ended or taken back."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from starlette.responses import Response

from quanmin.base.problems import Conflict, Invalid
from quanmin.fhir.json import Json, decode, encode
from quanmin.trust import Role, Stored
from quanmin.web import Access, DeclaredRecords, Page, Visit, page
from quanmin.web.filling import answered, entries_of, form_in
from quanmin.web.heads import read_person
from quanmin.web.route import Charge
from quanmin.workflow.vaccination import LABEL, finding_of, word

VACCINATORS: Final[frozenset[Role]] = frozenset({"doctor", "nurse", "public_health_worker"})
STAFF: Final = Access(VACCINATORS, Charge(frozenset({"immunization"}), VACCINATORS))
REGISTER: Final = "/vaccination-findings"
_HERE: Final = Path(__file__).parent


@page(f"{REGISTER}/of/{{patient}}", access=STAFF)
async def entries(visit: Visit, records: DeclaredRecords) -> Response:
    """What is entered of a person, by whichever institution."""
    patient = visit.path("patient")
    person = await read_person(visit, records, patient)
    found = (await records.whole_timeline(patient, "Flag")).entries
    senders = await records.senders(found)
    return visit.page(
        "vaccination_findings/list.html",
        person=person,
        findings=[
            told for one in found if (told := _told(visit, one, senders[one.facts.sender].code))
        ],
    )


def _told(visit: Visit, stored: Stored, sender: str) -> dict[str, Any] | None:
    flag = decode(stored.body or b"{}")
    if not finding_of(flag):
        return None
    period, today = flag.get("period", {}), visit.today.isoformat()
    return {
        "id": stored.id,
        "words": word("finding", finding_of(flag), visit.language),
        "said": flag.get("code", {}).get("text", ""),
        "since": period.get("start", ""),
        "until": period.get("end", ""),
        "has_begun": period.get("start", "") <= today,
        "is_over": bool(period.get("end")) and period["end"] < today,
        "is_mistaken": flag.get("status") == "entered-in-error",
        "is_own": visit.actor is not None and visit.actor.sender == sender,
    }


@page(f"{REGISTER}/of/{{patient}}/new", access=STAFF, methods=("GET", "POST"))
async def enter(visit: Visit, records: DeclaredRecords) -> Response:
    """Enter one, with its end where that is known."""
    patient = visit.path("patient")
    await records.read("Patient", patient)
    form, back = form_in(_HERE, "vaccination-finding"), f"{REGISTER}/of/{patient}"
    sent, shown = await answered(visit, records, form, patient, back=back)
    if sent is None:
        return shown
    await records.transact(entries_of(sent, [LABEL]))
    return visit.go(back)


@page(f"{REGISTER}/{{id}}", access=STAFF, methods=("POST",))
async def end(visit: Visit, records: DeclaredRecords) -> Response:
    """End one today, or say that it was a mistake; the institution that entered it does."""
    how = visit.sent.get("how", "")
    stored = await records.read("Flag", visit.path("id"))
    flag: Json = decode(stored.body or b"{}")
    if not finding_of(flag) or how not in {"end", "mistake"}:
        raise Invalid("this page ends what stands in the register of contraindications")
    period, today = flag.get("period", {}), visit.today.isoformat()
    if flag.get("status") == "entered-in-error":
        raise Conflict("it was marked as a mistake already: enter it anew if it holds")
    if how == "end" and period.get("start", "") > today:
        raise Conflict("it has not begun yet: say that it was a mistake, and enter it anew")
    if how == "end" and (period.get("end") or today) < today:
        raise Conflict("it has ended already")
    if how == "end":
        flag |= {"status": "inactive", "period": {**period, "end": today}}
    else:
        flag |= {"status": "entered-in-error"}
    await records.update("Flag", stored.id, encode(flag), if_match=stored.version)
    return visit.go(f"{REGISTER}/of/{flag['subject']['reference'].removeprefix('Patient/')}")


PAGES: Final[tuple[Page, ...]] = (entries, enter, end)
