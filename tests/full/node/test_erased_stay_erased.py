"""An old backup is restored: whoever was erased since, and whatever was withdrawn, stays so."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from running import RunningNode

pytestmark = pytest.mark.slow


@pytest.fixture
def node(passable_folder: Path) -> Iterator[RunningNode]:
    made = RunningNode(
        passable_folder / "erasing",
        passable_folder / "programs",
        BACKUP_DIRECTORY=str(passable_folder / "kept"),
        BACKUP_ARCHIVE_SECONDS_MAX="2",
    )
    made.start()
    yield made
    made.run("node", "stop")
    shutil.rmtree(made.folder)
    shutil.rmtree(passable_folder / "kept")


def put(client: httpx.Client, type_: str, id_: str, **more: Any) -> None:
    body = json.dumps({"resourceType": type_, "id": id_, **more})
    answer = client.put(f"/fhir/{type_}/{id_}", content=body)
    assert answer.status_code in {200, 201}, answer.text


def consent(client: httpx.Client, id_: str, status: str) -> None:
    put(
        client,
        "Consent",
        id_,
        status=status,
        scope={"coding": [{"code": "patient-privacy"}]},
        category=[{"coding": [{"code": "59284-0"}]}],
        patient={"reference": "Patient/stays"},
        policy=[{"uri": "https://example.org/policy"}],
    )


def assert_held(node: RunningNode) -> None:
    with node.client() as client:
        assert client.get("/fhir/Patient/leaves").status_code == 410
        assert client.get("/fhir/Observation/of-the-erased").status_code == 410
        assert client.get("/fhir/Patient/stays").status_code == 200
        assert client.get("/fhir/Consent/given").json()["status"] == "inactive"
        assert client.get("/fhir/Consent/refused").json()["status"] == "rejected"
        assert client.get("/fhir/Consent/after").json()["status"] == "active"


def test_a_restored_old_backup_brings_back_nobody_erased_and_nothing_withdrawn(
    node: RunningNode, tmp_path: Path
) -> None:
    copy = tmp_path / "keys"
    assert node.run("backup", "--keys", copy).returncode == 0
    with node.client() as client:
        put(client, "Patient", "stays")
        put(client, "Patient", "leaves")
        put(
            client,
            "Observation",
            "of-the-erased",
            status="final",
            code={"text": "pulse"},
            subject={"reference": "Patient/leaves"},
        )
        consent(client, "given", "active")
        consent(client, "after", "active")
    assert node.run("backup").returncode == 0
    moment = datetime.now(UTC).isoformat()
    time.sleep(0.05)
    refused = node.run("erase", "Observation/of-the-erased", "--yes")
    assert refused.returncode == 2
    assert "is no Patient" in refused.stderr
    done = node.run("erase", "Patient/leaves", "--yes")
    assert done.returncode == 0, done.stderr
    assert "Erased: 2 records" in done.stdout
    assert "nothing is known" in node.run("erase", "nobody", "--yes").stderr
    with node.client() as client:
        consent(client, "given", "inactive")
        consent(client, "refused", "rejected")
    node.stop()

    done = node.run("restore", "--to", moment)
    assert done.returncode == 0, done.stderr
    node.start()
    assert_held(node)
    whole = node.run("log", "verify")
    assert whole.returncode == 0, whole.stdout
    assert "the database was put back to " in whole.stdout
    with node.client() as client:
        given = client.get("/fhir/Consent/given").json()["meta"]["versionId"]
        assert given == "1000001"
    node.stop()

    # The disk is lost, and with it the ledger that stood beside the database.
    shutil.rmtree(node.folder)
    assert node.run("restore", "--keys", copy).returncode == 0
    done = node.run("restore", "--to", moment)
    assert done.returncode == 0, done.stderr
    # A command that reaches the database of a stopped node finds it so, too.
    done = node.run("export", tmp_path / "out", "--type", "Patient")
    assert done.returncode == 0, done.stderr
    out = "".join(path.read_text() for path in (tmp_path / "out").glob("*.ndjson"))
    assert "stays" in out
    assert "leaves" not in out
    node.start()
    assert_held(node)
