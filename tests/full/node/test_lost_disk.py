"""The disk is lost; what was acknowledged comes back, to the moment that was asked for."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from running import RunningNode, wait_until

from quanmin.base.keys import FileKeys
from quanmin.base.postgres import connect

pytestmark = pytest.mark.slow

_ARCHIVE_SECONDS_MAX = 2


@pytest.fixture
def node(passable_folder: Path) -> Iterator[RunningNode]:
    made = RunningNode(
        passable_folder / "lost",
        passable_folder / "programs",
        BACKUP_DIRECTORY=str(passable_folder / "backup"),
        BACKUP_ARCHIVE_SECONDS_MAX=str(_ARCHIVE_SECONDS_MAX),
    )
    made.start()
    yield made
    made.run("node", "stop")
    shutil.rmtree(made.folder)
    shutil.rmtree(passable_folder / "backup")


def write(client: httpx.Client, id_: str) -> None:
    body = json.dumps({"resourceType": "Organization", "id": id_, "name": id_})
    answer = client.put(f"/fhir/Organization/{id_}", content=body)
    assert answer.status_code == 201


def names(node: RunningNode) -> set[str]:
    with node.client() as client:
        found = client.get("/fhir/Organization", params={"_count": 1000}).json()
        return {entry["resource"]["id"] for entry in found.get("entry", ())}


def now() -> str:
    return datetime.now(UTC).isoformat()


def test_a_lost_disk_is_recovered_to_a_moment_between_two_writes(
    node: RunningNode, passable_folder: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "keys"
    assert node.run("backup", "--keys", copy).returncode == 0
    with node.client() as client:
        write(client, "before-the-backup")
        assert node.run("backup").returncode == 0
        write(client, "one")
        time.sleep(0.05)
        moment = now()
        time.sleep(0.05)
        write(client, "two")
    operator = node.token()
    wait_until(lambda: archived_after(passable_folder / "backup" / "wal", 2), "the archive")
    node.stop()

    shutil.rmtree(node.folder)
    assert "no key folder" in node.run("restore").stderr
    assert node.run("restore", "--keys", copy).returncode == 0
    done = node.run("restore", "--to", moment)
    assert done.returncode == 0, done.stderr
    node.start()
    assert names(node) == {"before-the-backup", "one"}
    assert node.token() == operator

    # Life goes on from there, and that can be brought back as well; so can what was left behind.
    with node.client() as client:
        write(client, "three")
    node.stop()
    done = node.run("restore")
    assert done.returncode == 0, done.stderr
    node.start()
    assert names(node) == {"before-the-backup", "one", "three"}
    assert len(list((node.folder / "postgres").glob("data.before-*"))) == 1


def test_the_backup_folder_alone_opens_nothing(
    node: RunningNode, passable_folder: Path, tmp_path: Path
) -> None:
    with node.client() as client:
        write(client, "Seldom-Name-Hospital")
    assert node.run("backup").returncode == 0
    node.stop()  # the rest of the log is archived
    kept = node.folder / "keys"
    secrets = [path.read_text().strip() for path in kept.glob("*.key")]
    looked_for = [
        b"Seldom-Name",
        node.token().encode(),
        *(form for key in secrets for form in (key.encode(), bytes.fromhex(key))),
    ]
    files = [path for path in (passable_folder / "backup").rglob("*") if path.is_file()]
    assert any(path.name.endswith(".sealed") for path in files)
    for path in files:
        content = path.read_bytes()
        assert not any(each in content for each in looked_for), path.name

    kept.rename(tmp_path / "keys")
    done = node.run("restore")
    assert done.returncode == 2
    assert "no key folder" in done.stderr
    FileKeys.create(kept)
    done = node.run("restore")
    assert done.returncode == 2
    assert "keys" in done.stderr
    shutil.rmtree(kept)
    shutil.copytree(tmp_path / "keys", kept)
    assert node.run("restore").returncode == 0


def test_of_many_backups_the_newest_are_kept_and_each_still_leads_to_the_end(
    node: RunningNode, passable_folder: Path
) -> None:
    folder = passable_folder / "backup"
    said = ""
    with node.client() as client:
        for name in ("one", "two", "three"):
            write(client, name)
            done = node.run("backup", "--keep", "2")
            assert done.returncode == 0, done.stderr
            said += done.stdout
        write(client, "four")
    assert said.count("Removed the backup") == 1
    assert "pieces of the log" in said
    bases = sorted((folder / "base").glob("*Z.json"))
    assert len(bases) == 2
    node.stop()
    for path in (folder / "base").glob(f"{bases[1].stem}*"):
        path.unlink()  # leaves the older of the two kept, which needs the most of the log
    done = node.run("restore")
    assert done.returncode == 0, done.stderr
    node.start()
    assert names(node) == {"one", "two", "three", "four"}


def archived_after(folder: Path, count: int) -> bool:
    return len(list(folder.glob("0*.sealed"))) > count


def test_what_was_archived_survives_the_loss_of_disk_and_memory(
    node: RunningNode, passable_folder: Path
) -> None:
    assert node.run("backup").returncode == 0
    keys = passable_folder / "keys-kept"
    shutil.copytree(node.folder / "keys", keys)
    with node.client() as client:
        write(client, "archived")
    time.sleep(_ARCHIVE_SECONDS_MAX + 3)  # the promise: the archive is at most this old
    state = node.state()
    for process in (state["process"], state["postgres"]):
        kill(process)
    wait_until(lambda: not Path(f"/proc/{state['postgres']}").exists(), "its end")
    shutil.rmtree(node.folder)

    node.folder.mkdir(mode=0o711)
    shutil.move(keys, node.folder / "keys")
    done = node.run("restore")
    assert done.returncode == 0, done.stderr
    node.start()
    assert names(node) == {"archived"}


def kill(process: int) -> None:
    os.kill(process, signal.SIGKILL)


def test_a_damaged_backup_is_refused_and_the_node_left_as_it_was(
    node: RunningNode, passable_folder: Path
) -> None:
    with node.client() as client:
        write(client, "here")
    assert node.run("backup").returncode == 0
    node.stop()
    path = next(
        each
        for each in (passable_folder / "backup" / "base").glob("*Z.sealed")
        if ".node" not in each.name
    )
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    done = node.run("restore")
    assert done.returncode == 2
    assert "damaged" in done.stderr
    path.with_name(path.name.replace(".sealed", ".node.sealed")).unlink()
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    done = node.run("restore")
    assert done.returncode == 2
    assert "is missing from the backup" in done.stderr
    node.start()
    assert names(node) == {"here"}


def test_a_moment_that_cannot_be_reached_is_said_so_and_the_node_left_as_it_was(
    node: RunningNode,
) -> None:
    early = now()
    assert node.run("backup").returncode == 0
    with node.client() as client:
        write(client, "since")
    node.stop()
    done = node.run("restore", "--to", early)
    assert done.returncode == 2
    assert "oldest backup was finished at" in done.stderr
    done = node.run("restore", "--to", "2099-01-01T00:00:00Z")
    assert done.returncode == 2
    assert "leave out --to" in done.stderr.replace("\n", " ")
    assert not list((node.folder / "postgres").glob("data.before-*"))
    node.start()
    assert names(node) == {"since"}


async def test_the_archive_stands_still_when_its_folder_is_gone_and_doctor_says_so(
    node: RunningNode, passable_folder: Path
) -> None:
    wal = passable_folder / "backup" / "wal"
    wal.rename(wal.with_name("away"))
    wal.write_text("in the way")
    with node.client() as client:
        write(client, "kept-on-the-nodes-own-disk")
    source = node.folder / "postgres"
    dsn = f"postgresql://quanmin@/quanmin?host={source / 'socket'}&passfile={source / 'passfile'}"
    connection = await connect(dsn)
    await connection.execute("select pg_switch_wal()")

    async def failures() -> int:
        return int(await connection.fetchval("select failed_count from pg_stat_archiver"))

    for _ in range(600):
        if await failures():
            break
        time.sleep(0.1)  # noqa: ASYNC251 - nothing else runs in this test
    assert await failures() > 0
    await connection.close()
    assert "not archived" in node.run("doctor").stdout
    wal.unlink()
    wal.with_name("away").rename(wal)
