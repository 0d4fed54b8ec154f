"""Recording a dose: refused with what stands against it, else stored with the stock it takes."""

from __future__ import annotations

from datetime import date, datetime
from typing import Final

from starlette.responses import Response

from quanmin.applications.immunization.children import (
    HERE,
    STAFF,
    Child,
    read_child,
    stating,
)
from quanmin.applications.immunization.rules import may_give
from quanmin.base.problems import Conflict, Invalid, PreconditionFailed
from quanmin.fhir.json import Json
from quanmin.web import DeclaredRecords, Page, Visit, page
from quanmin.web.filling import answered, entries_of, form_in
from quanmin.web.questionnaires import Answered, questionnaire_page
from quanmin.web.stocks import lots_of, now_of, unfit
from quanmin.workflow.forms import Fault
from quanmin.workflow.forms.model import Words
from quanmin.workflow.plans import Facts
from quanmin.workflow.stock import Lot, moved, products
from quanmin.workflow.stock.lots import criteria_of
from quanmin.workflow.vaccination import (
    LABEL,
    PACKAGE_SYSTEM,
    against,
    id_of_dose,
    package_of,
    product_of,
    turn_of,
    word,
)

_AGAIN_MAX: Final = 5
_OF_LOT: Final = {
    *("unknown-lot", "expired", "out-of-stock", "recalled"),
    *("cold-chain-broken", "store-unknown"),
}


@page("/vaccination/of/{patient}/dose", access=STAFF, methods=("GET", "POST"))
async def record_dose(visit: Visit, records: DeclaredRecords) -> Response:
    """The form of a dose; what stands against it stands beside the field that it is of."""
    records, patient = stating(visit, records), visit.path("patient")
    child = await read_child(visit, records, patient)
    _known(child)
    form, back = form_in(HERE, "vaccination-dose"), f"/vaccination/of/{patient}"
    sent, shown = await answered(visit, records, form, patient, back=back)
    if sent is None:
        return shown
    for _ in range(_AGAIN_MAX):
        reasons, entries = await _checked(visit, records, child, sent)
        if reasons:
            faults = [_fault(one) for one in reasons]
            return questionnaire_page(visit, sent.filling, back=back, found=faults)
        try:
            await records.transact(entries)
        except PreconditionFailed:  # somebody took from the lot or gave it to the child meanwhile
            child = await read_child(visit, records, patient)
            continue
        return visit.go(back)
    raise Conflict("others are taking from this lot at this moment: send it once more")


def _known(child: Child) -> Facts:
    if child.known is None:
        raise Invalid("without a whole date of birth nothing is due: complete the registration")
    return child.known


async def _checked(
    visit: Visit, records: DeclaredRecords, child: Child, sent: Answered
) -> tuple[tuple[str, ...], list[Json]]:
    """What stands against the dose, or what is stored of it."""
    entries = entries_of(sent, [LABEL])
    dose = entries[1]["resource"]
    product, number = product_of(dose), dose["lotNumber"].strip()
    given = datetime.fromisoformat(dose["occurrenceDateTime"])
    moment = now_of(visit)
    known, zone = _known(child), records.zone
    on = given.astimezone(zone).date()
    lots = await lots_of(records, product, number)
    judged = [(await unfit(records, one, given), one) for one in lots]
    judged.sort(key=lambda one: (len(one[0]), one[1].expiry))
    reasons, lot = judged[0] if judged else (("unknown-lot",), None)
    if await _uses(records, package_of(dose)) >= products()[product].doses:
        reasons = (*reasons, "code-used")
    decision = may_give(
        against(known, product, on), reasons, given.astimezone(zone), moment, known.born
    )
    if not decision.allowed or lot is None:
        return decision.reasons, []
    _complete(visit, known, dose, lot, on)
    person = min(one.id for one in child.person.registrations)
    dose["id"] = id_of_dose(person, product, on, child.taken)
    request = {"method": "PUT", "url": f"Immunization/{dose['id']}", "ifNoneMatch": "*"}
    entries[1]["request"] = request
    who = visit.actor.name if visit.actor else ""
    return (), [*entries, *moved(lot, "use", 1, moment, who=who)]


async def _uses(records: DeclaredRecords, trace: str) -> int:
    """How many doses have been recorded from a package."""
    asked = ("identifier", criteria_of(PACKAGE_SYSTEM, trace))
    hits = await records.find("Immunization", asked, ("status", "completed"), count=50)
    return len(hits.matches)


def _complete(visit: Visit, known: Facts, dose: Json, lot: Lot, on: date) -> None:
    """Add what the form does not ask: until when it was good, when it was entered, by whom, which
    dose of the course.
    """
    dose["lotNumber"] = lot.number
    dose["expirationDate"] = lot.expiry.isoformat()
    dose["recorded"] = now_of(visit).isoformat(timespec="seconds")
    if visit.actor is not None:
        names = {"identifier": {"value": visit.actor.sender}, "display": visit.actor.name}
        dose["performer"] = [{"actor": names}]
    turn = turn_of(known, lot.product, on)
    if turn is not None:
        dose["protocolApplied"] = [{"series": turn[0], "doseNumberPositiveInt": turn[1]}]


def _fault(reason: str) -> Fault:
    words = Words(word("reason", reason, "en"), {"zh": word("reason", reason, "zh")})
    head = reason.partition(":")[0]
    place = {"code-used": "trace", "in-the-future": "given", "before-birth": "given"}.get(head, "")
    if not place:
        place = "lot" if head in _OF_LOT else "product"
    return Fault(place, place, "rule", words=words)


PAGES: Final[tuple[Page, ...]] = (record_dose,)
