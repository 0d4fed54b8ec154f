"""Has the timers of cases fire when they have run out, in the name of the node.

Which have is kept by the transaction that writes a case, so nothing is asked about those that wait.
A timer fires on top of the version that was read, in the transaction that notes it in the case and
tells whom it tells: of several processes one does so, and one that is killed in the middle leaves
what it was about to others.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Final
from uuid import uuid4

from quanmin.base.logs import correlation_id
from quanmin.base.problems import PreconditionFailed, Problem
from quanmin.trust import Actor, Guard
from quanmin.trust.clocks import RunOut, run_out
from quanmin.web.application import Installed
from quanmin.web.case_notices import notice_kinds
from quanmin.web.cases import fire_due
from quanmin.web.records import DeclaredRecords

log = logging.getLogger("quanmin.workflows")

NODE: Final = Actor("node", "operator", "Node", "node")
_PORTION: Final = 200


class Clocks:
    """The clocks of the workflows of some applications."""

    def __init__(self, guard: Guard, installed: Iterable[Installed]) -> None:
        self._guard = guard
        self._installed = {
            one.application.workflow.label: (one.application, notice_kinds(one))
            for one in installed
            if one.application.workflow is not None
        }

    async def fire(self) -> int:
        """Fire every timer that has run out by now; gives how many did. A case of which none can
        fire does not hold up the others; how many there are is in the log.
        """
        now, after, number = self._guard.now(), (0, 0), 0
        correlation = uuid4().hex
        correlation_id.set(correlation)
        unread: Counter[str] = Counter()
        while True:
            found = await run_out(self._guard, [*self._installed], now, after=after, count=_PORTION)
            for one in found:
                try:
                    number += await self._fire(one, now, correlation)
                except PreconditionFailed:  # somebody took a step, or another process was first
                    continue
                except Problem:
                    unread[self._installed[one.label][0].name] += 1
            if len(found) < _PORTION:
                break
            after = found[-1].due, found[-1].task
        for name, count in unread.items():
            log.warning("timers of cases cannot fire", extra={"application": name, "count": count})
        return number

    async def _fire(self, one: RunOut, now: int, correlation: str) -> int:
        application, kinds = self._installed[one.label]
        guard, zone, number = self._guard, self._guard.store.context.zone, 0
        # Where it is not switched on nothing moves; what has run out fires when it is on again.
        standing = await guard.standings.told(Actor("", "institution", "", one.sender))
        if not standing.has(application.name):
            return 0
        await guard.registered.refuse(application=application.name)
        guarded = guard.records(NODE, purpose=application.purpose, request_id=correlation)
        records = DeclaredRecords(guarded, application, zone, kinds)
        moment = datetime.fromtimestamp(now / 1_000_000, zone)
        async for timer, _ in fire_due(records, one.id, moment):
            log.info("a timer fired", extra={"application": application.name, "timer": timer})
            number += 1
        return number
