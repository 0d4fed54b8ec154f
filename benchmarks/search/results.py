"""What was measured of each shape, and how it is kept: a file for each size."""

from __future__ import annotations

from pathlib import Path

import msgspec

FOLDER = Path(__file__).resolve().parent / "results"


class Latencies(msgspec.Struct, frozen=True):
    """Milliseconds, from the request to the last byte of its answer."""

    requests: int
    p50: float
    p95: float
    p99: float


class Cold(msgspec.Struct, frozen=True):
    """The first requests to a node just started, nothing of its files in memory. Milliseconds."""

    requests: int
    first: float
    p50: float
    worst: float


class Measured(msgspec.Struct):
    """A shape at one size. `hits`, `total` (0 where not asked for) and `bytes` are of one answer,
    processor time of one request.
    """

    refused: str = ""
    hits: float = 0
    total: float = 0
    bytes: int = 0
    four: Latencies | None = None
    alone: Latencies | None = None
    python_us: int = 0
    postgres_us: int = 0
    cold: Cold | None = None


class Bulk(msgspec.Struct, frozen=True):
    """What putting in or taking out so many resources took, processor time in us a resource."""

    resources: int
    rate: int
    python_us: int
    postgres_us: int


class Memory(msgspec.Struct, frozen=True):
    """MiB after all shapes, shared pages counted once among processes."""

    python: int
    postgres: int
    largest_worker: int


class Results(msgspec.Struct):
    """Everything of one size."""

    size: str
    resources: int
    data: str
    machine: dict[str, str]
    shapes: dict[str, Measured] = {}
    bytes_a_resource: int = 0
    memory: Memory | None = None
    bulk_in: Bulk | None = None
    bulk_out: Bulk | None = None
    remarks: dict[str, str] = {}


def read(size: str) -> Results | None:
    """What is kept of a size."""
    path = FOLDER / f"{size}.json"
    return msgspec.json.decode(path.read_bytes(), type=Results) if path.exists() else None


def keep(results: Results) -> None:
    """Write a size's results down, in place of what was kept of it."""
    FOLDER.mkdir(exist_ok=True)
    encoded = msgspec.json.format(msgspec.json.encode(results))
    (FOLDER / f"{results.size}.json").write_bytes(encoded + b"\n")
