"""How long until a node answers: from an empty folder, and again with its records in it."""

from __future__ import annotations

import statistics
import time

from figures import Figure
from node_under_test import Bench

from quanmin.fhir.table import load_table

_WARM_STARTS = 3
_TABLE_LOADS = 9


def measure(bench: Bench) -> list[Figure]:
    """Only a node that was never started can be started from nothing."""
    node = bench.node
    figures = []
    if not node.places.keys.exists():
        bench.say("starting from nothing")
        remark = "empty folder: programs copied, database made, migrated, workers ready"
        figures.append(Figure("start.cold", round(node.start(), 2), "s", remark))
    warm = []
    for number in range(_WARM_STARTS):
        node.stop()
        bench.say(f"starting again ({number + 1} of {_WARM_STARTS})")
        warm.append(node.start())
    remark = f"median of {_WARM_STARTS}, after a clean stop"
    figures.append(Figure("start.warm", round(statistics.median(warm), 2), "s", remark))
    figures.append(_table())
    return figures


def _table() -> Figure:
    """What each process spends on the language before anything else."""
    spent = []
    for _ in range(_TABLE_LOADS):
        begun = time.process_time()
        load_table.__wrapped__()
        spent.append((time.process_time() - begun) * 1000)
    remark = f"processor time, median of {_TABLE_LOADS}"
    return Figure("start.table", round(statistics.median(spent), 1), "ms", remark)
