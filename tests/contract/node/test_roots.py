"""A root of the node's keys takes the place of another, whatever is sealed under that."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import pytest
from sealed import NOW, Written
from stores import open_context, reopen_context
from workers import at_work

from quanmin.base.crypto import suite_named
from quanmin.base.jobs import JobLimits, Kind, Worker, find
from quanmin.base.keys import FileKeys
from quanmin.base.node_keys import NodeKeys
from quanmin.base.problems import Conflict, Unusable
from quanmin.base.signing import KEY_ID_BYTES
from quanmin.base.spool import Spool
from quanmin.node import resealing
from quanmin.node.archive import BACKUP, SUFFIX
from quanmin.node.key_settings import KeySettings
from quanmin.node.resealing import SEALED, count_under, reseal_kind
from quanmin.node.roots import add_root, destroy_root, read_node_keys, ready_roots
from quanmin.node.sealed_file import sealed_file
from quanmin.node.settings_in_force import load_settings
from quanmin.records.keying import INDEX
from quanmin.records.ledger import ledger_file
from quanmin.records.rewrapping import begin_rewrapping, count_wrapped, rewrap_kind
from quanmin.trust import Notary
from quanmin.trust.log.entry import Place
from quanmin.trust.log.notary import SIGNING, Head
from quanmin.trust.notices import About, kernel_kinds, tell_account
from quanmin.trust.notices.sealing import seal, unseal
from quanmin.trust.signatures import Office, OwnAuthority, SignatureSettings

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
LIMITS = JobLimits(poll_seconds=0.1, turn_seconds=0.1, backoff_seconds=0.01)


@pytest.fixture(autouse=True)
def without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resealing, "_LINGER_SECONDS", 0.0)
    monkeypatch.setattr(resealing, "_PAUSE_SECONDS", 0.01)


class Rooted:
    """A node that has been started, as far as its roots go."""

    def __init__(self, pool: Pool, folder: Path) -> None:
        self.pool = pool
        self.folder = folder
        self.context = open_context(folder)
        self.settings = load_settings(given={"node.directory": str(folder)})
        self.written = Written(pool, self.context)

    @property
    def keys(self) -> FileKeys:
        """The keys as a process finds them that begins now."""
        return FileKeys(self.folder / "keys")

    async def start(self) -> NodeKeys:
        async with self.pool.acquire() as connection:
            return await ready_roots(connection, self.keys, NOW)

    async def write(self) -> int:
        """Something of everything; gives how much it is."""
        await self.written.write()
        [(root, count)] = (await count_under(self.pool)).items()
        assert root == 1
        return count

    async def read(self) -> None:
        """Everything opens in a process that begins now."""
        async with self.pool.acquire() as connection:
            keys = await read_node_keys(connection, self.keys)
        await self.written.read(reopen_context(self.folder, self.context, keys))

    async def rotate(self) -> int:
        """A second root; gives the number of the job."""
        async with self.pool.acquire() as connection:
            number, job = await add_root(connection, self.keys, NOW, "node")
        assert number == self.context.keys.roots()[-1]
        return job

    async def work_off(self, job: int, **limits: Any) -> Any:
        """What the job tells at its end."""
        ledger = ledger_file(self.folder / "ledger", self.context.keys)
        return await self.run(reseal_kind(self.context, ledger, KeySettings(**limits)), job)

    async def run(self, kind: Kind, job: int) -> Any:
        async with at_work(Worker(self.pool, [kind], LIMITS)):
            for _ in range(400):
                if (await find(self.pool, job)).state in {"done", "dead"}:
                    break
                await asyncio.sleep(0.05)
        found = await find(self.pool, job)
        assert found.state == "done", found.reasons
        return found.result

    async def destroy(self, *, cuts: bool = True) -> None:
        async with self.pool.acquire() as connection:
            keys = await read_node_keys(connection, self.keys)
            await destroy_root(connection, keys, self.settings, 1, NOW, cuts=cuts)


@pytest.fixture
async def node(pool: Pool, tmp_path: Path) -> Rooted:
    made = Rooted(pool, tmp_path)
    await made.start()
    return made


async def test_everything_is_sealed_anew_and_opens_when_the_old_root_is_destroyed(
    node: Rooted,
) -> None:
    count, keys = await node.write(), node.context.keys
    assert len({(one.table, one.column) for one in SEALED}) == count
    ledger = ledger_file(node.folder / "ledger", keys)
    ends = ledger.append([b"one", b"two"])
    job = await node.rotate()
    # A process that was open before seals under the new root.
    await node.written.tell("second")
    assert await count_under(node.pool) == {1: count, 2: 1}
    with pytest.raises(Conflict, match="2 entries of the ledger or its copy"):
        await node.destroy()
    result = await node.work_off(job, reseal_pages=1)
    assert result == {"sealed": count + 2, "unopened": 0}
    assert await count_under(node.pool) == {2: count + 1}
    assert [entry.end for entry in ledger.read()] == ends
    await node.destroy()
    assert node.keys.roots() == (2,)
    await node.start()
    await node.read()


async def test_what_follows_from_a_root_that_is_gone_stays_or_stays_believed(node: Rooted) -> None:
    keys = node.context.keys
    index, notary = keys.derive(INDEX), Notary(keys, "international", "n")
    authority = OwnAuthority(keys, notary.suite)
    office = Office(authority, SignatureSettings())
    head, certificate = notary.sign_head(Head(1, 0, bytes(32), 7)), authority.root
    mark = notary.mark(notary.hash, Place(1, 2), b"leaf")
    job = await node.rotate()
    # A process that was open before signs by the new root, and believes others that do.
    later = Notary(node.keys, "international", "n").sign_head(Head(1, 0, bytes(32), 8))
    assert notary.is_signed(later)
    signer = slice(1, 1 + KEY_ID_BYTES)
    mine = notary.sign_head(Head(1, 0, bytes(32), 9))
    assert mine.signature[signer] == later.signature[signer] != head.signature[signer]
    assert authority.root.key_id != certificate.key_id
    await node.work_off(job)
    await node.destroy()
    again = await node.start()
    # Who was open all the while knows what is gone, and what comes.
    node.keys.add_root(3)
    last = Notary(again, "international", "n").sign_head(Head(1, 0, bytes(32), 10))
    assert all(map(notary.is_signed, (head, later, last)))
    assert certificate.key_id in {one.key_id for one in office._believed()._roots}
    assert again.derive(INDEX) == index
    assert again.roots_of(SIGNING) == (1, 2, 3)
    believing = Notary(again, "international", "n")
    assert believing.is_signed(head)
    assert believing.is_signed(later)
    assert believing.mark(believing.hash, Place(1, 2), b"leaf") == mark
    believed = [one.key_id for one in OwnAuthority(again, notary.suite).roots()]
    assert {certificate.key_id, authority.root.key_id} < set(believed)
    assert len(believed) == len(set(believed))


async def test_it_goes_on_where_it_was_and_seals_nothing_twice(
    node: Rooted, monkeypatch: pytest.MonkeyPatch
) -> None:
    count, calls = await node.write(), 0
    sealing: Callable[..., Awaitable[tuple[int, int]]] = resealing._Resealing._seal

    async def failing(*arguments: Any) -> tuple[int, int]:
        nonlocal calls
        calls += 1
        done = await sealing(*arguments)
        if calls in {2, 5}:
            raise ConnectionError("ended before the step commits")
        return done

    job = await node.rotate()
    monkeypatch.setattr(resealing._Resealing, "_seal", failing)
    assert await node.work_off(job) == {"sealed": count, "unopened": 0}
    assert calls == count + 2
    await node.read()


async def test_writers_go_on_meanwhile_and_nothing_is_left_behind(node: Rooted) -> None:
    await node.write()
    for number in range(200):
        await node.written.tell(f"before {number}")
    ending = asyncio.Event()

    async def go_on() -> int:
        told = 0
        while not ending.is_set():
            await node.written.tell("meanwhile")
            # Rows go to other pages, behind the walk and before it.
            await node.pool.execute(
                "update trust.notice set seen_at = 1 where id % 7 = $1", told % 7
            )
            told += 1
        return told

    writing = asyncio.create_task(go_on())
    await node.work_off(await node.rotate(), reseal_pages=1, reseal_share=1.0)
    ending.set()
    told = await writing
    assert told > 5
    assert set(await count_under(node.pool)) == {2}
    rows = await node.pool.fetch("select words from trust.notice where words is not null")
    opened = [unseal(node.context, "words", row["words"]) for row in rows]
    assert opened.count(b"meanwhile") == told
    assert len(set(opened)) == 202


async def test_what_somebody_has_changed_is_counted_and_keeps_the_root(node: Rooted) -> None:
    count = await node.write()
    await node.pool.execute("update trust.contact set address = address || '\\x00'")
    result = await node.work_off(await node.rotate())
    assert result == {"sealed": count - 1, "unopened": 1}
    assert (await count_under(node.pool))[1] == 1
    with pytest.raises(Conflict, match="1 entries of the database are still under root 1"):
        await node.destroy()
    assert node.keys.roots() == (1, 2)


async def test_whoever_sealed_long_ago_cannot_write_what_nobody_could_open(node: Rooted) -> None:
    await node.write()
    words = seal(node.context, "words", b"sealed long ago")
    payload = await node.pool.fetchval("select payload from jobs.job where kind = 'export'")
    await node.work_off(await node.rotate())
    await node.destroy()
    kind = next(iter(kernel_kinds()))

    async def tell() -> None:
        await tell_account(node.pool, "li", NOW, kind, about=About(words=words))

    async def judge() -> None:
        await node.pool.execute("update trust.glass set opinion = $1", words)

    async def begin() -> None:
        await node.pool.execute(
            "insert into jobs.job (kind, owner, payload) values ('export', 'x', $1)", payload
        )

    for write in (tell, judge, begin):
        with pytest.raises(
            asyncpg.SerializationError, match="root of the node's keys that is destroyed"
        ):
            await write()


async def test_files_and_links_keep_a_root(node: Rooted) -> None:
    suite, backups, keys = suite_named("international"), node.folder / "kept", node.context.keys
    given = {"node.directory": str(node.folder), "backup.directory": str(backups)}
    node.settings = load_settings(given=given)
    backups.mkdir()
    with sealed_file(backups / f"one{SUFFIX}", keys.rooted(BACKUP), suite, level=1) as file:
        file.write(b"content")
    spool = Spool(node.folder / "imports", keys.rooted("spool"), suite, lambda: True)
    with spool.create() as waiting:
        waiting.add(b"line")
        waiting.finish()
    copy = ledger_file(backups / "ledger", keys)
    copy.append([b"one"])
    await node.work_off(await node.rotate())
    with pytest.raises(Conflict, match="1 entries of the ledger"):
        await node.destroy()
    assert copy.seal_anew() == 1
    with pytest.raises(Conflict, match="1 files that wait to be imported"):
        await node.destroy()
    assert spool.read(waiting.name, 0)[0] == b"line"
    spool.remove(waiting.name)
    with pytest.raises(Conflict, match=r"one\.sealed"):
        await node.destroy()
    (backups / f"one{SUFFIX}").unlink()
    with pytest.raises(Conflict, match=r"work for another 1,4\d\d minutes"):
        await node.destroy(cuts=False)
    backups.rename(node.folder / "unmounted")
    with pytest.raises(Unusable, match="is not there"):
        await node.destroy()
    (node.folder / "unmounted").rename(backups)
    await node.pool.execute("update node.root set made_at = made_at - 86400000000 where number = 2")
    await node.destroy(cuts=False)
    assert node.keys.roots() == (2,)


async def test_a_root_that_is_missing_or_anothers_is_noticed_before_anything_is_written(
    node: Rooted,
) -> None:
    await node.rotate()
    keys = node.folder / "keys"
    for name in ("root.key", "root-2.key"):
        (keys / name).rename(node.folder / name)
        with pytest.raises(Unusable, match="of the node's keys is not there"):
            await node.start()
        (node.folder / name).rename(keys / name)
    kept = (keys / "root-2.key").read_text()
    (keys / "root-2.key").write_text(f"{'ab' * 32}{kept.strip()[64:]}\n")
    with pytest.raises(Unusable, match="not those that this database was written with"):
        await node.start()
    (keys / "root-2.key").write_text(kept)
    # As after a restore: the database knows nothing of the root, and all is under the first.
    await node.pool.execute("delete from node.root where number = 2")
    await node.pool.execute("delete from jobs.job")
    await node.start()
    assert await node.pool.fetchval("select count(*) from jobs.job where kind = 'reseal'") == 1
    await node.start()
    assert await node.pool.fetchval("select count(*) from jobs.job where kind = 'reseal'") == 1


async def test_secrets_that_are_kept_are_wrapped_anew_with_the_rest(node: Rooted) -> None:
    kept = await count_wrapped(node.pool)
    assert kept[1] == await node.pool.fetchval("select count(*) from node.secret") > 0
    async with node.pool.acquire() as connection:
        _, job = await begin_rewrapping(connection, node.keys, "node")
    await node.run(rewrap_kind(node.context.codec), job)
    assert await count_wrapped(node.pool) == {2: kept[1]}
    node.keys.remove(1)
    assert (await node.start()).derive(INDEX) == node.context.derive(INDEX)
    # Another's secret in the place of one does not open.
    await node.pool.execute(
        "update node.secret set wrapped = (select wrapped from node.secret where purpose = $1)",
        "sign in",
    )
    with pytest.raises(Unusable, match="not those that this database"):
        await node.start()
