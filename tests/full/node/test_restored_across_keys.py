"""A backup is restored from before the suite changed and keys were replaced and destroyed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from running import RunningNode, wait_until

pytestmark = pytest.mark.slow
GM = {"NODE_CIPHER_SUITE": "gm", "NODE_SIGNATURE_SUITE": "gm"}


@pytest.fixture
def node(passable_folder: Path) -> Iterator[RunningNode]:
    made = _node(passable_folder)
    made.start()
    yield made
    made.run("node", "stop")
    shutil.rmtree(made.folder)
    shutil.rmtree(passable_folder / "kept")


def _node(folder: Path, **settings: str) -> RunningNode:
    return RunningNode(
        folder / "changing",
        folder / "programs",
        BACKUP_DIRECTORY=str(folder / "kept"),
        BACKUP_ARCHIVE_SECONDS_MAX="2",
        STORE_DATA_KEY_SECONDS_MAX="1",
        **settings,
    )


def put(node: RunningNode, *names: str) -> None:
    with node.client() as client:
        for name in names:
            body = json.dumps({"resourceType": "Patient", "id": name})
            answer = client.put(f"/fhir/Patient/{name}", content=body)
            assert answer.status_code in {200, 201}, answer.text


def statuses(node: RunningNode, *names: str) -> list[int]:
    with node.client() as client:
        return [client.get(f"/fhir/Patient/{name}").status_code for name in names]


def signed(node: RunningNode, name: str) -> str:
    with node.client() as client:
        answer = client.post(f"/fhir/Patient/{name}/$sign")
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])


def holds(node: RunningNode, provenance: str) -> bool:
    with node.client() as client:
        answer = client.get(f"/fhir/Provenance/{provenance}/$verify-signature")
        assert answer.status_code == 200, answer.text
        return bool(answer.json()["parameter"][0]["valueBoolean"])


def test_a_restore_goes_back_across_a_change_of_suite_and_of_keys(
    node: RunningNode, tmp_path: Path
) -> None:
    copy = tmp_path / "keys"
    assert node.run("backup", "--keys", copy).returncode == 0
    put(node, "stays", "leaves", "both")
    provenance = signed(node, "stays")
    assert node.run("backup").returncode == 0
    moment = datetime.now(UTC).isoformat()
    time.sleep(0.05)
    node.stop()

    changed = _node(node.folder.parent, **GM)
    changed.start()
    put(changed, "stays", "later", "both")
    assert changed.run("keys", "rotate").returncode == 0
    assert changed.run("keys", "rotate", "--data").returncode == 0
    for process in changed.state()["job_workers"]:
        os.kill(process, signal.SIGKILL)
    assert changed.run("erase", "Patient/leaves", "--yes").returncode == 0
    wait_until(lambda: ", done, " in changed.run("keys", "status").stdout, "all sealed again")
    wait_until(
        lambda: changed.run("keys", "retire", "1", "--yes").returncode == 0, "nothing needs key 1"
    )
    assert holds(changed, provenance)
    assert holds(changed, signed(changed, "stays"))
    assert changed.run("log", "verify").returncode == 0
    changed.stop()

    # What the backup holds is wrapped by the key that has been destroyed.
    done = changed.run("restore", "--to", moment)
    assert done.returncode == 0, done.stderr
    refused = changed.run("node", "start")
    assert refused.returncode == 2
    assert "wrapped by key 1 of the node, which is not there" in refused.stderr
    assert changed.run("restore", "--keys", copy).returncode == 0
    assert {path.name for path in (changed.folder / "keys").iterdir()} == {
        *("node-1.key", "node-2.key", "root.key")
    }
    changed.start()
    assert statuses(changed, "stays", "leaves", "both", "later") == [200, 410, 200, 404]
    assert holds(changed, provenance)
    whole = changed.run("log", "verify")
    assert whole.returncode == 0, whole.stdout
    assert "the database was put back to " in whole.stdout
    put(changed, "stays", "new")
    assert changed.run("keys", "rotate", "--data").returncode == 0
    wait_until(lambda: ", done, " in changed.run("keys", "status").stdout, "all sealed again")
    assert holds(changed, provenance)
    changed.stop()

    # And with its first settings again.
    node.start()
    assert statuses(node, "stays", "leaves", "both", "new") == [200, 410, 200, 200]
    assert holds(node, signed(node, "new"))
    assert node.run("log", "verify").returncode == 0
