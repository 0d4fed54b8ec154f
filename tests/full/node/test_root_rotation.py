"""The root of a running node's keys is replaced, killed in the middle, destroyed, and a backup from
before is restored.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from running import RunningNode, wait_until

pytestmark = pytest.mark.slow


@pytest.fixture
def node(passable_folder: Path) -> Iterator[RunningNode]:
    made = RunningNode(
        passable_folder / "rooted",
        passable_folder / "programs",
        BACKUP_DIRECTORY=str(passable_folder / "kept"),
        BACKUP_ARCHIVE_SECONDS_MAX="2",
    )
    made.start()
    yield made
    made.run("node", "stop")
    shutil.rmtree(made.folder)
    shutil.rmtree(passable_folder / "kept")


def put(node: RunningNode, *names: str) -> None:
    with node.client() as client:
        for name in names:
            number = {"system": "urn:numbers", "value": f"no-{name}"}
            body = json.dumps({"resourceType": "Patient", "id": name, "identifier": [number]})
            answer = client.put(f"/fhir/Patient/{name}", content=body)
            assert answer.status_code in {200, 201}, answer.text


def found(node: RunningNode, name: str) -> int:
    with node.client() as client:
        answer = client.get("/fhir/Patient", params={"identifier": f"urn:numbers|no-{name}"})
        assert answer.status_code == 200, answer.text
        return len(answer.json().get("entry", ()))


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


def exported(node: RunningNode) -> str:
    with node.client() as client:
        answer = client.get("/fhir/$export?_type=Patient", headers={"Prefer": "respond-async"})
        assert answer.status_code == 202, answer.text
        return str(answer.headers["Content-Location"])


def tells_of(node: RunningNode, address: str) -> bool:
    """Whether the export is told of, which opens what was asked."""
    with node.client() as client:
        return client.get(address).status_code in {200, 202}


def next_page(node: RunningNode) -> str:
    with node.client() as client:
        answer = client.get("/fhir/Patient?_count=1")
        links = {each["relation"]: each["url"] for each in answer.json()["link"]}
        return str(links["next"])


def page(node: RunningNode, address: str) -> int:
    with node.client() as client:
        return client.get(address).status_code


def roots(node: RunningNode) -> dict[str, str]:
    done = node.run("keys", "status")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.partition("root")[2].splitlines()
    split = [line.split() for line in lines]
    return {each[0]: each[1] for each in split if each and each[0].isdigit()}


def verified(node: RunningNode) -> str:
    done = node.run("log", "verify")
    assert done.returncode == 0, done.stdout
    return done.stdout


class Kept(msgspec.Struct):
    """What was given out under the first root."""

    provenance: str
    export: str
    link: str


def kept(node: RunningNode) -> Kept:
    put(node, "stays", "leaves", "both")
    assert node.run("erase", "Patient/leaves", "--yes").returncode == 0
    return Kept(signed(node, "stays"), exported(node), next_page(node))


def goes_on(node: RunningNode, what: Kept) -> None:
    """All of it is there, found, believed and verified."""
    assert holds(node, what.provenance)
    assert holds(node, signed(node, "stays"))
    assert tells_of(node, what.export)
    assert [found(node, name) for name in ("stays", "leaves", "later")] == [1, 0, 1]
    verified(node)


def rotate(node: RunningNode) -> None:
    done = node.run("keys", "rotate", "--root")
    assert "Root 2 seals from now on" in done.stdout, done.stderr
    for process in node.state()["job_workers"]:
        os.kill(process, signal.SIGKILL)
    # The workers were not told, and know.
    put(node, "later")
    wait_until(lambda: roots(node).get("1") == "0", "all sealed anew")


def retire(node: RunningNode, number: str, *more: str) -> str:
    """What it says when it refuses, "" when it is done."""
    done = node.run("keys", "retire", number, "--root", "--yes", *more)
    assert done.returncode == (2 if done.stderr else 0), done.stderr
    return done.stderr


def destroy(node: RunningNode) -> None:
    assert "open under root 1 only" in retire(node, "1")
    assert node.run("backup", "--keep", "1").returncode == 0
    wait_until(
        lambda: "open under root 1 only" not in retire(node, "1"), "what needs it is removed"
    )
    assert "work for another" in retire(node, "1")
    assert "is the one that seals" in retire(node, "2")
    assert "There is no root 7" in retire(node, "7")
    for wrong in (("rotate", "--root", "--data"), ("rotate", "--root", "--person", "Patient/both")):
        assert "has nothing to do with data keys" in node.run("keys", *wrong).stderr
    assert "Links are under roots" in node.run("keys", "retire", "1", "--cut-links").stderr
    assert retire(node, "1", "--cut-links") == ""
    assert sorted(path.name for path in (node.folder / "keys").iterdir()) == [
        *("node-1.key", "root-2.key")
    ]


def bring_back(node: RunningNode, copy: Path, old: Path) -> None:
    refused = node.run("restore", "--from", old)
    assert refused.returncode == 2
    assert "under root 1 of the node's keys, which is not there" in refused.stderr
    assert node.run("restore", "--keys", copy).returncode == 0
    assert sorted(path.name for path in (node.folder / "keys").iterdir()) == [
        *("node-1.key", "node-2.key", "root-2.key", "root.key")
    ]
    done = node.run("restore", "--from", old)
    assert done.returncode == 0, done.stderr


def test_the_root_is_replaced_destroyed_and_a_backup_from_before_comes_back(
    node: RunningNode, tmp_path: Path, passable_folder: Path
) -> None:
    copy, old, folder = tmp_path / "keys", passable_folder / "old", passable_folder / "kept"
    assert node.run("backup", "--keys", copy).returncode == 0
    what = kept(node)
    known = node.run("log", "key").stdout
    assert node.run("backup").returncode == 0
    wait_until((folder / "ledger").exists, "the ledger is copied")
    shutil.copytree(folder, old)

    rotate(node)
    goes_on(node, what)
    assert page(node, what.link) == 200
    destroy(node)
    assert page(node, what.link) == 400
    for _ in range(2):
        goes_on(node, what)
        node.stop()
        node.start()
    assert len(node.run("log", "key").stdout) > len(known)
    assert node.run("keys", "rotate").returncode == 0
    wait_until(lambda: node.run("keys", "retire", "1", "--yes").returncode == 0, "key 1 goes too")
    node.stop()

    # What the old folder holds opens under the root and the key of its time.
    bring_back(node, copy, old)
    shutil.rmtree(folder)
    node.start()
    assert statuses(node, "stays", "leaves", "both", "later") == [200, 410, 200, 404]
    assert [found(node, name) for name in ("stays", "leaves", "both")] == [1, 0, 1]
    assert holds(node, what.provenance)
    assert holds(node, signed(node, "both"))
    assert "the database was put back to " in verified(node)
    # The job is put in by itself: this database knew nothing of the second root.
    wait_until(lambda: roots(node).get("1") == "0", "all sealed anew once more")
    shutil.rmtree(old)
