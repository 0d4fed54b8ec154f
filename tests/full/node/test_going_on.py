"""A node that goes on: over a renewal of its workers, and on a disk that is nearly full."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import httpx
import pytest
from running import RunningNode, wait_until

pytestmark = pytest.mark.slow

ORGANIZATION = '{"resourceType":"Organization","id":"%s","name":"第一医院"}'


def put_record(node: RunningNode, id_: str) -> int:
    with node.client() as client:
        url = f"/fhir/Organization/{id_}"
        return client.put(url, content=(ORGANIZATION % id_).encode()).status_code


def test_workers_are_renewed_without_a_pause(passable_folder: Path) -> None:
    node = RunningNode(passable_folder / "renewed", passable_folder / "programs")
    node.start()
    before = set(node.state()["workers"])
    os.kill(node.state()["process"], signal.SIGHUP)
    answers = set()

    def is_renewed() -> bool:
        answers.add(httpx.get(f"{node.address}/health", trust_env=False).status_code)
        return not before & set(node.state()["workers"])

    wait_until(is_renewed, "new workers")
    assert answers == {200}
    node.stop()


def test_a_disk_that_is_nearly_full_takes_no_writes_and_goes_on_reading(
    passable_folder: Path,
) -> None:
    node = RunningNode(passable_folder / "full", passable_folder / "programs")
    node.start()
    assert put_record(node, "early") == 201
    node.stop()
    narrow = RunningNode(node.folder, passable_folder / "programs", DISK_FREE_BYTES_MIN=str(2**62))
    narrow.start()
    assert put_record(narrow, "late") == 507
    with narrow.client() as client:
        assert client.get("/fhir/Organization/early").status_code == 200
    assert "writes are refused" in narrow.run("doctor").stdout
    narrow.stop()
