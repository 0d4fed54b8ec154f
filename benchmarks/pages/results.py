"""What was measured of each page and form, and how it is kept: a file for each size."""

from __future__ import annotations

from pathlib import Path

import msgspec

FOLDER = Path(__file__).resolve().parent / "results"


class Measured(msgspec.Struct, frozen=True):
    """A page at one size: milliseconds to the last byte, over several connections and over one
    (`alone`); `python` and `postgres` are milliseconds of the processor for one request alone,
    `load` how many processes wanted a core meanwhile.
    """

    requests: int
    p50: float
    p95: float
    p99: float
    alone_p50: float
    alone_p95: float
    python: float
    postgres: float
    kibibytes: float
    load: float


class Results(msgspec.Struct):
    """Everything of one size."""

    size: str
    resources: int
    persons: int
    data: str
    machine: dict[str, str]
    pages: dict[str, Measured] = {}
    forms: dict[str, Measured] = {}
    remarks: list[str] = []


def read(size: str) -> Results | None:
    """What is kept of a size."""
    path = FOLDER / f"{size}.json"
    return msgspec.json.decode(path.read_bytes(), type=Results) if path.exists() else None


def keep(results: Results) -> None:
    """Write a size's results down, in place of what was kept of it."""
    FOLDER.mkdir(exist_ok=True)
    encoded = msgspec.json.format(msgspec.json.encode(results))
    (FOLDER / f"{results.size}.json").write_bytes(encoded + b"\n")
