"""Cases of an application's workflow, on its pages: begun, opened, taken a step further, and those
whose time has run out.

Each step is one transaction of all that it records and the next version of the Task, on top of the
version that was read: of two who take a step at once one is answered that somebody was first.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from quanmin.base.problems import Invalid
from quanmin.fhir.json import Json, decode
from quanmin.trust import EntryOutcome, Stored
from quanmin.web.records import DeclaredRecords
from quanmin.web.visit import Visit
from quanmin.workflow.states import (
    Asking,
    Case,
    Due,
    Event,
    Offer,
    Taken,
    Words,
    Workflow,
    due,
    fire,
    may_be_due,
    offers,
    read_case,
    take,
)

log = logging.getLogger("quanmin.web")

_PORTION: Final = 200


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
        await self._records.transact(taken.entries)
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
) -> Stored:
    """Begin a case by a step that begins one; gives its Task as it is stored. Raises what `take` of
    the workflow raises.
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
    outcomes: Sequence[EntryOutcome] = await records.transact(taken.entries)
    stored = outcomes[-1].stored
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


async def overdue(
    records: DeclaredRecords, moment: datetime
) -> AsyncIterator[tuple[Case, tuple[Due, ...]]]:
    """Every case that these records show in which timers have run out at a moment, and which.

    Asked for in sets: one search for each state with timers, in portions.
    """
    workflow, zone = records.workflow, records.zone
    for pairs in may_be_due(workflow, moment, zone):
        cursor: str | None = None
        while True:
            hits = await records.find("Task", *pairs, count=_PORTION, cursor=cursor)
            for stored in hits.matches:
                try:
                    case = read_case(workflow, _task(stored), zone)
                except Invalid as problem:  # one that others wrote must not hold up all others
                    log.warning("a Task has no clock", extra={"id": stored.id, "why": problem.text})
                    continue
                found = due(workflow, case, moment, zone)
                if found:
                    yield case, found
            cursor = hits.next
            if cursor is None:
                break


async def fired(records: DeclaredRecords, case: Case, timer: str, moment: datetime) -> Taken:
    """Store what a timer that has run out makes. Raises PreconditionFailed where somebody was
    first, Conflict where the timer is not due.
    """
    taken = fire(records.workflow, case, timer, moment, records.zone)
    await records.transact(taken.entries)
    return taken


def _task(stored: Stored) -> Json:
    return decode(stored.body or b"{}")
