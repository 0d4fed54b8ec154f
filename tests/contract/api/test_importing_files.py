"""`$import` of files that are named: in the folder of the node, and at origins."""

from __future__ import annotations

import gzip
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from .hall import (
    WAITING,
    Hall,
    begun,
    diagnostics,
    ndjson,
    observation,
    outcomes,
    parameters,
    patient,
)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with files of hospital A and of hospital B."""
    folder = tmp_path / "files"
    for code, number in (("hospital-a", 1), ("hospital-b", 2)):
        (folder / code).mkdir(parents=True)
        (folder / code / "patients.ndjson").write_bytes(ndjson(patient(number)))
    packed = gzip.compress(ndjson(observation(1, of=1), observation(2, of=1)))
    (folder / "hospital-a" / "observations.ndjson.gz").write_bytes(packed)
    return folder


async def test_files_of_the_nodes_folder_are_imported_in_any_order(hall: Hall, files: Path) -> None:
    client = hall.client("hospital-a", folder=files)
    asked = parameters(
        {"type": "Observation", "url": "observations.ndjson.gz"},
        {"type": "Patient", "url": (files / "hospital-a" / "patients.ndjson").as_uri()},
        storageDetail="file",
    )
    asked["parameter"][-3] = {
        "name": "storageDetail",
        "part": [{"name": "type", "valueCode": "file"}],
    }
    address = await begun(client, asked)
    async with hall.working(folder=files):
        told = await hall.done(client, address)
    assert [(each["type"], each["count"]) for each in told["output"]] == [
        ("Observation", 2),
        ("Patient", 1),
    ]
    assert told["output"][0]["inputUrl"] == "observations.ndjson.gz"
    found = await client.get("/Patient/p1/Observation?_summary=count")
    assert found.json()["total"] == 2


async def test_nobody_imports_the_files_of_another(hall: Hall, files: Path) -> None:
    client = hall.client("hospital-a", folder=files)
    other = files / "hospital-b" / "patients.ndjson"
    (files / "hospital-a" / "link.ndjson").symlink_to(other)
    named = ("../hospital-b/patients.ndjson", other.as_uri(), "link.ndjson", "/etc/passwd", "%00")
    (files / "hospital-a" / "circle").symlink_to(files / "hospital-a" / "circle")
    odd = ("http://[::1", "x" * 5000, "circle", "%ff", "a\nb", "file:///" + "x/" * 3000)
    for url in (*named, *odd, "none.ndjson", "file://elsewhere/x", "."):
        answer = await client.post(
            "/$import", content=json.dumps(parameters({"url": url})), headers=WAITING
        )
        assert answer.status_code in {400, 422}, url
        assert diagnostics(answer)
    assert await hall.house.pool.fetchval("select count(*) from jobs.job") == 0
    operator = hall.client(folder=files)
    asked = parameters({"url": "hospital-b/patients.ndjson"})
    async with hall.working(folder=files):
        told = await hall.done(operator, await begun(operator, asked))
    assert told["output"][0]["count"] == 1


async def test_a_file_holds_the_type_that_it_is_said_to(hall: Hall, files: Path) -> None:
    client = hall.client("hospital-a", folder=files)
    asked = parameters({"type": "Practitioner", "url": "patients.ndjson"})
    async with hall.working(folder=files):
        told = await hall.done(client, await begun(client, asked))
    assert told["output"] == []
    (found,) = outcomes(await client.get(told["error"][0]["url"]))
    assert "line 1 of patients.ndjson" in found["issue"][0]["diagnostics"]
    assert "Practitioner" in found["issue"][0]["diagnostics"]


class Server(http.server.BaseHTTPRequestHandler):
    """Another system that files are fetched from."""

    asked: ClassVar[list[str]] = []
    status: ClassVar[int] = 200

    def do_GET(self) -> None:
        self.asked.append(self.path)
        body = ndjson(*(patient(n) for n in range(300)))
        self.send_response(self.status)
        if self.status == 302:
            self.send_header("Location", "/elsewhere.ndjson")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving(status: int = 200) -> Iterator[tuple[str, list[str]]]:
    """Its origin, and the paths that were asked for."""
    asked: list[str] = []
    kind = type("Serving", (Server,), {"asked": asked, "status": status})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def test_a_file_of_a_named_origin_is_fetched(hall: Hall) -> None:
    with serving() as (origin, asked):
        limits: dict[str, Any] = {"origins": f"https://other.example {origin}"}
        client = hall.client("hospital-a", **limits)
        address = await begun(client, parameters({"url": f"{origin}/a/b.ndjson?x=1"}))
        async with hall.working(**limits):
            told = await hall.done(client, address)
    assert told["output"][0] == {
        "type": "Patient",
        "count": 300,
        "inputUrl": f"{origin}/a/b.ndjson?x=1",
    }
    assert asked == ["/a/b.ndjson?x=1"]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}.example/x",
        "http://127.0.0.1/x",
        "http://localhost:{port}/x",
        "http://user@127.0.0.1:{port}/x",
        "https://127.0.0.1:{port}/x",
        "http://[::1]:{port}/x",
        "ftp://127.0.0.1:{port}/x",
        "gopher://127.0.0.1:{port}/x",
        "//127.0.0.1:{port}/x",
    ],
)
async def test_nothing_is_fetched_from_elsewhere(hall: Hall, url: str) -> None:
    with serving() as (origin, asked):
        client = hall.client("hospital-a", origins=origin)
        body = parameters({"url": url.format(port=origin.rpartition(":")[2])})
        answer = await client.post("/$import", content=json.dumps(body), headers=WAITING)
    assert answer.status_code == 400
    assert diagnostics(answer)
    assert asked == []


async def test_a_redirect_is_not_followed(hall: Hall) -> None:
    with serving(302) as (origin, asked):
        client = hall.client("hospital-a", origins=origin)
        address = await begun(client, parameters({"url": f"{origin}/x.ndjson"}))
        async with hall.working(origins=origin):
            answer = await hall.over(client, address)
    assert (answer.status_code, "not followed" in diagnostics(answer)) == (422, True)
    assert asked == ["/x.ndjson"]


async def test_without_a_setting_nothing_is_read_or_fetched(hall: Hall, files: Path) -> None:
    client = hall.client("hospital-a")
    named = ("https://his.example/x", "patients.ndjson", (files / "hospital-a").as_uri())
    for url, setting in zip(named, ("imports.origins", *["imports.folder"] * 2), strict=True):
        body = json.dumps(parameters({"url": url}))
        answer = await client.post("/$import", content=body, headers=WAITING)
        assert (answer.status_code, setting in diagnostics(answer)) == (400, True)
