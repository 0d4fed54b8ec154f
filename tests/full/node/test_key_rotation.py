"""A running node's keys are changed, killed in the middle, and moved into a module."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import RunningNode, wait_until
from softhsm import PIN, Token, make_token

pytestmark = pytest.mark.slow


@pytest.fixture
def token(tmp_path: Path) -> Token:
    return make_token(tmp_path / "hsm", f"full-{secrets.token_hex(4)}")


@pytest.fixture
def node(passable_folder: Path, token: Token) -> Iterator[RunningNode]:
    # With the token, whose configuration the node's programs find in their environment.
    assert token.module.exists()
    made = RunningNode(passable_folder / "rotating", passable_folder / "programs")
    made.start()
    yield made
    made.run("node", "stop")
    shutil.rmtree(made.folder)


def put(node: RunningNode, start: int, count: int) -> None:
    entries = [
        {
            "resource": {"resourceType": "Patient", "id": f"p{number}"},
            "request": {"method": "PUT", "url": f"Patient/p{number}"},
        }
        for number in range(start, start + count)
    ]
    body = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    with node.client() as client:
        answer = client.post("/fhir", content=json.dumps(body))
        assert answer.status_code == 200, answer.text


def all_read(node: RunningNode, count: int) -> bool:
    with node.client() as client:
        return all(client.get(f"/fhir/Patient/p{n}").status_code == 200 for n in range(count))


def rows(node: RunningNode) -> list[list[str]]:
    done = node.run("keys", "status")
    assert done.returncode == 0, done.stderr
    keys = done.stdout.partition("root")[0]
    return [line.split() for line in keys.splitlines()[1:] if line.strip()[:1].isdigit()]


def is_settled(node: RunningNode, newest: str) -> bool:
    return all(count == "0" for number, count, *_ in rows(node) if number != newest)


def test_keys_are_rotated_under_load_and_moved_into_a_module(
    node: RunningNode, token: Token, tmp_path: Path
) -> None:
    put(node, 0, 400)
    done = node.run("keys", "rotate")
    assert "Key 2 wraps from now on" in done.stdout, done.stderr
    for process in node.state()["job_workers"]:
        os.kill(process, signal.SIGKILL)
    put(node, 400, 100)  # the workers were not told, and know
    wait_until(lambda: is_settled(node, "2"), "all wrapped by the second key")
    refused = node.run("keys", "retire", "2", "--yes")
    assert refused.returncode == 2
    assert "the one that wraps" in refused.stderr
    assert node.run("keys", "retire", "1", "--yes").returncode == 0
    assert not (node.folder / "keys" / "node-1.key").exists()
    assert all_read(node, 500)

    pin = tmp_path / "pin"
    pin.write_text(PIN)
    pin.chmod(0o600)
    module = {
        "KEYS_PORT": "pkcs11",
        "KEYS_PKCS11_MODULE": str(token.module),
        "KEYS_PKCS11_TOKEN": token.label,
        "KEYS_PKCS11_PIN_FILE": str(pin),
    }
    assert "stop it first" in node.run("keys", "move", **module).stderr
    node.stop()
    refused = node.run("node", "start", **module)
    assert "quanmin keys move" in refused.stderr
    done = node.run("keys", "move", **module)
    assert done.returncode == 0, done.stderr
    moved = RunningNode(node.folder, node.folder.parent / "programs", **module)
    moved.start()
    try:
        put(moved, 500, 10)
        wait_until(lambda: is_settled(moved, "3"), "all wrapped in the module")
        assert moved.run("keys", "retire", "2", "--yes").returncode == 0
        moved.stop()
        shutil.rmtree(moved.folder / "keys")
        moved.start()
        assert all_read(moved, 510)
    finally:
        moved.stop()


def test_the_cipher_suite_of_a_running_node_changes_and_its_log_stays_whole(
    node: RunningNode, tmp_path: Path
) -> None:
    put(node, 0, 120)
    earlier, proof = tmp_path / "earlier.pem", tmp_path / "proof.json"
    earlier.write_text(node.run("log", "key").stdout)
    head = json.loads(node.run("log", "heads", "--json").stdout)[0]
    proof.write_text(node.run("log", "prove", f"log-{head['lane']}-0").stdout)
    node.stop()
    changed = {"NODE_CIPHER_SUITE": "gm", "NODE_SIGNATURE_SUITE": "gm"}
    moved = RunningNode(
        node.folder, node.folder.parent / "programs", STORE_DATA_KEY_SECONDS_MAX="1", **changed
    )
    moved.start()
    put(moved, 100, 50)  # of those who were there some keep their key until then
    done = moved.run("keys", "rotate", "--data")
    assert "replaces all data keys" in done.stdout, done.stderr
    for process in moved.state()["job_workers"]:
        os.kill(process, signal.SIGKILL)
    assert all_read(moved, 150)
    wait_until(lambda: ", done, " in moved.run("keys", "status").stdout, "all sealed again")
    told = moved.run("keys", "status").stdout
    assert "an old one that is still needed: 0." in told
    unknown = moved.run("keys", "rotate", "--data", "--person", "Patient/nobody")
    assert "with a data key here" in unknown.stderr
    assert moved.run("keys", "rotate", "--data", "--person", "Patient/p1").returncode == 0
    wait_until(lambda: "1 bodies" in moved.run("keys", "status").stdout, "one person's as well")
    assert all_read(moved, 150)
    whole = moved.run("log", "verify")
    assert whole.returncode == 0, whole.stdout
    later = tmp_path / "later.pem"
    later.write_text(moved.run("log", "key").stdout)
    done = moved.run("log", "check", proof, "--key", later, "--known", earlier)
    assert "Proven" in done.stdout, done.stdout + done.stderr
    moved.stop()
    # And back: the node with its first settings.
    node.start()
    # What replaced one person's key may not have been done when the node stopped.
    wait_until(lambda: node.run("keys", "rotate", "--data").returncode == 0, "may begin again")
    put(node, 150, 10)
    assert all_read(node, 160)
    assert node.run("log", "verify").returncode == 0


def test_a_node_whose_module_signs_answers_signed_and_verified(
    node: RunningNode, token: Token, tmp_path: Path
) -> None:
    put(node, 0, 2)
    with node.client() as client:
        before = client.post("/fhir/Patient/p0/$sign").headers["Location"]
    node.stop()
    pin = tmp_path / "pin"
    pin.write_text(PIN)
    pin.chmod(0o600)
    inside = RunningNode(
        node.folder,
        node.folder.parent / "programs",
        KEYS_PORT="pkcs11",
        KEYS_SIGNING="module",
        KEYS_PKCS11_MODULE=str(token.module),
        KEYS_PKCS11_TOKEN=token.label,
        KEYS_PKCS11_PIN_FILE=str(pin),
        NODE_WORKERS="2",
    )
    done = inside.run("keys", "move")
    assert done.returncode == 0, done.stderr
    inside.start()
    try:
        put(inside, 2, 2)
        made = [before]
        for _ in range(4):  # by whichever worker answers
            with inside.client() as client:
                made.append(client.post("/fhir/Patient/p1/$sign").headers["Location"])
        for location in made * 2:
            with inside.client() as client:
                address = location.partition("/fhir/")[2].partition("/_history")[0]
                answer = client.get(f"/fhir/{address}/$verify-signature")
                assert answer.json()["parameter"][0] == {"name": "holds", "valueBoolean": True}
        whole = inside.run("log", "verify")
        assert whole.returncode == 0, whole.stdout
    finally:
        inside.stop()
