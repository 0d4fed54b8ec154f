"""Forms that somebody has begun and not sent: what stood in the fields, sealed, for who wrote it.

A draft is no record. It tells what its writer has typed and nothing that they were shown, so nobody
else is given it, and neither keeping nor finding it is an access to anybody's record: what the
form shows around it is read anew, through the guard, when it is gone on with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from quanmin.base.database import Connection, Database
from quanmin.base.node_keys import SealedColumn
from quanmin.base.problems import Conflict, Sentence, TooLarge
from quanmin.trust.actors import Actor
from quanmin.trust.guarding import Guarding

_PURPOSE: Final = "drafts"
SEALED: Final = (
    SealedColumn(
        "trust.draft", "sealed", _PURPOSE, lambda row: _bound(row["place"]), by=("place",)
    ),
)
_KEEP: Final = """
    insert into trust.draft (place, actor, proxy, patient, kept_at, sealed)
    select $1, $2, $3, $4, $5, $6
    where exists (select from trust.draft where place = $1)
        or (select count(*) from trust.draft where actor = $2 and proxy = $3) < $7
    on conflict (place) do update
        set patient = excluded.patient, kept_at = excluded.kept_at, sealed = excluded.sealed
    returning draft
"""
_LISTED: Final = """
    select draft, place, kept_at, sealed from trust.draft
    where actor = $1 and proxy = $2 order by kept_at desc, draft desc
"""
_FORGET_NUMBER: Final = """
    delete from trust.draft where actor = $1 and proxy = $2 and draft = $3 returning draft
"""


class Written(msgspec.Struct, frozen=True):
    """What is kept of a form: its address, its name by language, its fields as they were sent."""

    address: str
    titles: dict[str, str]
    fields: dict[str, list[str]]


class Draft(msgspec.Struct, frozen=True):
    """A form that was begun, and when it was kept last (microseconds)."""

    number: int
    kept_at: int
    written: Written


class Drafts:
    """What a node keeps of forms that were begun; each actor's, apart for whomever they act for."""

    def __init__(self, guard: Guarding) -> None:
        self._store = guard.store
        self._now = guard.now

    async def keep(
        self, actor: Actor, written: Written, patient: str, *, most: int, bytes_max: int
    ) -> None:
        """Keep a form, in the place of what was kept of it before. `patient` is the id of the
        Patient whom it is about, "" for none. Raises TooLarge, and Conflict for one more than the
        `most` that an actor may have.
        """
        context, place = self._store.context, self._place(actor, written.address)
        plain = msgspec.json.encode(written)
        if len(plain) > bytes_max:
            raise TooLarge(
                Sentence(
                    "this is not kept as a draft, which has at most %(bytes_max)s bytes: send it",
                    bytes_max=bytes_max,
                )
            )
        sealed = context.seal(_PURPOSE, plain, _bound(place))
        about = context.rid_of("Patient", patient) if patient else None
        row = place, actor.code, _proxy_of(actor), about, self._now(), sealed
        async with self._store.glancing() as connection:
            if await connection.fetchval(_KEEP, *row, most) is None:
                raise Conflict(
                    Sentence(
                        "this is not kept as a draft: you have begun %(most)s forms and not sent"
                        " them, so send one of them first, or throw it away",
                        most=most,
                    )
                )

    async def kept_at(self, actor: Actor, address: str) -> int | None:
        """When the form at an address was kept last; None where nothing is kept of it."""
        async with self._store.glancing() as connection:
            found: int | None = await connection.fetchval(
                "select kept_at from trust.draft where place = $1", self._place(actor, address)
            )
        return found

    async def find(self, actor: Actor, address: str) -> Written | None:
        """What is kept of the form at an address; None for nothing."""
        place = self._place(actor, address)
        async with self._store.glancing() as connection:
            sealed = await connection.fetchval(
                "select sealed from trust.draft where place = $1", place
            )
        return None if sealed is None else self._open(place, sealed)

    async def listed(self, actor: Actor) -> Sequence[Draft]:
        """All of an actor's, the newest first."""
        async with self._store.glancing() as connection:
            rows = await connection.fetch(_LISTED, actor.code, _proxy_of(actor))
        return [
            Draft(row["draft"], row["kept_at"], self._open(row["place"], row["sealed"]))
            for row in rows
        ]

    async def count(self, actor: Actor) -> int:
        """How many an actor has."""
        async with self._store.glancing() as connection:
            count: int = await connection.fetchval(
                "select count(*) from trust.draft where actor = $1 and proxy = $2",
                actor.code,
                _proxy_of(actor),
            )
        return count

    async def forget(self, actor: Actor, address: str) -> None:
        """Remove what is kept of the form at an address."""
        place = self._place(actor, address)
        async with self._store.glancing() as connection:
            await connection.execute("delete from trust.draft where place = $1", place)

    async def forget_number(self, actor: Actor, number: int) -> bool:
        """Remove an actor's draft; whether there was one of this number."""
        async with self._store.glancing() as connection:
            found = await connection.fetchval(_FORGET_NUMBER, actor.code, _proxy_of(actor), number)
        return found is not None

    def _place(self, actor: Actor, address: str) -> str:
        said = f"{actor.code} {_proxy_of(actor)} {address}"
        return self._store.context.keying.pseudonym(_PURPOSE, said)

    def _open(self, place: str, sealed: bytes) -> Written:
        plain = self._store.context.unseal(_PURPOSE, sealed, _bound(place))
        return msgspec.json.decode(plain, type=Written)


async def forget_drafts(connection: Connection, patients: Sequence[int]) -> None:
    """Remove what was begun about these Patients, who are erased."""
    await connection.execute("delete from trust.draft where patient = any($1)", [*patients])


async def sweep_drafts(database: Database, before: int) -> None:
    """Remove what was kept last before a moment (microseconds)."""
    await database.execute("delete from trust.draft where kept_at < $1", before)


def _proxy_of(actor: Actor) -> int:
    return 0 if actor.acting is None else actor.acting.proxy


def _bound(place: str) -> bytes:
    return f"draft {place}".encode()
