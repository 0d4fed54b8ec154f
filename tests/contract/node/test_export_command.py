"""`quanmin export` and `quanmin load`: what was taken out of one node comes into another."""

from __future__ import annotations

import gzip
import json
import re
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from running import RunningNode, wait_until
from stores import observation, patient

NUMBER, NAMELESS = 1500, 3
_STAMP = re.compile(rb'"(versionId|lastUpdated)":"[^"]*",?')


def lines_of(folder: Path) -> list[bytes]:
    """The records in the files of an export, sorted."""
    found: list[bytes] = []
    for path in folder.glob("*.ndjson*"):
        content = path.read_bytes()
        found += (gzip.decompress(content) if path.suffix == ".gz" else content).splitlines()
    return sorted(found)


def without_stamps(lines: list[bytes]) -> list[bytes]:
    return sorted(_STAMP.sub(b"", line) for line in lines)


def write_records(path: Path) -> None:
    """Patients, some with results whose digits must stay, some of them laid out for people."""
    lines = []
    for number in range(NUMBER // 3):
        body = json.loads(patient(name="张伟")) | {"id": f"p-{number}"}
        lines.append(json.dumps(body, ensure_ascii=False))
        for place in range(2):
            text = observation(f"Patient/p-{number}", value=f"{number}.{place}00").decode()
            lines.append(text.replace("{", f'{{"id": "r-{number}-{place}", ', 1))
    # To these the node gives ids of its own.
    lines += ['{"resourceType":"Organization","name":"Hospital"}'] * NAMELESS
    path.write_text("\n".join(lines), encoding="utf-8")


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.gz"))


def _has_grown(folder: Path, size: int) -> bool:
    return size_of(folder) > size


@pytest.fixture(scope="module")
def node(passable_folder: Path) -> Iterator[RunningNode]:
    """A node with records, which runs."""
    opened = RunningNode(
        passable_folder / "export-from", passable_folder / "programs", NODE_WORKERS="1"
    )
    written = passable_folder / "records.ndjson"
    write_records(written)
    opened.start()
    done = opened.run("load", written)
    assert done.returncode == 0, done.stdout + done.stderr
    yield opened
    opened.stop()


@pytest.mark.slow
def test_what_is_exported_and_loaded_into_an_empty_node_is_the_same_to_the_digit(
    node: RunningNode, passable_folder: Path, tmp_path: Path
) -> None:
    done = node.run("export", tmp_path / "first", "--gzip")
    assert done.returncode == 0, done.stdout + done.stderr
    exported = lines_of(tmp_path / "first")
    assert len(exported) == NUMBER + NAMELESS
    assert any(b'"value":12.100' in line for line in exported)
    other = RunningNode(
        passable_folder / "export-to",
        passable_folder / "programs",
        NODE_ID_PREFIX="other-",  # as each node has its own
    )
    loaded = other.run("load", tmp_path / "first")
    assert loaded.returncode == 0, loaded.stdout + loaded.stderr
    done = other.run("export", tmp_path / "second")
    assert done.returncode == 0, done.stdout + done.stderr
    assert without_stamps(lines_of(tmp_path / "second")) == without_stamps(exported)
    manifest = json.loads((tmp_path / "second" / "manifest").read_text())
    assert {one["type"]: one["count"] for one in manifest["output"]} == {
        "Observation": NUMBER * 2 // 3,
        "Organization": NAMELESS,
        "Patient": NUMBER // 3,
    }
    assert (tmp_path / "second" / "Patient.1.ndjson").stat().st_mode & 0o077 == 0


@pytest.mark.slow
def test_an_interrupted_export_goes_on_and_nothing_is_lost_or_repeated(
    node: RunningNode, tmp_path: Path
) -> None:
    assert node.run("export", tmp_path / "whole").returncode == 0
    folder, options = tmp_path / "parts", ("--gzip",)
    small = {"EXPORT_STEP_RECORDS": "5"}
    for number, name in ((signal.SIGINT, "ctrl-c"), (signal.SIGKILL, "kill -9")):
        process = node.begin("export", folder, *options, **small)
        wait_until((folder / ".export.json").exists, name)
        size = size_of(folder)
        wait_until(partial(_has_grown, folder, size), name)
        process.send_signal(number)
        told, _ = process.communicate()
        assert process.returncode == (130 if number is signal.SIGINT else -signal.SIGKILL)
        assert number is signal.SIGKILL or "goes on" in told
    other = node.run("export", folder, "--type", "Patient")
    assert (other.returncode, "asked for otherwise" in other.stderr) == (2, True)
    done = node.run("export", folder, *options)
    assert done.returncode == 0, done.stderr
    assert lines_of(folder) == lines_of(tmp_path / "whole")
    assert not (folder / ".export.json").exists()


@pytest.mark.slow
def test_the_options_of_an_export_choose_what_is_written(node: RunningNode, tmp_path: Path) -> None:
    chosen = (
        ("--type", "Patient", "--elements", "name"),
        ("--patient", "Patient/p-7"),
        ("--type-filter", "Observation?_id=r-1-1", "--type", "Observation"),
        ("--actor", "resident"),
        ("--since", "2100-01-01"),
    )
    counts = []
    for number, options in enumerate(chosen):
        done = node.run("export", tmp_path / str(number), *options)
        assert done.returncode == 0, done.stdout + done.stderr
        counts.append(len(lines_of(tmp_path / str(number))))
    assert counts == [NUMBER // 3, 3, 1, NAMELESS, 0]
    assert b"gender" not in b"".join(lines_of(tmp_path / "0"))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--type", "Bird"), "Bird"),
        (("--since", "yesterday"), "_since"),
        (("--type-filter", "Patient?colour=red"), "colour"),
        (("--group", "nowhere"), "--group"),
        (("--patient", "Patient/nobody"), "--patient"),
        (("--actor", "nobody"), "nobody"),
    ],
)
def test_wrong_input_is_told_in_one_sentence(
    node: RunningNode, tmp_path: Path, options: tuple[str, ...], named: str
) -> None:
    done = node.run("export", tmp_path / "out", *options)
    assert (done.returncode, named in done.stderr) == (2, True), done.stderr
    assert "Traceback" not in done.stderr
    full = node.run("export", tmp_path.parent)
    assert (full.returncode, "not empty" in full.stderr) == (2, True)
