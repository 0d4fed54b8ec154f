"""Report cards of infectious diseases as they are read: that of a case, and others of the same
person and disease.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from quanmin.base.decision import Decision
from quanmin.base.problems import NotFound
from quanmin.fhir.json import Json, decode
from quanmin.trust.case_counts import EVERY, CaseCounts, Sought
from quanmin.web.records import DeclaredRecords
from quanmin.workflow import notifiable

_CARDS_MAX: Final = 50
_OVER: Final = frozenset({"merged", "withdrawn"})


async def card_in(records: DeclaredRecords, task: Json) -> Json:
    """The card of a case."""
    type_, _, id_ = notifiable.card_of(task).partition("/")
    return await records.resource(type_ or "Task", id_)


async def diagnosis_of(records: DeclaredRecords, patient: str, id_: str) -> Json:
    """A diagnosis (Condition) of a person, at whichever registration. Raises NotFound for one of
    somebody else: it would count as reported.
    """
    condition = await records.resource("Condition", id_)
    subject = (condition.get("subject") or {}).get("reference")
    if subject != f"Patient/{patient}":
        same = await records.timeline(patient, types=("Condition",), count=1)
        if subject not in {f"Patient/{one.id}" for one in same.patients}:
            raise NotFound("there is no diagnosis with this id of this person")
    return condition


def stand_of(task: Json, institution: str) -> dict[str, bool]:
    """What rules ask of a case: whether the institution of the code entered it, whether its card
    was ever sent. A port enters none of a case that there is.
    """
    is_ours = notifiable.entered_by(task) == institution
    was_sent = bool(notifiable.receipt_of(task))
    return {"is_ours": is_ours, "was_sent": was_sent, "is_port": False}


async def grave_by_subtype(records: DeclaredRecords, sought: Sought) -> set[tuple[str, str]]:
    """The diseases and areas with a case that is met by the measures of class A for its subtype, as
    pulmonary anthrax is: what is counted has none, so that these few cases are read.
    """
    law, found = notifiable.table_on(sought.until), set()
    for disease in notifiable.as_a_by_subtype(sought.until) if law else ():
        asked, after = msgspec.structs.replace(sought, disease=disease), None
        while sought.disease in {EVERY, disease}:
            listed = await records.desk(CaseCounts).listed(
                asked, notifiable.counted_codes(), after=after, count=_CARDS_MAX
            )
            for one, place in listed:
                after = place
                subtype = notifiable.subtype_of(await records.resource("Task", one.id))
                if law and law.is_managed_as_a(disease, subtype):
                    found.add((disease, one.told.area))
            if len(listed) < _CARDS_MAX:
                break
    return found


async def cards_beside(
    records: DeclaredRecords,
    task: Json,
    card: notifiable.Card,
    seen_by: str,
    is_one_case: Callable[..., Decision],
) -> list[tuple[Json, Json]]:
    """The other cases of the same person and disease, each with its card, that by the days between
    (the rule) are the same case and are addressed to the institution of the code; without those
    that are merged or withdrawn.
    """
    of_person, workflow = task.get("groupIdentifier") or {}, records.workflow
    pairs = (
        ("code", f"{workflow.head.url}|{workflow.name}"),
        ("group-identifier", f"{of_person.get('system')}|{of_person.get('value')}"),
        ("_security", f"{notifiable.ADDRESSED}|{seen_by}"),
        ("_include", "Task:focus"),
    )
    hits = await records.find("Task", *pairs, count=_CARDS_MAX)
    said = {f"{one.type}/{one.id}": decode(one.body or b"{}") for one in hits.included}
    days, found = notifiable.duplicate_days(card.disease), []
    for other in (decode(stored.body or b"{}") for stored in hits.matches):
        began, is_over = notifiable.day_of(other, "onset"), notifiable.state_of(other) in _OVER
        is_same = notifiable.disease_of(other) == card.disease and other["id"] != task["id"]
        if is_over or not is_same or began is None or card.onset is None:
            continue
        if is_one_case(onset=card.onset, other_onset=began, days=days).allowed:
            found.append((other, said.get(notifiable.card_of(other), {})))
    return found
