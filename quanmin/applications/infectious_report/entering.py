"""Cards as they are filled in: at a doctor's desk, at a port, corrected, revised, with a death."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
from starlette.responses import Response

from quanmin.base.problems import NotFound, Sentence
from quanmin.fhir.json import Json
from quanmin.trust import Actor
from quanmin.trust.registers import Institution
from quanmin.web import Access, DeclaredRecords, Visit, page
from quanmin.web.cases import asking, begin, labelled, open_case, refused
from quanmin.web.institutions import as_owner, code_of, nearest, own_name
from quanmin.web.pickers import with_codes
from quanmin.web.questionnaires import around, opened, questionnaire_page, taken, transaction
from quanmin.web.report_cards import card_in, diagnosis_of, stand_of
from quanmin.web.route import Charge
from quanmin.workflow import notifiable
from quanmin.workflow.forms import Around, Filling, answers, compile_form, open_response

# A public-health worker looks after reports by a duty of the post, and otherwise sees none.
_DUTY: Final = Charge(frozenset({"infection_report", "head"}), frozenset({"public_health_worker"}))
DOCTORS: Final = Access(frozenset({"doctor"}))
WORKERS: Final = Access(frozenset({"public_health_worker"}), _DUTY)
STAFF: Final = Access(frozenset({"doctor", "nurse", "public_health_worker"}), _DUTY)
EVERYBODY: Final = Access(
    frozenset({"doctor", "nurse", "public_health_worker", "resident", "guardian"}), _DUTY
)
CENTRE: Final = "J"
"""The kind of institution that reviews cards: disease control and prevention (WS 218)."""
_PERSON: Final = "urn:uuid:00000000-0000-4000-8000-000000000001"
_CARD: Final = "urn:uuid:00000000-0000-4000-8000-000000000002"
_FILE: Final = Path(__file__).parent / "definitions" / "card.json"
FORM: Final = compile_form(json.loads(_FILE.read_text("utf-8")))
# What may fill the form in beside the records that it asks for itself.
_NAMES: Final = ("patient", "results", "disease", "subtype", "icd10", "onsetOf", "diagnosedAt",
                 "original", "imported", "area", "institution")  # fmt: skip
_FILLED_IN: Final = ("correct", "revise", "report_death")


@page("/infectious/of/{patient}", access=DOCTORS, methods=("GET", "POST"))
async def enter(visit: Visit, records: DeclaredRecords) -> Response:
    """A new card of a person; `diagnosis` in the address names the Condition that prompts it."""
    actor = (await asking(visit)).actor
    patient = await records.resource("Patient", visit.path("patient"))
    prompt = visit.asked("diagnosis")
    condition = await diagnosis_of(records, patient["id"], prompt) if prompt else {}
    name = await own_name(records, actor)
    made = notifiable.diagnosis(condition, visit.today, records.zone)
    known = within(visit, patient=patient, institution=name, **made)
    subject = {"reference": f"Patient/{patient['id']}"}
    beside = {"basedOn": [{"reference": f"Condition/{prompt}"}]} if prompt else {}
    centre = await nearest(records, CENTRE, actor.place.region)
    return await _begun(visit, records, "enter", known, centre, {"for": subject, **beside})


@page("/infectious/port", access=WORKERS, methods=("GET", "POST"))
async def enter_at_port(visit: Visit, records: DeclaredRecords) -> Response:
    """A card of somebody who entered the country, handed over to where they stay."""
    actor = (await asking(visit)).actor
    name = await own_name(records, actor)
    known = within(visit, institution=name, imported=True)
    sender = {"identifier": {"value": code_of(actor)}, "display": name or actor.name}
    area = visit.sent.get("person/area", "")
    centre = await nearest(records, CENTRE, area)
    head = {"for": {"reference": _PERSON}, "requester": sender}
    return await _begun(visit, records, "enter_at_port", known, centre, head)


async def _begun(  # noqa: PLR0917 - a page, its form, and the case that it begins
    visit: Visit,
    records: DeclaredRecords,
    step: str,
    known: Around,
    centre: Institution | None,
    head: dict[str, Any],
) -> Response:
    """The page of a new card; once it is filled in soundly the case begins."""
    start = await opened(records, FORM, known, {"subject": head["for"]})
    known = await with_codes(visit, records, start)
    if visit.request.method == "GET":
        return questionnaire_page(visit, start, back="/infectious")
    answered = taken(visit, FORM, known, start.response())
    card = notifiable.read_card(answers(answered.filling.response()), records.zone)
    is_port = step == "enter_at_port"
    facts = {**notifiable.facts_of(card), "is_ours": True, "is_port": is_port}
    facts["has_centre"] = centre is not None
    again = await refused(visit, records, answered, step, facts, back="/infectious")
    if again is not None:
        return again
    asked = await asking(visit)
    actor, now = asked.actor, asked.moment
    addressed = [code_of(actor), *([centre.code] if centre else [])]
    recorded = _recorded(answered.filling, notifiable.labels(card, addressed))
    sent = now.isoformat(timespec="seconds") if is_port else ""
    person = records.pseudonym(notifiable.PERSON, card.person)
    own = {**notifiable.head_of(card, _CARD, addressed, person=person, sent=sent), **head}
    registered = []
    if is_port:
        who = notifiable.registration(answers(answered.filling.response()))
        request = {"method": "POST", "url": "Patient"}
        registered = [{"fullUrl": _PERSON, "resource": who, "request": request}]
    case = await begin(
        visit,
        records,
        step,
        facts=facts,
        recorded=[*registered, *recorded],
        head={
            **own,
            **({"owner": as_owner(centre)} if centre else {}),
            **({"identifier": [notifiable.receipt(actor.place.region, now)]} if is_port else {}),
        },
        clocks={} if is_port else {"report": notifiable.until(card.diagnosed or now, card.hours)},
    )
    return visit.go(f"/infectious/{case.id}")


@page("/infectious/{id}/{step}", access=STAFF, methods=("GET", "POST"))
async def fill_in(visit: Visit, records: DeclaredRecords) -> Response:
    """A card that is corrected, revised, or to which a death is added."""
    step, id_ = visit.path("step"), visit.path("id")
    if step not in _FILLED_IN:
        raise NotFound(Sentence("a card is filled in to %(known)s", known=", ".join(_FILLED_IN)))
    case = await open_case(visit, records, id_)
    task, back = case.case.task, f"/infectious/{id_}"
    asked = await asking(visit)
    refuse_foreign(task, asked.actor)
    response = await card_in(records, task)
    start = open_response(FORM, within(visit), response)
    known = await with_codes(visit, records, start)
    if visit.request.method == "GET":
        return questionnaire_page(visit, start, back=back)
    answered = taken(visit, FORM, known, response)
    changed = {**answered.filling.response(), "status": "amended", "id": response["id"]}
    card = notifiable.read_card(answers(changed), records.zone)
    facts = {**notifiable.facts_of(card), **stand_of(task, code_of(asked.actor))}
    again = await refused(visit, records, answered, step, facts, back=back, case=case.case)
    if again is not None:
        return again
    addressed, now = notifiable.addressed_to(task), asked.moment
    changed["meta"] = labelled(response, notifiable.labels(card, addressed))
    if step == "revise" and card.disease != notifiable.disease_of(task):
        notifiable.name_original(changed, notifiable.told(task, "zh"))
    case = await open_case(visit, records, id_, **facts)
    sent, place = notifiable.fact(task, "sent"), notifiable.card_of(task)
    person = records.pseudonym(notifiable.PERSON, card.person)
    await case.take(
        step,
        recorded=transaction(answered.filling, changed)["entry"],
        head=notifiable.head_of(card, place, addressed, person=person, sent=sent),
        clocks={} if step == "correct" else {"report": notifiable.until(now, card.hours)},
    )
    return visit.go(back)


def within(visit: Visit, **variables: Any) -> Around:
    """What the form is opened with on a page, and what may be chosen in it today."""
    usual: dict[str, Any] = {name: [] for name in _NAMES}
    doctor = visit.actor.name if visit.actor else ""
    more = {"doctor": doctor, "guardianUpTo": notifiable.guardian_up_to(), **variables}
    members = partial(notifiable.options, day=visit.today)
    return msgspec.structs.replace(around(visit, **{**usual, **more}), members=members)


def refuse_foreign(task: Json, actor: Actor) -> None:
    """Raise NotFound for a card that is with others: a duty to look after reports is not one to
    look at all that are made. Of residents the guard decides.
    """
    if STAFF.admits(actor.role) and code_of(actor) not in notifiable.addressed_to(task):
        raise NotFound("there is no card with this id among those of your institution")


def _recorded(filling: Filling, security: list[dict[str, str]]) -> list[Json]:
    """The finished card as an entry of the transaction that begins its case."""
    response = {**filling.response(), "status": "completed", "meta": {"security": security}}
    (entry,) = transaction(filling, response)["entry"]
    return [{**entry, "fullUrl": _CARD}]


PAGES: Final = (enter, enter_at_port, fill_in)
