"""Sends what is told of cases: the rows are the queue, and any number of processes share it.

A message is made when it is sent, of the case and the card as they are then, inside the transaction
that claims it and marks it: two never claim one, and what dies in the middle leaves it as it was,
under the key that it had. So a card that has gone on meanwhile is told of once, as it is now.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final
from uuid import uuid4

import asyncpg

from quanmin.base.database import UNAVAILABLE, Connection
from quanmin.base.posting import Unsent
from quanmin.base.problems import Gone, NotFound, Problem
from quanmin.fhir.json import Json, decode, encode
from quanmin.trust import Actor, Guard
from quanmin.trust.notices.sealing import seal
from quanmin.trust.outgoing import Waiting, claim
from quanmin.workflow.outgoing.ports import Port
from quanmin.workflow.outgoing.settings import OutgoingSettings
from quanmin.workflow.states import Workflow

log = logging.getLogger("quanmin.outgoing")

NODE: Final = Actor("node", "operator", "Node", "node")
_PURPOSE: Final = "PUBHLTH"
_END: Final = """
    update trust.outgoing set status = $2, ended_at = $3, said = $4, attempts = $5
    where message = $1
"""
_LATER: Final = "update trust.outgoing set due = $2, said = $3, attempts = $4 where message = $1"


def leaving_of(workflows: Iterable[Workflow]) -> Mapping[str, frozenset[str]]:
    """The states of workflows of which a system outside is told, by the label of each."""
    found = {
        one.label: frozenset(state.code for state in one.states.values() if state.leaves)
        for one in workflows
    }
    return {label: states for label, states in found.items() if states}


class Sending:
    """What one process does to have cases told outside."""

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        guard: Guard,
        port: Port,
        settings: OutgoingSettings,
    ) -> None:
        self._pool = pool
        self._guard = guard
        self._port = port
        self._settings = settings
        self._context = guard.store.context

    async def work(self) -> int:
        """Send what is due until there is nothing; gives how many were tried."""
        number = 0
        while await self.send_next():
            number += 1
        return number

    async def send_next(self) -> bool:
        """Try one message that is due; whether there was one."""
        async with self._pool.acquire() as connection, connection.transaction():
            now = self._guard.now()
            waiting = await claim(connection, self._context, now)
            if waiting is None:
                return False
            number, attempts = waiting.number, waiting.attempts + 1
            try:
                body = await self._body(waiting)
                if body is None:
                    await connection.execute(_END, number, "needless", now, None, attempts - 1)
                    return True
                said = await self._port.send(waiting.key, body)
            except Unsent as unsent:
                await self._note(connection, number, attempts, unsent)
            else:
                sealed = seal(self._context, "words", said.encode())
                await connection.execute(_END, number, "sent", now, sealed, attempts)
            return True

    async def _note(
        self, connection: Connection, number: int, attempts: int, unsent: Unsent
    ) -> None:
        settings, now = self._settings, self._guard.now()
        log.warning("a card was not taken", extra={"is_final": unsent.is_final})
        sealed = seal(self._context, "words", unsent.reason.encode())
        if unsent.is_final or settings.gives_up(attempts):
            await connection.execute(_END, number, "refused", now, sealed, attempts)
            return
        due = settings.after(attempts, now)
        await connection.execute(_LATER, number, due, sealed, attempts)

    async def _body(self, waiting: Waiting) -> bytes | None:
        """What is told of a case: its state and card as they are. None where it is gone, or where
        it ended before anything was told of it. Raises Unsent where they cannot be read now.
        """
        records = self._guard.records(NODE, purpose=_PURPOSE, request_id=uuid4().hex)
        try:
            task = _read(await records.read("Task", waiting.task))
            reference = str((task.get("focus") or {}).get("reference") or "")
            card = _read(await records.read(*reference.split("/", 1))) if reference else {}
        except (NotFound, Gone):
            return None
        except Problem as problem:  # the keys, or the disk of the log, may be away for hours
            reason = f"the card cannot be read here ({problem.code})"
            raise Unsent(reason, is_final=False) from problem
        if task["status"] in {"rejected", "cancelled"} and not waiting.is_known:
            return None
        state = task["businessStatus"]["coding"][0]["code"]
        told = {
            "key": waiting.key,
            "case": task["id"],
            "version": (task.get("meta") or {}).get("versionId"),
            "state": state,
            "receipt": [one.get("value") for one in task.get("identifier") or ()],
            "disease": (task.get("reasonCode") or {}).get("coding") or [],
            "facts": task.get("input") or [],
            "card": {name: value for name, value in card.items() if name != "meta"},
        }
        return encode(told)


def _read(stored: Any) -> Json:
    return decode(stored.body or b"{}")


async def send_outgoing(sending: Sending, poll_seconds: float) -> None:
    """Send what is due, until cancelled."""
    while True:
        try:
            await sending.work()
        except UNAVAILABLE:
            log.warning("outgoing: the database cannot be reached", exc_info=True)
        except Exception:  # whatever it was, the rows are there for the next time
            log.exception("outgoing: sending failed and is tried again")
        await asyncio.sleep(poll_seconds)
