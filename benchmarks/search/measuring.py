"""Asks a node one shape again and again: warm over four connections and over one, and cold."""

from __future__ import annotations

import os
import random
import statistics
import time
from pathlib import Path
from urllib.parse import quote, urlencode

import generator
import httpx
from figures import percentile
from generator import HOST
from node_under_test import NodeUnderTest

from search.facts import Facts
from search.results import Cold, Latencies, Measured
from search.shapes import Asked, Shape

CONNECTIONS = 4
WARM_REQUESTS = 400
ALONE_REQUESTS = WARM_REQUESTS // 2
COLD_REQUESTS = 20
_RUN_UP = 40
_LOOKED_AT = 12
_SECONDS_MAX = 40.0
# What is longer is asked by POST, as a client must.
_ADDRESS_MAX = 4_000


def warm(
    node: NodeUnderTest, facts: Facts, name: str, shape: Shape, number: int = WARM_REQUESTS
) -> Measured:
    """So many requests with other values each time, after a run-up; half as many one by one."""
    asked = _asked(facts, name, shape, number)
    requests = tuple(_request(node, *one) for one in asked)
    found = Measured()
    began = time.perf_counter()
    refused = _look(node, asked[:_LOOKED_AT], found)
    if refused:
        return Measured(refused=refused)
    # What takes very long is asked less often; how often is told.
    most = int(_SECONDS_MAX * _LOOKED_AT / (time.perf_counter() - began))
    requests = requests[: max(most, _LOOKED_AT)]
    _fire(node, requests[:_RUN_UP], CONNECTIONS)
    found.four = _fire(node, requests, CONNECTIONS)
    before = node.used()
    found.alone = _fire(node, requests[: len(requests) // 2], 1)
    spent = node.used().since(before)
    found.python_us = round(spent.python / found.alone.requests * 1e6)
    found.postgres_us = round(spent.postgres / found.alone.requests * 1e6)
    return found


def cold(node: NodeUnderTest, facts: Facts, name: str, shape: Shape) -> Cold:
    """The first requests one by one, after a restart with none of the node's files in memory."""
    asked = _asked(facts, f"cold {name}", shape, COLD_REQUESTS)
    node.stop()
    forget(node.places.directory)
    node.start()
    requests = tuple(_request(node, *one) for one in asked)
    report = generator.fire(generator.Plan(node.port, requests, 1))
    report.require(200)
    taken = report.latencies
    return Cold(
        len(taken),
        round(taken[0], 1),
        round(statistics.median(taken), 1),
        round(max(taken), 1),
    )


def requests_of(
    node: NodeUnderTest, facts: Facts, name: str, shape: Shape, number: int
) -> tuple[bytes, ...]:
    """The first so many requests of a shape, the same for the same records."""
    return tuple(_request(node, *one) for one in _asked(facts, name, shape, number))


def _asked(facts: Facts, name: str, shape: Shape, number: int) -> list[Asked]:
    facts.dice = random.Random(name)
    return [shape(facts) for _ in range(number)]


def forget(folder: Path) -> None:
    """Drop every file below from the system's cache, this node's only; it must be stopped."""
    os.sync()
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _fire(node: NodeUnderTest, requests: tuple[bytes, ...], connections: int) -> Latencies:
    report = generator.fire(generator.Plan(node.port, requests, connections))
    report.require(200)
    shares = (percentile(report.latencies, share) for share in (0.5, 0.95, 0.99))
    return Latencies(len(report.latencies), *(round(each, 1) for each in shares))


def _look(node: NodeUnderTest, asked: list[Asked], found: Measured) -> str:
    """How large the answers are, and what a refusal says."""
    hits, totals, size = [], [], []
    base = f"http://{HOST}:{node.port}/fhir"
    headers = {"authorization": f"Bearer {node.token('operator')}"}
    with httpx.Client(headers=headers, timeout=120) as client:
        for type_, pairs in asked:
            answer = client.post(f"{base}/{type_}/_search", data=dict(_merged(pairs)))
            if answer.status_code != 200:
                return f"{answer.status_code}: {answer.json()['issue'][0]['diagnostics']}"
            hits.append(len(answer.json().get("entry", [])))
            totals.append(answer.json().get("total", 0))
            size.append(len(answer.content))
    found.hits, found.total = round(statistics.mean(hits), 1), round(statistics.mean(totals), 1)
    found.bytes = round(statistics.mean(size))
    return ""


def _merged(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    merged: dict[str, list[str]] = {}
    for name, value in pairs:
        merged.setdefault(name, []).append(value)
    return merged


def _request(node: NodeUnderTest, type_: str, pairs: list[tuple[str, str]]) -> bytes:
    token, asked = node.token("operator"), urlencode(pairs, quote_via=quote)
    if len(asked) <= _ADDRESS_MAX:
        return generator.get(node.port, f"/fhir/{type_}?{asked}", token)
    headers = f"authorization: Bearer {token}\r\naccept: application/fhir+json\r\n"
    kind = "application/x-www-form-urlencoded"
    return generator.post(node.port, f"/fhir/{type_}/_search", headers, kind, asked.encode())
