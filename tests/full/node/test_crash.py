"""Whatever is killed meanwhile: all that was acknowledged is there, and nothing is half done."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Self

import httpx
import pytest
from running import RunningNode, wait_until

pytestmark = pytest.mark.slow

_WRITERS = 6
_KILLS = 12
_PARTS = 3


@pytest.fixture
def node(passable_folder: Path) -> Iterator[RunningNode]:
    made = RunningNode(passable_folder / "crash", passable_folder / "programs")
    made.start()
    yield made
    made.run("node", "stop")


class Importer:
    """Sends transactions from several threads until told to stop; remembers each answer."""

    def __init__(self, node: RunningNode) -> None:
        self._node = node
        self._numbers = itertools.count()
        self._is_over = threading.Event()
        self.acknowledged: list[int] = []
        self.unanswered: list[int] = []
        self.statuses: set[int] = set()
        self._threads = [threading.Thread(target=self._send_all) for _ in range(_WRITERS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def has_more_than(self, count: int) -> bool:
        """Whether more transactions than this were acknowledged."""
        return len(self.acknowledged) > count

    def _send_all(self) -> None:
        with self._node.client() as client:
            while not self._is_over.is_set():
                self._send(client, next(self._numbers))

    def _send(self, client: httpx.Client, number: int) -> None:
        try:
            answer = client.post("/fhir", content=transaction(number))
        except httpx.TransportError:
            self.unanswered.append(number)
            time.sleep(0.05)
            return
        self.statuses.add(answer.status_code)
        if answer.status_code == 200:
            self.acknowledged.append(number)
        else:
            self.unanswered.append(number)
            time.sleep(0.05)


def transaction(number: int) -> bytes:
    entries = [
        {
            "resource": {"resourceType": "Organization", "id": f"o-{number}-{part}", "name": "x"},
            "request": {"method": "PUT", "url": f"Organization/o-{number}-{part}"},
        }
        for part in range(_PARTS)
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    return json.dumps(bundle).encode()


def parts_there(client: httpx.Client, number: int) -> int:
    urls = [f"/fhir/Organization/o-{number}-{part}" for part in range(_PARTS)]
    return sum(client.get(url).status_code == 200 for url in urls)


def kill(process: int | None) -> None:
    if process is not None:
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            return


def kill_something(node: RunningNode, dice: random.Random, what: str) -> None:
    state = node.state()
    if what == "worker":
        kill(dice.choice(state["workers"]))
    elif what == "database":
        kill(state["postgres"])
    else:
        kill(state["process"])
        wait_until(lambda: "No node runs" in node.run("node", "status").stdout, "its end")
        node.start()


def defects(node: RunningNode) -> set[str]:
    """What was answered with 500, by the kind of the exception and where it passed."""
    lines = map(json.loads, (node.folder / "node.log").read_text().splitlines())
    failed = [line for line in lines if line["source"] == "quanmin.api" and "exception" in line]
    return {f"{line['exception']} {line['trace'][-3:]}" for line in failed}


def test_every_2xx_is_still_there_and_nothing_is_half_done(node: RunningNode) -> None:
    dice = random.Random(1)  # noqa: S311 - the same blows each time
    with Importer(node) as importer:
        for blow in range(_KILLS):
            time.sleep(dice.uniform(0.3, 2.0))
            acknowledged = len(importer.acknowledged)
            kill_something(node, dice, ("worker", "database", "supervisor")[blow % 3])
            wait_until(partial(importer.has_more_than, acknowledged), "new answers")
    assert importer.statuses <= {200, 503}, "\n".join(defects(node))
    assert len(importer.acknowledged) > _KILLS
    with node.client() as client:
        lost = [n for n in importer.acknowledged if parts_there(client, n) != _PARTS]
        half = [n for n in importer.unanswered if parts_there(client, n) not in {0, _PARTS}]
    assert lost == []
    assert half == []
