"""Report cards, on trial: two pages, each with nothing of its own but what is asked."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from starlette.responses import Response

from quanmin.web import Access, Application, DeclaredRecords, Text, Visit, page
from quanmin.web.cases import begin, open_case

STAFF = Access(frozenset({"doctor", "public_health_worker"}))
FORM = "https://quanmin.example/fhir/Questionnaire/infection-card|1"


def answered(patient: str, disease: str) -> dict[str, Any]:
    """The card as it was filled in."""
    resource = {
        "resourceType": "QuestionnaireResponse",
        "questionnaire": FORM,
        "status": "completed",
        "subject": {"reference": f"Patient/{patient}"},
        "item": [{"linkId": "disease", "answer": [{"valueString": disease}]}],
    }
    full_url = "urn:uuid:00000000-0000-4000-8000-000000000009"
    request = {"method": "POST", "url": "QuestionnaireResponse"}
    return {"fullUrl": full_url, "resource": resource, "request": request}


@page("/cards/of/{patient}", access=STAFF, methods=("GET", "POST"))
async def enter(visit: Visit, records: DeclaredRecords) -> Response:
    """A new card of a person."""
    patient = visit.path("patient")
    if visit.request.method == "GET":
        return visit.page("infection_card/card.html", case=None)
    disease = visit.sent["disease"]
    task = await begin(
        visit,
        records,
        "enter",
        facts={"disease": disease, "diagnosed": datetime.fromisoformat(visit.sent["diagnosed"])},
        recorded=[answered(patient, disease)],
        head={"for": {"reference": f"Patient/{patient}"}},
    )
    return visit.go(f"/cards/{task.id}")


@page("/cards/{id}", access=STAFF, methods=("GET", "POST"))
async def card(visit: Visit, records: DeclaredRecords) -> Response:
    """A card, and the steps that lead on."""
    case = await open_case(visit, records, visit.path("id"), cards_of_person=1)
    if visit.request.method == "GET":
        return visit.page("infection_card/card.html", case=case)
    patient = case.case.task["for"]["reference"].removeprefix("Patient/")
    step = visit.sent.get("step", "")
    is_corrected = step == "correct"
    await case.take(
        step,
        recorded=[answered(patient, visit.sent.get("disease", ""))] if is_corrected else (),
        words=visit.sent.get("words", ""),
    )
    return visit.go(visit.request.url.path)


APPLICATION = Application(
    name="infection_card",
    title=Text(zh="传染病报告卡", en="Report cards"),
    summary=Text(zh="录入与审核", en="Entered and checked"),
    levels=frozenset({"county"}),
    roles=frozenset({"doctor", "public_health_worker"}),
    reads=frozenset({"Patient", "Task", "QuestionnaireResponse"}),
    writes=frozenset({"Task", "QuestionnaireResponse"}),
    purpose="PUBHLTH",
    pages=(enter, card),
)
