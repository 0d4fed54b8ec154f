"""Cases of an application's workflow, on its pages: begun, opened, taken a step further; and what
happens when their time has run out.

Each step is one transaction of all that it records and the next version of the Task, on top of the
version that was read: of two who take a step at once one is answered that somebody was first.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import msgspec
from starlette.responses import Response

from quanmin.base.problems import Invalid
from quanmin.fhir.json import Json, decode
from quanmin.trust import EntryOutcome, Hits, Stored
from quanmin.web.case_notices import over_by, told_by
from quanmin.web.questionnaires import Answered, questionnaire_page
from quanmin.web.records import DeclaredRecords
from quanmin.web.visit import Visit
from quanmin.workflow.forms import Fault
from quanmin.workflow.forms import Words as FormWords
from quanmin.workflow.states import (
    Asking,
    Case,
    Event,
    Offer,
    Step,
    Taken,
    Words,
    Workflow,
    due,
    fire,
    offers,
    read_case,
    take,
)


@dataclass(frozen=True, slots=True)
class OpenCase:
    """A case as its page has it, with every step that leads on from somewhere, open or not."""

    case: Case
    workflow: Workflow
    offers: tuple[Offer, ...]
    _asking: Asking
    _records: DeclaredRecords

    @property
    def state(self) -> str:
        """The code of the state it is in."""
        return self.case.state

    def way(self, language: str) -> tuple[list[str], int, list[str]]:
        """In words: the states that it has been in, in the order in which it first came into them,
        and then its own; how many come before that; and where a step leads from here, whoever takes
        it.
        """
        workflow, here = self.workflow, self.state
        steps = [self._step_of(event) for event in self.case.history]
        leading = [one for one in workflow.steps.values() if here in one.begins_in]
        # A step may leave a case in its state.
        passed, following = (
            dict.fromkeys(one.to for one in some if one is not None and one.to not in {"", here})
            for some in (steps, leading)
        )
        been, then = (
            [workflow.states[code].told(language) for code in codes]
            for codes in ((*passed, here), following)
        )
        return been, len(passed), then

    def _step_of(self, event: Event) -> Step | None:
        """The step that was taken, by somebody or a timer; None for one that there is no more."""
        timer = self.workflow.timers.get(event.timer)
        return self.workflow.steps.get(timer.step if timer else event.step)

    @property
    def open_steps(self) -> tuple[Offer, ...]:
        """The steps that whoever asks may take now."""
        return tuple(one for one in self.offers if one.decision.allowed)

    @property
    def closed_steps(self) -> tuple[Offer, ...]:
        """Those that begin in this state and are not open to whoever asks."""
        return tuple(
            one
            for one in self.offers
            if self.state in one.step.begins_in and not one.decision.allowed
        )

    @property
    def due_text(self) -> str:
        """When the next timer runs out, by the node's clock; "" when none runs."""
        at = self.case.due
        return "" if at is None else self._told(at)

    @property
    def lines(self) -> tuple[tuple[Event, str], ...]:
        """What was done, oldest first, and when."""
        return tuple((event, self._told(event.at)) for event in self.case.history)

    def said(self, event: Event) -> Words:
        """The words of what was done; its code where an older version of the workflow had it."""
        known = self.workflow.timers.get(event.timer) or self.workflow.steps.get(event.step)
        code = event.timer or event.step
        return known or Words(code=code, zh=code, en=code)

    def _told(self, at: datetime) -> str:
        return f"{at.astimezone(self._asking.zone):%Y-%m-%d %H:%M}"

    def knowing(self, **facts: Any) -> OpenCase:
        """The same case, as it was read, with these facts for its rules: what was worked out of it
        meanwhile is stored on top of that version or not at all.
        """
        asked = msgspec.structs.replace(self._asking, facts=facts)
        found = offers(self.workflow, self.case, asked)
        return OpenCase(self.case, self.workflow, found, asked, self._records)

    async def take(
        self,
        step: str,
        *,
        recorded: Sequence[Json] = (),
        words: str = "",
        head: Mapping[str, Json] | None = None,
        clocks: Mapping[str, datetime] | None = None,
    ) -> Taken:
        """Take a step, with what is recorded. Raises what `take` of the workflow raises, and
        PreconditionFailed where somebody was first.
        """
        taken = take(
            self.workflow,
            step,
            self.case,
            self._asking,
            recorded=recorded,
            words=words,
            head=head,
            clocks=clocks,
        )
        is_over = bool(self.workflow.steps[step].to)
        await _store(self._records, taken, is_over=is_over)
        return taken


async def asking(visit: Visit, **facts: Any) -> Asking:
    """Who asks on this page, with the duties of their post, now; `facts` are for the rules."""
    guard = visit.house.guard
    actor = visit.actor
    if actor is None:  # no page of an application is open to anybody
        raise TypeError("nobody has signed in")
    standing = visit.standing or await guard.standings.told(actor)
    zone = visit.house.settings.zone
    moment = datetime.fromtimestamp(guard.now() / 1_000_000, zone)
    return Asking(actor=standing.acting(actor), moment=moment, zone=zone, facts=facts)


async def begin(
    visit: Visit,
    records: DeclaredRecords,
    step: str,
    *,
    facts: Mapping[str, Any] | None = None,
    recorded: Sequence[Json] = (),
    words: str = "",
    head: Mapping[str, Json] | None = None,
    clocks: Mapping[str, datetime] | None = None,
    once: Sequence[tuple[str, str]] = (),
) -> Stored:
    """Begin a case by a step that begins one; gives its Task as it is stored. Where the institution
    has one that meets the criteria of `once`, it is that one: of two who begin it at once there is
    one, and what either records is stored. Raises what `take` of the workflow raises.
    """
    asked = await asking(visit, **(facts or {}))
    taken = take(
        records.workflow,
        step,
        None,
        asked,
        recorded=recorded,
        words=words,
        head=head,
        clocks=clocks,
    )
    if once:
        taken.entries[-1]["request"]["ifNoneExist"] = urlencode(once)
    stored = (await _store(records, taken))[-1].stored
    if stored is None:  # a created entry always is
        raise TypeError("the transaction does not say what it stored")
    return stored


async def open_case(visit: Visit, records: DeclaredRecords, id_: str, **facts: Any) -> OpenCase:
    """The case of a Task. Raises NotFound or Gone, and Invalid for a Task of something else."""
    asked = await asking(visit, **facts)
    task = _task(await records.read("Task", id_))
    workflow = records.workflow
    case = read_case(workflow, task, asked.zone)
    return OpenCase(case, workflow, offers(workflow, case, asked), asked, records)


def read_cases(hits: Hits, workflow: Workflow, zone: ZoneInfo) -> Iterator[tuple[Json, Case]]:
    """The Tasks among the matches of a search that are cases, each with what it is; what others
    wrote and is none is left out.
    """
    for stored in hits.matches:
        task = decode(stored.body or b"{}")
        try:
            yield task, read_case(workflow, task, zone)
        except Invalid:
            continue


async def refused(
    visit: Visit,
    records: DeclaredRecords,
    answered: Answered,
    step: str,
    facts: Mapping[str, Any],
    *,
    back: str,
    case: Case | None = None,
    places: Mapping[str, str] | None = None,
) -> Response | None:
    """The page of a form again, with what its bounds or the rule of the step that it is for have
    against it; None where the step may be taken, or is not this visitor's, which taking it tells.
    """
    found = list(answered.faults)
    if answered.may_be_sent:
        found = await faults_of_step(visit, records, step, facts, case=case, places=places)
        if not found:
            return None
    return questionnaire_page(visit, answered.filling, back=back, found=found)


async def faults_of_step(
    visit: Visit,
    records: DeclaredRecords,
    step: str,
    facts: Mapping[str, Any],
    *,
    case: Case | None = None,
    places: Mapping[str, str] | None = None,
) -> list[Fault]:
    """What the rule of a step has against it, as faults of a form, each beside the question that
    `places` has for its reason; none where it may be taken, or is not this visitor's, which taking
    it tells.
    """
    workflow, asked = records.workflow, await asking(visit, **facts)
    reasons = next(
        one.decision.reasons for one in offers(workflow, case, asked) if one.step.code == step
    )
    if not set(reasons) <= workflow.reasons.keys():
        return []
    return told_faults(workflow, reasons, places or {})


def told_faults(
    workflow: Workflow, reasons: Iterable[str], places: Mapping[str, str]
) -> list[Fault]:
    """The reasons of a rule as what is wrong with a form, each beside its question."""
    found = []
    for one in reasons:
        told, place = workflow.reasons[one], places.get(one, "")
        words = FormWords(told.zh, {"en": told.en})
        found.append(Fault(place=place, link_id=place, code="rule", words=words))
    return found


def labelled(resource: Json, security: Sequence[Json]) -> Json:
    """The meta of a resource with these security labels beside those that it has."""
    meta = resource.get("meta") or {}
    held = meta.get("security") or []
    return {**meta, "security": [*held, *(one for one in security if one not in held)]}


def relabelled(resource: Json, security: Sequence[Json]) -> Json:
    """A resource with further labels, as an entry on top of the version that was read."""
    version = (resource.get("meta") or {}).get("versionId")
    request = {
        "method": "PUT",
        "url": f"{resource['resourceType']}/{resource['id']}",
        "ifMatch": f'W/"{version}"',
    }
    return {"resource": {**resource, "meta": labelled(resource, security)}, "request": request}


async def fire_due(
    records: DeclaredRecords, id_: str, moment: datetime
) -> AsyncIterator[tuple[str, Taken]]:
    """Fire the timers of a case that have run out at a moment, one after the other, each in a
    transaction of its own; gives what each made. Raises PreconditionFailed where somebody was
    first, Invalid for a Task that is no case.
    """
    workflow = records.workflow
    while True:
        case = read_case(workflow, _task(await records.read("Task", id_)), records.zone)
        found = due(workflow, case, moment, records.zone)
        # What fires at the very moment in which the state was entered would not be known from what
        # fired before: it waits for the next.
        if not found or case.since >= moment:
            return
        timer = found[0].timer
        taken = fire(workflow, case, timer.code, moment, records.zone)
        over = over_by(workflow) if timer.step else ()
        await records.transact(taken.entries, tell=[*told_by(workflow, taken)], over=over)
        yield timer.code, taken


async def _store(
    records: DeclaredRecords, taken: Taken, *, is_over: bool = True
) -> list[EntryOutcome]:
    """Store what a step makes, and tell whom it tells: the notices of the state before are over,
    unless the step leaves the case there.
    """
    workflow = records.workflow
    over = over_by(workflow) if is_over else ()
    return await records.transact(taken.entries, tell=[*told_by(workflow, taken)], over=over)


def _task(stored: Stored) -> Json:
    return decode(stored.body or b"{}")
