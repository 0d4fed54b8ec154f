"""An end of the follow-up that was a mistake is taken back."""

from __future__ import annotations

from starlette.responses import Response

from quanmin.base.problems import Conflict
from quanmin.fhir.json import Json, decode
from quanmin.web import DeclaredRecords, Visit
from quanmin.web.forms import Field, Sent, form_page
from quanmin.web.mental_health import Kept
from quanmin.workflow.mental import next_of, reopened


async def take_back_end(visit: Visit, records: DeclaredRecords, kept: Kept, back: str) -> Response:
    """Let the last registration go on, with the reason; the answers of its end are marked."""
    if not kept.plans:
        raise Conflict("nobody is registered here: there is no end to be taken back")
    say = visit.say
    title = say("Take back the end of the follow-up")
    lead = say("The registration goes on as it was, and visits are due again.")
    fields = [Field("words", say("What was wrong"), is_needed=True, length_max=2000)]
    if visit.request.method == "GET":
        return form_page(visit, title, fields, button=title, back=back, lead=lead)
    sent = Sent(visit)
    words = sent.text("words", is_needed=True, length_max=2000)
    if not sent.is_sound:
        return form_page(visit, title, fields, button=title, back=back, sent=sent, lead=lead)
    name = visit.actor.name if visit.actor else ""
    plan = reopened(kept.plans[0], words, name, visit.house.guard.now())
    mistaken = {**await _end_of(visit, records, kept), "status": "entered-in-error"}
    await records.transact([next_of(plan), *([next_of(mistaken)] if "id" in mistaken else [])])
    return visit.go(back)


async def _end_of(visit: Visit, records: DeclaredRecords, kept: Kept) -> Json:
    """The answers of the last end; nothing where they may not be seen."""
    whose = ",".join(f"Patient/{one.id}" for one in kept.person.registrations)
    asked = (("subject", whose), ("status", "completed"), ("_sort", "-authored"))
    rows_max = visit.house.settings.pages.counted_max
    async for one in records.every("QuestionnaireResponse", *asked, rows_max=rows_max):
        answers: Json = decode(one.body or b"{}")
        if "/mental-end" in answers.get("questionnaire", ""):
            return answers
    return {}
