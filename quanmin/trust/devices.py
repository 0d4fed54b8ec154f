"""Devices on which somebody takes forms along to where there is no connection.

A device is its actor's and known by the public half of a key that never leaves it. What it sends
bears a signature by that key. Who has lost one, and who answers for security, revokes it: from then
on it is given nothing and nothing of it is taken, and it destroys what it holds when it next hears
of the node.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from quanmin.base.problems import (
    Conflict,
    Forbidden,
    Invalid,
    NotEnrolled,
    NotFound,
    OthersDevice,
    Revoked,
    Sentence,
)
from quanmin.trust.desk import Desk

if TYPE_CHECKING:
    from quanmin.base.database import Connection
    from quanmin.trust.guarding import Guarding

State = Literal["active", "revoked", "unknown"]
Receiving = Callable[["Connection"], Awaitable[None]]

_NUMBER_BYTES: Final = (
    32  # of P-256: a signature is two numbers (IEEE P1363, as WebCrypto makes it)
)
_COLUMNS: Final = (
    "d.device, d.actor, a.name as holder, d.name, d.enrolled_at, d.seen_at, d.taken_at,"
    " d.until_at, d.revoked_at"
)
# Whose account was closed is nobody who could send anything: the device is to forget as well.
_STATE: Final = """
    select d.revoked_at is not null or not a.is_active or coalesce(k.retired_at is not null, false)
    from trust.device d join trust.actor a on a.code = d.actor
    left join trust.account k on k.code = a.account where d.device = $1
"""
_OF_ACCOUNT: Final = """(select b.code from trust.actor b where b.code = $1
    or b.account = (select account from trust.actor where code = $1))"""
_OWN: Final = f"""
    select {_COLUMNS} from trust.device d join trust.actor a on a.code = d.actor
    where d.actor in {_OF_ACCOUNT} order by d.enrolled_at desc limit $2
"""  # noqa: S608 - constants of this program
_ALL: Final = f"""
    select {_COLUMNS} from trust.device d join trust.actor a on a.code = d.actor
    where (d.enrolled_at, d.device) < ($1, $2) order by d.enrolled_at desc, d.device desc limit $3
"""  # noqa: S608 - constants of this program
_ENROL: Final = """
    insert into trust.device (actor, name, key, enrolled_at, seen_at) values ($1, $2, $3, $4, $4)
    returning device
"""
_COUNT: Final = "select count(*) from trust.device where actor = $1 and revoked_at is null"
_SEEN: Final = """
    update trust.device set seen_at = greatest(seen_at, $2) where device = $1
    returning actor, key, revoked_at
"""
_REVOKE: Final = f"""
    update trust.device d set revoked_at = $3, revoked_by = $1
    where d.device = $2 and d.revoked_at is null and ($4 or d.actor in {_OF_ACCOUNT})
    returning device
"""  # noqa: S608 - constants of this program
_RECEIVE: Final = """
    insert into trust.receipt (submission, device, signature, received_at)
    values ($1, $2, $3, $4) on conflict (submission) do nothing returning submission
"""
# Whoever revokes the device meanwhile waits for what is stored, or is met here.
_HOLD: Final = "select revoked_at is not null from trust.device where device = $1 for share"
_LISTED_MAX: Final = 100
_EVER: Final = (1 << 63) - 1
_LAST: Final = UUID(int=(1 << 128) - 1)


class Device(msgspec.Struct, frozen=True):
    """A device as its owner and the security administrator see it. Moments are microseconds;
    `taken_at` is when it last took people along, `until_at` how long they may stay on it.
    """

    id: UUID
    actor: str
    holder: str
    name: str
    enrolled_at: int
    seen_at: int
    taken_at: int | None
    until_at: int | None
    revoked_at: int | None


class Held(msgspec.Struct, frozen=True):
    """A device that may ask, and the key by which it is known."""

    id: UUID
    key: bytes

    def refuse_unsigned(self, signature: bytes, said: bytes) -> None:
        """Raise Forbidden for what its key has not signed."""
        refuse_unsigned(self.key, signature, said)


def refuse_unsigned(key: bytes, signature: bytes, said: bytes) -> None:
    """Raise Invalid for what is no key of P-256, Forbidden for what the key has not signed."""
    try:
        known = load_der_public_key(key)
    except (ValueError, UnsupportedAlgorithm):
        known = None
    if not isinstance(known, ec.EllipticCurvePublicKey) or not isinstance(
        known.curve, ec.SECP256R1
    ):
        raise Invalid("the key of a device is one of P-256, as SubjectPublicKeyInfo")
    numbers = (signature[:_NUMBER_BYTES], signature[_NUMBER_BYTES:])
    # What is longer or shorter than two numbers makes a number that no signature of the curve has.
    first, second = (int.from_bytes(one, "big") for one in numbers)
    try:
        known.verify(encode_dss_signature(first, second), said, ec.ECDSA(SHA256()))
    except InvalidSignature:
        raise Forbidden("this does not bear the signature of the device") from None


async def state_of(guard: Guarding, device: UUID) -> State:
    """How a device stands. Told to whoever knows its id, which is random, and nobody else does: a
    device in the wrong hands is to hear that it is revoked also where nobody signs in on it.
    """
    async with guard.store.glancing() as connection:
        is_over = await connection.fetchval(_STATE, device)
    return "unknown" if is_over is None else "revoked" if is_over else "active"


class Devices(Desk):
    """The devices of the one who asks; of everybody's for the security administrator."""

    async def enrol(self, key: bytes, name: str, *, most: int) -> UUID:
        """A new device of the actor, of which they have at most so many. Raises Conflict."""
        self._refuse_applications()
        async with self._guard.store.glancing() as connection, connection.transaction():
            # Of two at once both would count what was there before.
            await connection.execute(
                "select from trust.actor where code = $1 for update", self._actor.code
            )
            if await connection.fetchval(_COUNT, self._actor.code) >= most:
                raise Conflict(Sentence("you have %(most)s devices: revoke one first", most=most))
            now = self._guard.now()
            made: UUID = await connection.fetchval(_ENROL, self._actor.code, name, key, now)
            await self._note_in(connection, "device-enrolled")
        self._notes.settle()
        return made

    async def own(self) -> Sequence[Device]:
        """Those of the asker's account, the newest first."""
        self._refuse_applications()
        async with self._guard.store.glancing() as connection:
            rows = await connection.fetch(_OWN, self._actor.code, _LISTED_MAX)
        return [Device(*row) for row in rows]

    async def everybodys(
        self, *, after: tuple[int, UUID] = (_EVER, _LAST), count: int
    ) -> Sequence[Device]:
        """All of the node, the newest first, after a moment of enrolment and an id."""
        await self._refuse_others()
        async with self._guard.store.glancing() as connection:
            rows = await connection.fetch(_ALL, *after, count)
        return [Device(*row) for row in rows]

    async def revoke(self, device: UUID, *, is_own: bool) -> None:
        """Revoke one's own, or (not `is_own`) anybody's. Raises NotFound for one that is not there,
        not the asker's, or revoked already.
        """
        self._refuse_applications()
        if not is_own:
            await self._refuse_others()
        async with self._guard.store.glancing() as connection, connection.transaction():
            now = self._guard.now()
            args = (self._actor.code, device, now, not is_own)
            if await connection.fetchval(_REVOKE, *args) is None:
                raise NotFound("there is no such device, or it was revoked before")
            await self._note_in(connection, "device-revoked")
        self._notes.settle()

    async def asking(self, device: UUID) -> Held:
        """The device that asks. Raises NotEnrolled for one nobody knows, Revoked, OthersDevice."""
        self._refuse_applications()
        async with self._guard.store.glancing() as connection:
            row = await connection.fetchrow(_SEEN, device, self._guard.now())
        if row is None:
            raise NotEnrolled("there is no such device: enrol it anew")
        if row["revoked_at"] is not None:
            await self._notes.note("take-along", None, "forbidden")
            raise Revoked("this device was revoked")
        if row["actor"] != self._actor.code:
            raise OthersDevice("this device was enrolled by somebody else, or in another post")
        return Held(device, row["key"])

    async def take_along(self, device: UUID, until: int) -> None:
        """Note that the device takes people along, until a moment, with all that was read for it
        in this request.
        """
        async with self._guard.store.glancing() as connection, connection.transaction():
            await connection.execute(
                "update trust.device set taken_at = $2, until_at = $3 where device = $1",
                device,
                self._guard.now(),
                until,
            )
            await self._note_in(connection, "take-along")
        self._notes.settle()

    async def is_received(self, submission: UUID, device: UUID) -> bool:
        """Whether this was stored. Raises Conflict where another device has sent it."""
        async with self._guard.store.glancing() as connection:
            found = await connection.fetchval(
                "select device from trust.receipt where submission = $1", submission
            )
        if found is not None and found != device:
            raise Conflict("another device has sent something under this id")
        return found is not None

    def receiving(self, submission: UUID, device: UUID, signature: bytes) -> Receiving:
        """What a transaction has to do that stores a submission: it fails with Conflict where that
        was stored before, and with Revoked where the device was revoked since it asked; so nothing
        is stored twice or too late. The signature is kept as its hash, which says nothing of what
        was signed.
        """
        at, digest = self._guard.now(), hashlib.sha256(signature).digest()

        async def receive(connection: Connection) -> None:
            if await connection.fetchval(_HOLD, device):
                raise Revoked("this device was revoked")
            if await connection.fetchval(_RECEIVE, submission, device, digest, at) is None:
                raise Conflict("this was stored before")

        return receive

    async def _note_in(self, connection: Connection, action: str) -> None:
        entry = self._notes.entry_of_keys(action, None, "ok", [])
        await self._notes.put_in(connection, [entry])

    async def _refuse_others(self) -> None:
        await self._refuse_entrusted()
        if self._actor.role != "security_administrator":
            raise Forbidden("the security administrator looks after everybody's devices")

    def _refuse_applications(self) -> None:
        if self._actor.scopes is not None:
            raise Forbidden("people look after their devices themselves")


def read_id(text: str) -> UUID | None:
    """The id that a text is; None for another text."""
    try:
        found: Any = UUID(text)
    except ValueError:
        return None
    return found if isinstance(found, UUID) and str(found) == text else None
