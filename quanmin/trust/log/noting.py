"""What one actor does in one request, as entries of the access log.

A request leaves one entry where it can; where it commits several times, or touches more than one
entry holds, the others say that they are parts of the first, and are read as one AuditEvent.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol, Self

import msgspec

from quanmin.base.database import Connection
from quanmin.base.once import ask_anew, asking_once
from quanmin.records.model import EntryOutcome, Stored
from quanmin.records.visibility import Facts
from quanmin.trust.actors import Actor
from quanmin.trust.log.entry import Access, Place
from quanmin.trust.log.notary import Head
from quanmin.trust.log.writing import AccessLog

Keys = tuple[int, int | None]
"""A record and its source Patient, by their keys: all that the access log keeps of them."""

_RECORDS_AN_ENTRY = 10_000
_BATCH = "batch"
ACTING = "proxy:"
"""Before the number of the proxy by which an entry's actor acts for another."""


class Reasons(Protocol):
    """The rules that decided, as an entry has them, and the transfers out of the country under
    which something is given.
    """

    @property
    def transfers(self) -> tuple[int, ...]:
        """By their numbers; none within the country."""

    def in_force(self, type_: str | None) -> str | None:
        """For what is not about one record, but about a type of them or (None) several."""

    def for_record(self, facts: Facts) -> str | None:
        """For what gave this record."""


class Together:
    """While it lasts, what the notes of one page tell waits, entry by entry as it came: it commits
    with what the page writes, and the rest at its end. A commit each would hold the page as long as
    a disk takes, and nothing is answered in between. What the page may do is asked `once`.
    """

    def __init__(self) -> None:
        self.lasts = False
        self._of: list[Notes] = []
        self._asking = asking_once()

    def take_in(self, notes: Notes) -> None:
        """These are of the page as well."""
        self._of.append(notes)

    async def __aenter__(self) -> Self:
        self.lasts = True
        self._asking.__enter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.lasts = False
        self._asking.__exit__(None, None, None)
        await asyncio.gather(*(notes.commit_waiting() for notes in self._of))


class Notes:
    """Makes the entries of one actor, one purpose and one request."""

    def __init__(
        self, log: AccessLog, now: Callable[[], int], actor: Actor, purpose: str, request_id: str
    ) -> None:
        """`now` gives microseconds since 1970-01-01T00:00Z."""
        self._log = log
        self._now = now
        self._actor = actor
        self.purpose = purpose
        self._request_id = request_id
        self._first: Place | None = None
        self._uncommitted: tuple[Place, Head] | None = None
        self._gathered: list[Access] | None = None
        self._together: Together | None = None
        # Of each request one list; and those that a transaction under way has taken along.
        self._waiting: list[list[Access]] = [[]]
        self._taken: list[list[Access]] = []
        self._reasons: Reasons | None = None

    def wait_with(self, together: Together | None) -> None:
        """What is noted while this lasts waits with it; the last that was said counts."""
        self._together = together
        if together is not None:
            together.take_in(self)

    @property
    def together(self) -> Together | None:
        """With what they wait."""
        return self._together

    def decided_by(self, reasons: Reasons | None) -> None:
        """The rules by which what is noted from now on was decided; None when by none."""
        self._reasons = reasons

    @property
    def _transfers(self) -> tuple[int, ...]:
        return () if self._reasons is None else self._reasons.transfers

    def begin_anew(self) -> None:
        """What follows is another request, or as good as one."""
        self._first = None
        self._waiting.append([])

    async def note(
        self,
        action: str,
        type_: str | None,
        outcome: str,
        versions: Sequence[Stored] = (),
        about: Sequence[int] = (),
    ) -> None:
        """Commit one entry about these versions, and about Patients (record keys) besides."""
        await self.put(_also_about(self.entry(action, type_, outcome, versions), about))

    async def note_reading(self, action: str, found: Stored) -> None:
        """Commit one entry about a version that was read by itself, and the rules that let it
        through.
        """
        facts = found.facts
        rules = "" if self._reasons is None else self._reasons.for_record(facts)
        keys = [(found.rid, facts.patient)]
        await self.put(self.entry_of_keys(action, found.type, "ok", keys, rules=rules))

    async def put(self, access: Access) -> None:
        """Commit an entry; while several are gathered, with the others."""
        if self._gathered is not None:
            self._gathered.append(access)
        else:
            await self._commit([access])

    async def _commit(self, accesses: Sequence[Access]) -> None:
        if self._together is not None and self._together.lasts and not self._transfers:
            self._waiting[-1] += self._parts(accesses)
            return
        place = await self._log.note(self._parts(accesses))
        self._first = self._first or place
        if self._transfers:
            await self._log.count_handed(None, self._transfers, _given(accesses))

    def _parts(self, accesses: Sequence[Access]) -> list[Access]:
        note = note_of(self._actor, is_batch=self._gathered is not None)
        return [
            msgspec.structs.replace(part, part_of=self._first, note=note)
            for access in accesses
            for part in _divided(access)
        ]

    async def put_in(self, connection: Connection, accesses: Sequence[Access]) -> Place:
        """Write entries in the caller's transaction, and give where the first stands; `settle` is
        told when it has committed.
        """
        parts = self._parts(accesses)
        self._give_back()
        self._taken, self._waiting = self._waiting, [[]]
        *earlier, last = self._taken
        head = await self._log.note_in(connection, [*filter(None, earlier), [*last, *parts]])
        if self._transfers:
            await self._log.count_handed(connection, self._transfers, _given(accesses))
        self._uncommitted = Place(head.lane, head.size - len(parts) - len(last)), head
        return Place(head.lane, head.size - len(parts))

    def settle(self) -> None:
        """What was put into a transaction has been committed, with what was waiting then."""
        if self._uncommitted is not None:
            place, head = self._uncommitted
            self._uncommitted = None
            self._taken = []
            self._first = self._first or place
            ask_anew()
            self._log.witness_all([head])

    async def commit_waiting(self) -> None:
        """Commit what waits."""
        self._give_back()
        several, self._waiting = [one for one in self._waiting if one], [[]]
        # Noted at the same moment, they share a commit.
        places = await asyncio.gather(*map(self._log.note, several))
        if places:
            self._first = self._first or places[-1]

    def _give_back(self) -> None:
        """What a transaction took along that came to nothing waits again."""
        if self._taken:
            *earlier, last = self._taken
            first, *later = self._waiting
            self._taken, self._waiting = [], [*earlier, [*last, *first], *later]

    @asynccontextmanager
    async def gathering(self) -> AsyncIterator[None]:
        """What is put meanwhile is committed in the end, whatever comes in between: one entry for
        all that was done alike and ended alike.
        """
        gathered = self._gathered = []
        try:
            yield
        finally:
            alike: dict[tuple[str, str], list[Access]] = {}
            for access in gathered:
                alike.setdefault((access.action, access.outcome), []).append(access)
            if alike:
                await self._commit([_joined(several) for several in alike.values()])
            self._gathered = None

    def entry(
        self, action: str, type_: str | None, outcome: str, versions: Sequence[Stored]
    ) -> Access:
        """An entry about these versions."""
        keys = [(version.rid, version.facts.patient) for version in versions]
        return self.entry_of_keys(action, type_, outcome, keys)

    def entry_of_answers(self, action: str, answers: Sequence[EntryOutcome]) -> Access:
        """An entry about all that answers of a Bundle give."""
        versions: list[Stored] = []
        for answer in answers:
            versions += [] if answer.stored is None else [answer.stored]
            versions += answer.counted
            if answer.hits is not None:
                versions += (*answer.hits.matches, *answer.hits.included)
            if answer.history is not None:
                versions += answer.history.versions
        type_ = only({version.type for version in versions})
        about = [rid for answer in answers for rid in answer.about]
        entry = _also_about(self.entry(action, type_, "ok", versions), about)
        single = [answer.stored for answer in answers if answer.stored is not None]
        if len(single) < len(versions):
            return entry
        return msgspec.structs.replace(entry, rules=self._rules_of(single) or entry.rules)

    def _rules_of(self, single: Sequence[Stored]) -> str | None:
        if self._reasons is None:
            return None
        each = [self._reasons.for_record(one.facts) for one in single]
        return _united(each)

    def entry_of_keys(
        self,
        action: str,
        type_: str | None,
        outcome: str,
        keys: Sequence[Keys],
        *,
        rules: str | None = None,
    ) -> Access:
        """An entry about the records of these keys; by the rules in force, unless `rules` are told
        ("" for none).
        """
        if rules is None and self._reasons is not None:
            rules = self._reasons.in_force(type_)
        patients = {patient for _, patient in keys}
        return Access(
            at=self._now(),
            request=self._request_id,
            actor=self._actor.code,
            role=self._actor.role,
            purpose=self.purpose,
            action=action,
            type=type_,
            outcome=outcome,
            hits=len(keys),
            records=tuple(rid for rid, _ in keys),
            patients=tuple(patient for patient in patients if patient is not None),
            rules=rules or None,
            client=self._actor.client or None,
        )


def _also_about(access: Access, patients: Sequence[int]) -> Access:
    if not patients:
        return access
    several = dict.fromkeys((*access.patients, *patients))
    return msgspec.structs.replace(access, patients=tuple(several))


def _given(accesses: Sequence[Access]) -> int:
    """How many records were given out."""
    return sum(access.hits for access in accesses if access.outcome == "ok")


def note_of(actor: Actor, *, is_batch: bool = False) -> str | None:
    """What an entry says besides, in words parted by spaces: that it is of a batch, and by which
    proxy of the register its actor acts for another.
    """
    acting = () if actor.acting is None else (f"{ACTING}{actor.acting.proxy}",)
    return " ".join((*((_BATCH,) if is_batch else ()), *acting)) or None


def _divided(access: Access) -> list[Access]:
    """The entry, or several that together name all of its records, and each the patients."""
    number = len(access.records)
    if number <= _RECORDS_AN_ENTRY:
        return [access]
    return [
        msgspec.structs.replace(
            access,
            hits=len(access.records[begin : begin + _RECORDS_AN_ENTRY]),
            records=access.records[begin : begin + _RECORDS_AN_ENTRY],
        )
        for begin in range(0, number, _RECORDS_AN_ENTRY)
    ]


def _joined(several: Sequence[Access]) -> Access:
    """One entry for several that were done alike."""
    patients = {patient for access in several for patient in access.patients}
    return msgspec.structs.replace(
        several[0],
        type=only({access.type for access in several}),
        hits=sum(access.hits for access in several),
        records=tuple(rid for access in several for rid in access.records),
        patients=tuple(patients),
        rules=_united([access.rules for access in several]),
    )


def _united(several: Sequence[str | None]) -> str | None:
    tokens = [token for rules in several for token in (rules or "").split()]
    return " ".join(dict.fromkeys(tokens)) or None


def only(types: set[str] | set[str | None]) -> str | None:
    """The one type there is; None of several or none."""
    return types.pop() if len(types) == 1 else None
