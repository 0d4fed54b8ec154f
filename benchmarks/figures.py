"""Measured numbers, what they must be, and how both are kept."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import msgspec

FOLDER = Path(__file__).resolve().parent
RESULTS = FOLDER / "results"

Sense = Literal["min", "max"]


class Target(msgspec.Struct, frozen=True):
    """What a figure must be at least (`min`) or at most (`max`)."""

    value: float
    unit: str
    sense: Sense


class Figure(msgspec.Struct, frozen=True):
    """One number, and how it was come by where the name does not say."""

    name: str
    value: float
    unit: str
    remark: str = ""


class Run(msgspec.Struct, frozen=True):
    """Everything measured at one size, on one machine, one after the other."""

    size: str
    resources: int
    data: str
    machine: dict[str, str]
    figures: tuple[Figure, ...]


def targets() -> dict[str, Target]:
    """All targets by name."""
    stated = tomllib.loads((FOLDER / "targets.toml").read_text("utf-8"))["targets"]
    return msgspec.convert(stated, dict[str, Target])


def target_of(name: str, known: dict[str, Target]) -> Target | None:
    """The target of a figure: `searches.p99` is that of `searches.p99.code_rare` too."""
    while name:
        if name in known:
            return known[name]
        name = name.rpartition(".")[0]
    return None


def is_met(figure: Figure, target: Target) -> bool:
    """Whether the figure is as good as its target."""
    if target.sense == "min":
        return figure.value >= target.value
    return figure.value <= target.value


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share of the values lies; 0 without values."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def keep(run: Run) -> None:
    """Write a run down, in place of the same figures of an earlier run of the same size."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{run.size}.json"
    figures = {figure.name: figure for figure in run.figures}
    if path.exists():
        earlier = msgspec.json.decode(path.read_bytes(), type=Run)
        figures = {figure.name: figure for figure in earlier.figures} | figures
    merged = msgspec.structs.replace(run, figures=tuple(figures.values()))
    path.write_bytes(msgspec.json.format(msgspec.json.encode(merged)) + b"\n")
    _keep_latest()


def runs() -> list[Run]:
    """The kept runs, the smallest size first."""
    files = [path for path in RESULTS.glob("*.json") if path.name != "latest.json"]
    found = [msgspec.json.decode(path.read_bytes(), type=Run) for path in files]
    return sorted(found, key=lambda run: run.resources)


def _keep_latest() -> None:
    """One file with every figure that has a target: name.size -> value, unit, target, sense."""
    latest = {f"{name}.{size}": entry for size, name, entry in _with_targets(runs())}
    encoded = msgspec.json.format(msgspec.json.encode(latest))
    (RESULTS / "latest.json").write_bytes(encoded + b"\n")


def _with_targets(kept: Iterable[Run]) -> Iterable[tuple[str, str, dict[str, object]]]:
    known = targets()
    for run in kept:
        for figure in run.figures:
            target = target_of(figure.name, known)
            if target is not None:
                yield (
                    run.size,
                    figure.name,
                    {
                        "value": figure.value,
                        "unit": figure.unit,
                        "target": target.value,
                        "sense": target.sense,
                    },
                )
