"""A card: what it says, where it stands, its duplicates beside it, and the steps that lead on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from starlette.responses import Response

from quanmin.applications.infectious_report.entering import (
    CENTRE,
    EVERYBODY,
    FORM,
    STAFF,
    refuse_foreign,
    within,
)
from quanmin.applications.infectious_report.rules import is_in_time, is_one_case
from quanmin.base.problems import Invalid
from quanmin.fhir.dates import row_text
from quanmin.fhir.json import Json
from quanmin.trust import Actor
from quanmin.web import DeclaredRecords, Visit, page
from quanmin.web.cases import OpenCase, asking, open_case, relabelled
from quanmin.web.institutions import above, as_owner, code_of, nearest, owner_of
from quanmin.web.questionnaires import side_by_side
from quanmin.web.report_cards import card_in, cards_beside, stand_of
from quanmin.workflow import notifiable
from quanmin.workflow.forms import answers, label, words_of

_COLUMNS_MAX: Final = 4
_REVIEWED: Final = frozenset({"check", "pass_up", "take_over", "send_back", "exclude"})
# What a card is merged into is with a centre, which alone can end it.
_TARGETS: Final = frozenset({"reported", "confirmed"})
# What tells whether two cards are of one case.
_COMPARED: Final = ("name", "sex", "birth", "document", "disease", "subtype", "class", "onset",
                    "diagnosed", "area", "address", "institution", "doctor")  # fmt: skip


@page("/infectious/{id}", access=EVERYBODY, methods=("GET", "POST"))
async def card(visit: Visit, records: DeclaredRecords) -> Response:
    """A card, and the steps that lead on."""
    id_, asked = visit.path("id"), await asking(visit)
    actor, now = asked.actor, asked.moment
    task = await records.resource("Task", id_)
    refuse_foreign(task, actor)
    response = await card_in(records, task)
    said = notifiable.read_card(answers(response), records.zone)
    mine = code_of(actor) if STAFF.admits(actor.role) else ""
    others = await cards_beside(records, task, said, mine, is_one_case) if mine else []
    targets = [other for other, _ in others if notifiable.state_of(other) in _TARGETS]
    to = {"pass_up": await above(records, actor),
          "hand_over": await nearest(records, CENTRE, said.area)}  # fmt: skip
    there = to["hand_over"]
    case = await open_case(
        visit,
        records,
        id_,
        **{
            **notifiable.facts_of(said),
            **stand_of(task, code_of(actor)),
            # A death is asked for by the form: its step is open before there is one.
            "death": said.death or said.onset,
            "is_here": owner_of(task) == code_of(actor),
            "has_higher": to["pass_up"] is not None,
            "managed_as_a": said.is_managed_as_a,
            "duplicates": len(others),
            "targets": len(targets),
            "kept_because": visit.sent.get("words", ""),
            "other_area": there is not None and there.code != owner_of(task),
        },
    )
    if visit.request.method == "GET":
        shown = _shown(visit, case, said, [response, *(one for _, one in others)])
        beside = [(one["id"], notifiable.fact(one, "onset"), one in targets) for one, _ in others]
        return visit.page("infectious_report/card.html", beside=beside, **shown)
    step, into_id = visit.sent.get("step", ""), visit.sent.get("into", "")
    target = next((other for other in targets if other["id"] == into_id), None)
    if step == "merge" and target is None:
        raise Invalid("choose the card that this one is merged into")
    head = _head(step, task, actor, now, into_id)
    # Put as it was read, which changes nothing but fails where it was merged or ended meanwhile.
    recorded = [relabelled(target, ())] if step == "merge" and target else []
    centre = to.get(step)
    if centre is not None:
        security = notifiable.labels(said, [*notifiable.addressed_to(task), centre.code])
        owner = {"owner": as_owner(centre), "requester": task.get("owner")}
        head, recorded = {**owner, "meta": {"security": security}}, [relabelled(response, security)]
    clocks = {"review": notifiable.until(now, said.limits.review)} if step in _REVIEWED else {}
    if step == "return":  # the hospital has as long again as it had
        clocks = {"report": notifiable.until(now, said.limits.report)}
    words = visit.sent.get("words", "")
    await case.take(step, words=words, head=head, recorded=recorded, clocks=clocks)
    return visit.go(f"/infectious/{id_}")


def _head(step: str, task: Json, actor: Actor, now: datetime, into: str) -> dict[str, Any]:
    """What a step sets in the case beside its state. A card that is sent again keeps the receipt
    that it was given first; one that is sent back is with whom it came from.
    """
    if step == "check" and not notifiable.receipt_of(task):
        return notifiable.sent_first(task, actor.place.region, now)
    if step == "merge":
        return {"partOf": [{"reference": f"Task/{into}"}]}
    return {"owner": task.get("requester")} if step == "send_back" else {}


def _shown(
    visit: Visit, case: OpenCase, card: notifiable.Card, responses: Sequence[Json]
) -> dict[str, Any]:
    """What the template of a card needs; `responses` are the card and others of the same case."""
    task, language = case.case.task, visit.language
    sent, other = notifiable.fact(task, "sent"), visit.say("Other card")
    is_late = False
    if sent and card.diagnosed:
        moment = datetime.fromisoformat(sent)
        is_late = not is_in_time(hours=card.hours, diagnosed=card.diagnosed, sent=moment).allowed
    members = within(visit).members
    said = words_of(FORM, responses[0], language, visit.house.settings.zone, members)
    compared = responses[:_COLUMNS_MAX]
    filled_in = ("correct", "revise", "report_death")
    return {
        "case": case,
        "title": notifiable.told(task, language),
        "owner": (task.get("owner") or {}).get("display", ""),
        "receipt": notifiable.receipt_of(task),
        "sent": row_text(sent, visit.house.settings.zone),
        "is_late": is_late,
        "limit": card.hours,
        "lines": [(label(FORM, link, language), text) for link, text in said.items()],
        "links": {step: f"/infectious/{task['id']}/{step}" for step in filled_in},
        "kept": [one.step for one in case.closed_steps if one.decision.reasons == ("duplicate",)],
        "headings": [visit.say("Field"), visit.say("This card"), *[other] * (len(compared) - 1)],
        "rows": side_by_side(visit, FORM, compared, _COMPARED, members),
    }


PAGES: Final = (card,)
