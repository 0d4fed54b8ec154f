"""Whatever is sent to a real node, it answers clearly: a 4xx, never a 5xx, in bounded memory."""

from __future__ import annotations

import json
import socket
import tarfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from running import RunningNode
from shared import archive

from quanmin.fhir.table import load_table

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("bad-input")]

MEBIBYTE = 1 << 20
MEMORY_BYTES_MAX = 160 * MEBIBYTE
SQL = "1' or 1=1; drop table records.record; --"
ANSWERED = {200, 400, 403, 404, 405, 406, 409, 410, 412, 413, 414, 415, 422, 431}


@pytest.fixture(scope="module")
def node(passable_folder: Path) -> Iterator[RunningNode]:
    """One worker, so that it is known whose memory to look at; quotas are another test's."""
    made = RunningNode(
        passable_folder / "bad-input",
        passable_folder / "programs",
        NODE_WORKERS="1",
        DOOR_CLIENT_REQUESTS_PER_SECOND="1000000",
        DOOR_CLIENT_BURST_REQUESTS="1000000",
    )
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def client(node: RunningNode) -> Iterator[httpx.Client]:
    with node.client() as opened:
        opened.put("/fhir/Basic/canary", content=b'{"resourceType":"Basic","id":"canary",'
                   b'"code":{"text":"here"}}').raise_for_status()  # fmt: skip
        yield opened


def faults(node: RunningNode) -> list[str]:
    """What the node's log says of requests that failed by its own fault."""
    lines = (node.folder / "node.log").read_text("utf-8").splitlines()
    return [line for line in lines if "Traceback" in line or '"status":5' in line.replace(" ", "")]


def memory_bytes(node: RunningNode) -> int:
    """What the worker holds now."""
    status = Path(f"/proc/{node.state()['workers'][0]}/status").read_text("ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def assert_clear(node: RunningNode, answer: httpx.Response) -> None:
    """An answer in FHIR's own words, without a fault of the node behind it."""
    assert answer.status_code in ANSWERED, answer.text[:500]
    if answer.status_code >= 400 and answer.content:
        outcome = answer.json()
        assert outcome["resourceType"] == "OperationOutcome"
        assert all(issue["diagnostics"] for issue in outcome["issue"])
    assert not faults(node)


# ---- fuzzed JSON ---------------------------------------------------------------------------------


@cache
def real_bundles() -> list[bytes]:
    """The first entries of some Synthea bundles."""
    found = []
    with tarfile.open(archive("synthea_r4_60.tar.xz")) as opened:
        for member in opened:
            content = opened.extractfile(member)
            if content is None:
                continue
            whole = json.loads(content.read())
            whole["entry"] = whole["entry"][:6]
            found.append(json.dumps(whole).encode())
            if len(found) == 8:
                break
    return found


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(allow_nan=False),
    st.text(max_size=20),
    st.just({}),
    st.just([]),
    st.just([None]),
    st.just({"reference": "urn:uuid:none"}),
)


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every member and item."""
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, child in items:
        yield (*at, key)
        yield from places(child, (*at, key))


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A real bundle with some members replaced, or some bytes."""
    raw: bytes = draw(st.sampled_from(real_bundles()))
    if draw(st.booleans()):
        changed = bytearray(raw)
        for _ in range(draw(st.integers(1, 4))):
            changed[draw(st.integers(0, len(changed) - 1))] = draw(st.integers(0, 255))
        return bytes(changed)
    whole = json.loads(raw)
    for _ in range(draw(st.integers(1, 3))):
        *path, last = draw(st.sampled_from(list(places(whole))))
        target = whole
        for key in path:
            target = target[key]
        target[last] = draw(JUNK)
    return json.dumps(whole).encode()


@pytest.mark.shared
@settings(
    max_examples=250,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_damaged_bundles_are_refused_or_stored_and_nothing_else(
    node: RunningNode, client: httpx.Client, data: st.DataObject
) -> None:
    body = data.draw(damaged())
    assert_clear(node, client.post("/fhir", content=body))


# ---- shapes that exhaust -------------------------------------------------------------------------

DEEP = 10_000
NESTED = {
    "arrays": b"[" * DEEP + b"]" * DEEP,
    "objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "extensions": (
        b'{"resourceType":"Basic","code":{"text":"x"},"extension":'
        + b'[{"url":"u","extension":' * DEEP
        + b"[]"
        + b"}]" * DEEP
        + b"}"
    ),
    "contained": b'{"resourceType":"Basic","contained":[' * DEEP + b"]}" * DEEP,
    "an endless opening": b"[" * (MEBIBYTE * 4),
}


@pytest.mark.parametrize("name", NESTED)
@pytest.mark.parametrize("address", ["/fhir/Basic", "/fhir"])
def test_nesting_without_end_is_refused(
    node: RunningNode, client: httpx.Client, name: str, address: str
) -> None:
    body = NESTED[name]
    if address == "/fhir":
        body = b'{"resourceType":"Bundle","type":"transaction","entry":[{"resource":%s,' % body
        body += b'"request":{"method":"POST","url":"Basic"}}]}'
    answer = client.post(address, content=body)
    assert 400 <= answer.status_code < 500
    assert_clear(node, answer)


@pytest.mark.parametrize("address", ["/fhir/Basic", "/fhir", "/fhir/Patient/_search"])
def test_a_hundred_megabytes_are_refused_in_bounded_memory(
    node: RunningNode, client: httpx.Client, address: str
) -> None:
    before = memory_bytes(node)
    peak = 0

    def stream() -> Iterator[bytes]:
        nonlocal peak
        yield b'{"resourceType":"Basic","code":{"text":"'
        for _ in range(100):
            yield b"a" * MEBIBYTE
            peak = max(peak, memory_bytes(node))

    kind = "application/x-www-form-urlencoded" if "_search" in address else "application/fhir+json"
    answer = client.post(address, content=stream(), headers={"content-type": kind})
    assert answer.status_code == 413
    assert peak - before < MEMORY_BYTES_MAX
    assert_clear(node, answer)


# ---- what is no text, no date, no address --------------------------------------------------------


@pytest.mark.parametrize(
    "text", [b"\xff\xfe", b"\xc3\x28", b"\xed\xa0\x80", b"\\ud800", b"\x00", b"\\u0000"]
)
def test_text_that_is_no_unicode_is_refused(
    node: RunningNode, client: httpx.Client, text: bytes
) -> None:
    answer = client.post(
        "/fhir/Basic", content=b'{"resourceType":"Basic","code":{"text":"%s"}}' % text
    )
    assert 400 <= answer.status_code < 500
    assert_clear(node, answer)


WRONG_MOMENTS = (
    "2026-02-30",
    "2026-13-01",
    "2026-01-01T10:00:00",
    "2026-01-01T10:00:00+25:00",
    "2026-01-01T10:00:00+08:60",
    "2026-01-01T10:00:00 Asia/Shanghai",
    "2026-01-01T24:00:01Z",
    "2026-01-01T10:00Z",
    "26-01-01",
    "٢٠٢٦-01-01",
    "99999-01-01",
)


@pytest.mark.parametrize("moment", WRONG_MOMENTS)
def test_moments_that_no_clock_shows_are_refused(
    node: RunningNode, client: httpx.Client, moment: str
) -> None:
    body = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "x"},
        "effectiveDateTime": moment,
    }
    answer = client.post("/fhir/Observation", content=json.dumps(body).encode())
    assert answer.status_code == 422
    assert_clear(node, answer)


@pytest.mark.parametrize("moment", [*WRONG_MOMENTS, "now", "", "gt", "ge2026-01-01T", "2026-1-1"])
@pytest.mark.parametrize("name", ["date", "_lastUpdated"])
def test_searches_for_such_moments_never_fail(
    node: RunningNode, client: httpx.Client, name: str, moment: str
) -> None:
    answer = client.get(f"/fhir/Observation?{urlencode([(name, moment)])}")
    if moment not in {"2026-01-01T10:00:00", "2026-01-01T10:00Z"}:  # searches may leave out more
        assert answer.status_code == 400
    assert_clear(node, answer)


# ---- SQL -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("type_", sorted(load_table().types))
def test_sql_in_every_parameter_finds_nothing_and_harms_nothing(
    node: RunningNode, client: httpx.Client, type_: str
) -> None:
    for name in load_table().types[type_].params:
        answer = client.get(f"/fhir/{type_}?{urlencode([(name, SQL), ('_count', '1')])}")
        assert answer.status_code in {200, 400}, f"{type_}?{name}: {answer.text[:300]}"
        assert not answer.json().get("entry")
    assert not faults(node)
    assert client.get("/fhir/Basic/canary").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        f"/fhir/{quote(SQL)}",
        f"/fhir/Patient/{quote(SQL, safe='')}",
        f"/fhir/Patient/1/_history/{quote(SQL, safe='')}",
        f"/fhir/Patient?{quote(SQL)}=1",
        f"/fhir/Patient?_sort={quote(SQL)}",
        f"/fhir/Patient?_include={quote(SQL)}",
        f"/fhir/Patient?_include=Patient:{quote(SQL)}",
        f"/fhir/Patient?_elements={quote(SQL)}",
        f"/fhir/Patient?_count={quote(SQL)}",
        f"/fhir/Patient?_total={quote(SQL)}",
        f"/fhir/Patient?name:{quote(SQL)}=1",
        f"/fhir/Patient/_history?_since={quote(SQL)}",
        f"/fhir/_page?link={quote(SQL)}",
        f"/fhir?_type={quote(SQL)}",
    ],
)
def test_sql_anywhere_else_in_an_address_is_refused(
    node: RunningNode, client: httpx.Client, path: str
) -> None:
    answer = client.get(path, headers={"prefer": "handling=strict"})
    assert 400 <= answer.status_code < 500, answer.text[:300]
    assert_clear(node, answer)


def test_headers_of_junk_are_answered(node: RunningNode, client: httpx.Client) -> None:
    for name in ("if-match", "if-none-match", "if-modified-since", "prefer", "accept"):
        for value in (SQL, "\xff\xfe", "a" * 4000, ";;;==", 'W/"x"'):
            raw = value.encode("latin-1")
            answer = client.get("/fhir/Basic/canary", headers={name.encode(): raw})
            assert_clear(node, answer)


def test_bytes_that_are_no_http_are_turned_away(node: RunningNode, client: httpx.Client) -> None:
    for raw in (b"\x00\xff" * 500 + b"\r\n\r\n", b"GET\r\n\r\n", b"POST /fhir HTTP/1.1\r\n" * 90):
        with socket.create_connection(("127.0.0.1", node.port), timeout=10) as wire:
            wire.sendall(raw + b"\r\n\r\n")
            wire.shutdown(socket.SHUT_WR)
            assert not wire.recv(100).startswith(b"HTTP/1.1 5")
    assert client.get("/fhir/Basic/canary").status_code == 200


def test_after_all_this_the_worker_is_as_small_as_it_was(
    node: RunningNode, client: httpx.Client
) -> None:
    body = NESTED["extensions"]
    client.post("/fhir/Basic", content=body)
    before = memory_bytes(node)
    worker = node.state()["workers"]
    for _ in range(300):
        client.post("/fhir/Basic", content=body)
        client.get(f"/fhir/Patient?{urlencode([('name', SQL)])}")
    assert memory_bytes(node) - before < 32 * MEBIBYTE
    assert node.state()["workers"] == worker
    assert not faults(node)
