"""Carries out what the system outside has answered of cases: it returned one, confirmed it, revised
it, declared it void. So nobody types here what somebody has decided there.

One process reads at a time. Where was read up to moves on when all before are done with; an answer
that is met again after a crash finds its case where it has brought it, and changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

from quanmin.base.database import UNAVAILABLE
from quanmin.base.logs import correlation_id
from quanmin.base.posting import Unsent
from quanmin.base.problems import Conflict, Gone, Invalid, NotFound, PreconditionFailed, Problem
from quanmin.fhir.json import Json, decode
from quanmin.trust import Actor, Guard
from quanmin.trust.outgoing import inbox
from quanmin.web.application import Installed
from quanmin.web.case_notices import notice_kinds, over_by, told_by
from quanmin.web.cases import labelled
from quanmin.web.records import DeclaredRecords
from quanmin.web.report_cards import card_in
from quanmin.workflow import notifiable
from quanmin.workflow.forms import answers as answers_of
from quanmin.workflow.outgoing import Answer, Port
from quanmin.workflow.states import Asking, Case, read_case, take

log = logging.getLogger("quanmin.outgoing")

_NODE: Final = Actor("node", "operator", "Node", "node")
_AGAIN_MAX: Final = 5
# What this node cannot do just now: the keys or the disk are away.
_OWN_FAULT: Final = 500


class National:
    """What one process does to have answers carried out in the cases of an application."""

    def __init__(self, guard: Guard, port: Port, installed: Installed) -> None:
        self._guard = guard
        self._port = port
        self._application = installed.application
        self._kinds = notice_kinds(installed)
        self._zone = guard.store.context.zone

    async def work(self) -> int:
        """Read answers until there are no more; gives how many were new. Raises Unsent."""
        number = 0
        while True:
            found, is_over = await self._portion()
            number += found
            if is_over:
                return number

    async def _portion(self) -> tuple[int, bool]:
        number, correlation = 0, uuid4().hex
        correlation_id.set(correlation)
        async with inbox(self._guard) as box:
            if box is None:
                return 0, True
            portion = await self._port.answers(box.place)
            for one in portion.answers:
                if await box.knows(one.reference):
                    continue
                status, why = await self._carry_out(one, correlation)
                label = self._application.workflow.label if self._application.workflow else ""
                await box.note(one.reference, one.case, label, one.kind, status=status, why=why)
                log.info("a case was answered", extra={"kind": one.kind, "status": status})
                number += 1
            await box.move(portion.next)
            return number, not portion.answers or portion.next == box.place

    async def _carry_out(self, answer: Answer, correlation: str) -> tuple[str, str]:
        """What became of an answer, and why it was not carried out."""
        guarded = self._guard.records(
            _NODE, purpose=self._application.purpose, request_id=correlation
        )
        records = DeclaredRecords(guarded, self._application, self._zone, self._kinds)
        for _ in range(_AGAIN_MAX):
            try:
                return await self._taken(records, answer)
            except (Conflict, PreconditionFailed):  # somebody took a step meanwhile
                continue
            except (NotFound, Gone):
                return "refused", "unknown-case"
            except Problem as problem:
                if problem.status >= _OWN_FAULT:  # nothing is wrong with the answer
                    raise
                return "refused", "not-as-it-should-be"
        return "refused", "taken-by-others"

    async def _taken(self, records: DeclaredRecords, answer: Answer) -> tuple[str, str]:
        workflow = records.workflow
        task = decode((await records.read("Task", answer.case)).body or b"{}")
        case = read_case(workflow, task, self._zone)
        meant = [one for one in workflow.steps.values() if one.answer == answer.kind]
        if not meant:
            return "refused", "unknown-kind"
        step = next((one for one in meant if case.state in one.begins_in), None)
        if step is None:
            return "needless", "state"
        moment = datetime.fromtimestamp(self._guard.now() / 1_000_000, self._zone)
        more: dict[str, Any] = {}
        if step.records:
            found = await revision(records, case, answer.changes, moment)
            if found is None:
                return "needless", "same"
            more = found
        elif step.answer == "returned":
            more = await correction(records, case, moment)
        words = answer.reason.strip() or ("-" if step.needs_words else "")
        asking = Asking(actor=_NODE, moment=moment, zone=self._zone, facts={})
        taken = take(workflow, step.code, case, asking, words=words, **more)
        over = over_by(workflow)
        await records.transact(taken.entries, tell=[*told_by(workflow, taken)], over=over)
        return "taken", ""


async def revision(
    records: DeclaredRecords, case: Case, changes: Mapping[str, str], moment: datetime
) -> dict[str, Any] | None:
    """What a step records that revises the card of a case; None where the card says so already.
    Raises Invalid for what a card may not say.
    """
    task = case.task
    response = await card_in(records, task)
    changed = notifiable.revised(response, changes)
    if changed == response:
        return None
    card = notifiable.read_card(answers_of(changed), records.zone)
    is_early = card.onset and card.diagnosed and card.onset > card.diagnosed.date()
    if not card.is_notifiable or not card.subtype_fits or is_early:
        raise Invalid("a card may not say this")
    addressed = notifiable.addressed_to(task)
    if card.disease != notifiable.disease_of(task):
        notifiable.name_original(changed, notifiable.told(task, "zh"))
    changed["meta"] = labelled(response, notifiable.labels(card, addressed))
    changed["status"] = "amended"
    person, sent = records.pseudonym(notifiable.PERSON, card.person), notifiable.fact(task, "sent")
    place = notifiable.card_of(task)
    head = notifiable.head_of(card, place, addressed, person=person, sent=sent)
    limit = card.limits.review
    return {
        "recorded": [_put(changed)],
        "head": head,
        "clocks": {"review": notifiable.until(moment, limit)},
    }


async def correction(records: DeclaredRecords, case: Case, moment: datetime) -> dict[str, Any]:
    """By when a card that is returned is sent again: it has as long as it had."""
    card = notifiable.read_card(answers_of(await card_in(records, case.task)), records.zone)
    return {"clocks": {"report": notifiable.until(moment, card.limits.report)}}


def _put(resource: Json) -> Json:
    version = (resource.get("meta") or {}).get("versionId")
    url = f"{resource['resourceType']}/{resource['id']}"
    request = {"method": "PUT", "url": url, "ifMatch": f'W/"{version}"'}
    return {"resource": resource, "request": request}


def answered_applications(installed: Iterable[Installed]) -> list[Installed]:
    """The applications whose cases a system outside answers."""
    return [
        one
        for one in installed
        if one.application.workflow is not None
        and any(step.answer for step in one.application.workflow.steps.values())
    ]


async def read_answers(national: National, pause_seconds: float) -> None:
    """Read and carry out what is answered, until cancelled."""
    while True:
        try:
            await national.work()
        except Unsent as unsent:
            log.warning("answers cannot be read", extra={"reason": unsent.reason})
        except UNAVAILABLE:
            log.warning("answers: the database cannot be reached", exc_info=True)
        except Exception:  # whatever it was, they are read again
            log.exception("answers: reading failed and is tried again")
        await asyncio.sleep(pause_seconds)
