"""Whole patients' bundles go in while workers and database are killed: what was acknowledged is
there, what was not is whole or absent, and every index agrees with its records.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import random
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from running import RunningNode, wait_until
from shared import members

pytestmark = [pytest.mark.shared, pytest.mark.slow]

SENDERS = 8
KILLS = 8
SYSTEM = "https://github.com/synthetichealth/synthea"
_UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class Parcel:
    """One bundle of a person of its own, and what is in it."""

    def __init__(self, raw: bytes, number: int) -> None:
        self.body = _UUID.sub(lambda found: _other(found[0], number), raw)
        entries = json.loads(self.body)["entry"]
        self.types = Counter(entry["resource"]["resourceType"] for entry in entries)
        patient = next(e["resource"] for e in entries if e["resource"]["resourceType"] == "Patient")
        values = {one.get("system"): one["value"] for one in patient["identifier"]}
        self.person = f"{SYSTEM}|{values[SYSTEM]}"


def _other(uuid: bytes, number: int) -> bytes:
    digits = hashlib.blake2b(uuid + b"%d" % number, digest_size=16).hexdigest()
    parts = (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
    return "-".join(parts).encode()


def parcels() -> Iterator[Parcel]:
    """Bundles with a patient in them, without end and without repetition."""
    whole = [raw for _, raw in members("synthea_r4_60.tar.xz") if b'"Patient"' in raw]
    for number in itertools.count():
        for raw in whole:
            yield Parcel(raw, number)


class Import:
    """Sends parcels from several threads and remembers what was answered."""

    def __init__(self, node: RunningNode) -> None:
        self._node = node
        self._parcels = parcels()
        self._lock = threading.Lock()
        self.is_over = threading.Event()
        self.acknowledged: list[Parcel] = []
        self.unanswered: list[Parcel] = []
        self.statuses: Counter[int] = Counter()

    def run(self) -> list[threading.Thread]:
        threads = [threading.Thread(target=self._send_all) for _ in range(SENDERS)]
        for thread in threads:
            thread.start()
        return threads

    def wait_beyond(self, count: int) -> None:
        """Until more than so many parcels have been acknowledged."""
        wait_until(lambda: len(self.acknowledged) > count, "answers")

    def _send_all(self) -> None:
        with self._node.client("demo-hospital-1") as client:
            while not self.is_over.is_set():
                with self._lock:
                    parcel = next(self._parcels)
                self._send(client, parcel)

    def _send(self, client: httpx.Client, parcel: Parcel) -> None:
        try:
            status = client.post("/fhir", content=parcel.body).status_code
        except httpx.TransportError:
            status = 0
        self.statuses[status] += 1
        (self.acknowledged if status == 200 else self.unanswered).append(parcel)
        if status != 200:
            time.sleep(0.05)


@pytest.fixture
def node(passable_folder: Path) -> Iterator[RunningNode]:
    made = RunningNode(passable_folder / "import-crash", passable_folder / "programs")
    made.start()
    yield made
    made.run("node", "stop")


def kill(process: int) -> None:
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return


def content_of(client: httpx.Client, parcel: Parcel) -> Counter[str]:
    """How many records of each type the node has of a parcel's person."""
    found = ask(client, f"Patient?identifier={parcel.person}")
    if not found.get("entry"):
        return Counter()
    assert len(found["entry"]) == 1
    patient = found["entry"][0]["resource"]["id"]
    counts = {"Patient": 1}
    for type_ in parcel.types.keys() - {"Patient", "Organization", "Practitioner"}:
        counts[type_] = ask(client, f"{type_}?patient={patient}&_summary=count")["total"]
    return Counter(counts)


def ask(client: httpx.Client, question: str) -> dict[str, Any]:
    answer = client.get(f"/fhir/{question}")
    assert answer.status_code == 200, answer.text[:300]
    told: dict[str, Any] = answer.json()
    return told


def own(parcel: Parcel) -> Counter[str]:
    """What should be there of a parcel's person."""
    kept = {
        type_: count
        for type_, count in parcel.types.items()
        if type_ not in {"Organization", "Practitioner"}
    }
    return Counter(kept)


def test_whole_bundles_survive_kills_whole_or_not_at_all(node: RunningNode) -> None:
    dice = random.Random(7)  # noqa: S311 - the same blows each time
    importing = Import(node)
    threads = importing.run()
    try:
        for blow in range(KILLS):
            before = len(importing.acknowledged)
            time.sleep(dice.uniform(0.5, 2.5))
            state = node.state()
            kill(dice.choice(state["workers"]) if blow % 2 else state["postgres"])
            importing.wait_beyond(before + SENDERS)
    finally:
        importing.is_over.set()
        for thread in threads:
            thread.join()
    assert set(importing.statuses) <= {0, 200, 503}, importing.statuses
    assert importing.unanswered, "nothing was hit: kill at other moments"
    with node.client() as client:
        lost = [p.person for p in importing.acknowledged if content_of(client, p) != own(p)]
        half = [p.person for p in importing.unanswered if content_of(client, p) not in _whole(p)]
    assert lost == []
    assert half == []


def _whole(parcel: Parcel) -> list[Counter[str]]:
    return [Counter(), own(parcel)]
