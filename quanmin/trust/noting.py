"""What one actor does in one request, as entries of the access log."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from quanmin.records.model import EntryOutcome, Stored
from quanmin.trust.access_log import Access, AccessLog
from quanmin.trust.actors import Actor

Keys = tuple[int, int | None]
"""A record and its source Patient, by their keys: all that the access log keeps of them."""


class Notes:
    """Makes the entries of one actor, one purpose and one request."""

    def __init__(
        self, log: AccessLog, now: Callable[[], int], actor: Actor, purpose: str, request_id: str
    ) -> None:
        """`now` gives microseconds since 1970-01-01T00:00Z."""
        self.log = log
        self._now = now
        self._actor = actor
        self._purpose = purpose
        self._request_id = request_id

    async def note(
        self, action: str, type_: str | None, outcome: str, versions: Sequence[Stored] = ()
    ) -> None:
        """Commit one entry about these versions."""
        await self.log.note(self.entry(action, type_, outcome, versions))

    def entry(
        self, action: str, type_: str | None, outcome: str, versions: Sequence[Stored]
    ) -> Access:
        """An entry about these versions."""
        keys = [(version.rid, version.facts.patient) for version in versions]
        return self.entry_of_keys(action, type_, outcome, keys)

    def entry_of_answer(
        self, action: str, type_: str | None, outcome: str, answer: EntryOutcome
    ) -> Access:
        """An entry about all that an answer of a Bundle gives."""
        versions: list[Stored] = [] if answer.stored is None else [answer.stored]
        if answer.hits is not None:
            versions += (*answer.hits.matches, *answer.hits.included)
        if answer.history is not None:
            versions += answer.history.versions
        return self.entry(action, type_, outcome, versions)

    def entry_of_keys(
        self, action: str, type_: str | None, outcome: str, keys: Sequence[Keys]
    ) -> Access:
        """An entry about the records of these keys."""
        patients = {patient for _, patient in keys}
        return Access(
            at=self._now(),
            request=self._request_id,
            actor=self._actor.code,
            role=self._actor.role,
            purpose=self._purpose,
            action=action,
            type=type_,
            outcome=outcome,
            hits=len(keys),
            records=tuple(rid for rid, _ in keys),
            patients=tuple(patient for patient in patients if patient is not None),
        )


def only(types: set[str]) -> str | None:
    """The one type there is; None of several or none."""
    return types.pop() if len(types) == 1 else None
