"""Transaction bundles through the door: 32 connections, everything on."""

from __future__ import annotations

from itertools import islice

import copies
import generator
from figures import Figure, percentile
from node_under_test import Bench

CONNECTIONS = 32
_RESOURCES = 40_000
# Bundles that the bulk load has not brought, so that nothing is a repetition.
_SEED_APART = 1000


def measure(bench: Bench) -> list[Figure]:
    """Post bundles as one institution; every answer must be 200."""
    bench.say("making bundles")
    node, port = bench.node, bench.node.port
    token = node.token("demo-hospital-1")
    requests, count = [], 0
    for bundle in copies.bundles(bench.seed + _SEED_APART):
        requests.append(_transaction(port, token, bundle.body))
        count += bundle.resources
        if count >= min(_RESOURCES, bench.size):
            break
    generator.fire(generator.Plan(port, tuple(islice(requests, 4)), 4)).require(200)
    counted = sum(1 for _ in requests[4:])
    share = sum(len(request) for request in requests[4:]) / sum(map(len, requests))
    bench.say(f"posting {counted} bundles over {CONNECTIONS} connections")
    before, had = node.used(), node.resources()
    report = generator.fire(generator.Plan(port, tuple(requests[4:]), CONNECTIONS))
    report.require(200)
    spent, stored = node.used().since(before), node.resources() - had
    if not 0.5 < stored / (count * share) < 2:
        raise SystemExit(f"{stored} records from {count} resources")
    busy = f"generator {report.generator_seconds / report.elapsed_seconds:.0%} of a core"
    return [
        Figure("import_http.rate", round(stored / report.elapsed_seconds), "resources/s", busy),
        Figure("import_http.cpu_python", round(spent.python / stored * 1e6), "us/resource"),
        Figure("import_http.cpu_postgres", round(spent.postgres / stored * 1e6), "us/resource"),
        Figure("import_http.bundle_p50", round(percentile(report.latencies, 0.5)), "ms/bundle"),
        Figure("import_http.bundle_p99", round(percentile(report.latencies, 0.99)), "ms/bundle"),
        Figure("import_http.bundle_size", round(stored / counted), "resources/bundle"),
    ]


def _transaction(port: int, token: str, body: bytes) -> bytes:
    headers = f"authorization: Bearer {token}\r\nprefer: return=minimal\r\n"
    return generator.post(port, "/fhir", headers, "application/fhir+json", body)
