"""`quanmin signature`: what was signed on a node is verified away from it, by its files alone."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import csr, pem
from running import RunningNode
from stores import observation

from quanmin.base.verifying import scheme_of, verify

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module", params=["international", "gm"])
def node(request: pytest.FixtureRequest, passable_folder: Path) -> RunningNode:
    opened = RunningNode(
        passable_folder / f"signing-{request.param}",
        passable_folder / "programs",
        NODE_SIGNATURE_SUITE=request.param,
        NODE_WORKERS="1",
    )
    opened.start()
    with opened.client() as client:
        for value in ("5.400", "6.100"):
            record = client.post("/fhir/Observation", content=observation(value=value)).json()
            answer = client.post(f"/fhir/Observation/{record['id']}/$sign")
            assert answer.status_code == 201, answer.text
    opened.stop()
    return opened


@pytest.fixture
def exported(node: RunningNode, tmp_path: Path) -> Path:
    """The files of an export; beside them `accepted`, with the node's own authority."""
    done = node.run("export", tmp_path / "out", "--type", "Observation", "--type", "Provenance")
    assert done.returncode == 0, done.stdout + done.stderr
    (tmp_path / "accepted").mkdir()
    written = node.run("signature", "authority")
    assert written.returncode == 0, written.stderr
    (tmp_path / "accepted" / "node.pem").write_text(written.stdout)
    return tmp_path


def verified(folder: Path) -> tuple[int, str]:
    """Exit code and what was said, by a program that knows nothing of the node."""
    files = sorted((folder / "out").glob("*.ndjson"))
    stranger = RunningNode(folder / "nowhere", folder / "none")
    done = stranger.run("signature", "verify", *files, "--certificates", folder / "accepted")
    assert not done.stderr or done.returncode, done.stderr
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_exported_documents_are_verified_without_the_node(exported: Path) -> None:
    code, said = verified(exported)
    assert code == 0, said
    assert said.count(": holds") == 2
    assert "the signing node's own stamp" in said

    (path,) = (exported / "out").glob("Observation*.ndjson")
    whole = path.read_text("utf-8")
    path.write_text(whole.replace("5.400", "5.4"), "utf-8")
    code, said = verified(exported)
    assert code == 1
    assert (said.count(": holds"), said.count("altered-document")) == (1, 1)
    path.write_text(whole, "utf-8")

    shutil.rmtree(exported / "accepted")
    (exported / "accepted").mkdir()
    code, said = verified(exported)
    assert (code, said.count(": holds"), "unknown-authority" in said) == (1, 0, True)


@pytest.mark.slow
def test_openssl_verifies_a_document_by_the_steps_of_the_manual(exported: Path) -> None:
    folder = exported / "out"
    signed = _first(folder, "Provenance")
    target = signed["target"][0]["reference"].split("/")[1]
    document = _first(folder, "Observation", target)
    (folder / "provenance.json").write_text(json.dumps(signed), "utf-8")
    (folder / "record.json").write_text(document["text"], "utf-8")
    is_gm = "SM2SM3" in base64.urlsafe_b64decode(
        base64.b64decode(signed["signature"][0]["data"]).split(b".")[0] + b"=="
    ).decode("utf-8", "replace")
    manual = (ROOT / "docs/how-to/signatures.md").read_text("utf-8")
    unpacking, steps = re.search(
        r"## Verify with other tools.*?```python\n(.*?)```.*?```bash\n(.*?)```", manual, re.DOTALL
    ).groups()  # type: ignore[union-attr]  # without it the manual is what is wrong
    (folder / "accepted.pem").write_bytes((exported / "accepted" / "node.pem").read_bytes())
    if is_gm:
        steps = steps.replace("-sha256", "-sm3 -sigopt distid:1234567812345678")
        steps = steps.replace("openssl verify", "openssl verify -vfyopt distid:1234567812345678")
        steps = re.sub("openssl ts .*", "true", steps)
    moment = str(int(datetime.fromisoformat(signed["signature"][0]["when"]).timestamp()))
    environment = {"PATH": os.environ["PATH"], "MOMENT": moment}
    script = "set -e\n" + steps

    def verify_by_hand() -> int:
        subprocess.run([sys.executable, "-c", unpacking], cwd=folder, check=True)
        return subprocess.run(
            ["/bin/sh", "-c", script], cwd=folder, env=environment, capture_output=True, check=False
        ).returncode

    assert verify_by_hand() == 0
    (folder / "record.json").write_text(document["text"].replace('"final"', '"amended"'), "utf-8")
    assert verify_by_hand() == 1


def _first(folder: Path, type_: str, id_: str = "") -> dict[str, Any]:
    """The first record of a type (and of this id) in the files, with its `text` as it stands."""
    for path in sorted(folder.glob(f"{type_}*.ndjson")):
        for line in path.read_text("utf-8").splitlines():
            record = json.loads(line)
            if record["id"] == id_ or not id_:
                return {**record, "text": line}
    raise AssertionError(f"no {type_} {id_}")


@pytest.mark.slow
def test_no_signature_and_no_folder_are_told(exported: Path) -> None:
    for path in (exported / "out").glob("Provenance*"):
        path.unlink()
    code, said = verified(exported)
    assert (code, "no signature" in said) == (1, True)
    shutil.rmtree(exported / "accepted")
    code, said = verified(exported)
    assert (code, "There is no folder" in said) == (2, True)


@pytest.mark.slow
def test_a_request_for_an_actors_key_is_written(node: RunningNode) -> None:
    done = node.run("signature", "request", "operator")
    assert done.returncode == 0, done.stderr
    kind, _, der = pem.unarmor(done.stdout.encode())
    assert kind == "CERTIFICATE REQUEST"
    asked = csr.CertificationRequest.load(der)
    body = asked["certification_request_info"]
    scheme = scheme_of(asked["signature_algorithm"]["algorithm"].dotted)
    assert scheme is not None
    verify(scheme, body["subject_pk_info"].dump(), body.dump(), asked["signature"].native)
    assert json.dumps(body["subject"].native, ensure_ascii=False).count("serial_number") == 1
    assert node.run("signature", "request", "nobody").returncode == 2
    told = node.run("signature", "fetch")
    assert (told.returncode, "nothing to fetch" in told.stderr) == (2, True)
