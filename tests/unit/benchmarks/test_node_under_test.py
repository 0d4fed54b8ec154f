"""Which program a measured node runs, and who asks it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import generator
import processes
import pytest
from node_under_test import NodeUnderTest

ROOT = Path(__file__).parents[3]


def test_a_node_of_another_tree_runs_that_tree_wherever_it_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python looks into the current folder before PYTHONPATH, and `make` is called in a tree."""
    package = tmp_path / "tree" / "quanmin" / "node"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "commands.py").write_text("open(__file__ + '.ran', 'w').close()\n")
    monkeypatch.chdir(ROOT)
    NodeUnderTest(tmp_path, tmp_path / "tree").run("--help")
    assert (package / "commands.py.ran").exists()


class _Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(404 if self.path == "/nothing" else 200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answering) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield server.server_port
        server.shutdown()
        serving.join()


def test_a_plan_is_carried_out_by_another_process_which_reports(port: int) -> None:
    requests = tuple(generator.get(port, path, "t") for path in ("/a", "/b", "/nothing"))
    report = generator.fire(generator.Plan(port, requests, 2))
    assert report.statuses == {200: 2, 404: 1}
    assert len(report.latencies) == 3
    assert 0 < report.generator_seconds < report.elapsed_seconds + 1
    with pytest.raises(SystemExit, match="expected 200 only"):
        report.require(200)


def test_two_are_asked_request_by_request_and_only_200_is_an_answer(port: int) -> None:
    good = [generator.get(port, "/a", "t")] * 3
    generator.in_turn((port, good), (port, good))
    with pytest.raises(SystemExit, match="expected 200 only, got 404: b'ok'"):
        generator.in_turn((port, good), (port, [*good[:2], generator.get(port, "/nothing", "t")]))


def test_processor_time_is_seen_in_less_than_hundredths_of_a_second() -> None:
    before = processes.used(os.getpid())
    end = time.process_time() + 0.004
    while time.process_time() < end:
        pass
    assert 0.004 <= processes.used(os.getpid()).since(before).python < 0.1
