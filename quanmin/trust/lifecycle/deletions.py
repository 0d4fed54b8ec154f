"""Deletes what is due, as one proposed and another confirmed, and certifies it.

A step erases a few source Patients as every erasure does: data keys, bodies, index and history;
what is not due any more, or held, is left. The certificate says what was deleted, by which clocks,
and the root of a Merkle tree over salted commitments to every record, signed by the key of the
access log; it stands in the ledger, so that a restore brings it back with the erasures.
"""

from __future__ import annotations

import hmac
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import asyncpg
import msgspec

from quanmin.base.database import Connection
from quanmin.base.jobs import Continue, Done, Job, Kind, put
from quanmin.base.merkle import Tree, leaf_hash
from quanmin.base.node_keys import kept_for
from quanmin.base.problems import Conflict, Forbidden, Invalid, NotFound
from quanmin.base.signing import PublicKey
from quanmin.records.context import ERASED
from quanmin.records.operation import Change
from quanmin.records.rid import bucket_of
from quanmin.records.rows import lock_clocks
from quanmin.trust.actors import Actor
from quanmin.trust.lifecycle.erasing import erase_patients_of
from quanmin.trust.lifecycle.retention import still_due
from quanmin.trust.lifecycle.retention_rules import retention_rules
from quanmin.trust.log import Notes
from quanmin.trust.log.notary import is_signed_by

if TYPE_CHECKING:
    from quanmin.trust.guarding import Guarding

DELETE: Final = "delete-due"
BY_SETTING: Final = "setting"
PATIENTS_A_STEP: Final = 20
_NODE: Final = Actor("node", "operator", "The node itself", "")
_CERTIFIED: Final = "certified"
_ROWS_A_TIME: Final = 10_000

_PROPOSE: Final = """
    insert into trust.deletion_item (deletion, patient, clock, records, state)
    select $1, d.patient, d.clock, d.records, 'waiting' from trust.retention_due d
    where not exists (
        select from trust.deletion_item i where i.patient = d.patient and i.state = 'waiting')
"""
_IS_DUE: Final = """
    select exists (select from trust.retention_due d where not exists (
        select from trust.deletion_item i where i.patient = d.patient and i.state = 'waiting'))
"""
_CONFIRM: Final = """
    update trust.deletion set confirmed_at = $2, confirmed_by = $3
    where deletion = $1 and confirmed_at is null returning deletion
"""
_HOLD_PROPOSED: Final = """
    select deletion from trust.deletion where deletion = $1 and confirmed_at is null for update
"""
_WAITING: Final = """
    select patient from trust.deletion_item where deletion = $1 and state = 'waiting'
    order by patient limit $2
"""
_LISTED: Final = """
    select d.deletion, d.proposed_at, d.proposed_by, d.confirmed_at, d.confirmed_by,
        d.content is not null as is_done, count(i.patient) as patients,
        count(*) filter (where i.state = 'deleted') as deleted,
        count(*) filter (where i.state = 'kept') as kept
    from trust.deletion d left join trust.deletion_item i using (deletion)
    group by d.deletion order by d.proposed_at
"""
# Erased records keep their keys and nothing else: what the tree is made of, in this order.
_ERASED_ROWS: Final = f"""
    select r.type, r.rid from records.record r
    join trust.deletion_item i on i.patient = r.patient
    where i.deletion = $1 and i.state = 'deleted' and r.flags & {ERASED} <> 0
    order by r.type, r.rid
"""  # noqa: S608 - constants of this program
_LEFT: Final = f"""
    select
        (select count(*) from records.record r
            join trust.deletion_item i on i.patient = r.patient
            where i.deletion = $1 and i.state = 'deleted'
                and (r.flags & {ERASED} = 0 or r.body is not null)) as records,
        (select count(*) from records.history h
            join trust.deletion_item i on i.patient = h.patient
            where i.deletion = $1 and i.state = 'deleted') as versions,
        (select count(*) from records.data_key k
            join trust.deletion_item i on i.patient = k.holder
            where i.deletion = $1 and i.state = 'deleted' and k.kind = 0
                and k.wrapped <> '') as keys
"""  # noqa: S608 - constants of this program


class Listed(msgspec.Struct, frozen=True):
    """A deletion and how far it is; moments are microseconds."""

    deletion: uuid.UUID
    proposed_at: int
    proposed_by: str
    confirmed_at: int | None
    confirmed_by: str | None
    is_done: bool
    patients: int
    deleted: int
    kept: int


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """What was deleted. `clocks` are (clock, Patients, records); `root` is over `records` leaves,
    hexadecimal, by the hash of `suite`.
    """

    form: str = "quanmin certificate of deletion 1"
    node: str
    deletion: str
    rules: str
    proposed: tuple[str, int]
    confirmed: tuple[str, int]
    finished: int
    clocks: tuple[tuple[str, int, int], ...]
    kept: int
    records: int
    suite: str
    root: str


class Signed(msgspec.Struct, frozen=True):
    """A certificate as it is handed out: the JSON that was signed, and the signature."""

    content: str
    signature: bytes

    def check(self, key: PublicKey) -> Certificate:
        """What it certifies. Raises Invalid when it is not what a node with this key signed."""
        if not is_signed_by(key, self.content.encode(), self.signature):
            raise Invalid("this certificate was not signed by this key, or was changed since")
        return msgspec.json.decode(self.content, type=Certificate)


class Finding(msgspec.Struct, frozen=True):
    """What is wrong with a certificate, or with what it says was deleted."""

    deletion: str
    reason: str


async def propose(connection: Connection, *, at: int, by: str) -> uuid.UUID:
    """Propose to delete what was found due, in the caller's transaction. Raises NotFound when
    nothing is.
    """
    if not await connection.fetchval(_IS_DUE):
        raise NotFound("nothing is due that is not proposed already: `quanmin retention run`")
    deletion = uuid.uuid4()
    await connection.execute(
        "insert into trust.deletion (deletion, proposed_at, proposed_by) values ($1, $2, $3)",
        *(deletion, at, by),
    )
    await connection.execute(_PROPOSE, deletion)
    return deletion


async def confirm(connection: Connection, deletion: uuid.UUID, *, at: int, by: str) -> int:
    """Confirm a deletion, in the caller's transaction, and have it done; gives the number of the
    job. Raises Forbidden for who proposed it, Conflict for one that is confirmed.
    """
    try:
        async with connection.transaction():
            found = await connection.fetchval(_CONFIRM, deletion, at, by)
    except asyncpg.CheckViolationError:
        raise Forbidden("who proposed a deletion does not confirm it: it needs another") from None
    if found is None:
        raise Conflict("there is no such deletion, or it is confirmed: `quanmin retention status`")
    return await put(connection, DELETE, {"deletion": str(deletion)}, owner=by, once=str(deletion))


async def withdraw(connection: Connection, deletion: uuid.UUID) -> None:
    """Take a proposal back, in the caller's transaction: what it names may be proposed again, and
    of the proposal there stays its entry in the access log. Raises Conflict for one that is
    confirmed, or not there.
    """
    if await connection.fetchval(_HOLD_PROPOSED, deletion) is None:
        raise Conflict("there is no such deletion, or it is confirmed: `quanmin retention status`")
    await connection.execute("delete from trust.deletion_item where deletion = $1", deletion)
    await connection.execute("delete from trust.deletion where deletion = $1", deletion)


async def delete_found(connection: Connection, now: int) -> None:
    """Propose and confirm what was found due, as a setting of the node has it."""
    try:
        deletion = await propose(connection, at=now, by=BY_SETTING)
    except NotFound:
        return
    await confirm(connection, deletion, at=now, by=BY_SETTING)


async def listed(connection: Connection) -> list[Listed]:
    """All deletions, the oldest first."""
    return [Listed(**row) for row in await connection.fetch(_LISTED)]


def delete_kind(guard: Guarding) -> Kind:
    """The kind of job that deletes."""

    async def step(connection: Connection, job: Job) -> Continue | Done:
        deletion = uuid.UUID(job.payload["deletion"])
        waiting = await connection.fetch(_WAITING, deletion, PATIENTS_A_STEP)
        done = job.done + len(waiting)
        if waiting:
            await _delete(guard, deletion, [row["patient"] for row in waiting])
            total = await connection.fetchval(
                "select count(*) from trust.deletion_item where deletion = $1", deletion
            )
            return Continue(done, done, total)
        content = await certify(guard, connection, deletion)
        if job.position != _CERTIFIED:
            return Continue(_CERTIFIED, job.done, job.total)
        # It is committed by now, and so can go to the ledger's file.
        if guard.store.ledger is not None:
            await guard.store.ledger.carry()
        return Done({"records": content.records, "root": content.root})

    return Kind(DELETE, step)


async def _delete(guard: Guarding, deletion: uuid.UUID, patients: Sequence[int]) -> None:
    """Erase those of these that are due still, and note of each what became of it, in one
    transaction: done again it finds nothing to do.
    """
    notes = Notes(guard.log, guard.now, _NODE, "HOPERAT", f"deletion-{deletion}")

    async def choose(connection: Connection) -> list[int]:
        # Whoever writes about them waits until this ends, and what has been written is seen here:
        # records before clocks, as writers take them.
        await connection.execute(
            "select from records.record where patient = any($1) order by rid for update",
            [*patients],
        )
        await lock_clocks(connection, {bucket_of(patient) for patient in patients})
        due = await still_due(connection, guard.store.context, patients, guard.now())
        chosen = sorted(one.patient for one in due)
        await connection.execute(
            "update trust.deletion_item set state = case when patient = any($3) then 'deleted'"
            " else 'kept' end where deletion = $1 and patient = any($2) and state = 'waiting'",
            *(deletion, [*patients], chosen),
        )
        return chosen

    async def also(_connection: Connection, _changes: Sequence[Change]) -> None:
        """The items say it already."""

    await erase_patients_of(guard, notes, choose, also)


async def certify(guard: Guarding, connection: Connection, deletion: uuid.UUID) -> Certificate:
    """Make the certificate of a deletion that is done, sign it and put it into the ledger, in the
    caller's transaction; the one there is when it was made before.
    """
    row = await connection.fetchrow(
        "select proposed_at, proposed_by, confirmed_at, confirmed_by, content"
        " from trust.deletion where deletion = $1 for update",
        deletion,
    )
    if row is None:
        raise NotFound("there is no such deletion")
    if row["content"] is not None:
        return msgspec.json.decode(row["content"], type=Certificate)
    secret = guard.store.context.keys.rooted(deletion_purpose(deletion)).newest()[1]
    root, records = await _root(guard, connection, deletion, secret)
    items = await connection.fetch(
        "select clock, count(*) as patients, sum(records) as records from trust.deletion_item"
        " where deletion = $1 and state = 'deleted' group by clock order by clock",
        deletion,
    )
    kept = await connection.fetchval(
        "select count(*) from trust.deletion_item where deletion = $1 and state = 'kept'", deletion
    )
    notary = guard.log.notary
    certificate = Certificate(
        node=notary.node,
        deletion=str(deletion),
        rules=retention_rules().definition.version,
        proposed=(row["proposed_by"], row["proposed_at"]),
        confirmed=(row["confirmed_by"], row["confirmed_at"]),
        finished=guard.now(),
        clocks=tuple((one["clock"], one["patients"], one["records"]) for one in items),
        kept=kept,
        records=records,
        suite=notary.suite.name,
        root=root.hex(),
    )
    content = msgspec.json.encode(certificate)
    signature = notary.sign(content)
    await connection.execute(
        "update trust.deletion set content = $2, signature = $3 where deletion = $1",
        *(deletion, content, signature),
    )
    patients = await connection.fetch(
        "select patient from trust.deletion_item where deletion = $1 and state = 'deleted'",
        deletion,
    )
    ledger = guard.store.ledger
    if ledger is not None:
        body = msgspec.msgpack.encode((content, signature))
        keys = [one["patient"] for one in patients]
        await ledger.note_certificate(connection, keys, certificate.finished, body)
    return certificate


async def signed(connection: Connection, deletion: uuid.UUID) -> Signed:
    """The certificate of a deletion, to be handed out. Raises NotFound for one not done."""
    row = await connection.fetchrow(
        "select content, signature from trust.deletion where deletion = $1", deletion
    )
    if row is None or row["content"] is None:
        raise NotFound("there is no such deletion, or it is not done: `quanmin retention status`")
    return Signed(row["content"].decode(), row["signature"])


async def bring_back(connection: Connection, patients: Sequence[int], body: bytes) -> None:
    """Put a certificate of the ledger into a restored database, in the caller's transaction."""
    content, signature = msgspec.msgpack.decode(body, type=tuple[bytes, bytes])
    told = msgspec.json.decode(content, type=Certificate)
    deletion = uuid.UUID(told.deletion)
    await connection.execute(
        "insert into trust.deletion (deletion, proposed_at, proposed_by, confirmed_at,"
        " confirmed_by, content, signature) values ($1, $2, $3, $4, $5, $6, $7)"
        " on conflict (deletion) do update set confirmed_at = excluded.confirmed_at,"
        " confirmed_by = excluded.confirmed_by, content = excluded.content,"
        " signature = excluded.signature",
        *(deletion, told.proposed[1], told.proposed[0], told.confirmed[1], told.confirmed[0]),
        *(content, signature),
    )
    await connection.execute(
        "insert into trust.deletion_item (deletion, patient, clock, records, state)"
        " select $1, patient, '', 0, 'deleted' from unnest($2::bigint[]) as patient"
        " on conflict (deletion, patient) do update set state = 'deleted'",
        *(deletion, [*patients]),
    )


async def verify(guard: Guarding, connection: Connection) -> tuple[int, list[Finding]]:
    """Check every certificate: its signature, its tree over what lies erased, and that nothing of
    those Patients is left. Gives how many there are, and what is wrong.
    """
    rows = await connection.fetch(
        "select deletion, content, signature from trust.deletion where content is not null"
        " order by proposed_at"
    )
    found: list[Finding] = []
    for row in rows:
        name = str(row["deletion"])
        if not guard.log.notary.has_signed(row["content"], row["signature"]):
            found.append(Finding(name, "the signature does not hold"))
            continue
        told = msgspec.json.decode(row["content"], type=Certificate)
        if told.deletion != name:
            found.append(Finding(name, "the certificate is of another deletion"))
        secrets = await kept_for(
            connection, guard.store.context.keys, deletion_purpose(row["deletion"])
        )
        trees = [
            await _root(guard, connection, row["deletion"], secret) for secret in secrets.values()
        ]
        if (told.root, told.records) not in {(root.hex(), count) for root, count in trees}:
            found.append(Finding(name, "what lies erased is not what was certified"))
        left = await connection.fetchrow(_LEFT, row["deletion"])
        found += [
            Finding(name, f"{left[what]} {what} of it are still there")
            for what in ("records", "versions", "keys")
            if left is not None and left[what]
        ]
    certified = await connection.fetchval(
        "select count(*) from records.ledger where kind = 'certificate'"
    )
    if certified > len(rows):
        found.append(Finding("", f"{certified - len(rows)} certificates of the ledger are missing"))
    return len(rows), found


def deletion_purpose(deletion: uuid.UUID) -> str:
    """What the key of the salts in a deletion's tree is derived for."""
    return f"deletion {deletion}"


async def _root(
    guard: Guarding, connection: Connection, deletion: uuid.UUID, key: bytes
) -> tuple[bytes, int]:
    """The tree over the erased records of a deletion: its root and how many leaves."""
    hash_ = guard.log.notary.hash
    tree, count = Tree(hash_), 0
    async for row in connection.cursor(_ERASED_ROWS, deletion, prefetch=_ROWS_A_TIME):
        named = f"{row['type']}/{row['rid']}".encode()
        salt = hmac.digest(key, named, "sha256")
        tree.append(leaf_hash(hash_, hash_(salt + named)))
        count += 1
    return tree.root(), count
