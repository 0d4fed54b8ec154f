"""Errands: jobs that a request began. They are done in the name of its actor, with the rights that
the actor has at each step, and told of to nobody else but operators.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from quanmin.base.database import Connection
from quanmin.base.jobs import Job, Listed, count_open, dismiss, find, list_jobs, put
from quanmin.base.node_keys import SealedColumn
from quanmin.base.problems import Forbidden, NotFound, Sentence, TooMany
from quanmin.trust.actors import Acting
from quanmin.trust.scopes import parse_scopes

if TYPE_CHECKING:
    from quanmin.records.context import Context
    from quanmin.trust.actors import Actor, Actors
    from quanmin.trust.guard import Guard, GuardedRecords
    from quanmin.trust.guarding import Guarding
    from quanmin.trust.log import Notes

_RETRY_SECONDS: Final = 60
_PURPOSE: Final = "errands"

Prepare = Callable[[Connection, int], Awaitable[None]]
"""What else the beginning of a job of this number writes, in the same transaction."""


class Mandate(msgspec.Struct, frozen=True):
    """What was asked: the address of the request, and what the kind of job makes of it."""

    address: str
    asked: Any


class _Payload(msgspec.Struct, frozen=True):
    """What stands in the register of jobs. A mandate can be personal and is sealed. An application
    that began it is held to the scopes that it had.
    """

    purpose: str
    request: str
    mandate: str
    client: str = ""
    scopes: str | None = None
    patient: int | None = None
    acting: Acting | None = None


class Errand(msgspec.Struct, frozen=True):
    """A job that a request began, the mandate of that request, and its purpose and id, by which the
    access log has what is done.
    """

    job: Listed
    mandate: Mandate
    purpose: str
    request: str


class Errands:
    """The errands of one actor, in one request."""

    def __init__(
        self, guard: Guarding, notes: Notes, actor: Actor, *, purpose: str, request_id: str
    ) -> None:
        self._standings = guard.standings
        self._store = guard.store
        self._notes = notes
        self._actor = actor
        self._purpose = purpose
        self._request_id = request_id

    async def begin(
        self, kind: str, mandate: Mandate, *, open_max: int, prepare: Prepare | None = None
    ) -> int:
        """Put the job in, with its entry in the access log; durable when this returns its number.

        Raises TooMany when the actor has `open_max` of the kind that have not ended, Stopped for
        whom the registers do not let act.
        """
        await self._standings.of(self._actor)
        owner = self._actor.code
        sealed = _seal(self._store.context, kind, owner, mandate)
        scopes = self._actor.scopes
        payload = _Payload(
            self._purpose,
            self._request_id,
            sealed,
            self._actor.client,
            None if scopes is None else str(scopes),
            self._actor.patient,
            self._actor.acting,
        )
        async with self._store.glancing() as connection, connection.transaction():
            # Two beginnings at the same moment must count each other.
            await connection.execute(
                "select pg_advisory_xact_lock(hashtextextended($1, 0))", f"errand {kind} {owner}"
            )
            if await count_open(connection, kind, owner) >= open_max:
                raise TooMany(
                    Sentence(
                        "you have %(open_max)s jobs of this kind that have not ended: wait for "
                        "them, or end them where their state is told",
                        open_max=open_max,
                    ),
                    retry_after_seconds=_RETRY_SECONDS,
                )
            number = await put(connection, kind, payload, owner=owner)
            if prepare is not None:
                await prepare(connection, number)
            entry = self._notes.entry_of_keys(kind, None, "begun", ())
            await self._notes.put_in(connection, [entry])
        self._notes.settle()
        return number

    async def find(self, number: int) -> Errand:
        """An errand of this actor, of anyone for an operator. Raises NotFound for one of somebody
        else, as for one that is not there or was dismissed, Stopped as `begin` does.
        """
        standing = await self._standings.of(self._actor)
        try:
            async with self._store.glancing() as connection:
                job = await find(connection, number)
        except NotFound:
            raise _unknown() from None
        is_of_node = self._actor.role == "operator" and not standing.party
        is_theirs = is_of_node or job.owner == self._actor.code
        if not is_theirs or not self._is_told(job):
            raise _unknown()
        return self._errand(job)

    def _is_told(self, job: Listed) -> bool:
        """Whether the actor may hear of a job that is theirs."""
        if job.is_cancel_asked or not is_errand(job.payload):
            return False
        return _is_within(self._actor, msgspec.convert(job.payload, _Payload))

    def _errand(self, job: Listed) -> Errand:
        payload = msgspec.convert(job.payload, _Payload)
        mandate = _open(self._store.context, job.kind, job.owner, job.payload)
        return Errand(job, mandate, payload.purpose, payload.request)

    async def listed(self, kind: str, *, count: int) -> list[Errand]:
        """The newest errands of a kind that this actor has begun and that were not ended. Raises
        Stopped as `begin` does.
        """
        await self._standings.of(self._actor)
        async with self._store.glancing() as connection:
            jobs = await list_jobs(connection, kind=kind, owner=self._actor.code, count=count)
        return [self._errand(job) for job in jobs if self._is_told(job)]

    async def dismiss(self, number: int) -> Errand:
        """End an errand: what is under way stops before its next step, and it is told of no more.
        Raises NotFound as `find` does.
        """
        errand = await self.find(number)
        async with self._store.glancing() as connection:
            await dismiss(connection, number)
        await self._notes.put(self._notes.entry_of_keys(errand.job.kind, None, "ended", ()))
        return errand


async def carry_on(guard: Guard, actors: Actors, job: Job) -> tuple[GuardedRecords, Mandate]:
    """For a step of an errand: the records as the one who began it may see and change them now, for
    the purpose stated then, and what was asked. Raises Forbidden when that actor was retired.
    """
    payload = msgspec.convert(job.payload, _Payload)
    actor = await actors.by_code(job.owner, client=payload.client, acting=payload.acting)
    if actor is None:
        raise Forbidden("whoever began this is not known to the node any more")
    if payload.scopes is not None:
        scopes = parse_scopes(payload.scopes)
        actor = msgspec.structs.replace(
            actor, client=payload.client, scopes=scopes, patient=payload.patient
        )
    records = guard.records(actor, purpose=payload.purpose, request_id=payload.request)
    return records, _open(guard.store.context, job.kind, job.owner, job.payload)


def _is_within(actor: Actor, payload: _Payload) -> bool:
    """Whether the one who asks may have all that an errand was begun with: of an application its
    own errands alone, and those of no wider scopes or of another patient.
    """
    if actor.role != "operator" and _proxy_of(actor) != _proxy_of(payload):
        return False
    if actor.scopes is None:
        return True
    return (
        payload.scopes is not None
        and payload.client == actor.client
        and payload.patient == actor.patient
        and actor.scopes.cover(parse_scopes(payload.scopes))
    )


def _proxy_of(one: Actor | _Payload) -> int | None:
    return None if one.acting is None else one.acting.proxy


def _unknown() -> NotFound:
    return NotFound("there is no such job, or it has been ended")


def is_errand(payload: Any) -> bool:
    """Whether a job with this payload was begun by a request."""
    return isinstance(payload, dict) and {"purpose", "request", "mandate"} <= payload.keys()


def _place(kind: str, owner: str) -> bytes:
    return f"errand {kind} {owner}".encode()


def _seal(context: Context, kind: str, owner: str, mandate: Mandate) -> str:
    sealed = context.seal(_PURPOSE, msgspec.json.encode(mandate), _place(kind, owner))
    return base64.b64encode(sealed).decode()


def _open(context: Context, kind: str, owner: str, payload: Any) -> Mandate:
    sealed = base64.b64decode(msgspec.convert(payload, _Payload).mandate)
    plain = context.unseal(_PURPOSE, sealed, _place(kind, owner))
    return msgspec.json.decode(plain, type=Mandate)


SEALED: Final = (
    SealedColumn(
        "jobs.job",
        "mandate",
        _PURPOSE,
        lambda row: _place(row["kind"], row["owner"]),
        by=("kind", "owner"),
        encoding="base64",
    ),
)
