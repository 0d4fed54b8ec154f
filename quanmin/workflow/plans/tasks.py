"""A due item as a FHIR Task, for whoever is to see to it."""

from __future__ import annotations

from datetime import timedelta

from quanmin.fhir.json import Json
from quanmin.workflow.plans.model import Item, Plan

IDENTIFIER = "https://quanmin.example/fhir/NamingSystem/plan-item"


def task_of(plan: Plan, item: Item, patient: str) -> Json:
    """The Task of R4 for a dated item of a plan; `patient` is the reference of whom it is for.

    It says which ActivityDefinition is to be carried out and from when to when it is in time. Its
    identifier names plan, turn and day, so that the same item is the same Task for the same person.
    Raises ValueError for an item without a day.
    """
    if item.due is None:
        raise ValueError("an item that is not dated calls for nothing yet")
    period = {"start": item.due.isoformat()}
    if item.overdue is not None:
        period["end"] = (item.overdue - timedelta(days=1)).isoformat()
    value = f"{plan.canonical}#{item.series}/{item.turn}/{item.due.isoformat()}"
    task: dict[str, Json] = {
        "resourceType": "Task",
        "identifier": [{"system": IDENTIFIER, "value": value}],
        "status": "requested",
        "intent": "plan",
        "priority": "urgent" if item.status in {"overdue", "escalated"} else "routine",
        "for": {"reference": patient},
        "restriction": {"period": period},
    }
    activity = plan.activities.get(item.definition)
    if activity is not None:
        task["instantiatesCanonical"] = item.definition
        if "code" in activity:
            task["code"] = activity["code"]
    if item.measure:
        task["reasonCode"] = {"coding": [{"code": item.measure}]}
    return task
