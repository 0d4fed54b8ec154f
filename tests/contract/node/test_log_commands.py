"""`quanmin log` on a running node: what it says of a log that is whole, and of one that is not."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from running import RunningNode, wait_until

from quanmin.base.cluster import Cluster
from quanmin.base.postgres import connect

pytestmark = pytest.mark.slow

ORGANIZATION = '{"resourceType":"Organization","id":"%s","name":"第一医院"}'


@pytest.fixture(scope="module")
def node(passable_folder: Path) -> Iterator[RunningNode]:
    made = RunningNode(
        passable_folder / "node-log",
        passable_folder / "programs",
        NODE_WORKERS="1",
        ACCESS_LOG_CHECKPOINT_SECONDS="0.5",
    )
    made.start()
    with made.client() as client:
        for number in range(5):
            url = f"/fhir/Organization/org-{number}"
            assert client.put(url, content=(ORGANIZATION % f"org-{number}").encode()).status_code
            client.get(url)
    yield made
    made.stop()


def by_hand(node: RunningNode, statement: str) -> list[Any]:
    async def run() -> list[Any]:
        connection = await connect(Cluster(node.folder / "postgres").dsn())
        try:
            return list(await connection.fetch(statement))
        finally:
            await connection.close()

    return asyncio.run(run())


def test_a_running_node_signs_its_log_and_it_is_whole(node: RunningNode) -> None:
    wait_until(lambda: bool(by_hand(node, "select 1 from trust.checkpoint")), "a checkpoint")
    done = node.run("log", "verify", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert (found["findings"], found["entries"] >= 10) == ([], True)
    assert found["checkpoints"] >= 1
    assert "is whole" in node.run("log", "verify").stdout
    heads = json.loads(node.run("log", "heads", "--json").stdout)
    assert sum(head["size"] for head in heads) >= found["entries"]
    assert {path.stat().st_mode & 0o077 for path in (node.folder / "witness").iterdir()} == {0}


def test_an_entry_is_proven_to_who_has_nothing_but_the_key(
    node: RunningNode, tmp_path: Path
) -> None:
    (row,) = by_hand(node, "select lane, n from trust.access where action = 'read' limit 1")
    entry = f"log-{row['lane']}-{row['n']}"
    proof, key = tmp_path / "proof.json", tmp_path / "key.pem"
    proof.write_text(node.run("log", "prove", entry, "--open").stdout)
    key.write_text(node.run("log", "key").stdout)
    assert key.read_text().startswith("-----BEGIN PUBLIC KEY-----")
    done = node.run("log", "check", str(proof), "--key", str(key))
    assert (done.returncode, "Proven" in done.stdout) == (0, True), done.stdout
    proof.write_text(proof.read_text().replace("operator", "nobody"))
    done = node.run("log", "check", str(proof), "--key", str(key))
    assert (done.returncode, "NOT proven" in done.stdout) == (1, True)
    done = node.run("log", "prove", "log-20200101-7")
    assert (done.returncode, "no entry" in done.stderr) == (2, True)


def test_the_log_is_taken_out_as_auditevents_and_that_is_logged(
    node: RunningNode, tmp_path: Path
) -> None:
    target = tmp_path / "log.ndjson"
    done = node.run("log", "export", str(target), "--proofs")
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in target.read_text().splitlines()]
    assert {event["resourceType"] for event in events} == {"AuditEvent"}
    proofs = target.with_name("log.ndjson.proofs").read_text().splitlines()
    assert len(proofs) >= len(events) >= 10
    assert by_hand(node, "select 1 from trust.access where action = 'export' and actor = 'node'")
    assert target.stat().st_mode & 0o077 == 0
    assert node.run("log", "export", str(target)).returncode == 2
    key = serialization.load_pem_public_key(node.run("log", "key").stdout.encode())
    lanes: dict[int, dict[int, Any]] = {}
    for proof in map(json.loads, proofs):
        lanes.setdefault(proof["lane"], {})[proof["number"]] = proof
    assert all(is_whole(lane, key) for lane in lanes.values())
    lane = max(lanes.values(), key=len)
    lane[0]["entry"] = lane[0]["entry"].replace("operator", "nobody")
    assert not is_whole(lane, key)
    rest = tmp_path / "rest.ndjson"
    assert node.run("log", "export", str(rest), "--after", events[2]["id"]).returncode == 0
    again = [json.loads(line)["id"] for line in rest.read_text().splitlines()]
    assert [one["id"] for one in events[3:]] == [
        one for one in again if one in {e["id"] for e in events}
    ]
    later = tmp_path / "later.ndjson"
    assert node.run("log", "export", str(later), "--from", "2090-01-01").returncode == 0
    assert later.read_text() == ""


def is_whole(lane: dict[int, Any], key: Any) -> bool:
    """Whether the proofs of all entries of a lane give its signed root, by what the manual says
    alone: by nothing of this program.
    """
    head = max(lane.values(), key=lambda one: int(one["size"]))
    told = [head[name] for name in ("node", "lane", "size", "root", "at")]
    signed = json.dumps(["quanmin access log head 1", *told], separators=(",", ":"))
    r, s = (int(head["signature"][at : at + 64], 16) for at in (34, 98))
    key.verify(encode_dss_signature(r, s), signed.encode(), ec.ECDSA(hashes.SHA256()))
    leaves = []
    for number in range(head["size"]):
        one = lane[number]
        commitment = bytes.fromhex(one["commitment"])
        opened = bytes.fromhex(one["personal"]["salt"] + one["personal"]["named"])
        assert hashlib.sha256(opened).digest() == commitment
        leaves.append(one["entry"].encode() + commitment)
    return root_of(leaves).hex() == str(head["root"])


def root_of(entries: list[bytes]) -> bytes:
    """MTH of RFC 9162, 2.1.1."""
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    half = 1 << (len(entries) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + root_of(entries[:half]) + root_of(entries[half:])).digest()


def test_what_was_done_by_hand_is_named_and_the_exit_code_says_so(node: RunningNode) -> None:
    (row,) = by_hand(node, "select lane, n from trust.access where action = 'read' limit 1")
    by_hand(
        node,
        f"update trust.access set actor = 'somebody' where lane = {row['lane']} and n = {row['n']}",
    )
    done = node.run("log", "verify")
    assert done.returncode == 1
    assert f"{row['lane']}-{row['n']}" in done.stdout
    assert "changed" in done.stdout
    assert "NOT whole" in done.stdout
