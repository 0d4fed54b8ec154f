"""What `$export` takes: from the request until its files are ready."""

from __future__ import annotations

import time

from node_under_test import NodeUnderTest

from search.facts import client_of
from search.results import Bulk

TYPES = "Encounter,Procedure,Condition,Patient"
"""A tenth of all records, so that a large node is not asked for an hour."""
_POLL_SECONDS = 1.0


def export(node: NodeUnderTest) -> Bulk:
    """Export every record of some types; the files are removed afterwards."""
    headers = {"prefer": "respond-async", "accept": "application/fhir+json"}
    with client_of(node) as client:
        before, began = node.used(), time.perf_counter()
        asked = client.get("$export", params={"_type": TYPES}, headers=headers)
        if asked.status_code != 202:
            raise SystemExit(f"$export: {asked.status_code} {asked.text[:400]}")
        place = asked.headers["content-location"]
        while (answer := client.get(place)).status_code == 202:
            time.sleep(_POLL_SECONDS)
        elapsed, spent = time.perf_counter() - began, node.used().since(before)
        answer.raise_for_status()
        number = sum(each["count"] for each in answer.json()["output"])
        client.delete(place).raise_for_status()
    return Bulk(
        number,
        round(number / elapsed),
        round(spent.python / number * 1e6),
        round(spent.postgres / number * 1e6),
    )
